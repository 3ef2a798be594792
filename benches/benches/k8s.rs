//! A read from Kubernetes compared with the bare call of `kube`, against a server in this process:
//! `cargo bench -p cred-benches --bench k8s --features k8s`.
#![allow(clippy::unwrap_used, reason = "a benchmark may panic on failure")]

use std::hint::black_box;
use std::net::SocketAddr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use cred_benches::loopback::{Server, beside, envelope, runtime};
use cred_provider_kit::naming::digest;
use cred_store_k8s::{KubernetesSecretsConfig, KubernetesSecretsProvider};
use k8s_openapi::api::core::v1::Secret;

fn main() {
    let server = Server::start("GET / HTTP/1.1\r\n\r\n", "application/json", &answer());
    let (runtime, folder) = (runtime(), tempfile::tempdir().unwrap());
    let ours = provider(server.address, folder.path());
    let bare = runtime.block_on(async { bare(server.address) });
    let read = async || drop(black_box(bare.get("nebula-cred-key").await.unwrap()));
    beside("provider get / kube Api::get, loopback", &runtime, &ours, read);
}

/// Uses a token, because both sides send one.
fn provider(server: SocketAddr, folder: &std::path::Path) -> KubernetesSecretsProvider {
    let path = folder.join("kubeconfig");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: x\nclusters:\n- {{name: x, cluster: {{server: \"http://{server}\"}}}}\n\
         users:\n- {{name: x, user: {{token: token}}}}\ncontexts:\n- {{name: x, context: {{cluster: x, user: x}}}}\n"
    );
    std::fs::write(&path, text).unwrap();
    KubernetesSecretsProvider::new(KubernetesSecretsConfig::default().with_kubeconfig_path(path)).unwrap()
}

/// The default client of `kube`, without retries.
fn bare(server: SocketAddr) -> kube::Api<Secret> {
    let mut config = kube::Config::new(format!("http://{server}").parse().unwrap());
    config.auth_info.token = Some("token".into());
    config.default_retry = false;
    kube::Api::namespaced(kube::Client::try_from(config).unwrap(), "default")
}

/// The API server's answer to a read.
fn answer() -> String {
    let (envelope, store) = (BASE64_STANDARD.encode(envelope()), digest("nebula-cred-"));
    format!(
        r#"{{"kind":"Secret","apiVersion":"v1","metadata":{{"name":"nebula-cred-key","namespace":"default","uid":"1e2d3c4b-0000-0000-0000-000000000000","resourceVersion":"12345","creationTimestamp":"2026-01-01T00:00:00Z","labels":{{"app.kubernetes.io/component":"credential-storage","app.kubernetes.io/name":"nebula-credential","cred-rs.github.io/store":"{store}"}},"annotations":{{"cred-rs.github.io/metadata":"{{\"created_at\":1767225600000,\"last_modified\":1767225600000,\"version\":1}}","cred-rs.github.io/path":"key"}},"managedFields":[{{"manager":"cred-store-k8s","operation":"Update","apiVersion":"v1","time":"2026-01-01T00:00:00Z","fieldsType":"FieldsV1","fieldsV1":{{"f:data":{{".":{{}},"f:envelope":{{}}}},"f:metadata":{{"f:annotations":{{".":{{}},"f:cred-rs.github.io/metadata":{{}},"f:cred-rs.github.io/path":{{}}}},"f:labels":{{".":{{}},"f:app.kubernetes.io/component":{{}},"f:app.kubernetes.io/name":{{}},"f:cred-rs.github.io/store":{{}}}}}},"f:type":{{}}}}}}]}},"data":{{"envelope":"{envelope}"}},"type":"Opaque"}}"#
    )
}
