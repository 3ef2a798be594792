//! Writes: one at a time per path, in call order, each in a task that outlives its caller.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cred_core::{CredentialPath, StorageError};
use tokio::sync::OwnedMutexGuard;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::ManagerError;

/// The running writes of a manager.
#[derive(Default)]
pub(crate) struct Writes {
    turns: Arc<Turns>,
    tasks: TaskTracker,
    closed: AtomicBool,
}

impl Writes {
    /// Waits until all earlier writes of this path have ended.
    ///
    /// The wait has no deadline of its own: each write before it has one, and who leaves the queue leaves no trace.
    pub(crate) async fn turn(&self, path: CredentialPath) -> Turn {
        Turns::take(&self.turns, path).await
    }

    /// Runs `write` in a task of the manager, which keeps `turn` until it ends, and waits for its answer. From here on
    /// dropping the caller's future changes nothing.
    ///
    /// # Errors
    /// What `write` answers; in doubt if it gave no answer within `limit`, panicked, or was ended by the runtime;
    /// [`ManagerError::ShutDown`] if it never began.
    pub(crate) async fn run<W>(&self, turn: Turn, limit: Duration, write: W) -> Result<(), ManagerError>
    where
        W: Future<Output = Result<(), StorageError>> + Send + 'static,
    {
        // The token comes before the look at `closed`: either this write sees the shutdown, or the shutdown sees it.
        let token = self.tasks.token();
        self.refuse_when_closed()?;
        let task = tokio::spawn(async move {
            let _until_the_end = (token, turn);
            timeout(limit, write).await
        });
        let in_doubt = |reason: &str| StorageError::in_doubt(reason.to_owned());
        Ok(match task.await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(in_doubt(&format!("the provider gave no answer within {limit:?}"))),
            Err(ended) if ended.is_panic() => Err(in_doubt("the provider panicked")),
            Err(_) => Err(in_doubt("the runtime ended it")),
        }?)
    }

    /// Lets no further write begin and waits for the running ones; each has a deadline.
    pub(crate) async fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.tasks.close();
        self.tasks.wait().await;
    }

    pub(crate) fn refuse_when_closed(&self) -> Result<(), ManagerError> {
        match self.closed.load(Ordering::SeqCst) {
            true => Err(ManagerError::ShutDown),
            false => Ok(()),
        }
    }
}

/// A fair lock per path that is being written; paths at rest take no room.
#[derive(Default)]
struct Turns(Mutex<HashMap<CredentialPath, Arc<tokio::sync::Mutex<()>>>>);

impl Turns {
    async fn take(turns: &Arc<Self>, path: CredentialPath) -> Turn {
        let queue = Arc::clone(turns.lock().entry(path.clone()).or_default());
        let mut turn = Turn { turns: Arc::clone(turns), path, queue: Some(queue.clone()), held: None };
        // Dropped here, `turn` takes the queue away again if nobody else is in it. Tokio's mutex is first in, first out.
        turn.held = Some(queue.lock_owned().await);
        turn
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CredentialPath, Arc<tokio::sync::Mutex<()>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the queue of a path, and then the right to write it, until dropped.
pub(crate) struct Turn {
    turns: Arc<Turns>,
    path: CredentialPath,
    queue: Option<Arc<tokio::sync::Mutex<()>>>,
    held: Option<OwnedMutexGuard<()>>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.held = None;
        let mut turns = self.turns.lock();
        // Everybody in the queue owns it through a `Turn` that lets go under this lock: a count of two, the map's and
        // this one's, means that nobody else is in it, and nobody can join before the lock is free.
        if self.queue.take().is_some_and(|queue| Arc::strong_count(&queue) == 2) {
            turns.remove(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn path(text: &str) -> CredentialPath {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn turns_of_a_path_come_in_call_order_and_other_paths_do_not_wait() {
        let writes = Writes::default();
        let first = writes.turn(path("a")).await;
        let mut second = Box::pin(writes.turn(path("a")));
        let mut third = Box::pin(writes.turn(path("a")));
        assert!((&mut second).now_or_never().is_none());
        assert!((&mut third).now_or_never().is_none());
        assert!(writes.turn(path("org:x/a")).now_or_never().is_some(), "another path waited");

        drop(first);
        assert!((&mut third).now_or_never().is_none(), "the third came before the second");
        drop(second.await);
        third.await;
    }

    #[tokio::test]
    async fn who_leaves_the_queue_leaves_no_trace() {
        let writes = Writes::default();
        let first = writes.turn(path("a")).await;
        let mut waiting = Box::pin(writes.turn(path("a")));
        assert!((&mut waiting).now_or_never().is_none());
        drop(waiting);
        assert_eq!(writes.turns.lock().len(), 1);
        drop(first);
        assert!(writes.turns.lock().is_empty());
    }

    #[tokio::test]
    async fn a_queue_with_somebody_in_it_is_never_taken_away() {
        let writes = Writes::default();
        let first = writes.turn(path("a")).await;
        let mut second = Box::pin(writes.turn(path("a")));
        assert!((&mut second).now_or_never().is_none());
        drop(first);
        let mut late = Box::pin(writes.turn(path("a")));
        assert!((&mut late).now_or_never().is_none(), "two writers of one path at once");
        drop(second.await);
        late.await;
        assert!(writes.turns.lock().is_empty());
    }
}
