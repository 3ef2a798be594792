//! The storage trait on top of Kubernetes Secrets.

#[cfg(fuzzing)]
pub mod fuzzing;
mod listing;
mod writing;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cred_core::{
    CompareAndSet, ConfigError, CredentialContext, CredentialFilter, CredentialId, CredentialMetadata,
    CredentialPath, Description, EncryptedData, Limits, Operation, PathRef, ProviderConfig, Revision,
    StorageError, StorageErrorKind, StorageMetrics, StorageProvider, Stored, async_trait,
};
use cred_provider_kit::{CredentialFile, Executor, ProcessEnv, TargetRef, Wire, tags};

use self::writing::Draft;
use crate::KubernetesSecretsConfig;
use crate::client::{Client, Identity, Secret};
use crate::marks::Marks;

/// Bytes of a secret's data
/// ([`MaxSecretSize`](https://kubernetes.io/docs/concepts/configuration/secret/#restriction-data-size)): those of the envelope,
/// which Kubernetes counts before base64.
const MAX_PAYLOAD_LEN: usize = 1_024 * 1_024;

/// For how long the API server works on a request whose client has gone: its
/// [`--request-timeout`](https://kubernetes.io/docs/reference/command-line-tools-reference/kube-apiserver/).
const WORKS_ON: Duration = Duration::from_secs(60);

/// Keeps sealed credentials in the Secrets of one namespace. Clones share one connection pool and one set of counters.
///
/// Needs a tokio runtime with timer and I/O enabled. It has no background task but those of its connections.
///
/// Dropping the future of an operation drops the request in flight: a write may or may not happen then, whole.
#[derive(Clone)]
pub struct KubernetesSecretsProvider {
    inner: Arc<Inner>,
}

struct Inner {
    description: Description,
    executor: Executor,
    client: Client,
    marks: Marks,
    replace_immutable: bool,
}

impl KubernetesSecretsProvider {
    /// A provider over one namespace. Reads the kubeconfig or the files of the pod's service account, and touches no network
    /// before the first use. A program that the kubeconfig names for its credentials is run by the first use.
    ///
    /// Where no provider of cryptography was chosen for the process, it installs rustls' aws-lc-rs, as kube does.
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

    /// As [`KubernetesSecretsProvider::new`], with a client of your own: its cluster, credentials, proxy and layers are used,
    /// and `kubeconfig_path` and `context` are not. Turn its retries off (`default_retry` of its configuration), which would
    /// multiply the provider's own. Such a client belongs to the runtime that it was made on.
    ///
    /// # Errors
    /// [`ConfigError`] names the field that cannot be used.
    pub fn with_client(config: KubernetesSecretsConfig, client: kube::Client) -> Result<Self, ConfigError> {
        config.check()?;
        let client = Client::of_sdk(client, &config.namespace);
        Self::over(&config, client)
    }

    fn over(config: &KubernetesSecretsConfig, client: Client) -> Result<Self, ConfigError> {
        let name = config.provider_name();
        let limits = tags::KUBERNETES.bound(Limits::none(), 0).with_max_payload_len(MAX_PAYLOAD_LEN);
        let inner = Inner {
            description: Description::new(name, config.operation_timeout)
                .with_limits(limits)
                .with_in_doubt(WORKS_ON),
            executor: Executor::new(name, config.timeout, config.operation_timeout)
                .with_retry_policy(config.retry_policy.clone()),
            client,
            marks: Marks::new(config.names()?, &config.default_labels, &config.default_annotations),
            replace_immutable: config.replace_immutable,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Looks whether the namespace answers and may be listed. Nothing needs it: the first operation connects by itself.
    ///
    /// # Errors
    /// What Kubernetes refuses.
    pub async fn connect(&self) -> Result<(), StorageError> {
        self.perform(Operation::Connect, TargetRef::Backend, async |wire| self.inner.greet(wire).await).await
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
    /// The secret of a credential. What lies under its name and is somebody else's is as good as nothing.
    async fn read(&self, wire: &mut Wire<'_>, path: PathRef<'_>) -> Result<Secret, StorageError> {
        self.found(wire, path).await?.ok_or_else(|| StorageErrorKind::NotFound.into())
    }

    async fn found(&self, wire: &mut Wire<'_>, path: PathRef<'_>) -> Result<Option<Secret>, StorageError> {
        let name = &self.marks.name(path);
        let secret = wire.read(|_| self.client.read(name)).await?;
        Ok(secret.filter(|secret| self.is_live(&secret.identity, path)))
    }

    async fn exists(&self, wire: &mut Wire<'_>, path: PathRef<'_>) -> Result<bool, StorageError> {
        let name = &self.marks.name(path);
        let seen = wire.read(|_| self.client.look(name)).await?;
        Ok(seen.is_some_and(|seen| self.is_live(&seen.identity, path)))
    }

    fn is_live(&self, secret: &Identity, path: PathRef<'_>) -> bool {
        self.marks.owns(secret, path) && !secret.is_terminating()
    }
}

fn decode(secret: &Secret) -> Result<CredentialFile, StorageError> {
    let envelope = secret.envelope.as_deref();
    let envelope = envelope
        .ok_or_else(|| StorageError::corrupted("the secret has no field `envelope` that could be read"))?;
    CredentialFile::decode(envelope)
}

#[async_trait]
impl StorageProvider for KubernetesSecretsProvider {
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
            let draft = Draft::new(&self.inner, path, data, metadata)?;
            self.inner.store(wire, path, &draft).await
        })
        .await
    }

    async fn retrieve(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<Stored, StorageError> {
        let path = ctx.path(id);
        self.perform(Operation::Retrieve, path, async |wire| {
            Ok(decode(&self.inner.read(wire, path).await?)?.into_stored())
        })
        .await
    }

    async fn delete(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<(), StorageError> {
        let path = ctx.path(id);
        self.perform(Operation::Delete, path, async |wire| self.inner.delete(wire, path).await).await
    }

    async fn exists(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<bool, StorageError> {
        let path = ctx.path(id);
        self.perform(Operation::Exists, path, async |wire| self.inner.exists(wire, path).await).await
    }

    async fn list(
        &self,
        filter: Option<&CredentialFilter>,
        ctx: &CredentialContext,
    ) -> Result<Vec<CredentialId>, StorageError> {
        self.perform(Operation::List, ctx, async |wire| {
            let selector = self.inner.marks.in_scope(ctx.scope_id.as_ref());
            let paths = self.inner.listed(wire, Operation::List, selector, filter).await?;
            // Labels only pre-select: whoever may edit them decides nothing.
            let here = paths.into_iter().filter(|path| path.scope == ctx.scope_id);
            Ok(here.map(|path| path.id).collect())
        })
        .await
    }

    async fn list_tree(
        &self,
        filter: Option<&CredentialFilter>,
        ctx: &CredentialContext,
    ) -> Result<Vec<CredentialPath>, StorageError> {
        self.perform(Operation::ListTree, ctx, async |wire| {
            let selector = self.inner.marks.below(ctx.scope_id.as_ref());
            let mut paths = self.inner.listed(wire, Operation::ListTree, selector, filter).await?;
            paths.retain(|path| path.is_within(ctx.scope_id.as_ref()));
            Ok(paths)
        })
        .await
    }

    fn metrics(&self) -> Option<Arc<StorageMetrics>> {
        Some(Arc::clone(self.inner.executor.metrics()))
    }

    fn compare_and_set(&self) -> Option<&dyn CompareAndSet> {
        Some(self)
    }
}

#[async_trait]
impl CompareAndSet for KubernetesSecretsProvider {
    async fn retrieve_with_revision(
        &self,
        id: &CredentialId,
        ctx: &CredentialContext,
    ) -> Result<(EncryptedData, CredentialMetadata, Revision), StorageError> {
        let path = ctx.path(id);
        self.perform(Operation::RetrieveWithRevision, path, async |wire| {
            let secret = self.inner.read(wire, path).await?;
            let (data, metadata) = decode(&secret)?.into_stored();
            Ok((data, metadata, Revision::new(secret.identity.version())))
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
        let path = ctx.path(id);
        self.perform(Operation::StoreIf, path, async |wire| {
            let draft = Draft::new(&self.inner, path, data, metadata)?;
            match expected {
                Some(expected) => self.inner.replace(wire, path, &draft, expected).await,
                None => self.inner.create(wire, path, &draft).await,
            }
        })
        .await
    }
}

/// What is stored is sealed, and who asks is nobody's business.
impl fmt::Debug for KubernetesSecretsProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KubernetesSecretsProvider")
            .field("namespace", &self.inner.client.namespace())
            .field("prefix", &self.inner.marks.prefix())
            .finish_non_exhaustive()
    }
}
