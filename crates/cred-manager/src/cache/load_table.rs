//! The contents of the cache's one lock: in-flight loads, no-cache windows and the cached paths.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cred_core::{CredentialPath, PathRef, ScopeId};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, timeout_at};

use super::Loaded;
use super::cached_paths::CachedPaths;
use crate::windows::{NoCacheWindows, later};

#[derive(Default)]
pub(super) struct LoadTable {
    /// The loads that readers can share.
    pub(super) loads: HashMap<CredentialPath, InFlightLoad>,
    pub(super) windows: NoCacheWindows,
    pub(super) cached: CachedPaths,
    /// The number of the last load.
    pub(super) last_number: u64,
}

/// A load that readers can share. Later loads have higher numbers.
pub(super) struct InFlightLoad {
    pub(super) result: LoadResult,
    permit: LoadPermit,
}

impl LoadTable {
    /// Adds a load, in place of the one that readers shared until now.
    pub(super) fn add(
        &mut self,
        path: PathRef<'_>,
        now: Instant,
        limit: Duration,
    ) -> (LoadResult, watch::Sender<Option<Loaded>>, LoadPermit) {
        self.last_number = self.last_number.wrapping_add(1);
        let (sender, receiver) = watch::channel(None);
        let result = LoadResult { number: self.last_number, deadline: later(now, limit), receiver };
        let permit = LoadPermit::default();
        let load = InFlightLoad { result: result.clone(), permit: permit.clone() };
        self.loads.insert(path.to_owned(), load);
        (result, sender, permit)
    }

    /// The load that readers of this path can share.
    pub(super) fn shared(&self, path: PathRef<'_>) -> Option<&LoadResult> {
        self.loads.get(&path.to_owned()).map(|load| &load.result)
    }

    /// Stops sharing the path's load, which then caches nothing.
    pub(super) fn unlink(&mut self, path: PathRef<'_>) -> Option<InFlightLoad> {
        self.loads.remove(&path.to_owned())
    }

    /// As [`unlink`](Self::unlink), if the path's load still is the one with this number.
    pub(super) fn unlink_number(&mut self, path: PathRef<'_>, number: u64) -> Option<InFlightLoad> {
        let path = path.to_owned();
        let is_linked = self.loads.get(&path).is_some_and(|load| load.result.number == number);
        is_linked.then(|| self.loads.remove(&path)).flatten()
    }

    /// As [`unlink`](Self::unlink), for every load in a subtree; `None`: for all.
    pub(super) fn unlink_within(&mut self, scope: Option<&ScopeId>) -> Vec<InFlightLoad> {
        self.unlink_all(|path, _| path.is_within(scope))
    }

    /// As [`unlink`](Self::unlink), for every load whose deadline has passed: the runtime that it
    /// runs on may have stopped.
    pub(super) fn unlink_overdue(&mut self, now: Instant) -> Vec<InFlightLoad> {
        self.unlink_all(|_, load| load.result.deadline <= now)
    }

    fn unlink_all(&mut self, which: impl Fn(&CredentialPath, &InFlightLoad) -> bool) -> Vec<InFlightLoad> {
        let found = self.loads.iter().filter(|(path, load)| which(path, load));
        let paths: Vec<CredentialPath> = found.map(|(path, _)| path.clone()).collect();
        paths.iter().filter_map(|path| self.loads.remove(path)).collect()
    }
}

impl InFlightLoad {
    /// Lets another load run in place of this one, which no process may drive any more.
    pub(super) fn release_permit(&self) {
        let permit = self.permit.slot().take();
        drop(permit);
    }
}

/// Where the readers of a load find its result. It outlives every one of them.
#[derive(Clone)]
pub(crate) struct LoadResult {
    pub(super) number: u64,
    /// When readers stop waiting for it.
    pub(super) deadline: Instant,
    receiver: watch::Receiver<Option<Loaded>>,
}

/// Why a load gave no result.
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

/// The right of one load to call the provider. Shared by the load and the load table, so that the
/// table can take it from a load that no process drives any more.
#[derive(Clone, Default)]
pub(crate) struct LoadPermit(Arc<Mutex<Option<OwnedSemaphorePermit>>>);

impl LoadPermit {
    pub(super) fn hold(&self, permit: OwnedSemaphorePermit) {
        *self.slot() = Some(permit);
    }

    pub(super) fn is_held(&self) -> bool {
        self.slot().is_some()
    }

    fn slot(&self) -> MutexGuard<'_, Option<OwnedSemaphorePermit>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
