//! A network that fails between the provider and a real API server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use cred_core::{StorageProvider, async_trait};
use cred_fault_proxy::{Remote, TlsExit};
use cred_store_k8s::{KubernetesSecretsConfig, KubernetesSecretsProvider};
use serde_json::json;
use tempfile::TempDir;

use crate::admin::{Admin, kubeconfig};
use crate::relay::plain;

struct Kubernetes {
    exit: TlsExit,
    token: String,
    config: KubernetesSecretsConfig,
    folder: TempDir,
}

impl Kubernetes {
    async fn start() -> Self {
        let admin = Admin::new().await;
        let exit = plain(&admin).await;
        let config = admin
            .config()
            .await
            .with_timeout(Duration::from_secs(1))
            .with_operation_timeout(Duration::from_secs(5));
        Self { exit, token: admin.token, config, folder: tempfile::tempdir().unwrap() }
    }
}

#[async_trait]
impl Remote for Kubernetes {
    fn server(&self) -> SocketAddr {
        self.exit.address()
    }

    async fn provider(&self, through: SocketAddr) -> Arc<dyn StorageProvider> {
        let server = format!("http://{through}");
        let path = kubeconfig(self.folder.path(), &server, None, json!({"token": self.token}));
        let config = self.config.clone().with_kubeconfig_path(path);
        Arc::new(KubernetesSecretsProvider::new(config).unwrap())
    }

    fn requests_before_write(&self) -> usize {
        1
    }

    fn refusal(&self) -> String {
        r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"not now","reason":"ServiceUnavailable"}"#
            .to_owned()
    }
}

cred_fault_proxy::suite!(
    #[ignore = "needs a real server: cargo xtask test-integration k8s"]
    Kubernetes::start().await,
    offers: [compare_and_set]
);
