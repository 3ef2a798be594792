//! cas-1 to cas-7.

use cred_core::{CredentialPath, Revision, Sealed, StorageError, StorageErrorKind, Versioned};
use tokio::task::{JoinSet, yield_now};

use super::error::refused;
use crate::rule::{fail, good};
use crate::trial::{Trial, all};
use crate::value::{path, sized, value};

const ONE_STEP: &str = "let the backend compare and write in one step; a read followed by a write is none";

/// The stored value with its revision, once every answered write shows.
async fn current(t: &Trial, place: &CredentialPath) -> Versioned<Sealed> {
    t.settle().await;
    let what = format!("`{place}` was stored and its revision cannot be read");
    good(t.retrieve_versioned(place).await, what, "give it")
}

async fn put_if(t: &Trial, place: &CredentialPath, value: &Sealed, expected: Option<&Revision>) -> Revision {
    let advice = "compare with the revision of what is stored now, and with nothing where nothing is stored";
    let what = format!("a conditional store of `{place}` that must succeed failed");
    good(t.store_if(place, value, expected).await, what, advice)
}

/// It must be a conflict, and what was stored must still be.
async fn conflicts(
    t: &Trial,
    place: &CredentialPath,
    expected: Option<&Revision>,
    stored: Option<&Sealed>,
    what: &str,
) {
    let error =
        refused(t.store_if(place, &value(99), expected).await, &format!("a conditional store {what}"));
    if !matches!(error.kind(), StorageErrorKind::Conflict { .. }) {
        fail(
            &format!("a conditional store {what} is told as something else than Conflict: {error}"),
            "answer Conflict",
        );
    }
    t.settle().await;
    match stored {
        Some(stored) => t.holds(place, stored, "a conflict writes nothing").await,
        None => t.lacks(place, "a conflict writes nothing").await,
    }
}

pub(super) async fn cas_1_it_reads_what_retrieve_reads(t: Trial) {
    for (place, number) in ["key", "org:a/key", "org:a/team:x/key"].map(path).iter().zip(1..) {
        let error = refused(t.retrieve_versioned(place).await, "a read of nothing");
        if !error.is_not_found() {
            fail(&format!("cas-1: absence is told as something else: {error}"), "answer NotFound");
        }
        t.put(place, &value(number)).await;
        let Versioned { value: read, revision } = current(&t, place).await;
        if read != value(number) {
            fail("cas-1: a read with revision gives other data than was stored", "read as retrieve does");
        }
        if current(&t, place).await.revision != revision {
            fail("cas-1: the revision changes though nothing is written", "take the backend's own mark");
        }
    }
}

pub(super) async fn cas_2_every_store_makes_another_revision(t: Trial) {
    let place = path("org:a/key");
    let mut seen: Vec<(Revision, &str)> = Vec::new();
    let mut note = |revision: Revision, after: &'static str| {
        if let Some((_, earlier)) = seen.iter().find(|(seen, _)| *seen == revision) {
            fail(
                &format!("cas-2: {after} has the revision that {earlier} had"),
                "take a mark that never repeats: a counter that survives a delete, or a random one; no hash of the contents",
            );
        }
        seen.push((revision, after));
    };
    t.put(&place, &value(1)).await;
    note(current(&t, &place).await.revision, "a first store");
    t.put(&place, &value(1)).await;
    note(current(&t, &place).await.revision, "a store of the same value");
    t.put(&place, &value(2)).await;
    let revision = current(&t, &place).await.revision;
    note(revision.clone(), "a store of another value");
    note(put_if(&t, &place, &value(2), Some(&revision)).await, "a conditional store");
    t.remove(&place).await;
    t.lacks(&place, "delete removes").await;
    t.put(&place, &value(1)).await;
    note(current(&t, &place).await.revision, "a store after a delete");
    t.remove(&place).await;
    t.lacks(&place, "delete removes").await;
    note(put_if(&t, &place, &value(1), None).await, "a conditional store after a delete");
}

pub(super) async fn cas_3_with_the_stored_revision_it_writes(t: Trial) {
    let place = path("org:a/key");
    t.put(&place, &value(0)).await;
    let mut revision = current(&t, &place).await.revision;
    for number in 1..6 {
        revision = put_if(&t, &place, &value(number), Some(&revision)).await;
        t.holds(&place, &value(number), "write as store does").await;
        if current(&t, &place).await.revision != revision {
            fail(
                "cas-3: a conditional store gives another revision than a read after it",
                "give the revision of what was written",
            );
        }
    }
    t.lists_only(&place, "what is stored conditionally is listed as any other").await;
}

pub(super) async fn cas_4_with_another_revision_it_conflicts_and_writes_nothing(t: Trial) {
    let place = path("org:a/key");
    t.put(&place, &value(1)).await;
    let first = current(&t, &place).await.revision;
    t.put(&place, &value(2)).await;
    let second = current(&t, &place).await.revision;
    conflicts(&t, &place, Some(&first), Some(&value(2)), "with an old revision").await;
    put_if(&t, &place, &value(3), Some(&second)).await;
    conflicts(&t, &place, Some(&second), Some(&value(3)), "with the revision before a conditional store")
        .await;
    conflicts(&t, &place, Some(&first), Some(&value(3)), "with a very old revision").await;
}

pub(super) async fn cas_4_of_something_new_it_conflicts_where_something_is_stored(t: Trial) {
    let place = path("org:a/key");
    t.put(&place, &value(1)).await;
    t.settle().await;
    conflicts(&t, &place, None, Some(&value(1)), "of something new over something").await;
}

pub(super) async fn cas_5_with_a_revision_where_nothing_is_stored_it_conflicts(t: Trial) {
    let (place, never) = (path("org:a/key"), path("org:a/never"));
    t.put(&place, &value(1)).await;
    let revision = current(&t, &place).await.revision;
    conflicts(&t, &never, Some(&revision), None, "with a revision where nothing was ever stored").await;
    t.remove(&place).await;
    t.lacks(&place, "delete removes").await;
    conflicts(&t, &place, Some(&revision), None, "with the revision of what was deleted").await;
}

pub(super) async fn cas_6_something_new_is_written_where_nothing_is_stored(t: Trial) {
    let place = path("org:a/key");
    for number in 0..3 {
        put_if(&t, &place, &value(number), None).await;
        t.holds(&place, &value(number), "write as store does").await;
        t.lists_only(&place, "write as store does").await;
        t.remove(&place).await;
        t.lacks(&place, "delete removes").await;
    }
}

/// What recovering first would bring back is not the new value.
pub(super) async fn cas_6_a_soft_deleted_name_counts_as_nothing_stored(t: Trial) {
    let place = path("org:a/key");
    t.put(&place, &value(1)).await;
    t.remove(&place).await;
    t.lists_deleted(place.scope.as_ref(), std::slice::from_ref(&place.id), "list what can be recovered")
        .await;
    put_if(&t, &place, &value(2), None).await;
    t.holds(&place, &value(2), "write anew over a soft-deleted name").await;
    t.lists_deleted(place.scope.as_ref(), &[], "what is stored again is not deleted").await;
    conflicts(&t, &place, None, Some(&value(2)), "of something new over something").await;
}

pub(super) async fn cas_7_of_concurrent_calls_with_one_revision_exactly_one_succeeds(t: Trial) {
    for round in 0..(t.effort.rounds / 10).max(2) {
        let place = path(&format!("org:a/key-{round}"));
        t.put(&place, &value(0)).await;
        let revision = current(&t, &place).await.revision;
        one_wins(std::slice::from_ref(&t), &place, Some(revision)).await;
    }
}

pub(super) async fn cas_7_of_concurrent_calls_for_something_new_exactly_one_succeeds(t: Trial) {
    for round in 0..(t.effort.rounds / 10).max(2) {
        one_wins(std::slice::from_ref(&t), &path(&format!("org:a/key-{round}")), None).await;
    }
}

pub(super) async fn cas_7_of_concurrent_clients_exactly_one_succeeds(t: Trial) {
    let clients = [t.clone(), t.reopen().await];
    for round in 0..(t.effort.rounds / 10).max(2) {
        let place = path(&format!("org:a/key-{round}"));
        t.put(&place, &value(0)).await;
        let revision = current(&t, &place).await.revision;
        one_wins(&clients, &place, Some(revision)).await;
        let place = path(&format!("org:a/new-{round}"));
        one_wins(&clients, &place, None).await;
    }
}

async fn one_wins(clients: &[Trial], place: &CredentialPath, expected: Option<Revision>) {
    let mut tasks = JoinSet::new();
    for (number, t) in (1..=8).zip(clients.iter().cycle()) {
        let (t, place, expected) = (t.clone(), place.clone(), expected.clone());
        tasks.spawn(async move {
            let stored = sized(number, 1_000);
            t.store_if(&place, &stored, expected.as_ref()).await.map(|_| stored)
        });
    }
    let (won, lost): (Vec<_>, Vec<_>) = all(tasks).await.into_iter().partition(Result::is_ok);
    if won.len() != 1 {
        fail(&format!("cas-7: of 8 concurrent conditional stores {} succeeded", won.len()), ONE_STEP);
    }
    let other = |error: &StorageError| !matches!(error.kind(), StorageErrorKind::Conflict { .. });
    if let Some(error) = lost.into_iter().filter_map(Result::err).find(other) {
        fail(&format!("cas-7: a loser is told something else than Conflict: {error}"), "answer Conflict");
    }
    for winner in won.into_iter().flatten() {
        for t in clients {
            t.holds(place, &winner, "the one that succeeded is the one that is stored").await;
        }
    }
}

pub(super) async fn cas_7_a_counter_under_contention_loses_nothing(t: Trial) {
    const TASKS: u64 = 4;
    let each = u64::try_from(t.effort.rounds / 10).unwrap_or(10).clamp(2, 10);
    let place = path("org:a/counter");
    let counted = |count: u64| {
        let Sealed { data, mut metadata } = value(1);
        metadata.version = count;
        Sealed { data, metadata }
    };
    t.put(&place, &counted(0)).await;
    t.settle().await;
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let (t, place) = (t.clone(), place.clone());
        tasks.spawn(async move {
            for _ in 0..each {
                increment(&t, &place, counted).await;
            }
        });
    }
    all(tasks).await;
    t.holds(&place, &counted(TASKS * each), ONE_STEP).await;
}

async fn increment(t: &Trial, place: &CredentialPath, counted: impl Fn(u64) -> Sealed) {
    // Each round somebody succeeds; whoever never does meets conflicts that are none.
    for _ in 0..500 {
        let read = t.retrieve_versioned(place).await;
        let Versioned { value, revision } =
            good(read, "cas-7: a read under contention fails", "read the old or the new");
        match t.store_if(place, &counted(value.metadata.version + 1), Some(&revision)).await {
            Err(error) if matches!(error.kind(), StorageErrorKind::Conflict { .. }) => {
                t.settle().await;
                yield_now().await;
            }
            stored => {
                return drop(good(stored, "cas-7: a conditional store under contention fails", ONE_STEP));
            }
        }
    }
    fail("cas-7: a conditional store conflicted 500 times in a row", "compare with what is stored now");
}

pub(super) async fn scope_2_a_conditional_store_changes_no_other_scope(t: Trial) {
    let entries: Vec<_> = ["key", "org:a/key", "org:a/team:x/key", "org:ab/key"]
        .map(path)
        .into_iter()
        .zip((1..).map(value))
        .collect();
    t.put_all(entries.clone()).await;
    t.all_hold(&entries, "build the physical name from the scope and the id").await;
    let advice = "take the scope of the context in conditional stores as in any other";
    let place = path("org:b/key");
    let error = refused(t.retrieve_versioned(&place).await, "a read of another scope's credential");
    if !error.is_not_found() {
        fail(&format!("an absent credential is told as something else: {error}"), advice);
    }
    let revision = put_if(&t, &place, &value(50), None).await;
    put_if(&t, &place, &value(51), Some(&revision)).await;
    t.holds(&place, &value(51), advice).await;
    t.all_hold(&entries, advice).await;
}
