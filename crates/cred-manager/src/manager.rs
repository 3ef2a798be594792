//! The handle that services use: scopes, one credential at a time, and the cache.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use cred_core::{
    Credential, CredentialContext, CredentialId, CredentialMetadata, CredentialPath, Operation, PathRef,
    ScopeId, Sealed, StorageError, StorageErrorKind, StorageProvider as _, Target,
};
use tokio::time::timeout;

use crate::cache::{CacheStats, Loaded, Miss, Refresh};
use crate::observe::{is_watched, observe};
use crate::sealing::SealedWrite;
use crate::shared::Shared;
use crate::visibility::Writer;
use crate::windows::LastWrite;
use crate::{CredentialManagerBuilder, ManagerError};

/// Sealed, scoped, ordered and cached access to a storage provider. Cheap to clone; clones and
/// scoped handles share everything.
///
/// The builder's handle is the root: it contains every scope, and its own credentials are those
/// that belong to no tenant. [`CredentialManager::scoped`] gives the same API inside one tenant.
#[derive(Clone)]
pub struct CredentialManager {
    pub(crate) shared: Arc<Shared>,
    pub(crate) context: CredentialContext,
}

/// Handles.
impl CredentialManager {
    /// Begins with nothing: storage and keys are needed before `build` compiles.
    pub const fn builder() -> CredentialManagerBuilder {
        CredentialManagerBuilder::new()
    }

    pub(crate) const fn root(shared: Arc<Shared>) -> Self {
        Self { shared, context: CredentialContext::unscoped() }
    }

    /// The tenant that this handle is limited to; `None`: it is the root and contains every scope.
    #[must_use]
    pub const fn scope(&self) -> Option<&ScopeId> {
        self.context.scope_id.as_ref()
    }

    /// A handle for one tenant. `scope` is absolute and must lie in this handle's scope: handles
    /// only ever narrow.
    ///
    /// # Errors
    /// [`ManagerError::ScopeViolation`].
    pub fn scoped(&self, scope: ScopeId) -> Result<Self, ManagerError> {
        match self.scope() {
            Some(own) if !own.contains(&scope) => {
                Err(ManagerError::ScopeViolation { actual: own.clone(), requested: Some(scope) })
            }
            _ => Ok(Self { shared: Arc::clone(&self.shared), context: CredentialContext::scoped(scope) }),
        }
    }

    /// A handle for the scope of a path, such as one of [`list_tree`](Self::list_tree):
    /// `manager.at(&path)?.retrieve(&path.id)`. As [`scoped`](Self::scoped) for a path with a
    /// scope. For a path without one, the root handle itself.
    ///
    /// # Errors
    /// [`ManagerError::ScopeViolation`] if the scope is not inside this handle's scope. A path
    /// without a scope is outside of every scoped handle.
    pub fn at(&self, path: &CredentialPath) -> Result<Self, ManagerError> {
        match (self.scope(), &path.scope) {
            (_, Some(scope)) => self.scoped(scope.clone()),
            (None, None) => Ok(self.clone()),
            (Some(own), None) => Err(ManagerError::ScopeViolation { actual: own.clone(), requested: None }),
        }
    }

    /// Refuses what comes from now on, empties the cache, waits for the writes and the shared loads
    /// that run, and shuts the provider down. Reads that are not shared (lists, validations, every
    /// read without a cache) are not waited for. For every clone and every scoped handle; it can be
    /// called again.
    ///
    /// A write or load runs on the runtime of its caller. If that runtime has stopped without being
    /// dropped, it never ends: drop such runtimes first.
    ///
    /// # Errors
    /// [`ManagerError::RootOnly`] on a scoped handle: other tenants use the same manager.
    /// [`StorageErrorKind::Timeout`] if a write, a load or the provider does not come to an end.
    ///
    /// # Cancellation
    /// Dropped half-way, the manager stays closed; call it again to wait for the rest.
    pub async fn shutdown(&self) -> Result<(), ManagerError> {
        observe("shutdown", self, None, async {
            if let Some(scope) = self.scope() {
                return Err(ManagerError::RootOnly { operation: "shutdown", scope: scope.clone() });
            }
            let shared = &self.shared;
            shared.tasks.close();
            if let Some(cache) = &shared.cache {
                cache.close();
            }
            // Before the wait, so that nothing is handed out if this future is dropped there; and
            // after, for what the last loads have kept.
            shared.clear(None);
            self.in_time(shared.task_limit(), shared.tasks.ended()).await?;
            shared.clear(None);
            self.in_time(shared.limit, shared.provider.shutdown()).await
        })
        .await
    }

    async fn in_time(&self, limit: Duration, end: impl Future<Output = ()>) -> Result<(), ManagerError> {
        let ended = timeout(limit, end).await;
        ended.map_err(|_| {
            let error: StorageError = StorageErrorKind::Timeout { limit }.into();
            self.shared.at(error, Operation::Shutdown, Target::Backend).into()
        })
    }

    /// The path of `id` in this handle's scope.
    pub(crate) const fn path<'a>(&'a self, id: &'a CredentialId) -> PathRef<'a> {
        self.context.path(id)
    }
}

/// One credential.
impl CredentialManager {
    /// Seals a credential and stores it, in the place of the one that may be there. One call of the
    /// provider.
    ///
    /// If the credential it replaces is in the cache, the version is that one's plus one, and the
    /// creation time and the creator are kept. Otherwise it starts at version 1, created now by
    /// [`created_by`](CredentialManagerBuilder::created_by), whatever was there before: nothing is
    /// read. [`rotate`](Self::rotate) always carries them on. It returns no revision: to create or
    /// replace a credential and get its revision, use [`store_if`](Self::store_if).
    ///
    /// A store whose outcome is unknown ([`ManagerError::may_have_written`]) may still take effect
    /// for [`Description::in_doubt`](cred_core::Description::in_doubt), and then replaces a later
    /// write that was answered `Ok`: without compare-and-set no provider can prevent that. After
    /// such an error, wait for that time before you write the credential again. Or read it after
    /// that time and store again if it has the earlier value; over an eventually consistent
    /// provider a read shows a late effect only
    /// [`Consistency::point`](cred_core::Consistency::point) after that time.
    /// [`rotate`](Self::rotate) and
    /// [`store_if_absent`](Self::store_if_absent) wait by themselves where the provider has no
    /// compare-and-set.
    ///
    /// # Errors
    /// [`ManagerError::Seal`] and [`ManagerError::Credential`]: nothing was written.
    /// [`ManagerError::Storage`]: ask [`ManagerError::may_have_written`]; a write without an answer
    /// is [`InDoubt`](cred_core::StorageErrorKind::InDoubt), one whose turn did not come in the
    /// provider's `operation_timeout` and a second is [`Busy`](cred_core::StorageErrorKind::Busy),
    /// and so is one that would wait for longer than that until an uncertain write of a
    /// [`rekey`](Self::rekey) can no longer take effect. [`ManagerError::ShutDown`].
    ///
    /// # Cancellation
    /// Dropped before its turn has come, or while the credential is sealed, nothing is written.
    /// Dropped later, the write goes on to its end; if it then fails, an event at WARN with the
    /// target `cred` is logged, with the fields `operation`, `path` and `error`. Kept and not
    /// polled, as the loser of a `select!` that is polled again later, it keeps its place in the
    /// queue, and other writes of the credential end in `Busy`: drop it, or poll it.
    pub async fn store(&self, id: &CredentialId, credential: Credential) -> Result<(), ManagerError> {
        observe("store", self, Some(id), async {
            let shared = &self.shared;
            shared.tasks.refuse_when_closed()?;
            let path = self.path(id).to_path();
            let turn = shared.lock_for_caller(Operation::Store, &path).await?;
            // Under the lock, so that no write of this manager comes between.
            let former = shared.cache.as_ref().and_then(|cache| cache.lifecycle(path.as_path_ref()));
            let metadata = shared.metadata(&credential, former);
            let sealed = shared.sealing.seal(path.as_path_ref(), metadata, &credential).await?;
            let SealedWrite { sealed: Sealed { data, metadata }, token } = sealed;
            let (provider, ctx, owned_id) = (Arc::clone(&shared.provider), self.context.clone(), id.clone());
            let effect = shared.stores(&data, token);
            let write = async move { provider.store(&owned_id, data, metadata, &ctx).await };
            shared.write(Writer::Store, Operation::Store, &path, turn.into(), effect, write).await
        })
        .await
    }

    /// Reads a credential; `None`: nothing is stored under that id. From the cache, or one call of
    /// the provider, shared by all who miss the same credential at once.
    ///
    /// An expired credential is returned with a warning in the log, unless
    /// [`on_expired`](CredentialManagerBuilder::on_expired) says otherwise.
    ///
    /// # Errors
    /// [`ManagerError::Storage`]; [`ManagerError::Seal`] if it does not open, and the message says
    /// why; [`ManagerError::Credential`] if what was opened is no credential;
    /// [`ManagerError::Expired`] with [`OnExpired::Refuse`](crate::OnExpired::Refuse);
    /// [`ManagerError::ShutDown`].
    ///
    /// # Cancellation
    /// Dropping the future changes nothing; a load that has begun goes on for others.
    #[inline]
    pub async fn retrieve(&self, id: &CredentialId) -> Result<Option<Credential>, ManagerError> {
        if let Some(cache) = &self.shared.cache {
            if !is_watched() && !self.shared.tasks.are_closed() {
                if let Some(credential) = cache.get(self.path(id)) {
                    self.shared.meter.hit();
                    return Ok(Some(credential));
                }
            }
        }
        self.retrieve_watched(id).await
    }

    /// Everything but an unwatched hit. Boxed, so that the future of a hit stays small.
    #[cold]
    #[inline(never)]
    fn retrieve_watched<'a>(
        &'a self,
        id: &'a CredentialId,
    ) -> Pin<Box<dyn Future<Output = Loaded> + Send + 'a>> {
        Box::pin(observe("retrieve", self, Some(id), self.retrieve_or_load(id)))
    }

    /// Without a cache.
    async fn fetch(&self, id: &CredentialId) -> Loaded {
        let found = self.shared.fetch(id, &self.context).await?;
        Ok(found.map(|found| found.credential))
    }

    pub(crate) async fn retrieve_or_load(&self, id: &CredentialId) -> Loaded {
        let shared = &self.shared;
        shared.tasks.refuse_when_closed()?;
        let path = self.path(id);
        let Some(cache) = &shared.cache else { return self.fetch(id).await };
        if let Some(credential) = cache.get(path) {
            shared.cache_said("hit");
            return Ok(Some(credential));
        }
        match cache.share_or_start(path, None) {
            Miss::Hit(credential) => {
                shared.cache_said("hit");
                Ok(Some(credential))
            }
            Miss::Shared(result) => {
                shared.cache_said("joined");
                shared.result(result, path).await
            }
            Miss::Start(load, result) => {
                shared.cache_said("miss");
                shared.begin_load(load)?;
                shared.result(result, path).await
            }
        }
    }

    /// Reads a credential from the provider, even if it is cached, and caches the result. At most
    /// one call of the provider.
    ///
    /// The result is what was stored when the refresh began, or later: a refresh never shares a
    /// load that began before it. Concurrent refreshes of a credential are merged: one runs, and
    /// all others wait for it and then share the next one. Without a cache, each is a call.
    ///
    /// If a refresh fails, the cached value stays, unless what is stored has expired and is
    /// refused. If its result may not be cached, because a write of this manager may not be visible
    /// yet, the cached value is removed.
    ///
    /// # Errors
    /// As [`retrieve`](Self::retrieve).
    ///
    /// # Cancellation
    /// Dropping the future changes nothing; the load goes on.
    pub async fn refresh(&self, id: &CredentialId) -> Result<Option<Credential>, ManagerError> {
        observe("refresh", self, Some(id), async {
            let shared = &self.shared;
            shared.tasks.refuse_when_closed()?;
            let Some(cache) = &shared.cache else { return self.fetch(id).await };
            let (path, last_number) = (self.path(id), cache.last_number());
            loop {
                match cache.refresh(path, last_number) {
                    Refresh::After(result) => shared.load_ended(result, path).await,
                    Refresh::Shared(result) => return shared.result(result, path).await,
                    Refresh::Start(load, result) => {
                        shared.begin_load(load)?;
                        return shared.result(result, path).await;
                    }
                }
            }
        })
        .await
    }

    /// Whether a credential is stored, readable or not. One call of the provider, whatever is
    /// cached; nothing is opened.
    ///
    /// # Errors
    /// [`ManagerError::Storage`]; [`ManagerError::ShutDown`].
    ///
    /// # Cancellation
    /// Dropping the future changes nothing.
    pub async fn exists(&self, id: &CredentialId) -> Result<bool, ManagerError> {
        observe("exists", self, Some(id), async {
            let shared = &self.shared;
            shared.tasks.refuse_when_closed()?;
            let target = || self.path(id).to_path().into();
            let look = shared.provider.exists(id, &self.context);
            Ok(shared.read(Operation::Exists, target, look).await?)
        })
        .await
    }

    /// The metadata of a credential: tags, times, version, expiry and policy; `None`: nothing is
    /// stored under that id. One call of the provider, whatever is cached; nothing is opened, so no
    /// key is needed.
    ///
    /// The metadata is **not proven authentic**: a principal that can write to the backend can have
    /// edited it. [`retrieve`](Self::retrieve) and [`validate`](Self::validate) find such an edit.
    ///
    /// # Errors
    /// [`ManagerError::Storage`]; [`ManagerError::ShutDown`].
    ///
    /// # Cancellation
    /// Dropping the future changes nothing.
    pub async fn metadata(&self, id: &CredentialId) -> Result<Option<CredentialMetadata>, ManagerError> {
        observe("metadata", self, Some(id), async {
            self.shared.tasks.refuse_when_closed()?;
            let stored = self.shared.fetch_sealed(id, &self.context).await?;
            Ok(stored.map(|sealed| sealed.metadata))
        })
        .await
    }

    /// Deletes a credential; deleting what is not there is `Ok`. One call of the provider.
    ///
    /// As for [`store`](Self::store), a deletion whose outcome is unknown may still take effect for
    /// [`Description::in_doubt`](cred_core::Description::in_doubt) and then delete what was stored
    /// later, and an earlier uncertain store may bring a deleted credential back. Wait for that
    /// time before you write again, or check after it, and over an eventually consistent provider
    /// after another [`Consistency::point`](cred_core::Consistency::point).
    ///
    /// # Errors
    /// [`ManagerError::Storage`], as for [`store`](Self::store); [`ManagerError::ShutDown`].
    ///
    /// # Cancellation
    /// Dropped before its turn has come, nothing is deleted. Dropped later, the deletion goes on to
    /// its end, and a failure is logged as that of a [`store`](Self::store).
    pub async fn delete(&self, id: &CredentialId) -> Result<(), ManagerError> {
        observe("delete", self, Some(id), async {
            let shared = &self.shared;
            shared.tasks.refuse_when_closed()?;
            let path = self.path(id).to_path();
            let turn = shared.lock_for_caller(Operation::Delete, &path).await?;
            let (provider, ctx, owned_id) = (Arc::clone(&shared.provider), self.context.clone(), id.clone());
            let write = async move { provider.delete(&owned_id, &ctx).await };
            shared
                .write(Writer::Delete, Operation::Delete, &path, turn.into(), LastWrite::Deleted, write)
                .await
        })
        .await
    }
}

/// The cache.
impl CredentialManager {
    /// Forgets every cached credential of this handle's scope and below it; for the root
    /// everything. What is being loaded at this moment is not kept either.
    ///
    /// # Errors
    /// None today; the contract leaves room for a cache that is not in this process.
    pub fn clear_cache(&self) -> Result<(), ManagerError> {
        self.shared.clear(self.scope());
        Ok(())
    }

    /// Forgets one cached credential. What is being loaded of it at this moment is not kept either.
    ///
    /// # Errors
    /// As [`clear_cache`](Self::clear_cache).
    pub fn clear_cache_for(&self, id: &CredentialId) -> Result<(), ManagerError> {
        if let Some(cache) = &self.shared.cache {
            cache.clear_path(self.path(id));
        }
        Ok(())
    }

    /// How the cache does; `None` where nothing is cached, and on a scoped handle: the numbers
    /// would tell of other tenants.
    #[must_use]
    pub fn cache_stats(&self) -> Option<CacheStats> {
        match self.scope() {
            None => self.shared.cache.as_ref().map(|cache| cache.stats()),
            Some(_) => None,
        }
    }
}

impl fmt::Debug for CredentialManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CredentialManager")
            .field("provider", &self.shared.provider.describe().name)
            .field("scope", &self.scope())
            .finish_non_exhaustive()
    }
}
