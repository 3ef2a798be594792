//! soft-1 to soft-5.

use cred_core::{CredentialFilter, CredentialPath};

use super::error::expect_error;
use crate::rule::{expect_ok, fail};
use crate::trial::Trial;
use crate::value::{id, path, scope, value};

async fn recover(t: &Trial, target: &CredentialPath) {
    let problem = format!("soft-1: `{target}` was deleted and cannot be recovered");
    expect_ok(t.recover(target).await, problem, "keep a deleted credential until it is purged");
}

async fn purge(t: &Trial, target: &CredentialPath) {
    let advice = "make purge idempotent, and run the suite on a backend that permits it";
    expect_ok(t.purge(target).await, format_args!("soft-3: `{target}` cannot be purged"), advice);
}

async fn store_and_delete(t: &Trial, target: &CredentialPath, number: u64) {
    t.put_and_check(target, &value(number)).await;
    t.remove(target).await;
    t.lacks(target, "a soft delete must hide the credential").await;
}

async fn cannot_be_recovered(t: &Trial, target: &CredentialPath, why: &str) {
    let error = expect_error(t.recover(target).await, &format!("a recovery of {why}"));
    if !error.is_not_found() {
        fail(
            &format!("soft-2: a recovery of {why} fails with another error than NotFound: {error}"),
            "return NotFound",
        );
    }
}

pub(super) async fn soft_1_a_recovered_credential_is_unchanged(t: Trial) {
    for (target, number) in ["key", "org:a/key", "org:a/team:x/K_-"].map(path).iter().zip(1..) {
        t.put(target, &value(90 + number)).await;
        store_and_delete(&t, target, number).await;
        recover(&t, target).await;
        let advice =
            "restore the data and metadata of the credential that was deleted last, for reads and lists";
        t.holds(target, &value(number), advice).await;
        if !t.exists_now(target).await {
            fail("soft-1: exists returns false for a recovered credential", advice);
        }
        t.lists_only(target, advice).await;
        let filter = CredentialFilter::new().with_tag("number", number.to_string());
        t.lists(target.scope.as_ref(), Some(&filter), std::slice::from_ref(&target.id), advice).await;
        t.lists_deleted(target.scope.as_ref(), &[], "a recovered credential is not deleted").await;
        t.remove(target).await;
        t.lacks(target, "a recovered credential can be deleted again").await;
    }
}

pub(super) async fn soft_2_only_a_deleted_credential_can_be_recovered(t: Trial) {
    let (live, never) = (path("org:a/live"), path("org:a/never"));
    t.put_and_check(&live, &value(1)).await;
    cannot_be_recovered(&t, &live, "a live credential").await;
    cannot_be_recovered(&t, &never, "a credential that was never stored").await;
    cannot_be_recovered(&t, &path("org:never/used"), "a credential in an unused scope").await;
    t.holds(&live, &value(1), "a refused recovery must change nothing").await;
    t.lacks(&never, "a refused recovery must change nothing").await;

    store_and_delete(&t, &live, 2).await;
    recover(&t, &live).await;
    cannot_be_recovered(&t, &live, "a credential that was already recovered").await;
    t.holds(&live, &value(2), "a refused recovery must change nothing").await;
}

pub(super) async fn soft_3_a_purged_credential_is_permanently_gone(t: Trial) {
    let target = path("org:a/key");
    store_and_delete(&t, &target, 1).await;
    t.lists_deleted(target.scope.as_ref(), std::slice::from_ref(&target.id), "list recoverable credentials")
        .await;
    purge(&t, &target).await;
    t.lists_deleted(target.scope.as_ref(), &[], "purge must remove the credential permanently").await;
    cannot_be_recovered(&t, &target, "a purged credential").await;
    t.lacks(&target, "purge must remove the credential permanently").await;
    t.put(&target, &value(2)).await;
    t.holds(&target, &value(2), "a purged name can be stored again").await;
}

pub(super) async fn soft_4_a_purge_is_idempotent_and_keeps_live_credentials(t: Trial) {
    let (live, gone) = (path("org:a/live"), path("org:a/gone"));
    t.put_and_check(&live, &value(1)).await;
    // Both Ok and an error are allowed, as long as the credential remains.
    let _ = t.purge(&live).await;
    t.wait_until_visible().await;
    t.holds(&live, &value(1), "purge only deleted credentials").await;

    store_and_delete(&t, &gone, 2).await;
    for _ in 0..3 {
        purge(&t, &gone).await;
    }
    purge(&t, &path("org:never/used")).await;

    // Deleted and stored again: a purge of the old value must not remove the new one.
    store_and_delete(&t, &gone, 3).await;
    t.put(&gone, &value(4)).await;
    t.holds(&gone, &value(4), "a store after a delete works").await;
    let _ = t.purge(&gone).await;
    t.wait_until_visible().await;
    t.holds(&gone, &value(4), "purge only deleted credentials").await;
    t.holds(&live, &value(1), "purge exactly one credential").await;
}

pub(super) async fn soft_5_deleted_credentials_are_listed_once_and_completely(t: Trial) {
    let here = scope("org:many");
    let count = (t.effort.list_entries / 5).max(10);
    let targets: Vec<_> = (0..count).map(|n| path(&format!("org:many/key-{n}"))).collect();
    t.put_all(targets.iter().cloned().zip((0..).map(value)).collect()).await;
    let ids: Vec<_> = targets.iter().map(|target| target.id.clone()).collect();
    t.lists(Some(&here), None, &ids, "list all stored credentials").await;
    t.lists_deleted(Some(&here), &[], "a stored credential is not deleted").await;
    for target in &targets {
        t.remove(target).await;
    }
    let advice = "list every deleted id of exactly this scope, once, to the last page";
    t.lists_deleted(Some(&here), &ids, advice).await;
    t.lists_deleted(None, &[], advice).await;
    t.lists_deleted(Some(&scope("org:never")), &[], "return an empty list for an unused scope").await;

    // An id that was deleted twice is listed once, and an id that is stored again is not listed.
    for target in targets.iter().take(4) {
        t.put(target, &value(1)).await;
    }
    for target in targets.iter().take(2) {
        t.remove(target).await;
    }
    let expected: Vec<_> =
        ids.iter().enumerate().filter(|(n, _)| !(2..4).contains(n)).map(|(_, id)| id.clone()).collect();
    t.lists_deleted(Some(&here), &expected, "a credential that was stored again is not deleted").await;
}

pub(super) async fn soft_5_deleted_credentials_outlive_the_client(t: Trial) {
    let target = path("org:a/key");
    store_and_delete(&t, &target, 1).await;
    t.shutdown().await;
    let later = t.reopen().await;
    drop(t);
    let advice = "keep deleted credentials in the backend";
    later.lists_deleted(target.scope.as_ref(), std::slice::from_ref(&target.id), advice).await;
    recover(&later, &target).await;
    later.holds(&target, &value(1), advice).await;
}

pub(super) async fn scope_2_recovery_and_purge_affect_no_other_scope(t: Trial) {
    let targets = ["key", "org:a/key", "org:a/team:x/key", "org:ab/key"].map(path);
    for (target, number) in targets.iter().zip(1..) {
        store_and_delete(&t, target, number).await;
    }
    let advice = "recover, purge and list in exactly the scope of the context";
    let [root, a, below, beside] = &targets;
    for target in &targets {
        t.lists_deleted(target.scope.as_ref(), &[id("key")], advice).await;
    }
    recover(&t, a).await;
    t.holds(a, &value(2), advice).await;
    for target in [root, below, beside] {
        t.lacks(target, advice).await;
    }
    purge(&t, root).await;
    cannot_be_recovered(&t, root, "a purged credential").await;
    t.holds(a, &value(2), advice).await;
    recover(&t, below).await;
    t.holds(below, &value(3), advice).await;
    recover(&t, beside).await;
    t.holds(beside, &value(4), advice).await;
}

pub(super) async fn store_4_a_store_after_a_soft_delete_hides_the_old_value_permanently(t: Trial) {
    let target = path("org:a/key");
    store_and_delete(&t, &target, 1).await;
    t.put(&target, &value(2)).await;
    t.holds(&target, &value(2), "a store over a soft-deleted credential must write the new value").await;
    t.lists_deleted(target.scope.as_ref(), &[], "a credential that was stored again is not deleted").await;
    cannot_be_recovered(&t, &target, "a credential that was stored again").await;
    t.holds(&target, &value(2), "a refused recovery must change nothing").await;
    t.remove(&target).await;
    t.lacks(&target, "delete must remove the credential").await;
    recover(&t, &target).await;
    t.holds(&target, &value(2), "recover the value that was deleted last").await;
}
