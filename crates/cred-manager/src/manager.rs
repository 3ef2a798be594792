//! The handle that services use: scopes, single credentials, and the cache.

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
use crate::observe::{is_traced, observe};
use crate::sealing::SealedWrite;
use crate::shared::Shared;
use crate::visibility::Writer;
use crate::windows::LastWrite;
use crate::{CredentialManagerBuilder, ManagerError};

/// Sealed, scoped, ordered and cached access to a storage provider. Cheap to clone; clones and
/// scoped handles share everything.
///
/// The builder returns the root handle. It contains every scope; the credentials that it stores
/// itself belong to no tenant. [`CredentialManager::scoped`] returns a handle with the same API for
/// one tenant.
#[derive(Clone)]
pub struct CredentialManager {
    pub(crate) shared: Arc<Shared>,
    pub(crate) context: CredentialContext,
}

/// Handles.
impl CredentialManager {
    /// Creates a builder. It needs a storage provider and keys before `build` is available.
    ///
    /// ```
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    ///
    /// use cred_manager::{CredentialManager, crypto::KeyRing};
    /// use cred_store_memory::{MemoryStorageConfig, MemoryStorageProvider};
    ///
    /// let manager = CredentialManager::builder()
    ///     .storage(MemoryStorageProvider::new(MemoryStorageConfig::default())?)
    ///     .keys(KeyRing::generate("main-2026".parse()?)?)
    ///     .cache_ttl(Duration::from_secs(300))
    ///     .build();
    /// # Ok(())
    /// # }
    /// ```
    pub const fn builder() -> CredentialManagerBuilder {
        CredentialManagerBuilder::new()
    }

    pub(crate) const fn root(shared: Arc<Shared>) -> Self {
        Self { shared, context: CredentialContext::unscoped() }
    }

    /// The scope that this handle is limited to; `None`: it is the root handle and contains every
    /// scope.
    #[must_use]
    pub const fn scope(&self) -> Option<&ScopeId> {
        self.context.scope_id.as_ref()
    }

    /// Returns a handle for one tenant. `scope` is absolute and must lie in this handle's scope: a
    /// handle can only be narrowed.
    ///
    /// ```
    /// # use cred_manager::{CredentialManager, ManagerError};
    /// # async fn example(manager: CredentialManager) -> Result<(), ManagerError> {
    /// let tenant = manager.scoped("org:acme".parse()?)?;
    /// let app = tenant.scoped("org:acme/app:web".parse()?)?;
    /// assert!(app.scoped("org:acme".parse()?).is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ManagerError::ScopeViolation`] if `scope` is outside this handle's scope.
    pub fn scoped(&self, scope: ScopeId) -> Result<Self, ManagerError> {
        match self.scope() {
            Some(own) if !own.contains(&scope) => {
                Err(ManagerError::ScopeViolation { actual: own.clone(), requested: Some(scope) })
            }
            _ => Ok(Self { shared: Arc::clone(&self.shared), context: CredentialContext::scoped(scope) }),
        }
    }

    /// Returns a handle for the scope of a path, such as one from [`list_tree`](Self::list_tree).
    /// For a path with a scope, this is [`scoped`](Self::scoped); for a path without one, it is the
    /// root handle.
    ///
    /// ```
    /// # use cred_manager::{CredentialManager, ManagerError};
    /// # async fn example(manager: CredentialManager) -> Result<(), ManagerError> {
    /// for path in manager.list_tree().await? {
    ///     let credential = manager.at(&path)?.retrieve(&path.id).await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ManagerError::ScopeViolation`] if the path is outside this handle's scope. A path without
    /// a scope is outside of every scoped handle.
    pub fn at(&self, path: &CredentialPath) -> Result<Self, ManagerError> {
        match (self.scope(), &path.scope) {
            (_, Some(scope)) => self.scoped(scope.clone()),
            (None, None) => Ok(self.clone()),
            (Some(own), None) => Err(ManagerError::ScopeViolation { actual: own.clone(), requested: None }),
        }
    }

    /// Shuts the manager down, for every clone and every scoped handle. It can be called again. In
    /// this order, it
    ///
    /// 1. refuses new operations,
    /// 2. empties the cache,
    /// 3. waits for the writes and the shared loads that are running,
    /// 4. shuts the provider down.
    ///
    /// It does not wait for reads that are not shared: lists, validations, and every read without a
    /// cache.
    ///
    /// A write or load runs on the runtime of its caller. If that runtime has stopped without being
    /// dropped, the write or load never ends: drop such runtimes first.
    ///
    /// ```
    /// # use cred_manager::{CredentialManager, ManagerError};
    /// # async fn example(manager: CredentialManager) -> Result<(), ManagerError> {
    /// manager.shutdown().await?;
    /// let read = manager.retrieve(&"stripe-api-key".parse()?).await;
    /// assert!(matches!(read, Err(ManagerError::ShutDown)));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// - [`ManagerError::RootOnly`] on a scoped handle: other tenants use the same manager.
    /// - [`StorageErrorKind::Timeout`] if a write, a load or the provider does not end in time.
    ///
    /// # Cancellation
    /// If the future is dropped before it completes, the manager stays closed; call it again to
    /// wait for the rest.
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
            // Before the wait, so that no cached value is returned if this future is dropped there;
            // and after it, to remove the results of the last loads.
            shared.clear(None);
            self.with_timeout(shared.task_limit(), shared.tasks.ended()).await?;
            shared.clear(None);
            self.with_timeout(shared.limit, shared.provider.shutdown()).await
        })
        .await
    }

    async fn with_timeout(&self, limit: Duration, end: impl Future<Output = ()>) -> Result<(), ManagerError> {
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
    /// Seals a credential and stores it, replacing any existing value. One call of the provider.
    ///
    /// ```
    /// # use cred_core::{Credential, CredentialId};
    /// # use cred_manager::{CredentialManager, ManagerError};
    /// # async fn example(manager: CredentialManager) -> Result<(), ManagerError> {
    /// let id = CredentialId::from_static("stripe-api-key");
    /// manager.store(&id, Credential::api_key("sk_live_example")).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// If the credential that it replaces is in the cache, the new version is that one's plus one,
    /// and the creation time and the creator are kept. Otherwise `store` reads nothing: the
    /// credential starts at version 1, created now by
    /// [`created_by`](CredentialManagerBuilder::created_by), even if another one was stored before.
    /// [`rotate`](Self::rotate) always continues the version and keeps both. `store` returns no
    /// revision: to create or replace a credential and get its revision, use
    /// [`store_if`](Self::store_if).
    ///
    /// # Consistency
    /// A store whose outcome is unknown ([`ManagerError::may_have_written`]) may still take effect
    /// for [`Description::in_doubt`](cred_core::Description::in_doubt), and then replaces a later
    /// write that returned `Ok`: without compare-and-set, no provider can prevent that. After such
    /// an error, either
    ///
    /// - wait for that time before you write the credential again, or
    /// - read it after that time, and store again if it has the earlier value. Over an eventually
    ///   consistent provider, a read shows a late effect only
    ///   [`Consistency::point`](cred_core::Consistency::point) after that time.
    ///
    /// [`rotate`](Self::rotate) and [`store_if_absent`](Self::store_if_absent) wait by themselves
    /// where the provider has no compare-and-set.
    ///
    /// # Errors
    /// - [`ManagerError::Seal`] and [`ManagerError::Credential`]: nothing was written.
    /// - [`ManagerError::Storage`]: [`ManagerError::may_have_written`] reports whether the value
    ///   may have been written. A write without an answer fails as
    ///   [`InDoubt`](cred_core::StorageErrorKind::InDoubt). It fails as
    ///   [`Busy`](cred_core::StorageErrorKind::Busy) if it does not get the write lock within the
    ///   provider's `operation_timeout` plus one second, or if it would have to wait longer than
    ///   that until an uncertain write of a [`rekey`](Self::rekey) can no longer take effect.
    /// - [`ManagerError::ShutDown`].
    ///
    /// # Cancellation
    /// - Dropped while it waits for the write lock or for an earlier write, or while the credential
    ///   is sealed: nothing is written.
    /// - Dropped later: the write continues to its end. If it then fails, an event at WARN with the
    ///   target `cred` is logged, with the fields `operation`, `path` and `error`.
    /// - Do not hold on to this future without polling it, such as the loser of a `select!` that is
    ///   polled again later: it keeps its place in the queue, and other writes to the same
    ///   credential fail with `Busy`.
    pub async fn store(&self, id: &CredentialId, credential: Credential) -> Result<(), ManagerError> {
        observe("store", self, Some(id), async {
            let shared = &self.shared;
            shared.tasks.refuse_when_closed()?;
            let path = self.path(id).to_path();
            let lock = shared.lock_for_caller(Operation::Store, &path).await?;
            // Under the lock, so that no other write of this manager intervenes.
            let former = shared.cache.as_ref().and_then(|cache| cache.lifecycle(path.as_path_ref()));
            let metadata = shared.metadata(&credential, former);
            let sealed = shared.sealing.seal(path.as_path_ref(), metadata, &credential).await?;
            let SealedWrite { sealed: Sealed { data, metadata }, token } = sealed;
            let (provider, ctx, owned_id) = (Arc::clone(&shared.provider), self.context.clone(), id.clone());
            let effect = shared.stores(&data, token);
            let write = async move { provider.store(&owned_id, data, metadata, &ctx).await };
            shared.write(Writer::Store, Operation::Store, &path, lock.into(), effect, write).await
        })
        .await
    }

    /// Reads a credential; `None`: nothing is stored under that id. It is served from the cache, or
    /// by one call of the provider that all concurrent readers of the same credential share.
    /// Without a cache, every read is its own call.
    ///
    /// ```
    /// # use cred_core::{CredentialId, field};
    /// # use cred_manager::{CredentialManager, ManagerError};
    /// # async fn example(manager: CredentialManager) -> Result<(), ManagerError> {
    /// let id = CredentialId::from_static("stripe-api-key");
    /// if let Some(key) = manager.retrieve(&id).await? {
    ///     let key: &str = key.expose_text(field::VALUE)?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// An expired credential is returned, and a warning is logged, unless
    /// [`on_expired`](CredentialManagerBuilder::on_expired) sets another behaviour.
    ///
    /// # Errors
    /// - [`ManagerError::Storage`].
    /// - [`ManagerError::Seal`] if it cannot be opened; the message states the reason.
    /// - [`ManagerError::Credential`] if it was opened, but the contents are not a credential.
    /// - [`ManagerError::Expired`] with [`OnExpired::Refuse`](crate::OnExpired::Refuse).
    /// - [`ManagerError::ShutDown`].
    ///
    /// # Cancellation
    /// Dropping the future changes nothing; a load that has begun continues for other readers.
    #[inline]
    pub async fn retrieve(&self, id: &CredentialId) -> Result<Option<Credential>, ManagerError> {
        if let Some(cache) = &self.shared.cache {
            if !is_traced() && !self.shared.tasks.are_closed() {
                if let Some(credential) = cache.get(self.path(id)) {
                    self.shared.meter.hit();
                    return Ok(Some(credential));
                }
            }
        }
        self.retrieve_observed(id).await
    }

    /// Everything except a cache hit without a span. Boxed, so that the future of such a hit stays
    /// small.
    #[cold]
    #[inline(never)]
    fn retrieve_observed<'a>(
        &'a self,
        id: &'a CredentialId,
    ) -> Pin<Box<dyn Future<Output = Loaded> + Send + 'a>> {
        Box::pin(observe("retrieve", self, Some(id), self.retrieve_or_load(id)))
    }

    /// Reads without a cache.
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
            shared.record_cache_result("hit");
            return Ok(Some(credential));
        }
        match cache.share_or_start(path, None) {
            Miss::Hit(credential) => {
                shared.record_cache_result("hit");
                Ok(Some(credential))
            }
            Miss::Shared(result) => {
                shared.record_cache_result("joined");
                shared.result(result, path).await
            }
            Miss::Start(load, result) => {
                shared.record_cache_result("miss");
                shared.begin_load(load)?;
                shared.result(result, path).await
            }
        }
    }

    /// Reads a credential from the provider, even if it is cached, and caches the result. At most
    /// one call of the provider.
    ///
    /// ```
    /// # use cred_manager::{CredentialManager, ManagerError};
    /// # async fn example(manager: CredentialManager) -> Result<(), ManagerError> {
    /// // The backend has rejected the cached password: it may have been rotated.
    /// let current = manager.refresh(&"database".parse()?).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// The result is the value that was stored when the refresh began, or a later one: a refresh
    /// never shares a load that began before it. Concurrent refreshes of a credential are merged:
    /// one runs, and all others wait for it and then share the next one. Without a cache, each is a
    /// call.
    ///
    /// If a refresh fails, the cached value stays, unless the stored credential has expired and is
    /// refused. If its result may not be cached, because a write of this manager may not be visible
    /// yet, the cached value is removed.
    ///
    /// # Errors
    /// As [`retrieve`](Self::retrieve).
    ///
    /// # Cancellation
    /// Dropping the future changes nothing; the load continues.
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

    /// Whether a credential is stored, readable or not. One call of the provider, even if the
    /// credential is cached; it is not opened.
    ///
    /// ```
    /// # use cred_manager::{CredentialManager, ManagerError};
    /// # async fn example(manager: CredentialManager) -> Result<(), ManagerError> {
    /// if !manager.exists(&"stripe-api-key".parse()?).await? {
    ///     eprintln!("store a Stripe API key first");
    /// }
    /// # Ok(())
    /// # }
    /// ```
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

    /// Returns the metadata of a credential: tags, times, version, expiry and policy; `None`:
    /// nothing is stored under that id. One call of the provider, even if the credential is cached.
    /// It is not opened, so no key is needed.
    ///
    /// The metadata is **not proven authentic**: a principal that can write to the backend can have
    /// edited it. [`retrieve`](Self::retrieve) and [`validate`](Self::validate) detect such an
    /// edit.
    ///
    /// ```
    /// # use cred_manager::{CredentialManager, ManagerError};
    /// # async fn example(manager: CredentialManager) -> Result<(), ManagerError> {
    /// if let Some(metadata) = manager.metadata(&"stripe-api-key".parse()?).await? {
    ///     println!("version {}, expires {:?}", metadata.version, metadata.expires_at);
    /// }
    /// # Ok(())
    /// # }
    /// ```
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

    /// Deletes a credential; `Ok` also if it does not exist. One call of the provider.
    ///
    /// ```
    /// # use cred_manager::{CredentialManager, ManagerError};
    /// # async fn example(manager: CredentialManager) -> Result<(), ManagerError> {
    /// manager.delete(&"stripe-api-key".parse()?).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Consistency
    /// As for [`store`](Self::store), a deletion whose outcome is unknown may still take effect for
    /// [`Description::in_doubt`](cred_core::Description::in_doubt), and then deletes a credential
    /// that was stored later. An earlier uncertain store may bring a deleted credential back. Wait
    /// for that time before you write again, or check after it, and over an eventually consistent
    /// provider after another [`Consistency::point`](cred_core::Consistency::point).
    ///
    /// # Errors
    /// [`ManagerError::Storage`], as for [`store`](Self::store); [`ManagerError::ShutDown`].
    ///
    /// # Cancellation
    /// - Dropped while it waits for the write lock or for an earlier write: nothing is deleted.
    /// - Dropped later: the deletion continues to its end, and a failure is logged as that of a
    ///   [`store`](Self::store).
    pub async fn delete(&self, id: &CredentialId) -> Result<(), ManagerError> {
        observe("delete", self, Some(id), async {
            let shared = &self.shared;
            shared.tasks.refuse_when_closed()?;
            let path = self.path(id).to_path();
            let lock = shared.lock_for_caller(Operation::Delete, &path).await?;
            let (provider, ctx, owned_id) = (Arc::clone(&shared.provider), self.context.clone(), id.clone());
            let write = async move { provider.delete(&owned_id, &ctx).await };
            shared
                .write(Writer::Delete, Operation::Delete, &path, lock.into(), LastWrite::Deleted, write)
                .await
        })
        .await
    }
}

/// The cache.
impl CredentialManager {
    /// Removes every cached credential of this handle's scope and below it; for the root,
    /// everything. The results of in-flight loads are not cached either.
    ///
    /// ```
    /// # use cred_manager::{CredentialManager, ManagerError};
    /// # async fn example(manager: CredentialManager) -> Result<(), ManagerError> {
    /// manager.scoped("org:acme".parse()?)?.clear_cache()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// None today; the contract leaves room for a cache outside of this process.
    pub fn clear_cache(&self) -> Result<(), ManagerError> {
        self.shared.clear(self.scope());
        Ok(())
    }

    /// Removes one credential from the cache. The result of an in-flight load of it is not cached
    /// either.
    ///
    /// ```
    /// # use cred_manager::{CredentialManager, ManagerError};
    /// # async fn example(manager: CredentialManager) -> Result<(), ManagerError> {
    /// manager.clear_cache_for(&"stripe-api-key".parse()?)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`clear_cache`](Self::clear_cache).
    pub fn clear_cache_for(&self, id: &CredentialId) -> Result<(), ManagerError> {
        if let Some(cache) = &self.shared.cache {
            cache.clear_path(self.path(id));
        }
        Ok(())
    }

    /// Returns the statistics of the cache. `None` if caching is disabled, and on a scoped handle:
    /// the numbers cover other tenants.
    ///
    /// ```
    /// # use cred_manager::{CredentialManager, ManagerError};
    /// # async fn example(manager: CredentialManager) -> Result<(), ManagerError> {
    /// if let Some(stats) = manager.cache_stats() {
    ///     println!("{} credentials, hit rate {:.2}", stats.size, stats.hit_rate());
    /// }
    /// # Ok(())
    /// # }
    /// ```
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
