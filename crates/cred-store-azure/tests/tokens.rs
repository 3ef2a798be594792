//! Tokens: the number of requests for them, and the replacement of expired and refused ones.
#![cfg(test)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use cred_core::{StorageErrorKind, StorageProvider};
use cred_keyvault_double::{Certificate, Double, Settings};
use cred_store_azure::{AzureCredentialType, AzureKeyVaultConfig, AzureKeyVaultProvider};
use cred_testing::value::{hasty, id, store, unscoped, value};
use tempfile::NamedTempFile;
use tokio::task::JoinSet;

fn config(double: &Double, secret: &str) -> AzureKeyVaultConfig {
    let Settings { tenant_id, client_id, .. } = double.settings().clone();
    let ca = NamedTempFile::new().unwrap();
    std::fs::write(ca.path(), double.authority_pem()).unwrap();
    // The file must outlive this function, because the constructor reads it.
    let (_, ca) = ca.keep().unwrap();
    AzureKeyVaultConfig::default()
        .with_vault_url(double.url())
        .with_allowed_host("127.0.0.1")
        .with_authority_host(double.url())
        .with_ca_cert(ca)
        .with_credential_type(AzureCredentialType::service_principal(tenant_id, client_id, secret.into()))
        .with_retry_policy(hasty())
}

fn provider(double: &Double) -> Arc<AzureKeyVaultProvider> {
    let secret = double.settings().client_secret.clone();
    Arc::new(AzureKeyVaultProvider::new(config(double, &secret)).unwrap())
}

/// Makes concurrent reads of the same credential.
async fn burst(
    provider: &Arc<AzureKeyVaultProvider>,
    count: usize,
) -> Vec<Result<(), cred_core::StorageError>> {
    let mut burst = JoinSet::new();
    for _ in 0..count {
        let provider = Arc::clone(provider);
        burst.spawn(async move { provider.retrieve(&id("key"), &unscoped()).await.map(drop) });
    }
    burst.join_all().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cold_burst_makes_one_token_request() {
    let double = Double::start(Settings::default()).await.unwrap();
    for result in burst(&provider(&double), 20).await {
        assert!(result.unwrap_err().is_not_found());
    }
    assert_eq!(double.counts().token_requests, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cold_burst_makes_one_token_request_even_if_it_fails() {
    let double = Double::start(Settings::default()).await.unwrap();
    let provider = Arc::new(AzureKeyVaultProvider::new(config(&double, "hunter2-hunter2")).unwrap());
    let start = Instant::now();
    for result in burst(&provider, 20).await {
        let error = result.unwrap_err();
        assert!(matches!(error.kind(), StorageErrorKind::AuthenticationFailed { .. }), "{error:?}");
        assert!(error.to_string().contains("AADSTS7000215: Invalid client secret provided."), "{error}");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
    let error = store(&*provider, "key", 1).await.unwrap_err();
    assert!(!error.may_have_written(), "a write without a token was never sent");
    let requests = double.counts().token_requests;
    let seconds = start.elapsed().as_secs();
    assert!(requests as u64 <= 1 + seconds, "{requests} requests within {seconds} s: one a second");
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    store(&*provider, "key", 1).await.unwrap_err();
    assert!(double.counts().token_requests > requests);
}

/// The SDK clears its token at each refusal, even if another request has just received that token.
/// When the provider did not handle that, one of 600 bursts had a request that failed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_cleared_by_another_request_is_requested_again() {
    let double = Double::start(Settings::default()).await.unwrap();
    for _ in 0..25 {
        for result in burst(&provider(&double), 24).await {
            let error = result.unwrap_err();
            assert!(error.is_not_found(), "{error:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_the_vault_refuses_is_replaced_and_not_sent_again() {
    let double = Double::start(Settings::default()).await.unwrap();
    let provider = provider(&double);
    store(&*provider, "key", 1).await.unwrap();
    for round in 1..4 {
        double.revoke_tokens();
        for result in burst(&provider, 16).await {
            result.unwrap();
        }
        assert_eq!(double.counts().token_requests, 1 + round, "one request for the whole burst");
    }
    double.revoke_tokens();
    store(&*provider, "key", 2).await.unwrap();
    assert_eq!(provider.retrieve(&id("key"), &unscoped()).await.unwrap(), value(2));
}

#[tokio::test]
async fn a_short_lived_token_is_reused() {
    let settings = Settings { token_lifetime: Duration::from_secs(120), ..Settings::default() };
    let double = Double::start(settings).await.unwrap();
    let provider = provider(&double);
    for number in 0..5 {
        store(&*provider, "key", number).await.unwrap();
    }
    assert_eq!(double.counts().token_requests, 1);
}

#[tokio::test]
async fn an_expired_token_is_replaced_before_it_is_refused() {
    let settings = Settings { token_lifetime: Duration::from_secs(3), ..Settings::default() };
    let double = Double::start(settings).await.unwrap();
    let provider = provider(&double);
    store(&*provider, "key", 1).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let before = double.counts();
    store(&*provider, "key", 2).await.unwrap();
    assert_eq!(double.counts().token_requests, before.token_requests + 1);
    assert_eq!(
        double.counts().vault_requests,
        before.vault_requests + 1,
        "the token was replaced before the vault refused it"
    );
}

#[tokio::test]
async fn the_constructor_makes_no_requests() {
    let double = Double::start(Settings::default()).await.unwrap();
    let provider = provider(&double);
    provider.shutdown().await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!((double.counts().token_requests, double.counts().vault_requests), (0, 0));
}

#[tokio::test]
async fn throttled_and_unavailable_requests_are_retried() {
    let double = Double::start(Settings::default()).await.unwrap();
    let provider = provider(&double);
    store(&*provider, "key", 1).await.unwrap();
    double.throttle(Some(1), 1);
    let start = Instant::now();
    store(&*provider, "key", 2).await.unwrap();
    assert!(start.elapsed() >= Duration::from_secs(1));
    double.be_unavailable(2);
    assert_eq!(provider.retrieve(&id("key"), &unscoped()).await.unwrap(), value(2));
}

#[tokio::test]
async fn purge_protection_is_reported_as_the_reason() {
    let settings = Settings { purge_protection: true, ..Settings::default() };
    let double = Double::start(settings).await.unwrap();
    let provider = provider(&double);
    let ctx = unscoped();
    store(&*provider, "key", 1).await.unwrap();
    provider.delete(&id("key"), &ctx).await.unwrap();
    let error = provider.soft_delete().unwrap().purge(&id("key"), &ctx).await.unwrap_err();
    assert!(matches!(error.kind(), StorageErrorKind::PermissionDenied { .. }), "{error:?}");
    assert!(error.to_string().contains("purge protection is on for this vault"), "{error}");
    assert!(!error.may_have_written());
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused() {
    let double = Double::start(Settings::default()).await.unwrap();
    let other = Double::start(Settings::default()).await.unwrap();
    let secret = double.settings().client_secret.clone();
    let config = config(&other, &secret).with_vault_url(double.url());
    let error = AzureKeyVaultProvider::new(config).unwrap().connect().await.unwrap_err();
    assert!(matches!(error.kind(), StorageErrorKind::AuthenticationFailed { .. }), "{error:?}");
    assert!(error.to_string().contains("not signed by an authority that is trusted"), "{error}");
}

#[tokio::test]
async fn an_expired_certificate_and_one_of_another_host_are_refused() {
    for (certificate, reason) in
        [(Certificate::Expired, "it has expired"), (Certificate::OfAnotherHost, "it is for another host")]
    {
        let double = Double::start(Settings { certificate, ..Settings::default() }).await.unwrap();
        let error = provider(&double).connect().await.unwrap_err();
        assert!(matches!(error.kind(), StorageErrorKind::AuthenticationFailed { .. }), "{error:?}");
        assert!(error.to_string().contains(reason), "{error}");
        let error = store(&*provider(&double), "key", 1).await.unwrap_err();
        assert!(!error.may_have_written(), "{error:?}");
        assert_eq!(double.counts().vault_requests, 0, "nothing was sent");
    }
}
