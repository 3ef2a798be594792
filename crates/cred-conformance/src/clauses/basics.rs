//! retrieve, exists and delete.

use tokio::task::JoinSet;

use cred_core::StorageErrorKind;

use crate::rule::fail;
use crate::trial::{Trial, all};
use crate::value::{path, scope, sized, value};

pub(super) async fn retrieve_1_an_absent_credential_is_reported_as_not_found(t: Trial) {
    for target in ["never", "org:never/used", "org:never/team:used/key"].map(path) {
        match t.retrieve(&target).await {
            Err(error) if *error.kind() == StorageErrorKind::NotFound => {}
            Err(error) => fail(
                &format!("a read of the absent `{target}` fails with another error than NotFound: {error}"),
                "return NotFound if the backend reports that the credential or one of its parents does not exist",
            ),
            Ok(_) => fail(&format!("a read of the absent `{target}` returns a value"), "return NotFound"),
        }
    }
    let target = path("org:a/key");
    t.put(&target, &value(1)).await;
    t.lacks(&path("org:a/other"), "return NotFound also if the scope has other credentials").await;
    t.remove(&target).await;
    t.lacks(&target, "return NotFound after a delete").await;
}

pub(super) async fn retrieve_2_a_read_returns_the_latest_value(t: Trial) {
    let target = path("org:a/key");
    for number in 0..20 {
        t.put(&target, &value(number)).await;
        t.holds(&target, &value(number), "read from the backend, or let a write replace the cached value")
            .await;
    }
    t.remove(&target).await;
    t.lacks(&target, "a delete must be visible to the next read").await;
}

pub(super) async fn retrieve_2_another_client_reads_the_latest_value(t: Trial) {
    let other = t.reopen().await;
    let target = path("org:a/key");
    let advice = "do not cache in the provider: another client of the same data may have written";
    for number in 0..10 {
        t.put(&target, &value(2 * number)).await;
        other.holds(&target, &value(2 * number), advice).await;
        other.put(&target, &value(2 * number + 1)).await;
        t.holds(&target, &value(2 * number + 1), advice).await;
        t.lists_only(&target, advice).await;
    }
    other.remove(&target).await;
    t.lacks(&target, advice).await;
    t.lists(target.scope.as_ref(), None, &[], advice).await;
}

pub(super) async fn retrieve_3_a_read_changes_nothing(t: Trial) {
    let (target, absent) = (path("org:a/key"), path("org:b/absent"));
    t.put_and_check(&target, &value(1)).await;
    let revision = match t.provider.compare_and_set() {
        Some(_) => t.retrieve_versioned(&target).await.ok().map(|found| found.revision),
        None => None,
    };
    for _ in 0..5 {
        t.holds(&target, &value(1), "a read must write nothing, not even an access time").await;
        t.lacks(&absent, "a read of an absent credential must create nothing").await;
        let _ = t.retrieve_many(absent.scope.as_ref(), std::slice::from_ref(&absent.id)).await;
    }
    if let Some(before) = revision {
        match t.retrieve_versioned(&target).await {
            Ok(found) if found.revision == before => {}
            _ => fail("a read changed the revision", "a read must write nothing, not even an access time"),
        }
    }
    t.has_tree(None, None, &[target], "a read of an absent credential must create nothing").await;
}

pub(super) async fn delete_1_a_deleted_credential_is_gone_from_reads_and_lists(t: Trial) {
    let (target, other) = (path("org:a/key"), path("org:a/other"));
    t.put(&target, &value(1)).await;
    t.put(&other, &value(2)).await;
    let here = Some(scope("org:a"));
    t.lists(here.as_ref(), None, &[target.id.clone(), other.id.clone()], "list all stored credentials").await;
    t.remove(&target).await;
    let advice =
        "a delete must hide the credential from reads and lists, even if the backend could recover it";
    t.lacks(&target, advice).await;
    t.lists(here.as_ref(), None, std::slice::from_ref(&other.id), advice).await;
    t.has_tree(None, None, std::slice::from_ref(&other), advice).await;
    let many = t.retrieve_many(here.as_ref(), &[target.id, other.id]).await;
    match many.as_slice() {
        [Err(error), Ok(_)] if error.is_not_found() => {}
        _ => fail("retrieve_many does not return NotFound for a deleted credential", advice),
    }
}

pub(super) async fn delete_2_deleting_an_absent_credential_succeeds(t: Trial) {
    for target in ["never", "org:never/used", "org:never/team:used/key"].map(path) {
        t.remove(&target).await;
        t.remove(&target).await;
    }
    let target = path("org:a/key");
    t.put(&target, &value(1)).await;
    for _ in 0..3 {
        t.remove(&target).await;
    }
    t.lacks(&target, "a repeated delete must change nothing").await;
    t.has_tree(None, None, &[], "a delete of an absent credential must create nothing").await;
}

pub(super) async fn delete_2_concurrent_deletes_all_succeed(t: Trial) {
    for round in 0..(t.effort.rounds / 10).max(2) {
        let target = path(&format!("org:a/key-{round}"));
        t.put(&target, &sized(1, 50)).await;
        let mut tasks = JoinSet::new();
        for _ in 0..6 {
            let (t, target) = (t.clone(), target.clone());
            tasks.spawn(async move { t.remove(&target).await });
        }
        all(tasks).await;
        t.lacks(&target, "a delete must return Ok if a concurrent delete was first").await;
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
        entries.into_iter().partition(|(target, _)| *target == path("org:a/key"));
    for (target, _) in &gone {
        t.remove(target).await;
        t.lacks(target, "delete must remove the credential").await;
    }
    t.all_hold(&kept, "delete exactly one credential: no prefix, no directory, no same id in another scope")
        .await;
}

pub(super) async fn exists_1_exists_is_true_after_a_store_and_false_otherwise(t: Trial) {
    let target = path("org:a/key");
    let advice = "ask the backend each time; an absent credential or scope is `Ok(false)`, not an error";
    t.lacks(&target, advice).await;
    for number in 0..3 {
        t.put(&target, &value(number)).await;
        let mut patience = t.patience_for_point();
        while !t.exists_now(&target).await {
            patience.or_fail("exists returns false after a store", advice).await;
        }
        t.remove(&target).await;
        t.lacks(&target, advice).await;
    }
}

pub(super) async fn exists_2_exists_changes_nothing_and_ignores_other_scopes(t: Trial) {
    let target = path("org:a/team:x/key");
    t.put_and_check(&target, &value(1)).await;
    for other in
        ["key", "org:a/key", "org:a/team:y/key", "org:a/team:xx/key", "org:a/team:x/role:r/key"].map(path)
    {
        if t.exists_now(&other).await {
            fail(
                &format!("exists of `{other}` is true, but only `{target}` is stored"),
                "look in exactly the scope of the context",
            );
        }
    }
    t.holds(&target, &value(1), "exists must change nothing").await;
    t.has_tree(None, None, &[target], "exists must create nothing").await;
}
