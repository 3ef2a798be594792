//! A network that fails between the provider and a real Vault.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use cred_core::{StorageProvider, async_trait};
use cred_fault_proxy::Remote;
use cred_store_vault::{HashiCorpVaultProvider, VaultConfig};
use cred_testing::value::quick;
use serde_json::json;

use crate::admin::Admin;

struct Vault {
    server: SocketAddr,
    config: VaultConfig,
}

impl Vault {
    /// Uses a login, because the lookup of a configured token would be among the requests that are
    /// counted and disturbed.
    async fn start() -> Self {
        let admin = Admin::new();
        let role = admin.app_role("secret", json!({"token_ttl": "10m"})).await;
        let config = admin
            .config()
            .with_auth_method(role.method())
            .with_timeout(Duration::from_secs(1))
            .with_operation_timeout(Duration::from_secs(5))
            .with_retry_policy(quick());
        Self { server: admin.server(), config }
    }
}

#[async_trait]
impl Remote for Vault {
    fn server(&self) -> SocketAddr {
        self.server
    }

    async fn provider(&self, through: SocketAddr) -> Arc<dyn StorageProvider> {
        let config = self.config.clone().with_address(format!("http://{through}"));
        Arc::new(HashiCorpVaultProvider::new(config).unwrap())
    }

    fn refusal(&self) -> String {
        r#"{"errors":["not now"]}"#.to_owned()
    }
}

cred_fault_proxy::suite!(
    #[ignore = "needs a real server: cargo xtask test-integration vault"]
    Vault::start().await,
    offers: [compare_and_set]
);
