//! Reading the configuration from a file, without a secret in an error.
//!
//! Errors of the code that serde derives quote the input. These private types have the fields of
//! the public ones, so that the crate can replace those errors; the compiler checks that the fields
//! are the same.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use cred_core::{RetryPolicy, SecretString};
use serde::Deserialize;

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

cred_provider_kit::read_unquoted! {
    AzureKeyVaultConfig as Config;
    AzureCredentialType as CredentialType;
}
