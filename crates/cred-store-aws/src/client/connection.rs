//! Creation of the SDK's client, without its own retries and timeouts.

use std::net::IpAddr;

use aws_config::{AppName, BehaviorVersion, Region};
use aws_sdk_secretsmanager::Client as SdkClient;
use aws_sdk_secretsmanager::config::retry::RetryConfig;
use aws_sdk_secretsmanager::config::timeout::TimeoutConfig;
use aws_sdk_secretsmanager::config::{Builder, ProvideCredentials as _, StalledStreamProtectionConfig};
use cred_core::{StorageError, StorageResult};
use http::Uri;

use super::address::Address;
use super::redaction::Redaction;
use crate::AwsSecretsManagerConfig;
use crate::error::no_credentials;

/// The parts of an endpoint that decide whether plain http is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// Whether it is plain http.
    pub(crate) plain: bool,
    /// Whether it is on this host.
    pub(crate) loopback: bool,
}

/// Parses an endpoint. The error continues a sentence that begins with the name of the field.
pub(crate) fn check_endpoint(text: &str) -> Result<Endpoint, &'static str> {
    const FORM: &str = "is not the address of a server; write it as `https://host:port`";
    let uri: Uri = text.parse().map_err(|_| FORM)?;
    let plain = match uri.scheme_str() {
        Some("http") => true,
        Some("https") => false,
        _ => return Err(FORM),
    };
    let authority = uri.authority().ok_or(FORM)?;
    if authority.as_str().contains('@') {
        return Err("has a user or a password, which AWS does not use; remove them");
    }
    if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
        return Err("has more than a host and a port; remove everything after them");
    }
    let host = authority.host();
    let number = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let loopback = number.map_or(host == "localhost", |number| number.is_loopback());
    Ok(Endpoint { plain, loopback })
}

/// Creates a client with the settings of AWS's chain. Reads the environment and the shared files,
/// and requests the region from the instance if no other source has one.
pub(super) async fn open(config: &AwsSecretsManagerConfig, address: &Address) -> StorageResult<SdkClient> {
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12());
    if let Some(region) = &config.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(profile) = &config.profile {
        loader = loader.profile_name(profile);
    }
    if let Ok(name) = AppName::new(concat!("cred-store-aws-", env!("CARGO_PKG_VERSION"))) {
        loader = loader.app_name(name);
    }
    let shared = loader.load().await;
    if shared.region().is_none() {
        return Err(StorageError::invalid_request(
            "no AWS region is configured; set `region`, `AWS_REGION` or the region of the profile",
        ));
    }
    let mut builder = Builder::from(&shared);
    if let Some(endpoint) = &config.endpoint_url {
        builder = builder.endpoint_url(endpoint);
    }
    Ok(SdkClient::from_conf(configure(builder, address).build()))
}

/// Copies the caller's client, without its retries and timeouts.
pub(super) fn from_sdk(client: &SdkClient, address: &Address) -> SdkClient {
    SdkClient::from_conf(configure(client.config().to_builder(), address).build())
}

/// Turns off the SDK's retries and timeouts, because the provider has its own, and removes the
/// session token from the SDK's log.
fn configure(builder: Builder, address: &Address) -> Builder {
    builder
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .interceptor(Redaction)
        .interceptor(address.clone())
}

/// Checks that the chain has credentials.
pub(super) async fn check_credentials(client: &SdkClient) -> StorageResult<()> {
    #[expect(deprecated, reason = "the SDK has no other way to run its chain without a call to the service")]
    let source = client.config().credentials_provider();
    match source {
        Some(source) => source.provide_credentials().await.map(drop).map_err(|error| no_credentials(&error)),
        // The caller's client may sign in another way.
        None => Ok(()),
    }
}
