//! Statistics of the cache.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Statistics of the cache since the manager was built. Each number is exact, but together they are
/// not a consistent snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CacheStats {
    /// Reads that were served from the cache.
    pub hits: u64,
    /// Reads that were not served from the cache: they shared a load or started one.
    pub misses: u64,
    /// Loads that were started: calls of the provider, counted once for each path of a batch.
    pub loads: u64,
    /// Loads that failed, or ended without a result. An absent credential is a result.
    pub failures: u64,
    /// Values that were evicted to make room for others.
    pub evictions: u64,
    /// Values that had expired when they were read.
    pub expirations: u64,
    /// Values that are cached now, including expired ones that have not been read since.
    pub size: usize,
    /// The maximum number of cached values.
    pub capacity: usize,
}

impl CacheStats {
    /// The share of reads that were hits, 0.0 to 1.0; 0.0 before the first read.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a rate needs no more than 53 bits")]
    pub fn hit_rate(&self) -> f64 {
        match self.hits.saturating_add(self.misses) {
            0 => 0.0,
            reads => self.hits as f64 / reads as f64,
        }
    }

    /// The share of the capacity that is in use, 0.0 to 1.0.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a rate needs no more than 53 bits")]
    pub fn utilisation(&self) -> f64 {
        match self.capacity {
            0 => 0.0,
            capacity => self.size as f64 / capacity as f64,
        }
    }
}

#[derive(Default)]
pub(super) struct Counters {
    hits: Striped,
    misses: AtomicU64,
    loads: AtomicU64,
    failures: AtomicU64,
    evictions: AtomicU64,
    expirations: AtomicU64,
}

impl Counters {
    #[inline]
    pub(super) fn hit(&self) {
        self.hits.add_one();
    }

    pub(super) fn miss(&self) {
        self.misses.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn load(&self) {
        self.loads.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn failure(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn expiration(&self) {
        self.expirations.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn evicted(&self, count: usize) {
        self.evictions.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(super) fn snapshot(&self, size: usize, capacity: usize) -> CacheStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CacheStats {
            hits: self.hits.sum(),
            misses: read(&self.misses),
            loads: read(&self.loads),
            failures: read(&self.failures),
            evictions: read(&self.evictions),
            expirations: read(&self.expirations),
            size,
            capacity,
        }
    }
}

/// A counter without contention: each thread adds to its own cache line, as far as there are
/// enough.
#[derive(Default)]
struct Striped([Stripe; STRIPES]);

const STRIPES: usize = 8;

#[derive(Default)]
#[repr(align(64))]
struct Stripe(AtomicU64);

impl Striped {
    #[inline]
    fn add_one(&self) {
        thread_local! {
            static STRIPE: usize = {
                static NEXT: AtomicUsize = AtomicUsize::new(0);
                NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES
            };
        }
        // A thread that is ending has no number any more: use the first stripe.
        let stripe = STRIPE.try_with(|stripe| *stripe).unwrap_or(0);
        if let Some(Stripe(counter)) = self.0.get(stripe) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn sum(&self) -> u64 {
        self.0.iter().map(|Stripe(counter)| counter.load(Ordering::Relaxed)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn concurrent_hits_are_all_counted() {
        let counters = Counters::default();
        std::thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| (0..1_000).for_each(|_| counters.hit()));
            }
        });
        assert_eq!(counters.snapshot(1, 4).hits, 20_000);
        assert_eq!(counters.snapshot(1, 4).utilisation(), 0.25);
    }

    #[test]
    fn rates_without_reads_are_zero() {
        let stats = CacheStats::default();
        assert_eq!((stats.hit_rate(), stats.utilisation()), (0.0, 0.0));
    }
}
