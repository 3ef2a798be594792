//! The storage trait on top of Key Vault's secrets.

mod deleted;
#[cfg(fuzzing)]
pub mod fuzzing;
mod listing;
mod naming;
mod writing;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cred_core::{
    ConfigError, Consistency, CredentialContext, CredentialFilter, CredentialId, CredentialMetadata,
    CredentialPath, Description, EncryptedData, Limits, Operation, ProviderConfig, SoftDelete, StorageError,
    StorageErrorKind, StorageMetrics, StorageProvider, Stored, async_trait,
};
use cred_provider_kit::{CredentialFile, Executor, TargetRef, Wire, tags};

use self::naming::Naming;
pub(crate) use self::naming::PATH_TAG;
use crate::client::{Client, SecretClient, Shelf};
use crate::error::Blocked;
use crate::{AzureKeyVaultConfig, AzureOverDeleted};

/// Bytes of the longest value ([limits](https://learn.microsoft.com/azure/key-vault/secrets/about-secrets)).
const LONGEST_VALUE: usize = 25 * 1_024;

/// How long lists may lag: a deletion was seen to take seconds until the list of the deleted has it, and Azure names no bound.
const LISTS_LAG: Duration = Duration::from_secs(30);

/// Keeps sealed credentials in one Azure Key Vault. Clones share one token, one connection pool and one set of counters.
///
/// Needs a tokio runtime with timer and I/O enabled, and has no background tasks.
///
/// Dropping the future of an operation drops the request in flight: a write may or may not happen then, whole. A store over a
/// deleted name that is dropped between its recovery and its write leaves the old value there.
#[derive(Clone)]
pub struct AzureKeyVaultProvider {
    inner: Arc<Inner>,
}

struct Inner {
    description: Description,
    executor: Executor,
    client: Client,
    naming: Naming,
    over_deleted: AzureOverDeleted,
    /// Of one write.
    write_timeout: Duration,
}

impl AzureKeyVaultProvider {
    /// A provider over one vault. Reads the file of authorities, and touches no network before the first use.
    ///
    /// # Errors
    /// [`ConfigError`] names the field that cannot be used.
    pub fn new(config: AzureKeyVaultConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        let client = Client::new(&config)?;
        Self::over(config, client)
    }

    /// As [`AzureKeyVaultProvider::new`], with a client of your own: its address, credential and transport are used, those of the
    /// configuration are not. Turn its retries off (`RetryOptions::none()`), which would count beside the provider's own. A token that
    /// the vault refuses is replaced only if its credential does so.
    ///
    /// # Errors
    /// [`ConfigError`] names the field that cannot be used.
    pub fn with_client(config: AzureKeyVaultConfig, client: SecretClient) -> Result<Self, ConfigError> {
        config.validate()?;
        Self::over(config, Client::of_sdk(client))
    }

    fn over(config: AzureKeyVaultConfig, client: Client) -> Result<Self, ConfigError> {
        let name = config.provider_name();
        let naming = Naming::new(config.names()?, config.default_tags);
        let limits = tags::AZURE.bound(Limits::none().with_max_payload_len(LONGEST_VALUE), naming.own_tags());
        let inner = Inner {
            description: Description::new(name, config.operation_timeout)
                .with_limits(limits)
                .with_consistency(Consistency::Eventual { point: Duration::ZERO, list: LISTS_LAG }),
            executor: Executor::new(name, config.timeout, config.operation_timeout)
                .with_retry_policy(config.retry_policy),
            client,
            naming,
            over_deleted: config.over_deleted,
            write_timeout: config.timeout.saturating_mul(2),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Asks for a token and for the first page of secrets. The first operation does by itself what it needs.
    ///
    /// # Errors
    /// What Azure refuses. The right to list is needed.
    pub async fn connect(&self) -> Result<(), StorageError> {
        let client = &self.inner.client;
        self.perform(Operation::Connect, TargetRef::Backend, async |wire| {
            wire.read(|_| client.page(Shelf::Live, None)).await.map(drop)
        })
        .await
    }

    async fn perform<'t, T>(
        &self,
        operation: Operation,
        target: impl Into<TargetRef<'t>>,
        body: impl AsyncFnOnce(&mut Wire<'_>) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        self.inner.executor.sequence(operation, target, body).await
    }
}

impl Inner {
    /// The value under a name. What is being deleted or recovered is not there.
    async fn value(&self, name: &str) -> Result<String, StorageError> {
        match self.client.get(name).await {
            Err(error) => match Blocked::of(&error) {
                Some(Blocked::Deleted | Blocked::BeingDeleted | Blocked::BeingRecovered) => {
                    Err(StorageErrorKind::NotFound.into())
                }
                Some(Blocked::Disabled) | None => Err(error),
            },
            latest => latest.map(|latest| latest.value),
        }
    }

    /// Whether there is something, be it readable or not.
    async fn is_there(&self, wire: &mut Wire<'_>, name: &str) -> Result<bool, StorageError> {
        match wire.read(|_| self.value(name)).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) if Blocked::of(&error) == Some(Blocked::Disabled) => Ok(true),
            Err(error) => Err(error),
        }
    }
}

#[async_trait]
impl StorageProvider for AzureKeyVaultProvider {
    fn describe(&self) -> &Description {
        &self.inner.description
    }

    async fn store(
        &self,
        id: &CredentialId,
        data: EncryptedData,
        metadata: CredentialMetadata,
        ctx: &CredentialContext,
    ) -> Result<(), StorageError> {
        let inner = &*self.inner;
        let path = ctx.path(id);
        self.perform(Operation::Store, path, async |wire| {
            let (name, draft) = inner.draft(path, data, metadata)?;
            inner.store(wire, &name, &draft).await
        })
        .await
    }

    async fn retrieve(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<Stored, StorageError> {
        let inner = &*self.inner;
        let name = &inner.naming.name(ctx.path(id));
        self.inner
            .executor
            .run(Operation::Retrieve, ctx.path(id), async |_| {
                let value = inner.value(name).await?;
                Ok(CredentialFile::decode(value.as_bytes())?.into_stored())
            })
            .await
    }

    async fn delete(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<(), StorageError> {
        let inner = &*self.inner;
        let name = &inner.naming.name(ctx.path(id));
        self.perform(Operation::Delete, ctx.path(id), async |wire| inner.delete(wire, name).await).await
    }

    async fn exists(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<bool, StorageError> {
        let inner = &*self.inner;
        let name = &inner.naming.name(ctx.path(id));
        self.perform(Operation::Exists, ctx.path(id), async |wire| inner.is_there(wire, name).await).await
    }

    async fn list(
        &self,
        filter: Option<&CredentialFilter>,
        ctx: &CredentialContext,
    ) -> Result<Vec<CredentialId>, StorageError> {
        let inner = &*self.inner;
        let here = ctx.scope_id.as_ref();
        self.perform(Operation::List, ctx, async |wire| {
            let found = inner.listed(wire, Shelf::Live, |path| path.scope.as_ref() == here).await?;
            let paths = inner.admitted(wire, Operation::List, found, filter).await?;
            Ok(paths.into_iter().map(|path| path.id).collect())
        })
        .await
    }

    async fn list_tree(
        &self,
        filter: Option<&CredentialFilter>,
        ctx: &CredentialContext,
    ) -> Result<Vec<CredentialPath>, StorageError> {
        let inner = &*self.inner;
        let root = ctx.scope_id.as_ref();
        self.perform(Operation::ListTree, ctx, async |wire| {
            let found = inner.listed(wire, Shelf::Live, |path| path.is_within(root)).await?;
            inner.admitted(wire, Operation::ListTree, found, filter).await
        })
        .await
    }

    fn metrics(&self) -> Option<Arc<StorageMetrics>> {
        Some(Arc::clone(self.inner.executor.metrics()))
    }

    fn soft_delete(&self) -> Option<&dyn SoftDelete> {
        Some(self)
    }
}

#[async_trait]
impl SoftDelete for AzureKeyVaultProvider {
    async fn recover(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<(), StorageError> {
        let inner = &*self.inner;
        let name = &inner.naming.name(ctx.path(id));
        self.perform(Operation::Recover, ctx.path(id), async |wire| inner.recover(wire, name).await).await
    }

    async fn purge(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<(), StorageError> {
        let inner = &*self.inner;
        let name = &inner.naming.name(ctx.path(id));
        self.perform(Operation::Purge, ctx.path(id), async |wire| inner.purge(wire, name).await).await
    }

    async fn list_deleted(&self, ctx: &CredentialContext) -> Result<Vec<CredentialId>, StorageError> {
        let inner = &*self.inner;
        let here = ctx.scope_id.as_ref();
        self.perform(Operation::ListDeleted, ctx, async |wire| {
            let found = inner.listed(wire, Shelf::Deleted, |path| path.scope.as_ref() == here).await?;
            Ok(found.into_iter().map(|found| found.path.id).collect())
        })
        .await
    }
}

/// What is stored is sealed, and who asks is nobody's business.
impl fmt::Debug for AzureKeyVaultProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AzureKeyVaultProvider")
            .field("prefix", &self.inner.naming.prefix())
            .field("over_deleted", &self.inner.over_deleted)
            .finish_non_exhaustive()
    }
}
