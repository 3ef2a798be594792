//! The storage trait on top of KV version 2.

mod calls;
#[cfg(fuzzing)]
pub mod fuzzing;
mod listing;
mod writing;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cred_core::{
    CompareAndSet, ConfigError, CredentialContext, CredentialFilter, CredentialId, CredentialMetadata,
    CredentialPath, Description, EncryptedData, Limits, Operation, ProviderConfig, Revision, SoftDelete,
    StorageError, StorageErrorKind, StorageMetrics, StorageProvider, Stored, async_trait,
};
use cred_provider_kit::naming::Names;
use cred_provider_kit::{CredentialFile, Executor, TargetRef};

use self::calls::Calls;
use crate::auth::Auth;
use crate::client::{Client, Current, Found, Secret, VaultClient, Version};
use crate::error::Failure;
use crate::{VaultConfig, VaultDeleteMode};

/// For how long Vault works on a request whose client has gone: its `default_max_request_duration`
/// ([listener](https://developer.hashicorp.com/vault/docs/configuration#default_max_request_duration)).
const WORKS_ON: Duration = Duration::from_secs(90);

/// Keeps sealed credentials in HashiCorp Vault or OpenBao. Clones share one token, one connection pool and one set of
/// counters.
///
/// Needs a tokio runtime with timer and I/O enabled. From the first use on it has one background task, which keeps the token
/// alive and ends with the last clone.
///
/// Dropping the future of an operation drops the request in flight: a write may or may not happen then, whole.
#[derive(Clone)]
pub struct HashiCorpVaultProvider {
    inner: Arc<Inner>,
}

struct Inner {
    description: Description,
    executor: Executor,
    client: Arc<Client>,
    auth: Auth,
    names: Names,
    soft: bool,
    /// The mount is KV version 2, or nobody may know.
    mount_checked: AtomicBool,
    /// The mount takes conditional writes alone, as far as was seen.
    needs_cas: AtomicBool,
}

impl HashiCorpVaultProvider {
    /// A provider over one mount. Reads the file of authorities, and touches no network before the first use.
    ///
    /// # Errors
    /// [`ConfigError`] names the field that cannot be used.
    pub fn new(config: VaultConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        let client = Client::new(&config)?;
        Self::over(config, client)
    }

    /// As [`HashiCorpVaultProvider::new`], with the connection of a client of your own: its TLS, proxy, address and namespace
    /// are used, those of the configuration are not. Its token is not used: who asks is `config.auth_method`. Turn its
    /// redirects off, which would carry the token along, and its timeout, which would count beside the provider's own.
    ///
    /// # Errors
    /// [`ConfigError`] names the field that cannot be used.
    pub fn with_client(config: VaultConfig, client: VaultClient) -> Result<Self, ConfigError> {
        config.validate()?;
        let client = Client::of_sdk(&config, client);
        Self::over(config, client)
    }

    fn over(config: VaultConfig, client: Client) -> Result<Self, ConfigError> {
        let name = config.provider_name();
        let client = Arc::new(client);
        let limits = Limits::none().with_max_payload_len(config.max_payload_len);
        let inner = Inner {
            description: Description::new(name, config.operation_timeout)
                .with_limits(limits)
                .with_in_doubt(WORKS_ON),
            executor: Executor::new(name, config.timeout, config.operation_timeout)
                .with_retry_policy(config.retry_policy.clone()),
            auth: Auth::new(Arc::clone(&client), &config),
            client,
            names: config.names()?,
            soft: config.delete_mode == VaultDeleteMode::Soft,
            mount_checked: AtomicBool::new(false),
            needs_cas: AtomicBool::new(false),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Logs in where that is needed, and looks whether the mount is KV version 2. The first operation does so by itself.
    ///
    /// # Errors
    /// What Vault refuses; [`InvalidRequest`](StorageErrorKind::InvalidRequest) where the mount is another engine.
    pub async fn connect(&self) -> Result<(), StorageError> {
        self.perform(Operation::Connect, TargetRef::Backend, async |_| Ok(())).await
    }

    /// Runs an operation. The first one looks at the mount before.
    async fn perform<'t, T>(
        &self,
        operation: Operation,
        target: impl Into<TargetRef<'t>>,
        body: impl AsyncFnOnce(&mut Calls<'_, '_>) -> Result<T, Failure>,
    ) -> Result<T, StorageError> {
        let inner = &*self.inner;
        inner
            .executor
            .sequence(operation, target, async |wire| {
                let mut calls = Calls { inner, wire };
                if !inner.mount_checked.load(Ordering::Relaxed) {
                    calls
                        .read(|session| async move { inner.client.check_mount(session.token()).await })
                        .await?;
                    inner.mount_checked.store(true, Ordering::Relaxed);
                }
                Ok(body(&mut calls).await?)
            })
            .await
    }

    fn name(&self, id: &CredentialId, ctx: &CredentialContext) -> String {
        self.inner.names.encode(ctx.path(id)).text
    }
}

impl Inner {
    async fn read_secret(&self, calls: &mut Calls<'_, '_>, name: &str) -> Result<Secret, Failure> {
        match self.found(calls, name).await? {
            Found::Live(secret) => Ok(secret),
            _ => Err(StorageError::from(StorageErrorKind::NotFound).into()),
        }
    }

    async fn found(&self, calls: &mut Calls<'_, '_>, name: &str) -> Result<Found, Failure> {
        calls.read(|session| async move { self.client.read(session.token(), name).await }).await
    }

    /// Whether something is there, from the names of versions where these can tell.
    async fn is_live(&self, calls: &mut Calls<'_, '_>, name: &str) -> Result<bool, Failure> {
        let versions =
            calls.read(|session| async move { self.client.versions(session.token(), name).await }).await?;
        match versions.current {
            Current::Live => Ok(true),
            Current::Absent | Current::Destroyed => Ok(false),
            Current::Dated => Ok(matches!(self.found(calls, name).await?, Found::Live(_))),
        }
    }
}

fn decode(secret: &Secret) -> Result<CredentialFile, StorageError> {
    let envelope = secret.envelope.as_deref();
    let envelope = envelope.ok_or_else(|| {
        StorageError::corrupted(
            "the secret has no text in the field `envelope`, so it is not one of this library",
        )
    })?;
    CredentialFile::decode(envelope.as_bytes())
}

/// Version numbers begin anew after a deletion for good, so the time is part of it.
fn revision(version: &Version) -> Revision {
    Revision::new(format!("{}@{}", version.number, version.created))
}

#[async_trait]
impl StorageProvider for HashiCorpVaultProvider {
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
        let name = self.name(id, ctx);
        self.perform(Operation::Store, ctx.path(id), async |calls| {
            let envelope = self.inner.encode(data, metadata)?;
            self.inner.store(calls, &name, &envelope).await
        })
        .await
    }

    async fn retrieve(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<Stored, StorageError> {
        let name = self.name(id, ctx);
        self.perform(Operation::Retrieve, ctx.path(id), async |calls| {
            Ok(decode(&self.inner.read_secret(calls, &name).await?)?.into_stored())
        })
        .await
    }

    async fn delete(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<(), StorageError> {
        let name = &self.name(id, ctx);
        self.perform(Operation::Delete, ctx.path(id), async |calls| {
            let inner = calls.inner;
            calls
                .write(|session| async move {
                    match inner.soft {
                        false => inner.client.delete_for_good(session.token(), name).await,
                        true => inner.client.delete_latest(session.token(), name).await,
                    }
                })
                .await
        })
        .await
    }

    async fn exists(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<bool, StorageError> {
        let name = self.name(id, ctx);
        self.perform(Operation::Exists, ctx.path(id), async |calls| self.inner.is_live(calls, &name).await)
            .await
    }

    async fn list(
        &self,
        filter: Option<&CredentialFilter>,
        ctx: &CredentialContext,
    ) -> Result<Vec<CredentialId>, StorageError> {
        self.perform(Operation::List, ctx, async |calls| {
            let paths = self.inner.names_in(calls, ctx.scope_id.as_ref()).await?.paths;
            let paths = self.inner.admitted(calls, Operation::List, paths, filter).await?;
            Ok(paths.into_iter().map(|path| path.id).collect())
        })
        .await
    }

    async fn list_tree(
        &self,
        filter: Option<&CredentialFilter>,
        ctx: &CredentialContext,
    ) -> Result<Vec<CredentialPath>, StorageError> {
        self.perform(Operation::ListTree, ctx, async |calls| {
            let paths = self.inner.names_below(calls, ctx.scope_id.as_ref()).await?;
            self.inner.admitted(calls, Operation::ListTree, paths, filter).await
        })
        .await
    }

    async fn shutdown(&self) {
        if let Some(session) = self.inner.auth.close().await {
            let client = &self.inner.client;
            let revoked = self
                .inner
                .executor
                .run(Operation::Shutdown, TargetRef::Backend, async |_| {
                    Ok(client.revoke(session.token()).await?)
                })
                .await;
            match revoked {
                Ok(()) => self.inner.auth.revoked(),
                Err(error) => {
                    tracing::warn!(target: "cred::vault", %error, "the token could not be revoked and lives to its end");
                }
            }
        }
    }

    fn metrics(&self) -> Option<Arc<StorageMetrics>> {
        Some(Arc::clone(self.inner.executor.metrics()))
    }

    fn compare_and_set(&self) -> Option<&dyn CompareAndSet> {
        Some(self)
    }

    fn soft_delete(&self) -> Option<&dyn SoftDelete> {
        self.inner.soft.then_some(self)
    }
}

#[async_trait]
impl CompareAndSet for HashiCorpVaultProvider {
    async fn retrieve_with_revision(
        &self,
        id: &CredentialId,
        ctx: &CredentialContext,
    ) -> Result<(EncryptedData, CredentialMetadata, Revision), StorageError> {
        let name = self.name(id, ctx);
        self.perform(Operation::RetrieveWithRevision, ctx.path(id), async |calls| {
            let secret = self.inner.read_secret(calls, &name).await?;
            let (data, metadata) = decode(&secret)?.into_stored();
            Ok((data, metadata, revision(&secret.version)))
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
        let name = self.name(id, ctx);
        self.perform(Operation::StoreIf, ctx.path(id), async |calls| {
            let envelope = self.inner.encode(data, metadata)?;
            let version = match expected {
                Some(expected) => self.inner.replace(calls, &name, &envelope, expected).await?,
                None => self.inner.create(calls, &name, &envelope).await?,
            };
            Ok(revision(&version))
        })
        .await
    }
}

#[async_trait]
impl SoftDelete for HashiCorpVaultProvider {
    async fn recover(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<(), StorageError> {
        let name = self.name(id, ctx);
        self.perform(Operation::Recover, ctx.path(id), async |calls| self.inner.recover(calls, &name).await)
            .await
    }

    async fn purge(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<(), StorageError> {
        let name = self.name(id, ctx);
        self.perform(Operation::Purge, ctx.path(id), async |calls| self.inner.purge(calls, &name).await).await
    }

    async fn list_deleted(&self, ctx: &CredentialContext) -> Result<Vec<CredentialId>, StorageError> {
        self.perform(Operation::ListDeleted, ctx, async |calls| {
            let paths = self.inner.names_in(calls, ctx.scope_id.as_ref()).await?.paths;
            let paths = self.inner.deleted(calls, paths).await?;
            Ok(paths.into_iter().map(|path| path.id).collect())
        })
        .await
    }
}

/// What is stored is sealed, and the token is nobody's business.
impl fmt::Debug for HashiCorpVaultProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HashiCorpVaultProvider")
            .field("prefix", &self.inner.names.prefix())
            .field("auth", &self.inner.auth)
            .finish_non_exhaustive()
    }
}
