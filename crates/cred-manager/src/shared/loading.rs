//! Loads of the cache: in tasks of the manager, shared by all readers.

use std::sync::Arc;

use cred_core::{
    CredentialContext, CredentialId, Operation, PathRef, StorageError, StorageErrorKind, Target,
};

use super::Shared;
use crate::ManagerError;
use crate::cache::{Load, LoadResult, Loaded, NoResult};

impl Shared {
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

    /// Loads many paths of one scope by one call, in one task of the manager.
    pub(crate) fn begin_loads(
        self: &Arc<Self>,
        loads: Vec<Load>,
        ctx: CredentialContext,
    ) -> Result<(), ManagerError> {
        let Some(first) = loads.first() else { return Ok(()) };
        first.reserve_call();
        let shared = Arc::clone(self);
        self.tasks.spawn(async move {
            let ids: Vec<CredentialId> = loads.iter().map(|load| load.path().id.clone()).collect();
            let found: Vec<_> = match shared.may_call(&loads, Target::Scope(ctx.scope_id.clone())).await {
                Ok(()) => {
                    let fetches = shared.fetch_many(&ids, &ctx).await;
                    fetches.into_iter().map(|fetch| shared.found(fetch)).collect()
                }
                Err(error) => ids.iter().map(|_| Err(error.clone())).collect(),
            };
            for (load, found) in loads.into_iter().zip(found) {
                load.complete(found);
            }
        })?;
        Ok(())
    }

    /// Waits until loads may make one call of the provider together.
    ///
    /// # Errors
    /// [`Busy`](StorageErrorKind::Busy) where too many others do, for as long as a call may take.
    async fn may_call(&self, loads: &[Load], target: impl Into<Target>) -> Result<(), ManagerError> {
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
}
