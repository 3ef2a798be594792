//! The cache: which value may be kept, and for how long.
//!
//! The map is `quick_cache`; what is here are the rules that make its answers true. One lock guards the *in_flight* (loads
//! that readers can join) and the *quiet times* (while nothing that is loaded may be kept):
//!
//! - An invalidation unlinks the path's flight and removes its entry, in one step. A load keeps its value only while its
//!   flight is still linked: the flight is the epoch.
//! - A miss looks at the map and the in_flight again in one step, so that it joins what has begun since.
//! - After a write of this manager its path is quiet for as long as a read may lag behind the write; after one in doubt,
//!   for as long as it may still take effect besides. What is loaded from a moment in a quiet time on is not kept.
//!   Quiet times only lengthen.
//! - Nothing that holds a secret is dropped under the lock.

mod load;
mod load_table;
mod stats;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cred_core::{Credential, CredentialPath, PathRef, ScopeId};
use quick_cache::sync::Cache as Map;
use quick_cache::{DefaultHashBuilder, Lifecycle, UnitWeighter};
use tokio::time::Instant;

pub(crate) use load::Load;
pub(crate) use load_table::LoadAnswer;
pub use stats::CacheStats;

use crate::ManagerError;
use crate::visibility::WriteTiming;
use load_table::{InFlightLoad, LoadTable};
use stats::Counters;

/// What a load gives: absence is an answer.
pub(crate) type Loaded = Result<Option<Credential>, ManagerError>;

pub(crate) struct Cache {
    map: Map<CredentialPath, Entry, UnitWeighter, DefaultHashBuilder, CollectEvicted>,
    load_table: Mutex<LoadTable>,
    rules: Rules,
    capacity: usize,
    counters: Counters,
}

/// How long what may be kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// How long a loaded value is kept.
    pub(crate) ttl: Duration,
    pub(crate) timing: WriteTiming,
}

#[derive(Clone)]
struct Entry {
    credential: Credential,
    /// Fixed when its load started.
    deadline: Instant,
}

/// What a miss came to.
pub(crate) enum Miss {
    /// The value was loaded in the meantime.
    Hit(Credential),
    /// Somebody loads it already.
    Joined(LoadAnswer),
    /// It is to be loaded.
    Load(Load, LoadAnswer),
}

impl Cache {
    pub(crate) fn new(capacity: usize, rules: Rules) -> Arc<Self> {
        let weight = u64::try_from(capacity).unwrap_or(u64::MAX);
        let map = Map::with(capacity, weight, UnitWeighter, DefaultHashBuilder::default(), CollectEvicted);
        Arc::new(Self { map, load_table: Mutex::default(), rules, capacity, counters: Counters::default() })
    }

    /// The value of a path, if it may be handed out.
    #[inline]
    pub(crate) fn get(&self, path: PathRef<'_>) -> Option<Credential> {
        let entry = self.map.get(&path)?;
        if Instant::now() < entry.deadline {
            self.counters.hit();
            return Some(entry.credential);
        }
        None
    }

    /// After a miss: joins the load that is under way, or begins one.
    pub(crate) fn join(self: &Arc<Self>, path: PathRef<'_>) -> Miss {
        let now = Instant::now();
        // Only if it is still the expired one: a fresh value must not go with it.
        let expired = self.map.remove_if(&path, |entry| entry.deadline <= now);
        if expired.is_some() {
            self.counters.expiration();
        }
        let mut load_table = self.load_table();
        if let Some(entry) = self.map.peek(&path).filter(|entry| now < entry.deadline) {
            self.counters.hit();
            return Miss::Hit(entry.credential);
        }
        self.counters.miss();
        if let Some(flight) = load_table.in_flight.get(&path.to_owned()) {
            return Miss::Joined(flight.answer());
        }
        let (lead, answer, _) = self.link(&mut load_table, path, now);
        drop(load_table);
        Miss::Load(lead, answer)
    }

    /// Begins a load whatever is cached or under way. An earlier flight still answers its readers, but keeps nothing.
    pub(crate) fn lead_anew(self: &Arc<Self>, path: PathRef<'_>) -> (Load, LoadAnswer) {
        let mut load_table = self.load_table();
        let (lead, answer, unlinked) = self.link(&mut load_table, path, Instant::now());
        drop(load_table);
        drop(unlinked);
        (lead, answer)
    }

    fn link(
        self: &Arc<Self>,
        load_table: &mut LoadTable,
        path: PathRef<'_>,
        now: Instant,
    ) -> (Load, LoadAnswer, Option<InFlightLoad>) {
        let keep = !load_table.quiet.is_quiet(path, now);
        let (flight, sender, answer) = load_table.new_load();
        let lead = Load::new(Arc::clone(self), path.to_owned(), flight.number(), sender, now, keep);
        let unlinked = load_table.in_flight.insert(path.to_owned(), flight);
        self.counters.load();
        (lead, answer, unlinked)
    }

    /// A write of this path has ended, or may have: what was loaded before is not handed out any more.
    pub(crate) fn invalidate(&self, path: PathRef<'_>, in_doubt: bool) {
        let quiet = self.rules.timing.latest(in_doubt);
        let mut load_table = self.load_table();
        if !quiet.is_zero() {
            load_table.quiet.lengthen(path, Instant::now(), quiet);
        }
        let unlinked = load_table.unlink(path);
        let removed = self.map.remove(&path);
        drop(load_table);
        drop((unlinked, removed));
    }

    /// Nobody joins this load any more, if it is still the one that is joined. It still answers those who wait, and keeps nothing.
    pub(crate) fn give_up(&self, path: PathRef<'_>, answer: &LoadAnswer) {
        let mut load_table = self.load_table();
        let unlinked = match load_table.in_flight.get(&path.to_owned()) {
            Some(flight) if flight.answer().same_channel(answer) => load_table.unlink(path),
            _ => None,
        };
        drop(load_table);
        drop(unlinked);
    }

    /// Forgets what is cached and lets nothing that is being loaded be kept: one path.
    pub(crate) fn clear_path(&self, path: PathRef<'_>) {
        let mut load_table = self.load_table();
        let unlinked = load_table.unlink(path);
        let removed = self.map.remove(&path);
        drop(load_table);
        drop((unlinked, removed));
    }

    /// As [`clear_path`](Self::clear_path), for all paths of a subtree; without a scope, for everything.
    pub(crate) fn clear(&self, scope: Option<&ScopeId>) {
        let mut load_table = self.load_table();
        let flying: Vec<CredentialPath> =
            load_table.in_flight.keys().filter(|path| path.is_within(scope)).cloned().collect();
        let unlinked: Vec<InFlightLoad> =
            flying.iter().filter_map(|path| load_table.in_flight.remove(path)).collect();
        let cached: Vec<CredentialPath> =
            self.map.iter().map(|(path, _)| path).filter(|path| path.is_within(scope)).collect();
        let removed: Vec<_> = cached.iter().filter_map(|path| self.map.remove(path)).collect();
        drop(load_table);
        drop((unlinked, removed));
    }

    pub(crate) fn stats(&self) -> CacheStats {
        self.counters.snapshot(self.map.len(), self.capacity)
    }

    fn load_table(&self) -> MutexGuard<'_, LoadTable> {
        self.load_table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hands evicted entries to whoever inserted, to be dropped outside every lock.
#[derive(Clone)]
struct CollectEvicted;

impl Lifecycle<CredentialPath, Entry> for CollectEvicted {
    type RequestState = Vec<(CredentialPath, Entry)>;

    fn on_evict(&self, evicted: &mut Self::RequestState, path: CredentialPath, entry: Entry) {
        evicted.push((path, entry));
    }
}

#[cfg(test)]
mod tests {
    use cred_core::Consistency;

    use super::*;

    fn rules() -> Rules {
        let timing = WriteTiming { consistency: Consistency::Strong, in_doubt: Duration::ZERO };
        Rules { ttl: Duration::from_secs(9), timing }
    }

    #[test]
    fn a_value_that_came_in_between_look_and_join_is_found() {
        let cache = Cache::new(9, rules());
        let path: CredentialPath = "org:a/id".parse().unwrap();
        assert!(cache.get(path.as_ref()).is_none());
        let Miss::Load(lead, _) = cache.join(path.as_ref()) else { panic!("nobody else loads it") };
        lead.land(Ok(Some(Credential::text("x"))));
        assert!(matches!(cache.join(path.as_ref()), Miss::Hit(_)), "loaded twice");
        let stats = cache.stats();
        assert_eq!(
            (stats.hits, stats.misses, stats.loads),
            (1, 1, 1),
            "the second was answered from the cache"
        );
    }

    #[test]
    fn a_load_that_ends_without_an_answer_has_failed() {
        let cache = Cache::new(9, rules());
        let path: CredentialPath = "org:a/id".parse().unwrap();
        let Miss::Load(lead, _) = cache.join(path.as_ref()) else { panic!("nobody else loads it") };
        drop(lead);
        assert_eq!(cache.stats().failures, 1);
        let Miss::Load(lead, _) = cache.join(path.as_ref()) else { panic!("nobody loads it any more") };
        lead.land(Ok(None));
        assert_eq!(cache.stats().failures, 1);
    }
}
