//! Access as an administrator, without the provider: namespaces, Roles and raw Secrets.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use cred_core::ExposeSecret;
use cred_store_k8s::KubernetesSecretsConfig;
use cred_testing::value::{address, fresh, quick, variable};
use http_body_util::BodyExt;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};

/// A client of a cluster, with all permissions.
#[derive(Clone)]
pub(crate) struct Admin {
    client: kube::Client,
    pub(crate) kubeconfig: PathBuf,
    pub(crate) server: SocketAddr,
    pub(crate) ca: PathBuf,
    pub(crate) token: String,
}

impl Admin {
    /// Connects to the cluster that `cargo xtask test-integration` has started or was given.
    pub(crate) async fn new() -> Self {
        Self::of(&PathBuf::from(variable("CRED_TEST_K8S_KUBECONFIG"))).await
    }

    pub(crate) async fn of(path: &Path) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let kubeconfig = Kubeconfig::read_from(path).unwrap();
        let cluster = kubeconfig.clusters[0].cluster.clone().unwrap();
        let user = kubeconfig.auth_infos[0].auth_info.clone().unwrap();
        let options = KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
        Self {
            client: config.try_into().unwrap(),
            kubeconfig: path.to_owned(),
            server: address(cluster.server.as_deref().unwrap()),
            ca: cluster.certificate_authority.unwrap().into(),
            token: user.token.unwrap().expose_secret().to_owned(),
        }
    }

    /// Sends a request and returns the status and the response.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        self.send(method, path, kind, body.map(|body| body.to_string()).unwrap_or_default()).await
    }

    pub(crate) async fn send(&self, method: &str, path: &str, kind: &str, body: String) -> (u16, Value) {
        let request = http::Request::builder().method(method).uri(path).header("Content-Type", kind);
        let answer = self.client.send(request.body(Body::from(body.into_bytes())).unwrap()).await.unwrap();
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    /// Sends a request to a server that may be down, and returns the status.
    pub(crate) async fn try_ask(&self, path: &str) -> Option<u16> {
        let request = http::Request::get(path).body(Body::empty()).unwrap();
        self.client.send(request).await.ok().map(|answer| answer.status().as_u16())
    }

    /// Sends a request that must succeed.
    pub(crate) async fn done(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let (status, answer) = self.ask(method, path, body).await;
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        answer
    }

    /// Creates a namespace.
    pub(crate) async fn namespace(&self) -> String {
        let name = format!("test-{}", fresh());
        self.done("POST", "/api/v1/namespaces", Some(json!({"metadata": {"name": name}}))).await;
        name
    }

    /// Creates a Secret as another program would.
    pub(crate) async fn secret(&self, namespace: &str, metadata: Value) -> Value {
        let body = json!({"metadata": metadata, "data": {"password": BASE64_STANDARD.encode("hunter2")}});
        self.done("POST", &secrets(namespace, ""), Some(body)).await
    }

    pub(crate) async fn edit(&self, namespace: &str, name: &str, patch: Value) -> Value {
        self.done("PATCH", &secrets(namespace, name), Some(patch)).await
    }

    /// A provider configuration for a new namespace.
    pub(crate) async fn config(&self) -> KubernetesSecretsConfig {
        KubernetesSecretsConfig::default()
            .with_kubeconfig_path(self.kubeconfig.clone())
            .with_namespace(self.namespace().await)
            .with_retry_policy(quick())
    }
}

/// Writes a kubeconfig with one user: `user` contains its fields, `server` is a URL.
pub(crate) fn kubeconfig(folder: &Path, server: &str, ca: Option<&Path>, user: Value) -> PathBuf {
    let path = folder.join(format!("kubeconfig-{}", fresh()));
    let mut cluster = json!({"server": server});
    if let Some(ca) = ca {
        cluster["certificate-authority"] = ca.to_str().unwrap().into();
    }
    let text = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "test", "user": user}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    });
    std::fs::write(&path, text.to_string()).unwrap();
    path
}

/// The URL path of a Secret, or of all Secrets of a namespace.
pub(crate) fn secrets(namespace: &str, name: &str) -> String {
    let slash = if name.is_empty() { "" } else { "/" };
    format!("/api/v1/namespaces/{namespace}/secrets{slash}{name}")
}
