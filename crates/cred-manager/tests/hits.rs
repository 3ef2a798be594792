//! What a cache hit costs, and what it tells.
#![cfg(test)]

mod doubles;

use cred_core::Credential;
use cred_manager::CredentialManager;
use cred_testing::log::Log;
use doubles::{cached, id};
use futures_util::FutureExt as _;
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

#[tokio::test]
async fn a_hit_makes_a_span_only_where_somebody_listens() {
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
