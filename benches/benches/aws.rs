//! A read from Secrets Manager compared with the bare call of the AWS SDK, against a server in this
//! process: `cargo bench -p cred-benches --bench aws --features aws`.
#![allow(clippy::unwrap_used, reason = "a benchmark may panic on failure")]

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::Duration;

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::retry::RetryConfig;
use aws_sdk_secretsmanager::config::timeout::TimeoutConfig;
use aws_sdk_secretsmanager::config::{BehaviorVersion, Config, Credentials, Region};
use cred_benches::loopback::{Server, beside, envelope_in_json, runtime};
use cred_store_aws::{AwsSecretsManagerConfig, AwsSecretsManagerProvider};

fn main() {
    let server = Server::start("POST / HTTP/1.1\r\n\r\n{}", "application/x-amz-json-1.1", &answer());
    let config = AwsSecretsManagerConfig::default();
    let ours = AwsSecretsManagerProvider::with_client(config, client(server.address)).unwrap();
    let bare = client(server.address);
    let read = async || drop(black_box(read(&bare).await));
    beside("provider get / AWS's get_secret_value, loopback", &runtime(), &ours, read);
}

/// One timeout per attempt and no retries, like the client of the provider.
fn client(server: SocketAddr) -> Client {
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(5)).build();
    let config = Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("eu-central-1"))
        .endpoint_url(format!("http://{server}"))
        .credentials_provider(Credentials::new("key", "secret", None, None, "benches"))
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts);
    Client::from_conf(config.build())
}

async fn read(client: &Client) -> String {
    let secret = client.get_secret_value().secret_id("nebula/credentials/key").send().await.unwrap();
    secret.secret_string.unwrap()
}

/// AWS's answer to a read.
fn answer() -> String {
    let envelope = envelope_in_json();
    format!(
        r#"{{"ARN":"arn:aws:secretsmanager:eu-central-1:123456789012:secret:nebula/credentials/key-a1b2c3","CreatedDate":1767225600.123,"Name":"nebula/credentials/key","SecretString":"{envelope}","VersionId":"5048ecb0c84ec77dd0c9dc96ab55a4d5","VersionStages":["AWSCURRENT"]}}"#
    )
}
