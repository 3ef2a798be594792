//! Reads the configuration from a file, without a secret in an error. Errors that serde derives
//! quote the input, so the types here repeat the fields of the public ones; the compiler compares
//! them.

use std::path::PathBuf;
use std::time::Duration;

use cred_core::{RetryPolicy, SecretString};
use serde::Deserialize;

use super::{VaultAuthMethod, VaultConfig, VaultDeleteMode, approle, defaults};

#[derive(Deserialize)]
#[serde(remote = "VaultConfig", default = "defaults", deny_unknown_fields)]
struct Config {
    address: String,
    auth_method: VaultAuthMethod,
    mount_path: String,
    path_prefix: String,
    namespace: Option<String>,
    #[serde(with = "cred_provider_kit::duration")]
    timeout: Duration,
    #[serde(with = "cred_provider_kit::duration")]
    operation_timeout: Duration,
    retry_policy: RetryPolicy,
    retry_budget: u32,
    tls_verify: bool,
    ca_cert: Option<PathBuf>,
    allow_http: bool,
    #[serde(with = "cred_provider_kit::duration")]
    token_renewal_threshold: Duration,
    delete_mode: VaultDeleteMode,
    custom_metadata: bool,
    max_payload_len: usize,
}

#[derive(Deserialize)]
#[serde(remote = "VaultAuthMethod", rename_all = "snake_case", deny_unknown_fields)]
enum AuthMethod {
    Token {
        token: SecretString,
    },
    AppRole {
        role_id: String,
        secret_id: SecretString,
        #[serde(default = "approle")]
        mount_path: String,
    },
}

cred_provider_kit::read_unquoted! {
    VaultConfig as Config;
    VaultAuthMethod as AuthMethod;
}
