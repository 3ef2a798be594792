//! The suite from the README: it is short, and it passes.

// The code below is an exact copy of the code in the README; a test compares them.
// begin
use std::sync::Arc;

use cred_conformance::{Harness, Subject, doubles::Reference};
use cred_core::async_trait;

struct Fresh(Reference);

#[async_trait]
impl Harness for Fresh {
    async fn open(&self) -> Arc<dyn Subject> {
        Arc::new(self.0.clone()) // your provider, over a namespace that only this harness uses
    }

    async fn reopen(&self) -> Option<Arc<dyn Subject>> {
        Some(self.open().await) // another client of the same data
    }
}

cred_conformance::suite!(Fresh(Reference::new()), offers: [compare_and_set, soft_delete, metrics, reopen]);
// end

#[test]
fn the_readme_shows_this_suite_in_less_than_thirty_lines() {
    let section = |text: &'static str, begin: &str, end: &str| {
        let rest = text.split_once(begin).map(|(_, rest)| rest);
        rest.and_then(|rest| rest.split_once(end)).map(|(section, _)| section)
    };
    let shown = section(include_str!("../README.md"), "```rust\n", "```\n");
    assert_eq!(shown, section(include_str!("readme.rs"), "\n// begin\n", "// end\n"));
    assert!(shown.is_some_and(|shown| shown.lines().count() < 30));
}
