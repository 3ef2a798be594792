//! The contract of a storage provider, clause by clause, for each delete mode and auth method.

use std::sync::Arc;
use std::time::Duration;

use cred_conformance::{Edit, Harness, Subject};
use cred_core::{CredentialPath, async_trait};
use cred_fault_proxy::Proxy;
use cred_provider_kit::naming::{Names, VAULT};
use cred_store_vault::{HashiCorpVaultProvider, VaultConfig, VaultDeleteMode};
use cred_testing::value::quick;
use serde_json::json;

use crate::admin::{Admin, AppRole};

struct Vault {
    admin: Admin,
    proxy: Proxy,
    config: VaultConfig,
    login: Option<AppRole>,
}

impl Vault {
    async fn with(config: impl FnOnce(VaultConfig) -> VaultConfig) -> Self {
        let admin = Admin::new();
        let proxy = Proxy::start(admin.server()).await.unwrap();
        let config = config(admin.config())
            .with_address(format!("http://{}", proxy.address()))
            .with_retry_policy(quick())
            .with_operation_timeout(Duration::from_secs(30))
            .with_max_payload_len(64 * 1_024);
        Self { admin, proxy, config, login: None }
    }

    /// Permanent deletion, and a configured token.
    async fn start() -> Self {
        Self::with(|config| config).await
    }

    /// Soft deletion, and a login.
    async fn start_soft() -> Self {
        let mut vault = Self::with(|config| config.with_delete_mode(VaultDeleteMode::Soft)).await;
        let login = vault.admin.app_role("secret", json!({"token_ttl": "60s"})).await;
        vault.config = vault.config.with_auth_method(login.method());
        vault.login = Some(login);
        vault
    }

    /// A mount that accepts only conditional writes.
    async fn start_conditional() -> Self {
        let admin = Admin::new();
        let mount = admin.mount("2").await;
        admin.done("POST", &format!("{mount}/config"), json!({"cas_required": true})).await;
        Self::with(|config| config.with_mount_path(mount)).await
    }

    fn provider(&self) -> Arc<dyn Subject> {
        Arc::new(HashiCorpVaultProvider::new(self.config.clone()).unwrap())
    }

    fn name(&self, path: &CredentialPath) -> String {
        let names = Names::new(VAULT, "path_prefix", format!("{}/", self.config.path_prefix)).unwrap();
        names.encode(path.as_path_ref()).text
    }
}

#[async_trait]
impl Harness for Vault {
    async fn open(&self) -> Arc<dyn Subject> {
        self.provider()
    }

    async fn reopen(&self) -> Option<Arc<dyn Subject>> {
        Some(self.provider())
    }

    async fn edit_raw(&self, path: &CredentialPath, edit: Edit<'_>) -> bool {
        let data_path = format!("{}/data/{}", self.config.mount_path, self.name(path));
        let (_, answer) = self.admin.ask("GET", &data_path, None).await;
        let secret = &answer["data"];
        let Some(envelope) = secret["data"]["envelope"].as_str() else { return false };
        let edited = edit(envelope.as_bytes().to_vec());
        // Vault can only store text, so other bytes are replaced, which damages the value as well.
        let edited = String::from_utf8_lossy(&edited).into_owned();
        let cas = secret["metadata"]["version"].clone();
        let body = json!({"data": {"envelope": edited}, "options": {"cas": cas}});
        self.admin.done("POST", &data_path, body).await;
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
        match &self.login {
            Some(login) => vec![login.role_id.clone(), login.secret_id.clone()],
            None => vec![self.admin.token.clone()],
        }
    }

    fn physical_name(&self, path: &CredentialPath) -> Option<String> {
        Some(self.name(path))
    }
}

cred_conformance::suite!(
    #[ignore = "needs a real server: cargo xtask test-integration vault"]
    Vault::start().await,
    offers: [compare_and_set, metrics, payload_limit, reopen, raw_edit, outage, backend_secrets]
);

mod soft {
    use super::Vault;

    cred_conformance::suite!(
        #[ignore = "needs a real server: cargo xtask test-integration vault"]
        Vault::start_soft().await,
        offers: [compare_and_set, soft_delete, metrics, payload_limit, reopen, raw_edit, outage, backend_secrets]
    );
}

mod conditional {
    use super::Vault;

    cred_conformance::suite!(
        #[ignore = "needs a real server: cargo xtask test-integration vault"]
        Vault::start_conditional().await,
        offers: [compare_and_set, metrics, payload_limit, reopen, raw_edit, outage, backend_secrets]
    );
}
