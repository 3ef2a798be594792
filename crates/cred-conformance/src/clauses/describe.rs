//! The description, abilities, metrics and shutdown of a provider.

use std::sync::atomic::Ordering;
use std::time::Duration;

use cred_core::{CredentialFilter, StorageError, StorageErrorKind, StorageMetrics, Tags, Versioned};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::Offers;
use crate::rule::fail;
use crate::trial::{Trial, all};
use crate::value::{id, path, value};

pub(super) async fn offers_match_the_provider_and_the_harness(t: Trial) {
    let limits = t.description.limits;
    let below = |declared: Option<usize>, most: usize| declared.is_some_and(|declared| declared < most);
    let target = path("org:a/key");
    t.put(&target, &value(1)).await;
    let actual = Offers {
        compare_and_set: t.provider.compare_and_set().is_some(),
        soft_delete: t.provider.soft_delete().is_some(),
        metrics: t.provider.metrics().is_some(),
        payload_limit: limits.max_payload_len.is_some(),
        tag_limits: below(limits.max_tags, Tags::MAX_COUNT)
            || below(limits.max_tag_key_len, Tags::MAX_KEY_LEN)
            || below(limits.max_tag_value_len, Tags::MAX_VALUE_LEN),
        reopen: t.harness.reopen().await.is_some(),
        raw_edit: t.harness.edit_raw(&target, &|bytes| bytes).await,
        outage: t.harness.outage(false).await,
        stall: t.harness.stall(false).await,
        backend_secrets: !t.harness.backend_secrets().is_empty(),
    };
    let differing =
        t.declared.words().zip(actual.words()).filter(|((_, declared), (_, offered))| declared != offered);
    let problems: Vec<_> = differing
        .map(|((word, declared), _)| match declared {
            true => format!("`{word}` is declared, but neither the provider nor its harness supports it"),
            false => format!("`{word}` is supported, but not declared, so its clauses are ignored"),
        })
        .collect();
    if !problems.is_empty() {
        let supported: Vec<_> =
            actual.words().filter_map(|(word, offered)| offered.then_some(word)).collect();
        fail(
            &format!("offers: {}", problems.join("; ")),
            &format!(
                "declare what is supported, `offers: [{}]`, or implement more in the provider or the harness",
                supported.join(", ")
            ),
        );
    }
    t.holds(&target, &value(1), "`Harness::edit_raw` must write exactly the result of the edit").await;
}

pub(super) async fn describe_2_the_description_never_changes(t: Trial) {
    let same = |when: &str| {
        if *t.provider.describe() != t.description {
            fail(
                &format!("describe-2: the description has changed {when}"),
                "build it once in the constructor and return that one",
            );
        }
    };
    if t.description.name.is_empty() || t.description.operation_timeout.is_zero() {
        fail(
            "describe-2: the description has no name, or a zero `operation_timeout`",
            "name the backend, and set `operation_timeout` to the longest time that one operation takes",
        );
    }
    same("between two calls");
    t.put(&path("org:a/key"), &value(1)).await;
    let _ = t.retrieve(&path("org:a/absent")).await;
    let _ = t.list_tree(None, None).await;
    same("after use");
    t.shutdown().await;
    same("after shutdown");
}

pub(super) async fn describe_3_every_operation_ends_within_the_operation_timeout(t: Trial) {
    // First alone, then concurrently: time in a queue for one connection or lock counts as well.
    one_of_each(&t, 0).await;
    let mut tasks = JoinSet::new();
    for number in 0..16 {
        let t = t.clone();
        tasks.spawn(async move { one_of_each(&t, number).await });
    }
    all(tasks).await;
}

/// Calls every operation once. `Trial` gives each call its deadline.
async fn one_of_each(t: &Trial, number: u64) {
    let target = path(&format!("org:a/key-{number}"));
    let here = target.scope.as_ref();
    let filter = CredentialFilter::new().with_tag("number", "1");
    t.put(&target, &value(number)).await;
    let _ = t.retrieve(&target).await;
    let _ = t.exists(&target).await;
    let _ = t.list(here, None).await;
    let _ = t.list(here, Some(&filter)).await;
    let _ = t.list_tree(None, None).await;
    let _ = t.retrieve_many(here, &[target.id.clone(), id("absent")]).await;
    if t.provider.compare_and_set().is_some() {
        let _ = t.retrieve_versioned(&target).await;
        let _ = t.store_if(&target, &value(number), None).await;
    }
    let _ = t.delete(&target).await;
    if t.provider.soft_delete().is_some() {
        let _ = t.list_deleted(here).await;
        let _ = t.recover(&target).await;
        let _ = t.purge(&path("org:a/absent")).await;
    }
}

pub(super) async fn ability_1_the_set_of_abilities_never_changes(t: Trial) {
    let now = || (t.provider.compare_and_set().is_some(), t.provider.soft_delete().is_some());
    let first = now();
    let same = |when: &str| {
        if now() != first {
            fail(
                &format!("ability-1: an ability appeared or disappeared {when}"),
                "decide in the constructor which abilities the provider has",
            );
        }
    };
    for number in 0..3 {
        t.put(&path("org:a/key"), &value(number)).await;
        let _ = t.retrieve(&path("org:a/absent")).await;
        same("after use");
    }
    let _ = t.list_tree(None, None).await;
    t.remove(&path("org:a/key")).await;
    same("after use");
    t.shutdown().await;
    same("after shutdown");
}

pub(super) async fn shutdown_1_shutdown_can_be_called_twice(t: Trial) {
    t.put(&path("org:a/key"), &value(1)).await;
    t.shutdown().await;
    t.shutdown().await;
    let mut tasks = JoinSet::new();
    for _ in 0..4 {
        let t = t.clone();
        tasks.spawn(async move { t.shutdown().await });
    }
    all(tasks).await;
}

pub(super) async fn shutdown_3_every_operation_after_shutdown_is_refused(t: Trial) {
    let target = path("org:a/key");
    t.put(&target, &value(1)).await;
    t.shutdown().await;
    let ids = std::slice::from_ref(&target.id);
    let here = target.scope.as_ref();
    expect_shut_down("retrieve", t.retrieve(&target).await);
    expect_shut_down("exists", t.exists(&target).await);
    expect_shut_down("list", t.list(here, None).await);
    expect_shut_down("list_tree", t.list_tree(here, None).await);
    for answer in t.retrieve_many(here, ids).await {
        expect_shut_down("retrieve_many", answer);
    }
    expect_shut_down("store", t.store(&target, &value(2)).await);
    expect_shut_down("delete", t.delete(&target).await);
    if t.declared.compare_and_set {
        expect_shut_down("retrieve_versioned", t.retrieve_versioned(&target).await);
        expect_shut_down("store_if", t.store_if(&target, &value(3), None).await);
    }
    if t.declared.soft_delete {
        expect_shut_down("recover", t.recover(&target).await);
        expect_shut_down("purge", t.purge(&target).await);
        expect_shut_down("list_deleted", t.list_deleted(here).await);
    }
}

fn expect_shut_down<T>(operation: &str, answer: Result<T, StorageError>) {
    let advice = "return `StorageErrorKind::ShutDown` before sending anything";
    match answer {
        Err(error) if *error.kind() == StorageErrorKind::ShutDown => {}
        Err(error) => {
            fail(&format!("after a shutdown {operation} fails with another error: {error}"), advice)
        }
        Ok(_) => fail(&format!("after a shutdown {operation} still succeeds"), advice),
    }
}

pub(super) async fn shutdown_2_dropping_the_provider_leaks_no_task(t: Trial) {
    t.put(&path("org:a/key"), &value(1)).await;
    let _ = t.list_tree(None, None).await;
    let before = t.tasks_before_open;
    drop(t);
    let deadline = Instant::now() + Duration::from_secs(5);
    while alive_tasks() > before {
        if Instant::now() >= deadline {
            fail(
                &format!(
                    "shutdown-2: {} tasks still run after the provider was dropped",
                    alive_tasks().saturating_sub(before)
                ),
                "stop background tasks on drop, for instance by an abort handle in a guard; a harness must not keep \
                 the provider that it opened",
            );
        }
        sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) fn alive_tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

pub(super) async fn metrics_every_operation_is_counted_once(t: Trial) {
    let Some(metrics) = t.provider.metrics() else {
        fail("offers: `metrics` is declared, but the provider has none", "remove it from `offers`");
    };
    let before = counts(&metrics);
    let target = path("org:a/key");
    let here = target.scope.as_ref();
    for number in 0..3 {
        t.put(&target, &value(number)).await;
    }
    let _ = t.retrieve(&target).await;
    let _ = t.retrieve(&path("org:a/absent")).await;
    let _ = t.retrieve_many(here, &["key", "absent", "key"].map(id)).await;
    let _ = t.exists(&target).await;
    let _ = t.exists(&path("org:a/absent")).await;
    let _ = t.list(here, None).await;
    let _ = t.list_tree(None, None).await;
    let (mut stores, mut retrieves, mut lists) = (3, 5, 2);
    if t.provider.compare_and_set().is_some() {
        if let Ok(Versioned { revision, .. }) = t.retrieve_versioned(&target).await {
            let _ = t.store_if(&target, &value(9), Some(&revision)).await;
            stores += 1;
        }
        retrieves += 1;
    }
    t.remove(&target).await;
    if t.provider.soft_delete().is_some() {
        let _ = t.list_deleted(here).await;
        let _ = t.recover(&target).await;
        lists += 1;
    }
    let wanted = [stores, retrieves, 1, lists, 2, 0];
    let found: Vec<_> = counts(&metrics).iter().zip(before).map(|(after, before)| after - before).collect();
    if found != wanted {
        fail(
            &format!(
                "[stores, retrieves, deletes, lists, exists, errors] are {found:?} and should be {wanted:?}"
            ),
            "call `record_operation` once for each operation with `Operation::as_str`, list_tree and list_deleted \
             included, retrieve_many once for each id; do not count NotFound as an error",
        );
    }
}

fn counts(metrics: &StorageMetrics) -> [u64; 6] {
    [
        &metrics.store_count,
        &metrics.retrieve_count,
        &metrics.delete_count,
        &metrics.list_count,
        &metrics.exists_count,
        &metrics.error_count,
    ]
    .map(|count| count.load(Ordering::Relaxed))
}
