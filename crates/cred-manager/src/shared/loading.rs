//! Loads of the cache: they run in tasks of the manager, and readers share them.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use cred_core::{
    CredentialContext, CredentialId, Operation, PathRef, StorageError, StorageErrorKind, Target,
};

use futures_util::FutureExt as _;
use futures_util::future::join_all;

use super::Shared;
use crate::ManagerError;
use crate::cache::{Load, LoadResult, Loaded, NoResult};
use crate::fetch_many::FetchSealed;

impl Shared {
    /// Loads a path in a task of the manager, which continues even if every reader is dropped.
    pub(crate) fn begin_load(self: &Arc<Self>, mut load: Load) -> Result<(), ManagerError> {
        let shared = Arc::clone(self);
        self.tasks.spawn(async move {
            let path = load.path().clone();
            let found = match shared.may_call(&mut load, path.clone()).await {
                Ok(()) => shared.fetch(&path.id, &path.scope.into()).await,
                Err(error) => Err(error),
            };
            load.complete(found);
        })?;
        Ok(())
    }

    /// Loads many paths of one scope by one call, in one task of the manager. Each load ends when
    /// its credential is opened, or when the sealer panics.
    pub(crate) fn begin_loads(
        self: &Arc<Self>,
        mut loads: Vec<Load>,
        ctx: CredentialContext,
    ) -> Result<(), ManagerError> {
        if loads.is_empty() {
            return Ok(());
        }
        let shared = Arc::clone(self);
        self.tasks.spawn(async move {
            let ids: Vec<CredentialId> = loads.iter().map(|load| load.path().id.clone()).collect();
            let may_call = match loads.first_mut() {
                Some(first) => shared.may_call(first, Target::Scope(ctx.scope_id.clone())).await,
                None => Ok(()),
            };
            let sealed = match may_call {
                Ok(()) => shared.fetch_many_sealed(&ids, &ctx).await,
                Err(error) => ids.iter().map(|_| Err(error.clone())).collect(),
            };
            let open = loads.into_iter().zip(sealed).map(|(load, sealed)| {
                let open = shared.open_and_complete(load, sealed);
                AssertUnwindSafe(open).catch_unwind()
            });
            join_all(open).await;
        })?;
        Ok(())
    }

    async fn open_and_complete(&self, load: Load, sealed: FetchSealed) {
        let fetch = self.open_fetched(load.path().as_path_ref(), sealed).await;
        let found = self.to_cacheable(load.path().as_path_ref(), fetch);
        load.complete(found);
    }

    /// Waits until a load may call the provider.
    ///
    /// # Errors
    /// [`Busy`](StorageErrorKind::Busy) if the maximum number of loads is running for as long as a
    /// call may take.
    async fn may_call(&self, load: &mut Load, target: impl Into<Target>) -> Result<(), ManagerError> {
        if load.may_call(self.limit).await {
            return Ok(());
        }
        self.tasks.refuse_when_closed()?;
        let error = StorageError::busy(format!(
            "the maximum number of concurrent loads was running for {:?}",
            self.limit
        ));
        Err(self.at(error, Operation::Retrieve, target).into())
    }

    /// Waits for the result of an in-flight load.
    pub(crate) async fn result(&self, mut result: LoadResult, path: PathRef<'_>) -> Loaded {
        let error = match result.wait().await {
            Ok(loaded) => return loaded,
            Err(NoResult::Ended) => {
                // A load that was refused, because the shutdown had begun, ends in the same way.
                self.tasks.refuse_when_closed()?;
                // Another load may succeed.
                StorageError::unavailable("the load panicked, or the runtime that it ran on was shut down")
            }
            Err(NoResult::Overdue) => {
                self.cancel_load(&result, path);
                StorageErrorKind::Timeout { limit: result.limit }.into()
            }
        };
        Err(self.at(error, Operation::Retrieve, path.to_path()).into())
    }

    /// Waits until an in-flight load has ended, whatever its result.
    pub(crate) async fn load_ended(&self, mut result: LoadResult, path: PathRef<'_>) {
        if let Err(NoResult::Overdue) = result.wait().await {
            self.cancel_load(&result, path);
        }
    }

    /// Stops sharing an overdue load: its runtime may have stopped, so the next reader starts
    /// another one.
    fn cancel_load(&self, result: &LoadResult, path: PathRef<'_>) {
        if let Some(cache) = &self.cache {
            cache.cancel(path, result);
        }
    }
}

#[cfg(all(test, feature = "crypto"))]
mod tests {
    use std::time::Duration;

    use cred_store_memory::{MemoryStorageConfig, MemoryStorageProvider};

    use crate::cache::Miss;
    use crate::crypto::KeyRing;
    use crate::{CredentialManager, ManagerError};

    /// The reader shares a load that is refused because the shutdown begins in between.
    #[tokio::test]
    async fn a_reader_of_a_load_that_was_refused_by_a_shutdown_gets_shut_down() {
        let provider = MemoryStorageProvider::new(MemoryStorageConfig::default()).unwrap();
        let builder = CredentialManager::builder().storage(provider);
        let keys = KeyRing::generate("main".parse().unwrap()).unwrap();
        let manager = builder.keys(keys).cache_ttl(Duration::from_secs(60)).build();
        let (shared, id) = (&manager.shared, "a".parse().unwrap());
        let cache = shared.cache.as_ref().unwrap();
        let Miss::Start(load, _) = cache.share_or_start(manager.path(&id), None) else {
            panic!("expected to start a load")
        };
        let Miss::Shared(result) = cache.share_or_start(manager.path(&id), None) else {
            panic!("expected to share the load")
        };
        shared.tasks.close();
        assert!(matches!(shared.begin_load(load), Err(ManagerError::ShutDown)));
        let read = shared.result(result, manager.path(&id)).await;
        assert!(matches!(read, Err(ManagerError::ShutDown)), "{read:?}");
    }
}
