//! Access as an operator, without the provider: mounts, policies, roles and raw secrets.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use cred_store_vault::{VaultAuthMethod, VaultConfig};
use cred_testing::value::{address, fresh, variable};
use serde_json::{Value, json};

/// A client of Vault, with all permissions.
#[derive(Clone)]
pub(crate) struct Admin {
    http: reqwest::Client,
    pub(crate) address: String,
    pub(crate) token: String,
}

impl Admin {
    /// Connects to the server that `cargo xtask test-integration` has started or was given.
    pub(crate) fn new() -> Self {
        Self {
            http: client(None),
            address: variable("CRED_TEST_VAULT_ADDR"),
            token: variable("CRED_TEST_VAULT_TOKEN"),
        }
    }

    pub(crate) fn server(&self) -> SocketAddr {
        address(&self.address)
    }

    /// Sends a request and returns the status and the response.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let method = method.parse().unwrap();
        let url = format!("{}/v1/{path}", self.address);
        let mut request = self.http.request(method, url).header("X-Vault-Token", &self.token);
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// Sends a request that must succeed.
    pub(crate) async fn done(&self, method: &str, path: &str, body: Value) -> Value {
        let (status, answer) = self.ask(method, path, Some(body)).await;
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        answer
    }

    /// Mounts a new KV engine.
    pub(crate) async fn mount(&self, version: &str) -> String {
        let mount = format!("kv-{}", fresh());
        let options = json!({"type": "kv", "options": {"version": version}});
        self.done("POST", &format!("sys/mounts/{mount}"), options).await;
        // Version 2 is upgraded for a moment after it was mounted.
        for _ in 0..100 {
            let (status, _) = self.ask("GET", &format!("{mount}/data/x"), None).await;
            if status == 404 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        mount
    }

    /// Creates an AppRole for everything below `mount`, and returns its login.
    pub(crate) async fn app_role(&self, mount: &str, settings: Value) -> AppRole {
        let method = format!("approle-{}", fresh());
        self.done("POST", &format!("sys/auth/{method}"), json!({"type": "approle"})).await;
        let policy = format!("policy-{}", fresh());
        let rules = format!(
            r#"path "{mount}/*" {{ capabilities = ["create", "read", "update", "delete", "list"] }}"#
        );
        self.done("POST", &format!("sys/policies/acl/{policy}"), json!({"policy": rules})).await;
        let role = format!("auth/{method}/role/app");
        let mut settings = settings;
        settings["token_policies"] = json!([policy]);
        self.done("POST", &role, settings).await;
        let role_id = self.ask("GET", &format!("{role}/role-id"), None).await.1;
        let secret_id = self.done("POST", &format!("{role}/secret-id"), json!({})).await;
        AppRole {
            mount: method,
            role_id: role_id["data"]["role_id"].as_str().unwrap().to_owned(),
            secret_id: secret_id["data"]["secret_id"].as_str().unwrap().to_owned(),
        }
    }

    /// A provider configuration with a new prefix below `secret/`.
    pub(crate) fn config(&self) -> VaultConfig {
        VaultConfig::default()
            .with_address(&self.address)
            .with_auth_method(VaultAuthMethod::token(self.token.as_str().into()))
            .with_path_prefix(format!("test-{}", fresh()))
    }
}

/// The login of an AppRole.
pub(crate) struct AppRole {
    pub(crate) mount: String,
    pub(crate) role_id: String,
    pub(crate) secret_id: String,
}

impl AppRole {
    pub(crate) fn method(&self) -> VaultAuthMethod {
        let mut method = VaultAuthMethod::app_role(&self.role_id, self.secret_id.as_str().into());
        if let VaultAuthMethod::AppRole { mount_path, .. } = &mut method {
            *mount_path = self.mount.clone();
        }
        method
    }
}

pub(crate) fn client(ca: Option<PathBuf>) -> reqwest::Client {
    let certificates = ca.map(|file| std::fs::read(file).unwrap());
    let certificates = certificates.map(|bytes| reqwest::Certificate::from_pem_bundle(&bytes).unwrap());
    reqwest::Client::builder().tls_certs_only(certificates.unwrap_or_default()).no_proxy().build().unwrap()
}
