//! The storage trait on top of the secrets of Key Vault.

mod deleted;
#[cfg(fuzzing)]
pub mod fuzzing;
mod naming;
mod writing;

use std::fmt;
use std::num::NonZeroUsize;
use std::time::Duration;

use cred_core::{
    ConfigError, Consistency, CredentialFilter, CredentialPath, Description, Limits, PathRef, ProviderConfig,
    SoftDelete, StorageResult,
};
use cred_provider_kit::{Backend, CredentialFile, Executor, ListRange, Provider, RetryBudget, Wire, tags};

use self::naming::Naming;
pub(crate) use self::naming::PATH_TAG;
use crate::client::{Client, SecretClient, SecretList};
use crate::error::Blocked;
use crate::{AzureKeyVaultConfig, AzureOverDeleted};

/// Maximum size of a value in bytes
/// ([limits](https://learn.microsoft.com/azure/key-vault/secrets/about-secrets)).
const MAX_VALUE_LEN: usize = 25 * 1_024;

/// The largest recommended value in bytes, page_url the specification's table of size limits.
const RECOMMENDED_VALUE_LEN: usize = 10 * 1_024;

/// How long lists may lag. Azure documents no bound; deletions were observed to appear in the list
/// of deleted secrets after seconds.
const LIST_LAG: Duration = Duration::from_secs(30);

/// Maximum number of concurrent reads of a list with a filter.
const MAX_CONCURRENT_READS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(15);

cred_provider_kit::storage_provider! {
    /// Stores sealed credentials in one Azure Key Vault.
    ///
    /// Clones share one token, one connection pool and one set of counters. The provider needs a
    /// tokio runtime with timer and I/O enabled, and has no background tasks.
    ///
    /// `exists` makes the same single request as `retrieve` and needs the same right: Get, or
    /// `getSecret/action` of Azure RBAC. The response includes the sealed value, which is dropped
    /// unopened. The [documentation of the crate](crate#required-permissions) has the reason, and
    /// the rights for all operations.
    ///
    /// # Cancellation
    /// - Dropping the future of an operation drops its pending request. A write then takes effect
    ///   completely or not at all.
    /// - If a store over a deleted name is dropped between its recovery and its write, the old
    ///   value stays readable.
    pub struct AzureKeyVaultProvider(KeyVault);

    /// Requests a token and the first page of secrets.
    ///
    /// Calling it is optional: the first operation requests the token that it needs.
    ///
    /// # Errors
    /// Azure cannot be reached, or refuses a request. The right to list is needed.
    connect
}

/// One vault, and the names of its secrets.
struct KeyVault {
    client: Client,
    naming: Naming,
    over_deleted: AzureOverDeleted,
    /// Timeout of one write request.
    write_timeout: Duration,
}

impl AzureKeyVaultProvider {
    /// Creates a provider for one vault.
    ///
    /// Reads the file of authorities. Does not use the network before the first operation.
    ///
    /// ```no_run
    /// use cred_store_azure::{AzureCredentialType, AzureKeyVaultConfig, AzureKeyVaultProvider};
    ///
    /// # fn start(client_secret: cred_core::SecretString) -> Result<(), cred_core::ConfigError> {
    /// let config = AzureKeyVaultConfig::default()
    ///     .with_vault_url("https://my-vault.vault.azure.net/")
    ///     .with_credential_type(AzureCredentialType::service_principal(
    ///         "11111111-2222-3333-4444-555555555555",
    ///         "66666666-7777-8888-9999-000000000000",
    ///         client_secret,
    ///     ));
    /// let provider = AzureKeyVaultProvider::new(config)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ConfigError`] names the field that cannot be used.
    pub fn new(config: AzureKeyVaultConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        let client = Client::new(&config)?;
        Self::build(config, client)
    }

    /// Creates a provider that uses the given client of the SDK.
    ///
    /// The client determines the address, the credential and the transport; those of the
    /// configuration are ignored. Turn its retries off (`RetryOptions::none()`), because they would
    /// apply in addition to those of the provider. A token that the vault refuses is replaced only
    /// if the credential of the client does that.
    ///
    /// # Errors
    /// [`ConfigError`] names the field that cannot be used.
    pub fn with_client(config: AzureKeyVaultConfig, client: SecretClient) -> Result<Self, ConfigError> {
        config.check()?;
        Self::build(config, Client::from_sdk(client))
    }

    fn build(config: AzureKeyVaultConfig, client: Client) -> Result<Self, ConfigError> {
        let name = config.provider_name();
        let naming = Naming::new(config.names()?, config.default_tags);
        let sizes = Limits::none()
            .with_max_payload_len(MAX_VALUE_LEN)
            .with_recommended_payload_len(RECOMMENDED_VALUE_LEN);
        let limits = tags::AZURE.bound(sizes, naming.max_own_tags());
        let description = Description::new(name, config.operation_timeout)
            .with_limits(limits)
            .with_consistency(Consistency::Eventual { point: Duration::ZERO, list: LIST_LAG });
        let vault = KeyVault {
            client,
            naming,
            over_deleted: config.over_deleted,
            write_timeout: config.timeout.saturating_mul(2),
        };
        let executor = Executor::new(description, config.timeout)
            .with_retry_policy(config.retry_policy)
            .with_budget(RetryBudget::new(config.retry_budget));
        Ok(Self(Provider::new(executor, vault)))
    }
}

impl Backend for KeyVault {
    async fn connect(&self, wire: &mut Wire<'_>) -> StorageResult<()> {
        wire.read(|_| self.client.page(SecretList::Live, None)).await.map(drop)
    }

    async fn put(&self, wire: &mut Wire<'_>, path: PathRef<'_>, file: CredentialFile) -> StorageResult<()> {
        let (name, draft) = self.draft(path, &file, wire.description())?;
        self.store(wire, &name, &draft).await
    }

    async fn get(&self, wire: &mut Wire<'_>, path: PathRef<'_>) -> StorageResult<Option<CredentialFile>> {
        let name = &self.naming.name(path);
        decode(wire.read(|_| self.value(name)).await?)
    }

    async fn delete(&self, wire: &mut Wire<'_>, path: PathRef<'_>) -> StorageResult<()> {
        self.delete_secret(wire, &self.naming.name(path)).await
    }

    async fn exists(&self, wire: &mut Wire<'_>, path: PathRef<'_>) -> StorageResult<bool> {
        self.secret_exists(wire, &self.naming.name(path)).await
    }

    async fn paths(
        &self,
        wire: &mut Wire<'_>,
        _: ListRange<'_>,
        hint: Option<&CredentialFilter>,
    ) -> StorageResult<Vec<CredentialPath>> {
        self.list_paths(wire, SecretList::Live, hint).await
    }

    async fn get_each(
        &self,
        wire: &mut Wire<'_>,
        paths: &[CredentialPath],
    ) -> StorageResult<Vec<StorageResult<Option<CredentialFile>>>> {
        let names: Vec<_> = paths.iter().map(|path| self.naming.name(path.as_path_ref())).collect();
        let values = wire.read_all(&names, MAX_CONCURRENT_READS, |name| self.value(name)).await?;
        Ok(values.into_iter().map(decode).collect())
    }

    fn soft_delete(provider: &Provider<Self>) -> Option<&dyn SoftDelete> {
        Some(provider)
    }
}

impl KeyVault {
    /// Returns the value of a secret; `None`: it does not exist, or is being deleted or recovered.
    async fn value(&self, name: &str) -> StorageResult<Option<String>> {
        match self.client.get(name).await {
            Ok(latest) => Ok(Some(latest.value)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => match Blocked::of(&error) {
                Some(Blocked::Deleted | Blocked::BeingDeleted | Blocked::BeingRecovered) => Ok(None),
                Some(Blocked::Disabled) | None => Err(error),
            },
        }
    }

    /// Returns whether a secret exists, even if it is disabled. Drops the value: the only request
    /// without it lists versions, and needs the right to list.
    async fn secret_exists(&self, wire: &mut Wire<'_>, name: &str) -> StorageResult<bool> {
        match wire.read(|_| self.value(name)).await {
            Err(error) if Blocked::of(&error) == Some(Blocked::Disabled) => Ok(true),
            value => Ok(value?.is_some()),
        }
    }

    /// Lists the credentials of the whole vault, live or deleted, page by page. Fails if a page
    /// cannot be read. Leaves out credentials whose tags do not match the hint: tags are written
    /// together with the value, so they are up to date.
    async fn list_paths(
        &self,
        wire: &mut Wire<'_>,
        list: SecretList,
        hint: Option<&CredentialFilter>,
    ) -> StorageResult<Vec<CredentialPath>> {
        let mut paths = Vec::new();
        let mut page_url = None;
        loop {
            let page = wire.read(|_| self.client.page(list, page_url.as_ref())).await?;
            for secret in page.items {
                let path = self.naming.path(&secret)?;
                let may_match = |filter: &CredentialFilter| {
                    filter.tags.iter().all(|(key, value)| secret.tags.get(key) == Some(value))
                };
                paths.extend(path.filter(|_| hint.is_none_or(may_match)));
            }
            match page.next {
                Some(next) => page_url = Some(next),
                None => return Ok(paths),
            }
        }
    }
}

fn decode(value: Option<String>) -> StorageResult<Option<CredentialFile>> {
    value.map(|value| CredentialFile::decode(value.as_bytes())).transpose()
}

/// Does not print the client, which contains the identity.
impl fmt::Debug for KeyVault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyVault")
            .field("prefix", &self.naming.prefix())
            .field("over_deleted", &self.over_deleted)
            .finish_non_exhaustive()
    }
}
