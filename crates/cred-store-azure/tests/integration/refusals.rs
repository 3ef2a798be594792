//! Requests that a vault refuses, and the errors for them.

use std::collections::HashMap;

use cred_core::{StorageErrorKind, StorageProvider};
use cred_provider_kit::naming::{AZURE, Names};
use cred_store_azure::{AzureCredentialType, AzureKeyVaultProvider};
use cred_testing::value::{id, store, unscoped};

use crate::vault::Vault;

#[tokio::test]
#[ignore = "needs a real server: cargo xtask test-integration azure"]
async fn a_wrong_client_secret_is_reported_by_code_and_redacted() {
    let vault = Vault::new();
    let wrong =
        AzureCredentialType::service_principal(&vault.tenant_id, &vault.client_id, "hunter2-hunter2".into());
    let provider = AzureKeyVaultProvider::new(vault.config().with_credential_type(wrong)).unwrap();
    for error in [provider.connect().await.unwrap_err(), store(&provider, "key", 1).await.unwrap_err()] {
        assert!(matches!(error.kind(), StorageErrorKind::AuthenticationFailed { .. }), "{error:?}");
        assert!(error.to_string().contains("AADSTS7000215"), "{error}");
        assert!(!format!("{error} {error:?}").contains("hunter2") && !error.may_have_written());
    }
}

#[tokio::test]
#[ignore = "needs a real server: cargo xtask test-integration azure"]
async fn secrets_of_other_programs_are_not_credentials() {
    let vault = Vault::new();
    let config = vault.config();
    let prefix = config.secret_prefix.clone();
    let provider = AzureKeyVaultProvider::new(config).unwrap();
    store(&provider, "key", 1).await.unwrap();
    vault.set_raw(&format!("{prefix}foreign"), "password", HashMap::new()).await;
    vault.set_raw(&format!("{prefix}-q"), "password", HashMap::new()).await;
    let ctx = unscoped();
    let error = provider.retrieve(&id("foreign"), &ctx).await.unwrap_err();
    assert!(matches!(error.kind(), StorageErrorKind::Corrupted { .. }), "{error}");
    assert!(!error.to_string().contains("password"), "{error}");
    assert_eq!(provider.list_tree(None, &ctx).await.unwrap().len(), 2, "`key` and, by its name, `foreign`");
}

#[tokio::test]
#[ignore = "needs a real server: cargo xtask test-integration azure"]
async fn a_disabled_secret_exists_and_cannot_be_read() {
    use azure_security_keyvault_secrets::models::{SecretAttributes, UpdateSecretPropertiesParameters};

    let vault = Vault::new();
    let config = vault.config();
    let names = Names::new(AZURE, "secret_prefix", config.secret_prefix.as_str()).unwrap();
    let path = cred_core::CredentialPath { scope: None, id: id("key") };
    let name = names.encode(path.as_path_ref()).text;
    let provider = AzureKeyVaultProvider::new(config).unwrap();
    store(&provider, "key", 1).await.unwrap();
    let disabled = UpdateSecretPropertiesParameters {
        secret_attributes: Some(SecretAttributes { enabled: Some(false), ..Default::default() }),
        ..Default::default()
    };
    vault.sdk().update_secret_properties(&name, disabled.try_into().unwrap(), None).await.unwrap();
    let ctx = unscoped();
    let error = provider.retrieve(&id("key"), &ctx).await.unwrap_err();
    assert!(matches!(error.kind(), StorageErrorKind::PermissionDenied { .. }), "{error:?}");
    assert!(error.to_string().contains("disabled"), "{error}");
    assert!(provider.exists(&id("key"), &ctx).await.unwrap());
    assert_eq!(provider.list(None, &ctx).await.unwrap(), [id("key")]);
    store(&provider, "key", 2).await.unwrap();
    assert!(provider.retrieve(&id("key"), &ctx).await.is_ok(), "a new version is enabled");
}
