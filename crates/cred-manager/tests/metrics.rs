//! The metrics that are recorded through the `metrics` facade.
#![cfg(feature = "metrics")]
#![cfg(test)]

mod doubles;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cred_core::{Consistency, Credential};
use cred_manager::CredentialManager;
use doubles::backend::Backend;
use doubles::{Gated, Then, begun, cached, id, keys, manager, memory};
use metrics::{Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit};

/// The count under the name and labels of each metric, and how often each name is described.
#[derive(Default)]
struct Counts {
    counted: Mutex<BTreeMap<String, Arc<AtomicU64>>>,
    described: Mutex<BTreeMap<String, usize>>,
}

/// Counts the values of a histogram.
struct Values(Arc<AtomicU64>);

impl HistogramFn for Values {
    fn record(&self, _: f64) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Counts {
    fn describe(&self, name: &KeyName) {
        *self.described.lock().unwrap().entry(name.as_str().to_owned()).or_default() += 1;
    }

    fn of(&self, key: &Key) -> Arc<AtomicU64> {
        let labels: Vec<_> = key.labels().map(|label| label.value()).collect();
        let name = format!("{} {}", key.name(), labels.join(" "));
        Arc::clone(self.counted.lock().unwrap().entry(name).or_default())
    }
}

impl Recorder for Counts {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.describe(&name);
    }

    fn describe_gauge(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.describe(&name);
    }

    fn describe_histogram(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.describe(&name);
    }

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

/// The counts while this runs.
fn counted(work: impl Future<Output = ()>) -> BTreeMap<String, u64> {
    let counts = recorded(work).counted.into_inner().unwrap();
    counts.into_iter().map(|(name, count)| (name, count.load(Ordering::SeqCst))).collect()
}

fn recorded(work: impl Future<Output = ()>) -> Counts {
    let counts = Counts::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    metrics::with_local_recorder(&counts, || runtime.block_on(work));
    counts
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
            "cred_cache_size memory: 0",
            "cred_cache_total hit: 2",
            "cred_cache_total miss: 1",
            "cred_operation_seconds delete: 1",
            "cred_operation_seconds retrieve: 1",
            "cred_operation_seconds shutdown: 1",
            "cred_operation_seconds store: 1",
            "cred_operations_total delete ok memory none: 1",
            "cred_operations_total retrieve ok memory none: 3",
            "cred_operations_total shutdown failed memory invalid_request: 1",
            "cred_operations_total store ok memory none: 1",
        ]
    );
}

#[test]
fn a_batch_reports_how_many_items_failed() {
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
    assert_eq!(of("cred_operations_total store_batch ok backend none"), 1);
    assert_eq!(of("cred_operations_total store_batch in_doubt backend transient"), 1, "never called failed");
    assert_eq!(of("cred_operations_total retrieve_batch ok backend none"), 1);
    assert_eq!(of("cred_operations_total retrieve_batch failed backend transient"), 1);
    assert_eq!(of("cred_operations_total validate_batch failed backend transient"), 1);
}

#[test]
fn a_write_that_fails_after_its_caller_was_dropped_is_counted() {
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
    assert_eq!(
        counts.get("cred_operations_total store in_doubt gated unknown_outcome"),
        Some(&1),
        "{counts:?}"
    );
}

#[test]
fn every_metric_is_described_once_for_each_manager() {
    let counts = recorded(async {
        let manager = full(1);
        for name in ["a", "b"] {
            manager.store(&id(name), Credential::text("x")).await.unwrap();
            manager.retrieve(&id(name)).await.unwrap();
        }
    });
    let described = counts.described.into_inner().unwrap();
    let counted = counts.counted.into_inner().unwrap();
    let mut names: Vec<_> = counted.keys().filter_map(|name| name.split(' ').next()).collect();
    names.dedup();
    assert_eq!(names, described.keys().collect::<Vec<_>>());
    assert!(described.values().all(|times| *times == 1), "{described:?}");
}

/// A manager that caches this many credentials for an hour.
fn full(size: usize) -> CredentialManager {
    let builder = CredentialManager::builder().storage(memory()).keys(keys());
    builder.cache_ttl(Duration::from_secs(3_600)).cache_max_size(size).build()
}

#[test]
fn the_size_of_the_cache_and_its_evictions_are_counted() {
    let size = |counts: &BTreeMap<String, u64>| f64::from_bits(counts["cred_cache_size memory"]);
    let fill = async |manager: &CredentialManager| {
        for name in 0..5 {
            let id = id(&name.to_string());
            manager.store(&id, Credential::text("x")).await.unwrap();
            manager.retrieve(&id).await.unwrap();
        }
    };
    let counts = counted(async { fill(&full(2)).await });
    assert_eq!((counts["cred_cache_evictions_total memory"], size(&counts)), (3, 2.0));
    let counts = counted(async {
        let manager = full(9);
        fill(&manager).await;
        manager.clear_cache_for(&id("0")).unwrap();
        manager.delete(&id("1")).await.unwrap();
    });
    assert_eq!((counts.get("cred_cache_evictions_total memory"), size(&counts)), (None, 3.0));
    let counts = counted(async {
        let manager = full(9);
        fill(&manager).await;
        manager.clear_cache().unwrap();
    });
    assert_eq!(size(&counts), 0.0);
}

#[test]
fn a_rotation_of_nothing_has_its_own_outcome() {
    let counts = counted(async {
        let manager = manager(memory());
        manager.rotate(&id("absent"), Credential::text("x")).await.unwrap_err();
        manager.retrieve(&id("absent")).await.unwrap();
    });
    let operations: Vec<_> = counts.keys().filter(|name| name.contains("operations_total")).collect();
    assert_eq!(
        operations,
        [
            "cred_operations_total retrieve ok memory none",
            "cred_operations_total rotate not_found memory not_found"
        ]
    );
}
