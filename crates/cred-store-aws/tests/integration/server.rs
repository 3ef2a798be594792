//! The server of the integration tests, and providers that use it.

use std::net::SocketAddr;
use std::time::Duration;

use cred_store_aws::{AwsSecretsManagerConfig, AwsSecretsManagerProvider};
use cred_testing::value::{address, fresh, quick, variable};

use crate::client::sdk;

/// The server that `cargo xtask test-integration` has started or was given.
pub(crate) fn server() -> SocketAddr {
    address(&variable("CRED_TEST_AWS_ENDPOINT"))
}

/// A configuration with a separate prefix, for a server that is strongly consistent.
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
