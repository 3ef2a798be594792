//! Runs the clauses on a provider and collects those that fail.

use std::collections::BTreeMap;
use std::sync::Arc;

use cred_conformance::{Clause, Harness, Offers};

/// The clauses that fail, with their messages.
pub(crate) type Failures = BTreeMap<&'static str, String>;

/// Runs every clause that the offers cover, each on one thread with a paused clock, so the result
/// is the same on every machine and no lag takes real time.
pub(crate) fn failures<H: Harness + 'static>(offers: Offers, harness: impl Fn() -> H) -> Failures {
    let mut failures = Failures::new();
    for clause in Clause::all().iter().filter(|clause| offers.cover(clause.needs())) {
        let builder = &mut tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_time().start_paused(true).build().unwrap();
        let check = clause.check(Arc::new(harness()), offers);
        if let Err(failed) = runtime.block_on(async { tokio::spawn(check).await }) {
            let message = failed.into_panic().downcast::<String>();
            failures.insert(
                clause.name(),
                message.map_or_else(|_| "a panic without a message".to_owned(), |text| *text),
            );
        }
    }
    failures
}
