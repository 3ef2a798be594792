//! The state under the lock of the cache: in-flight loads, no-cache windows and the cached paths.

use std::collections::HashMap;
use std::time::Duration;

use cred_core::{CredentialPath, PathRef, ScopeId};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::Loaded;
use super::cached_paths::CachedPaths;
use super::call_queue::{CallQueue, CallRight};
use crate::windows::{NoCacheWindows, later};

pub(super) struct LoadTable {
    /// The loads that readers can share.
    loads: HashMap<CredentialPath, LoadResult>,
    pub(super) calls: CallQueue,
    pub(super) windows: NoCacheWindows,
    pub(super) cached: CachedPaths,
    /// The number of the last load.
    pub(super) last_number: u64,
}

impl LoadTable {
    pub(super) fn new(calls: CallQueue) -> Self {
        Self {
            loads: HashMap::default(),
            calls,
            windows: NoCacheWindows::default(),
            cached: CachedPaths::default(),
            last_number: 0,
        }
    }

    /// Adds a load, in place of the one that readers shared until now. With `ends`, it calls the
    /// provider together with another load, which ends by then; with `None`, it calls by itself.
    pub(super) fn add(
        &mut self,
        path: PathRef<'_>,
        now: Instant,
        ends: Option<Instant>,
    ) -> (LoadResult, watch::Sender<Option<Loaded>>, Option<CallRight>) {
        self.last_number = self.last_number.wrapping_add(1);
        let number = self.last_number;
        let right = ends.is_none().then(|| self.calls.enter(number, now));
        let limit = match (&right, ends) {
            (Some(right), _) => self.calls.limit(right),
            (None, ends) => ends.map_or(Duration::ZERO, |ends| ends.saturating_duration_since(now)),
        };
        let (sender, receiver) = watch::channel(None);
        let result = LoadResult { number, limit, deadline: later(now, limit), receiver };
        self.loads.insert(path.to_path(), result.clone());
        (result, sender, right)
    }

    /// The load that readers of this path can share.
    pub(super) fn shared(&self, path: PathRef<'_>) -> Option<&LoadResult> {
        self.loads.get(&path.to_path())
    }

    /// Stops sharing the path's load, whose result is then not cached.
    pub(super) fn unlink(&mut self, path: PathRef<'_>) -> Option<LoadResult> {
        self.loads.remove(&path.to_path())
    }

    /// As [`unlink`](Self::unlink), if the path's load is still the one with this number.
    pub(super) fn unlink_number(&mut self, path: PathRef<'_>, number: u64) -> Option<LoadResult> {
        let path = path.to_path();
        let is_linked = self.loads.get(&path).is_some_and(|load| load.number == number);
        is_linked.then(|| self.loads.remove(&path)).flatten()
    }

    /// As [`unlink`](Self::unlink), for every load in a subtree; `None`: for all.
    pub(super) fn unlink_within(&mut self, scope: Option<&ScopeId>) -> Vec<LoadResult> {
        let paths: Vec<CredentialPath> =
            self.loads.keys().filter(|path| path.is_within(scope)).cloned().collect();
        paths.iter().filter_map(|path| self.loads.remove(path)).collect()
    }

    /// Removes a load that has ended.
    pub(super) fn end(&mut self, path: PathRef<'_>, number: u64) -> Option<LoadResult> {
        self.calls.leave(number, Instant::now());
        self.unlink_number(path, number)
    }
}

/// The result of a load, for its readers. The load continues even if all of them are dropped.
#[derive(Clone)]
pub(crate) struct LoadResult {
    pub(super) number: u64,
    /// The maximum time of the load.
    pub(crate) limit: Duration,
    /// The time at which readers stop waiting.
    pub(crate) deadline: Instant,
    receiver: watch::Receiver<Option<Loaded>>,
}

/// The reason why a load has no result.
pub(crate) enum NoResult {
    /// It panicked, or its runtime was shut down.
    Ended,
    /// It did not end before its deadline.
    Overdue,
}

impl LoadResult {
    /// Waits for the result, until the load's deadline at most.
    pub(crate) async fn wait(&mut self) -> Result<Loaded, NoResult> {
        match timeout_at(self.deadline, self.receiver.wait_for(Option::is_some)).await {
            Ok(Ok(loaded)) => loaded.clone().ok_or(NoResult::Ended),
            Ok(Err(_)) => Err(NoResult::Ended),
            Err(_) => Err(NoResult::Overdue),
        }
    }
}
