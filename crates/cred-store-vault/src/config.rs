//! The configuration and its validation.

mod reading;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use cred_core::{ConfigError, ExposeSecret, ProviderConfig, RetryPolicy, SecretString};
use cred_provider_kit::config::{check_deadlines, check_retry_budget};
use cred_provider_kit::naming::{self, Names};
use cred_provider_kit::{Env, MapEnv, ProcessEnv, RetryBudget, setters};
use serde::Deserialize;

use crate::client;

/// The Vault server that stores the credentials, their location in it, and the login.
///
/// ```
/// use cred_store_vault::{VaultAuthMethod, VaultConfig};
/// let config = VaultConfig::default()
///     .with_address("https://vault.example.com:8200")
///     .with_auth_method(VaultAuthMethod::app_role("payments", "secret-id".into()));
/// ```
///
/// `Default` reads the environment of the process: `VAULT_ADDR`, `VAULT_TOKEN` and
/// `VAULT_NAMESPACE`. So a default can contain a token and differ between two processes; set every
/// field that must not. A configuration that is read from a file ignores these variables.
///
/// A serde error about this configuration does not quote the input. The `toml` crate adds the line
/// of the file to it, so log only the `message()` of its error.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct VaultConfig {
    /// The address of the server, `https://host:port` without a path. Default `VAULT_ADDR`, or else
    /// `http://127.0.0.1:8200`. Plain http is accepted for the loopback address and `localhost`;
    /// for another host only with [`allow_http`](Self::allow_http).
    pub address: String,
    /// How this process authenticates. Default: the token in `VAULT_TOKEN`, or else an empty one,
    /// which [`validate`](ProviderConfig::validate) refuses.
    pub auth_method: VaultAuthMethod,
    /// The mount of the KV version 2 engine: segments of `A-Z a-z 0-9 _ - . :` joined by `/`,
    /// without a slash at either end. Default `secret`.
    pub mount_path: String,
    /// The prefix of every secret path: segments of `A-Z a-z 0-9 _ - .` joined by `/`, without a
    /// slash at the beginning and without `:`, which only scopes have. Default
    /// `nebula/credentials`. If it is empty, paths begin at the root of the mount. Two providers
    /// share credentials if and only if address, namespace, mount and prefix are equal.
    pub path_prefix: String,
    /// The namespace of Vault Enterprise or OpenBao, such as `org1/team-a`, also for logins;
    /// default `VAULT_NAMESPACE`, or else no namespace.
    pub namespace: Option<String>,
    /// The timeout of one call, doubled for writes: 1 to 60 s, default 5 s. Written `"5s"` in
    /// files.
    pub timeout: Duration,
    /// The timeout of one operation with all its calls, retries, waits and a login: 1 s to 10
    /// minutes, default 60 s.
    pub operation_timeout: Duration,
    /// How transient failures are retried.
    pub retry_policy: RetryPolicy,
    /// Tokens of the [`RetryBudget`], which bounds the retries of all operations together while the
    /// backend fails: 10 to 1,000,000, default 500, which is 100 retries in a row. For no retries
    /// at all, set `max_retries` of the policy to 0.
    pub retry_budget: u32,
    /// Whether the server's certificate is verified; default true. With an https
    /// [`address`](Self::address), [`validate`](ProviderConfig::validate) refuses false: for a
    /// private authority, set [`ca_cert`](Self::ca_cert). With plain http it has no effect, since
    /// the server has no certificate.
    pub tls_verify: bool,
    /// A PEM file of the authorities that may sign the server's certificate, in place of those that
    /// the system trusts. Default `None`: the authorities of the system. Read once, by the
    /// constructor. With plain http it is read and validated, but not used.
    pub ca_cert: Option<PathBuf>,
    /// Whether tokens and sealed credentials may be sent to another host over plain http, as in a
    /// network with its own encryption; default false.
    pub allow_http: bool,
    /// How long before its expiry a token is renewed at the latest: 1 s to 768 h, which is Vault's
    /// default for the longest lease. Default 1 h. If a third of the lease that Vault granted is
    /// shorter, that third is used, so short leases are renewed in time too.
    pub token_renewal_threshold: Duration,
    /// The effect of [`delete`](cred_core::StorageProvider::delete) in Vault. Default
    /// [`Metadata`](VaultDeleteMode::Metadata): everything is removed.
    pub delete_mode: VaultDeleteMode,
    /// Whether a store also writes the metadata of the credential as the custom metadata of its
    /// secret, with one more request; default false. This replaces all custom metadata of the
    /// secret, including that of other users. A failure is logged and does not fail the store.
    pub custom_metadata: bool,
    /// The largest value in bytes, as Vault's storage counts them: 4 KiB to 32 MiB. Default 1 MiB
    /// less 1 KiB, which fits the default of Vault's integrated storage.
    pub max_payload_len: usize,
}

/// How a process authenticates to Vault.
#[derive(Clone)]
#[non_exhaustive]
pub enum VaultAuthMethod {
    /// An existing token. The provider renews it for as long as Vault allows, and never revokes it.
    Token {
        /// The token: visible ASCII, without a line end.
        token: SecretString,
    },
    /// A login with AppRole, repeated when the token reaches its maximum age. A secret id with one
    /// use cannot log in again: set its `secret_id_num_uses` to the number of logins of the
    /// process, or to 0 for no limit.
    AppRole {
        /// The role id.
        role_id: String,
        /// The secret id; empty if the role needs none.
        secret_id: SecretString,
        /// The mount of the auth method, without `auth/`; default `approle`.
        mount_path: String,
    },
}

/// The effect of a deletion in Vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum VaultDeleteMode {
    /// Removes the name and all versions permanently. Lists rely on this: they still include a name
    /// whose latest version was marked as deleted by another program or by an earlier
    /// [`Soft`](Self::Soft), although its credential cannot be read.
    #[default]
    Metadata,
    /// Marks the latest version as deleted. It can be [recovered](cred_core::SoftDelete) until it
    /// is purged. The name stays in Vault's own lists, so a list of the provider looks up each
    /// name.
    Soft,
}

fn approle() -> String {
    "approle".to_owned()
}

impl VaultAuthMethod {
    /// Returns a [`VaultAuthMethod::Token`].
    #[must_use]
    pub const fn token(token: SecretString) -> Self {
        Self::Token { token }
    }

    /// Returns a [`VaultAuthMethod::AppRole`] at the mount `approle`.
    #[must_use]
    pub fn app_role(role_id: impl Into<String>, secret_id: SecretString) -> Self {
        Self::AppRole { role_id: role_id.into(), secret_id, mount_path: approle() }
    }
}

impl fmt::Debug for VaultAuthMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token { .. } => f.debug_struct("Token").finish_non_exhaustive(),
            // The role id is half of the login.
            Self::AppRole { mount_path, .. } => {
                f.debug_struct("AppRole").field("mount_path", mount_path).finish_non_exhaustive()
            }
        }
    }
}

/// The defaults of a configuration that is read from a file. Reads no environment variable.
fn defaults() -> VaultConfig {
    VaultConfig::default_in(&MapEnv::default())
}

impl Default for VaultConfig {
    fn default() -> Self {
        Self::default_in(&ProcessEnv)
    }
}

impl VaultConfig {
    const PAYLOAD_LEN: std::ops::RangeInclusive<usize> = 4 * 1_024..=32 * 1_024 * 1_024;

    /// Returns the defaults of a process with these variables.
    fn default_in(env: &dyn Env) -> Self {
        Self {
            address: env.get("VAULT_ADDR").unwrap_or_else(|| "http://127.0.0.1:8200".to_owned()),
            auth_method: VaultAuthMethod::token(env.secret("VAULT_TOKEN").unwrap_or_else(|| "".into())),
            mount_path: "secret".to_owned(),
            path_prefix: "nebula/credentials".to_owned(),
            namespace: env.get("VAULT_NAMESPACE"),
            timeout: Duration::from_secs(5),
            operation_timeout: Duration::from_secs(60),
            retry_policy: RetryPolicy::default(),
            retry_budget: RetryBudget::CAPACITY,
            tls_verify: true,
            ca_cert: None,
            allow_http: false,
            token_renewal_threshold: Duration::from_secs(3_600),
            delete_mode: VaultDeleteMode::Metadata,
            custom_metadata: false,
            max_payload_len: 1_024 * 1_024 - 1_024,
        }
    }

    /// Returns the defaults with the settings of this process's environment: `VAULT_ADDR`,
    /// `VAULT_TOKEN`, `VAULT_NAMESPACE` and `VAULT_CACERT`. `VAULT_SKIP_VERIFY` is not read.
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
    /// use cred_store_vault::VaultConfig;
    ///
    /// let env = MapEnv::from([("VAULT_ADDR", "https://vault.example.com:8200")]);
    /// assert_eq!(VaultConfig::from_env_with(&env).address, "https://vault.example.com:8200");
    /// ```
    #[must_use]
    pub fn from_env_with(env: &dyn Env) -> Self {
        Self { ca_cert: env.get("VAULT_CACERT").map(PathBuf::from), ..Self::default_in(env) }
    }

    setters! {
        into with_address(address: String);
        with_auth_method(auth_method: VaultAuthMethod);
        into with_mount_path(mount_path: String);
        into with_path_prefix(path_prefix: String);
        some with_namespace(namespace: String);
        const with_timeout(timeout: Duration);
        const with_operation_timeout(operation_timeout: Duration);
        with_retry_policy(retry_policy: RetryPolicy);
        const with_retry_budget(retry_budget: u32);
        const with_tls_verify(tls_verify: bool);
        some with_ca_cert(ca_cert: PathBuf);
        const with_allow_http(allow_http: bool);
        const with_token_renewal_threshold(token_renewal_threshold: Duration);
        const with_delete_mode(delete_mode: VaultDeleteMode);
        const with_custom_metadata(custom_metadata: bool);
        const with_max_payload_len(max_payload_len: usize);
    }

    /// Returns the encoder of secret names.
    pub(crate) fn names(&self) -> Result<Names, ConfigError> {
        let mut prefix = self.path_prefix.clone();
        if !prefix.is_empty() && !prefix.ends_with('/') {
            prefix.push('/');
        }
        Names::new(naming::VAULT, "path_prefix", prefix)
    }

    fn check_auth(&self) -> Result<(), (&'static str, &'static str)> {
        match &self.auth_method {
            VaultAuthMethod::Token { token } if token.expose_secret().is_empty() => {
                Err(("auth_method.token", "is empty; set a token, or log in with AppRole"))
            }
            VaultAuthMethod::Token { token } if !is_header(token.expose_secret()) => Err((
                "auth_method.token",
                "contains a space, a line end or another character that tokens do not have; remove it (a token that was \
                 read from a file often ends with a line end)",
            )),
            VaultAuthMethod::AppRole { role_id, .. } if role_id.is_empty() => {
                Err(("auth_method.role_id", "is empty; set it to the id of the role"))
            }
            VaultAuthMethod::AppRole { mount_path, .. } if !is_path(mount_path) => {
                Err(("auth_method.mount_path", PATH))
            }
            _ => Ok(()),
        }
    }
}

const PATH: &str = "must be segments of A-Z a-z 0-9 _ - . : joined by `/`, without a slash at either end, and without \
                    the segments `.` and `..`";

/// Whether the text has only segments that no HTTP client resolves, and that need no escapes in a
/// URL.
fn is_path(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte);
    text.split('/').all(|part| !matches!(part, "" | "." | "..") && part.bytes().all(allowed))
}

/// Whether a token can be sent in a header.
fn is_header(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

impl ProviderConfig for VaultConfig {
    /// Reads the file of [`ca_cert`](Self::ca_cert) if it is set, and does not use the network.
    fn validate(&self) -> Result<(), ConfigError> {
        let invalid = |field, problem| Err(ConfigError::invalid(self.provider_name(), field, problem));
        let secure = match client::check_address(&self.address) {
            Ok(address) if address.plain && !address.loopback && !self.allow_http => {
                return invalid(
                    "address",
                    "would send the token unencrypted to another host; use https, or set `allow_http`",
                );
            }
            Ok(address) => !address.plain,
            Err(problem) => return invalid("address", problem),
        };
        if secure && !self.tls_verify {
            return invalid(
                "tls_verify",
                "is false with https, so any server could pose as Vault and receive the token; set it to true, and for \
                 a private authority set `ca_cert`",
            );
        }
        if let Err((field, problem)) = self.check_auth() {
            return invalid(field, problem);
        }
        if !is_path(&self.mount_path) {
            return invalid("mount_path", PATH);
        }
        if self.namespace.as_deref().is_some_and(|namespace| !is_path(namespace.trim_end_matches('/'))) {
            return invalid("namespace", PATH);
        }
        self.names()?;
        check_deadlines(self.provider_name(), self.timeout, self.operation_timeout)?;
        check_retry_budget(self.provider_name(), self.retry_budget)?;
        let seconds = Duration::from_secs;
        if !(seconds(1)..=seconds(768 * 3_600)).contains(&self.token_renewal_threshold) {
            return invalid(
                "token_renewal_threshold",
                "must be 1 s to 768 h, Vault's default for the longest lease",
            );
        }
        if !Self::PAYLOAD_LEN.contains(&self.max_payload_len) {
            return invalid("max_payload_len", "must be 4 KiB to 32 MiB, in bytes");
        }
        if let Err(problem) = client::check_authorities(self.ca_cert.as_deref()) {
            return invalid("ca_cert", problem);
        }
        self.retry_policy.validate()
    }

    fn provider_name(&self) -> &'static str {
        "vault"
    }
}
