//! The guarantee of the cache, rule by rule, in virtual time.
#![cfg(test)]

mod doubles;

use std::sync::Arc;
use std::time::Duration;

use cred_core::{Consistency, CreatedBy, Credential, Timestamp, field};
use cred_manager::{CredentialManager, ManagerError};
use doubles::backend::Backend;
use doubles::{begun, id, keys, memory};
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use tokio::time::sleep;

const TTL: Duration = Duration::from_secs(60);
/// Each value's TTL is shortened by a random part, up to a tenth.
const SHORTEST_TTL: Duration = Duration::from_secs(54);
const SECOND: Duration = Duration::from_secs(1);

fn cached(backend: &Arc<Backend>) -> CredentialManager {
    CredentialManager::builder().storage(backend.clone()).keys(keys()).cache_ttl(TTL).build()
}

fn strong() -> (Arc<Backend>, CredentialManager) {
    let backend = Backend::new(Consistency::Strong);
    let manager = cached(&backend);
    (backend, manager)
}

/// As [`strong`], with this value stored.
async fn storing(value: &str) -> (Arc<Backend>, CredentialManager) {
    let (backend, manager) = strong();
    store(&manager, value).await;
    (backend, manager)
}

async fn store(manager: &CredentialManager, value: &str) {
    manager.store(&id("a"), Credential::text(value)).await.unwrap();
}

fn text(credential: Option<Credential>) -> Option<String> {
    credential.map(|credential| credential.expose_text(field::VALUE).unwrap().to_owned())
}

async fn read(manager: &CredentialManager) -> Option<String> {
    text(manager.retrieve(&id("a")).await.unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_value_is_loaded_once_and_cached_for_its_ttl() {
    let (backend, manager) = storing("1").await;
    for _ in 0..5 {
        assert_eq!(read(&manager).await.as_deref(), Some("1"));
    }
    assert_eq!(backend.reads(), 1);
    sleep(SHORTEST_TTL - SECOND).await;
    read(&manager).await;
    assert_eq!(backend.reads(), 1);
    sleep(TTL - SHORTEST_TTL + SECOND).await;
    read(&manager).await;
    assert_eq!(backend.reads(), 2, "kept beyond its time");
}

#[tokio::test(start_paused = true)]
async fn a_store_over_a_cached_credential_keeps_its_creator() {
    let (storage, keys) = (memory(), keys());
    let named = |name: &'static str| {
        let builder = CredentialManager::builder().storage(storage.clone()).keys(keys.clone()).cache_ttl(TTL);
        builder.created_by(CreatedBy::from_static(name)).build()
    };
    named("payments").store(&id("a"), Credential::text("1")).await.unwrap();
    let billing = named("billing");
    for value in ["2", "3"] {
        billing.retrieve(&id("a")).await.unwrap();
        billing.store(&id("a"), Credential::text(value)).await.unwrap();
        let read = billing.retrieve(&id("a")).await.unwrap().unwrap();
        assert_eq!(read.lifecycle().unwrap().created_by, Some(CreatedBy::from_static("payments")));
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_over_a_cached_credential_continues_its_version() {
    let (backend, manager) = storing("1").await;
    let lifecycle = async || manager.retrieve(&id("a")).await.unwrap().unwrap().lifecycle().unwrap();
    let first = lifecycle().await;
    // Advances the clock.
    std::thread::sleep(Duration::from_millis(5));
    let reads = backend.reads();
    store(&manager, "2").await;
    assert_eq!(backend.reads(), reads, "a store read first");
    let second = lifecycle().await;
    assert_eq!((second.version, second.created_at), (2, first.created_at));
    assert!(second.last_modified > first.last_modified);

    // Another handle, and another credential, are not affected.
    let other = manager.scoped("org:a".parse().unwrap()).unwrap();
    store(&other, "x").await;
    assert_eq!(other.retrieve(&id("a")).await.unwrap().unwrap().lifecycle().unwrap().version, 1);

    // Nothing is cached after a write, a delete, or the TTL.
    store(&manager, "3").await;
    store(&manager, "4").await;
    let fresh = lifecycle().await;
    assert_eq!(fresh.version, 1);
    assert!(fresh.created_at > first.created_at);
    sleep(TTL).await;
    store(&manager, "5").await;
    assert_eq!(lifecycle().await.version, 1);
    manager.delete(&id("a")).await.unwrap();
    store(&manager, "6").await;
    assert_eq!(lifecycle().await.version, 1);
    assert_eq!(manager.cache_stats().unwrap().hits, 0, "a store counts as a read");
}

#[tokio::test(start_paused = true)]
async fn a_slow_load_does_not_extend_the_ttl_of_its_value() {
    let (backend, manager) = storing("1").await;
    backend.behave(|behaviour| behaviour.read_takes = 8 * SECOND);
    read(&manager).await;
    sleep(SHORTEST_TTL - 9 * SECOND).await;
    read(&manager).await;
    assert_eq!(backend.reads(), 1);
    sleep(TTL - SHORTEST_TTL + SECOND).await;
    read(&manager).await;
    assert_eq!(backend.reads(), 2, "the time ran from the end of the load");
}

#[tokio::test(start_paused = true)]
async fn without_a_ttl_or_capacity_nothing_is_cached_or_shared() {
    for (ttl, size) in [(Duration::ZERO, 10), (TTL, 0)] {
        let backend = Backend::new(Consistency::Strong);
        let manager = CredentialManager::builder()
            .storage(backend.clone())
            .keys(keys())
            .cache_ttl(ttl)
            .cache_max_size(size)
            .build();
        assert!(manager.cache_stats().is_none());
        store(&manager, "1").await;
        join_all((0..5).map(|_| read(&manager))).await;
        assert_eq!(backend.reads(), 5);
    }
}

#[tokio::test(start_paused = true)]
async fn absence_is_not_cached() {
    let (backend, manager) = strong();
    assert_eq!(read(&manager).await, None);
    assert_eq!(read(&manager).await, None);
    assert_eq!(backend.reads(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_misses_of_one_path_are_one_call_even_if_it_fails() {
    let (backend, manager) = storing("1").await;
    backend.behave(|behaviour| behaviour.read_takes = SECOND);
    assert!(
        join_all((0..1_000).map(|_| read(&manager))).await.iter().all(|value| value.as_deref() == Some("1"))
    );
    assert_eq!(backend.reads(), 1);

    manager.clear_cache().unwrap();
    backend.behave(|behaviour| behaviour.reads_fail = true);
    let a = id("a");
    let failed = join_all((0..1_000).map(|_| manager.retrieve(&a))).await;
    assert!(failed.iter().all(|answer| answer.as_ref().is_err_and(ManagerError::is_transient)));
    assert_eq!(backend.reads(), 2);
    assert_eq!(manager.cache_stats().unwrap().failures, 1);
}

#[tokio::test(start_paused = true)]
async fn a_load_continues_after_its_first_reader_is_dropped() {
    let (backend, manager) = storing("1").await;
    backend.behave(|behaviour| behaviour.read_takes = SECOND);
    let a = id("a");
    let first = begun(manager.retrieve(&a));
    let second = begun(manager.retrieve(&a));
    drop(first);
    assert_eq!(text(second.await.unwrap()).as_deref(), Some("1"));
    assert_eq!(backend.reads(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_load_runs_without_being_polled_by_a_reader() {
    let (backend, manager) = storing("1").await;
    backend.behave(|behaviour| behaviour.read_takes = SECOND);
    let a = id("a");
    let stalled = begun(manager.retrieve(&a));
    sleep(2 * SECOND).await;
    assert_eq!(read(&manager).await.as_deref(), Some("1"));
    assert_eq!(backend.reads(), 1, "the value came in while the reader slept");
    drop(stalled);
}

#[tokio::test(start_paused = true)]
async fn a_read_after_a_write_never_shares_an_earlier_load() {
    let (backend, manager) = storing("old").await;
    backend.behave(|behaviour| behaviour.read_takes = 5 * SECOND);
    let a = id("a");
    let early = begun(manager.retrieve(&a));
    sleep(SECOND).await;
    store(&manager, "new").await;
    assert_eq!(read(&manager).await.as_deref(), Some("new"), "it shared a load from before the write");
    assert_eq!(text(early.await.unwrap()).as_deref(), Some("old"), "it had begun before");
    assert_eq!(read(&manager).await.as_deref(), Some("new"), "the early load was kept");
}

#[tokio::test(start_paused = true)]
async fn a_load_that_overlaps_a_write_is_not_cached() {
    let (backend, manager) = storing("old").await;
    backend.behave(|behaviour| {
        behaviour.write_takes = 2 * SECOND;
        behaviour.read_takes = 3 * SECOND;
    });
    let a = id("a");
    let (stored, during) = tokio::join!(manager.store(&a, Credential::text("new")), async {
        sleep(SECOND).await;
        read(&manager).await
    });
    stored.unwrap();
    assert_eq!(during.as_deref(), Some("old"), "the write was not answered yet");
    assert_eq!(read(&manager).await.as_deref(), Some("new"), "it was cached without its load-table entry");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_write_invalidates_the_cache_when_it_ends() {
    let (backend, manager) = storing("old").await;
    read(&manager).await;
    backend.behave(|behaviour| behaviour.write_takes = 2 * SECOND);
    let a = id("a");
    let write = begun(manager.store(&a, Credential::text("new")));
    drop(write);
    sleep(3 * SECOND).await;
    assert_eq!(read(&manager).await.as_deref(), Some("new"));
}

#[tokio::test(start_paused = true)]
async fn a_delete_and_a_rotation_invalidate_the_cache() {
    let (_, manager) = storing("1").await;
    read(&manager).await;
    manager.rotate(&id("a"), Credential::text("2")).await.unwrap();
    assert_eq!(read(&manager).await.as_deref(), Some("2"));
    manager.delete(&id("a")).await.unwrap();
    assert_eq!(read(&manager).await, None);
}

#[tokio::test(start_paused = true)]
async fn nothing_loaded_while_a_write_may_lag_is_cached() {
    let lag = 4 * SECOND;
    let backend = Backend::new(Consistency::Eventual { point: 5 * SECOND, list: TTL });
    let manager = cached(&backend);
    store(&manager, "old").await;
    sleep(10 * SECOND).await;
    backend.behave(|behaviour| behaviour.lag = lag);
    store(&manager, "new").await;
    assert_eq!(read(&manager).await.as_deref(), Some("old"), "this backend lags, and may");
    sleep(5 * SECOND).await;
    assert_eq!(read(&manager).await.as_deref(), Some("new"), "the lagging read was kept");
}

#[tokio::test(start_paused = true)]
async fn a_load_that_began_in_a_no_cache_window_is_not_cached_even_if_it_ends_later() {
    let backend = Backend::new(Consistency::Eventual { point: 5 * SECOND, list: TTL });
    let manager = cached(&backend);
    store(&manager, "old").await;
    sleep(10 * SECOND).await;
    backend.behave(|behaviour| {
        behaviour.lag = 4 * SECOND;
        behaviour.read_takes = 6 * SECOND;
    });
    store(&manager, "new").await;
    assert_eq!(read(&manager).await.as_deref(), Some("old"));
    assert_eq!(
        read(&manager).await.as_deref(),
        Some("new"),
        "the no-cache window was checked at the end of the load"
    );
}

#[tokio::test(start_paused = true)]
async fn after_an_uncertain_write_nothing_is_cached_until_it_can_no_longer_take_effect() {
    let (backend, manager) = storing("old").await;
    backend.behave(|behaviour| behaviour.writes_land_late = Some(25 * SECOND));
    let error = manager.store(&id("a"), Credential::text("late")).await.unwrap_err();
    assert!(error.may_have_written());
    backend.behave(|behaviour| behaviour.writes_land_late = None);
    sleep(20 * SECOND).await;
    assert_eq!(read(&manager).await.as_deref(), Some("old"));
    sleep(10 * SECOND).await;
    assert_eq!(read(&manager).await.as_deref(), Some("late"), "kept although the write could still land");
}

#[tokio::test(start_paused = true)]
async fn a_success_does_not_end_the_no_cache_window_of_an_uncertain_write() {
    let (backend, manager) = storing("old").await;
    backend.behave(|behaviour| behaviour.writes_land_late = Some(25 * SECOND));
    manager.store(&id("a"), Credential::text("late")).await.unwrap_err();
    backend.behave(|behaviour| behaviour.writes_land_late = None);
    store(&manager, "answered").await;
    assert_eq!(read(&manager).await.as_deref(), Some("answered"));
    sleep(26 * SECOND).await;
    assert_eq!(read(&manager).await.as_deref(), Some("late"), "the late write was hidden by the cache");
}

#[tokio::test(start_paused = true)]
async fn a_refresh_never_shares_an_earlier_load_and_replaces_the_cached_value() {
    let (backend, manager) = storing("1").await;
    read(&manager).await;
    // Another manager, with the same keys, writes: a raw copy of a later value, which
    // this manager does not see.
    let other = CredentialManager::builder().storage(backend.clone()).keys(keys()).build();
    other.delete(&id("a")).await.unwrap();
    assert_eq!(read(&manager).await.as_deref(), Some("1"), "unseen for at most its time");
    assert_eq!(text(manager.refresh(&id("a")).await.unwrap()), None);
    assert_eq!(read(&manager).await, None, "what a refresh found absent was still handed out");

    store(&manager, "2").await;
    backend.behave(|behaviour| behaviour.read_takes = 3 * SECOND);
    let a = id("a");
    let slow = begun(manager.retrieve(&a));
    sleep(SECOND).await;
    let before = backend.reads();
    manager.refresh(&a).await.unwrap();
    assert_eq!(backend.reads(), before + 1, "a refresh shared an earlier load");
    slow.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_failed_refresh_keeps_the_cached_value() {
    let (backend, manager) = storing("1").await;
    read(&manager).await;
    backend.behave(|behaviour| behaviour.reads_fail = true);
    manager.refresh(&id("a")).await.unwrap_err();
    assert_eq!(read(&manager).await.as_deref(), Some("1"));
}

#[tokio::test(start_paused = true)]
async fn clearing_the_cache_also_discards_in_flight_loads() {
    let (backend, manager) = storing("1").await;
    for clear in
        [CredentialManager::clear_cache, |manager: &CredentialManager| manager.clear_cache_for(&id("a"))]
    {
        backend.behave(|behaviour| behaviour.read_takes = SECOND);
        let a = id("a");
        let load = begun(manager.retrieve(&a));
        clear(&manager).unwrap();
        load.await.unwrap();
        let before = backend.reads();
        read(&manager).await;
        assert_eq!(backend.reads(), before + 1, "a load from before the clearing was kept");
        clear(&manager).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_scoped_handle_clears_its_own_subtree_and_has_no_stats() {
    let (backend, manager) = strong();
    let (org, other) = (
        manager.scoped("org:a".parse().unwrap()).unwrap(),
        manager.scoped("org:ab".parse().unwrap()).unwrap(),
    );
    let team = org.scoped("org:a/team:x".parse().unwrap()).unwrap();
    let all = [&manager, &org, &team, &other];
    for handle in all {
        store(handle, "1").await;
        read(handle).await;
    }
    assert!(org.cache_stats().is_none());
    org.clear_cache().unwrap();
    let before = backend.reads();
    for handle in all {
        read(handle).await;
    }
    assert_eq!(backend.reads(), before + 2, "org:a and org:a/team:x, and no other");
}

#[tokio::test(start_paused = true)]
async fn an_expired_value_is_returned_and_cached_for_at_most_a_second() {
    let (backend, manager) = strong();
    let expired = Credential::text("1").with_expires_at(Timestamp::from_unix_millis(5));
    manager.store(&id("a"), expired).await.unwrap();
    assert_eq!(read(&manager).await.as_deref(), Some("1"));
    read(&manager).await;
    assert_eq!(backend.reads(), 1);
    sleep(SECOND).await;
    read(&manager).await;
    assert_eq!(backend.reads(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_value_is_not_cached_beyond_its_expiry() {
    let (backend, manager) = strong();
    let soon = Timestamp::now().saturating_add(10 * SECOND);
    manager.store(&id("a"), Credential::text("1").with_expires_at(soon)).await.unwrap();
    read(&manager).await;
    sleep(11 * SECOND).await;
    read(&manager).await;
    assert_eq!(backend.reads(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_panicking_load_fails_its_readers_and_the_next_read_starts_a_new_load() {
    let (backend, manager) = storing("1").await;
    backend.behave(|behaviour| behaviour.reads_panic = true);
    let error = manager.retrieve(&id("a")).await.unwrap_err();
    assert!(error.to_string().starts_with("could not retrieve credential `a` in backend"), "{error}");
    backend.behave(|behaviour| behaviour.reads_panic = false);
    assert_eq!(read(&manager).await.as_deref(), Some("1"));
}

#[tokio::test(start_paused = true)]
async fn an_expired_entry_causes_one_load() {
    let (backend, manager) = storing("1").await;
    read(&manager).await;
    sleep(TTL).await;
    join_all((0..200).map(|_| read(&manager))).await;
    assert_eq!(backend.reads(), 2);
    assert_eq!(manager.cache_stats().unwrap().expirations, 1);
}

#[tokio::test(start_paused = true)]
async fn the_statistics_add_up() {
    let backend = Backend::new(Consistency::Strong);
    let manager =
        CredentialManager::builder().storage(backend).keys(keys()).cache_ttl(TTL).cache_max_size(50).build();
    for number in 0..200 {
        let id = id(&number.to_string());
        manager.store(&id, Credential::text("x")).await.unwrap();
        manager.retrieve(&id).await.unwrap();
        manager.retrieve(&id).await.unwrap();
    }
    let stats = manager.cache_stats().unwrap();
    assert_eq!((stats.hits, stats.misses, stats.loads, stats.failures), (200, 200, 200, 0));
    assert_eq!(stats.capacity, 50);
    assert!(stats.size <= 50, "{stats:?}");
    assert_eq!(stats.evictions, 200 - u64::try_from(stats.size).unwrap());
    assert_eq!(stats.hit_rate(), 0.5);
    manager.shutdown().await.unwrap();
    assert_eq!(manager.cache_stats().unwrap().size, 0, "secrets outlived the shutdown");
}

#[test]
fn a_load_on_a_stopped_runtime_is_not_waited_for_forever() {
    let backend = Backend::new(Consistency::Strong);
    let manager = cached(&backend);
    let stopped = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    stopped.block_on(async {
        backend.behave(|behaviour| behaviour.read_takes = Duration::from_millis(1));
        let id = id("a");
        assert!(manager.retrieve(&id).now_or_never().is_none());
    });
    // The load started there, and nothing drives that runtime any more.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let (error, waited) = runtime.block_on(async {
        let started = tokio::time::Instant::now();
        (manager.retrieve(&id("a")).await.unwrap_err(), started.elapsed())
    });
    assert!(error.is_transient() && waited < Duration::from_secs(60), "after {waited:?}: {error}");
    // The next one does not wait for it either, although it still exists.
    assert!(runtime.block_on(manager.retrieve(&id("a"))).unwrap().is_none());
    drop(stopped);
    assert!(runtime.block_on(manager.retrieve(&id("a"))).unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_manager_that_shuts_down_returns_nothing_from_its_cache() {
    let backend = Backend::new(Consistency::Strong);
    let manager = cached(&backend);
    for name in ["a", "b"] {
        manager.store(&id(name), Credential::text("x")).await.unwrap();
    }
    manager.retrieve(&id("a")).await.unwrap().unwrap();
    backend.behave(|behaviour| behaviour.read_takes = Duration::from_secs(5));
    let loading = id("b");
    let reader = begun(manager.retrieve(&loading));
    let closing = Box::pin(manager.shutdown());
    assert!(closing.now_or_never().is_none(), "it waits for the load, and is cancelled");
    assert_eq!(manager.cache_stats().unwrap().size, 0);
    assert!(matches!(manager.retrieve(&id("a")).await, Err(ManagerError::ShutDown)));
    assert!(reader.await.unwrap().is_some(), "it had begun before");
    assert!(matches!(manager.retrieve(&loading).await, Err(ManagerError::ShutDown)), "a load kept it since");
    manager.shutdown().await.unwrap();
    assert_eq!(manager.cache_stats().unwrap().size, 0);
}
