//! What can be chosen, and what is refused.

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

use crate::client::Access;
use crate::marks;

/// Which cluster and namespace keep the credentials, and how their secrets look.
///
/// ```
/// use cred_store_k8s::KubernetesSecretsConfig;
/// let config = KubernetesSecretsConfig::default().with_namespace("payments").with_secret_prefix("payments-cred-");
/// ```
///
/// `Default` reads `KUBERNETES_NAMESPACE` from the environment of the process, as
/// [`from_env`](Self::from_env) does, so a default can differ between two processes; set
/// [`namespace`](Self::namespace) where it must not. A configuration that is read from a file does not
/// take it.
#[derive(Debug, Clone, Deserialize)]
#[serde(default = "defaults", deny_unknown_fields)]
#[non_exhaustive]
pub struct KubernetesSecretsConfig {
    /// The namespace, which must exist: 1 to 63 of `a-z 0-9 -`, a letter or digit at either end;
    /// default `KUBERNETES_NAMESPACE`, or else `default`.
    pub namespace: String,
    /// The kubeconfig file; `~/` at its beginning is the home directory. Default `None`: found as `kubectl` finds it, by
    /// `KUBECONFIG` and then `~/.kube/config`, and where there is neither, the service account of the pod.
    pub kubeconfig_path: Option<PathBuf>,
    /// The context of the kubeconfig; default `None`: its current one. Not for a pod's service account.
    pub context: Option<String>,
    /// Goes before every name: 1 to 63 of `a-z 0-9 - .`, a letter or digit first; default `nebula-cred-`. Two providers
    /// share credentials exactly if cluster, namespace and this are equal.
    pub secret_prefix: String,
    /// The longest that one call takes, doubled for writes; 1 to 60 s, default 5 s. Written `"5s"` in files.
    #[serde(with = "cred_provider_kit::duration")]
    pub timeout: Duration,
    /// The longest that one operation takes, all its calls, retries and waits together; 1 s to 10 minutes, default 60 s.
    #[serde(with = "cred_provider_kit::duration")]
    pub operation_timeout: Duration,
    /// How transient failures are tried again.
    pub retry_policy: RetryPolicy,
    /// Tokens of the [`RetryBudget`], which bounds the retries of all operations together while the
    /// backend fails: 10 to 1,000,000, default 500, which is 100 retries in a row. For no retries at
    /// all, set `max_retries` of the policy to 0.
    pub retry_budget: u32,
    /// Labels of every secret, besides those of its tags: at most 64, keys and values of up to 63 characters. Default:
    /// `app.kubernetes.io/name` and `app.kubernetes.io/component`.
    pub default_labels: BTreeMap<String, String>,
    /// Annotations of every secret: keys of up to 63 characters, 64 KiB in all; default none.
    pub default_annotations: BTreeMap<String, String>,
    /// Whether a secret that somebody has made immutable is deleted and created anew when its credential is stored, so that it is
    /// gone for a moment, and for good if the process dies in between; default false: such a store is refused.
    pub replace_immutable: bool,
}

/// The defaults of a configuration that is read from a file, where no variable counts.
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
    /// Of the 256 KiB that Kubernetes allows; the rest is for ours and for those that others add.
    const MOST_ANNOTATION_BYTES: usize = 64 * 1_024;

    /// Returns the defaults with the namespace in `KUBERNETES_NAMESPACE` of this process's environment.
    ///
    /// An empty variable counts as not set. [`from_env_with`](Self::from_env_with) takes another
    /// source of variables.
    #[must_use]
    pub fn from_env() -> Self {
        Self::from_env_with(&ProcessEnv)
    }

    /// Returns [`from_env`](Self::from_env) for the variables of `env`, such as a
    /// [`MapEnv`](cred_provider_kit::MapEnv) in a test.
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

    /// The names of the secrets.
    pub(crate) fn names(&self) -> Result<Names, ConfigError> {
        Names::new(naming::KUBERNETES, "secret_prefix", self.secret_prefix.as_str())
    }

    /// The cluster and who asks it, as files and environment say.
    pub(crate) fn access(&self, env: &dyn Env) -> Result<Access, ConfigError> {
        Access::find(self.kubeconfig_path.as_deref(), self.context.as_deref(), env)
            .map_err(|problem| ConfigError::invalid(self.provider_name(), problem.field, problem.text))
    }

    /// All but where the cluster is.
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
        const LABELS: &str = "must have keys and values that Kubernetes takes as labels, of up to 63 characters, none of \
                              them beginning with this library's own `cred-rs.github.io/`, and at most 64";
        if self.default_labels.len() > Self::MOST_LABELS || !self.default_labels.iter().all(is_label) {
            return invalid("default_labels", LABELS);
        }
        const ANNOTATIONS: &str = "must have keys that Kubernetes takes for annotations, of up to 63 characters, none of \
                                   them beginning with this library's own `cred-rs.github.io/`, and at most 64 KiB";
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
    !marks::is_own(key) && tags::KUBERNETES.takes(key, value)
}

impl ProviderConfig for KubernetesSecretsConfig {
    /// Reads the kubeconfig if [`kubeconfig_path`](Self::kubeconfig_path) names one, and touches no
    /// network. Where none is named, the provider's constructor looks for the cluster: a configuration
    /// can be validated on another machine than the one that uses it.
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
