//! The write locks that order the writes to a path.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cred_core::{CredentialPath, StorageError};
use tokio::sync::OwnedMutexGuard;
use tokio::time::timeout;

/// A fair lock for each path that is being written. Other paths use no memory.
#[derive(Default)]
pub(crate) struct WriteLocks(Mutex<HashMap<CredentialPath, Arc<tokio::sync::Mutex<()>>>>);

impl WriteLocks {
    /// Waits until all earlier writes of this path have ended, for at most `limit`: otherwise, a
    /// caller that keeps its future without polling it would block the path forever. Locks are
    /// granted in the order of the first poll. A cancelled waiter is removed from the queue.
    ///
    /// # Errors
    /// [`Busy`](cred_core::StorageErrorKind::Busy).
    pub(crate) async fn take(
        locks: &Arc<Self>,
        path: CredentialPath,
        limit: Duration,
    ) -> Result<WriteLock, StorageError> {
        let queue = Arc::clone(locks.lock().entry(path.clone()).or_default());
        let mut lock = WriteLock { locks: Arc::clone(locks), path, queue: Some(queue.clone()), held: None };
        // Dropped here, `lock` removes the queue if no other writer is in it. Tokio's mutex is
        // first in, first out.
        match timeout(limit, queue.lock_owned()).await {
            Ok(held) => lock.held = Some(held),
            Err(_) => {
                return Err(StorageError::busy(format!("earlier writes of it did not end within {limit:?}")));
            }
        }
        Ok(lock)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CredentialPath, Arc<tokio::sync::Mutex<()>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A position in the queue of a path, and then the right to write it, until dropped.
pub(crate) struct WriteLock {
    locks: Arc<WriteLocks>,
    path: CredentialPath,
    queue: Option<Arc<tokio::sync::Mutex<()>>>,
    held: Option<OwnedMutexGuard<()>>,
}

impl Drop for WriteLock {
    fn drop(&mut self) {
        self.held = None;
        let mut queues = self.locks.lock();
        // Every writer in the queue owns it through a `WriteLock` that is released under this lock:
        // a count of two, the map's and this one's, means that no other writer is in it, and none
        // can be added before the lock is released.
        if self.queue.take().is_some_and(|queue| Arc::strong_count(&queue) == 2) {
            queues.remove(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(9);

    async fn take(locks: &Arc<WriteLocks>, path: CredentialPath) -> WriteLock {
        WriteLocks::take(locks, path, LIMIT).await.unwrap()
    }

    fn path(text: &str) -> CredentialPath {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn locks_of_a_path_are_granted_in_call_order_and_other_paths_do_not_wait() {
        let locks = Arc::new(WriteLocks::default());
        let first = take(&locks, path("a")).await;
        let mut second = Box::pin(take(&locks, path("a")));
        let mut third = Box::pin(take(&locks, path("a")));
        assert!((&mut second).now_or_never().is_none());
        assert!((&mut third).now_or_never().is_none());
        assert!(take(&locks, path("org:x/a")).now_or_never().is_some(), "another path waited");

        drop(first);
        assert!((&mut third).now_or_never().is_none(), "the third writer got the lock before the second");
        drop(second.await);
        third.await;
    }

    #[tokio::test]
    async fn a_cancelled_waiter_is_removed_from_the_queue() {
        let locks = Arc::new(WriteLocks::default());
        let first = take(&locks, path("a")).await;
        let mut waiting = Box::pin(take(&locks, path("a")));
        assert!((&mut waiting).now_or_never().is_none());
        drop(waiting);
        assert_eq!(locks.lock().len(), 1);
        drop(first);
        assert!(locks.lock().is_empty());
    }

    #[tokio::test]
    async fn a_queue_with_a_waiter_is_never_removed() {
        let locks = Arc::new(WriteLocks::default());
        let first = take(&locks, path("a")).await;
        let mut second = Box::pin(take(&locks, path("a")));
        assert!((&mut second).now_or_never().is_none());
        drop(first);
        let mut late = Box::pin(take(&locks, path("a")));
        assert!((&mut late).now_or_never().is_none(), "two writers of one path at once");
        drop(second.await);
        late.await;
        assert!(locks.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_granted_lock_that_is_not_polled_blocks_others_only_until_their_limit() {
        let locks = Arc::new(WriteLocks::default());
        let first = take(&locks, path("a")).await;
        let mut kept = Box::pin(WriteLocks::take(&locks, path("a"), LIMIT));
        assert!((&mut kept).now_or_never().is_none());
        drop(first);
        let error = WriteLocks::take(&locks, path("a"), LIMIT).await.map(drop).unwrap_err();
        assert!(error.is_transient() && !error.may_have_written(), "{error}");
        drop(kept);
        take(&locks, path("a")).await;
        assert!(locks.lock().is_empty());
    }
}
