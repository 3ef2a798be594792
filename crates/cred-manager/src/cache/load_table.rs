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
    loads: HashMap<CredentialPath, LoadResult>,
    /// The permits of all running loads by number, and when each load should have ended. A load that
    /// is not shared any more still has its permit.
    permits: HashMap<u64, (Instant, LoadPermit)>,
    pub(super) windows: NoCacheWindows,
    pub(super) cached: CachedPaths,
    /// The number of the last load.
    pub(super) last_number: u64,
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
        self.loads.insert(path.to_owned(), result.clone());
        self.permits.insert(result.number, (result.deadline, permit.clone()));
        (result, sender, permit)
    }

    /// The load that readers of this path can share.
    pub(super) fn shared(&self, path: PathRef<'_>) -> Option<&LoadResult> {
        self.loads.get(&path.to_owned())
    }

    /// Stops sharing the path's load, which then caches nothing.
    pub(super) fn unlink(&mut self, path: PathRef<'_>) -> Option<LoadResult> {
        self.loads.remove(&path.to_owned())
    }

    /// As [`unlink`](Self::unlink), if the path's load still is the one with this number.
    pub(super) fn unlink_number(&mut self, path: PathRef<'_>, number: u64) -> Option<LoadResult> {
        let path = path.to_owned();
        let is_linked = self.loads.get(&path).is_some_and(|load| load.number == number);
        is_linked.then(|| self.loads.remove(&path)).flatten()
    }

    /// As [`unlink`](Self::unlink), for every load in a subtree; `None`: for all.
    pub(super) fn unlink_within(&mut self, scope: Option<&ScopeId>) -> Vec<LoadResult> {
        let paths: Vec<CredentialPath> =
            self.loads.keys().filter(|path| path.is_within(scope)).cloned().collect();
        paths.iter().filter_map(|path| self.loads.remove(path)).collect()
    }

    /// A load has ended.
    pub(super) fn end(&mut self, path: PathRef<'_>, number: u64) -> Option<LoadResult> {
        self.permits.remove(&number);
        self.unlink_number(path, number)
    }

    /// The permits of all loads whose deadline has passed: the runtime that they run on may have
    /// stopped.
    #[must_use]
    pub(super) fn overdue(&self, now: Instant) -> Vec<LoadPermit> {
        let overdue = self.permits.values().filter(|(deadline, _)| *deadline <= now);
        overdue.map(|(_, permit)| permit.clone()).collect()
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

/// The right of one load to call the provider. Shared by the load and the load table, so that it can
/// be taken from a load that no process drives any more.
#[derive(Clone, Default)]
pub(crate) struct LoadPermit(Arc<Mutex<Option<OwnedSemaphorePermit>>>);

impl LoadPermit {
    /// Lets another load call in place of this one.
    pub(super) fn release(&self) {
        let permit = self.slot().take();
        drop(permit);
    }

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
