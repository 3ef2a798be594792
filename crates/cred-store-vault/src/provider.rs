//! The storage trait on top of KV version 2.

mod calls;
#[cfg(fuzzing)]
pub mod fuzzing;
mod listing;
mod noting;
mod writing;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cred_core::{
    CompareAndSet, ConfigError, CredentialContext, CredentialFilter, CredentialId, CredentialPath,
    Description, Limits, Operation, PathRef, ProviderConfig, Revision, SoftDelete, StorageError,
    StorageErrorKind, StorageResult, Versioned,
};
use cred_provider_kit::naming::Names;
use cred_provider_kit::{
    Backend, Conditional, CredentialFile, Executor, Provider, Reach, Recoverable, RetryBudget, Wire,
};

use crate::auth::Auth;
use crate::client::{Client, Found, Secret, VaultClient, Version};
use crate::error::Failure;
use crate::versions::Current;
use crate::{VaultConfig, VaultDeleteMode, VaultVersions};

/// Bytes of the largest secret that is recommended, by the specification's table of size limits.
const RECOMMENDED_PAYLOAD_LEN: usize = 256 * 1_024;

/// For how long Vault works on a request whose client has gone: its `default_max_request_duration`
/// ([listener](https://developer.hashicorp.com/vault/docs/configuration#default_max_request_duration)).
const WORKS_ON: Duration = Duration::from_secs(90);

cred_provider_kit::storage_provider! {
    /// Keeps sealed credentials in HashiCorp Vault or OpenBao. Clones share one token, one
    /// connection pool and one set of counters.
    ///
    /// Needs a tokio runtime with timer and I/O enabled. From the first use on it has one
    /// background task, which keeps the token alive and ends with the last clone.
    ///
    /// Dropping the future of an operation drops the request in flight: a write may or may not
    /// happen then, whole.
    pub struct HashiCorpVaultProvider(Vault);

    /// Logs in where that is needed, and looks whether the mount is KV version 2. The first
    /// operation does so by itself.
    ///
    /// # Errors
    /// What Vault refuses; [`InvalidRequest`](cred_core::StorageErrorKind::InvalidRequest) where
    /// the mount is another engine.
    connect
}

/// One mount, and the token that it is used with.
struct Vault {
    client: Arc<Client>,
    auth: Auth,
    names: Names,
    soft: bool,
    /// Whether the metadata are custom metadata of the secret too.
    custom_metadata: bool,
    /// The mount is KV version 2, or nobody may know.
    mount_checked: AtomicBool,
    /// The mount takes conditional writes alone, as far as was seen.
    needs_cas: AtomicBool,
}

impl HashiCorpVaultProvider {
    /// A provider over one mount. Reads the file of authorities, and touches no network before the
    /// first use.
    ///
    /// # Errors
    /// [`ConfigError`] names the field that cannot be used.
    pub fn new(config: VaultConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        let client = Client::new(&config)?;
        Self::over(config, client)
    }

    /// As [`HashiCorpVaultProvider::new`], with the connection of a client of your own: its TLS,
    /// proxy, address and namespace are used, those of the configuration are not. Its token is not
    /// used: who asks is `config.auth_method`. Turn its redirects off, which would carry the token
    /// along, and its timeout, which would count beside the provider's own.
    ///
    /// # Errors
    /// [`ConfigError`] names the field that cannot be used.
    pub fn with_client(config: VaultConfig, client: VaultClient) -> Result<Self, ConfigError> {
        config.validate()?;
        let client = Client::of_sdk(&config, client);
        Self::over(config, client)
    }

    fn over(config: VaultConfig, client: Client) -> Result<Self, ConfigError> {
        let limits = Limits::none()
            .with_max_payload_len(config.max_payload_len)
            .with_recommended_payload_len(RECOMMENDED_PAYLOAD_LEN.min(config.max_payload_len));
        let description = Description::new(config.provider_name(), config.operation_timeout)
            .with_limits(limits)
            .with_in_doubt(WORKS_ON);
        let client = Arc::new(client);
        let vault = Vault {
            auth: Auth::new(Arc::clone(&client), &config),
            client,
            names: config.names()?,
            soft: config.delete_mode == VaultDeleteMode::Soft,
            custom_metadata: config.custom_metadata,
            mount_checked: AtomicBool::new(false),
            needs_cas: AtomicBool::new(false),
        };
        let executor = Executor::new(description, config.timeout)
            .with_retry_policy(config.retry_policy)
            .with_budget(RetryBudget::new(config.retry_budget));
        Ok(Self(Provider::new(executor, vault)))
    }

    /// The versions of a credential that Vault keeps, deleted and destroyed ones included. Makes
    /// one call and reads no value.
    ///
    /// ```no_run
    /// # use cred_core::{CredentialContext, StorageResult};
    /// # use cred_store_vault::HashiCorpVaultProvider;
    /// # async fn show(provider: &HashiCorpVaultProvider) -> StorageResult<()> {
    /// let id = "db-password".parse().expect("an id");
    /// let kept = provider.versions(&id, &CredentialContext::unscoped()).await?;
    /// for (number, version) in &kept.versions {
    ///     println!("{number} of {}: {}", version.created_time, kept.current_version);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`NotFound`](StorageErrorKind::NotFound) if Vault keeps no version under the credential's
    /// name; what Vault refuses.
    pub async fn versions(&self, id: &CredentialId, ctx: &CredentialContext) -> StorageResult<VaultVersions> {
        let path = ctx.path(id);
        let vault = self.0.backend();
        self.0
            .perform(Operation::Versions, path, async |wire| {
                let kept = vault.kept(wire, &vault.name(path)).await?;
                match kept.versions.is_empty() {
                    true => Err(StorageErrorKind::NotFound.into()),
                    false => Ok(kept),
                }
            })
            .await
    }
}

impl Backend for Vault {
    /// Looks once whether the mount is KV version 2.
    async fn prepare(&self, wire: &mut Wire<'_>) -> StorageResult<()> {
        if !self.mount_checked.load(Ordering::Relaxed) {
            self.read(wire, |session| async move { self.client.check_mount(session.token()).await }).await?;
            self.mount_checked.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    async fn put(&self, wire: &mut Wire<'_>, path: PathRef<'_>, file: CredentialFile) -> StorageResult<()> {
        let (name, envelope) = (self.name(path), writing::encode(&file, wire.description(), path)?);
        self.store(wire, &name, &envelope).await?;
        self.note(wire, &name, &file.metadata).await;
        Ok(())
    }

    async fn get(&self, wire: &mut Wire<'_>, path: PathRef<'_>) -> StorageResult<Option<CredentialFile>> {
        self.found(wire, &self.name(path)).await?.live().map(decode).transpose()
    }

    async fn delete(&self, wire: &mut Wire<'_>, path: PathRef<'_>) -> StorageResult<()> {
        let name = &self.name(path);
        let deleted = self.write(wire, |session| async move {
            match self.soft {
                false => self.client.delete_for_good(session.token(), name).await,
                true => self.client.delete_latest(session.token(), name).await,
            }
        });
        Ok(deleted.await?)
    }

    async fn exists(&self, wire: &mut Wire<'_>, path: PathRef<'_>) -> StorageResult<bool> {
        Ok(self.is_live(wire, &self.name(path)).await?)
    }

    async fn paths(
        &self,
        wire: &mut Wire<'_>,
        reach: Reach<'_>,
        hint: Option<&CredentialFilter>,
    ) -> StorageResult<Vec<CredentialPath>> {
        let paths = self.names(wire, reach).await?;
        match hint {
            // Where each is looked into, what is deleted shows then. Custom metadata that arrived
            // after a permanent deletion leave a name without versions.
            None if self.soft || self.custom_metadata => Ok(self.sort(wire, paths).await?.live),
            _ => Ok(paths),
        }
    }

    async fn get_each(
        &self,
        wire: &mut Wire<'_>,
        paths: &[CredentialPath],
    ) -> StorageResult<Vec<StorageResult<Option<CredentialFile>>>> {
        let found = self.look(wire, paths).await?;
        Ok(found.into_iter().map(|found| found.live().map(decode).transpose()).collect())
    }

    /// Gives a token back that a login of ours created.
    async fn shutdown(&self, wire: &mut Wire<'_>) -> StorageResult<()> {
        // The rest is for the revocation.
        let patience = wire.remaining() / 2;
        if let Some(session) = self.auth.close(patience).await {
            wire.write(|_| self.client.revoke(session.token())).await?;
            self.auth.revoked();
        }
        Ok(())
    }

    fn compare_and_set(provider: &Provider<Self>) -> Option<&dyn CompareAndSet> {
        Some(provider)
    }

    fn soft_delete(provider: &Provider<Self>) -> Option<&dyn SoftDelete> {
        provider.backend().soft.then_some(provider)
    }
}

impl Conditional for Vault {
    async fn get_versioned(
        &self,
        wire: &mut Wire<'_>,
        path: PathRef<'_>,
    ) -> StorageResult<Option<Versioned<CredentialFile>>> {
        let Some(secret) = self.found(wire, &self.name(path)).await?.live() else { return Ok(None) };
        let revision = revision(&secret.version);
        Ok(Some(Versioned::new(decode(secret)?, revision)))
    }

    async fn put_if(
        &self,
        wire: &mut Wire<'_>,
        path: PathRef<'_>,
        file: CredentialFile,
        expected: Option<&Revision>,
    ) -> StorageResult<Revision> {
        let (name, envelope) = (self.name(path), writing::encode(&file, wire.description(), path)?);
        let version = match expected {
            Some(expected) => self.replace(wire, &name, &envelope, expected).await?,
            None => self.create(wire, &name, &envelope).await?,
        };
        self.note(wire, &name, &file.metadata).await;
        Ok(revision(&version))
    }
}

impl Recoverable for Vault {
    async fn recover(&self, wire: &mut Wire<'_>, path: PathRef<'_>) -> StorageResult<()> {
        Ok(self.undelete(wire, &self.name(path)).await?)
    }

    async fn purge(&self, wire: &mut Wire<'_>, path: PathRef<'_>) -> StorageResult<()> {
        Ok(self.destroy(wire, &self.name(path)).await?)
    }

    async fn deleted(&self, wire: &mut Wire<'_>, reach: Reach<'_>) -> StorageResult<Vec<CredentialPath>> {
        let paths = self.names(wire, reach).await?;
        Ok(self.sort(wire, paths).await?.deleted)
    }
}

impl Vault {
    fn name(&self, path: PathRef<'_>) -> String {
        self.names.encode(path).text
    }

    async fn found(&self, wire: &mut Wire<'_>, name: &str) -> Result<Found, Failure> {
        self.read(wire, |session| async move { self.client.read(session.token(), name).await }).await
    }

    /// The versions of a secret; none if there is no such secret.
    async fn kept(&self, wire: &mut Wire<'_>, name: &str) -> Result<VaultVersions, Failure> {
        self.read(wire, |session| async move { self.client.versions(session.token(), name).await }).await
    }

    /// Whether something is there, from the names of versions where these can tell.
    async fn is_live(&self, wire: &mut Wire<'_>, name: &str) -> Result<bool, Failure> {
        match self.kept(wire, name).await?.current() {
            Current::Live => Ok(true),
            Current::Absent | Current::Destroyed => Ok(false),
            Current::Dated => Ok(matches!(self.found(wire, name).await?, Found::Live(_))),
        }
    }
}

fn decode(secret: Secret) -> StorageResult<CredentialFile> {
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

/// What is stored is sealed, and the token is nobody's business.
impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault")
            .field("prefix", &self.names.prefix())
            .field("auth", &self.auth)
            .finish_non_exhaustive()
    }
}
