//! Writes of the provider: under the path's write lock, in tasks of the manager.

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
    /// Takes the write lock of a path for a caller's write: waits no longer than for an answer of
    /// the provider, and then, holding the lock, until no uncertain write of a re-key can undo the
    /// write.
    ///
    /// # Errors
    /// [`Busy`](StorageErrorKind::Busy) where the lock is not free in time, or where that wait
    /// would be longer than an answer of the provider may take. [`ManagerError::ShutDown`] if
    /// closing begins while it waits for the re-key.
    pub(crate) async fn lock_for_caller(
        &self,
        operation: Operation,
        path: &CredentialPath,
    ) -> Result<WriteLock, ManagerError> {
        let lock = self.write_lock(operation, path).await?;
        self.wait_for(self.unresolved.rekey_left(path.as_path_ref()), operation, path).await?;
        Ok(lock)
    }

    /// Takes the write lock of a path, for a write that waits by [`settled`](Self::settled), or not
    /// at all, until earlier writes are resolved.
    ///
    /// # Errors
    /// [`Busy`](StorageErrorKind::Busy) where it is not free in time.
    pub(crate) async fn write_lock(
        &self,
        operation: Operation,
        path: &CredentialPath,
    ) -> Result<WriteLock, ManagerError> {
        let lock = WriteLocks::take(&self.write_lock, path.clone(), self.limit).await;
        Ok(lock.map_err(|error| self.at(error, operation, path.clone()))?)
    }

    /// Runs a write in a task of the manager, which keeps `lock` until it ends, and waits for its
    /// answer. From here on dropping the caller's future changes nothing; a failure is then logged.
    ///
    /// # Errors
    /// What `write` answers; in doubt if it gave no answer in time, panicked, or was ended by the
    /// runtime; [`ManagerError::ShutDown`] if it never began.
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
        let outcome = Outcome { cache, unresolved, path: path.clone(), writer, written };
        let (name, place) = (self.provider.describe().name.clone(), path.clone());
        let meter = self.meter.clone();
        let is_conditional = self.provider.compare_and_set().is_some();
        let (sender, answer) = oneshot::channel();
        self.tasks.spawn(async move {
            let answer = {
                // In this order: however the task ends, with the runtime included, the outcome is
                // dropped first, so that the path's next writer sees it, and a re-key after an
                // exchange of the keys.
                let _counted = token;
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
                    // By the kind alone: whatever step of it a provider names, it was a write.
                    Err(error) if error.kind().may_have_written() => Some(LastWrite::Unknown),
                    Err(_) => None,
                };
                drop(outcome);
                answer
            };
            let answer = answer.map_err(|error| {
                // The provider names a step of it that only reads.
                let error = match error.kind().may_have_written() && !error.may_have_written() {
                    true => StorageError::in_doubt("a step after the write failed")
                        .with_source(Arc::new(error) as Arc<_>),
                    false => error,
                };
                error.at(name, operation, place.clone()).into()
            });
            // If the caller has left, it comes back and is dropped here, before a shutdown ends.
            drop(sender.send(Answer { unread: Some(answer), writer, path: place, is_conditional, meter }));
        })?;
        answer.await.ok().and_then(Answer::read).unwrap_or_else(|| {
            let ended = StorageError::in_doubt("the runtime ended it");
            Err(self.at(ended, operation, path.clone()).into())
        })
    }

    /// Waits, holding the write lock, until this manager's earlier writes of a path, those of a
    /// re-key included, are visible or can no longer take effect. The lock is held no longer than
    /// an answer of the provider may take.
    ///
    /// # Errors
    /// [`Busy`](StorageErrorKind::Busy) at once where it would wait for longer.
    /// [`ManagerError::ShutDown`] if closing begins meanwhile.
    pub(crate) async fn settled(
        &self,
        operation: Operation,
        path: &CredentialPath,
    ) -> Result<(), ManagerError> {
        self.wait_for(self.unresolved.left(path.as_path_ref()), operation, path).await
    }

    /// Waits until earlier writes are resolved, in `left` from now.
    async fn wait_for(
        &self,
        left: Duration,
        operation: Operation,
        path: &CredentialPath,
    ) -> Result<(), ManagerError> {
        if left > self.limit {
            return Err(self.unresolved_for(left, operation, path));
        }
        let wait = async {
            // Without a timer where nothing is to be waited for.
            if !left.is_zero() {
                sleep(left).await;
            }
        };
        self.tasks.until_closed(wait).await
    }

    /// The error for a write that does not wait until earlier ones are resolved, in `left` from
    /// now.
    pub(crate) fn unresolved_for(
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

/// What a write does if it succeeds.
pub(crate) struct Effect {
    last_write: LastWrite,
    /// Counts it among the writes of the keys that sealed it; `None`: nothing was sealed.
    token: Option<WriteToken>,
}

impl From<LastWrite> for Effect {
    fn from(last_write: LastWrite) -> Self {
        Self { last_write, token: None }
    }
}

/// How a write ended: unknown unless an answer shows otherwise. Whatever ends it, the cache and
/// later writers learn it.
struct Outcome {
    cache: Option<Arc<Cache>>,
    unresolved: Arc<UnresolvedWrites>,
    path: CredentialPath,
    writer: Writer,
    /// `None`: nothing was written.
    written: Option<LastWrite>,
}

impl Drop for Outcome {
    fn drop(&mut self) {
        let Some(last_write) = self.written else { return };
        self.unresolved.written(self.path.as_path_ref(), last_write == LastWrite::Unknown, self.writer);
        if let Some(cache) = &self.cache {
            cache.invalidate(self.path.as_path_ref(), last_write);
        }
    }
}

/// The answer of a write on its way to the caller. If the caller has left, a failure is logged and
/// counted: nothing else would show it.
struct Answer<T> {
    unread: Option<Result<T, ManagerError>>,
    writer: Writer,
    path: CredentialPath,
    /// Whether a conflict shows that a credential exists: with compare-and-set.
    is_conditional: bool,
    meter: Meter,
}

impl<T> Answer<T> {
    fn read(mut self) -> Option<Result<T, ManagerError>> {
        self.unread.take()
    }
}

impl<T> Drop for Answer<T> {
    fn drop(&mut self) {
        let Some(Err(error)) = &self.unread else { return };
        // It found that a credential exists, which is no failure.
        if self.writer == Writer::StoreIfAbsent && self.is_conditional && is_conflict(error) {
            return;
        }
        let operation = self.writer.as_str();
        warn!(target: "cred", operation, path = %self.path, %error, "a write failed after its caller left");
        self.meter.counted(operation, outcome_of(error), Some(error));
    }
}
