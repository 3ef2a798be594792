//! The clauses that are red on a provider.

use std::collections::BTreeMap;
use std::sync::Arc;

use cred_conformance::{Clause, Harness, Offers};

/// The clauses that are red, with their messages.
pub(crate) type Red = BTreeMap<&'static str, String>;

/// Checks every clause that the offers cover, each on one thread with a paused clock: the outcome
/// is the same on every machine, and no lag takes real time.
pub(crate) fn red<H: Harness + 'static>(offers: Offers, harness: impl Fn() -> H) -> Red {
    let mut red = Red::new();
    for clause in Clause::all().iter().filter(|clause| offers.cover(clause.needs())) {
        let builder = &mut tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_time().start_paused(true).build().unwrap();
        let check = clause.check(Arc::new(harness()), offers);
        if let Err(failed) = runtime.block_on(async { tokio::spawn(check).await }) {
            let message = failed.into_panic().downcast::<String>();
            red.insert(
                clause.name(),
                message.map_or_else(|_| "a panic of another kind".to_owned(), |text| *text),
            );
        }
    }
    red
}
