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
    Backend, Conditional, CredentialFile, Executor, ProcessEnv, Provider, Reach, RetryBudget, Wire,
};

use crate::KubernetesSecretsConfig;
use crate::client::{Client, Identity, Metadata, Part, Secret};
use crate::marks::Marks;

/// Bytes of a secret's data
/// ([`MaxSecretSize`](https://kubernetes.io/docs/concepts/configuration/secret/#restriction-data-size)):
/// those of the envelope, which Kubernetes counts before base64.
const MAX_PAYLOAD_LEN: usize = 1_024 * 1_024;

/// Bytes of the largest envelope that is recommended, by the specification's table of size limits.
const RECOMMENDED_PAYLOAD_LEN: usize = 256 * 1_024;

/// For how long the API server works on a request whose client has gone: its
/// [`--request-timeout`](https://kubernetes.io/docs/reference/command-line-tools-reference/kube-apiserver/).
const WORKS_ON: Duration = Duration::from_secs(60);

cred_provider_kit::storage_provider! {
    /// Keeps sealed credentials in the Secrets of one namespace. Clones share one connection pool
    /// and one set of counters.
    ///
    /// Needs a tokio runtime with timer and I/O enabled. It has no background task but those of its
    /// connections.
    ///
    /// Dropping the future of an operation drops the request in flight: a write may or may not
    /// happen then, whole.
    pub struct KubernetesSecretsProvider(Kubernetes);

    /// Looks whether the namespace answers and may be listed. Nothing needs it: the first operation
    /// connects by itself.
    ///
    /// # Errors
    /// What Kubernetes refuses.
    connect
}

/// One store in one namespace.
struct Kubernetes {
    client: Client,
    marks: Marks,
    replace_immutable: bool,
}

impl KubernetesSecretsProvider {
    /// A provider over one namespace. Reads the kubeconfig or the files of the pod's service
    /// account, and touches no network before the first use. A program that the kubeconfig names
    /// for its credentials is run by the first use.
    ///
    /// Where no provider of cryptography was chosen for the process, it installs rustls' aws-lc-rs,
    /// as kube does.
    ///
    /// # Errors
    /// [`ConfigError`] names the field that cannot be used.
    pub fn new(config: KubernetesSecretsConfig) -> Result<Self, ConfigError> {
        config.check()?;
        let access = config.access(&ProcessEnv)?;
        let client = Client::new(access, &config.namespace, config.timeout)
            .map_err(|problem| ConfigError::invalid(config.provider_name(), "kubeconfig_path", problem))?;
        Self::over(&config, client)
    }

    /// As [`KubernetesSecretsProvider::new`], with a client of your own: its cluster, credentials,
    /// proxy and layers are used, and `kubeconfig_path` and `context` are not. Turn its retries off
    /// (`default_retry` of its configuration), which would multiply the provider's own. Such a
    /// client belongs to the runtime that it was made on.
    ///
    /// # Errors
    /// [`ConfigError`] names the field that cannot be used.
    pub fn with_client(config: KubernetesSecretsConfig, client: kube::Client) -> Result<Self, ConfigError> {
        config.check()?;
        let client = Client::of_sdk(client, &config.namespace);
        Self::over(&config, client)
    }

    fn over(config: &KubernetesSecretsConfig, client: Client) -> Result<Self, ConfigError> {
        // Tags that cannot be labels are in an annotation, which takes all that a credential can
        // have.
        let limits = Limits::none()
            .with_max_tags(Tags::MAX_COUNT, Tags::MAX_KEY_LEN, Tags::MAX_VALUE_LEN)
            .with_max_payload_len(MAX_PAYLOAD_LEN)
            .with_recommended_payload_len(RECOMMENDED_PAYLOAD_LEN);
        let description = Description::new(config.provider_name(), config.operation_timeout)
            .with_limits(limits)
            .with_in_doubt(WORKS_ON);
        let kubernetes = Kubernetes {
            client,
            marks: Marks::new(config.names()?, &config.default_labels, &config.default_annotations),
            replace_immutable: config.replace_immutable,
        };
        let executor = Executor::new(description, config.timeout)
            .with_retry_policy(config.retry_policy.clone())
            .with_budget(RetryBudget::new(config.retry_budget));
        Ok(Self(Provider::new(executor, kubernetes)))
    }
}

impl Backend for Kubernetes {
    /// Reads one short page, whatever is on it.
    async fn connect(&self, wire: &mut Wire<'_>) -> StorageResult<()> {
        let selector = &self.marks.below(None);
        wire.read(|_| self.client.names(Part { selector, limit: 1, next: None })).await.map(drop)
    }

    async fn put(&self, wire: &mut Wire<'_>, path: PathRef<'_>, file: CredentialFile) -> StorageResult<()> {
        let draft = self.draft(path, &file, wire.description())?;
        self.store(wire, &draft).await
    }

    async fn get(&self, wire: &mut Wire<'_>, path: PathRef<'_>) -> StorageResult<Option<CredentialFile>> {
        self.found(wire, path).await?.as_ref().map(decode).transpose()
    }

    async fn delete(&self, wire: &mut Wire<'_>, path: PathRef<'_>) -> StorageResult<()> {
        self.remove(wire, path).await
    }

    /// Without the data.
    async fn exists(&self, wire: &mut Wire<'_>, path: PathRef<'_>) -> StorageResult<bool> {
        Ok(self.seen(wire, path).await?.is_some())
    }

    async fn paths(
        &self,
        wire: &mut Wire<'_>,
        reach: Reach<'_>,
        _: Option<&CredentialFilter>,
    ) -> StorageResult<Vec<CredentialPath>> {
        self.listed(wire, reach).await
    }

    /// Reads names and contents in the same pages.
    async fn matching(
        &self,
        wire: &mut Wire<'_>,
        reach: Reach<'_>,
        filter: &CredentialFilter,
    ) -> StorageResult<Vec<CredentialPath>> {
        self.admitted(wire, reach, filter).await
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
        let Some(secret) = self.found(wire, path).await? else { return Ok(None) };
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
    /// The secret of a credential. A secret of another owner under its name does not count.
    async fn found(&self, wire: &mut Wire<'_>, path: PathRef<'_>) -> StorageResult<Option<Secret>> {
        let name = &self.marks.name(path);
        let secret = wire.read(|_| self.client.read(name)).await?;
        Ok(secret.filter(|secret| self.is_live(&secret.identity, path)))
    }

    /// As [`found`](Self::found), without the data.
    async fn seen(&self, wire: &mut Wire<'_>, path: PathRef<'_>) -> StorageResult<Option<Metadata>> {
        let name = &self.marks.name(path);
        let secret = wire.read(|_| self.client.look(name)).await?;
        Ok(secret.filter(|secret| self.is_live(&secret.identity, path)))
    }

    fn is_live(&self, secret: &Identity, path: PathRef<'_>) -> bool {
        self.marks.owns(secret, path) && !secret.is_terminating()
    }
}

fn decode(secret: &Secret) -> StorageResult<CredentialFile> {
    let envelope = secret.envelope.as_deref();
    let envelope = envelope
        .ok_or_else(|| StorageError::corrupted("the secret has no field `envelope` that could be read"))?;
    CredentialFile::decode(envelope)
}

/// Credentials and the identity of the client are left out.
impl fmt::Debug for Kubernetes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kubernetes")
            .field("namespace", &self.client.namespace())
            .field("prefix", &self.marks.prefix())
            .finish_non_exhaustive()
    }
}
