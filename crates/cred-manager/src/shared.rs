//! The state that all handles of a manager share, and its access to the provider.

mod loading;
mod writing;

use std::hash::RandomState;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use cred_core::{
    CreatedBy, Credential, CredentialContext, CredentialId, CredentialMetadata, Lifecycle, Operation,
    PathRef, ScopeId, Sealed, Sealer, StorageError, StorageErrorKind, StorageProvider, Target, Timestamp,
};
use tokio::time::timeout;
use tracing::Span;

use crate::cache::{Cache, Cacheable, Rules};
use crate::fetch_many::{Fetch, Fetched};
use crate::meter::Meter;
use crate::sealing::Sealing;
use crate::tasks::Tasks;
use crate::visibility::{UnresolvedWrites, WriteTiming};
use crate::windows::Seal;
use crate::write_lock::WriteLocks;
use crate::{ManagerError, OnExpired};

/// How long the manager waits beyond the provider's `operation_timeout`: enough for a busy runtime
/// to deliver an answer that was just in time.
const ANSWER_MARGIN: Duration = Duration::from_secs(1);

/// The longest run time of a task of the manager: one call of the provider and one of the sealer.
fn task_limit(limit: Duration) -> Duration {
    limit.saturating_mul(2).saturating_add(ANSWER_MARGIN)
}

/// The settings of the builder.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Zero: the cache is disabled.
    pub(crate) cache_ttl: Duration,
    /// Zero: the cache is disabled.
    pub(crate) cache_max_size: usize,
    pub(crate) load_concurrency: NonZeroUsize,
    pub(crate) batch_concurrency: NonZeroUsize,
    pub(crate) expiry_warning: Duration,
    pub(crate) on_expired: OnExpired,
    /// Recorded when a credential is first stored.
    pub(crate) created_by: Option<CreatedBy>,
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
    pub(crate) meter: Meter,
    pub(crate) settings: Settings,
    /// How long a call of the provider may take.
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
            call_limit: task_limit(limit),
            wait_limit: limit,
            timing,
        };
        let meter = Meter::new(description);
        let caches = settings.cache_max_size > 0 && !settings.cache_ttl.is_zero();
        let cache = caches.then(|| Cache::new(rules, meter.clone()));
        let conditional = provider.compare_and_set().is_some();
        let unresolved = Arc::new(UnresolvedWrites::new(timing, conditional));
        let (sealing, tasks, write_lock) = (Sealing::new(sealer, limit), Tasks::default(), Arc::default());
        let seals = RandomState::new();
        Arc::new(Self {
            provider,
            sealing,
            tasks,
            write_lock,
            unresolved,
            cache,
            seals,
            meter,
            settings,
            limit,
        })
    }

    /// How many ids one call of the provider reads; 1: it does not support batches.
    pub(crate) fn batch(&self) -> usize {
        self.provider.describe().batch.get()
    }

    pub(crate) fn task_limit(&self) -> Duration {
        task_limit(self.limit)
    }

    /// Reads a credential from the provider and opens it.
    pub(crate) async fn fetch(
        &self,
        id: &CredentialId,
        ctx: &CredentialContext,
    ) -> Result<Option<Cacheable>, ManagerError> {
        self.to_cacheable(ctx.path(id), self.fetch_opened(id, ctx).await)
    }

    /// As [`fetch`](Self::fetch), with the stored metadata, and whether or not it has expired.
    pub(crate) async fn fetch_opened(&self, id: &CredentialId, ctx: &CredentialContext) -> Fetch {
        let sealed = self.fetch_sealed(id, ctx).await;
        self.open_fetched(ctx.path(id), sealed).await
    }

    /// Converts the result of a read into the result of a load.
    ///
    /// # Errors
    /// Those of the read; [`ManagerError::Expired`].
    pub(crate) fn to_cacheable(
        &self,
        path: PathRef<'_>,
        fetch: Fetch,
    ) -> Result<Option<Cacheable>, ManagerError> {
        let Some(Fetched { stored, opened }) = fetch? else { return Ok(None) };
        let credential = opened?;
        self.check_expiry(path, &credential)?;
        Ok(Some(Cacheable { credential, seal: Seal::of(&stored.data, &self.seals) }))
    }

    /// Reads a sealed credential from the provider.
    pub(crate) async fn fetch_sealed(
        &self,
        id: &CredentialId,
        ctx: &CredentialContext,
    ) -> Result<Option<Sealed>, ManagerError> {
        self.unresolved.forget_closed();
        let target = || ctx.path(id).to_path().into();
        match self.read(Operation::Retrieve, target, self.provider.retrieve(id, ctx)).await {
            Ok(stored) => Ok(Some(stored)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Limits the time of a read of the provider, and adds the operation and the target to its
    /// error.
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

    /// Records the result of the cache look-up in the current operation's span and in the metrics.
    pub(crate) fn record_cache_result(&self, result: &'static str) {
        Span::current().record("cache", result);
        self.meter.cache(result);
    }

    /// The metadata of a credential that is stored now, as the first value or as the successor of
    /// `former`. A successor keeps the creation time and the creator.
    pub(crate) fn metadata(&self, credential: &Credential, former: Option<Lifecycle>) -> CredentialMetadata {
        let mut metadata = credential.to_metadata(Timestamp::now());
        match former {
            None => metadata.created_by = self.settings.created_by.clone(),
            Some(former) => {
                metadata.created_at = former.created_at;
                metadata.created_by = former.created_by;
                metadata.version = former.version.saturating_add(1);
            }
        }
        metadata
    }

    /// Removes the cached credentials of a subtree; without a scope, all of them.
    pub(crate) fn clear(&self, scope: Option<&ScopeId>) {
        if let Some(cache) = &self.cache {
            cache.clear(scope);
        }
    }

    /// Adds the provider, the operation and the target to an error that does not have them yet.
    pub(crate) fn at(
        &self,
        error: StorageError,
        operation: Operation,
        target: impl Into<Target>,
    ) -> StorageError {
        error.at(self.provider.describe().name.clone(), operation, target)
    }
}
