//! How the cache does.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// How the cache has done since the manager was built. Each number is exact; read together they are
/// not one snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CacheStats {
    /// Reads that were answered from the cache.
    pub hits: u64,
    /// Reads that were not; they joined a load or began one.
    pub misses: u64,
    /// Loads that began: calls of the provider, one for each path of a batch.
    pub loads: u64,
    /// Loads that failed, or ended without an answer. An absent credential is an answer.
    pub failures: u64,
    /// Values that made room for others.
    pub evictions: u64,
    /// Values whose time was over when they were looked for.
    pub expirations: u64,
    /// Values that are cached now, those whose time is over and that nobody looked for included.
    pub size: usize,
    /// The most values that are cached.
    pub capacity: usize,
}

impl CacheStats {
    /// Hits among all reads, 0.0 to 1.0; 0.0 before the first.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a rate needs no more than 53 bits")]
    pub fn hit_rate(&self) -> f64 {
        match self.hits.saturating_add(self.misses) {
            0 => 0.0,
            reads => self.hits as f64 / reads as f64,
        }
    }

    /// Size among capacity, 0.0 to 1.0.
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

/// A counter that threads don't fight over: each adds to a cache line of its own, as far as there
/// are enough.
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
        // A thread that is ending has lost its number; the first stripe does.
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
    fn no_hit_is_lost_among_threads() {
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
    fn rates_of_nothing_are_zero() {
        let stats = CacheStats::default();
        assert_eq!((stats.hit_rate(), stats.utilisation()), (0.0, 0.0));
    }
}
