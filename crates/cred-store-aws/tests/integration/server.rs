//! The service as its operator sees it: raw secrets, past the provider.

use std::net::SocketAddr;
use std::time::Duration;

use cred_core::{CredentialContext, RetryPolicy, StorageError, StorageProvider};
use cred_store_aws::{AwsSecretsManagerConfig, AwsSecretsManagerProvider};

use crate::client::{id, sdk, value};

/// The server that `cargo xtask test-integration` has started or was given.
pub(crate) fn server() -> SocketAddr {
    let name = "CRED_TEST_AWS_ENDPOINT";
    let address = std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set; run `cargo xtask test-integration aws`"));
    let host = address.strip_prefix("http://").unwrap_or_else(|| panic!("{name} must begin with http://"));
    std::net::ToSocketAddrs::to_socket_addrs(host.trim_end_matches('/')).unwrap().next().unwrap()
}

/// A place of its own on a server that is consistent at once.
pub(crate) fn config() -> AwsSecretsManagerConfig {
    AwsSecretsManagerConfig::default()
        .with_secret_prefix(format!("test-{}/", fresh()))
        .with_recovery_window_days(7)
        .with_read_lag(Duration::ZERO)
        .with_list_lag(Duration::ZERO)
        .with_operation_timeout(Duration::from_secs(30))
        .with_retry_policy(quick())
}

pub(crate) fn provider(config: AwsSecretsManagerConfig, through: SocketAddr) -> AwsSecretsManagerProvider {
    AwsSecretsManagerProvider::with_client(config, sdk(through)).unwrap()
}

/// Retries within tenths of a second.
pub(crate) fn quick() -> RetryPolicy {
    RetryPolicy::default().with_base_delay_ms(20).with_max_delay_ms(200)
}

/// A name that nobody else has.
pub(crate) fn fresh() -> String {
    std::iter::repeat_with(fastrand::lowercase).take(12).collect()
}

pub(crate) async fn store(
    provider: &impl StorageProvider,
    name: &str,
    number: u8,
) -> Result<(), StorageError> {
    let (data, metadata) = value(number);
    provider.store(&id(name), data, metadata, &CredentialContext::unscoped()).await
}
