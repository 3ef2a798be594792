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
    Backend, Conditional, CredentialFile, Executor, ListRange, Provider, Recoverable, RetryBudget, Wire,
};

use crate::auth::Auth;
use crate::client::{Client, Secret, SecretState, VaultClient, Version};
use crate::error::CallFailure;
use crate::versions::CurrentVersion;
use crate::{VaultConfig, VaultDeleteMode, VaultVersions};

/// The largest recommended secret in bytes, from the specification's table of size limits.
const RECOMMENDED_PAYLOAD_LEN: usize = 256 * 1_024;

/// How long Vault works on a request after its client has disconnected: its
/// `default_max_request_duration`
/// ([listener](https://developer.hashicorp.com/vault/docs/configuration#default_max_request_duration)).
const SERVER_REQUEST_TIMEOUT: Duration = Duration::from_secs(90);

cred_provider_kit::storage_provider! {
    /// Stores sealed credentials in HashiCorp Vault or OpenBao.
    ///
    /// Clones share one token, one connection pool and one set of counters. The provider needs a
    /// tokio runtime with timer and I/O enabled. From the first use on, one background task keeps
    /// the token alive; it ends with the last clone.
    ///
    /// # Cancellation
    /// Dropping the future of an operation drops the request in flight. A write then takes effect
    /// completely or not at all.
    pub struct HashiCorpVaultProvider(Vault);

    /// Logs in if needed, and checks that the mount is KV version 2.
    ///
    /// Calling it is optional: the first operation does the same.
    ///
    /// # Errors
    /// Vault cannot be reached, or refuses a request.
    /// [`InvalidRequest`](cred_core::StorageErrorKind::InvalidRequest) if the mount is another
    /// engine.
    connect
}

/// One mount, and the token for it.
struct Vault {
    client: Arc<Client>,
    auth: Auth,
    names: Names,
    soft: bool,
    /// Whether a store also writes the metadata as custom metadata of the secret.
    custom_metadata: bool,
    /// The mount is KV version 2, or the token may not read that.
    mount_checked: AtomicBool,
    /// Vault has reported that the mount accepts only conditional writes.
    needs_cas: AtomicBool,
}

impl HashiCorpVaultProvider {
    /// Creates a provider for one mount.
    ///
    /// Reads the file of authorities. Does not use the network before the first operation.
    ///
    /// ```
    /// use cred_store_vault::{HashiCorpVaultProvider, VaultAuthMethod, VaultConfig};
    ///
    /// # fn main() -> Result<(), cred_core::ConfigError> {
    /// let config = VaultConfig::default()
    ///     .with_address("http://127.0.0.1:8200")
    ///     .with_auth_method(VaultAuthMethod::token("hvs.example".into()));
    /// let provider = HashiCorpVaultProvider::new(config)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ConfigError`] names the field that cannot be used.
    pub fn new(config: VaultConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        let client = Client::new(&config)?;
        Self::with_api_client(config, client)
    }

    /// Creates a provider that uses the connection of the given client.
    ///
    /// The client determines TLS, proxy, address and namespace; those of the configuration are
    /// ignored. The token of the client is not used: `config.auth_method` determines the login.
    /// Turn the client's redirects off, because they would send the token to another address, and
    /// its timeout, because it would apply in addition to that of the provider.
    ///
    /// # Errors
    /// [`ConfigError`] names the field that cannot be used.
    pub fn with_client(config: VaultConfig, client: VaultClient) -> Result<Self, ConfigError> {
        config.validate()?;
        let client = Client::from_sdk(&config, client);
        Self::with_api_client(config, client)
    }

    fn with_api_client(config: VaultConfig, client: Client) -> Result<Self, ConfigError> {
        let limits = Limits::none()
            .with_max_payload_len(config.max_payload_len)
            .with_recommended_payload_len(RECOMMENDED_PAYLOAD_LEN.min(config.max_payload_len));
        let description = Description::new(config.provider_name(), config.operation_timeout)
            .with_limits(limits)
            .with_in_doubt(SERVER_REQUEST_TIMEOUT);
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

    /// Returns the versions of a credential that Vault keeps, including deleted and destroyed ones.
    ///
    /// Sends one request and reads no value.
    ///
    /// ```no_run
    /// # use cred_core::{CredentialContext, StorageResult};
    /// # use cred_store_vault::HashiCorpVaultProvider;
    /// # async fn show(provider: &HashiCorpVaultProvider) -> StorageResult<()> {
    /// let id = "db-password".parse().expect("an id");
    /// let kept = provider.versions(&id, &CredentialContext::unscoped()).await?;
    /// for (number, version) in &kept.versions {
    ///     println!("{number} of {}: {}", kept.current_version, version.created_time);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`NotFound`](StorageErrorKind::NotFound) if Vault keeps no version under the credential's
    /// name. Other kinds if Vault cannot be reached or refuses the request.
    pub async fn versions(&self, id: &CredentialId, ctx: &CredentialContext) -> StorageResult<VaultVersions> {
        let path = ctx.path(id);
        let vault = self.0.backend();
        self.0
            .perform(Operation::Versions, path, async |wire| {
                let kept = vault.read_versions(wire, &vault.name(path)).await?;
                match kept.versions.is_empty() {
                    true => Err(StorageErrorKind::NotFound.into()),
                    false => Ok(kept),
                }
            })
            .await
    }
}

impl Backend for Vault {
    /// Checks once that the mount is KV version 2.
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
        self.write_custom_metadata(wire, &name, &file.metadata).await;
        Ok(())
    }

    async fn get(&self, wire: &mut Wire<'_>, path: PathRef<'_>) -> StorageResult<Option<CredentialFile>> {
        self.read_state(wire, &self.name(path)).await?.live().map(decode).transpose()
    }

    async fn delete(&self, wire: &mut Wire<'_>, path: PathRef<'_>) -> StorageResult<()> {
        let name = &self.name(path);
        let deleted = self.write(wire, |session| async move {
            match self.soft {
                false => self.client.delete_all_versions(session.token(), name).await,
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
        reach: ListRange<'_>,
        hint: Option<&CredentialFilter>,
    ) -> StorageResult<Vec<CredentialPath>> {
        let paths = self.list_names(wire, reach).await?;
        match hint {
            // With a filter, each credential is read later, which leaves out deleted ones. Custom
            // metadata that arrived after a permanent deletion leave a name without versions.
            None if self.soft || self.custom_metadata => Ok(self.split_by_state(wire, paths).await?.live),
            _ => Ok(paths),
        }
    }

    async fn get_each(
        &self,
        wire: &mut Wire<'_>,
        paths: &[CredentialPath],
    ) -> StorageResult<Vec<StorageResult<Option<CredentialFile>>>> {
        let found = self.read_states(wire, paths).await?;
        Ok(found.into_iter().map(|found| found.live().map(decode).transpose()).collect())
    }

    /// Revokes the token of a login.
    async fn shutdown(&self, wire: &mut Wire<'_>) -> StorageResult<()> {
        // The other half is for the revocation.
        let max_wait = wire.remaining() / 2;
        if let Some(session) = self.auth.close(max_wait).await {
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
        let Some(secret) = self.read_state(wire, &self.name(path)).await?.live() else { return Ok(None) };
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
        self.write_custom_metadata(wire, &name, &file.metadata).await;
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

    async fn deleted(&self, wire: &mut Wire<'_>, reach: ListRange<'_>) -> StorageResult<Vec<CredentialPath>> {
        let paths = self.list_names(wire, reach).await?;
        Ok(self.split_by_state(wire, paths).await?.deleted)
    }
}

impl Vault {
    fn name(&self, path: PathRef<'_>) -> String {
        self.names.encode(path).text
    }

    async fn read_state(&self, wire: &mut Wire<'_>, name: &str) -> Result<SecretState, CallFailure> {
        self.read(wire, |session| async move { self.client.read(session.token(), name).await }).await
    }

    /// Reads the versions of a secret. Empty if the secret does not exist.
    async fn read_versions(&self, wire: &mut Wire<'_>, name: &str) -> Result<VaultVersions, CallFailure> {
        self.read(wire, |session| async move { self.client.versions(session.token(), name).await }).await
    }

    /// Whether the secret can be read. Reads only its versions if they are sufficient.
    async fn is_live(&self, wire: &mut Wire<'_>, name: &str) -> Result<bool, CallFailure> {
        match self.read_versions(wire, name).await?.current() {
            CurrentVersion::Live => Ok(true),
            CurrentVersion::Absent | CurrentVersion::Destroyed => Ok(false),
            CurrentVersion::HasDeletionTime => {
                Ok(matches!(self.read_state(wire, name).await?, SecretState::Live(_)))
            }
        }
    }
}

fn decode(secret: Secret) -> StorageResult<CredentialFile> {
    let envelope = secret.envelope.as_deref();
    let envelope = envelope.ok_or_else(|| {
        StorageError::corrupted(
            "the secret has no text in the field `envelope`, so another program has written it",
        )
    })?;
    CredentialFile::decode(envelope.as_bytes())
}

/// Version numbers start again after a permanent deletion, so the revision includes the time.
fn revision(version: &Version) -> Revision {
    Revision::new(format!("{}@{}", version.number, version.created))
}

/// Leaves out the token.
impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault")
            .field("prefix", &self.names.prefix())
            .field("auth", &self.auth)
            .finish_non_exhaustive()
    }
}
