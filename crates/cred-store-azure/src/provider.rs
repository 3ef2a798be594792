//! The storage trait on top of Key Vault's secrets.

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
use cred_provider_kit::{Backend, CredentialFile, Executor, Provider, Reach, RetryBudget, Wire, tags};

use self::naming::Naming;
pub(crate) use self::naming::PATH_TAG;
use crate::client::{Client, SecretClient, Shelf};
use crate::error::Blocked;
use crate::{AzureKeyVaultConfig, AzureOverDeleted};

/// Bytes of the longest value
/// ([limits](https://learn.microsoft.com/azure/key-vault/secrets/about-secrets)).
const LONGEST_VALUE: usize = 25 * 1_024;

/// Bytes of the longest value that is recommended, by the specification's table of size limits.
const RECOMMENDED_VALUE: usize = 10 * 1_024;

/// How long lists may lag: a deletion was seen to take seconds until the list of the deleted has
/// it, and Azure names no bound.
const LISTS_LAG: Duration = Duration::from_secs(30);

/// The number of values that a list with a filter reads at the same time.
const AT_ONCE: NonZeroUsize = NonZeroUsize::MIN.saturating_add(15);

cred_provider_kit::storage_provider! {
    /// Stores sealed credentials in one Azure Key Vault. Clones share one token, one connection
    /// pool and one set of counters.
    ///
    /// Needs a tokio runtime with timer and I/O enabled, and has no background tasks.
    ///
    /// `exists` is one request, the one of `retrieve`, and needs the same right: Get, or
    /// `getSecret/action` of Azure RBAC. Its answer includes the sealed value, which is dropped
    /// unopened. The [crate's documentation](crate#required-permissions) has the reason, and the
    /// rights of all operations.
    ///
    /// Dropping the future of an operation drops the request in flight: the write happens whole, or
    /// not at all. A store over a deleted name that is dropped between its recovery and its write
    /// leaves the old value there.
    pub struct AzureKeyVaultProvider(KeyVault);

    /// Asks for a token and for the first page of secrets. The first operation does by itself what
    /// it needs.
    ///
    /// # Errors
    /// What Azure refuses. The right to list is needed.
    connect
}

/// One vault, and the names of its secrets.
struct KeyVault {
    client: Client,
    naming: Naming,
    over_deleted: AzureOverDeleted,
    /// Of one write.
    write_timeout: Duration,
}

impl AzureKeyVaultProvider {
    /// A provider over one vault. Reads the file of authorities, and touches no network before the
    /// first use.
    ///
    /// # Errors
    /// [`ConfigError`] names the field that cannot be used.
    pub fn new(config: AzureKeyVaultConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        let client = Client::new(&config)?;
        Self::over(config, client)
    }

    /// As [`AzureKeyVaultProvider::new`], with a client of your own: its address, credential and
    /// transport are used, those of the configuration are not. Turn its retries off
    /// (`RetryOptions::none()`), which would count beside the provider's own. A token that the
    /// vault refuses is replaced only if its credential does so.
    ///
    /// # Errors
    /// [`ConfigError`] names the field that cannot be used.
    pub fn with_client(config: AzureKeyVaultConfig, client: SecretClient) -> Result<Self, ConfigError> {
        config.check()?;
        Self::over(config, Client::of_sdk(client))
    }

    fn over(config: AzureKeyVaultConfig, client: Client) -> Result<Self, ConfigError> {
        let name = config.provider_name();
        let naming = Naming::new(config.names()?, config.default_tags);
        let sizes = Limits::none()
            .with_max_payload_len(LONGEST_VALUE)
            .with_recommended_payload_len(RECOMMENDED_VALUE);
        let limits = tags::AZURE.bound(sizes, naming.own_tags());
        let description = Description::new(name, config.operation_timeout)
            .with_limits(limits)
            .with_consistency(Consistency::Eventual { point: Duration::ZERO, list: LISTS_LAG });
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
        wire.read(|_| self.client.page(Shelf::Live, None)).await.map(drop)
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
        self.is_there(wire, &self.naming.name(path)).await
    }

    async fn paths(
        &self,
        wire: &mut Wire<'_>,
        _: Reach<'_>,
        hint: Option<&CredentialFilter>,
    ) -> StorageResult<Vec<CredentialPath>> {
        self.listed(wire, Shelf::Live, hint).await
    }

    async fn get_each(
        &self,
        wire: &mut Wire<'_>,
        paths: &[CredentialPath],
    ) -> StorageResult<Vec<StorageResult<Option<CredentialFile>>>> {
        let names: Vec<_> = paths.iter().map(|path| self.naming.name(path.as_path_ref())).collect();
        let values = wire.read_all(&names, AT_ONCE, |name| self.value(name)).await?;
        Ok(values.into_iter().map(decode).collect())
    }

    fn soft_delete(provider: &Provider<Self>) -> Option<&dyn SoftDelete> {
        Some(provider)
    }
}

impl KeyVault {
    /// Reads the value of a secret; `None`: it does not exist, or it is being deleted or recovered.
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

    /// Whether a secret exists, disabled ones included. The value is dropped: the only request
    /// without it lists versions, and needs the right to list.
    async fn is_there(&self, wire: &mut Wire<'_>, name: &str) -> StorageResult<bool> {
        match wire.read(|_| self.value(name)).await {
            Err(error) if Blocked::of(&error) == Some(Blocked::Disabled) => Ok(true),
            value => Ok(value?.is_some()),
        }
    }

    /// Lists the credentials of the whole vault on one shelf, page by page; a page that cannot be
    /// read is an error. The tags of a secret are written with its value, so credentials whose tags
    /// do not match the hint are left out.
    async fn listed(
        &self,
        wire: &mut Wire<'_>,
        shelf: Shelf,
        hint: Option<&CredentialFilter>,
    ) -> StorageResult<Vec<CredentialPath>> {
        let mut paths = Vec::new();
        let mut from = None;
        loop {
            let page = wire.read(|_| self.client.page(shelf, from.as_ref())).await?;
            for item in page.items {
                let path = self.naming.path(&item)?;
                let may_match = |filter: &CredentialFilter| {
                    filter.tags.iter().all(|(key, value)| item.tags.get(key) == Some(value))
                };
                paths.extend(path.filter(|_| hint.is_none_or(may_match)));
            }
            match page.next {
                Some(next) => from = Some(next),
                None => return Ok(paths),
            }
        }
    }
}

fn decode(value: Option<String>) -> StorageResult<Option<CredentialFile>> {
    value.map(|value| CredentialFile::decode(value.as_bytes())).transpose()
}

/// Without the client, which has the identity.
impl fmt::Debug for KeyVault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyVault")
            .field("prefix", &self.naming.prefix())
            .field("over_deleted", &self.over_deleted)
            .finish_non_exhaustive()
    }
}
