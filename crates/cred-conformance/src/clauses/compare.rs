//! cas-1 to cas-7.

use cred_core::{CredentialPath, Revision, Sealed, StorageError, StorageErrorKind, Versioned};
use tokio::task::{JoinSet, yield_now};

use super::error::expect_error;
use crate::rule::{expect_ok, fail};
use crate::trial::{Trial, all};
use crate::value::{path, sized, value};

const ONE_STEP: &str =
    "let the backend compare and write in one step; a read followed by a write is not one step";

/// The stored value with its revision, once every completed write is visible.
async fn current(t: &Trial, target: &CredentialPath) -> Versioned<Sealed> {
    t.wait_until_visible().await;
    let problem = format!("`{target}` was stored and its revision cannot be read");
    expect_ok(t.retrieve_versioned(target).await, problem, "return it")
}

async fn put_if(t: &Trial, target: &CredentialPath, value: &Sealed, expected: Option<&Revision>) -> Revision {
    let advice = "compare with the current revision, and with None if nothing is stored";
    let problem = format!("a conditional store of `{target}` failed, but its condition is met");
    expect_ok(t.store_if(target, value, expected).await, problem, advice)
}

/// The conditional store must fail with Conflict and leave the stored value unchanged.
async fn conflicts(
    t: &Trial,
    target: &CredentialPath,
    expected: Option<&Revision>,
    stored: Option<&Sealed>,
    what: &str,
) {
    let error =
        expect_error(t.store_if(target, &value(99), expected).await, &format!("a conditional store {what}"));
    if !matches!(error.kind(), StorageErrorKind::Conflict { .. }) {
        fail(
            &format!("a conditional store {what} fails with another error than Conflict: {error}"),
            "return Conflict",
        );
    }
    t.wait_until_visible().await;
    match stored {
        Some(stored) => t.holds(target, stored, "a conflict must write nothing").await,
        None => t.lacks(target, "a conflict must write nothing").await,
    }
}

pub(super) async fn cas_1_retrieve_versioned_returns_what_retrieve_returns(t: Trial) {
    for (target, number) in ["key", "org:a/key", "org:a/team:x/key"].map(path).iter().zip(1..) {
        let error = expect_error(t.retrieve_versioned(target).await, "a read of an absent credential");
        if !error.is_not_found() {
            fail(
                &format!("cas-1: a read of an absent credential fails with another error: {error}"),
                "return NotFound",
            );
        }
        t.put(target, &value(number)).await;
        let Versioned { value: read, revision } = current(&t, target).await;
        if read != value(number) {
            fail("cas-1: retrieve_versioned returns other data than was stored", "read as retrieve does");
        }
        if current(&t, target).await.revision != revision {
            fail("cas-1: the revision changes though nothing is written", "use the backend's own revision");
        }
    }
}

pub(super) async fn cas_2_every_store_makes_a_new_revision(t: Trial) {
    let target = path("org:a/key");
    let mut seen: Vec<(Revision, &str)> = Vec::new();
    let mut note = |revision: Revision, after: &'static str| {
        if let Some((_, earlier)) = seen.iter().find(|(seen, _)| *seen == revision) {
            fail(
                &format!("cas-2: {after} has the revision that {earlier} had"),
                "use a revision that never repeats: a counter that survives a delete, or a random value; no hash of the \
                 contents",
            );
        }
        seen.push((revision, after));
    };
    t.put(&target, &value(1)).await;
    note(current(&t, &target).await.revision, "a first store");
    t.put(&target, &value(1)).await;
    note(current(&t, &target).await.revision, "a store of the same value");
    t.put(&target, &value(2)).await;
    let revision = current(&t, &target).await.revision;
    note(revision.clone(), "a store of another value");
    note(put_if(&t, &target, &value(2), Some(&revision)).await, "a conditional store");
    t.remove(&target).await;
    t.lacks(&target, "delete must remove the credential").await;
    t.put(&target, &value(1)).await;
    note(current(&t, &target).await.revision, "a store after a delete");
    t.remove(&target).await;
    t.lacks(&target, "delete must remove the credential").await;
    note(put_if(&t, &target, &value(1), None).await, "a conditional store after a delete");
}

pub(super) async fn cas_3_a_store_with_the_current_revision_succeeds(t: Trial) {
    let target = path("org:a/key");
    t.put(&target, &value(0)).await;
    let mut revision = current(&t, &target).await.revision;
    for number in 1..6 {
        revision = put_if(&t, &target, &value(number), Some(&revision)).await;
        t.holds(&target, &value(number), "write as store does").await;
        if current(&t, &target).await.revision != revision {
            fail(
                "cas-3: a conditional store returns another revision than a read after it",
                "return the revision of the value that was written",
            );
        }
    }
    t.lists_only(&target, "list a credential that was stored conditionally like any other").await;
}

pub(super) async fn cas_4_a_store_with_another_revision_conflicts_and_writes_nothing(t: Trial) {
    let target = path("org:a/key");
    t.put(&target, &value(1)).await;
    let first = current(&t, &target).await.revision;
    t.put(&target, &value(2)).await;
    let second = current(&t, &target).await.revision;
    conflicts(&t, &target, Some(&first), Some(&value(2)), "with an old revision").await;
    put_if(&t, &target, &value(3), Some(&second)).await;
    conflicts(&t, &target, Some(&second), Some(&value(3)), "with the revision before a conditional store")
        .await;
    conflicts(&t, &target, Some(&first), Some(&value(3)), "with a very old revision").await;
}

pub(super) async fn cas_4_creating_an_existing_credential_conflicts(t: Trial) {
    let target = path("org:a/key");
    t.put(&target, &value(1)).await;
    t.wait_until_visible().await;
    conflicts(&t, &target, None, Some(&value(1)), "without a revision over an existing credential").await;
}

pub(super) async fn cas_5_a_store_with_a_revision_conflicts_when_nothing_is_stored(t: Trial) {
    let (target, never) = (path("org:a/key"), path("org:a/never"));
    t.put(&target, &value(1)).await;
    let revision = current(&t, &target).await.revision;
    conflicts(&t, &never, Some(&revision), None, "with a revision at a path that was never stored").await;
    t.remove(&target).await;
    t.lacks(&target, "delete must remove the credential").await;
    conflicts(&t, &target, Some(&revision), None, "with the revision of a deleted credential").await;
}

pub(super) async fn cas_6_creating_an_absent_credential_succeeds(t: Trial) {
    let target = path("org:a/key");
    for number in 0..3 {
        put_if(&t, &target, &value(number), None).await;
        t.holds(&target, &value(number), "write as store does").await;
        t.lists_only(&target, "write as store does").await;
        t.remove(&target).await;
        t.lacks(&target, "delete must remove the credential").await;
    }
}

/// A store that recovered the deleted value first would bring back the wrong value.
pub(super) async fn cas_6_a_soft_deleted_credential_counts_as_absent(t: Trial) {
    let target = path("org:a/key");
    t.put(&target, &value(1)).await;
    t.remove(&target).await;
    t.lists_deleted(target.scope.as_ref(), std::slice::from_ref(&target.id), "list recoverable credentials")
        .await;
    put_if(&t, &target, &value(2), None).await;
    t.holds(&target, &value(2), "a store over a soft-deleted credential must write the new value").await;
    t.lists_deleted(target.scope.as_ref(), &[], "a credential that was stored again is not deleted").await;
    conflicts(&t, &target, None, Some(&value(2)), "without a revision over an existing credential").await;
}

pub(super) async fn cas_7_exactly_one_concurrent_store_with_the_same_revision_succeeds(t: Trial) {
    for round in 0..(t.effort.rounds / 10).max(2) {
        let target = path(&format!("org:a/key-{round}"));
        t.put(&target, &value(0)).await;
        let revision = current(&t, &target).await.revision;
        one_wins(std::slice::from_ref(&t), &target, Some(revision)).await;
    }
}

pub(super) async fn cas_7_exactly_one_concurrent_create_succeeds(t: Trial) {
    for round in 0..(t.effort.rounds / 10).max(2) {
        one_wins(std::slice::from_ref(&t), &path(&format!("org:a/key-{round}")), None).await;
    }
}

pub(super) async fn cas_7_exactly_one_store_across_concurrent_clients_succeeds(t: Trial) {
    let clients = [t.clone(), t.reopen().await];
    for round in 0..(t.effort.rounds / 10).max(2) {
        let target = path(&format!("org:a/key-{round}"));
        t.put(&target, &value(0)).await;
        let revision = current(&t, &target).await.revision;
        one_wins(&clients, &target, Some(revision)).await;
        let target = path(&format!("org:a/new-{round}"));
        one_wins(&clients, &target, None).await;
    }
}

async fn one_wins(clients: &[Trial], target: &CredentialPath, expected: Option<Revision>) {
    let mut tasks = JoinSet::new();
    for (number, t) in (1..=8).zip(clients.iter().cycle()) {
        let (t, target, expected) = (t.clone(), target.clone(), expected.clone());
        tasks.spawn(async move {
            let stored = sized(number, 1_000);
            t.store_if(&target, &stored, expected.as_ref()).await.map(|_| stored)
        });
    }
    let (won, lost): (Vec<_>, Vec<_>) = all(tasks).await.into_iter().partition(Result::is_ok);
    if won.len() != 1 {
        fail(&format!("cas-7: of 8 concurrent conditional stores {} succeeded", won.len()), ONE_STEP);
    }
    let other = |error: &StorageError| !matches!(error.kind(), StorageErrorKind::Conflict { .. });
    if let Some(error) = lost.into_iter().filter_map(Result::err).find(other) {
        fail(
            &format!("cas-7: a concurrent store that lost fails with another error than Conflict: {error}"),
            "return Conflict",
        );
    }
    for winner in won.into_iter().flatten() {
        for t in clients {
            t.holds(target, &winner, "the value of the store that succeeded must be stored").await;
        }
    }
}

pub(super) async fn cas_7_a_counter_under_contention_loses_no_increment(t: Trial) {
    const TASKS: u64 = 4;
    let each = u64::try_from(t.effort.rounds / 10).unwrap_or(10).clamp(2, 10);
    let target = path("org:a/counter");
    let counted = |count: u64| {
        let Sealed { data, mut metadata } = value(1);
        metadata.version = count;
        Sealed { data, metadata }
    };
    t.put(&target, &counted(0)).await;
    t.wait_until_visible().await;
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let (t, target) = (t.clone(), target.clone());
        tasks.spawn(async move {
            for _ in 0..each {
                increment(&t, &target, counted).await;
            }
        });
    }
    all(tasks).await;
    t.holds(&target, &counted(TASKS * each), ONE_STEP).await;
}

async fn increment(t: &Trial, target: &CredentialPath, counted: impl Fn(u64) -> Sealed) {
    // In each round one task succeeds. A task that never does gets conflicts without a cause.
    for _ in 0..500 {
        let read = t.retrieve_versioned(target).await;
        let Versioned { value, revision } =
            expect_ok(read, "cas-7: a read under contention fails", "read the old or the new value");
        match t.store_if(target, &counted(value.metadata.version + 1), Some(&revision)).await {
            Err(error) if matches!(error.kind(), StorageErrorKind::Conflict { .. }) => {
                t.wait_until_visible().await;
                yield_now().await;
            }
            stored => {
                return drop(expect_ok(
                    stored,
                    "cas-7: a conditional store under contention fails",
                    ONE_STEP,
                ));
            }
        }
    }
    fail("cas-7: a conditional store conflicted 500 times in a row", "compare with the current revision");
}

pub(super) async fn scope_2_a_conditional_store_changes_no_other_scope(t: Trial) {
    let entries: Vec<_> = ["key", "org:a/key", "org:a/team:x/key", "org:ab/key"]
        .map(path)
        .into_iter()
        .zip((1..).map(value))
        .collect();
    t.put_all(entries.clone()).await;
    t.all_hold(&entries, "build the physical name from the scope and the id").await;
    let advice = "use the scope of the context in conditional stores, as in other operations";
    let target = path("org:b/key");
    let error = expect_error(t.retrieve_versioned(&target).await, "a read of another scope's credential");
    if !error.is_not_found() {
        fail(&format!("a read of an absent credential fails with another error: {error}"), advice);
    }
    let revision = put_if(&t, &target, &value(50), None).await;
    put_if(&t, &target, &value(51), Some(&revision)).await;
    t.holds(&target, &value(51), advice).await;
    t.all_hold(&entries, advice).await;
}
