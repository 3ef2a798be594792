//! The storage trait on top of Secrets Manager.

mod batch;
#[cfg(fuzzing)]
pub mod fuzzing;
mod listing;
mod writing;

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use aws_sdk_secretsmanager::Client as SdkClient;
use cred_core::{
    ConfigError, CredentialContext, CredentialFilter, CredentialId, CredentialMetadata, CredentialPath,
    Description, EncryptedData, Operation, ProviderConfig, SoftDelete, StorageError, StorageErrorKind,
    StorageMetrics, StorageProvider, Stored, async_trait,
};
use cred_provider_kit::naming::Names;
use cred_provider_kit::{CredentialFile, Executor, TargetRef, Wire};

use self::listing::Which;
use crate::AwsSecretsManagerConfig;
use crate::client::{Client, Described};
use crate::error::is_about_state;

/// For how long AWS takes a request after it was signed
/// ([signing](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html)): so long a write
/// that is still on its way may land.
const SIGNED_FOR: Duration = Duration::from_secs(300);

/// Keeps sealed credentials in AWS Secrets Manager. Clones share one client and one set of counters.
///
/// Needs a tokio runtime with timer and I/O enabled. Has no background task.
///
/// Dropping the future of an operation drops the request in flight: a write may or may not happen then, whole. A store over
/// a secret that is scheduled for deletion consists of two, a restore and a write: dropped between them, the old value stays
/// readable.
#[derive(Clone)]
pub struct AwsSecretsManagerProvider {
    inner: Arc<Inner>,
}

struct Inner {
    config: AwsSecretsManagerConfig,
    description: Description,
    executor: Executor,
    client: Client,
    names: Names,
    /// Reads of several secrets at once are not allowed, as far as was seen.
    single: AtomicBool,
}

impl AwsSecretsManagerProvider {
    /// A provider for one account and region, found by AWS's own chain of settings and credentials at the first use. Touches
    /// no network and reads no file.
    ///
    /// # Errors
    /// [`ConfigError`] names the field that cannot be used.
    pub fn new(config: AwsSecretsManagerConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        let client = Client::new(config.clone());
        Self::over(config, client)
    }

    /// As [`AwsSecretsManagerProvider::new`], with the region, the endpoint, the credentials and the connection of a client of
    /// your own: those of the configuration are not used. Retries, timeouts and the protection against stalled streams of
    /// the client are turned off in a copy of it, since the provider has its own.
    ///
    /// # Errors
    /// [`ConfigError`] names the field that cannot be used.
    pub fn with_client(config: AwsSecretsManagerConfig, client: SdkClient) -> Result<Self, ConfigError> {
        config.validate()?;
        let client = Client::of_sdk(config.clone(), &client);
        Self::over(config, client)
    }

    fn over(config: AwsSecretsManagerConfig, client: Client) -> Result<Self, ConfigError> {
        let name = config.provider_name();
        let inner = Inner {
            description: Description::new(name, config.operation_timeout)
                .with_limits(config.limits())
                .with_consistency(config.consistency())
                .with_batch(NonZeroUsize::new(Client::BATCH).unwrap_or(NonZeroUsize::MIN))
                .with_in_doubt(SIGNED_FOR),
            executor: Executor::new(name, config.timeout, config.operation_timeout)
                .with_retry_policy(config.retry_policy.clone()),
            client,
            names: config.names()?,
            single: AtomicBool::new(false),
            config,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Finds region and credentials by AWS's chain, which the first operation does by itself. Secrets Manager is not asked:
    /// what these credentials may do is seen at the first use.
    ///
    /// # Errors
    /// [`AuthenticationFailed`](StorageErrorKind::AuthenticationFailed) where the chain has no credentials,
    /// [`InvalidRequest`](StorageErrorKind::InvalidRequest) where it has no region.
    pub async fn connect(&self) -> Result<(), StorageError> {
        let client = &self.inner.client;
        self.perform(Operation::Connect, TargetRef::Backend, async |wire| {
            wire.read(|_| client.check_credentials()).await
        })
        .await
    }

    /// Runs an operation. The first one makes the client before, so that no write is in doubt that was never sent.
    async fn perform<'t, T>(
        &self,
        operation: Operation,
        target: impl Into<TargetRef<'t>>,
        body: impl AsyncFnOnce(&mut Wire<'_>) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let inner = &*self.inner;
        inner
            .executor
            .sequence(operation, target, async |wire| {
                inner.open(wire).await?;
                body(wire).await
            })
            .await
    }

    fn name(&self, id: &CredentialId, ctx: &CredentialContext) -> String {
        self.inner.names.encode(ctx.path(id)).text
    }
}

impl Inner {
    async fn open(&self, wire: &mut Wire<'_>) -> Result<(), StorageError> {
        match self.client.is_open() {
            true => Ok(()),
            false => wire.read(|_| self.client.open()).await,
        }
    }

    async fn describe(&self, wire: &mut Wire<'_>, name: &str) -> Result<Option<Described>, StorageError> {
        wire.read(|_| self.client.describe(name)).await
    }

    async fn is_scheduled(&self, wire: &mut Wire<'_>, name: &str) -> Result<bool, StorageError> {
        Ok(self.describe(wire, name).await?.is_some_and(|secret| secret.scheduled))
    }

    /// The current value. What is scheduled for deletion is not there, which AWS says in the same way as much else.
    async fn value(&self, wire: &mut Wire<'_>, name: &str) -> Result<String, StorageError> {
        match wire.read(|_| self.client.value(name)).await {
            Err(error) if is_about_state(&error) => match self.describe(wire, name).await? {
                Some(secret) if !secret.scheduled => Err(error),
                _ => Err(StorageErrorKind::NotFound.into()),
            },
            answer => answer,
        }
    }
}

fn decode(envelope: &str) -> Result<CredentialFile, StorageError> {
    CredentialFile::decode(envelope.as_bytes())
}

#[async_trait]
impl StorageProvider for AwsSecretsManagerProvider {
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
        let path = ctx.path(id);
        self.perform(Operation::Store, path, async |wire| {
            let write = self.inner.prepare(path, data, metadata)?;
            self.inner.store(wire, &write).await
        })
        .await
    }

    async fn retrieve(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<Stored, StorageError> {
        let name = self.name(id, ctx);
        self.perform(Operation::Retrieve, ctx.path(id), async |wire| {
            Ok(decode(&self.inner.value(wire, &name).await?)?.into_stored())
        })
        .await
    }

    async fn delete(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<(), StorageError> {
        let name = self.name(id, ctx);
        self.perform(Operation::Delete, ctx.path(id), async |wire| self.inner.delete(wire, &name).await).await
    }

    async fn exists(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<bool, StorageError> {
        let name = self.name(id, ctx);
        self.perform(Operation::Exists, ctx.path(id), async |wire| {
            Ok(self.inner.describe(wire, &name).await?.is_some_and(|secret| !secret.scheduled))
        })
        .await
    }

    async fn list(
        &self,
        filter: Option<&CredentialFilter>,
        ctx: &CredentialContext,
    ) -> Result<Vec<CredentialId>, StorageError> {
        let scope = ctx.scope_id.as_ref();
        self.perform(Operation::List, ctx, async |wire| {
            let paths = self.inner.paths(wire, scope, Which::Live).await?;
            let paths = paths.into_iter().filter(|path| path.scope.as_ref() == scope).collect();
            let paths = self.inner.admitted(wire, Operation::List, paths, filter).await?;
            Ok(paths.into_iter().map(|path| path.id).collect())
        })
        .await
    }

    async fn list_tree(
        &self,
        filter: Option<&CredentialFilter>,
        ctx: &CredentialContext,
    ) -> Result<Vec<CredentialPath>, StorageError> {
        self.perform(Operation::ListTree, ctx, async |wire| {
            let paths = self.inner.paths(wire, ctx.scope_id.as_ref(), Which::Live).await?;
            self.inner.admitted(wire, Operation::ListTree, paths, filter).await
        })
        .await
    }

    async fn retrieve_many(
        &self,
        ids: &[CredentialId],
        ctx: &CredentialContext,
    ) -> Vec<Result<Stored, StorageError>> {
        let inner = &*self.inner;
        let names: Vec<_> = ids.iter().map(|id| self.name(id, ctx)).collect();
        inner
            .executor
            .run_many(ids, ctx, async |wire| {
                inner.open(wire).await?;
                let values = inner.values(wire, &names).await;
                Ok(values.into_iter().map(|value| Ok(decode(&value?)?.into_stored())).collect())
            })
            .await
    }

    fn metrics(&self) -> Option<Arc<StorageMetrics>> {
        Some(Arc::clone(self.inner.executor.metrics()))
    }

    fn soft_delete(&self) -> Option<&dyn SoftDelete> {
        self.inner.config.recovery_window_days.map(|_| self as &dyn SoftDelete)
    }
}

#[async_trait]
impl SoftDelete for AwsSecretsManagerProvider {
    async fn recover(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<(), StorageError> {
        let name = self.name(id, ctx);
        self.perform(Operation::Recover, ctx.path(id), async |wire| {
            match self.inner.is_scheduled(wire, &name).await? {
                true => wire.write(|_| self.inner.client.restore(&name)).await,
                false => Err(StorageErrorKind::NotFound.into()),
            }
        })
        .await
    }

    async fn purge(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<(), StorageError> {
        let name = self.name(id, ctx);
        self.perform(Operation::Purge, ctx.path(id), async |wire| {
            match self.inner.is_scheduled(wire, &name).await? {
                true => wire.write(|_| self.inner.client.delete(&name, None)).await,
                false => Ok(()),
            }
        })
        .await
    }

    async fn list_deleted(&self, ctx: &CredentialContext) -> Result<Vec<CredentialId>, StorageError> {
        let scope = ctx.scope_id.as_ref();
        self.perform(Operation::ListDeleted, ctx, async |wire| {
            let paths = self.inner.paths(wire, scope, Which::Scheduled).await?;
            let paths = paths.into_iter().filter(|path| path.scope.as_ref() == scope);
            Ok(paths.map(|path| path.id).collect())
        })
        .await
    }
}

/// What is stored is sealed, and who asks is nobody's business.
impl fmt::Debug for AwsSecretsManagerProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsSecretsManagerProvider")
            .field("region", &self.inner.config.region)
            .field("prefix", &self.inner.names.prefix())
            .finish_non_exhaustive()
    }
}
