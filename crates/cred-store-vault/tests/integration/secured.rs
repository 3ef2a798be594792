//! TLS, on a real Vault.

use cred_core::{StorageErrorKind, StorageProvider};
use cred_store_vault::{HashiCorpVaultProvider, VaultAuthMethod, VaultConfig};
use cred_testing::value::{fresh, id, store, unscoped, variable};

fn config() -> VaultConfig {
    VaultConfig::default()
        .with_address(variable("CRED_TEST_VAULT_TLS_ADDR"))
        .with_auth_method(VaultAuthMethod::token(variable("CRED_TEST_VAULT_TLS_TOKEN").as_str().into()))
        .with_path_prefix(format!("test-{}", fresh()))
}

#[tokio::test]
#[ignore = "needs a real server: cargo xtask test-integration vault (with vault-tls)"]
async fn a_configured_authority_is_trusted() {
    let config = config().with_ca_cert(variable("CRED_TEST_VAULT_CA"));
    let provider = HashiCorpVaultProvider::new(config).unwrap();
    store(&provider, "key", 1).await.unwrap();
    assert!(provider.exists(&id("key"), &unscoped()).await.unwrap());
}

#[tokio::test]
#[ignore = "needs a real server: cargo xtask test-integration vault (with vault-tls)"]
async fn an_unknown_authority_is_not_trusted() {
    let Ok(provider) = HashiCorpVaultProvider::new(config()) else {
        // On a machine without any authorities, the constructor fails.
        return assert!(HashiCorpVaultProvider::new(config()).unwrap_err().to_string().contains("ca_cert"));
    };
    let error = store(&provider, "key", 1).await.unwrap_err();
    assert!(matches!(error.kind(), StorageErrorKind::AuthenticationFailed { .. }), "{error}");
    assert!(error.to_string().contains("not signed by an authority that is trusted"), "{error}");
}
