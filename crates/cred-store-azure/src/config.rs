//! The configuration and its validation.

mod reading;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use cred_core::{ConfigError, ExposeSecret, ProviderConfig, RetryPolicy, SecretString, Tags};
use cred_provider_kit::config::{check_deadlines, check_retry_budget};
use cred_provider_kit::naming::{self, Names};
use cred_provider_kit::{Env, MapEnv, ProcessEnv, RetryBudget, setters};
use serde::Deserialize;
use subtle::ConstantTimeEq;

use crate::client;
use crate::provider::PATH_TAG;

/// The vault that stores the credentials, their names, and the identity that accesses them.
///
/// ```
/// use cred_store_azure::{AzureCredentialType, AzureKeyVaultConfig};
/// let config = AzureKeyVaultConfig::default()
///     .with_vault_url("https://my-vault.vault.azure.net/")
///     .with_credential_type(AzureCredentialType::ManagedIdentity { client_id: None });
/// ```
///
/// `Default` reads `AZURE_KEYVAULT_URL` from the environment of the process, so a default can
/// differ between two processes; set [`vault_url`](Self::vault_url) if it must not. A configuration
/// that is read from a file does not use the variable.
///
/// The recovery period of deleted credentials is not a setting here: it is the vault's property
/// `softDeleteRetentionInDays`, 7 to 90 days, set when the vault is created (90 by default) and
/// [fixed after that](https://learn.microsoft.com/azure/key-vault/general/soft-delete-overview).
///
/// If parsing fails, the error of serde does not quote the input. The `toml` crate adds the line of
/// the file to its error: log only the `message()` of that error.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AzureKeyVaultConfig {
    /// The address of the vault, such as `https://my-vault.vault.azure.net/`, without a path. The
    /// host is one label below `vault.azure.net`, `vault.azure.cn`, `vault.usgovcloudapi.net` or
    /// `vault.microsoftazure.de`, or it is [`allowed_host`](Self::allowed_host). Default
    /// `AZURE_KEYVAULT_URL`, or else `https://example.vault.azure.net/`, a placeholder that
    /// [`validate`](ProviderConfig::validate) refuses.
    pub vault_url: String,
    /// The identity of this process. Default: the system-assigned managed identity.
    pub credential_type: AzureCredentialType,
    /// The timeout of one request, including the wait for a token; doubled for writes: 1 to 60 s,
    /// default 5 s. Written `"5s"` in files.
    pub timeout: Duration,
    /// The timeout of one operation with all its requests, retries, waits and logins: 1 s to 10
    /// minutes, default 60 s. A store over a deleted name waits for deletions and recoveries, which
    /// take some seconds each.
    pub operation_timeout: Duration,
    /// How transient failures are retried. The SDK's own retries are off.
    pub retry_policy: RetryPolicy,
    /// Tokens of the [`RetryBudget`], which bounds the retries of all operations together while the
    /// backend fails: 10 to 1,000,000, default 500, which is 100 retries in a row. For no retries
    /// at all, set `max_retries` of the policy to 0.
    pub retry_budget: u32,
    /// The prefix of every secret name: at most 73 of `A-Z a-z 0-9 -`, compared without case;
    /// default `nebula-credentials-`. Two providers with the same vault and prefix share
    /// credentials.
    ///
    /// Within one vault, no prefix may begin with another one, as `app-prod-` begins with `app-`:
    /// some names of the longer prefix are also names of the shorter one, whose provider then
    /// lists, overwrites and deletes them. An empty prefix is allowed; every secret of the vault
    /// then counts as a possible credential.
    pub secret_prefix: String,
    /// Tags on every secret, in addition to those of its credential: at most 11, default none.
    /// Any principal with the right to list can read them.
    pub default_tags: BTreeMap<String, String>,
    /// How a store handles a deleted secret that still has the name. Default: recover it and write
    /// a new version.
    pub over_deleted: AzureOverDeleted,
    /// A host that `vault_url` may name in addition to the hosts of Azure: a private name, or an
    /// emulator. Default none. Tokens for Azure Key Vault are sent to it.
    pub allowed_host: Option<String>,
    /// The authority that issues tokens, such as `https://login.microsoftonline.com`. Default none:
    /// the authority of the cloud that the vault's host belongs to. Used only with
    /// [`ServicePrincipal`](AzureCredentialType::ServicePrincipal).
    pub authority_host: Option<String>,
    /// A PEM file of certificate authorities. For the vault they replace the authorities that the
    /// system trusts; for token endpoints they are added to those. Default none. Read once, by the
    /// constructor.
    pub ca_cert: Option<PathBuf>,
}

/// The identity of this process. Two are equal if their fields are; secrets are compared in
/// constant time.
#[derive(Clone)]
#[non_exhaustive]
pub enum AzureCredentialType {
    /// The managed identity of the virtual machine, container or App Service that the process runs
    /// in.
    ManagedIdentity {
        /// The client id of a user-assigned identity, a GUID; `None`: the system-assigned one.
        client_id: Option<String>,
    },
    /// An application with a client secret.
    ServicePrincipal {
        /// The tenant, a GUID.
        tenant_id: String,
        /// The application, a GUID.
        client_id: String,
        /// The value of the client secret, not its id.
        client_secret: SecretString,
    },
    /// The login of `az` or `azd`. For developers' machines: each token starts a program.
    DeveloperTools,
}

/// How a store handles a deleted secret that still has the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AzureOverDeleted {
    /// Recovers the secret and writes a new version. The old value can be read for a moment. If the
    /// write then fails, the secret is deleted again, and the error is
    /// [`RecoveredNotWritten`](cred_core::StorageErrorKind::RecoveredNotWritten). Needs the right
    /// to recover and, after a failed write, the rights to get and to delete.
    #[default]
    Recover,
    /// Purges the secret with all its versions, and writes. Needs the right to purge, and a vault
    /// without purge protection.
    Purge,
    /// Refuses the store with [`InvalidRequest`](cred_core::StorageErrorKind::InvalidRequest).
    Refuse,
}

impl AzureCredentialType {
    /// Returns an [`AzureCredentialType::ServicePrincipal`].
    #[must_use]
    pub fn service_principal(
        tenant_id: impl Into<String>,
        client_id: impl Into<String>,
        client_secret: SecretString,
    ) -> Self {
        Self::ServicePrincipal { tenant_id: tenant_id.into(), client_id: client_id.into(), client_secret }
    }
}

impl PartialEq for AzureCredentialType {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::ManagedIdentity { client_id: one }, Self::ManagedIdentity { client_id: other }) => {
                one == other
            }
            (
                Self::ServicePrincipal { tenant_id, client_id, client_secret },
                Self::ServicePrincipal { tenant_id: tenant, client_id: client, client_secret: secret },
            ) => {
                let (one, other) = (client_secret.expose_secret(), secret.expose_secret());
                let same = bool::from(one.as_bytes().ct_eq(other.as_bytes()));
                tenant_id == tenant && client_id == client && same
            }
            (Self::DeveloperTools, Self::DeveloperTools) => true,
            _ => false,
        }
    }
}

impl Eq for AzureCredentialType {}

impl fmt::Debug for AzureCredentialType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ManagedIdentity { client_id } => {
                f.debug_struct("ManagedIdentity").field("client_id", client_id).finish()
            }
            Self::ServicePrincipal { tenant_id, client_id, .. } => f
                .debug_struct("ServicePrincipal")
                .field("tenant_id", tenant_id)
                .field("client_id", client_id)
                .finish_non_exhaustive(),
            Self::DeveloperTools => f.write_str("DeveloperTools"),
        }
    }
}

/// The default address, a placeholder that must be replaced.
const PLACEHOLDER: &str = "https://example.vault.azure.net/";
const PLACEHOLDER_HOST: &str = "example.vault.azure.net";

/// Returns the defaults of a configuration that is read from a file, which ignore the environment.
fn defaults() -> AzureKeyVaultConfig {
    AzureKeyVaultConfig::default_in(&MapEnv::default())
}

impl Default for AzureKeyVaultConfig {
    fn default() -> Self {
        Self::default_in(&ProcessEnv)
    }
}

impl AzureKeyVaultConfig {
    /// Azure allows 15 tags. Three are reserved for the path of a hashed name, and one for the
    /// credential.
    const MAX_DEFAULT_TAGS: usize = 11;

    /// Returns the default for these environment variables.
    fn default_in(env: &dyn Env) -> Self {
        Self {
            vault_url: env.get("AZURE_KEYVAULT_URL").unwrap_or_else(|| PLACEHOLDER.to_owned()),
            credential_type: AzureCredentialType::ManagedIdentity { client_id: None },
            timeout: Duration::from_secs(5),
            operation_timeout: Duration::from_secs(60),
            retry_policy: RetryPolicy::default(),
            retry_budget: RetryBudget::CAPACITY,
            secret_prefix: "nebula-credentials-".to_owned(),
            default_tags: BTreeMap::new(),
            over_deleted: AzureOverDeleted::Recover,
            allowed_host: None,
            authority_host: None,
            ca_cert: None,
        }
    }

    /// Returns the defaults with the settings of the environment: `AZURE_KEYVAULT_URL`,
    /// `AZURE_AUTHORITY_HOST`, and the identity.
    ///
    /// `AZURE_TENANT_ID`, `AZURE_CLIENT_ID` and `AZURE_CLIENT_SECRET` together are a service
    /// principal. Unless all three are set, the identity is a managed one, and `AZURE_CLIENT_ID` is
    /// its client id.
    ///
    /// An empty variable counts as not set. [`from_env_with`](Self::from_env_with) takes another
    /// source of variables.
    #[must_use]
    pub fn from_env() -> Self {
        Self::from_env_with(&ProcessEnv)
    }

    /// Returns [`from_env`](Self::from_env) with the variables of `env`, such as a
    /// [`MapEnv`](cred_provider_kit::MapEnv) in a test.
    #[must_use]
    pub fn from_env_with(env: &dyn Env) -> Self {
        let mut config = Self::default_in(env);
        config.authority_host = env.get("AZURE_AUTHORITY_HOST");
        let client_id = env.get("AZURE_CLIENT_ID");
        config.credential_type =
            match (env.get("AZURE_TENANT_ID"), client_id, env.secret("AZURE_CLIENT_SECRET")) {
                (Some(tenant), Some(client), Some(secret)) => {
                    AzureCredentialType::service_principal(tenant, client, secret)
                }
                (_, client_id, _) => AzureCredentialType::ManagedIdentity { client_id },
            };
        config
    }

    setters! {
        into with_vault_url(vault_url: String);
        with_credential_type(credential_type: AzureCredentialType);
        const with_timeout(timeout: Duration);
        const with_operation_timeout(operation_timeout: Duration);
        with_retry_policy(retry_policy: RetryPolicy);
        const with_retry_budget(retry_budget: u32);
        into with_secret_prefix(secret_prefix: String);
        map with_default_tags(default_tags: BTreeMap<String, String>);
        const with_over_deleted(over_deleted: AzureOverDeleted);
        some with_allowed_host(allowed_host: String);
        some with_authority_host(authority_host: String);
        some with_ca_cert(ca_cert: PathBuf);
    }

    /// Returns the encoding of paths as secret names.
    pub(crate) fn names(&self) -> Result<Names, ConfigError> {
        Names::new(naming::AZURE, "secret_prefix", self.secret_prefix.as_str())
    }

    /// Checks everything except the address of the vault, which is not used with a client of the
    /// caller.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let invalid = |field, problem| Err(ConfigError::invalid(self.provider_name(), field, problem));
        if let Some(Err(problem)) = self.authority_host.as_deref().map(client::check_origin) {
            return invalid("authority_host", problem);
        }
        if let Err((field, problem)) = self.check_identity() {
            return invalid(field, problem);
        }
        self.names()?;
        if let Err(problem) = self.check_tags() {
            return invalid("default_tags", problem);
        }
        check_deadlines(self.provider_name(), self.timeout, self.operation_timeout)?;
        check_retry_budget(self.provider_name(), self.retry_budget)?;
        if let Err(problem) = client::check_authorities(self.ca_cert.as_deref()) {
            return invalid("ca_cert", problem);
        }
        self.retry_policy.validate()
    }

    fn check_identity(&self) -> Result<(), (&'static str, &'static str)> {
        match &self.credential_type {
            AzureCredentialType::ServicePrincipal { tenant_id, .. } if !is_guid(tenant_id) => {
                Err(("credential_type.tenant_id", GUID))
            }
            AzureCredentialType::ServicePrincipal { client_id, .. }
            | AzureCredentialType::ManagedIdentity { client_id: Some(client_id) }
                if !is_guid(client_id) =>
            {
                Err(("credential_type.client_id", GUID))
            }
            AzureCredentialType::ServicePrincipal { client_secret, .. }
                if client_secret.expose_secret().trim().is_empty() =>
            {
                Err(("credential_type.client_secret", "is empty; set it to the value of the client secret"))
            }
            _ => Ok(()),
        }
    }

    fn check_tags(&self) -> Result<(), &'static str> {
        if self.default_tags.len() > Self::MAX_DEFAULT_TAGS {
            return Err("has more than 11 tags, which leaves no room for those of credentials; remove some");
        }
        for (key, value) in &self.default_tags {
            if key.is_empty() || key.len() > Tags::MAX_KEY_LEN || value.len() > 256 {
                return Err(
                    "has a tag that is empty or too long; use keys of 1 to 128 bytes and values of at most 256 bytes",
                );
            }
            if key.starts_with(PATH_TAG) {
                return Err(
                    "has a tag whose key begins with `cred-path-`, which is reserved for the provider; use another key",
                );
            }
        }
        Ok(())
    }
}

const GUID: &str = "is not a GUID; write it as 00000000-0000-0000-0000-000000000000";

/// Returns whether the text is hexadecimal digits in groups of 8, 4, 4, 4 and 12.
fn is_guid(text: &str) -> bool {
    let mut groups = text.split('-');
    let fits = |(group, length): (Option<&str>, usize)| {
        group.is_some_and(|group| group.len() == length && group.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    [8, 4, 4, 4, 12].into_iter().all(|length| fits((groups.next(), length))) && groups.next().is_none()
}

impl ProviderConfig for AzureKeyVaultConfig {
    /// Reads the file of [`ca_cert`](Self::ca_cert) if it is set. Does not use the network.
    fn validate(&self) -> Result<(), ConfigError> {
        let invalid = |field, problem| Err(ConfigError::invalid(self.provider_name(), field, problem));
        match client::check_vault(&self.vault_url, self.allowed_host.as_deref()) {
            Ok(vault) if vault.url.host_str() == Some(PLACEHOLDER_HOST) => {
                return invalid(
                    "vault_url",
                    "is the default, which is only a placeholder; set it to the address of your vault, such as \
                     `https://my-vault.vault.azure.net/`",
                );
            }
            Ok(_) => {}
            Err(problem) => return invalid("vault_url", problem),
        }
        self.check()
    }

    fn provider_name(&self) -> &'static str {
        "azure"
    }
}
