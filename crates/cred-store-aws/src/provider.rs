//! The storage trait on top of Secrets Manager.

mod batch;
#[cfg(fuzzing)]
pub mod fuzzing;
mod listing;
mod tagging;
mod writing;

use std::fmt;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use aws_sdk_secretsmanager::Client as SdkClient;
use cred_core::{
    ConfigError, CredentialFilter, CredentialPath, Description, PathRef, ProviderConfig, SoftDelete,
    StorageErrorKind, StorageResult,
};
use cred_provider_kit::naming::Names;
use cred_provider_kit::{
    Backend, CredentialFile, Executor, ListRange, Provider, Recoverable, RetryBudget, Wire,
};

use self::listing::ListedState;
use crate::AwsSecretsManagerConfig;
use crate::client::{Client, SecretState};
use crate::error::is_state_refusal;

/// How long AWS accepts a request after it was signed
/// ([signing](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html)).
/// For that long, a write that was sent may still take effect.
const SIGNATURE_LIFETIME: Duration = Duration::from_secs(300);

cred_provider_kit::storage_provider! {
    /// Stores sealed credentials in AWS Secrets Manager.
    ///
    /// Clones share one client and one set of counters. The provider needs a tokio runtime with
    /// timer and I/O enabled, and has no background tasks.
    ///
    /// # Cancellation
    /// - Dropping the future of an operation drops its pending request. A write of a value then
    ///   takes effect completely or not at all.
    /// - A store over a secret that is scheduled for deletion first restores it and then writes. If
    ///   it is dropped between the two, the old value stays readable.
    pub struct AwsSecretsManagerProvider(SecretsManager);

    /// Finds the region and the credentials in AWS's chain.
    ///
    /// Calling it is optional: the first operation does this by itself. It sends nothing to Secrets
    /// Manager, so it does not check the permissions of the credentials.
    ///
    /// # Errors
    /// - [`AuthenticationFailed`](StorageErrorKind::AuthenticationFailed): the chain has no
    ///   credentials.
    /// - [`InvalidRequest`](StorageErrorKind::InvalidRequest): the chain has no region.
    connect
}

/// The secrets with one prefix, in one account and region.
struct SecretsManager {
    config: AwsSecretsManagerConfig,
    client: Client,
    names: Names,
    /// Whether AWS has denied a batch read. Secrets are then read one by one.
    batches_denied: AtomicBool,
}

impl AwsSecretsManagerProvider {
    /// Creates a provider for one account and region.
    ///
    /// Does not use the network and reads no file. AWS's own chain finds the remaining settings and
    /// the credentials at the first use.
    ///
    /// ```
    /// use cred_store_aws::{AwsSecretsManagerConfig, AwsSecretsManagerProvider};
    ///
    /// # fn main() -> Result<(), cred_core::ConfigError> {
    /// let config = AwsSecretsManagerConfig::from_env().with_secret_prefix("payments/credentials/");
    /// let provider = AwsSecretsManagerProvider::new(config)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ConfigError`] names the field that cannot be used.
    pub fn new(config: AwsSecretsManagerConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        let client = Client::new(config.clone());
        Self::with_api_client(config, client)
    }

    /// Creates a provider that uses the given client.
    ///
    /// The client determines the region, the endpoint, the credentials and the connection; those of
    /// the configuration are ignored. The provider uses a copy of the client without retries,
    /// timeouts and stalled-stream protection, because it has its own.
    ///
    /// # Errors
    /// [`ConfigError`] names the field that cannot be used.
    pub fn with_client(config: AwsSecretsManagerConfig, client: SdkClient) -> Result<Self, ConfigError> {
        config.validate()?;
        let client = Client::from_sdk(config.clone(), &client);
        Self::with_api_client(config, client)
    }

    fn with_api_client(config: AwsSecretsManagerConfig, client: Client) -> Result<Self, ConfigError> {
        let description = Description::new(config.provider_name(), config.operation_timeout)
            .with_limits(config.limits())
            .with_consistency(config.consistency())
            .with_batch(Client::BATCH)
            .with_in_doubt(SIGNATURE_LIFETIME);
        let executor = Executor::new(description, config.timeout)
            .with_retry_policy(config.retry_policy.clone())
            .with_budget(RetryBudget::new(config.retry_budget));
        let names = config.names()?;
        let backend = SecretsManager { config, client, names, batches_denied: AtomicBool::new(false) };
        Ok(Self(Provider::new(executor, backend)))
    }
}

impl Backend for SecretsManager {
    /// Creates the client at the first use, as a read: if it fails, no write was sent, so no
    /// outcome is unknown.
    async fn prepare(&self, wire: &mut Wire<'_>) -> StorageResult<()> {
        match self.client.is_initialized() {
            true => Ok(()),
            false => wire.read(|_| self.client.initialize()).await,
        }
    }

    async fn connect(&self, wire: &mut Wire<'_>) -> StorageResult<()> {
        wire.read(|_| self.client.check_credentials()).await
    }

    async fn put(&self, wire: &mut Wire<'_>, path: PathRef<'_>, file: CredentialFile) -> StorageResult<()> {
        let version = self.new_version(path, file, wire.description())?;
        self.store(wire, &version).await
    }

    async fn get(&self, wire: &mut Wire<'_>, path: PathRef<'_>) -> StorageResult<Option<CredentialFile>> {
        decode(self.value(wire, &self.name(path)).await)
    }

    async fn delete(&self, wire: &mut Wire<'_>, path: PathRef<'_>) -> StorageResult<()> {
        self.remove(wire, &self.name(path)).await
    }

    async fn exists(&self, wire: &mut Wire<'_>, path: PathRef<'_>) -> StorageResult<bool> {
        Ok(self.describe(wire, &self.name(path)).await?.is_some_and(|secret| !secret.scheduled))
    }

    async fn paths(
        &self,
        wire: &mut Wire<'_>,
        reach: ListRange<'_>,
        _: Option<&CredentialFilter>,
    ) -> StorageResult<Vec<CredentialPath>> {
        self.list_paths(wire, reach.scope(), ListedState::Live).await
    }

    async fn get_each(
        &self,
        wire: &mut Wire<'_>,
        paths: &[CredentialPath],
    ) -> StorageResult<Vec<StorageResult<Option<CredentialFile>>>> {
        let names: Vec<_> = paths.iter().map(|path| self.name(path.as_path_ref())).collect();
        Ok(self.values(wire, &names).await.into_iter().map(decode).collect())
    }

    fn soft_delete(provider: &Provider<Self>) -> Option<&dyn SoftDelete> {
        provider.backend().config.recovery_window_days.map(|_| provider as &dyn SoftDelete)
    }
}

impl Recoverable for SecretsManager {
    async fn recover(&self, wire: &mut Wire<'_>, path: PathRef<'_>) -> StorageResult<()> {
        let name = &self.name(path);
        match self.is_scheduled(wire, name).await? {
            true => wire.write(|_| self.client.restore(name)).await,
            false => Err(StorageErrorKind::NotFound.into()),
        }
    }

    async fn purge(&self, wire: &mut Wire<'_>, path: PathRef<'_>) -> StorageResult<()> {
        let name = &self.name(path);
        match self.is_scheduled(wire, name).await? {
            true => wire.write(|_| self.client.delete(name, None)).await,
            false => Ok(()),
        }
    }

    async fn deleted(&self, wire: &mut Wire<'_>, reach: ListRange<'_>) -> StorageResult<Vec<CredentialPath>> {
        self.list_paths(wire, reach.scope(), ListedState::Scheduled).await
    }
}

impl SecretsManager {
    fn name(&self, path: PathRef<'_>) -> String {
        self.names.encode(path).text
    }

    async fn describe(&self, wire: &mut Wire<'_>, name: &str) -> StorageResult<Option<SecretState>> {
        wire.read(|_| self.client.describe(name)).await
    }

    async fn is_scheduled(&self, wire: &mut Wire<'_>, name: &str) -> StorageResult<bool> {
        Ok(self.describe(wire, name).await?.is_some_and(|secret| secret.scheduled))
    }

    /// Reads the current value. A secret that is scheduled for deletion is `NotFound`. AWS refuses
    /// it with a code that it also uses for other states.
    async fn value(&self, wire: &mut Wire<'_>, name: &str) -> StorageResult<String> {
        match wire.read(|_| self.client.value(name)).await {
            Err(error) if is_state_refusal(&error) => match self.describe(wire, name).await? {
                Some(secret) if !secret.scheduled => Err(error),
                _ => Err(StorageErrorKind::NotFound.into()),
            },
            answer => answer,
        }
    }
}

/// Reads the credential in a value; `None`: the secret does not exist.
fn decode(value: StorageResult<String>) -> StorageResult<Option<CredentialFile>> {
    match value {
        Err(error) if error.is_not_found() => Ok(None),
        value => CredentialFile::decode(value?.as_bytes()).map(Some),
    }
}

/// Prints neither the AWS credentials nor the profile that provides them.
impl fmt::Debug for SecretsManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretsManager")
            .field("region", &self.config.region)
            .field("prefix", &self.names.prefix())
            .finish_non_exhaustive()
    }
}
