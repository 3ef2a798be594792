//! The storage provider of any backend.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cred_core::{
    CompareAndSet, CredentialContext, CredentialFilter, CredentialId, CredentialMetadata, CredentialPath,
    Description, EncryptedData, Operation, Revision, Sealed, SoftDelete, StorageErrorKind, StorageMetrics,
    StorageProvider, StorageResult, Versioned, async_trait,
};

use crate::{
    Backend, Conditional, CredentialFile, Executor, ListRange, Recoverable, TargetRef, Wire, limits,
};

/// The [`StorageProvider`] of a [`Backend`]. It implements everything that is the same for all
/// backends. Clones share everything.
///
/// Each operation is one [sequence](Executor::sequence) of the executor. After
/// [`shutdown`](StorageProvider::shutdown), every operation fails with
/// [`ShutDown`](StorageErrorKind::ShutDown).
///
/// # Cancellation
/// Dropping the future of an operation drops its pending request: a write may or may not happen
/// then.
///
/// # Example
/// [`Backend`] shows the implementation of a backend.
///
/// ```
/// # use cred_core::{CredentialFilter, CredentialPath, PathRef, StorageResult};
/// # use cred_provider_kit::{Backend, CredentialFile, ListRange, Wire};
/// # #[derive(Debug, Default)]
/// # struct Map;
/// # impl Backend for Map {
/// #     async fn put(&self, _: &mut Wire<'_>, _: PathRef<'_>, _: CredentialFile) -> StorageResult<()> { Ok(()) }
/// #     async fn get(&self, _: &mut Wire<'_>, _: PathRef<'_>) -> StorageResult<Option<CredentialFile>> { Ok(None) }
/// #     async fn delete(&self, _: &mut Wire<'_>, _: PathRef<'_>) -> StorageResult<()> { Ok(()) }
/// #     async fn paths(&self, _: &mut Wire<'_>, _: ListRange<'_>, _: Option<&CredentialFilter>)
/// #         -> StorageResult<Vec<CredentialPath>> { Ok(Vec::new()) }
/// # }
/// use std::time::Duration;
///
/// use cred_core::{CredentialContext, Description, StorageProvider};
/// use cred_provider_kit::{Executor, Provider};
///
/// # async fn run() -> StorageResult<()> {
/// // 30 s for an operation with all its attempts, 5 s for one attempt.
/// let description = Description::new("map", Duration::from_secs(30));
/// let provider = Provider::new(Executor::new(description, Duration::from_secs(5)), Map::default());
///
/// provider.connect().await?;
/// assert!(provider.list(None, &CredentialContext::unscoped()).await?.is_empty());
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(run()).unwrap();
/// ```
pub struct Provider<B>(Arc<Shared<B>>);

struct Shared<B> {
    executor: Executor,
    backend: B,
    is_shut_down: AtomicBool,
}

impl<B: Backend> Provider<B> {
    /// Creates a provider for a backend. `executor` runs the operations, and its description is
    /// that of the provider.
    #[must_use]
    pub fn new(executor: Executor, backend: B) -> Self {
        Self(Arc::new(Shared { executor, backend, is_shut_down: AtomicBool::new(false) }))
    }

    /// Returns the backend.
    #[must_use]
    pub fn backend(&self) -> &B {
        &self.0.backend
    }

    /// Checks that the backend can be used, so that a program finds a wrong address or a missing
    /// permission when it starts. Calling it is optional: the first operation connects by itself.
    ///
    /// # Errors
    /// The error of the backend.
    pub async fn connect(&self) -> StorageResult<()> {
        self.perform(Operation::Connect, TargetRef::Backend, async |wire| self.0.backend.connect(wire).await)
            .await
    }

    /// Runs an operation that the backend offers beyond the traits, as [`Executor::sequence`] does.
    /// Nothing is checked against the limits.
    ///
    /// # Errors
    /// Errors of the backend and of [`Executor::sequence`], or
    /// [`ShutDown`](StorageErrorKind::ShutDown) after a [`shutdown`](StorageProvider::shutdown).
    pub async fn perform<'t, T>(
        &self,
        operation: Operation,
        target: impl Into<TargetRef<'t>>,
        body: impl AsyncFnOnce(&mut Wire<'_>) -> StorageResult<T>,
    ) -> StorageResult<T> {
        let work = async |wire: &mut Wire<'_>| {
            self.prepare(wire).await?;
            body(wire).await
        };
        self.0.executor.sequence(operation, target, work).await
    }

    async fn prepare(&self, wire: &mut Wire<'_>) -> StorageResult<()> {
        match self.0.is_shut_down.load(Ordering::Relaxed) {
            true => Err(StorageErrorKind::ShutDown.into()),
            false => self.0.backend.prepare(wire).await,
        }
    }

    async fn list_paths(
        &self,
        operation: Operation,
        reach: ListRange<'_>,
        filter: Option<&CredentialFilter>,
    ) -> StorageResult<Vec<CredentialPath>> {
        self.perform(operation, TargetRef::Scope(reach.scope()), async |wire| {
            let mut paths = match filter.filter(|filter| !filter.is_empty()) {
                None => self.0.backend.paths(wire, reach, None).await?,
                Some(filter) => self.0.backend.matching(wire, reach, filter).await?,
            };
            reach.retain_unique(&mut paths);
            Ok(paths)
        })
        .await
    }

    /// Builds the file that the backend stores, if its tags are within the limits.
    fn checked_file(
        &self,
        data: EncryptedData,
        metadata: CredentialMetadata,
    ) -> StorageResult<CredentialFile> {
        limits::check_tags(&self.0.executor.description().limits, &metadata)?;
        Ok(CredentialFile::new(data, metadata))
    }
}

#[async_trait]
impl<B: Backend> StorageProvider for Provider<B> {
    fn describe(&self) -> &Description {
        self.0.executor.description()
    }

    async fn store(
        &self,
        id: &CredentialId,
        data: EncryptedData,
        metadata: CredentialMetadata,
        ctx: &CredentialContext,
    ) -> StorageResult<()> {
        let path = ctx.path(id);
        self.perform(Operation::Store, path, async |wire| {
            self.0.backend.put(wire, path, self.checked_file(data, metadata)?).await
        })
        .await
    }

    async fn retrieve(&self, id: &CredentialId, ctx: &CredentialContext) -> StorageResult<Sealed> {
        let path = ctx.path(id);
        self.perform(Operation::Retrieve, path, async |wire| {
            sealed_or_not_found(self.0.backend.get(wire, path).await?)
        })
        .await
    }

    async fn delete(&self, id: &CredentialId, ctx: &CredentialContext) -> StorageResult<()> {
        let path = ctx.path(id);
        self.perform(Operation::Delete, path, async |wire| self.0.backend.delete(wire, path).await).await
    }

    async fn exists(&self, id: &CredentialId, ctx: &CredentialContext) -> StorageResult<bool> {
        let path = ctx.path(id);
        self.perform(Operation::Exists, path, async |wire| self.0.backend.exists(wire, path).await).await
    }

    async fn list(
        &self,
        filter: Option<&CredentialFilter>,
        ctx: &CredentialContext,
    ) -> StorageResult<Vec<CredentialId>> {
        let reach = ListRange::Scope(ctx.scope_id.as_ref());
        Ok(ids(self.list_paths(Operation::List, reach, filter).await?))
    }

    async fn list_tree(
        &self,
        filter: Option<&CredentialFilter>,
        ctx: &CredentialContext,
    ) -> StorageResult<Vec<CredentialPath>> {
        self.list_paths(Operation::ListTree, ListRange::Tree(ctx.scope_id.as_ref()), filter).await
    }

    async fn retrieve_many(
        &self,
        ids: &[CredentialId],
        ctx: &CredentialContext,
    ) -> Vec<StorageResult<Sealed>> {
        if self.describe().batch.get() == 1 {
            let mut results = Vec::with_capacity(ids.len());
            for id in ids {
                results.push(self.retrieve(id, ctx).await);
            }
            return results;
        }
        let paths: Vec<_> = ids.iter().map(|id| ctx.path(id).to_path()).collect();
        self.0
            .executor
            .run_many(ids, ctx, async |wire| {
                self.prepare(wire).await?;
                let files = self.0.backend.get_each(wire, &paths).await?;
                Ok(files.into_iter().map(|file| sealed_or_not_found(file?)).collect())
            })
            .await
    }

    async fn shutdown(&self) {
        self.0.is_shut_down.store(true, Ordering::Relaxed);
        let work = async |wire: &mut Wire<'_>| self.0.backend.shutdown(wire).await;
        if let Err(error) = self.0.executor.sequence(Operation::Shutdown, TargetRef::Backend, work).await {
            tracing::warn!(target: "cred::storage", %error, "the provider could not release all of its resources");
        }
    }

    fn metrics(&self) -> Option<Arc<StorageMetrics>> {
        Some(Arc::clone(self.0.executor.metrics()))
    }

    fn compare_and_set(&self) -> Option<&dyn CompareAndSet> {
        B::compare_and_set(self)
    }

    fn soft_delete(&self) -> Option<&dyn SoftDelete> {
        B::soft_delete(self)
    }
}

#[async_trait]
impl<B: Conditional> CompareAndSet for Provider<B> {
    async fn retrieve_versioned(
        &self,
        id: &CredentialId,
        ctx: &CredentialContext,
    ) -> StorageResult<Versioned<Sealed>> {
        let path = ctx.path(id);
        self.perform(Operation::RetrieveVersioned, path, async |wire| {
            let found = self.0.backend.get_versioned(wire, path).await?;
            Ok(found.ok_or(StorageErrorKind::NotFound)?.map(CredentialFile::into_sealed))
        })
        .await
    }

    async fn store_if(
        &self,
        id: &CredentialId,
        data: EncryptedData,
        metadata: CredentialMetadata,
        expected: Option<&Revision>,
        ctx: &CredentialContext,
    ) -> StorageResult<Revision> {
        let path = ctx.path(id);
        self.perform(Operation::StoreIf, path, async |wire| {
            self.0.backend.put_if(wire, path, self.checked_file(data, metadata)?, expected).await
        })
        .await
    }
}

#[async_trait]
impl<B: Recoverable> SoftDelete for Provider<B> {
    async fn recover(&self, id: &CredentialId, ctx: &CredentialContext) -> StorageResult<()> {
        let path = ctx.path(id);
        self.perform(Operation::Recover, path, async |wire| self.0.backend.recover(wire, path).await).await
    }

    async fn purge(&self, id: &CredentialId, ctx: &CredentialContext) -> StorageResult<()> {
        let path = ctx.path(id);
        self.perform(Operation::Purge, path, async |wire| self.0.backend.purge(wire, path).await).await
    }

    async fn list_deleted(&self, ctx: &CredentialContext) -> StorageResult<Vec<CredentialId>> {
        let reach = ListRange::Scope(ctx.scope_id.as_ref());
        self.perform(Operation::ListDeleted, ctx, async |wire| {
            let mut paths = self.0.backend.deleted(wire, reach).await?;
            reach.retain_unique(&mut paths);
            Ok(ids(paths))
        })
        .await
    }
}

fn sealed_or_not_found(file: Option<CredentialFile>) -> StorageResult<Sealed> {
    Ok(file.ok_or(StorageErrorKind::NotFound)?.into_sealed())
}

fn ids(paths: Vec<CredentialPath>) -> Vec<CredentialId> {
    paths.into_iter().map(|path| path.id).collect()
}

impl<B> Clone for Provider<B> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// Prints the executor and the backend, whose `Debug` prints no secret.
impl<B: Backend> fmt::Debug for Provider<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider")
            .field("executor", &self.0.executor)
            .field("backend", &self.0.backend)
            .finish_non_exhaustive()
    }
}

/// Defines the public type of a provider that wraps the [`Provider`] of a private [`Backend`], so
/// that the crate can add constructors: `Self(Provider::new(executor, backend))`. With `connect`,
/// the type also has [`Provider::connect`], with the docs that are given here.
///
/// ```
/// # use cred_core::{CredentialFilter, CredentialPath, Description, PathRef, StorageResult};
/// # use cred_provider_kit::{Backend, CredentialFile, Executor, Provider, ListRange, Wire};
/// # #[derive(Debug)]
/// # struct Mine;
/// # impl Backend for Mine {
/// #     async fn put(&self, _: &mut Wire<'_>, _: PathRef<'_>, _: CredentialFile) -> StorageResult<()> { Ok(()) }
/// #     async fn get(&self, _: &mut Wire<'_>, _: PathRef<'_>) -> StorageResult<Option<CredentialFile>> { Ok(None) }
/// #     async fn delete(&self, _: &mut Wire<'_>, _: PathRef<'_>) -> StorageResult<()> { Ok(()) }
/// #     async fn paths(&self, _: &mut Wire<'_>, _: ListRange<'_>, _: Option<&CredentialFilter>)
/// #         -> StorageResult<Vec<CredentialPath>> { Ok(Vec::new()) }
/// # }
/// # use std::time::Duration;
/// cred_provider_kit::storage_provider! {
///     /// Stores sealed credentials in my service.
///     pub struct MyProvider(Mine);
///
///     /// Logs in. The first operation does so by itself.
///     connect
/// }
///
/// impl MyProvider {
///     /// Creates a provider that has not connected yet.
///     pub fn new() -> Self {
///         let description = Description::new("mine", Duration::from_secs(30));
///         Self(Provider::new(Executor::new(description, Duration::from_secs(5)), Mine))
///     }
/// }
/// # let _ = MyProvider::new();
/// ```
#[macro_export]
macro_rules! storage_provider {
    ($(#[$doc:meta])* pub struct $name:ident($backend:ty); $($(#[$connect:meta])* connect)?) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub struct $name($crate::Provider<$backend>);

        $(impl $name {
            $(#[$connect])*
            pub async fn connect(&self) -> ::cred_core::StorageResult<()> {
                self.0.connect().await
            }
        })?

        impl ::cred_core::Wrapper for $name {
            fn inner(
                &self,
            ) -> impl ::std::ops::Deref<Target: ::cred_core::StorageProvider> + Send + Sync {
                &self.0
            }

            fn description(&self) -> &::cred_core::Description {
                ::cred_core::StorageProvider::describe(&self.0)
            }
        }
    };
}
