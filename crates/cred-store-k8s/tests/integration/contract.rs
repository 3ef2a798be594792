//! The contract of a storage provider, clause by clause.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use cred_conformance::{Edit, Effort, Harness, Subject};
use cred_core::{CredentialPath, async_trait};
use cred_fault_proxy::Proxy;
use cred_provider_kit::naming::{KUBERNETES, Names};
use cred_store_k8s::{KubernetesSecretsConfig, KubernetesSecretsProvider};
use serde_json::json;
use tempfile::TempDir;

use crate::admin::{Admin, kubeconfig, secrets};

struct Kubernetes {
    admin: Admin,
    proxy: Proxy,
    config: KubernetesSecretsConfig,
    _folder: TempDir,
}

impl Kubernetes {
    async fn start() -> Self {
        let admin = Admin::new().await;
        let proxy = Proxy::start(admin.server).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let server = format!("https://{}", proxy.address());
        let path = kubeconfig(folder.path(), &server, Some(&admin.ca), json!({"token": admin.token}));
        let config =
            admin.config().await.with_kubeconfig_path(path).with_operation_timeout(Duration::from_secs(30));
        Self { admin, proxy, config, _folder: folder }
    }

    fn provider(&self) -> Arc<dyn Subject> {
        Arc::new(KubernetesSecretsProvider::new(self.config.clone()).unwrap())
    }

    fn name(&self, path: &CredentialPath) -> String {
        let names = Names::new(KUBERNETES, "secret_prefix", self.config.secret_prefix.as_str()).unwrap();
        names.encode(path.as_path_ref()).text
    }
}

#[async_trait]
impl Harness for Kubernetes {
    async fn open(&self) -> Arc<dyn Subject> {
        self.provider()
    }

    async fn reopen(&self) -> Option<Arc<dyn Subject>> {
        Some(self.provider())
    }

    async fn edit_raw(&self, path: &CredentialPath, edit: Edit<'_>) -> bool {
        let (namespace, name) = (&self.config.namespace, self.name(path));
        let (_, secret) = self.admin.ask("GET", &secrets(namespace, &name), None).await;
        let Some(envelope) = secret["data"]["envelope"].as_str() else { return false };
        let edited = BASE64_STANDARD.encode(edit(BASE64_STANDARD.decode(envelope).unwrap()));
        self.admin.edit(namespace, &name, json!({"data": {"envelope": edited}})).await;
        true
    }

    async fn outage(&self, down: bool) -> bool {
        match down {
            true => self.proxy.refuse().await,
            false => self.proxy.admit().unwrap(),
        }
        true
    }

    fn backend_secrets(&self) -> Vec<String> {
        vec![self.admin.token.clone()]
    }

    fn physical_name(&self, path: &CredentialPath) -> Option<String> {
        Some(self.name(path))
    }

    fn effort(&self) -> Effort {
        // More than two pages without data, and more than four with data.
        Effort::default().with_list_entries(1_100).with_rounds(30)
    }
}

cred_conformance::suite!(
    #[ignore = "needs a real server: cargo xtask test-integration k8s"]
    Kubernetes::start().await,
    offers: [compare_and_set, metrics, payload_limit, reopen, raw_edit, outage, backend_secrets]
);
