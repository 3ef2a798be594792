//! The cache: which values may be cached, and for how long.
//!
//! The map is `quick_cache`; this module adds the rules that keep its values correct. One lock
//! guards the *in-flight loads* (which readers can share), the *no-cache windows* (in which loaded
//! values are not cached) and the paths of all cached values:
//!
//! - An invalidation unlinks the path's in-flight load and removes its entry, in one step. A load
//!   caches its value only while it is still linked, so the link serves as the epoch.
//! - After a miss, a reader checks the map and the in-flight loads again in one step, so that it
//!   shares a load that has begun since.
//! - After a write of this manager, the path has a no-cache window for as long as a read can lag
//!   behind the write; if the outcome of the write is unknown, also for as long as it can still
//!   take effect. A load that starts in a window caches its value only if it is exactly the value
//!   that this manager wrote last, and no write with an unknown outcome can still replace it.
//! - At most one load of a path is linked. A refresh never shares a load that began before it: it
//!   waits until that load has ended, and then starts or shares the next one.
//! - No secret is dropped under the lock.

mod cached_paths;
mod call_queue;
mod load;
mod load_table;
mod stats;

use std::hash::RandomState;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cred_core::{Credential, CredentialPath, Lifecycle, PathRef, ScopeId};
use quick_cache::sync::Cache as Map;
use quick_cache::{DefaultHashBuilder, Lifecycle as MapLifecycle, Options, OptionsBuilder, UnitWeighter};
use tokio::time::Instant;

pub(crate) use load::{Cacheable, Load};
pub(crate) use load_table::{LoadResult, NoResult};
pub use stats::CacheStats;

use crate::ManagerError;
use crate::meter::Meter;
use crate::visibility::WriteTiming;
use crate::windows::LastWrite;
use call_queue::CallQueue;
use load_table::LoadTable;
use stats::Counters;

/// The result of a load. A credential that does not exist is `Ok(None)`.
pub(crate) type Loaded = Result<Option<Credential>, ManagerError>;

pub(crate) struct Cache {
    map: Map<CredentialPath, Entry, UnitWeighter, DefaultHashBuilder, CollectEvicted>,
    table: Mutex<LoadTable>,
    rules: Rules,
    counters: Counters,
    meter: Meter,
    size_reports: Mutex<()>,
    /// Held during a clear, so that a clear returns only after earlier ones have ended.
    clearing: Mutex<()>,
    jitter: RandomState,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// The longest time for which a loaded value is cached.
    pub(crate) ttl: Duration,
    /// The maximum number of cached values.
    pub(crate) capacity: usize,
    /// The maximum number of loads that call the provider at once.
    pub(crate) load_concurrency: NonZeroUsize,
    /// The maximum time for a load to read and open.
    pub(crate) call_limit: Duration,
    /// The maximum time for a load to wait before it calls the provider.
    pub(crate) wait_limit: Duration,
    pub(crate) timing: WriteTiming,
}

#[derive(Clone)]
struct Entry {
    credential: Credential,
    /// Fixed when its load started.
    deadline: Instant,
    /// The number of its load.
    number: u64,
}

/// The next step of a reader after a miss.
pub(crate) enum Miss {
    /// The value was loaded in the meantime.
    Hit(Credential),
    /// Wait for an in-flight load.
    Shared(LoadResult),
    /// Start this load.
    Start(Load, LoadResult),
}

/// The next step of a refresh.
pub(crate) enum Refresh {
    /// Wait until a load that began before the refresh has ended, and call `refresh` again.
    After(LoadResult),
    /// Wait for an in-flight load.
    Shared(LoadResult),
    /// Start this load.
    Start(Load, LoadResult),
}

impl Cache {
    pub(crate) fn new(rules: Rules, meter: Meter) -> Arc<Self> {
        let calls = CallQueue::new(rules.load_concurrency.get(), rules.call_limit, rules.wait_limit);
        Arc::new(Self {
            map: Map::with_options(
                options(rules.capacity),
                UnitWeighter,
                DefaultHashBuilder::default(),
                CollectEvicted,
            ),
            table: Mutex::new(LoadTable::new(calls)),
            rules,
            counters: Counters::default(),
            meter,
            size_reports: Mutex::default(),
            clearing: Mutex::default(),
            jitter: RandomState::new(),
        })
    }

    /// The cached value of a path.
    #[inline]
    pub(crate) fn get(&self, path: PathRef<'_>) -> Option<Credential> {
        let entry = self.map.get(&path)?;
        if Instant::now() < entry.deadline {
            self.counters.hit();
            return Some(entry.credential);
        }
        None
    }

    /// The lifecycle of the cached value of a path. Not counted as a read.
    pub(crate) fn lifecycle(&self, path: PathRef<'_>) -> Option<Lifecycle> {
        let entry = self.map.peek(&path).filter(|entry| Instant::now() < entry.deadline)?;
        entry.credential.lifecycle()
    }

    /// After a miss: shares the in-flight load, or starts one. With `ends`, the new load calls the
    /// provider together with another load, which ends by then; with `None`, it calls by itself.
    pub(crate) fn share_or_start(self: &Arc<Self>, path: PathRef<'_>, ends: Option<Instant>) -> Miss {
        let now = Instant::now();
        let mut table = self.table();
        // A load can have replaced the expired entry since the miss.
        let expired = self.map.remove_if(&path, |entry| entry.deadline <= now);
        if expired.is_some() {
            table.cached.remove(path);
            self.counters.expiration();
        } else if let Some(entry) = self.map.peek(&path) {
            self.counters.hit();
            return Miss::Hit(entry.credential);
        }
        self.counters.miss();
        let closed = table.windows.remove_closed(now);
        let shared = table.shared(path).filter(|result| now < result.deadline).cloned();
        let (miss, overdue) = match shared {
            Some(result) => (Miss::Shared(result), None),
            None => {
                let overdue = table.unlink(path);
                let (load, result) = self.start(&mut table, path, now, ends);
                (Miss::Start(load, result), overdue)
            }
        };
        drop(table);
        if expired.is_some() {
            self.size_changed();
        }
        drop((expired, closed, overdue));
        miss
    }

    /// The number of the last load that has begun.
    pub(crate) fn last_number(&self) -> u64 {
        self.table().last_number
    }

    /// For a refresh that began when `last_number` was the number of the last load: shares or
    /// starts a later load.
    pub(crate) fn refresh(self: &Arc<Self>, path: PathRef<'_>, last_number: u64) -> Refresh {
        let mut table = self.table();
        match table.shared(path) {
            Some(result) if result.number <= last_number => Refresh::After(result.clone()),
            Some(result) => Refresh::Shared(result.clone()),
            None => {
                let (load, result) = self.start(&mut table, path, Instant::now(), None);
                Refresh::Start(load, result)
            }
        }
    }

    fn start(
        self: &Arc<Self>,
        table: &mut LoadTable,
        path: PathRef<'_>,
        now: Instant,
        ends: Option<Instant>,
    ) -> (Load, LoadResult) {
        let last_write = table.windows.last_write(path, now);
        let (result, sender, right) = table.add(path, now, ends);
        self.counters.load();
        let cache = Arc::clone(self);
        let load = Load::new(cache, path.to_path(), result.number, sender, right, now, last_write);
        (load, result)
    }

    /// Invalidates a path after a write that has ended or may still take effect later: earlier
    /// values are not returned any more.
    pub(crate) fn invalidate(&self, path: PathRef<'_>, last_write: LastWrite) {
        let window = self.rules.timing.latest(last_write == LastWrite::Unknown);
        let mut table = self.table();
        let closed = match window.is_zero() {
            true => Vec::new(),
            false => table.windows.open(path, Instant::now(), window, last_write),
        };
        let unlinked = table.unlink(path);
        let removed = self.remove(&mut table, path);
        drop(table);
        drop((closed, unlinked, removed));
        self.size_changed();
    }

    /// Stops sharing a load that did not end in time. It still returns its result to its waiting
    /// readers, but does not cache it.
    pub(crate) fn cancel(&self, path: PathRef<'_>, result: &LoadResult) {
        let unlinked = self.table().unlink_number(path, result.number);
        drop(unlinked);
    }

    /// Removes the value of one path. The result of an in-flight load is not cached either.
    pub(crate) fn clear_path(&self, path: PathRef<'_>) {
        let mut table = self.table();
        let unlinked = table.unlink(path);
        let removed = self.remove(&mut table, path);
        drop(table);
        drop((unlinked, removed));
        self.size_changed();
    }

    /// As [`clear_path`](Self::clear_path), for a subtree; `None`: for all paths.
    ///
    /// The lock is held while the loads are unlinked and the cached paths are taken, but not while
    /// the values are removed: a value that was loaded since has a higher number, and stays.
    pub(crate) fn clear(&self, scope: Option<&ScopeId>) {
        let _until_the_end = self.clearing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut table = self.table();
        let last_number = table.last_number;
        let unlinked = table.unlink_within(scope);
        let cached = table.cached.take_within(scope);
        drop(table);
        drop(unlinked);
        for (scope, ids) in cached {
            for id in ids {
                let path = PathRef::new(scope.as_ref(), &id);
                drop(self.map.remove_if(&path, |entry| entry.number <= last_number));
            }
        }
        self.size_changed();
    }

    /// Lets no further load call the provider: waiting loads end.
    pub(crate) fn close(&self) {
        self.table().calls.close();
    }

    pub(crate) fn stats(&self) -> CacheStats {
        self.counters.snapshot(self.map.len(), self.rules.capacity)
    }

    /// Reports the size. Called outside of the lock: it reads every shard.
    fn size_changed(&self) {
        // Read and reported under one lock, so that the last report is not of an earlier size.
        let _reports = self.size_reports.lock().unwrap_or_else(PoisonError::into_inner);
        self.meter.cache_size(|| self.map.len());
    }

    fn remove(&self, table: &mut LoadTable, path: PathRef<'_>) -> Option<(CredentialPath, Entry)> {
        let removed = self.map.remove(&path);
        if removed.is_some() {
            table.cached.remove(path);
        }
        removed
    }

    fn table(&self) -> MutexGuard<'_, LoadTable> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The minimum capacity of a shard. The hash of a path selects its shard, and small shards fill
/// more unevenly.
const SHARD: usize = 256;

/// The map's options. Each shard has its own bound; their sum is at most `capacity`.
#[expect(clippy::expect_used, reason = "it fails only if one of the two capacities is not set")]
fn options(capacity: usize) -> Options {
    let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let mut shards = threads.saturating_mul(4).next_power_of_two();
    while shards > 1 && capacity / shards < SHARD {
        shards /= 2;
    }
    let bound = capacity / shards * shards;
    OptionsBuilder::new()
        .shards(shards)
        .estimated_items_capacity(bound)
        .weight_capacity(bound.try_into().unwrap_or(u64::MAX))
        .build()
        .expect("both capacities are set")
}

/// Returns evicted entries to the caller of an insert, which drops them outside of every lock.
#[derive(Clone)]
struct CollectEvicted;

impl MapLifecycle<CredentialPath, Entry> for CollectEvicted {
    type RequestState = Vec<(CredentialPath, Entry)>;

    fn on_evict(&self, evicted: &mut Self::RequestState, path: CredentialPath, entry: Entry) {
        evicted.push((path, entry));
    }
}

#[cfg(test)]
mod tests {
    use cred_core::{Consistency, Description, EncryptedData};

    use super::*;
    use crate::windows::Seal;

    fn cache(capacity: usize) -> Arc<Cache> {
        let timing = WriteTiming { consistency: Consistency::Strong, in_doubt: Duration::ZERO };
        let rules = Rules {
            ttl: Duration::from_secs(9),
            capacity,
            load_concurrency: NonZeroUsize::MIN,
            call_limit: Duration::from_secs(9),
            wait_limit: Duration::from_secs(9),
            timing,
        };
        Cache::new(rules, Meter::new(&Description::new("test", Duration::ZERO)))
    }

    fn seal() -> Seal {
        let data =
            EncryptedData::new("main".parse().unwrap(), [1; 32], [2; 32], [3; 12], Vec::new(), [4; 16]);
        Seal::of(&data, &RandomState::new())
    }

    fn load(cache: &Arc<Cache>, path: &CredentialPath) -> bool {
        if cache.get(path.as_path_ref()).is_some() {
            return false;
        }
        let Miss::Start(load, _) = cache.share_or_start(path.as_path_ref(), None) else {
            panic!("there is another reader")
        };
        load.complete(Ok(Some(Cacheable { credential: Credential::text("x"), seal: seal() })));
        true
    }

    #[test]
    fn the_capacity_is_a_bound_for_every_size() {
        for capacity in (1..=40).chain([255, 256, 257, 511, 512, 999, 1_000, 1_001, 4_097, 10_000]) {
            let cache = cache(capacity);
            for number in 0..capacity * 3 {
                // Some are read again, so that the eviction policy keeps them.
                load(&cache, &format!("id{}", number % (capacity * 2)).parse().unwrap());
                load(&cache, &format!("id{}", number % 7).parse().unwrap());
                let stats = cache.stats();
                assert!(stats.size <= capacity && stats.utilisation() <= 1.0, "{capacity}: {stats:?}");
            }
        }
    }

    #[test]
    fn a_small_cache_holds_exactly_its_capacity() {
        for capacity in [1, 2, 3, 10, 100, 511] {
            let cache = cache(capacity);
            let paths: Vec<CredentialPath> =
                (0..capacity).map(|number| format!("id{number}").parse().unwrap()).collect();
            for round in 0..3 {
                let misses = paths.iter().filter(|path| load(&cache, path)).count();
                assert_eq!(misses, if round == 0 { capacity } else { 0 }, "{capacity}");
            }
            assert_eq!(cache.stats().size, capacity);
        }
    }

    #[test]
    fn a_default_cache_evicts_nothing_before_three_quarters_are_used() {
        let cache = cache(crate::CredentialManagerBuilder::DEFAULT_CACHE_MAX_SIZE);
        for number in 0..cache.rules.capacity * 3 / 4 {
            load(&cache, &format!("id{number}").parse().unwrap());
        }
        assert_eq!(cache.stats().evictions, 0);
    }

    #[test]
    fn evicted_and_removed_paths_are_removed_from_the_cached_paths() {
        let cache = cache(10);
        for number in 0..100 {
            let path: CredentialPath = format!("org:a/id{number}").parse().unwrap();
            load(&cache, &path);
            if number % 3 == 0 {
                cache.clear_path(path.as_path_ref());
            }
        }
        let (cached, size) = (cache.table().cached.take_within(None), cache.stats().size);
        assert_eq!(cached.iter().map(|(_, ids)| ids.len()).sum::<usize>(), size);
    }

    #[test]
    fn a_value_that_is_loaded_while_a_tenant_is_cleared_stays() {
        let cache = cache(10);
        let path: CredentialPath = "org:a/id".parse().unwrap();
        load(&cache, &path);
        let before = cache.last_number();
        cache.clear(path.scope.as_ref());
        assert!(load(&cache, &path), "it was not cleared");
        // As at the end of a slow clear: only older values are removed.
        assert!(cache.map.remove_if(&path.as_path_ref(), |entry| entry.number <= before).is_none());
        assert!(!load(&cache, &path));
    }

    #[test]
    fn a_clear_returns_only_after_the_values_are_removed() {
        let cache = cache(40_000);
        let paths: Vec<CredentialPath> =
            (0..20_000).map(|number| format!("id{number}").parse().unwrap()).collect();
        for _ in 0..5 {
            paths.iter().for_each(|path| assert!(load(&cache, path)));
            std::thread::scope(|scope| {
                scope.spawn(|| cache.clear(None));
                while cache.stats().size == paths.len() {
                    std::hint::spin_loop();
                }
                cache.clear(None);
                assert_eq!(cache.stats().size, 0, "the other clear has not ended");
            });
        }
    }

    #[test]
    fn a_value_that_is_loaded_between_the_miss_and_the_lock_is_found() {
        let cache = cache(9);
        let path: CredentialPath = "org:a/id".parse().unwrap();
        assert!(cache.get(path.as_path_ref()).is_none());
        assert!(load(&cache, &path));
        assert!(matches!(cache.share_or_start(path.as_path_ref(), None), Miss::Hit(_)), "loaded twice");
        let stats = cache.stats();
        assert_eq!((stats.hits, stats.misses, stats.loads), (1, 1, 1), "the second read was not a hit");
    }

    #[test]
    fn a_load_that_ends_without_a_result_counts_as_a_failure() {
        let cache = cache(9);
        let path: CredentialPath = "org:a/id".parse().unwrap();
        let Miss::Start(load, _) = cache.share_or_start(path.as_path_ref(), None) else {
            panic!("expected to start a load")
        };
        drop(load);
        assert_eq!(cache.stats().failures, 1);
        let Miss::Start(load, _) = cache.share_or_start(path.as_path_ref(), None) else {
            panic!("expected to start a second load")
        };
        load.complete(Ok(None));
        assert_eq!(cache.stats().failures, 1);
    }
}
