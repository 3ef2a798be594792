//! The tasks that a manager owns. A task that has begun runs to its end even if its caller is
//! dropped, and a shutdown waits for it.

mod gate;

use std::sync::atomic;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::ManagerError;
use gate::Gate;

/// The running tasks of a manager. Each has a deadline, so all of them end.
#[derive(Default)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
    gate: Gate,
    /// Cancelled when a shutdown begins: ends the waits that no task depends on.
    closing: CancellationToken,
}

impl Tasks {
    /// Starts a task, in the current span.
    ///
    /// # Errors
    /// [`ManagerError::ShutDown`]; the task was not started.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> Result<JoinHandle<T>, ManagerError> {
        // Either this task sees the shutdown, or the shutdown waits for this task: see `Gate`.
        let token = self.gate.enter(|| self.tracker.token()).ok_or(ManagerError::ShutDown)?;
        Ok(tokio::spawn(
            async move {
                let _until_the_end = token;
                task.await
            }
            .in_current_span(),
        ))
    }

    /// Begins a shutdown: no further task is started.
    pub(crate) fn close(&self) {
        self.gate.close();
        self.tracker.close();
        self.closing.cancel();
    }

    /// Waits for `wait` to end, unless a shutdown begins first.
    ///
    /// # Errors
    /// [`ManagerError::ShutDown`]; `wait` was dropped.
    pub(crate) async fn until_closed<T>(&self, wait: impl Future<Output = T>) -> Result<T, ManagerError> {
        self.closing.run_until_cancelled(wait).await.ok_or(ManagerError::ShutDown)
    }

    /// Waits for the running tasks, once closed.
    pub(crate) async fn ended(&self) {
        self.tracker.wait().await;
    }

    /// Whether a shutdown has begun.
    #[inline]
    pub(crate) fn are_closed(&self) -> bool {
        self.gate.is_closed()
    }

    /// # Errors
    /// [`ManagerError::ShutDown`] once a shutdown has begun.
    pub(crate) fn refuse_when_closed(&self) -> Result<(), ManagerError> {
        match self.are_closed() {
            true => Err(ManagerError::ShutDown),
            false => Ok(()),
        }
    }
}
