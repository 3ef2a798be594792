//! What is counted through the `metrics` facade.
#![cfg(feature = "metrics")]
#![cfg(test)]

mod doubles;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cred_core::{Consistency, Credential};
use doubles::backend::Backend;
use doubles::{Gated, Then, begun, cached, id, manager};
use metrics::{Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit};

/// Counts what is told under the name and labels of each metric.
#[derive(Default)]
struct Counts(Mutex<BTreeMap<String, Arc<AtomicU64>>>);

/// Counts the values of a histogram.
struct Values(Arc<AtomicU64>);

impl HistogramFn for Values {
    fn record(&self, _: f64) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Counts {
    fn of(&self, key: &Key) -> Arc<AtomicU64> {
        let labels: Vec<_> = key.labels().map(|label| label.value()).collect();
        let name = format!("{} {}", key.name(), labels.join(" "));
        Arc::clone(self.0.lock().unwrap().entry(name).or_default())
    }
}

impl Recorder for Counts {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.of(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.of(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(Arc::new(Values(self.of(key))))
    }
}

/// What is counted while this runs.
fn counted(work: impl Future<Output = ()>) -> BTreeMap<String, u64> {
    let counts = Counts::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    metrics::with_local_recorder(&counts, || runtime.block_on(work));
    let counts = counts.0.into_inner().unwrap();
    counts.into_iter().map(|(name, count)| (name, count.load(Ordering::SeqCst))).collect()
}

#[test]
fn every_operation_is_counted_and_every_call_of_the_provider_is_timed() {
    let counts = counted(async {
        let manager = cached();
        manager.store(&id("key"), Credential::text("x")).await.unwrap();
        for _ in 0..3 {
            manager.retrieve(&id("key")).await.unwrap();
        }
        manager.delete(&id("key")).await.unwrap();
        manager.scoped("org:a".parse().unwrap()).unwrap().shutdown().await.unwrap_err();
    });
    let counts: Vec<_> = counts.iter().map(|(name, count)| format!("{name}: {count}")).collect();
    assert_eq!(
        counts,
        [
            "cred_cache_total hit: 2",
            "cred_cache_total miss: 1",
            "cred_operation_seconds delete: 1",
            "cred_operation_seconds retrieve: 1",
            "cred_operation_seconds shutdown: 1",
            "cred_operation_seconds store: 1",
            "cred_operations_total delete ok: 1",
            "cred_operations_total retrieve ok: 3",
            "cred_operations_total shutdown failed: 1",
            "cred_operations_total store ok: 1",
        ]
    );
}

#[test]
fn a_batch_says_how_many_of_it_failed() {
    let counts = counted(async {
        let backend = Backend::with_batch(Consistency::Strong, 2);
        let manager = manager(backend.clone());
        let store = |name: &str| (id(name), Credential::text("x"));
        manager.store_batch(vec![store("a"), store("b")]).await;
        let ids = || vec![id("a"), id("b"), id("c")];
        manager.retrieve_batch(&ids()).await;
        backend.behave(|behaviour| behaviour.reads_fail = true);
        manager.retrieve_batch(&ids()).await;
        manager.validate_batch(&ids()).await;
        backend.behave(|behaviour| behaviour.writes_land_late = Some(Duration::from_secs(1)));
        manager.store_batch(vec![store("a"), store("b")]).await;
    });
    let of = |name: &str| counts.get(name).copied().unwrap_or_default();
    assert_eq!(of("cred_operations_total store_batch ok"), 1);
    assert_eq!(of("cred_operations_total store_batch in_doubt"), 1, "never called failed");
    assert_eq!(of("cred_operations_total retrieve_batch ok"), 1);
    assert_eq!(of("cred_operations_total retrieve_batch failed"), 1);
    assert_eq!(of("cred_operations_total validate_batch failed"), 1);
}

#[test]
fn a_write_that_fails_after_its_caller_has_left_is_counted() {
    let counts = counted(async {
        let gated = Gated::new(false);
        *gated.then.lock().unwrap() = Then::Panic;
        let (manager, a) = (manager(gated.clone()), id("a"));
        let store = begun(manager.store(&a, Credential::text("x")));
        gated.until_entered(1).await;
        drop(store);
        gated.admit(1);
        manager.shutdown().await.unwrap();
    });
    assert_eq!(counts.get("cred_operations_total store in_doubt"), Some(&1), "{counts:?}");
}
