//! The contract of a storage provider, clause by clause.

use std::sync::Arc;
use std::time::Duration;

use cred_conformance::{Edit, Effort, Harness, Subject};
use cred_core::{CredentialContext, CredentialPath, async_trait};
use cred_fault_proxy::Proxy;
use cred_provider_kit::naming::{AZURE, Names};
use cred_store_azure::AzureKeyVaultConfig;
use cred_testing::value::quick;
use futures_util::future::join_all;

use crate::vault::Vault;

struct Azure {
    vault: Vault,
    proxy: Proxy,
    config: AzureKeyVaultConfig,
}

impl Azure {
    async fn start() -> Self {
        let vault = Vault::new();
        let proxy = Proxy::start(vault.server()).await.unwrap();
        let config =
            vault.config().with_retry_policy(quick()).with_operation_timeout(Duration::from_secs(30));
        Self { vault, proxy, config }
    }

    fn provider(&self) -> Arc<dyn Subject> {
        let authorities = self.vault.authorities();
        Arc::new(self.vault.provider(self.config.clone(), self.proxy.address(), &authorities))
    }

    fn name(&self, path: &CredentialPath) -> String {
        let names = Names::new(AZURE, "secret_prefix", self.config.secret_prefix.as_str()).unwrap();
        names.encode(path.as_path_ref()).text
    }
}

#[async_trait]
impl Harness for Azure {
    async fn open(&self) -> Arc<dyn Subject> {
        self.provider()
    }

    async fn reopen(&self) -> Option<Arc<dyn Subject>> {
        Some(self.provider())
    }

    async fn edit_raw(&self, path: &CredentialPath, edit: Edit<'_>) -> bool {
        let name = self.name(path);
        let Some((value, tags)) = self.vault.raw(&name).await else { return false };
        // Azure stores only text that is not empty; the replacement is just as invalid.
        let mut edited = String::from_utf8_lossy(&edit(value.into_bytes())).into_owned();
        if edited.is_empty() {
            edited.push(' ');
        }
        self.vault.set_raw(&name, &edited, tags).await;
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
        vec![self.vault.client_secret.clone()]
    }

    fn physical_name(&self, path: &CredentialPath) -> Option<String> {
        Some(self.name(path))
    }

    /// A deletion and a recovery take seconds each.
    fn effort(&self) -> Effort {
        Effort::default()
    }

    /// Lists read the whole vault, so leftovers of one clause would slow down the following ones.
    async fn close(&self) {
        self.proxy.admit().unwrap();
        let provider = self.provider();
        let paths = provider.list_tree(None, &CredentialContext::unscoped()).await.unwrap();
        for paths in paths.chunks(16) {
            let deleted = paths.iter().map(|CredentialPath { scope, id }| {
                let (provider, ctx) = (Arc::clone(&provider), CredentialContext::from(scope.clone()));
                async move { provider.delete(id, &ctx).await }
            });
            join_all(deleted).await.into_iter().collect::<Result<Vec<_>, _>>().unwrap();
        }
    }
}

cred_conformance::suite!(
    #[ignore = "needs a real server: cargo xtask test-integration azure"]
    Azure::start().await,
    offers: [soft_delete, metrics, payload_limit, tag_limits, reopen, raw_edit, outage, backend_secrets]
);
