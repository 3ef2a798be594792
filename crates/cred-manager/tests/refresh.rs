//! Overlapping refreshes: the results, the cached values, and the number of calls.
#![cfg(test)]

mod doubles;

use std::sync::Arc;
use std::time::Duration;

use cred_core::{Consistency, Credential, CredentialContext, StorageProvider as _, field};
use cred_manager::CredentialManager;
use doubles::backend::Backend;
use doubles::{begun, id, keys};
use futures_util::future::join_all;
use tokio::time::{Instant, sleep};

const TTL: Duration = Duration::from_secs(3_600);
const SECOND: Duration = Duration::from_secs(1);

/// Two managers of one backend, with the same keys.
fn two(backend: &Arc<Backend>) -> (CredentialManager, CredentialManager) {
    let keys = keys();
    let manager =
        || CredentialManager::builder().storage(backend.clone()).keys(keys.clone()).cache_ttl(TTL).build();
    (manager(), manager())
}

/// A manager that has read `old`, while another manager has stored `new` since.
async fn outdated() -> (Arc<Backend>, CredentialManager) {
    let backend = Backend::new(Consistency::Strong);
    let (cached, other) = two(&backend);
    other.store(&id("a"), Credential::text("old")).await.unwrap();
    assert_eq!(read(&cached).await, "old");
    other.store(&id("a"), Credential::text("new")).await.unwrap();
    assert_eq!(read(&cached).await, "old", "it is cached");
    (backend, cached)
}

async fn read(manager: &CredentialManager) -> String {
    text(manager.retrieve(&id("a")).await.unwrap())
}

fn text(credential: Option<Credential>) -> String {
    credential.unwrap().expose_text(field::VALUE).unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_a_later_one_overlaps_is_cached() {
    let (backend, manager) = outdated().await;
    backend.behave(|behaviour| behaviour.read_takes = 2 * SECOND);
    let a = id("a");
    let first = begun(manager.refresh(&a));
    sleep(SECOND).await;
    let second = begun(manager.refresh(&a));
    assert_eq!(text(first.await.unwrap()), "new");
    assert_eq!(read(&manager).await, "new", "the result of the first was dropped");
    drop(second);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_fails_does_not_undo_the_one_before_it() {
    let (backend, manager) = outdated().await;
    backend.behave(|behaviour| behaviour.read_takes = 2 * SECOND);
    let a = id("a");
    let first = begun(manager.refresh(&a));
    sleep(SECOND).await;
    let second = begun(manager.refresh(&a));
    // A read decides at its start whether it fails.
    backend.behave(|behaviour| behaviour.reads_fail = true);
    first.await.unwrap();
    second.await.unwrap_err();
    assert_eq!(read(&manager).await, "new");
}

/// Three workers refresh on each refusal of a value, one request per 10 ms each.
#[tokio::test(start_paused = true)]
async fn a_storm_of_refreshes_ends_with_the_first_load() {
    let (backend, manager) = outdated().await;
    backend.behave(|behaviour| behaviour.read_takes = Duration::from_millis(25));
    let (before, started) = (backend.reads(), Instant::now());
    let worker = |number: u64| {
        let manager = &manager;
        async move {
            let mut refused = 0;
            sleep(Duration::from_millis(3 * number)).await;
            while started.elapsed() < 60 * SECOND {
                sleep(Duration::from_millis(10)).await;
                if read(manager).await == "old" {
                    refused += 1;
                    // A worker does not wait for its refresh before it serves the next request.
                    let manager = manager.clone();
                    tokio::spawn(async move { manager.refresh(&id("a")).await });
                }
            }
            refused
        }
    };
    let refused: usize = join_all((0..3).map(worker)).await.into_iter().sum();
    let calls = backend.reads() - before;
    assert!(refused <= 9 && calls <= 2, "{refused} requests were refused, {calls} calls were made");
}

#[tokio::test(start_paused = true)]
async fn refreshes_are_one_running_and_one_pending() {
    let (backend, manager) = outdated().await;
    backend.behave(|behaviour| behaviour.read_takes = SECOND);
    let a = id("a");
    let before = backend.reads();
    let running = begun(manager.refresh(&a));
    sleep(SECOND / 2).await;
    let pending: Vec<_> = (0..100).map(|_| begun(manager.refresh(&a))).collect();
    assert_eq!(backend.reads(), before + 1, "a second one runs beside the first");
    running.await.unwrap();
    assert!(join_all(pending).await.into_iter().all(|answer| text(answer.unwrap()) == "new"));
    assert_eq!(backend.reads(), before + 2, "the pending ones were not one call");
}

/// A refresh returns the value stored at its start or a later one, never that of an earlier load.
#[tokio::test(start_paused = true)]
async fn a_refresh_never_returns_the_result_of_an_earlier_load() {
    let (backend, manager) = outdated().await;
    backend.behave(|behaviour| behaviour.read_takes = 2 * SECOND);
    let a = id("a");
    let earlier = begun(manager.refresh(&a));
    sleep(SECOND).await;
    let ctx = CredentialContext::unscoped();
    backend.delete(&a, &ctx).await.unwrap();
    assert!(manager.refresh(&a).await.unwrap().is_none(), "it shared a load from before");
    assert_eq!(text(earlier.await.unwrap()), "new");
    assert!(manager.retrieve(&a).await.unwrap().is_none(), "the earlier result replaced the later one");
}

/// A no-cache window keeps the result of a refresh out of the cache, and the older value as well.
#[tokio::test(start_paused = true)]
async fn a_refresh_in_a_window_removes_the_older_value() {
    let lag = 300 * SECOND;
    let backend = Backend::new(Consistency::Eventual { point: lag, list: lag });
    let (cached, other) = two(&backend);
    cached.store(&id("a"), Credential::text("mine")).await.unwrap();
    assert_eq!(read(&cached).await, "mine");
    other.store(&id("a"), Credential::text("theirs")).await.unwrap();
    assert_eq!(read(&cached).await, "mine", "it is cached");
    assert_eq!(text(cached.refresh(&id("a")).await.unwrap()), "theirs");
    assert_eq!(read(&cached).await, "theirs", "the refused value is back");
}

/// The load that a refresh waits for runs on a runtime that is not driven any more.
#[test]
fn a_refresh_does_not_wait_forever_for_an_earlier_load() {
    use futures_util::FutureExt as _;
    let backend = Backend::new(Consistency::Strong);
    let manager = CredentialManager::builder().storage(backend.clone()).keys(keys()).cache_ttl(TTL).build();
    let stopped = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    stopped.block_on(async {
        backend.behave(|behaviour| behaviour.read_takes = SECOND);
        assert!(manager.refresh(&id("a")).now_or_never().is_none());
    });
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let started = Instant::now();
        assert!(manager.refresh(&id("a")).await.unwrap().is_none());
        let waited = started.elapsed();
        assert!(waited < 30 * SECOND, "after {waited:?}");
    });
}
