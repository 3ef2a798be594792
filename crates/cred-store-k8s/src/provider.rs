//! The storage trait on top of Kubernetes Secrets.

#[cfg(fuzzing)]
pub mod fuzzing;
mod listing;
mod writing;

use std::fmt;
use std::time::Duration;

use cred_core::{
    CompareAndSet, ConfigError, CredentialFilter, CredentialPath, Description, Limits, PathRef,
    ProviderConfig, Revision, StorageError, StorageResult, Tags, Versioned,
};
use cred_provider_kit::{
    Backend, Conditional, CredentialFile, Executor, ListRange, ProcessEnv, Provider, RetryBudget, Wire,
};

use crate::KubernetesSecretsConfig;
use crate::client::{Client, PageRequest, Secret, SecretIdentity, SecretMetadata};
use crate::marks::StoreMarks;

/// The maximum size of a Secret's data in bytes
/// ([`MaxSecretSize`](https://kubernetes.io/docs/concepts/configuration/secret/#restriction-data-size)),
/// which is the size of the envelope: Kubernetes counts before base64.
const MAX_PAYLOAD_LEN: usize = 1_024 * 1_024;

/// The largest recommended envelope in bytes, from the specification's table of size limits.
const RECOMMENDED_PAYLOAD_LEN: usize = 256 * 1_024;

/// How long the API server works on a request after its client has disconnected: its
/// [`--request-timeout`](https://kubernetes.io/docs/reference/command-line-tools-reference/kube-apiserver/).
const SERVER_REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

cred_provider_kit::storage_provider! {
    /// Stores sealed credentials in the Secrets of one namespace.
    ///
    /// Clones share one connection pool and one set of counters. The provider needs a tokio runtime
    /// with timer and I/O enabled, and has no background tasks except those of its connections.
    ///
    /// # Cancellation
    /// Dropping the future of an operation drops the request in flight. A write then takes effect
    /// completely or not at all.
    pub struct KubernetesSecretsProvider(Kubernetes);

    /// Checks that the API server can be reached and that the namespace may be listed.
    ///
    /// Calling it is optional: the first operation connects by itself.
    ///
    /// # Errors
    /// The API server cannot be reached, or refuses the request.
    connect
}

/// One store in one namespace.
struct Kubernetes {
    client: Client,
    marks: StoreMarks,
    replace_immutable: bool,
}

impl KubernetesSecretsProvider {
    /// Creates a provider for one namespace.
    ///
    /// Reads the kubeconfig or the files of the pod's service account. Does not use the network
    /// before the first operation, which also runs the credential program if the kubeconfig names
    /// one.
    ///
    /// If the process has no default crypto provider for rustls, this installs aws-lc-rs, as kube
    /// does.
    ///
    /// ```no_run
    /// use cred_store_k8s::{KubernetesSecretsConfig, KubernetesSecretsProvider};
    ///
    /// # fn main() -> Result<(), cred_core::ConfigError> {
    /// let config = KubernetesSecretsConfig::default().with_namespace("payments");
    /// let provider = KubernetesSecretsProvider::new(config)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ConfigError`] names the field that cannot be used.
    pub fn new(config: KubernetesSecretsConfig) -> Result<Self, ConfigError> {
        config.check()?;
        let access = config.access(&ProcessEnv)?;
        let client = Client::new(access, &config.namespace, config.timeout)
            .map_err(|problem| ConfigError::invalid(config.provider_name(), "kubeconfig_path", problem))?;
        Self::with_api_client(&config, client)
    }

    /// Creates a provider that uses the given client.
    ///
    /// The client determines the cluster, credentials, proxy and layers; `kubeconfig_path` and
    /// `context` are ignored. Turn the retries of the client off (`default_retry` of its
    /// configuration), because they would multiply those of the provider. The client is bound to
    /// the runtime on which it was created.
    ///
    /// # Errors
    /// [`ConfigError`] names the field that cannot be used.
    pub fn with_client(config: KubernetesSecretsConfig, client: kube::Client) -> Result<Self, ConfigError> {
        config.check()?;
        let client = Client::from_sdk(client, &config.namespace);
        Self::with_api_client(&config, client)
    }

    fn with_api_client(config: &KubernetesSecretsConfig, client: Client) -> Result<Self, ConfigError> {
        // Tags that cannot be labels go into an annotation, which has room for all tags that a
        // credential can have.
        let limits = Limits::none()
            .with_max_tags(Tags::MAX_COUNT, Tags::MAX_KEY_LEN, Tags::MAX_VALUE_LEN)
            .with_max_payload_len(MAX_PAYLOAD_LEN)
            .with_recommended_payload_len(RECOMMENDED_PAYLOAD_LEN);
        let description = Description::new(config.provider_name(), config.operation_timeout)
            .with_limits(limits)
            .with_in_doubt(SERVER_REQUEST_TIMEOUT);
        let kubernetes = Kubernetes {
            client,
            marks: StoreMarks::new(config.names()?, &config.default_labels, &config.default_annotations),
            replace_immutable: config.replace_immutable,
        };
        let executor = Executor::new(description, config.timeout)
            .with_retry_policy(config.retry_policy.clone())
            .with_budget(RetryBudget::new(config.retry_budget));
        Ok(Self(Provider::new(executor, kubernetes)))
    }
}

impl Backend for Kubernetes {
    /// Reads one short page and ignores its contents.
    async fn connect(&self, wire: &mut Wire<'_>) -> StorageResult<()> {
        let selector = &self.marks.below(None);
        wire.read(|_| self.client.list_metadata(PageRequest { selector, limit: 1, next: None }))
            .await
            .map(drop)
    }

    async fn put(&self, wire: &mut Wire<'_>, path: PathRef<'_>, file: CredentialFile) -> StorageResult<()> {
        let draft = self.draft(path, &file, wire.description())?;
        self.store(wire, &draft).await
    }

    async fn get(&self, wire: &mut Wire<'_>, path: PathRef<'_>) -> StorageResult<Option<CredentialFile>> {
        self.read_secret(wire, path).await?.as_ref().map(decode).transpose()
    }

    async fn delete(&self, wire: &mut Wire<'_>, path: PathRef<'_>) -> StorageResult<()> {
        self.remove(wire, path).await
    }

    /// Reads the Secret without its data.
    async fn exists(&self, wire: &mut Wire<'_>, path: PathRef<'_>) -> StorageResult<bool> {
        Ok(self.read_metadata(wire, path).await?.is_some())
    }

    async fn paths(
        &self,
        wire: &mut Wire<'_>,
        reach: ListRange<'_>,
        _: Option<&CredentialFilter>,
    ) -> StorageResult<Vec<CredentialPath>> {
        self.list_paths(wire, reach).await
    }

    /// Reads paths and contents in the same pages.
    async fn matching(
        &self,
        wire: &mut Wire<'_>,
        reach: ListRange<'_>,
        filter: &CredentialFilter,
    ) -> StorageResult<Vec<CredentialPath>> {
        self.list_matching(wire, reach, filter).await
    }

    fn compare_and_set(provider: &Provider<Self>) -> Option<&dyn CompareAndSet> {
        Some(provider)
    }
}

impl Conditional for Kubernetes {
    async fn get_versioned(
        &self,
        wire: &mut Wire<'_>,
        path: PathRef<'_>,
    ) -> StorageResult<Option<Versioned<CredentialFile>>> {
        let Some(secret) = self.read_secret(wire, path).await? else { return Ok(None) };
        Ok(Some(Versioned::new(decode(&secret)?, secret.identity.revision())))
    }

    async fn put_if(
        &self,
        wire: &mut Wire<'_>,
        path: PathRef<'_>,
        file: CredentialFile,
        expected: Option<&Revision>,
    ) -> StorageResult<Revision> {
        let draft = self.draft(path, &file, wire.description())?;
        match expected {
            Some(expected) => self.replace(wire, &draft, expected).await,
            None => self.create(wire, &draft).await,
        }
    }
}

impl Kubernetes {
    /// Reads the Secret of a credential. `None` also if the Secret with its name belongs to another
    /// owner.
    async fn read_secret(&self, wire: &mut Wire<'_>, path: PathRef<'_>) -> StorageResult<Option<Secret>> {
        let name = &self.marks.name(path);
        let secret = wire.read(|_| self.client.read(name)).await?;
        Ok(secret.filter(|secret| self.is_live(&secret.identity, path)))
    }

    /// As [`read_secret`](Self::read_secret), without the data.
    async fn read_metadata(
        &self,
        wire: &mut Wire<'_>,
        path: PathRef<'_>,
    ) -> StorageResult<Option<SecretMetadata>> {
        let name = &self.marks.name(path);
        let secret = wire.read(|_| self.client.read_metadata(name)).await?;
        Ok(secret.filter(|secret| self.is_live(&secret.identity, path)))
    }

    fn is_live(&self, secret: &SecretIdentity, path: PathRef<'_>) -> bool {
        self.marks.owns(secret, path) && !secret.is_terminating()
    }
}

fn decode(secret: &Secret) -> StorageResult<CredentialFile> {
    let envelope = secret.envelope.as_deref();
    let envelope =
        envelope.ok_or_else(|| StorageError::corrupted("the Secret has no readable field `envelope`"))?;
    CredentialFile::decode(envelope)
}

/// Leaves out the credentials and the identity of the client.
impl fmt::Debug for Kubernetes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kubernetes")
            .field("namespace", &self.client.namespace())
            .field("prefix", &self.marks.prefix())
            .finish_non_exhaustive()
    }
}
