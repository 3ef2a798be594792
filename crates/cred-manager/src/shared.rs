//! What all handles of a manager share, and the few ways in which they reach the provider.

use std::hash::RandomState;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use cred_core::{
    CredentialContext, CredentialId, CredentialPath, EncryptedData, Operation, PathRef, ScopeId, Sealer,
    StorageError, StorageErrorKind, StorageProvider, Stored, Target,
};
use tokio::time::timeout;

use crate::ManagerError;
use crate::cache::{Cache, Found, Load, LoadResult, Loaded, NoResult, Rules};
use crate::fetch_many::{Fetch, Fetched};
use crate::sealing::Sealing;
use crate::tasks::Tasks;
use crate::visibility::{UnresolvedWrites, WriteTiming, Writer};
use crate::windows::{LastWrite, Seal};
use crate::write_lock::{WriteLock, WriteLocks};

/// What a provider gets beyond its own `operation_timeout` before the manager answers for it: enough for a busy
/// runtime to deliver an answer that was just in time.
const ANSWER_MARGIN: Duration = Duration::from_secs(1);

/// How long a task of the manager runs at most: one call of the provider and one of the sealer.
fn task_limit(limit: Duration) -> Duration {
    limit.saturating_mul(2).saturating_add(ANSWER_MARGIN)
}

/// What the builder settles.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    /// Zero: nothing is cached.
    pub(crate) cache_ttl: Duration,
    /// Zero: nothing is cached.
    pub(crate) cache_max_size: usize,
    pub(crate) load_concurrency: NonZeroUsize,
    pub(crate) batch_concurrency: NonZeroUsize,
    pub(crate) expiry_warning: Duration,
}

pub(crate) struct Shared {
    pub(crate) provider: Arc<dyn StorageProvider>,
    pub(crate) sealing: Sealing,
    pub(crate) tasks: Tasks,
    write_lock: Arc<WriteLocks>,
    pub(crate) unresolved: Arc<UnresolvedWrites>,
    pub(crate) cache: Option<Arc<Cache>>,
    /// The key of [`Seal`]s.
    seals: RandomState,
    pub(crate) settings: Settings,
    /// The longest that a call of the provider is waited for.
    pub(crate) limit: Duration,
}

impl Shared {
    pub(crate) fn new(
        provider: Arc<dyn StorageProvider>,
        sealer: Arc<dyn Sealer>,
        settings: Settings,
    ) -> Arc<Self> {
        let description = provider.describe();
        let limit = description.operation_timeout.saturating_add(ANSWER_MARGIN);
        let timing = WriteTiming { consistency: description.consistency, in_doubt: description.in_doubt };
        let rules = Rules {
            ttl: settings.cache_ttl,
            capacity: settings.cache_max_size,
            load_concurrency: settings.load_concurrency,
            load_limit: task_limit(limit),
            timing,
        };
        let caches = settings.cache_max_size > 0 && !settings.cache_ttl.is_zero();
        let cache = caches.then(|| Cache::new(rules));
        let conditional = provider.compare_and_set().is_some();
        let unresolved = Arc::new(UnresolvedWrites::new(timing, conditional));
        let (sealing, tasks, write_lock) = (Sealing::new(sealer, limit), Tasks::default(), Arc::default());
        let seals = RandomState::new();
        Arc::new(Self { provider, sealing, tasks, write_lock, unresolved, cache, seals, settings, limit })
    }

    /// Takes the write lock of a path for a caller's write: waits no longer than for an answer of
    /// the provider, and then, holding the lock, until no uncertain write of a re-key can undo the
    /// write.
    ///
    /// # Errors
    /// [`Busy`](StorageErrorKind::Busy) where the lock is not free in time, or where that wait
    /// would be longer than an answer of the provider may take.
    pub(crate) async fn turn(
        &self,
        operation: Operation,
        path: &CredentialPath,
    ) -> Result<WriteLock, ManagerError> {
        let lock = self.write_lock(operation, path).await?;
        let left = self.unresolved.rekey_left(path.as_ref());
        self.refuse_longer_than_limit(left, operation, path)?;
        self.unresolved.rekey_resolved(path.as_ref()).await;
        Ok(lock)
    }

    /// Takes the write lock of a path, for who resolves what was written there before.
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

    pub(crate) fn task_limit(&self) -> Duration {
        task_limit(self.limit)
    }

    /// Reads a credential from the provider and opens it.
    pub(crate) async fn fetch(
        &self,
        id: &CredentialId,
        ctx: &CredentialContext,
    ) -> Result<Option<Found>, ManagerError> {
        let sealed = self.fetch_sealed(id, ctx).await;
        self.found(self.open_fetched(ctx.path(id), sealed).await)
    }

    /// What a load keeps of a read.
    pub(crate) fn found(&self, fetch: Fetch) -> Result<Option<Found>, ManagerError> {
        let Some(Fetched { stored, opened }) = fetch? else { return Ok(None) };
        Ok(Some(Found { credential: opened?, seal: Seal::of(&stored.0, &self.seals) }))
    }

    /// Reads a credential from the provider as it is stored.
    pub(crate) async fn fetch_sealed(
        &self,
        id: &CredentialId,
        ctx: &CredentialContext,
    ) -> Result<Option<Stored>, ManagerError> {
        let target = || ctx.path(id).to_owned().into();
        match self.read(Operation::Retrieve, target, self.provider.retrieve(id, ctx)).await {
            Ok(stored) => Ok(Some(stored)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// A read of the provider that ends in time, with an answer or an error that says where.
    pub(crate) async fn read<T>(
        &self,
        operation: Operation,
        target: impl FnOnce() -> Target,
        read: impl Future<Output = Result<T, StorageError>>,
    ) -> Result<T, StorageError> {
        let answer = timeout(self.limit, read).await;
        let answer = answer.unwrap_or_else(|_| Err(StorageErrorKind::Timeout { limit: self.limit }.into()));
        answer.map_err(|error| self.at(error, operation, target()))
    }

    /// Loads a path in a task of the manager, which goes on when every reader has gone.
    pub(crate) fn begin_load(self: &Arc<Self>, load: Load) -> Result<(), ManagerError> {
        let shared = Arc::clone(self);
        load.reserve_call();
        self.tasks.spawn(async move {
            let path = load.path().clone();
            let found = match shared.may_call(std::slice::from_ref(&load), path.clone()).await {
                Ok(()) => shared.fetch(&path.id, &path.scope.into()).await,
                Err(error) => Err(error),
            };
            load.complete(found);
        })?;
        Ok(())
    }

    /// Waits until loads may make one call of the provider together.
    ///
    /// # Errors
    /// [`Busy`](StorageErrorKind::Busy) where too many others do, for as long as a call may take.
    pub(crate) async fn may_call(
        &self,
        loads: &[Load],
        target: impl Into<Target>,
    ) -> Result<(), ManagerError> {
        match loads.first() {
            Some(first) if !first.may_call(self.limit).await => {}
            _ => return Ok(()),
        }
        self.tasks.refuse_when_closed()?;
        let error = StorageError::busy(format!("too many other loads ran for {:?}", self.limit));
        Err(self.at(error, Operation::Retrieve, target).into())
    }

    /// Waits for the result of an in-flight load.
    pub(crate) async fn result(&self, mut result: LoadResult, path: PathRef<'_>) -> Loaded {
        let error = match result.wait().await {
            Ok(loaded) => return loaded,
            Err(NoResult::Ended) => {
                StorageError::other("the load panicked, or the runtime that it ran on was shut down")
            }
            Err(NoResult::Overdue) => {
                self.cancel_load(&result, path);
                StorageErrorKind::Timeout { limit: self.task_limit() }.into()
            }
        };
        Err(self.at(error, Operation::Retrieve, path.to_owned()).into())
    }

    /// Waits until an in-flight load has ended, whatever its result.
    pub(crate) async fn load_ended(&self, mut result: LoadResult, path: PathRef<'_>) {
        if let Err(NoResult::Overdue) = result.wait().await {
            self.cancel_load(&result, path);
        }
    }

    /// The runtime of a load may have stopped, so the next reader starts another one.
    fn cancel_load(&self, result: &LoadResult, path: PathRef<'_>) {
        if let Some(cache) = &self.cache {
            cache.cancel(path, result);
        }
    }

    /// Runs a caller's write, as [`write_as`](Self::write_as).
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        operation: Operation,
        path: &CredentialPath,
        lock: Arc<WriteLock>,
        last_write: LastWrite,
        write: impl Future<Output = Result<T, StorageError>> + Send + 'static,
    ) -> Result<T, ManagerError> {
        self.write_as(Writer::Caller, operation, path, lock, last_write, write).await
    }

    /// Runs a write in a task of the manager, which keeps `lock` until it ends, and waits for its
    /// answer. From here on dropping the caller's future changes nothing.
    ///
    /// # Errors
    /// What `write` answers; in doubt if it gave no answer in time, panicked, or was ended by the
    /// runtime; [`ManagerError::ShutDown`] if it never began.
    pub(crate) async fn write_as<T: Send + 'static>(
        &self,
        writer: Writer,
        operation: Operation,
        path: &CredentialPath,
        lock: Arc<WriteLock>,
        last_write: LastWrite,
        write: impl Future<Output = Result<T, StorageError>> + Send + 'static,
    ) -> Result<T, ManagerError> {
        let limit = self.limit;
        let (cache, unresolved) = (self.cache.clone(), Arc::clone(&self.unresolved));
        let written = Written::Perhaps;
        let outcome = Outcome { cache, unresolved, path: path.clone(), writer, written, last_write };
        let task = self.tasks.spawn(async move {
            // In this order: however the task ends, by a panic or with the runtime included, the
            // outcome is dropped first, so that the path's next writer sees it.
            let _until_the_end = lock;
            let mut outcome = outcome;
            let answer = timeout(limit, write).await.unwrap_or_else(|_| {
                Err(StorageError::in_doubt(format!("the provider gave no answer within {limit:?}")))
            });
            outcome.written = match &answer {
                Ok(_) => Written::Yes,
                // By the kind alone: whatever step of it a provider names, it was a write.
                Err(error) if error.kind().may_have_written() => Written::Perhaps,
                Err(_) => Written::No,
            };
            drop(outcome);
            answer
        })?;
        let answer = match task.await {
            Ok(answer) => answer,
            Err(ended) if ended.is_panic() => Err(StorageError::in_doubt("the provider panicked")),
            Err(_) => Err(StorageError::in_doubt("the runtime ended it")),
        };
        let error = match answer {
            Ok(answer) => return Ok(answer),
            // The provider names a step of it that only reads.
            Err(error) if error.kind().may_have_written() && !error.may_have_written() => {
                StorageError::in_doubt("a step after the write failed").with_source(Arc::new(error) as Arc<_>)
            }
            Err(error) => error,
        };
        Err(self.at(error, operation, path.clone()).into())
    }

    /// Waits, holding the write lock, until this manager's earlier writes of a path are visible or
    /// can no longer take effect. The lock is held no longer than this may take.
    ///
    /// # Errors
    /// [`Busy`](StorageErrorKind::Busy) where that takes longer than an answer of the provider.
    pub(crate) async fn settled(
        &self,
        operation: Operation,
        path: &CredentialPath,
    ) -> Result<(), ManagerError> {
        let left = self.unresolved.left(path.as_ref());
        self.refuse_longer_than_limit(left, operation, path)?;
        self.unresolved.resolved(path.as_ref()).await;
        Ok(())
    }

    fn refuse_longer_than_limit(
        &self,
        left: Duration,
        operation: Operation,
        path: &CredentialPath,
    ) -> Result<(), ManagerError> {
        if left <= self.limit {
            return Ok(());
        }
        let seconds = left.as_millis().div_ceil(1_000);
        let error = StorageError::busy(format!(
            "an earlier write of it may not be visible yet, or may still take effect, for {seconds} s"
        ));
        Err(self.at(error, operation, path.clone()).into())
    }

    /// The write of this sealed value.
    pub(crate) fn stores(&self, data: &EncryptedData) -> LastWrite {
        LastWrite::Stored(Seal::of(data, &self.seals))
    }

    /// Forgets what is cached of a subtree; without a scope, everything.
    pub(crate) fn clear(&self, scope: Option<&ScopeId>) {
        if let Some(cache) = &self.cache {
            cache.clear(scope);
        }
    }

    /// Names the place, where the provider has not done so itself.
    pub(crate) fn at(
        &self,
        error: StorageError,
        operation: Operation,
        target: impl Into<Target>,
    ) -> StorageError {
        error.at(self.provider.describe().name.clone(), operation, target)
    }
}

/// How a write ended; in doubt unless an answer shows otherwise. Whatever ends it, the cache and
/// later writers learn it.
struct Outcome {
    cache: Option<Arc<Cache>>,
    unresolved: Arc<UnresolvedWrites>,
    path: CredentialPath,
    writer: Writer,
    written: Written,
    /// What it was, if it was acknowledged.
    last_write: LastWrite,
}

#[derive(Clone, Copy, PartialEq)]
enum Written {
    Yes,
    Perhaps,
    No,
}

impl Drop for Outcome {
    fn drop(&mut self) {
        let in_doubt = self.written == Written::Perhaps;
        if self.written != Written::No {
            self.unresolved.written(self.path.as_ref(), in_doubt, self.writer);
        }
        if let Some(cache) = &self.cache {
            match self.written {
                Written::Yes => cache.invalidate(self.path.as_ref(), self.last_write),
                Written::Perhaps => cache.invalidate(self.path.as_ref(), LastWrite::Unknown),
                Written::No => {}
            }
        }
    }
}
