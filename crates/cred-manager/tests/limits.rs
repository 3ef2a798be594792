//! The calls that the cache makes: how many after a write, how many at once, and how many together
//! when values expire.
#![cfg(test)]

mod doubles;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use cred_core::{Consistency, Credential, CredentialId, StorageErrorKind, field};
use cred_manager::{CredentialManager, CredentialManagerBuilder, ManagerError};
use doubles::backend::Backend;
use doubles::sealer::{Fault, Faulty};
use doubles::{begun, id, keys};
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, sleep};

const TTL: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);
/// How long a read can lag behind a write on AWS by default.
const LAG: Duration = Duration::from_secs(300);

fn cached(backend: &Arc<Backend>) -> CredentialManager {
    limited(backend, CredentialManagerBuilder::DEFAULT_LOAD_CONCURRENCY.get())
}

fn limited(backend: &Arc<Backend>, loads: usize) -> CredentialManager {
    CredentialManager::builder()
        .storage(backend.clone())
        .keys(keys())
        .cache_ttl(TTL)
        .load_concurrency(NonZeroUsize::new(loads).unwrap())
        .build()
}

fn lagging() -> (Arc<Backend>, CredentialManager) {
    let backend = Backend::new(Consistency::Eventual { point: LAG, list: LAG });
    let manager = cached(&backend);
    (backend, manager)
}

async fn read(manager: &CredentialManager) -> Option<String> {
    let credential = manager.retrieve(&id("a")).await.unwrap();
    credential.map(|credential| credential.expose_text(field::VALUE).unwrap().to_owned())
}

async fn store(manager: &CredentialManager, value: &str) {
    manager.store(&id("a"), Credential::text(value)).await.unwrap();
}

fn ids(count: usize) -> Vec<CredentialId> {
    (0..count).map(|number| id(&number.to_string())).collect()
}

/// 200 reads per second.
#[tokio::test(start_paused = true)]
async fn reads_after_a_write_over_a_lagging_provider_are_cached() {
    let (backend, manager) = lagging();
    store(&manager, "new").await;
    let started = Instant::now();
    while started.elapsed() < LAG {
        assert_eq!(read(&manager).await.as_deref(), Some("new"));
        sleep(SECOND / 200).await;
    }
    assert!(backend.reads() <= 6, "{} calls", backend.reads());
}

#[tokio::test(start_paused = true)]
async fn a_read_that_still_returns_the_value_before_a_write_is_not_cached() {
    let (backend, manager) = lagging();
    store(&manager, "old").await;
    assert_eq!(read(&manager).await.as_deref(), Some("old"), "the caller's own write is cached");
    backend.behave(|behaviour| behaviour.lag = 10 * SECOND);
    store(&manager, "new").await;
    assert_eq!(read(&manager).await.as_deref(), Some("old"), "the backend lags, and may");
    sleep(10 * SECOND).await;
    let before = backend.reads();
    assert_eq!(read(&manager).await.as_deref(), Some("new"), "the value before the write was cached");
    assert_eq!(read(&manager).await.as_deref(), Some("new"));
    assert_eq!(backend.reads(), before + 1, "the value of the write was not cached");
}

#[tokio::test(start_paused = true)]
async fn a_read_of_a_write_is_not_cached_while_an_uncertain_write_can_take_effect() {
    let (backend, manager) = lagging();
    let late = 20 * SECOND;
    backend.behave(|behaviour| behaviour.writes_land_late = Some(late));
    manager.store(&id("a"), Credential::text("late")).await.unwrap_err();
    backend.behave(|behaviour| behaviour.writes_land_late = None);
    store(&manager, "acknowledged").await;
    assert_eq!(read(&manager).await.as_deref(), Some("acknowledged"));
    sleep(late + SECOND).await;
    assert_eq!(read(&manager).await.as_deref(), Some("late"), "it was cached");
}

#[tokio::test(start_paused = true)]
async fn a_write_of_another_process_is_not_cached_in_the_window_of_a_write() {
    let (backend, _) = lagging();
    let ring = keys();
    let other = CredentialManager::builder().storage(backend.clone()).keys(ring.clone()).build();
    let manager = CredentialManager::builder().storage(backend.clone()).keys(ring).cache_ttl(TTL).build();
    store(&manager, "mine").await;
    store(&other, "theirs").await;
    assert_eq!(read(&manager).await.as_deref(), Some("theirs"));
    let before = backend.reads();
    read(&manager).await;
    assert_eq!(backend.reads(), before + 1, "it can be older than the write of this manager");
}

#[tokio::test(start_paused = true)]
async fn a_warm_up_of_many_tenants_is_bounded() {
    let backend = Backend::new(Consistency::Strong);
    let manager = cached(&backend);
    let tenants: Vec<_> =
        (0..1_000).map(|number| manager.scoped(format!("org:{number}").parse().unwrap()).unwrap()).collect();
    let key = id("key");
    for tenant in &tenants {
        tenant.store(&key, Credential::text("x")).await.unwrap();
    }
    backend.behave(|behaviour| behaviour.read_takes = SECOND / 10);
    let started = Instant::now();
    let loaded = join_all(tenants.iter().map(|tenant| tenant.retrieve(&key))).await;
    assert!(loaded.into_iter().all(|loaded| loaded.unwrap().is_some()));
    assert_eq!(backend.most_in_flight.load(Ordering::SeqCst), 64);
    assert!(started.elapsed() < 2 * SECOND, "{:?}", started.elapsed());
}

/// 1,000 credentials, loaded in the same moment, and read 20,000 times per second.
#[tokio::test(start_paused = true)]
async fn values_that_were_loaded_together_do_not_expire_together() {
    let backend = Backend::new(Consistency::Strong);
    let manager = limited(&backend, 1_000);
    let ids = ids(1_000);
    for id in &ids {
        manager.store(id, Credential::text("x")).await.unwrap();
    }
    join_all(ids.iter().map(|id| manager.retrieve(id))).await;
    assert_eq!(backend.reads(), 1_000);
    sleep(TTL * 9 / 10 - SECOND).await;
    let mut most = 0;
    for _ in 0..80 {
        let before = backend.reads();
        join_all(ids.iter().map(|id| manager.retrieve(id))).await;
        most = most.max(backend.reads() - before);
        sleep(SECOND / 10).await;
    }
    assert_eq!(backend.reads(), 2_000);
    // Of 60 intervals each has 17 on average; a bound of 60 fails by chance once in 10^14 runs.
    assert!(most <= 60, "{most} expired within 100 ms");
}

#[tokio::test(start_paused = true)]
async fn a_load_that_cannot_call_the_provider_in_time_is_busy() {
    let backend = Backend::new(Consistency::Strong);
    let manager = limited(&backend, 1);
    let ids = ids(3);
    for id in &ids {
        manager.store(id, Credential::text("x")).await.unwrap();
    }
    backend.behave(|behaviour| behaviour.read_takes = 9 * SECOND);
    let answers = join_all(ids.iter().map(|id| manager.retrieve(id))).await;
    let (served, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!((served.len(), refused.len()), (2, 1));
    for error in refused.into_iter().map(Result::unwrap_err) {
        let ManagerError::Storage(busy) = &error else { panic!("{error}") };
        assert!(matches!(busy.kind(), StorageErrorKind::Busy { .. }) && error.is_transient(), "{error}");
    }
    backend.behave(|behaviour| behaviour.read_takes = Duration::ZERO);
    assert!(manager.retrieve(&ids[2]).await.unwrap().is_some());
}

/// A runtime on which reads of these ids have begun, and that nothing drives any more.
fn stopped(backend: &Backend, manager: &CredentialManager, ids: &[CredentialId]) -> Runtime {
    let stopped = Builder::new_current_thread().enable_time().build().unwrap();
    stopped.block_on(async {
        backend.behave(|behaviour| behaviour.read_takes = SECOND);
        for id in ids {
            assert!(manager.retrieve(id).now_or_never().is_none());
        }
        // The loads begin, and call or wait.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    });
    stopped
}

fn paused() -> Runtime {
    Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

#[test]
fn a_load_that_should_have_ended_long_ago_is_not_shared() {
    let backend = Backend::new(Consistency::Strong);
    let manager = cached(&backend);
    let _stopped = stopped(&backend, &manager, &[id("a")]);
    paused().block_on(async {
        sleep(60 * SECOND).await;
        assert_eq!(read(&manager).await, None);
    });
}

#[test]
fn loads_that_are_never_polled_do_not_block_the_others_forever() {
    // Two of them may call, and the others wait. Once cleared, no reader can share them any more.
    for (count, clear) in [(2, false), (2, true), (4, false), (4, true)] {
        let backend = Backend::new(Consistency::Strong);
        let manager = limited(&backend, 2);
        let _stopped = stopped(&backend, &manager, &ids(count));
        if clear {
            manager.clear_cache().unwrap();
        }
        paused().block_on(async {
            let (other, started) = (id("other"), Instant::now());
            while manager.retrieve(&other).await.is_err() {
                assert!(started.elapsed() < 60 * SECOND, "after {:?}", started.elapsed());
            }
        });
    }
}

#[test]
fn a_load_that_waits_on_a_stopped_runtime_does_not_block_the_others_forever() {
    let backend = Backend::new(Consistency::Strong);
    let manager = limited(&backend, 1);
    backend.behave(|behaviour| behaviour.read_takes = SECOND);
    let (live, a) = (paused(), id("a"));
    let first = {
        let _entered = live.enter();
        begun(manager.retrieve(&a))
    };
    let _stopped = stopped(&backend, &manager, &[id("b")]);
    live.block_on(async {
        assert!(first.await.unwrap().is_none());
        let (other, started) = (id("other"), Instant::now());
        while manager.retrieve(&other).await.is_err() {
            assert!(started.elapsed() < 60 * SECOND, "after {:?}", started.elapsed());
        }
    });
}

/// Each of the three parts stays within its own limit.
#[tokio::test(start_paused = true)]
async fn waiting_for_a_call_does_not_shorten_its_timeout() {
    let backend = Backend::new(Consistency::Strong);
    let manager = CredentialManager::builder()
        .storage(backend.clone())
        .keys(Faulty::new(Fault::Takes(4 * SECOND)))
        .cache_ttl(TTL)
        .load_concurrency(NonZeroUsize::MIN)
        .build();
    for id in ids(2) {
        manager.store(&id, Credential::text("x")).await.unwrap();
    }
    backend.behave(|behaviour| behaviour.read_takes = 6 * SECOND);
    let (first, second) = (id("0"), id("1"));
    let (first, second) = (begun(manager.retrieve(&first)), begun(manager.retrieve(&second)));
    sleep(9 * SECOND).await;
    backend.behave(|behaviour| behaviour.read_takes = 9 * SECOND);
    first.await.unwrap();
    assert!(second.await.unwrap().is_some());
    manager.retrieve(&id("1")).await.unwrap();
    assert_eq!(backend.reads(), 2, "the result was not kept");
}

#[test]
fn a_read_that_shares_a_load_of_a_runtime_that_ends_can_be_repeated() {
    let backend = Backend::new(Consistency::Strong);
    let manager = cached(&backend);
    let (live, a) = (paused(), id("a"));
    let other = stopped(&backend, &manager, &[id("a")]);
    live.block_on(async {
        let read = begun(manager.retrieve(&a));
        other.shutdown_background();
        let error = read.await.unwrap_err();
        assert!(error.is_transient(), "{error}");
        assert!(manager.retrieve(&a).await.unwrap().is_none());
    });
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_waiting_loads() {
    let backend = Backend::new(Consistency::Strong);
    let manager = limited(&backend, 1);
    let ids = ids(20);
    for id in &ids {
        manager.store(id, Credential::text("x")).await.unwrap();
    }
    backend.behave(|behaviour| behaviour.read_takes = 5 * SECOND);
    let reads: Vec<_> = ids.iter().map(|id| begun(manager.retrieve(id))).collect();
    sleep(SECOND).await;
    let started = Instant::now();
    manager.shutdown().await.unwrap();
    assert_eq!(started.elapsed(), 4 * SECOND, "it waits for the one that calls, and for no other");
    let answers = join_all(reads).await;
    let closed = answers.iter().filter(|answer| matches!(answer, Err(ManagerError::ShutDown))).count();
    assert_eq!((closed, answers.iter().filter(|answer| answer.is_ok()).count()), (19, 1));
}
