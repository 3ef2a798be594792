//! The metrics of a manager. Without the feature `metrics`, they are empty and count nothing.

#[cfg(feature = "metrics")]
use std::borrow::Cow;
#[cfg(feature = "metrics")]
use std::sync::Arc;

use cred_core::Description;
#[cfg(feature = "metrics")]
use metrics::{Key, Label, Level, Metadata, SharedString, Unit};
#[cfg(feature = "metrics")]
use tokio::time::Instant;

use crate::ManagerError;

/// Records the metrics of one manager through the `metrics` facade.
#[derive(Clone)]
pub(crate) struct Meter {
    #[cfg(feature = "metrics")]
    provider: SharedString,
    /// Stored, since creating a key with the provider's name allocates, and a cache hit must not.
    #[cfg(feature = "metrics")]
    hit: Key,
}

/// When an operation began.
pub(crate) struct Started(#[cfg(feature = "metrics")] Instant);

#[cfg(feature = "metrics")]
const OPERATIONS: &str = "cred_operations_total";
#[cfg(feature = "metrics")]
const SECONDS: &str = "cred_operation_seconds";
#[cfg(feature = "metrics")]
const CACHE: &str = "cred_cache_total";
#[cfg(feature = "metrics")]
const CACHE_SIZE: &str = "cred_cache_size";
#[cfg(feature = "metrics")]
const CACHE_EVICTIONS: &str = "cred_cache_evictions_total";
#[cfg(feature = "metrics")]
const NO_ERROR: &str = "none";

#[cfg(feature = "metrics")]
impl Meter {
    /// Describes the metrics to the recorder that is installed.
    pub(crate) fn new(provider: &Description) -> Self {
        metrics::describe_counter!(OPERATIONS, Unit::Count, "Completed operations of the credential manager");
        metrics::describe_histogram!(SECONDS, Unit::Seconds, "Duration of an operation, including waits");
        metrics::describe_counter!(CACHE, Unit::Count, "Reads by the result of the cache look-up");
        metrics::describe_gauge!(CACHE_SIZE, Unit::Count, "Credentials in the cache");
        metrics::describe_counter!(
            CACHE_EVICTIONS,
            Unit::Count,
            "Credentials evicted from the cache to make room for others"
        );
        let provider = match &provider.name {
            Cow::Borrowed(name) => SharedString::const_str(name),
            Cow::Owned(name) => SharedString::from_shared(Arc::from(name.as_str())),
        };
        let labels = operation_labels("retrieve", "ok", provider.clone(), NO_ERROR);
        Self { provider, hit: Key::from_parts(OPERATIONS, labels) }
    }

    /// Starts the clock of an operation.
    pub(crate) fn start(&self) -> Started {
        Started(Instant::now())
    }

    /// Counts and times an operation that has ended.
    pub(crate) fn ended(
        &self,
        operation: &'static str,
        outcome: &'static str,
        error: Option<&ManagerError>,
        started: Started,
    ) {
        self.counted(operation, outcome, error);
        let seconds = started.0.elapsed().as_secs_f64();
        metrics::histogram!(SECONDS, "operation" => operation).record(seconds);
    }

    /// Counts an operation without a time.
    pub(crate) fn counted(
        &self,
        operation: &'static str,
        outcome: &'static str,
        error: Option<&ManagerError>,
    ) {
        let error = error.map_or(NO_ERROR, |error| error.class().as_str());
        let labels = operation_labels(operation, outcome, self.provider.clone(), error);
        metrics::counter!(OPERATIONS, labels).increment(1);
    }

    /// Counts a cache hit without a span. Reading the clock would cost too much for such a hit.
    #[inline]
    pub(crate) fn hit(&self) {
        static METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));
        metrics::with_recorder(|recorder| recorder.register_counter(&self.hit, &METADATA).increment(1));
        metrics::counter!("cred_cache_total", "result" => "hit").increment(1);
    }

    /// Counts the result of the cache look-up of a read.
    pub(crate) fn cache(&self, result: &'static str) {
        metrics::counter!(CACHE, "result" => result).increment(1);
    }

    /// Records the number of cached credentials after a change.
    #[expect(clippy::cast_precision_loss, reason = "a gauge has 53 bits")]
    pub(crate) fn cache_size(&self, size: impl FnOnce() -> usize) {
        metrics::gauge!(CACHE_SIZE, "provider" => self.provider.clone()).set(size() as f64);
    }

    /// Counts credentials that were evicted to make room for others.
    pub(crate) fn evicted(&self, count: usize) {
        if count > 0 {
            let count = u64::try_from(count).unwrap_or(u64::MAX);
            metrics::counter!(CACHE_EVICTIONS, "provider" => self.provider.clone()).increment(count);
        }
    }
}

#[cfg(feature = "metrics")]
fn operation_labels(
    operation: &'static str,
    outcome: &'static str,
    provider: SharedString,
    error: &'static str,
) -> Vec<Label> {
    vec![
        Label::new("operation", operation),
        Label::new("outcome", outcome),
        Label::new("provider", provider),
        Label::new("error", error),
    ]
}

#[cfg(not(feature = "metrics"))]
#[expect(clippy::unused_self, reason = "as with the feature")]
impl Meter {
    pub(crate) const fn new(_: &Description) -> Self {
        Self {}
    }

    pub(crate) const fn start(&self) -> Started {
        Started()
    }

    pub(crate) const fn ended(&self, _: &'static str, _: &'static str, _: Option<&ManagerError>, _: Started) {
    }

    pub(crate) const fn counted(&self, _: &'static str, _: &'static str, _: Option<&ManagerError>) {}

    #[inline]
    pub(crate) const fn hit(&self) {}

    pub(crate) const fn cache(&self, _: &'static str) {}

    pub(crate) fn cache_size(&self, _: impl FnOnce() -> usize) {}

    pub(crate) const fn evicted(&self, _: usize) {}
}
