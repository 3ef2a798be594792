//! Reading the configuration from a file, without a secret in an error. The types here name the fields
//! of the public ones again, since serde derives only errors that quote; the compiler compares them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use cred_core::{RetryPolicy, SecretString};
use cred_provider_kit::config::unquoted;
use serde::{Deserialize, Deserializer};

use super::{AzureCredentialType, AzureKeyVaultConfig, AzureOverDeleted, defaults};

#[derive(Deserialize)]
#[serde(remote = "AzureKeyVaultConfig", default = "defaults", deny_unknown_fields)]
struct Config {
    vault_url: String,
    credential_type: AzureCredentialType,
    #[serde(with = "cred_provider_kit::duration")]
    timeout: Duration,
    #[serde(with = "cred_provider_kit::duration")]
    operation_timeout: Duration,
    retry_policy: RetryPolicy,
    retry_budget: u32,
    secret_prefix: String,
    default_tags: BTreeMap<String, String>,
    over_deleted: AzureOverDeleted,
    allowed_host: Option<String>,
    authority_host: Option<String>,
    ca_cert: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(remote = "AzureCredentialType", rename_all = "snake_case", deny_unknown_fields)]
enum CredentialType {
    ManagedIdentity { client_id: Option<String> },
    ServicePrincipal { tenant_id: String, client_id: String, client_secret: SecretString },
    DeveloperTools,
}

impl<'de> Deserialize<'de> for AzureKeyVaultConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(transparent)]
        struct Read(#[serde(with = "Config")] AzureKeyVaultConfig);

        unquoted(deserializer).map(|Read(config)| config)
    }
}

impl<'de> Deserialize<'de> for AzureCredentialType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(transparent)]
        struct Read(#[serde(with = "CredentialType")] AzureCredentialType);

        unquoted(deserializer).map(|Read(kind)| kind)
    }
}
