//! Counters of a provider's operations.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counters of a provider's operations since its creation. Each counter is exact, but several
/// counters read one after another are not a consistent snapshot.
///
/// `list_tree` and `list_deleted` count as lists, `retrieve_many` as one retrieve per id, and
/// conditional stores and versioned reads as stores and retrieves. Other operations are not
/// counted, not even as errors, so [`StorageMetrics::error_rate`] stays between 0 and 1.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct StorageMetrics {
    /// Number of stores.
    pub store_count: AtomicU64,
    /// Total duration of all stores in milliseconds.
    pub store_latency_sum_ms: AtomicU64,
    /// Number of retrieves.
    pub retrieve_count: AtomicU64,
    /// Total duration of all retrieves in milliseconds.
    pub retrieve_latency_sum_ms: AtomicU64,
    /// Number of deletes.
    pub delete_count: AtomicU64,
    /// Number of lists.
    pub list_count: AtomicU64,
    /// Number of `exists` calls.
    pub exists_count: AtomicU64,
    /// Number of counted operations that failed. A missing credential is a result, not a failure.
    pub error_count: AtomicU64,
    /// Number of attempts after the first.
    pub retry_count: AtomicU64,
}

impl StorageMetrics {
    /// Counts an operation by its [name](crate::Operation::as_str), all its attempts and waits
    /// together as one. An unknown name is ignored.
    pub fn record_operation(&self, operation: &str, duration: Duration, success: bool) {
        let latency_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let (count, latency_sum) = match operation {
            "store" | "store_if" => (&self.store_count, Some(&self.store_latency_sum_ms)),
            "retrieve" | "retrieve_versioned" => (&self.retrieve_count, Some(&self.retrieve_latency_sum_ms)),
            "delete" => (&self.delete_count, None),
            "list" | "list_tree" | "list_deleted" => (&self.list_count, None),
            "exists" => (&self.exists_count, None),
            _ => return,
        };
        count.fetch_add(1, Ordering::Relaxed);
        if let Some(sum) = latency_sum {
            sum.fetch_add(latency_ms, Ordering::Relaxed);
        }
        if !success {
            self.error_count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts an attempt after the first.
    pub fn record_retry(&self) {
        self.retry_count.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the mean duration of a store in milliseconds; 0 before the first.
    #[must_use]
    pub fn avg_store_latency_ms(&self) -> u64 {
        mean(&self.store_latency_sum_ms, &self.store_count)
    }

    /// Returns the mean duration of a retrieve in milliseconds; 0 before the first.
    #[must_use]
    pub fn avg_retrieve_latency_ms(&self) -> u64 {
        mean(&self.retrieve_latency_sum_ms, &self.retrieve_count)
    }

    /// Returns the fraction of counted operations that failed, 0.0 to 1.0; 0.0 before the first.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a rate needs no more than 53 bits")]
    pub fn error_rate(&self) -> f64 {
        // Errors are read first. A failure that is recorded in between is then only in the total,
        // and the rate does not exceed 1.
        let errors = self.error_count.load(Ordering::Acquire);
        let total: u64 = [
            &self.store_count,
            &self.retrieve_count,
            &self.delete_count,
            &self.list_count,
            &self.exists_count,
        ]
        .map(|count| count.load(Ordering::Acquire))
        .iter()
        .sum();
        match total {
            0 => 0.0,
            total => (errors as f64 / total as f64).min(1.0),
        }
    }
}

fn mean(sum: &AtomicU64, count: &AtomicU64) -> u64 {
    sum.load(Ordering::Relaxed).checked_div(count.load(Ordering::Relaxed)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_error_rate_includes_only_counted_operations() {
        let metrics = StorageMetrics::default();
        assert_eq!(metrics.error_rate(), 0.0);
        for operation in ["store", "retrieve", "delete", "list", "exists", "list_tree", "store_if"] {
            metrics.record_operation(operation, MS, false);
        }
        assert_eq!(metrics.error_rate(), 1.0);
        metrics.record_operation("recover", MS, false);
        assert_eq!(metrics.error_rate(), 1.0, "an operation without a counter is not in the rate");
        assert_eq!(metrics.error_count.load(Ordering::Relaxed), 7);
        metrics.record_operation("retrieve", MS, true);
        assert_eq!(metrics.error_rate(), 7.0 / 8.0);
    }

    #[test]
    fn mean_latencies_are_kept_per_operation() {
        let metrics = StorageMetrics::default();
        assert_eq!(metrics.avg_store_latency_ms(), 0);
        metrics.record_operation("store", 10 * MS, true);
        metrics.record_operation("store", 20 * MS, true);
        metrics.record_operation("retrieve", 3 * MS, true);
        assert_eq!((metrics.avg_store_latency_ms(), metrics.avg_retrieve_latency_ms()), (15, 3));
    }
}
