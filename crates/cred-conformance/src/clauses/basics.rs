//! retrieve, exists and delete.

use tokio::task::JoinSet;

use cred_core::StorageErrorKind;

use crate::rule::fail;
use crate::trial::{Trial, all};
use crate::value::{path, scope, sized, value};

pub(super) async fn retrieve_1_an_absent_credential_is_reported_as_not_found(t: Trial) {
    for place in ["never", "org:never/used", "org:never/team:used/key"].map(path) {
        match t.retrieve(&place).await {
            Err(error) if *error.kind() == StorageErrorKind::NotFound => {}
            Err(error) => fail(
                &format!("a read of the absent `{place}` fails with another error than NotFound: {error}"),
                "return NotFound if the backend reports that the credential or one of its parents does not exist",
            ),
            Ok(_) => fail(&format!("a read of the absent `{place}` returns a value"), "return NotFound"),
        }
    }
    let place = path("org:a/key");
    t.put(&place, &value(1)).await;
    t.lacks(&path("org:a/other"), "return NotFound also if the scope has other credentials").await;
    t.remove(&place).await;
    t.lacks(&place, "return NotFound after a delete").await;
}

pub(super) async fn retrieve_2_a_read_returns_the_latest_value(t: Trial) {
    let place = path("org:a/key");
    for number in 0..20 {
        t.put(&place, &value(number)).await;
        t.holds(&place, &value(number), "read from the backend, or let a write replace the cached value")
            .await;
    }
    t.remove(&place).await;
    t.lacks(&place, "a delete must be visible to the next read").await;
}

pub(super) async fn retrieve_2_another_client_reads_the_latest_value(t: Trial) {
    let other = t.reopen().await;
    let place = path("org:a/key");
    let advice = "do not cache in the provider: another client of the same data may have written";
    for number in 0..10 {
        t.put(&place, &value(2 * number)).await;
        other.holds(&place, &value(2 * number), advice).await;
        other.put(&place, &value(2 * number + 1)).await;
        t.holds(&place, &value(2 * number + 1), advice).await;
        t.lists_only(&place, advice).await;
    }
    other.remove(&place).await;
    t.lacks(&place, advice).await;
    t.lists(place.scope.as_ref(), None, &[], advice).await;
}

pub(super) async fn retrieve_3_a_read_changes_nothing(t: Trial) {
    let (place, absent) = (path("org:a/key"), path("org:b/absent"));
    t.put_and_check(&place, &value(1)).await;
    let revision = match t.provider.compare_and_set() {
        Some(_) => t.retrieve_versioned(&place).await.ok().map(|found| found.revision),
        None => None,
    };
    for _ in 0..5 {
        t.holds(&place, &value(1), "a read must write nothing, not even an access time").await;
        t.lacks(&absent, "a read of an absent credential must create nothing").await;
        let _ = t.retrieve_many(absent.scope.as_ref(), std::slice::from_ref(&absent.id)).await;
    }
    if let Some(before) = revision {
        match t.retrieve_versioned(&place).await {
            Ok(found) if found.revision == before => {}
            _ => fail("a read changed the revision", "a read must write nothing, not even an access time"),
        }
    }
    t.has_tree(None, None, &[place], "a read of an absent credential must create nothing").await;
}

pub(super) async fn delete_1_a_deleted_credential_is_gone_from_reads_and_lists(t: Trial) {
    let (place, other) = (path("org:a/key"), path("org:a/other"));
    t.put(&place, &value(1)).await;
    t.put(&other, &value(2)).await;
    let here = Some(scope("org:a"));
    t.lists(here.as_ref(), None, &[place.id.clone(), other.id.clone()], "list all stored credentials").await;
    t.remove(&place).await;
    let advice =
        "a delete must hide the credential from reads and lists, even if the backend could recover it";
    t.lacks(&place, advice).await;
    t.lists(here.as_ref(), None, std::slice::from_ref(&other.id), advice).await;
    t.has_tree(None, None, std::slice::from_ref(&other), advice).await;
    let many = t.retrieve_many(here.as_ref(), &[place.id, other.id]).await;
    match many.as_slice() {
        [Err(error), Ok(_)] if error.is_not_found() => {}
        _ => fail("retrieve_many does not return NotFound for a deleted credential", advice),
    }
}

pub(super) async fn delete_2_deleting_an_absent_credential_succeeds(t: Trial) {
    for place in ["never", "org:never/used", "org:never/team:used/key"].map(path) {
        t.remove(&place).await;
        t.remove(&place).await;
    }
    let place = path("org:a/key");
    t.put(&place, &value(1)).await;
    for _ in 0..3 {
        t.remove(&place).await;
    }
    t.lacks(&place, "a repeated delete must change nothing").await;
    t.has_tree(None, None, &[], "a delete of an absent credential must create nothing").await;
}

pub(super) async fn delete_2_concurrent_deletes_all_succeed(t: Trial) {
    for round in 0..(t.effort.rounds / 10).max(2) {
        let place = path(&format!("org:a/key-{round}"));
        t.put(&place, &sized(1, 50)).await;
        let mut tasks = JoinSet::new();
        for _ in 0..6 {
            let (t, place) = (t.clone(), place.clone());
            tasks.spawn(async move { t.remove(&place).await });
        }
        all(tasks).await;
        t.lacks(&place, "a delete must return Ok if a concurrent delete was first").await;
    }
}

pub(super) async fn delete_3_other_credentials_remain(t: Trial) {
    let entries: Vec<_> =
        ["key", "org:a/key", "org:a/key-1", "org:a/key2", "org:a/ke", "org:a/team:x/key", "org:b/key"]
            .into_iter()
            .map(path)
            .zip((1..).map(value))
            .collect();
    t.put_all(entries.clone()).await;
    let (gone, kept): (Vec<_>, Vec<_>) =
        entries.into_iter().partition(|(place, _)| *place == path("org:a/key"));
    for (place, _) in &gone {
        t.remove(place).await;
        t.lacks(place, "delete must remove the credential").await;
    }
    t.all_hold(&kept, "delete exactly one credential: no prefix, no directory, no same id in another scope")
        .await;
}

pub(super) async fn exists_1_exists_is_true_after_a_store_and_false_otherwise(t: Trial) {
    let place = path("org:a/key");
    let advice = "ask the backend each time; an absent credential or scope is `Ok(false)`, not an error";
    t.lacks(&place, advice).await;
    for number in 0..3 {
        t.put(&place, &value(number)).await;
        let mut patience = t.patience_for_point();
        while !t.exists_now(&place).await {
            patience.or_fail("exists returns false after a store", advice).await;
        }
        t.remove(&place).await;
        t.lacks(&place, advice).await;
    }
}

pub(super) async fn exists_2_exists_changes_nothing_and_ignores_other_scopes(t: Trial) {
    let place = path("org:a/team:x/key");
    t.put_and_check(&place, &value(1)).await;
    for other in
        ["key", "org:a/key", "org:a/team:y/key", "org:a/team:xx/key", "org:a/team:x/role:r/key"].map(path)
    {
        if t.exists_now(&other).await {
            fail(
                &format!("exists of `{other}` is true, but only `{place}` is stored"),
                "look in exactly the scope of the context",
            );
        }
    }
    t.holds(&place, &value(1), "exists must change nothing").await;
    t.has_tree(None, None, &[place], "exists must create nothing").await;
}
