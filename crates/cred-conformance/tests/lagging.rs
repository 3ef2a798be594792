//! A provider whose writes become visible late fulfils the contract if it declares that, and breaks
//! it if it declares strong consistency.

#![cfg(test)]

mod red;

use std::sync::Arc;
use std::time::Duration;

use cred_conformance::doubles::{Lagging, Reference};
use cred_conformance::{Effort, Harness, Offers, Subject};
use cred_core::{Consistency, async_trait};
use red::Failures;

const POINT: Duration = Duration::from_millis(300);
const LIST: Duration = Duration::from_secs(2);

/// Opens a lagging provider that declares this consistency.
struct LaggingHarness(Consistency);

#[async_trait]
impl Harness for LaggingHarness {
    async fn open(&self) -> Arc<dyn Subject> {
        Arc::new(Lagging::new(Reference::new(), POINT, LIST).claiming(self.0))
    }

    fn effort(&self) -> Effort {
        Effort::default().with_list_entries(60).with_rounds(20)
    }
}

fn failures(declared: Consistency) -> Failures {
    let mut offers = Offers::NONE;
    (offers.compare_and_set, offers.soft_delete) = (true, true);
    red::failures(offers, || LaggingHarness(declared))
}

#[test]
fn it_passes_with_the_lag_that_it_declares() {
    assert_eq!(failures(Consistency::Eventual { point: POINT, list: LIST }), Failures::new());
}

#[test]
fn it_fails_if_it_declares_strong_consistency() {
    let failures = failures(Consistency::Strong);
    for clause in [
        "store_1_a_stored_value_is_returned_unchanged",
        "retrieve_2_a_read_returns_the_latest_value",
        "delete_1_a_deleted_credential_is_gone_from_reads_and_lists",
        "exists_1_exists_is_true_after_a_store_and_false_otherwise",
        "list_1_each_id_is_listed_once_and_only_in_its_own_scope",
        "tree_3_without_a_scope_the_tree_lists_everything",
        "cas_3_a_store_with_the_current_revision_succeeds",
        "soft_1_a_recovered_credential_is_unchanged",
    ] {
        assert!(failures.contains_key(clause), "{clause} passes");
    }
}

/// Reads are in time and lists are late: the two bounds are distinct.
#[test]
fn it_fails_if_lists_lag_longer_than_declared() {
    let failures = failures(Consistency::Eventual { point: POINT, list: POINT });
    assert!(failures.contains_key("list_3_a_long_list_is_complete"), "{:?}", failures.keys());
    assert!(!failures.contains_key("retrieve_2_a_read_returns_the_latest_value"), "{:?}", failures.keys());
    let message = &failures["list_1_each_id_is_listed_once_and_only_in_its_own_scope"];
    assert!(
        message.contains("after the declared bound (Eventual { point: 300ms, list: 300ms })"),
        "{message}"
    );
}
