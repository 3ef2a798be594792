//! What can be chosen, and what is refused.

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

/// Which Vault keeps the credentials, where in it, and who asks.
///
/// ```
/// use cred_store_vault::{VaultAuthMethod, VaultConfig};
/// let config = VaultConfig::default()
///     .with_address("https://vault.example.com:8200")
///     .with_auth_method(VaultAuthMethod::app_role("payments", "secret-id".into()));
/// ```
///
/// `Default` reads the environment of the process: `VAULT_ADDR`, `VAULT_TOKEN` and
/// `VAULT_NAMESPACE`. So a default can hold a token and differ between two processes; set every
/// field that must not. A configuration that is read from a file takes none of them.
///
/// An error of serde about this configuration repeats nothing of what it found. The `toml` crate shows
/// the line of the file beside it: log the `message()` of its error.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct VaultConfig {
    /// The server, as `https://host:port`, without a path. Default `VAULT_ADDR`, or else
    /// `http://127.0.0.1:8200`. Plain http is for the host
    /// itself alone, unless [`allow_http`](Self::allow_http).
    pub address: String,
    /// How this process authenticates. Default: the token in `VAULT_TOKEN`, or else an empty one, which
    /// [`validate`](ProviderConfig::validate) refuses.
    pub auth_method: VaultAuthMethod,
    /// Where the KV version 2 engine is mounted, without a slash at either end; default `secret`.
    pub mount_path: String,
    /// Goes before every name: segments with `/` between, no slash before, no `:`, which only scopes have; default
    /// `nebula/credentials`. Empty: names begin at the mount's root. Two providers share credentials exactly if mount, namespace and this are equal.
    pub path_prefix: String,
    /// The namespace of Vault Enterprise or OpenBao, such as `org1/team-a`; default `VAULT_NAMESPACE`, or else none. Logins are made in it as well.
    pub namespace: Option<String>,
    /// The longest that one call to Vault takes, doubled for writes; 1 to 60 s, default 5 s. Written `"5s"` in files.
    pub timeout: Duration,
    /// The longest that one operation takes, all its calls, retries, waits and a login together; 1 s to 10 minutes, default
    /// 60 s.
    pub operation_timeout: Duration,
    /// How transient failures are tried again.
    pub retry_policy: RetryPolicy,
    /// Tokens of the [`RetryBudget`], which bounds the retries of all operations together while the
    /// backend fails: 10 to 1,000,000, default 500, which is 100 retries in a row. For no retries at
    /// all, set `max_retries` of the policy to 0.
    pub retry_budget: u32,
    /// Whether the server's certificate is checked; default true, and never false on https.
    pub tls_verify: bool,
    /// A PEM file of the authorities that may sign the server's certificate, instead of those that the system trusts;
    /// default none: the system's. Read once, by the constructor.
    pub ca_cert: Option<PathBuf>,
    /// Whether plain http may leave the host, as in a network that encrypts by itself; default false.
    pub allow_http: bool,
    /// How long before its end a token is renewed at the latest; 1 s to 768 h, default 1 h. Where a third of the lease that
    /// Vault really gave is shorter, that counts: tokens of seconds are renewed within seconds.
    pub token_renewal_threshold: Duration,
    /// What [`delete`](cred_core::StorageProvider::delete) leaves behind; default nothing.
    pub delete_mode: VaultDeleteMode,
    /// Whether a store also writes the metadata of the credential as the custom metadata of its secret, by
    /// one more call; default false. They replace the secret's custom metadata, those of other users
    /// included. A failure is logged and does not fail the store.
    pub custom_metadata: bool,
    /// Bytes of the longest value, as Vault's storage counts them: 4 KiB to 32 MiB. Default 1 MiB less 1 KiB, which fits
    /// the default of Vault's integrated storage.
    pub max_payload_len: usize,
}

/// Who asks Vault.
#[derive(Clone)]
#[non_exhaustive]
pub enum VaultAuthMethod {
    /// A token that somebody else got. It is renewed as long as Vault lets it be, and never revoked.
    Token {
        /// The token: visible ASCII, no line end.
        token: SecretString,
    },
    /// A login with AppRole, again whenever the token reaches its maximum age. A secret id that may be used once cannot log in
    /// again: give it as many uses as the process has logins, or none to count.
    AppRole {
        /// The role.
        role_id: String,
        /// Its secret; empty where the role needs none.
        secret_id: SecretString,
        /// Where the method is mounted, without `auth/`; default `approle`.
        mount_path: String,
    },
}

/// What a deletion leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum VaultDeleteMode {
    /// Nothing: all versions and the name go, for good. Lists trust that: a name whose versions were marked as deleted by others,
    /// or with [`Soft`](Self::Soft) before, is in them though nothing can be read there.
    #[default]
    Metadata,
    /// The versions, marked as deleted: they can be [recovered](cred_core::SoftDelete) until they are purged. The name stays
    /// in Vault's own lists, so that a list here asks for each name.
    Soft,
}

fn approle() -> String {
    "approle".to_owned()
}

impl VaultAuthMethod {
    /// [`VaultAuthMethod::Token`].
    #[must_use]
    pub const fn token(token: SecretString) -> Self {
        Self::Token { token }
    }

    /// [`VaultAuthMethod::AppRole`] at its usual mount.
    #[must_use]
    pub fn app_role(role_id: impl Into<String>, secret_id: SecretString) -> Self {
        Self::AppRole { role_id: role_id.into(), secret_id, mount_path: approle() }
    }
}

impl fmt::Debug for VaultAuthMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token { .. } => f.debug_struct("Token").finish_non_exhaustive(),
            // The role is half of the login.
            Self::AppRole { mount_path, .. } => {
                f.debug_struct("AppRole").field("mount_path", mount_path).finish_non_exhaustive()
            }
        }
    }
}

/// The defaults of a configuration that is read from a file, where no variable counts.
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

    /// The default of a process with these variables.
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

    /// The names of the secrets.
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
                Err(("auth_method.token", "is empty; give a token, or log in with AppRole"))
            }
            VaultAuthMethod::Token { token } if !is_header(token.expose_secret()) => Err((
                "auth_method.token",
                "has a space, a line end or another character that no token has; does it come from a file with a \
                 line end?",
            )),
            VaultAuthMethod::AppRole { role_id, .. } if role_id.is_empty() => {
                Err(("auth_method.role_id", "is empty; give the role's id"))
            }
            VaultAuthMethod::AppRole { mount_path, .. } if !is_path(mount_path) => {
                Err(("auth_method.mount_path", PATH))
            }
            _ => Ok(()),
        }
    }
}

const PATH: &str = "must be segments of A-Z a-z 0-9 _ - . : joined by `/`, with none at either end, and none of them `.` or `..`";

/// Segments that no client resolves away, and that need no escapes in a URL.
fn is_path(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte);
    text.split('/').all(|part| !matches!(part, "" | "." | "..") && part.bytes().all(allowed))
}

/// What the SDK can put into a header without a panic.
fn is_header(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

impl ProviderConfig for VaultConfig {
    /// Reads the file of [`ca_cert`](Self::ca_cert) where one is given, and touches no network.
    fn validate(&self) -> Result<(), ConfigError> {
        let invalid = |field, problem| Err(ConfigError::invalid(self.provider_name(), field, problem));
        let secure = match client::check_address(&self.address) {
            Ok(address) if address.plain && !address.loopback && !self.allow_http => {
                return invalid(
                    "address",
                    "would send the token in the clear to another host; use https, or set `allow_http`",
                );
            }
            Ok(address) => !address.plain,
            Err(problem) => return invalid("address", problem),
        };
        if secure && !self.tls_verify {
            return invalid(
                "tls_verify",
                "is false, so anybody could answer as Vault and take the token; give the server's authority as \
                 `ca_cert` instead",
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
                "must be 1 s to 768 h, the longest that Vault gives a token",
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
