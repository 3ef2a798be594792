//! soft-1 to soft-5.

use cred_core::{CredentialFilter, CredentialPath};

use super::error::refused;
use crate::rule::{fail, good};
use crate::trial::Trial;
use crate::value::{id, path, scope, value};

async fn restore(t: &Trial, place: &CredentialPath) {
    let what = format!("soft-1: `{place}` was deleted and cannot be recovered");
    good(t.recover(place).await, what, "keep it until it is purged");
}

async fn erase(t: &Trial, place: &CredentialPath) {
    let advice = "purge is idempotent; run the kit where the backend allows it";
    good(t.purge(place).await, format_args!("soft-3: `{place}` cannot be purged"), advice);
}

async fn deleted(t: &Trial, place: &CredentialPath, number: u64) {
    t.keeps(place, &value(number)).await;
    t.remove(place).await;
    t.lacks(place, "a soft delete hides the credential").await;
}

async fn cannot_be_recovered(t: &Trial, place: &CredentialPath, why: &str) {
    let error = refused(t.recover(place).await, &format!("a recovery of {why}"));
    if !error.is_not_found() {
        fail(&format!("soft-2: a recovery of {why} is told as something else: {error}"), "answer NotFound");
    }
}

pub(super) async fn soft_1_a_recovered_credential_is_as_it_was(t: Trial) {
    for (place, number) in ["key", "org:a/key", "org:a/team:x/K_-"].map(path).iter().zip(1..) {
        t.put(place, &value(90 + number)).await;
        deleted(&t, place, number).await;
        restore(&t, place).await;
        let advice =
            "a recovered credential is the one that was deleted last, data and metadata, for reads and lists";
        t.holds(place, &value(number), advice).await;
        if !t.is_there(place).await {
            fail("soft-1: exists says false of what was recovered", advice);
        }
        t.lists_only(place, advice).await;
        let filter = CredentialFilter::new().with_tag("number", number.to_string());
        t.lists(place.scope.as_ref(), Some(&filter), std::slice::from_ref(&place.id), advice).await;
        t.lists_deleted(place.scope.as_ref(), &[], "what was recovered is not deleted").await;
        t.remove(place).await;
        t.lacks(place, "what was recovered can be deleted again").await;
    }
}

pub(super) async fn soft_2_what_is_not_deleted_cannot_be_recovered(t: Trial) {
    let (live, never) = (path("org:a/live"), path("org:a/never"));
    t.keeps(&live, &value(1)).await;
    cannot_be_recovered(&t, &live, "what is not deleted").await;
    cannot_be_recovered(&t, &never, "what never was").await;
    cannot_be_recovered(&t, &path("org:never/used"), "what never was").await;
    t.holds(&live, &value(1), "a refused recovery changes nothing").await;
    t.lacks(&never, "a refused recovery changes nothing").await;

    deleted(&t, &live, 2).await;
    restore(&t, &live).await;
    cannot_be_recovered(&t, &live, "what was recovered already").await;
    t.holds(&live, &value(2), "a refused recovery changes nothing").await;
}

pub(super) async fn soft_3_what_was_purged_is_gone_for_good(t: Trial) {
    let place = path("org:a/key");
    deleted(&t, &place, 1).await;
    t.lists_deleted(place.scope.as_ref(), std::slice::from_ref(&place.id), "list what can be recovered")
        .await;
    erase(&t, &place).await;
    t.lists_deleted(place.scope.as_ref(), &[], "purge removes for good").await;
    cannot_be_recovered(&t, &place, "what was purged").await;
    t.lacks(&place, "purge removes for good").await;
    t.put(&place, &value(2)).await;
    t.holds(&place, &value(2), "a purged name can be stored again").await;
}

pub(super) async fn soft_4_a_purge_is_idempotent_and_spares_what_is_not_deleted(t: Trial) {
    let (live, gone) = (path("org:a/live"), path("org:a/gone"));
    t.keeps(&live, &value(1)).await;
    // Ok or a refusal: what matters is that the credential remains.
    let _ = t.purge(&live).await;
    t.settle().await;
    t.holds(&live, &value(1), "purge only what is deleted").await;

    deleted(&t, &gone, 2).await;
    for _ in 0..3 {
        erase(&t, &gone).await;
    }
    erase(&t, &path("org:never/used")).await;

    // Deleted, stored again: a purge of the old one must not reach the new one.
    deleted(&t, &gone, 3).await;
    t.put(&gone, &value(4)).await;
    t.holds(&gone, &value(4), "a store after a delete works").await;
    let _ = t.purge(&gone).await;
    t.settle().await;
    t.holds(&gone, &value(4), "purge only what is deleted").await;
    t.holds(&live, &value(1), "purge exactly one credential").await;
}

pub(super) async fn soft_5_the_deleted_are_listed_once_and_completely(t: Trial) {
    let here = scope("org:many");
    let count = (t.effort.list_entries / 5).max(10);
    let places: Vec<_> = (0..count).map(|n| path(&format!("org:many/key-{n}"))).collect();
    t.put_all(places.iter().cloned().zip((0..).map(value)).collect()).await;
    let ids: Vec<_> = places.iter().map(|place| place.id.clone()).collect();
    t.lists(Some(&here), None, &ids, "list what is stored").await;
    t.lists_deleted(Some(&here), &[], "what is stored is not deleted").await;
    for place in &places {
        t.remove(place).await;
    }
    let advice = "list every deleted id of exactly this scope, once, to the last page";
    t.lists_deleted(Some(&here), &ids, advice).await;
    t.lists_deleted(None, &[], advice).await;
    t.lists_deleted(Some(&scope("org:never")), &[], "a scope never used is an empty list").await;

    // Two generations of one id are one id, and what is stored again is none.
    for place in places.iter().take(4) {
        t.put(place, &value(1)).await;
    }
    for place in places.iter().take(2) {
        t.remove(place).await;
    }
    let expected: Vec<_> =
        ids.iter().enumerate().filter(|(n, _)| !(2..4).contains(n)).map(|(_, id)| id.clone()).collect();
    t.lists_deleted(Some(&here), &expected, "what is stored again is not deleted").await;
}

pub(super) async fn soft_5_what_was_deleted_outlives_the_client(t: Trial) {
    let place = path("org:a/key");
    deleted(&t, &place, 1).await;
    t.shutdown().await;
    let later = t.reopen().await;
    drop(t);
    let advice = "keep deleted credentials in the backend";
    later.lists_deleted(place.scope.as_ref(), std::slice::from_ref(&place.id), advice).await;
    restore(&later, &place).await;
    later.holds(&place, &value(1), advice).await;
}

pub(super) async fn scope_2_recovery_and_purge_reach_no_other_scope(t: Trial) {
    let places = ["key", "org:a/key", "org:a/team:x/key", "org:ab/key"].map(path);
    for (place, number) in places.iter().zip(1..) {
        deleted(&t, place, number).await;
    }
    let advice = "recover, purge and list in exactly the scope of the context";
    let [root, a, below, beside] = &places;
    for place in &places {
        t.lists_deleted(place.scope.as_ref(), &[id("key")], advice).await;
    }
    restore(&t, a).await;
    t.holds(a, &value(2), advice).await;
    for place in [root, below, beside] {
        t.lacks(place, advice).await;
    }
    erase(&t, root).await;
    cannot_be_recovered(&t, root, "what was purged").await;
    t.holds(a, &value(2), advice).await;
    restore(&t, below).await;
    t.holds(below, &value(3), advice).await;
    restore(&t, beside).await;
    t.holds(beside, &value(4), advice).await;
}

pub(super) async fn store_4_a_store_over_a_deleted_name_hides_the_old_value_for_good(t: Trial) {
    let place = path("org:a/key");
    deleted(&t, &place, 1).await;
    t.put(&place, &value(2)).await;
    t.holds(&place, &value(2), "a store over a soft-deleted name writes the new value").await;
    t.lists_deleted(place.scope.as_ref(), &[], "what is stored again is not deleted").await;
    cannot_be_recovered(&t, &place, "what is stored again").await;
    t.holds(&place, &value(2), "a refused recovery changes nothing").await;
    t.remove(&place).await;
    t.lacks(&place, "delete removes").await;
    restore(&t, &place).await;
    t.holds(&place, &value(2), "recover what was deleted last").await;
}
