//! A provider whose writes show late keeps the contract where it says so, and breaks it where it
//! claims to be strong.

#![cfg(test)]

mod red;

use std::sync::Arc;
use std::time::Duration;

use cred_conformance::doubles::{Lagging, Reference};
use cred_conformance::{Effort, Harness, Offers, Subject};
use cred_core::{Consistency, async_trait};
use red::Red;

const POINT: Duration = Duration::from_millis(300);
const LIST: Duration = Duration::from_secs(2);

/// A lagging provider that claims this consistency.
struct Late(Consistency);

#[async_trait]
impl Harness for Late {
    async fn open(&self) -> Arc<dyn Subject> {
        Arc::new(Lagging::new(Reference::new(), POINT, LIST).claiming(self.0))
    }

    fn effort(&self) -> Effort {
        Effort::default().with_list_entries(60).with_rounds(20)
    }
}

fn red(claimed: Consistency) -> Red {
    let mut offers = Offers::NONE;
    (offers.compare_and_set, offers.soft_delete) = (true, true);
    red::red(offers, || Late(claimed))
}

#[test]
fn it_passes_with_the_lag_that_it_declares() {
    assert_eq!(red(Consistency::Eventual { point: POINT, list: LIST }), Red::new());
}

#[test]
fn it_fails_where_it_claims_to_be_strong() {
    let red = red(Consistency::Strong);
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
        assert!(red.contains_key(clause), "{clause} is green");
    }
}

/// Reads in time and lists late: the two bounds are told apart.
#[test]
fn it_fails_where_lists_lag_longer_than_declared() {
    let red = red(Consistency::Eventual { point: POINT, list: POINT });
    assert!(red.contains_key("list_3_a_long_list_is_complete"), "{:?}", red.keys());
    assert!(!red.contains_key("retrieve_2_a_read_returns_the_latest_value"), "{:?}", red.keys());
    let message = &red["list_1_each_id_is_listed_once_and_only_in_its_own_scope"];
    assert!(
        message.contains("after the declared bound (Eventual { point: 300ms, list: 300ms })"),
        "{message}"
    );
}
