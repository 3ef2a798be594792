//! The storage trait on top of the files.

use std::sync::Arc;
use std::time::Instant;

use cred_core::{
    CompareAndSet, ConfigError, CredentialContext, CredentialFilter, CredentialId, CredentialMetadata,
    CredentialPath, Description, EncryptedData, Limits, Operation, ProviderConfig, RetryPolicy, Revision,
    StorageError, StorageMetrics, StorageProvider, Stored, async_trait,
};
use cred_provider_kit::{CredentialFile, Executor, TargetRef};

use crate::LocalStorageConfig;
use crate::client::{Client, Condition, Deadline};
use crate::error::WriteError;

/// Keeps sealed credentials in local files. Clones share one set of counters; several providers, also of several
/// processes, may use one directory.
///
/// Strongly consistent. Needs a tokio runtime with its timer enabled, and starts no task
/// that outlives an operation's own work.
#[derive(Debug, Clone)]
pub struct LocalStorageProvider {
    description: Description,
    client: Arc<Client>,
    executor: Arc<Executor>,
    locking: bool,
}

impl LocalStorageProvider {
    /// A provider over a directory. It looks at the directory, and changes nothing before the first use.
    ///
    /// # Errors
    /// [`ConfigError`] names the field that cannot be used.
    pub fn new(config: LocalStorageConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        let name = config.provider_name();
        let LocalStorageConfig { enable_locking: locking, operation_timeout, max_payload_len, .. } = config;
        let limits = Limits::none().with_max_payload_len(max_payload_len);
        // A local disk is not asked again: what it refuses once it refuses twice, and a lock has its own tries.
        let mut once = RetryPolicy::default();
        once.max_retries = 0;
        Ok(Self {
            description: Description::new(name, operation_timeout).with_limits(limits),
            client: Arc::new(Client::new(config)?),
            executor: Arc::new(
                Executor::new(name, operation_timeout, operation_timeout).with_retry_policy(once),
            ),
            locking,
        })
    }

    /// Opens the directory, creates it where that is wanted, and removes what crashed writers left. The first operation
    /// does so by itself, except that only a store creates the directory.
    ///
    /// # Errors
    /// [`Unavailable`](cred_core::StorageErrorKind::Unavailable) where the directory is missing and not to be created, or
    /// what the file system refuses.
    pub async fn connect(&self) -> Result<(), StorageError> {
        self.read(Operation::Connect, TargetRef::Backend, |client, _| client.connect()).await
    }

    async fn read<T: Send + 'static>(
        &self,
        operation: Operation,
        target: TargetRef<'_>,
        work: impl FnOnce(&Client, Deadline) -> Result<T, StorageError> + Clone + Send + 'static,
    ) -> Result<T, StorageError> {
        let deadline = self.deadline();
        self.executor.run(operation, target, |_| hop(&self.client, deadline, work.clone())).await
    }

    /// Runs a write, and tells the executor where it is known that nothing was written.
    async fn write<T: Send + 'static>(
        &self,
        operation: Operation,
        target: TargetRef<'_>,
        work: impl FnOnce(&Client, Deadline) -> Result<T, WriteError> + Clone + Send + 'static,
    ) -> Result<T, StorageError> {
        let deadline = self.deadline();
        let work = move |client: &Client, deadline: Deadline| match work(client, deadline) {
            Ok(answer) => Ok(Ok(answer)),
            Err(WriteError::Nothing(error)) => Ok(Err(error)),
            Err(WriteError::Doubtful(error)) => Err(error),
        };
        self.executor
            .sequence(operation, target, async |wire| {
                let answer = wire.write(|_| hop(&self.client, deadline, work.clone())).await?;
                if answer.is_err() {
                    wire.settle();
                }
                answer
            })
            .await
    }

    /// A write gives up before its caller does, so that the caller learns what became of it.
    fn deadline(&self) -> Deadline {
        let limit = self.description.operation_timeout;
        let now = Instant::now();
        let at = now.checked_add(limit.mul_f64(0.9)).unwrap_or(now);
        Deadline { at, limit }
    }

    async fn store_where(
        &self,
        operation: Operation,
        id: &CredentialId,
        stored: Stored,
        condition: Condition,
        ctx: &CredentialContext,
    ) -> Result<Revision, StorageError> {
        let path = ctx.path(id).to_owned();
        let limits = self.description.limits;
        let file = CredentialFile::new(stored.0, stored.1);
        let what = Arc::new((self.client.address(file, path.as_ref()), condition));
        self.write(operation, ctx.path(id).into(), move |client, deadline| {
            let (file, condition) = &*what;
            client.store(path.as_ref(), file, condition, &limits, deadline)
        })
        .await
    }
}

/// One operation's work on a thread that may block. It runs to its end whatever becomes of the caller.
async fn hop<T: Send + 'static>(
    client: &Arc<Client>,
    deadline: Deadline,
    work: impl FnOnce(&Client, Deadline) -> Result<T, StorageError> + Send + 'static,
) -> Result<T, StorageError> {
    let client = Arc::clone(client);
    match tokio::task::spawn_blocking(move || work(&client, deadline)).await {
        Ok(answer) => answer,
        Err(lost) if lost.is_panic() => Err(StorageError::other("the work on the files panicked")),
        Err(_) => Err(StorageError::other("the runtime is shutting down")),
    }
}

#[async_trait]
impl StorageProvider for LocalStorageProvider {
    fn describe(&self) -> &Description {
        &self.description
    }

    async fn store(
        &self,
        id: &CredentialId,
        data: EncryptedData,
        metadata: CredentialMetadata,
        ctx: &CredentialContext,
    ) -> Result<(), StorageError> {
        self.store_where(Operation::Store, id, (data, metadata), Condition::Anything, ctx).await.map(drop)
    }

    async fn retrieve(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<Stored, StorageError> {
        let path = ctx.path(id).to_owned();
        self.read(Operation::Retrieve, ctx.path(id).into(), move |client, _| {
            client.retrieve(path.as_ref()).map(CredentialFile::into_stored)
        })
        .await
    }

    async fn delete(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<(), StorageError> {
        let path = ctx.path(id).to_owned();
        let work = move |client: &Client, deadline| client.delete(path.as_ref(), deadline);
        self.write(Operation::Delete, ctx.path(id).into(), work).await
    }

    async fn exists(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<bool, StorageError> {
        let path = ctx.path(id).to_owned();
        self.read(Operation::Exists, ctx.path(id).into(), move |client, _| client.exists(path.as_ref())).await
    }

    async fn list(
        &self,
        filter: Option<&CredentialFilter>,
        ctx: &CredentialContext,
    ) -> Result<Vec<CredentialId>, StorageError> {
        let (scope, filter) = (ctx.scope_id.clone(), filter.cloned());
        let work = move |client: &Client, deadline| client.list(scope.as_ref(), filter.as_ref(), deadline);
        self.read(Operation::List, ctx.into(), work).await
    }

    async fn list_tree(
        &self,
        filter: Option<&CredentialFilter>,
        ctx: &CredentialContext,
    ) -> Result<Vec<CredentialPath>, StorageError> {
        let (scope, filter) = (ctx.scope_id.clone(), filter.cloned());
        let work =
            move |client: &Client, deadline| client.list_tree(scope.as_ref(), filter.as_ref(), deadline);
        self.read(Operation::ListTree, ctx.into(), work).await
    }

    fn metrics(&self) -> Option<Arc<StorageMetrics>> {
        Some(Arc::clone(self.executor.metrics()))
    }

    fn compare_and_set(&self) -> Option<&dyn CompareAndSet> {
        self.locking.then_some(self)
    }
}

#[async_trait]
impl CompareAndSet for LocalStorageProvider {
    async fn retrieve_with_revision(
        &self,
        id: &CredentialId,
        ctx: &CredentialContext,
    ) -> Result<(EncryptedData, CredentialMetadata, Revision), StorageError> {
        let path = ctx.path(id).to_owned();
        self.read(Operation::RetrieveWithRevision, ctx.path(id).into(), move |client, _| {
            let (file, revision) = client.retrieve_with_revision(path.as_ref())?;
            let (data, metadata) = file.into_stored();
            Ok((data, metadata, revision))
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
    ) -> Result<Revision, StorageError> {
        let condition = expected.map_or(Condition::Nothing, |revision| Condition::Exactly(revision.clone()));
        self.store_where(Operation::StoreIf, id, (data, metadata), condition, ctx).await
    }
}
