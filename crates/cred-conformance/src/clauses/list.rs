//! list-1 to list-4: lists and filters.

use std::collections::BTreeSet;
use std::sync::Arc;

use cred_core::{CredentialFilter, CredentialId, CredentialPath, Sealed, Timestamp};
use tokio::task::{JoinSet, yield_now};

use crate::rule::{expect_ok, fail};
use crate::trial::{Trial, all};
use crate::value::{EPOCH_MS, created_at, id, path, scope, tagged, value};
use crate::watch::Watch;

const COMPLETE: &str =
    "follow every page to the end, and fail if one cannot be read: never return a partial list";
const FILTER: &str = "filter by the stored metadata with `CredentialFilter::matches`; use the backend's own tags only to \
                      pre-select";

pub(super) async fn list_1_each_id_is_listed_once_and_only_in_its_own_scope(t: Trial) {
    let names = "key other org:a/key org:a/k-1 org:a/k_1 org:a/team:x/key org:ab/key org:b/key";
    let entries: Vec<_> = names.split_whitespace().map(path).zip((1..).map(value)).collect();
    for _ in 0..2 {
        // The second round replaces all: a credential that is stored twice is listed once.
        t.put_all(entries.clone()).await;
    }
    let advice = "list exactly the scope of the context, each id once";
    for (scope_text, ids) in [
        (None, &["key", "other"][..]),
        (Some("org:a"), &["key", "k-1", "k_1"]),
        (Some("org:a/team:x"), &["key"]),
        (Some("org:ab"), &["key"]),
        (Some("org:b"), &["key"]),
    ] {
        let ids: Vec<_> = ids.iter().map(|text| id(text)).collect();
        t.lists(scope_text.map(scope).as_ref(), None, &ids, advice).await;
    }
}

pub(super) async fn list_2_an_unused_scope_gives_an_empty_list(t: Trial) {
    let advice = "return an empty list for a scope that the backend does not know, not an error";
    let filter = CredentialFilter::new().with_tag("env", "prod");
    let scopes = [None, Some(scope("org:never")), Some(scope("org:never/team:used"))];
    for scope in &scopes {
        t.lists(scope.as_ref(), None, &[], advice).await;
        t.lists(scope.as_ref(), Some(&filter), &[], advice).await;
        t.has_tree(scope.as_ref(), None, &[], advice).await;
        t.has_tree(scope.as_ref(), Some(&filter), &[], advice).await;
    }
    t.put(&path("org:a/team:x/key"), &value(1)).await;
    t.lists(Some(&scope("org:a")), None, &[], "a scope that has only child scopes must list nothing").await;
    t.lists(Some(&scope("org:a/team:x/role:r")), None, &[], advice).await;
    t.remove(&path("org:a/team:x/key")).await;
    t.lists(
        Some(&scope("org:a/team:x")),
        None,
        &[],
        "a scope whose last credential was deleted must list nothing",
    )
    .await;
}

fn many(t: &Trial, name: &str) -> Vec<(CredentialPath, Sealed)> {
    let count = t.effort.list_entries;
    (0..count)
        .map(|n| {
            let parity = if n % 2 == 0 { "even" } else { "odd" };
            (path(&format!("org:many/{name}-{n}")), tagged(n as u64, &[("parity", parity)]))
        })
        .collect()
}

pub(super) async fn list_3_a_long_list_is_complete(t: Trial) {
    let entries = many(&t, "key");
    let ids: Vec<_> = entries.iter().map(|(path, _)| path.id.clone()).collect();
    let even: Vec<_> = ids.iter().step_by(2).cloned().collect();
    t.put_all(entries).await;
    let here = Some(scope("org:many"));
    t.lists(here.as_ref(), None, &ids, COMPLETE).await;
    let filter = CredentialFilter::new().with_tag("parity", "even");
    t.lists(here.as_ref(), Some(&filter), &even, &format!("{FILTER}; {COMPLETE}")).await;
}

pub(super) async fn list_3_a_list_is_complete_during_concurrent_writes(t: Trial) {
    let mut entries = many(&t, "stable");
    entries.truncate((t.effort.list_entries / 5).max(10));
    let stable: BTreeSet<CredentialId> = entries.iter().map(|(path, _)| path.id.clone()).collect();
    t.put_all(entries.clone()).await;
    let here = scope("org:many");
    t.lists(Some(&here), None, &stable.iter().cloned().collect::<Vec<_>>(), COMPLETE).await;

    let bound = t.patience_for_list();
    let watch = Arc::new(Watch::new((t.effort.rounds / 10).max(3)));
    let mut tasks = JoinSet::new();
    let (lister, watched) = (t.clone(), Arc::clone(&watch));
    tasks.spawn(async move {
        while watched.is_writing() {
            // Before the declared bound, even a credential that is not being written may not have
            // reached every replica.
            let strict = bound.has_passed();
            let advice =
                "leave out a credential that disappears between two steps of a list, and do not fail";
            let listed = lister.list(Some(&here), None).await;
            let listed = expect_ok(listed, "list-3: a list fails during concurrent writes", advice);
            check_list(&listed, &stable, strict);
            watched.count_read();
            yield_now().await;
        }
    });
    tasks.spawn(async move {
        for round in 0.. {
            if round >= t.effort.rounds && watch.is_enough() {
                break;
            }
            let target = path(&format!("org:many/churn-{}", round % 7));
            match round % 3 {
                2 => t.remove(&target).await,
                _ => t.put(&target, &value(round as u64)).await,
            }
            yield_now().await;
        }
        watch.end();
    });
    all(tasks).await;
}

/// Checks a list that was read during concurrent writes: no duplicates, no unknown ids, and (if
/// `strict`) all credentials that were not being written.
fn check_list(listed: &[CredentialId], stable: &BTreeSet<CredentialId>, strict: bool) {
    let unique: BTreeSet<_> = listed.iter().cloned().collect();
    if unique.len() != listed.len() {
        fail(
            "list-3: a list during concurrent writes contains an id twice",
            "remove duplicates across pages",
        );
    }
    if let Some(missing) = stable.difference(&unique).next().filter(|_| strict) {
        fail(
            &format!(
                "list-3: `{missing}`, which is not being written, is missing from a list during concurrent writes"
            ),
            "page by a stable key, not by an offset, and restart if the backend reports an expired page",
        );
    }
    if let Some(foreign) =
        unique.iter().find(|id| !stable.contains(*id) && !id.as_str().starts_with("churn-"))
    {
        fail(
            &format!("list-3: `{foreign}`, which was never stored, is in a list during concurrent writes"),
            "keep temporary names out of lists",
        );
    }
}

pub(super) async fn list_4_a_credential_must_match_all_tags_of_the_filter(t: Trial) {
    let stored: [(&str, &[(&str, &str)]); 6] = [
        ("both", &[("env", "prod"), ("team", "a")]),
        ("more", &[("env", "prod"), ("team", "a"), ("owner", "me")]),
        ("env-only", &[("env", "prod")]),
        ("team-only", &[("team", "a")]),
        ("other-env", &[("env", "test"), ("team", "a")]),
        ("none", &[]),
    ];
    let entry = |(name, tags): (&str, &[(&str, &str)])| (path(&format!("org:a/{name}")), tagged(1, tags));
    t.put_all(stored.map(entry).into()).await;
    let filter = CredentialFilter::new();
    for (filter, names) in [
        (filter.clone(), &["both", "more", "env-only", "team-only", "other-env", "none"][..]),
        (filter.clone().with_tag("env", "prod"), &["both", "more", "env-only"]),
        (filter.clone().with_tag("env", "prod").with_tag("team", "a"), &["both", "more"]),
        (filter.clone().with_tag("env", "prod").with_tag("team", "b"), &[]),
        (filter.clone().with_tag("owner", "me"), &["more"]),
        (filter.clone().with_tag("absent", ""), &[]),
    ] {
        is_listed(&t, &filter, names).await;
    }
}

pub(super) async fn list_4_tags_are_compared_exactly(t: Trial) {
    let stored: [(&str, &[(&str, &str)]); 7] = [
        ("exact", &[("env", "prod")]),
        ("upper", &[("env", "PROD")]),
        ("longer", &[("env", "prod-eu")]),
        ("empty", &[("env", "")]),
        ("key-case", &[("Env", "prod")]),
        ("swapped", &[("prod", "env")]),
        ("joined", &[("en", "vprod")]),
    ];
    let entry = |(name, tags): (&str, &[(&str, &str)])| (path(&format!("org:a/{name}")), tagged(1, tags));
    t.put_all(stored.map(entry).into()).await;
    for (key, wanted, names) in [
        ("env", "prod", &["exact"][..]),
        ("env", "PROD", &["upper"]),
        ("env", "pro", &[]),
        ("env", "", &["empty"]),
        ("Env", "prod", &["key-case"]),
        ("env", "*", &[]),
    ] {
        is_listed(&t, &CredentialFilter::new().with_tag(key, wanted), names).await;
    }
}

pub(super) async fn list_4_time_bounds_are_exclusive(t: Trial) {
    let entries = (9..=12).map(|ms| (path(&format!("org:a/at-{ms}")), created_at(ms, EPOCH_MS + ms)));
    t.put_all(entries.collect()).await;
    let at = |ms| Timestamp::from_unix_millis(EPOCH_MS + ms);
    let filter = CredentialFilter::new();
    for (filter, names) in [
        (filter.clone().with_created_after(at(10)), &["at-11", "at-12"][..]),
        (filter.clone().with_created_before(at(11)), &["at-9", "at-10"]),
        (filter.clone().with_created_after(at(9)).with_created_before(at(12)), &["at-10", "at-11"]),
        (filter.clone().with_created_after(at(10)).with_created_before(at(11)), &[]),
        (filter.clone().with_created_after(at(12)), &[]),
        (filter.clone().with_created_after(at(8)), &["at-9", "at-10", "at-11", "at-12"]),
        // The metadata's created_at counts, not the time at which the backend wrote the credential.
        (filter.clone().with_created_after(Timestamp::from_unix_millis(EPOCH_MS + 1_000)), &[]),
    ] {
        is_listed(&t, &filter, names).await;
    }
    let tagged_too = filter.with_tag("number", "11").with_created_after(at(9));
    is_listed(&t, &tagged_too, &["at-11"]).await;
}

pub(super) async fn list_4_a_filter_uses_the_latest_stored_metadata(t: Trial) {
    let target = path("org:a/key");
    let by = |env: &str| CredentialFilter::new().with_tag("env", env);
    t.put(&target, &tagged(1, &[("env", "test")])).await;
    is_listed(&t, &by("test"), &["key"]).await;
    t.put(&target, &tagged(2, &[("env", "prod")])).await;
    is_listed(&t, &by("test"), &[]).await;
    is_listed(&t, &by("prod"), &["key"]).await;
    t.put(&target, &tagged(3, &[])).await;
    is_listed(&t, &by("prod"), &[]).await;
    t.put(&target, &tagged(4, &[("env", "prod")])).await;
    t.remove(&target).await;
    is_listed(&t, &by("prod"), &[]).await;
}

async fn is_listed(t: &Trial, filter: &CredentialFilter, names: &[&str]) {
    let here = scope("org:a");
    let ids: Vec<_> = names.iter().map(|name| id(name)).collect();
    t.lists(Some(&here), Some(filter), &ids, FILTER).await;
}
