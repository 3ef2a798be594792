//! What a cache hit costs, and what it tells.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails by panic says what it must")]

mod doubles;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cred_core::Credential;
use cred_manager::CredentialManager;
use doubles::{cached, id};
use futures_util::FutureExt as _;
use tracing::Dispatch;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::NoSubscriber;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

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

struct Spans(Arc<AtomicUsize>);

impl<S: tracing::Subscriber> Layer<S> for Spans {
    fn on_new_span(&self, _: &tracing::span::Attributes<'_>, _: &tracing::Id, _: Context<'_, S>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_hit_makes_a_span_only_where_somebody_listens() {
    // Of a single one, tracing asks whichever thread comes by a span first, and keeps the answer: that thread may be the
    // other test's, where nobody listens. Of two it asks both.
    let _second = Dispatch::new(NoSubscriber::default());
    let (manager, id) = (warm().await, id("key"));
    for (level, expected) in [(LevelFilter::DEBUG, READS), (LevelFilter::INFO, 0)] {
        let count = Arc::new(AtomicUsize::new(0));
        let subscriber = tracing_subscriber::registry().with(Spans(Arc::clone(&count)).with_filter(level));
        let listening = tracing::subscriber::set_default(subscriber);
        for _ in 0..READS {
            manager.retrieve(&id).await.unwrap();
        }
        drop(listening);
        assert_eq!(count.load(Ordering::SeqCst), expected, "at {level}");
    }
}
