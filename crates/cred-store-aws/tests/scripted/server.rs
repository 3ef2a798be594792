//! A scripted Secrets Manager that responds in AWS's own format and records the calls.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cred_core::{Sealed, StorageError, StorageProvider};
use cred_provider_kit::CredentialFile;
use cred_store_aws::{AwsSecretsManagerConfig, AwsSecretsManagerProvider};
use cred_testing::http::Server;
pub(crate) use cred_testing::value::unscoped as ctx;
use cred_testing::value::{hasty, id, store, value};
use serde_json::{Value, json};

use crate::client::sdk;

/// The status and body of a response.
pub(crate) type Response = (u16, String);

/// A recorded call.
pub(crate) struct Call<'c> {
    /// The name of the operation.
    pub(crate) action: &'c str,
    pub(crate) input: &'c Value,
    /// How often the operation was called before.
    pub(crate) number: usize,
}

type Calls = Arc<Mutex<Vec<(String, Value)>>>;

/// The service, and a provider that uses it.
pub(crate) struct Aws {
    pub(crate) provider: AwsSecretsManagerProvider,
    calls: Calls,
    server: Server,
}

impl Aws {
    pub(crate) async fn new(script: impl Fn(&Call<'_>) -> Response + Send + Sync + 'static) -> Self {
        Self::with(config(), script).await
    }

    pub(crate) async fn with(
        config: AwsSecretsManagerConfig,
        script: impl Fn(&Call<'_>) -> Response + Send + Sync + 'static,
    ) -> Self {
        let calls = Calls::default();
        let seen = Arc::clone(&calls);
        let server = Server::start(move |request| {
            let action = request.header("x-amz-target").unwrap().strip_prefix("secretsmanager.").unwrap();
            let input: Value = serde_json::from_slice(&request.body).unwrap();
            let number = {
                let mut calls = seen.lock().unwrap();
                calls.push((action.to_owned(), input.clone()));
                calls.iter().filter(|(called, _)| called == action).count() - 1
            };
            script(&Call { action, input: &input, number })
        })
        .await;
        let provider = AwsSecretsManagerProvider::with_client(config, sdk(server.address())).unwrap();
        Self { provider, calls, server }
    }

    /// The address at which it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The names of all operations that were called, in order.
    pub(crate) fn actions(&self) -> Vec<String> {
        self.calls.lock().unwrap().iter().map(|(action, _)| action.clone()).collect()
    }

    /// The inputs of all calls of this operation.
    pub(crate) fn inputs(&self, action: &str) -> Vec<Value> {
        let calls = self.calls.lock().unwrap();
        calls.iter().filter(|(called, _)| called == action).map(|(_, input)| input.clone()).collect()
    }

    pub(crate) async fn store(&self) -> Result<(), StorageError> {
        store(&self.provider, "key", 1).await
    }

    pub(crate) async fn retrieve(&self) -> Result<Sealed, StorageError> {
        self.provider.retrieve(&id("key"), &ctx()).await
    }

    pub(crate) async fn delete(&self) -> Result<(), StorageError> {
        self.provider.delete(&id("key"), &ctx()).await
    }
}

/// Without the description before each store, so that a script has only the calls of the store.
pub(crate) fn config() -> AwsSecretsManagerConfig {
    AwsSecretsManagerConfig::default()
        .with_update_tags(false)
        .with_operation_timeout(Duration::from_secs(10))
        .with_retry_policy(hasty())
}

fn envelope(tags: &[(&str, &str)]) -> String {
    let Sealed { data, mut metadata } = value(1);
    for (key, value) in tags {
        metadata.tags.insert(*key, *value).unwrap();
    }
    String::from_utf8(CredentialFile::new(data, metadata).encode().unwrap()).unwrap()
}

/// An error response in AWS's format: status 400, except for errors of the service.
pub(crate) fn refusal(code: &str, message: &str) -> Response {
    let status = if matches!(code, "InternalServiceError" | "InternalFailure") { 500 } else { 400 };
    (status, json!({"__type": code, "Message": message}).to_string())
}

pub(crate) fn absent() -> Response {
    refusal("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
}

pub(crate) fn scheduled() -> Response {
    let message = "You can't perform this operation on the secret because it was marked for deletion.";
    refusal("InvalidRequestException", message)
}

pub(crate) fn exists() -> Response {
    let message = "The operation failed because the secret nebula/credentials/key already exists.";
    refusal("ResourceExistsException", message)
}

/// The ARN and the name of a secret, with the fields of `more`.
fn secret(name: &str, more: Value) -> Value {
    let arn = format!("arn:aws:secretsmanager:eu-central-1:123456789012:secret:{name}-a1b2c3");
    let mut secret = json!({"ARN": arn, "Name": name});
    secret.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    secret
}

/// The response to a write, a deletion or a restoration.
pub(crate) fn done() -> Response {
    let version = "EXAMPLE1-90ab-cdef-fedc-ba987SECRET1";
    (200, secret("nebula/credentials/key", json!({"VersionId": version})).to_string())
}

pub(crate) fn stored(name: &str) -> Value {
    stored_with(name, &[])
}

/// A secret whose stored credential has these tags.
pub(crate) fn stored_with(name: &str, tags: &[(&str, &str)]) -> Value {
    let version = "EXAMPLE1-90ab-cdef-fedc-ba987SECRET1";
    let more = json!({
        "CreatedDate": 1_700_000_000.25, "SecretString": envelope(tags), "VersionId": version,
        "VersionStages": ["AWSCURRENT"],
    });
    secret(name, more)
}

pub(crate) fn described(version: &str, deleted: bool) -> Response {
    described_with(version, deleted, &[])
}

pub(crate) fn described_with(version: &str, deleted: bool, tags: &[(&str, &str)]) -> Response {
    let tags: Vec<_> = tags.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect();
    let mut more = json!({
        "CreatedDate": 1_700_000_000.25, "VersionIdsToStages": {"old": ["AWSPREVIOUS"], version: ["AWSCURRENT"]},
        "Tags": tags,
    });
    if deleted {
        more["DeletedDate"] = json!(1_700_000_100.5);
    }
    (200, secret("nebula/credentials/key", more).to_string())
}
