//! The cost of a cache hit, and its span.
#![cfg(test)]

mod doubles;

use std::time::Duration;

use cred_core::{Consistency, Credential};
use cred_manager::CredentialManager;
use cred_testing::log::Log;
use doubles::backend::Backend;
use doubles::{cached, id, keys};
use futures_util::FutureExt as _;
use tokio::time::Instant;
use tracing::Level;

const READS: usize = 100;

/// A manager with one credential, cached.
async fn warm() -> CredentialManager {
    let manager = cached();
    manager.store(&id("key"), Credential::api_key("sk_live_example")).await.unwrap();
    manager.retrieve(&id("key")).await.unwrap().unwrap();
    manager
}

#[tokio::test]
async fn a_hit_allocates_nothing() {
    let (manager, id) = (warm().await, id("key"));
    let read = || {
        for _ in 0..READS {
            assert!(manager.retrieve(&id).now_or_never().unwrap().unwrap().is_some());
        }
    };
    let hits = allocation_counter::measure(read);
    assert_eq!((hits.count_total, manager.cache_stats().unwrap().hits), (0, READS as u64));
    manager.clear_cache().unwrap();
    let miss = allocation_counter::measure(|| drop(manager.retrieve(&id).now_or_never()));
    assert!(miss.count_total > 0, "the counter counts nothing");
}

/// The bounds of the specification are 10 ms for a hit and 100 ms for a miss. The time is virtual,
/// so a wait that the manager adds to the backend's time is found, and CPU time is not.
#[tokio::test(start_paused = true)]
async fn a_hit_does_not_wait_and_a_miss_waits_for_one_backend_call() {
    let backend_takes = Duration::from_millis(80);
    let backend = Backend::new(Consistency::Strong);
    backend.behave(|behaviour| behaviour.read_takes = backend_takes);
    let builder = CredentialManager::builder().storage(backend.clone()).keys(keys());
    let manager = builder.cache_ttl(Duration::from_secs(60)).build();
    manager.store(&id("key"), Credential::text("1")).await.unwrap();

    let start = Instant::now();
    assert!(manager.retrieve(&id("key")).await.unwrap().is_some());
    assert_eq!((start.elapsed(), backend.reads()), (backend_takes, 1), "a miss");

    let hit = manager.retrieve(&id("key")).now_or_never().expect("a hit does not wait").unwrap();
    assert!(hit.is_some());
    assert_eq!((start.elapsed(), backend.reads()), (backend_takes, 1), "a hit");
}

#[tokio::test]
async fn a_hit_creates_a_span_only_if_a_subscriber_is_interested() {
    let (manager, id) = (warm().await, id("key"));
    for (level, expected) in [(Level::DEBUG, READS), (Level::INFO, 0)] {
        let (log, listening) = Log::of_thread(level);
        for _ in 0..READS {
            manager.retrieve(&id).await.unwrap();
        }
        drop(listening);
        let spans = log.text().lines().filter(|line| line.ends_with(": new")).count();
        assert_eq!(spans, expected, "at {level}");
    }
}
