//! No secret appears in logs, in errors or in debug output.
#![cfg(test)]

use cred_core::{RetryPolicy, StorageProvider};
use cred_keyvault_double::{Double, Settings};
use cred_store_azure::{AzureCredentialType, AzureKeyVaultConfig, AzureKeyVaultProvider};
use cred_testing::log::Log;
use cred_testing::printed::Printed;
use cred_testing::value::{id, store, unscoped};

const CANARY: &str = "canary-7f3a91";

/// The prefix of each token of the double: its header in base64.
const TOKEN: &str = "eyJhbGciOiJIUzI1NiI";

#[tokio::test]
async fn no_secret_and_no_token_is_printed_or_logged() {
    let (log, mut printed) = (Log::of_process(), Printed::default());
    let settings = Settings { client_secret: CANARY.to_owned(), ..Settings::default() };
    let double = Double::start(settings.clone()).await.unwrap();
    let ca = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(ca.path(), double.authority_pem()).unwrap();
    let config = |secret: &str| {
        let Settings { tenant_id, client_id, .. } = settings.clone();
        AzureKeyVaultConfig::default()
            .with_vault_url(double.url())
            .with_allowed_host("127.0.0.1")
            .with_authority_host(double.url())
            .with_ca_cert(ca.path())
            .with_credential_type(AzureCredentialType::service_principal(tenant_id, client_id, secret.into()))
            .with_retry_policy(RetryPolicy::default().with_max_retries(1).with_base_delay_ms(10))
    };
    printed.value(&config(CANARY));
    let ctx = unscoped();

    let provider = AzureKeyVaultProvider::new(config(CANARY)).unwrap();
    store(&provider, "key", 1).await.unwrap();
    provider.retrieve(&id("key"), &ctx).await.unwrap();
    provider.list(None, &ctx).await.unwrap();
    double.revoke_tokens();
    provider.delete(&id("key"), &ctx).await.unwrap();
    store(&provider, "key", 2).await.unwrap();
    double.be_unavailable(9);
    printed.value(&(&provider, store(&provider, "key", 3).await));

    let wrong = AzureKeyVaultProvider::new(config(&format!("{CANARY}-wrong"))).unwrap();
    printed.value(&wrong);
    printed.error(&store(&wrong, "key", 1).await.unwrap_err());

    let log = log.text();
    assert!(log.contains("oauth2") && log.contains("cred::storage"), "nothing was logged");
    printed.text(log);
    printed.holds_none_of(&[CANARY, TOKEN]);
}
