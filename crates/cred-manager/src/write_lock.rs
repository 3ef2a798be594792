//! Whose turn it is to write a path.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cred_core::{CredentialPath, StorageError};
use tokio::sync::OwnedMutexGuard;
use tokio::time::timeout;

/// A fair lock per path that is being written; paths at rest take no room.
#[derive(Default)]
pub(crate) struct WriteLocks(Mutex<HashMap<CredentialPath, Arc<tokio::sync::Mutex<()>>>>);

impl WriteLocks {
    /// Waits until all earlier writes of this path have ended, and no longer than `limit`: one whose caller keeps its
    /// future but does not poll it would block the path for ever. WriteLocks come in the order of the first poll, and who
    /// leaves the queue leaves no trace.
    ///
    /// # Errors
    /// [`Busy`](cred_core::StorageErrorKind::Busy).
    pub(crate) async fn take(
        write_lock: &Arc<Self>,
        path: CredentialPath,
        limit: Duration,
    ) -> Result<WriteLock, StorageError> {
        let queue = Arc::clone(write_lock.lock().entry(path.clone()).or_default());
        let mut turn =
            WriteLock { write_lock: Arc::clone(write_lock), path, queue: Some(queue.clone()), held: None };
        // Dropped here, `turn` takes the queue away again if nobody else is in it. Tokio's mutex is first in, first out.
        match timeout(limit, queue.lock_owned()).await {
            Ok(held) => turn.held = Some(held),
            Err(_) => {
                return Err(StorageError::busy(format!("the writes before it did not end within {limit:?}")));
            }
        }
        Ok(turn)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CredentialPath, Arc<tokio::sync::Mutex<()>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the queue of a path, and then the right to write it, until dropped.
pub(crate) struct WriteLock {
    write_lock: Arc<WriteLocks>,
    path: CredentialPath,
    queue: Option<Arc<tokio::sync::Mutex<()>>>,
    held: Option<OwnedMutexGuard<()>>,
}

impl Drop for WriteLock {
    fn drop(&mut self) {
        self.held = None;
        let mut write_lock = self.write_lock.lock();
        // Everybody in the queue owns it through a `WriteLock` that lets go under this lock: a count of two, the map's and
        // this one's, means that nobody else is in it, and nobody can join before the lock is free.
        if self.queue.take().is_some_and(|queue| Arc::strong_count(&queue) == 2) {
            write_lock.remove(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(9);

    async fn take(write_lock: &Arc<WriteLocks>, path: CredentialPath) -> WriteLock {
        WriteLocks::take(write_lock, path, LIMIT).await.unwrap()
    }

    fn path(text: &str) -> CredentialPath {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn turns_of_a_path_come_in_call_order_and_other_paths_do_not_wait() {
        let write_lock = Arc::new(WriteLocks::default());
        let first = take(&write_lock, path("a")).await;
        let mut second = Box::pin(take(&write_lock, path("a")));
        let mut third = Box::pin(take(&write_lock, path("a")));
        assert!((&mut second).now_or_never().is_none());
        assert!((&mut third).now_or_never().is_none());
        assert!(take(&write_lock, path("org:x/a")).now_or_never().is_some(), "another path waited");

        drop(first);
        assert!((&mut third).now_or_never().is_none(), "the third came before the second");
        drop(second.await);
        third.await;
    }

    #[tokio::test]
    async fn who_leaves_the_queue_leaves_no_trace() {
        let write_lock = Arc::new(WriteLocks::default());
        let first = take(&write_lock, path("a")).await;
        let mut waiting = Box::pin(take(&write_lock, path("a")));
        assert!((&mut waiting).now_or_never().is_none());
        drop(waiting);
        assert_eq!(write_lock.lock().len(), 1);
        drop(first);
        assert!(write_lock.lock().is_empty());
    }

    #[tokio::test]
    async fn a_queue_with_somebody_in_it_is_never_taken_away() {
        let write_lock = Arc::new(WriteLocks::default());
        let first = take(&write_lock, path("a")).await;
        let mut second = Box::pin(take(&write_lock, path("a")));
        assert!((&mut second).now_or_never().is_none());
        drop(first);
        let mut late = Box::pin(take(&write_lock, path("a")));
        assert!((&mut late).now_or_never().is_none(), "two writers of one path at once");
        drop(second.await);
        late.await;
        assert!(write_lock.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_the_turn_and_does_not_use_it_makes_others_busy_for_a_time_only() {
        let write_lock = Arc::new(WriteLocks::default());
        let first = take(&write_lock, path("a")).await;
        let mut kept = Box::pin(WriteLocks::take(&write_lock, path("a"), LIMIT));
        assert!((&mut kept).now_or_never().is_none());
        drop(first);
        let error = WriteLocks::take(&write_lock, path("a"), LIMIT).await.map(drop).unwrap_err();
        assert!(error.is_transient() && !error.may_have_written(), "{error}");
        drop(kept);
        take(&write_lock, path("a")).await;
        assert!(write_lock.lock().is_empty());
    }
}
