//! The configuration and its validation.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use cred_core::{ConfigError, Consistency, Limits, ProviderConfig, RetryPolicy, Tags};
use cred_provider_kit::config::{check_deadlines, check_retry_budget};
use cred_provider_kit::naming::{self, Names};
use cred_provider_kit::{Env, ProcessEnv, RetryBudget, setters, tags};
use serde::{Deserialize, Deserializer};

use crate::client;

/// The Secrets Manager that stores the credentials, their names, and how they are deleted.
///
/// The identity is not part of it: AWS's own credential chain finds it at the first use, as the
/// crate's documentation describes.
///
/// ```
/// use cred_store_aws::AwsSecretsManagerConfig;
/// let config = AwsSecretsManagerConfig::default()
///     .with_region("eu-central-1")
///     .with_secret_prefix("payments/credentials/");
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct AwsSecretsManagerConfig {
    /// The region, such as `eu-central-1`. Default none: the region of the environment, the profile
    /// or the instance, in this order, looked up at the first use.
    pub region: Option<String>,
    /// The profile of AWS's shared files whose settings and credentials are used. Default none:
    /// `AWS_PROFILE`, or else `default`.
    pub profile: Option<String>,
    /// The address of the service, such as `https://host:port`: a VPC endpoint, or a test double.
    /// Default none: the region's own endpoint, unless `AWS_ENDPOINT_URL` or the profile name
    /// another.
    pub endpoint_url: Option<String>,
    /// Whether an [`endpoint_url`](Self::endpoint_url) of another host may be plain http, which
    /// sends session tokens unencrypted; default false.
    pub allow_http: bool,
    /// The prefix of every secret name: at most 458 bytes of `A-Z a-z 0-9 / _ + . @ -`, with the
    /// slash that is added if it has none at its end; default `nebula/credentials/`. If it is
    /// empty, names have no prefix. Two providers share credentials exactly if account, region and
    /// prefix are equal.
    pub secret_prefix: String,
    /// The timeout of one call, doubled for writes: 1 to 60 s, default 5 s. Written `"5s"` in
    /// files.
    #[serde(with = "cred_provider_kit::duration")]
    pub timeout: Duration,
    /// The timeout of one operation with all its calls, retries and waits: 1 s to 10 minutes,
    /// default 60 s.
    #[serde(with = "cred_provider_kit::duration")]
    pub operation_timeout: Duration,
    /// How transient failures are retried. The SDK's own retries are off.
    pub retry_policy: RetryPolicy,
    /// Tokens of the [`RetryBudget`], which bounds the retries of all operations together while the
    /// backend fails: 10 to 1,000,000, default 500, which is 100 retries in a row. For no retries
    /// at all, set `max_retries` of the policy to 0.
    pub retry_budget: u32,
    /// The KMS key that AWS encrypts the secrets with: its ARN, or `alias/name`. Default none:
    /// AWS's own `aws/secretsmanager` for new secrets; existing ones keep their key.
    pub kms_key_id: Option<String>,
    /// Tags on every secret, in addition to those of the credential; default none. Together they
    /// are at most 50, and a credential that has one of these keys itself is refused.
    pub default_tags: BTreeMap<String, String>,
    /// Whether a store over an existing secret updates its tags; default true. New and changed tags
    /// are set, and tags that the stored credential has and the new one lacks are removed; tags of
    /// other users stay. This costs one more call for each store, and up to three more if tags
    /// differ. If false, tags are set when a secret is created, and never changed. Filters do not
    /// depend on it.
    pub update_tags: bool,
    /// The number of days for which a deleted credential can be [recovered](cred_core::SoftDelete):
    /// 7 to 30, default 30. `None`, in files `0`: deletions are permanent.
    #[serde(deserialize_with = "days_or_none")]
    pub recovery_window_days: Option<u8>,
    /// The behavior of a store if a secret that is scheduled for deletion still has the name.
    /// Default: restore it and write a new version.
    pub over_deleted: AwsOverDeleted,
    /// The longest time for which a read can miss a completed write: up to 1 h, default 5 minutes,
    /// the only figure that AWS names. Re-keying by a manager waits for it, and a rotation within
    /// this time after a write is `Busy`. If it and [`list_lag`](Self::list_lag) are zero, the
    /// backend counts as strongly consistent, as test doubles of AWS are.
    #[serde(with = "cred_provider_kit::duration")]
    pub read_lag: Duration,
    /// The longest time for which a list can miss a completed write: up to 1 h, default 5 minutes,
    /// from [AWS's
    /// documentation](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_ListSecrets.html).
    #[serde(with = "cred_provider_kit::duration")]
    pub list_lag: Duration,
}

/// The behavior of a store if a secret that is scheduled for deletion still has the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AwsOverDeleted {
    /// Restores the secret and writes a new version. The old value can be read for a moment. If the
    /// write fails, the secret is deleted again, and the error is
    /// [`RecoveredNotWritten`](cred_core::StorageErrorKind::RecoveredNotWritten). It stays, and the
    /// error is [`InDoubt`](cred_core::StorageErrorKind::InDoubt), if the outcome of the write is
    /// unknown or another client has written the secret meanwhile.
    #[default]
    Recover,
    /// Refuses the store with [`InvalidRequest`](cred_core::StorageErrorKind::InvalidRequest).
    Refuse,
}

/// Reads a number of days, with 0 as `None`: TOML has no `null`.
fn days_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u8>, D::Error> {
    Ok(Option::deserialize(deserializer)?.filter(|days| *days != 0))
}

impl Default for AwsSecretsManagerConfig {
    fn default() -> Self {
        const DOCUMENTED_LAG: Duration = Duration::from_secs(300);
        Self {
            region: None,
            profile: None,
            endpoint_url: None,
            allow_http: false,
            secret_prefix: "nebula/credentials/".to_owned(),
            timeout: Duration::from_secs(5),
            operation_timeout: Duration::from_secs(60),
            retry_policy: RetryPolicy::default(),
            retry_budget: RetryBudget::CAPACITY,
            kms_key_id: None,
            default_tags: BTreeMap::new(),
            update_tags: true,
            recovery_window_days: Some(30),
            over_deleted: AwsOverDeleted::Recover,
            read_lag: DOCUMENTED_LAG,
            list_lag: DOCUMENTED_LAG,
        }
    }
}

impl AwsSecretsManagerConfig {
    /// The largest value in bytes
    /// ([quotas](https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html)).
    const MAX_PAYLOAD_LEN: usize = 65_536;
    /// Bytes of the largest value that is recommended, by the specification's table of size limits.
    const RECOMMENDED_PAYLOAD_LEN: usize = 32 * 1_024;

    /// Returns the defaults with the settings of this process's environment: `AWS_REGION` (or else
    /// `AWS_DEFAULT_REGION`), `AWS_PROFILE`, and `AWS_ENDPOINT_URL_SECRETS_MANAGER` (or else
    /// `AWS_ENDPOINT_URL`). AWS's own chain finds the rest at the first use.
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
        Self {
            region: env.get("AWS_REGION").or_else(|| env.get("AWS_DEFAULT_REGION")),
            profile: env.get("AWS_PROFILE"),
            endpoint_url: env.get("AWS_ENDPOINT_URL_SECRETS_MANAGER").or_else(|| env.get("AWS_ENDPOINT_URL")),
            ..Self::default()
        }
    }

    setters! {
        some with_region(region: String);
        some with_profile(profile: String);
        some with_endpoint_url(endpoint_url: String);
        const with_allow_http(allow_http: bool);
        into with_secret_prefix(secret_prefix: String);
        const with_timeout(timeout: Duration);
        const with_operation_timeout(operation_timeout: Duration);
        with_retry_policy(retry_policy: RetryPolicy);
        const with_retry_budget(retry_budget: u32);
        some with_kms_key_id(kms_key_id: String);
        map with_default_tags(default_tags: BTreeMap<String, String>);
        const with_update_tags(update_tags: bool);
        into with_recovery_window_days(recovery_window_days: Option<u8>);
        const with_over_deleted(over_deleted: AwsOverDeleted);
        const with_read_lag(read_lag: Duration);
        const with_list_lag(list_lag: Duration);
    }

    /// The names of the secrets.
    pub(crate) fn names(&self) -> Result<Names, ConfigError> {
        let mut prefix = self.secret_prefix.clone();
        if !prefix.is_empty() && !prefix.ends_with('/') {
            prefix.push('/');
        }
        Names::new(naming::AWS, "secret_prefix", prefix)
    }

    pub(crate) fn consistency(&self) -> Consistency {
        match (self.read_lag, self.list_lag) {
            (Duration::ZERO, Duration::ZERO) => Consistency::Strong,
            (point, list) => Consistency::Eventual { point, list },
        }
    }

    pub(crate) fn limits(&self) -> Limits {
        let limits = Limits::none()
            .with_max_payload_len(Self::MAX_PAYLOAD_LEN)
            .with_recommended_payload_len(Self::RECOMMENDED_PAYLOAD_LEN);
        tags::AWS.bound(limits, self.default_tags.len())
    }

    fn check_tags(&self) -> Result<(), String> {
        let all = Tags::try_from(self.default_tags.clone())
            .map_err(|error| format!("has a tag that AWS does not accept: {error}"))?;
        match tags::AWS.project(&all, &BTreeMap::new()) {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("has a tag that AWS does not accept: {error}")),
        }
    }
}

/// Whether it is a region like `eu-central-1` or `us-gov-west-1`: words, and a number at the end.
fn is_region(text: &str) -> bool {
    let word = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
    let number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    match text.rsplit_once('-') {
        Some((words, last)) => number(last) && words.contains('-') && words.split('-').all(word),
        None => false,
    }
}

/// Whether it is `alias/name`, or the ARN of a key or an alias.
fn is_kms_key(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/_-".contains(&byte);
    let named = |text: &str, kind| {
        text.strip_prefix(kind).is_some_and(|name| !name.is_empty() && name.bytes().all(allowed))
    };
    match text.splitn(6, ':').collect::<Vec<_>>().as_slice() {
        ["arn", partition, "kms", region, account, resource] => {
            partition.starts_with("aws")
                && is_region(region)
                && account.len() == 12
                && account.bytes().all(|byte| byte.is_ascii_digit())
                && (named(resource, "key/") || named(resource, "alias/"))
        }
        [alias] => named(alias, "alias/"),
        _ => false,
    }
}

impl ProviderConfig for AwsSecretsManagerConfig {
    fn validate(&self) -> Result<(), ConfigError> {
        const HOUR: Duration = Duration::from_secs(3_600);
        let invalid =
            |field, problem: &'static str| Err(ConfigError::invalid(self.provider_name(), field, problem));
        if self.region.as_deref().is_some_and(|region| !is_region(region)) {
            return invalid("region", "is not a region of AWS; write it like `eu-central-1`");
        }
        if self.profile.as_deref().is_some_and(str::is_empty) {
            return invalid("profile", "is empty; set it to a profile, or leave it out");
        }
        if let Some(endpoint_url) = &self.endpoint_url {
            match client::check_endpoint(endpoint_url) {
                Ok(endpoint) if endpoint.plain && !endpoint.loopback && !self.allow_http => {
                    return invalid(
                        "endpoint_url",
                        "would send session tokens unencrypted to another host; use https, or set `allow_http`",
                    );
                }
                Ok(_) => {}
                Err(problem) => return invalid("endpoint_url", problem),
            }
        }
        self.names()?;
        check_deadlines(self.provider_name(), self.timeout, self.operation_timeout)?;
        check_retry_budget(self.provider_name(), self.retry_budget)?;
        if self.kms_key_id.as_deref().is_some_and(|key| !is_kms_key(key)) {
            return invalid(
                "kms_key_id",
                "is not the ARN of a key or an alias, and not an alias; write it like `alias/credentials`",
            );
        }
        if let Err(problem) = self.check_tags() {
            return Err(ConfigError::invalid(self.provider_name(), "default_tags", problem));
        }
        if self.recovery_window_days.is_some_and(|days| !(7..=30).contains(&days)) {
            return invalid(
                "recovery_window_days",
                "must be 7 to 30; to delete permanently, use 0 in a file and `None` in code",
            );
        }
        if self.read_lag > HOUR {
            return invalid("read_lag", "must be at most 1 h");
        }
        if self.list_lag > HOUR {
            return invalid("list_lag", "must be at most 1 h");
        }
        self.retry_policy.validate()
    }

    fn provider_name(&self) -> &'static str {
        "aws"
    }
}
