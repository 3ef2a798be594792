//! Identities without a secret in the configuration: a managed identity, and the login of a
//! developer. The SDK finds both in the environment of the process, so each test starts another
//! process.
#![cfg(unix)]
#![cfg(test)]

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use cred_core::{RetryPolicy, StorageErrorKind, StorageProvider};
use cred_keyvault_double::{Double, Settings};
use cred_store_azure::{AzureCredentialType, AzureKeyVaultConfig, AzureKeyVaultProvider};
use cred_testing::http::{Answer, Server};
use cred_testing::value::{id, store, unscoped, value};
use tempfile::TempDir;

/// A vault, and the files that the other process needs.
struct Vault {
    double: Double,
    folder: TempDir,
}

impl Vault {
    async fn start() -> Self {
        let vault = Self {
            double: Double::start(Settings::default()).await.unwrap(),
            folder: TempDir::new().unwrap(),
        };
        std::fs::write(vault.folder.path().join("ca.pem"), vault.double.authority_pem()).unwrap();
        vault
    }

    /// Runs [`stores_with_the_selected_identity`] in another process. If it fails, returns its
    /// output.
    async fn store_as(&self, identity: &str, variables: &[(&str, &str)]) -> Result<(), String> {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--ignored", "--exact", "stores_with_the_selected_identity"]);
        command.env("CRED_TEST_IDENTITY", identity).env("CRED_TEST_URL", self.double.url());
        command.env("CRED_TEST_CA", self.folder.path().join("ca.pem"));
        command.env_remove("IDENTITY_ENDPOINT").envs(variables.iter().copied());
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
        match output.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()),
        }
    }

    /// Requests a token for the vault without the SDK.
    async fn token(&self) -> String {
        let Settings { tenant_id, client_id, client_secret, .. } = self.double.settings();
        let authority = reqwest::Certificate::from_pem(self.double.authority_pem().as_bytes()).unwrap();
        let http = reqwest::Client::builder().tls_certs_only([authority]).no_proxy().build().unwrap();
        let form = format!(
            "grant_type=client_credentials&client_id={client_id}&client_secret={client_secret}\
             &scope=https%3A%2F%2Fvault.azure.net%2F.default"
        );
        let url = format!("{}/{tenant_id}/oauth2/v2.0/token", self.double.url());
        let answer = http.post(url).body(form).send().await.unwrap().bytes().await.unwrap();
        let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
        answer.get("access_token").and_then(serde_json::Value::as_str).unwrap().to_owned()
    }
}

#[tokio::test]
#[ignore = "the other tests start it in another process"]
async fn stores_with_the_selected_identity() {
    let variable = |name: &str| std::env::var(name).unwrap();
    let identity = match variable("CRED_TEST_IDENTITY").as_str() {
        "machine" => AzureCredentialType::ManagedIdentity { client_id: None },
        "developer" => AzureCredentialType::DeveloperTools,
        client => AzureCredentialType::ManagedIdentity { client_id: Some(client.to_owned()) },
    };
    let config = AzureKeyVaultConfig::default()
        .with_vault_url(variable("CRED_TEST_URL"))
        .with_allowed_host("127.0.0.1")
        .with_ca_cert(variable("CRED_TEST_CA"))
        .with_credential_type(identity)
        .with_retry_policy(RetryPolicy::default().with_max_retries(0));
    let provider = AzureKeyVaultProvider::new(config).unwrap();
    let stored = store(&provider, "key", 1).await;
    if let Err(error) = &stored {
        let (refused, unreachable) = (
            matches!(error.kind(), StorageErrorKind::AuthenticationFailed { .. }),
            matches!(error.kind(), StorageErrorKind::Unreachable { .. }),
        );
        assert!(refused || unreachable, "{error:?}");
        assert!(!error.may_have_written(), "{error:?}");
    }
    stored.unwrap_or_else(|error| panic!("refused: {error}"));
    assert_eq!(provider.retrieve(&id("key"), &unscoped()).await.unwrap(), value(1));
}

#[tokio::test]
async fn a_managed_identity_gets_tokens() {
    let vault = Vault::start().await;
    let Settings { client_id, identity_header, .. } = vault.double.settings().clone();
    let endpoint = format!("{}/msi/token", vault.double.url());
    let this_machine =
        [("IDENTITY_ENDPOINT", endpoint.as_str()), ("IDENTITY_HEADER", identity_header.as_str())];
    for (requests, identity) in [(1, "machine"), (2, client_id.as_str())] {
        vault.store_as(identity, &this_machine).await.unwrap();
        assert_eq!(vault.double.counts().token_requests, requests, "{identity}");
    }
    let output = vault.store_as("00000000-0000-0000-0000-000000000000", &this_machine).await.unwrap_err();
    assert!(output.contains("refused: ") && output.contains("No User Assigned"), "{output}");
    let other_machine = [("IDENTITY_ENDPOINT", endpoint.as_str()), ("IDENTITY_HEADER", "canary-7f3a91")];
    let output = vault.store_as("machine", &other_machine).await.unwrap_err();
    assert!(output.contains("refused: ") && !output.contains("canary-7f3a91"), "{output}");
}

/// A script named `az` is in the PATH of the other process.
#[tokio::test]
async fn a_developer_login_gets_tokens() {
    let vault = Vault::start().await;
    let az = vault.folder.path().join("az");
    let path = format!("{}:/usr/bin:/bin", vault.folder.path().display());
    let program = |text: &str| {
        std::fs::write(&az, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&az, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    program(
        r#"printf '{"accessToken":"%s","expires_on":4102444800,"tokenType":"Bearer"}' "$CRED_TEST_TOKEN""#,
    );
    let token = vault.token().await;
    vault.store_as("developer", &[("PATH", &path), ("CRED_TEST_TOKEN", &token)]).await.unwrap();
    program("echo \"ERROR: Please run 'az login' to setup account.\" >&2; exit 1");
    let output = vault.store_as("developer", &[("PATH", &path)]).await.unwrap_err();
    assert!(output.contains("refused: ") && output.contains("az login"), "{output}");
}

#[tokio::test]
async fn a_page_instead_of_a_token_is_reported_with_its_address() {
    let vault = Vault::start().await;
    for (body, content) in [("<p>welcome</p>", "text that is not JSON"), ("{}", "JSON of another form")] {
        let portal = Server::answering([Answer::new(200, body)]).await;
        let endpoint = format!("{}/msi/token", portal.url());
        let variables = [("IDENTITY_ENDPOINT", &*endpoint), ("IDENTITY_HEADER", "header")];
        let text = vault.store_as("machine", &variables).await.unwrap_err();
        let expected =
            format!("`{}` sent {content}, which is not an answer of a token endpoint", portal.address());
        assert!(text.contains(&expected) && !text.contains("welcome"), "{text}");
        assert!(text.contains("no token could be obtained"), "{text}");
    }
}
