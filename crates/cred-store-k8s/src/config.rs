//! The configuration and its validation.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use cred_core::{ConfigError, ProviderConfig, RetryPolicy};
use cred_provider_kit::config::{check_deadlines, check_retry_budget};
use cred_provider_kit::naming::{self, Names};
use cred_provider_kit::{Env, MapEnv, ProcessEnv, RetryBudget, setters, tags};
use serde::Deserialize;

use crate::client::ClusterAccess;
use crate::marks;

/// The cluster and namespace that store the credentials, and the names and labels of their Secrets.
///
/// ```
/// use cred_store_k8s::KubernetesSecretsConfig;
/// let config = KubernetesSecretsConfig::default()
///     .with_namespace("payments")
///     .with_secret_prefix("payments-cred-");
/// ```
///
/// `Default` reads `KUBERNETES_NAMESPACE` from the environment of the process, as
/// [`from_env`](Self::from_env) does, so the default can differ between two processes. Set
/// [`namespace`](Self::namespace) if it must not. A configuration that is read from a file ignores
/// the variable.
#[derive(Debug, Clone, Deserialize)]
#[serde(default = "defaults", deny_unknown_fields)]
#[non_exhaustive]
pub struct KubernetesSecretsConfig {
    /// The namespace, which must exist: 1 to 63 of `a-z 0-9 -`, with a letter or digit at either
    /// end. Default `KUBERNETES_NAMESPACE`, or else `default`.
    pub namespace: String,
    /// The kubeconfig file; a leading `~/` is the home directory. Default `None`: the files in the
    /// variable `KUBECONFIG`, merged as `kubectl` does, or `~/.kube/config` if it is not set; if
    /// none of them exists, the service account of the pod.
    pub kubeconfig_path: Option<PathBuf>,
    /// The context of the kubeconfig. Default `None`: its current context. Not used with the
    /// service account of a pod.
    pub context: Option<String>,
    /// The prefix of every Secret's name: 1 to 63 of `a-z 0-9 - .` that begin with a letter or
    /// digit. Default `nebula-cred-`. Two providers share credentials if and only if cluster,
    /// namespace and prefix are equal.
    pub secret_prefix: String,
    /// The timeout of one call, doubled for writes: 1 to 60 s, default 5 s. Written `"5s"` in
    /// files.
    #[serde(with = "cred_provider_kit::duration")]
    pub timeout: Duration,
    /// The timeout of one operation with all its calls, retries and waits: 1 s to 10 minutes,
    /// default 60 s.
    #[serde(with = "cred_provider_kit::duration")]
    pub operation_timeout: Duration,
    /// How transient failures are retried.
    pub retry_policy: RetryPolicy,
    /// Tokens of the [`RetryBudget`], which bounds the retries of all operations together while the
    /// backend fails: 10 to 1,000,000, default 500, which is 100 retries in a row. For no retries
    /// at all, set `max_retries` of the policy to 0.
    pub retry_budget: u32,
    /// Labels on every Secret, in addition to those of its tags: at most 64, with keys and values
    /// of at most 63 characters. Default: `app.kubernetes.io/name` and
    /// `app.kubernetes.io/component`.
    pub default_labels: BTreeMap<String, String>,
    /// Annotations on every Secret: keys of at most 63 characters, at most 64 KiB in all; default
    /// none.
    pub default_annotations: BTreeMap<String, String>,
    /// Whether a store deletes and recreates a Secret that is marked as immutable. Default false:
    /// such a store is refused. While the Secret is replaced, the credential does not exist for a
    /// moment, and it is lost permanently if the process ends in between.
    pub replace_immutable: bool,
}

/// The defaults of a configuration that is read from a file. Reads no environment variable.
fn defaults() -> KubernetesSecretsConfig {
    KubernetesSecretsConfig::from_env_with(&MapEnv::default())
}

impl Default for KubernetesSecretsConfig {
    fn default() -> Self {
        Self::from_env()
    }
}

impl KubernetesSecretsConfig {
    const LONGEST_PREFIX: usize = 63;
    const MOST_LABELS: usize = 64;
    /// Of the 256 KiB that Kubernetes allows. The rest is for the provider's annotations and for
    /// those of other tools.
    const MOST_ANNOTATION_BYTES: usize = 64 * 1_024;

    /// Returns the defaults with the namespace in `KUBERNETES_NAMESPACE` of this process's
    /// environment.
    ///
    /// An empty variable counts as not set. [`from_env_with`](Self::from_env_with) reads another
    /// source of variables.
    #[must_use]
    pub fn from_env() -> Self {
        Self::from_env_with(&ProcessEnv)
    }

    /// Returns [`from_env`](Self::from_env) for the variables of `env`, such as a
    /// [`MapEnv`](cred_provider_kit::MapEnv) in a test.
    ///
    /// ```
    /// use cred_provider_kit::MapEnv;
    /// use cred_store_k8s::KubernetesSecretsConfig;
    ///
    /// let env = MapEnv::from([("KUBERNETES_NAMESPACE", "payments")]);
    /// assert_eq!(KubernetesSecretsConfig::from_env_with(&env).namespace, "payments");
    /// ```
    #[must_use]
    pub fn from_env_with(env: &dyn Env) -> Self {
        let labels = [
            ("app.kubernetes.io/name", "nebula-credential"),
            ("app.kubernetes.io/component", "credential-storage"),
        ];
        Self {
            namespace: env.get("KUBERNETES_NAMESPACE").unwrap_or_else(|| "default".to_owned()),
            kubeconfig_path: None,
            context: None,
            secret_prefix: "nebula-cred-".to_owned(),
            timeout: Duration::from_secs(5),
            operation_timeout: Duration::from_secs(60),
            retry_policy: RetryPolicy::default(),
            retry_budget: RetryBudget::CAPACITY,
            default_labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            default_annotations: BTreeMap::new(),
            replace_immutable: false,
        }
    }

    setters! {
        into with_namespace(namespace: String);
        some with_kubeconfig_path(kubeconfig_path: PathBuf);
        some with_context(context: String);
        into with_secret_prefix(secret_prefix: String);
        const with_timeout(timeout: Duration);
        const with_operation_timeout(operation_timeout: Duration);
        with_retry_policy(retry_policy: RetryPolicy);
        const with_retry_budget(retry_budget: u32);
        map with_default_labels(default_labels: BTreeMap<String, String>);
        map with_default_annotations(default_annotations: BTreeMap<String, String>);
        const with_replace_immutable(replace_immutable: bool);
    }

    /// Returns the encoder of Secret names.
    pub(crate) fn names(&self) -> Result<Names, ConfigError> {
        Names::new(naming::KUBERNETES, "secret_prefix", self.secret_prefix.as_str())
    }

    /// Finds the cluster and the identity in the files and the environment.
    pub(crate) fn access(&self, env: &dyn Env) -> Result<ClusterAccess, ConfigError> {
        ClusterAccess::find(self.kubeconfig_path.as_deref(), self.context.as_deref(), env)
            .map_err(|problem| ConfigError::invalid(self.provider_name(), problem.field, problem.text))
    }

    /// Checks everything except the access to the cluster.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let invalid = |field, problem| Err(ConfigError::invalid(self.provider_name(), field, problem));
        if !is_namespace(&self.namespace) {
            return invalid(
                "namespace",
                "must be 1 to 63 characters of a-z 0-9 - with a letter or digit at either end",
            );
        }
        if self.secret_prefix.len() > Self::LONGEST_PREFIX {
            return invalid("secret_prefix", "must be 1 to 63 characters long");
        }
        self.names()?;
        check_deadlines(self.provider_name(), self.timeout, self.operation_timeout)?;
        check_retry_budget(self.provider_name(), self.retry_budget)?;
        const LABELS: &str = "must have at most 64 labels, with keys and values of at most 63 characters that Kubernetes \
                              accepts, and without keys that begin with `cred-rs.github.io/`, which the provider uses";
        if self.default_labels.len() > Self::MOST_LABELS || !self.default_labels.iter().all(is_label) {
            return invalid("default_labels", LABELS);
        }
        const ANNOTATIONS: &str = "must have at most 64 KiB, with keys of at most 63 characters that Kubernetes \
                                   accepts, and without keys that begin with `cred-rs.github.io/`, which the provider \
                                   uses";
        let bytes: usize = self.default_annotations.iter().map(|(key, value)| key.len() + value.len()).sum();
        let mut keys = self.default_annotations.keys();
        if bytes > Self::MOST_ANNOTATION_BYTES || !keys.all(|key| is_label((key, &String::new()))) {
            return invalid("default_annotations", ANNOTATIONS);
        }
        self.retry_policy.validate()
    }
}

fn is_namespace(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn is_label((key, value): (&String, &String)) -> bool {
    !marks::is_own(key) && tags::KUBERNETES.accepts(key, value)
}

impl ProviderConfig for KubernetesSecretsConfig {
    /// Reads the kubeconfig if [`kubeconfig_path`](Self::kubeconfig_path) is set, and does not use
    /// the network. If it is not set, only the provider's constructor looks for the cluster, so
    /// that a configuration can be validated on another machine than the one that uses it.
    fn validate(&self) -> Result<(), ConfigError> {
        self.check()?;
        match self.kubeconfig_path {
            Some(_) => self.access(&ProcessEnv).map(drop),
            None => Ok(()),
        }
    }

    fn provider_name(&self) -> &'static str {
        "kubernetes"
    }
}
