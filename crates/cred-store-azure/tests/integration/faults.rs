//! A network that fails between the provider and the vault.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cred_core::{StorageProvider, async_trait};
use cred_fault_proxy::{Remote, TlsEntry, TlsExit};
use cred_store_azure::AzureKeyVaultConfig;
use cred_testing::value::quick;

use crate::vault::Vault;

/// TLS is removed before the proxy and added after it, so that the proxy sees requests and not TLS
/// records.
struct Azure {
    vault: Vault,
    config: AzureKeyVaultConfig,
    exit: TlsExit,
    entries: Mutex<Vec<TlsEntry>>,
}

impl Azure {
    async fn start() -> Self {
        let vault = Vault::new();
        let config = vault
            .config()
            .with_timeout(Duration::from_secs(1))
            .with_operation_timeout(Duration::from_secs(5))
            .with_retry_policy(quick());
        let exit = TlsExit::start(vault.server(), &vault.host, &vault.authorities()).await.unwrap();
        Self { vault, config, exit, entries: Mutex::default() }
    }
}

#[async_trait]
impl Remote for Azure {
    fn server(&self) -> SocketAddr {
        self.exit.address()
    }

    async fn provider(&self, through: SocketAddr) -> Arc<dyn StorageProvider> {
        let entry = TlsEntry::start(through, &self.vault.host).await.unwrap();
        let authority = entry.authority_pem().as_bytes();
        let provider = self.vault.provider(self.config.clone(), entry.address(), authority);
        self.entries.lock().unwrap().push(entry);
        Arc::new(provider)
    }

    fn refusal(&self) -> String {
        r#"{"error":{"code":"Throttled","message":"not\r\nnow"}}"#.to_owned()
    }
}

cred_fault_proxy::suite!(
    #[ignore = "needs a real server: cargo xtask test-integration azure"]
    Azure::start().await,
    offers: []
);
