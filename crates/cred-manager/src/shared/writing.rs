//! Writes to the provider. They run under the path's write lock, in tasks of the manager.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use cred_core::{CredentialPath, EncryptedData, Operation, StorageError};
use futures_util::FutureExt as _;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use tracing::warn;

use super::Shared;
use crate::ManagerError;
use crate::cache::Cache;
use crate::conditional::is_conflict;
use crate::keys::WriteToken;
use crate::meter::Meter;
use crate::observe::outcome_of;
use crate::visibility::{UnresolvedWrites, Writer};
use crate::windows::{LastWrite, Seal};
use crate::write_lock::{WriteLock, WriteLocks};

impl Shared {
    /// Takes the write lock of a path for a caller's write. Waits for it no longer than an answer
    /// of the provider may take, and then, holding the lock, until no uncertain write of a re-key
    /// can undo the write.
    ///
    /// # Errors
    /// - [`Busy`](StorageErrorKind::Busy) if the lock is not free in time, or if the second wait
    ///   would take longer than an answer of the provider may take.
    /// - [`ManagerError::ShutDown`] if a shutdown begins while it waits for the re-key.
    pub(crate) async fn lock_for_caller(
        &self,
        operation: Operation,
        path: &CredentialPath,
    ) -> Result<WriteLock, ManagerError> {
        let lock = self.write_lock(operation, path).await?;
        self.wait_for(self.unresolved.rekey_left(path.as_path_ref()), operation, path).await?;
        Ok(lock)
    }

    /// Takes the write lock of a path, for a write that waits by
    /// [`wait_until_resolved`](Self::wait_until_resolved), or not at all, until earlier writes are
    /// resolved.
    ///
    /// # Errors
    /// [`Busy`](StorageErrorKind::Busy) if it is not free in time.
    pub(crate) async fn write_lock(
        &self,
        operation: Operation,
        path: &CredentialPath,
    ) -> Result<WriteLock, ManagerError> {
        let lock = WriteLocks::take(&self.write_lock, path.clone(), self.limit).await;
        Ok(lock.map_err(|error| self.at(error, operation, path.clone()))?)
    }

    /// Runs a write in a task of the manager, which keeps `lock` until it ends, and returns the
    /// result. From here on, dropping the caller's future does not stop the write; a failure is
    /// then logged.
    ///
    /// # Errors
    /// - The error of `write`.
    /// - [`InDoubt`](cred_core::StorageErrorKind::InDoubt) if `write` did not answer in time,
    ///   panicked, or was ended by the runtime.
    /// - [`ManagerError::ShutDown`] if it never began.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        writer: Writer,
        operation: Operation,
        path: &CredentialPath,
        lock: Arc<WriteLock>,
        effect: impl Into<Effect>,
        write: impl Future<Output = Result<T, StorageError>> + Send + 'static,
    ) -> Result<T, ManagerError> {
        let (limit, Effect { last_write, token }) = (self.limit, effect.into());
        let (cache, unresolved) = (self.cache.clone(), Arc::clone(&self.unresolved));
        let written = Some(LastWrite::Unknown);
        let outcome = OutcomeRecorder { cache, unresolved, path: path.clone(), writer, written };
        let (name, target) = (self.provider.describe().name.clone(), path.clone());
        let meter = self.meter.clone();
        let is_conditional = self.provider.compare_and_set().is_some();
        let (sender, answer) = oneshot::channel();
        self.tasks.spawn(async move {
            let answer = {
                // The order matters. However the task ends, even with the runtime, the outcome is
                // dropped first, so that the next writer of the path sees it, and so does a re-key
                // after `set_keys`.
                let _write_token = token;
                let _until_the_end = lock;
                let mut outcome = outcome;
                let answer = match timeout(limit, AssertUnwindSafe(write).catch_unwind()).await {
                    Ok(Ok(answer)) => answer,
                    Ok(Err(_)) => Err(StorageError::in_doubt("the provider panicked")),
                    Err(_) => {
                        let reason = format!("the provider gave no answer within {limit:?}");
                        Err(StorageError::in_doubt(reason))
                    }
                };
                outcome.written = match &answer {
                    Ok(_) => Some(last_write),
                    // By the kind only: whichever step the provider reports, the operation is a
                    // write.
                    Err(error) if error.kind().may_have_written() => Some(LastWrite::Unknown),
                    Err(_) => None,
                };
                drop(outcome);
                answer
            };
            let answer = answer.map_err(|error| {
                // The provider reports a step that only reads.
                let error = match error.kind().may_have_written() && !error.may_have_written() {
                    true => StorageError::in_doubt("a step after the write failed")
                        .with_source(Arc::new(error) as Arc<_>),
                    false => error,
                };
                error.at(name, operation, target.clone()).into()
            });
            // If the caller's future was dropped, `send` returns the result and it is dropped here,
            // before a shutdown ends.
            drop(sender.send(WriteResult {
                unread: Some(answer),
                writer,
                path: target,
                is_conditional,
                meter,
            }));
        })?;
        answer.await.ok().and_then(WriteResult::read).unwrap_or_else(|| {
            let ended = StorageError::in_doubt("the runtime was shut down before it ended");
            Err(self.at(ended, operation, path.clone()).into())
        })
    }

    /// Waits, holding the write lock, until this manager's earlier writes of a path, including
    /// those of a re-key, are visible or can no longer take effect. It holds the lock no longer
    /// than an answer of the provider may take.
    ///
    /// # Errors
    /// - [`Busy`](StorageErrorKind::Busy) at once if it would have to wait for longer.
    /// - [`ManagerError::ShutDown`] if a shutdown begins meanwhile.
    pub(crate) async fn wait_until_resolved(
        &self,
        operation: Operation,
        path: &CredentialPath,
    ) -> Result<(), ManagerError> {
        self.wait_for(self.unresolved.left(path.as_path_ref()), operation, path).await
    }

    /// Waits for `left`, the time until earlier writes are resolved.
    async fn wait_for(
        &self,
        left: Duration,
        operation: Operation,
        path: &CredentialPath,
    ) -> Result<(), ManagerError> {
        if left > self.limit {
            return Err(self.unresolved_error(left, operation, path));
        }
        let wait = async {
            // No timer if no wait is needed.
            if !left.is_zero() {
                sleep(left).await;
            }
        };
        self.tasks.until_closed(wait).await
    }

    /// The error for a write that does not wait until earlier ones are resolved, `left` from now.
    pub(crate) fn unresolved_error(
        &self,
        left: Duration,
        operation: Operation,
        path: &CredentialPath,
    ) -> ManagerError {
        let seconds = left.as_millis().div_ceil(1_000).try_into().unwrap_or(u64::MAX);
        let error = StorageError::busy_for(
            "an earlier write of it may not be visible yet, or may still take effect",
            Duration::from_secs(seconds),
        );
        self.at(error, operation, path.clone()).into()
    }

    /// The effect of storing this sealed value.
    pub(crate) fn stores(&self, data: &EncryptedData, token: WriteToken) -> Effect {
        Effect { last_write: LastWrite::Stored(Seal::of(data, &self.seals)), token: Some(token) }
    }
}

/// The effect of a write if it succeeds.
pub(crate) struct Effect {
    last_write: LastWrite,
    /// Counts it among the writes of the keys that sealed it; `None`: the write seals no value.
    token: Option<WriteToken>,
}

impl From<LastWrite> for Effect {
    fn from(last_write: LastWrite) -> Self {
        Self { last_write, token: None }
    }
}

/// Records the outcome of a write in the cache and for later writers when it is dropped, however
/// the write ended. The outcome is unknown unless an answer shows otherwise.
struct OutcomeRecorder {
    cache: Option<Arc<Cache>>,
    unresolved: Arc<UnresolvedWrites>,
    path: CredentialPath,
    writer: Writer,
    /// `None`: nothing was written.
    written: Option<LastWrite>,
}

impl Drop for OutcomeRecorder {
    fn drop(&mut self) {
        let Some(last_write) = self.written else { return };
        self.unresolved.written(self.path.as_path_ref(), last_write == LastWrite::Unknown, self.writer);
        if let Some(cache) = &self.cache {
            cache.invalidate(self.path.as_path_ref(), last_write);
        }
    }
}

/// The result of a write on its way to the caller. If the caller's future was dropped, a failure is
/// logged and counted: it would otherwise be lost.
struct WriteResult<T> {
    unread: Option<Result<T, ManagerError>>,
    writer: Writer,
    path: CredentialPath,
    /// Whether the provider has compare-and-set: a conflict then shows that a credential exists.
    is_conditional: bool,
    meter: Meter,
}

impl<T> WriteResult<T> {
    fn read(mut self) -> Option<Result<T, ManagerError>> {
        self.unread.take()
    }
}

impl<T> Drop for WriteResult<T> {
    fn drop(&mut self) {
        let Some(Err(error)) = &self.unread else { return };
        // A credential exists already, which is not a failure.
        if self.writer == Writer::StoreIfAbsent && self.is_conditional && is_conflict(error) {
            return;
        }
        let operation = self.writer.as_str();
        warn!(target: "cred", operation, path = %self.path, %error, "a write failed after its future was dropped");
        self.meter.counted(operation, outcome_of(error), Some(error));
    }
}
