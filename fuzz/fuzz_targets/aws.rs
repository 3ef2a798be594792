//! What AWS Secrets Manager answers, through the SDK, and its configuration.
#![no_main]

use std::sync::LazyLock;

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::{BehaviorVersion, Config, Credentials, Region};
use cred_core::ProviderConfig as _;
use cred_fuzz::{Backend, TIMEOUT, once};
use cred_provider_kit::naming::{AWS as RULES, Names};
use cred_store_aws::{AwsSecretsManagerConfig, AwsSecretsManagerProvider};
use libfuzzer_sys::fuzz_target;

const SECRET_KEY: &str = "fuzz/Secret+Access0Key7fuzzfuzzfuzzfuzzf";
const PREFIX: &str = "nebula/credentials/";

static NAMES: LazyLock<Names> =
    LazyLock::new(|| Names::new(RULES, "secret_prefix", PREFIX).expect("a prefix"));

static AWS: LazyLock<Backend> = LazyLock::new(|| {
    Backend::served(
        SECRET_KEY,
        |path, text| NAMES.encode(path.as_ref()).text == text,
        &[],
        |address| {
            let sdk = Config::builder()
                .behavior_version(BehaviorVersion::v2026_01_12())
                .region(Region::new("eu-central-1"))
                .endpoint_url(format!("http://{address}"))
                .credentials_provider(Credentials::new(
                    "AKIA7Q2FUZZFUZZFUZZ2",
                    SECRET_KEY,
                    None,
                    None,
                    "fuzz",
                ));
            let config = AwsSecretsManagerConfig::default()
                .with_secret_prefix(PREFIX)
                .with_timeout(TIMEOUT)
                .with_operation_timeout(TIMEOUT)
                .with_retry_policy(once());
            let client = Client::from_conf(sdk.build());
            Box::new(AwsSecretsManagerProvider::with_client(config, client).expect("a valid configuration"))
        },
    )
});

fuzz_target!(|input: &[u8]| {
    if let Ok(config) = serde_json::from_slice::<AwsSecretsManagerConfig>(input) {
        assert_eq!(config.validate(), config.clone().validate());
    }
    AWS.judge(input);
});
