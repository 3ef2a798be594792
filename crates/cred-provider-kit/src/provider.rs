//! A storage provider over any backend.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cred_core::{
    CompareAndSet, CredentialContext, CredentialFilter, CredentialId, CredentialMetadata, CredentialPath,
    Description, EncryptedData, Operation, Revision, Sealed, SoftDelete, StorageErrorKind, StorageMetrics,
    StorageProvider, StorageResult, Versioned, async_trait,
};

use crate::{Backend, Conditional, CredentialFile, Executor, Reach, Recoverable, TargetRef, Wire, limits};

/// The [`StorageProvider`] of a [`Backend`]: what is the same for all of them. Clones share
/// everything.
///
/// Each operation is one [sequence](Executor::sequence) of the executor. After
/// [`shutdown`](StorageProvider::shutdown) every operation is refused as
/// [`ShutDown`](StorageErrorKind::ShutDown).
///
/// Dropping the future of an operation drops the request in flight: a write may or may not happen
/// then.
///
/// ```
/// use std::collections::BTreeMap;
/// use std::sync::{Mutex, PoisonError};
/// use std::time::Duration;
///
/// use cred_core::{CredentialFilter, CredentialPath, Description, PathRef, StorageError, StorageResult};
/// use cred_provider_kit::{Backend, CredentialFile, Executor, Provider, Reach, Wire};
///
/// /// Keeps credentials in a map.
/// #[derive(Debug, Default)]
/// struct Map(Mutex<BTreeMap<CredentialPath, Vec<u8>>>);
///
/// impl Map {
///     fn entries(&self) -> std::sync::MutexGuard<'_, BTreeMap<CredentialPath, Vec<u8>>> {
///         self.0.lock().unwrap_or_else(PoisonError::into_inner)
///     }
/// }
///
/// impl Backend for Map {
///     async fn put(
///         &self,
///         wire: &mut Wire<'_>,
///         path: PathRef<'_>,
///         file: CredentialFile,
///     ) -> StorageResult<()> {
///         let envelope = &file.encode_within(wire.description(), path)?;
///         wire.write(async |_| {
///             self.entries().insert(path.to_path(), envelope.clone());
///             Ok(())
///         })
///         .await
///     }
///
///     async fn get(
///         &self,
///         wire: &mut Wire<'_>,
///         path: PathRef<'_>,
///     ) -> StorageResult<Option<CredentialFile>> {
///         wire.read(async |_| {
///             let envelope = self.entries().get(&path.to_path()).cloned();
///             envelope.map(|envelope| CredentialFile::decode(&envelope)).transpose()
///         })
///         .await
///     }
///
///     async fn delete(&self, wire: &mut Wire<'_>, path: PathRef<'_>) -> StorageResult<()> {
///         wire.write(async |_| {
///             self.entries().remove(&path.to_path());
///             Ok(())
///         })
///         .await
///     }
///
///     async fn paths(
///         &self,
///         wire: &mut Wire<'_>,
///         _: Reach<'_>,
///         _: Option<&CredentialFilter>,
///     ) -> StorageResult<Vec<CredentialPath>> {
///         wire.read(async |_| Ok(self.entries().keys().cloned().collect())).await
///     }
/// }
///
/// let description = Description::new("map", Duration::from_secs(30));
/// let provider = Provider::new(Executor::new(description, Duration::from_secs(5)), Map::default());
/// ```
pub struct Provider<B>(Arc<Shared<B>>);

struct Shared<B> {
    executor: Executor,
    backend: B,
    is_shut_down: AtomicBool,
}

impl<B: Backend> Provider<B> {
    /// A provider over a backend, whose operations `executor` runs. Its description is the
    /// provider's.
    #[must_use]
    pub fn new(executor: Executor, backend: B) -> Self {
        Self(Arc::new(Shared { executor, backend, is_shut_down: AtomicBool::new(false) }))
    }

    /// The backend.
    #[must_use]
    pub fn backend(&self) -> &B {
        &self.0.backend
    }

    /// Looks whether the backend can be used, so that a wrong address or a missing right shows when
    /// a program starts. Nothing needs it: the first operation connects by itself.
    ///
    /// # Errors
    /// What the backend refuses.
    pub async fn connect(&self) -> StorageResult<()> {
        self.perform(Operation::Connect, TargetRef::Backend, async |wire| self.0.backend.connect(wire).await)
            .await
    }

    /// Runs an operation that the backend offers beyond the traits, as [`Executor::sequence`] does.
    /// After [`shutdown`](StorageProvider::shutdown) it is refused. Nothing is checked against the
    /// limits.
    ///
    /// # Errors
    /// Those of the backend and of [`Executor::sequence`];
    /// [`ShutDown`](StorageErrorKind::ShutDown) after a shutdown.
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

    async fn listed(
        &self,
        operation: Operation,
        reach: Reach<'_>,
        filter: Option<&CredentialFilter>,
    ) -> StorageResult<Vec<CredentialPath>> {
        self.perform(operation, TargetRef::Scope(reach.scope()), async |wire| {
            let mut paths = match filter.filter(|filter| !filter.is_empty()) {
                None => self.0.backend.paths(wire, reach, None).await?,
                Some(filter) => self.0.backend.matching(wire, reach, filter).await?,
            };
            reach.clean(&mut paths);
            Ok(paths)
        })
        .await
    }

    /// The credential as the backend keeps it, if its tags fit.
    fn file(&self, data: EncryptedData, metadata: CredentialMetadata) -> StorageResult<CredentialFile> {
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
            self.0.backend.put(wire, path, self.file(data, metadata)?).await
        })
        .await
    }

    async fn retrieve(&self, id: &CredentialId, ctx: &CredentialContext) -> StorageResult<Sealed> {
        let path = ctx.path(id);
        self.perform(Operation::Retrieve, path, async |wire| stored(self.0.backend.get(wire, path).await?))
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
        let reach = Reach::Scope(ctx.scope_id.as_ref());
        Ok(ids(self.listed(Operation::List, reach, filter).await?))
    }

    async fn list_tree(
        &self,
        filter: Option<&CredentialFilter>,
        ctx: &CredentialContext,
    ) -> StorageResult<Vec<CredentialPath>> {
        self.listed(Operation::ListTree, Reach::Tree(ctx.scope_id.as_ref()), filter).await
    }

    async fn retrieve_many(
        &self,
        ids: &[CredentialId],
        ctx: &CredentialContext,
    ) -> Vec<StorageResult<Sealed>> {
        if self.describe().batch.get() == 1 {
            let mut answers = Vec::with_capacity(ids.len());
            for id in ids {
                answers.push(self.retrieve(id, ctx).await);
            }
            return answers;
        }
        let paths: Vec<_> = ids.iter().map(|id| ctx.path(id).to_path()).collect();
        self.0
            .executor
            .run_many(ids, ctx, async |wire| {
                self.prepare(wire).await?;
                let files = self.0.backend.get_each(wire, &paths).await?;
                Ok(files.into_iter().map(|file| stored(file?)).collect())
            })
            .await
    }

    async fn shutdown(&self) {
        self.0.is_shut_down.store(true, Ordering::Relaxed);
        let work = async |wire: &mut Wire<'_>| self.0.backend.shutdown(wire).await;
        if let Err(error) = self.0.executor.sequence(Operation::Shutdown, TargetRef::Backend, work).await {
            tracing::warn!(target: "cred::storage", %error, "the provider left something behind");
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
            self.0.backend.put_if(wire, path, self.file(data, metadata)?, expected).await
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
        let reach = Reach::Scope(ctx.scope_id.as_ref());
        self.perform(Operation::ListDeleted, ctx, async |wire| {
            let mut paths = self.0.backend.deleted(wire, reach).await?;
            reach.clean(&mut paths);
            Ok(ids(paths))
        })
        .await
    }
}

fn stored(file: Option<CredentialFile>) -> StorageResult<Sealed> {
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

/// Its backend, which prints no secret.
impl<B: Backend> fmt::Debug for Provider<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider")
            .field("executor", &self.0.executor)
            .field("backend", &self.0.backend)
            .finish_non_exhaustive()
    }
}

/// Defines the public type of a provider around the [`Provider`] of a private [`Backend`], so that
/// the crate can give it constructors of its own: `Self(Provider::new(executor, backend))`. With
/// `connect`, documented as given, it has [`Provider::connect`].
///
/// ```
/// # use cred_core::{CredentialFilter, CredentialPath, Description, PathRef, StorageResult};
/// # use cred_provider_kit::{Backend, CredentialFile, Executor, Provider, Reach, Wire};
/// # #[derive(Debug)]
/// # struct Mine;
/// # impl Backend for Mine {
/// #     async fn put(&self, _: &mut Wire<'_>, _: PathRef<'_>, _: CredentialFile) -> StorageResult<()> { Ok(()) }
/// #     async fn get(&self, _: &mut Wire<'_>, _: PathRef<'_>) -> StorageResult<Option<CredentialFile>> { Ok(None) }
/// #     async fn delete(&self, _: &mut Wire<'_>, _: PathRef<'_>) -> StorageResult<()> { Ok(()) }
/// #     async fn paths(&self, _: &mut Wire<'_>, _: Reach<'_>, _: Option<&CredentialFilter>)
/// #         -> StorageResult<Vec<CredentialPath>> { Ok(Vec::new()) }
/// # }
/// # use std::time::Duration;
/// cred_provider_kit::storage_provider! {
///     /// Keeps sealed credentials in my service.
///     pub struct MyProvider(Mine);
///
///     /// Logs in. The first operation does so by itself.
///     connect
/// }
///
/// impl MyProvider {
///     /// A provider that has not connected yet.
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
