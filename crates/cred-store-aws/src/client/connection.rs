//! The SDK's client: from where, as whom, and without retries and timeouts of its own.

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

/// What an endpoint says of the way to the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// Without TLS.
    pub(crate) plain: bool,
    /// On this host.
    pub(crate) loopback: bool,
}

/// Reads an endpoint; the error continues a sentence that begins with the field.
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

/// A client by AWS's own chain of settings. Reads the environment and the shared files, and asks
/// the instance for its region where nothing else names one.
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
            "no region is known; set `region`, `AWS_REGION` or the region of the profile",
        ));
    }
    let mut builder = Builder::from(&shared);
    if let Some(endpoint) = &config.endpoint_url {
        builder = builder.endpoint_url(endpoint);
    }
    Ok(SdkClient::from_conf(configure(builder, address).build()))
}

/// The caller's client with its settings, but for those of time.
pub(super) fn from_sdk(client: &SdkClient, address: &Address) -> SdkClient {
    SdkClient::from_conf(configure(client.config().to_builder(), address).build())
}

/// One layer decides on retries and timeouts, and it is not the SDK's; its log is without our
/// token.
fn configure(builder: Builder, address: &Address) -> Builder {
    builder
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .interceptor(Redaction)
        .interceptor(address.clone())
}

/// Whether the chain gives credentials at all.
pub(super) async fn check_credentials(client: &SdkClient) -> StorageResult<()> {
    #[expect(deprecated, reason = "the SDK offers no other way to ask its chain without a call")]
    let source = client.config().credentials_provider();
    match source {
        Some(source) => source.provide_credentials().await.map(drop).map_err(|error| no_credentials(&error)),
        // A client of the caller's may sign in another way.
        None => Ok(()),
    }
}
