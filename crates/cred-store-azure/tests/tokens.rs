//! Tokens: how many are asked for, and what becomes of one that the vault no longer takes.
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
    // Kept for the process: the constructor reads it.
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

/// Reads of the same credential, all at once.
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
async fn a_cold_burst_makes_one_request_for_a_token() {
    let double = Double::start(Settings::default()).await.unwrap();
    for answer in burst(&provider(&double), 20).await {
        assert!(answer.unwrap_err().is_not_found());
    }
    assert_eq!(double.counts().token_requests, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cold_burst_makes_one_request_also_when_it_fails() {
    let double = Double::start(Settings::default()).await.unwrap();
    let provider = Arc::new(AzureKeyVaultProvider::new(config(&double, "hunter2-hunter2")).unwrap());
    let begun = Instant::now();
    for answer in burst(&provider, 20).await {
        let error = answer.unwrap_err();
        assert!(matches!(error.kind(), StorageErrorKind::AuthenticationFailed { .. }), "{error:?}");
        assert!(error.to_string().contains("AADSTS7000215: Invalid client secret provided."), "{error}");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
    let error = store(&*provider, "key", 1).await.unwrap_err();
    assert!(!error.may_have_written(), "a write without a token was never sent");
    let requests = double.counts().token_requests;
    let seconds = begun.elapsed().as_secs();
    assert!(requests as u64 <= 1 + seconds, "{requests} requests within {seconds} s: one a second");
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    store(&*provider, "key", 1).await.unwrap_err();
    assert!(double.counts().token_requests > requests);
}

/// The SDK throws its token away at each refusal, also the one that another call has just been
/// given: before that was known, one of 600 bursts had a call that failed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_another_call_throws_away_on_the_way_is_asked_for_again() {
    let double = Double::start(Settings::default()).await.unwrap();
    for _ in 0..25 {
        for answer in burst(&provider(&double), 24).await {
            let error = answer.unwrap_err();
            assert!(error.is_not_found(), "{error:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_the_vault_refuses_is_replaced_and_not_repeated() {
    let double = Double::start(Settings::default()).await.unwrap();
    let provider = provider(&double);
    store(&*provider, "key", 1).await.unwrap();
    for round in 1..4 {
        double.revoke_tokens();
        for answer in burst(&provider, 16).await {
            answer.unwrap();
        }
        assert_eq!(double.counts().token_requests, 1 + round, "one for the burst");
    }
    double.revoke_tokens();
    store(&*provider, "key", 2).await.unwrap();
    assert_eq!(provider.retrieve(&id("key"), &unscoped()).await.unwrap(), value(2));
}

#[tokio::test]
async fn a_token_of_minutes_is_not_asked_for_at_every_request() {
    let settings = Settings { token_lifetime: Duration::from_secs(120), ..Settings::default() };
    let double = Double::start(settings).await.unwrap();
    let provider = provider(&double);
    for number in 0..5 {
        store(&*provider, "key", number).await.unwrap();
    }
    assert_eq!(double.counts().token_requests, 1);
}

#[tokio::test]
async fn a_token_that_has_ended_is_replaced() {
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
        "it was replaced before it was refused"
    );
}

#[tokio::test]
async fn a_constructor_asks_nobody() {
    let double = Double::start(Settings::default()).await.unwrap();
    let provider = provider(&double);
    provider.shutdown().await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!((double.counts().token_requests, double.counts().vault_requests), (0, 0));
}

#[tokio::test]
async fn throttling_is_waited_out_and_an_outage_tried_again() {
    let double = Double::start(Settings::default()).await.unwrap();
    let provider = provider(&double);
    store(&*provider, "key", 1).await.unwrap();
    double.throttle(Some(1), 1);
    let begun = Instant::now();
    store(&*provider, "key", 2).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(1));
    double.be_unavailable(2);
    assert_eq!(provider.retrieve(&id("key"), &unscoped()).await.unwrap(), value(2));
}

#[tokio::test]
async fn purge_protection_is_reported_as_what_it_is() {
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
async fn another_authority_is_refused() {
    let double = Double::start(Settings::default()).await.unwrap();
    let other = Double::start(Settings::default()).await.unwrap();
    let secret = double.settings().client_secret.clone();
    let config = config(&other, &secret).with_vault_url(double.url());
    let error = AzureKeyVaultProvider::new(config).unwrap().connect().await.unwrap_err();
    assert!(matches!(error.kind(), StorageErrorKind::AuthenticationFailed { .. }), "{error:?}");
    assert!(error.to_string().contains("not signed by an authority that is trusted"), "{error}");
}

#[tokio::test]
async fn a_certificate_that_has_expired_or_is_of_another_host_is_refused_as_that() {
    for (certificate, why) in
        [(Certificate::Expired, "it has expired"), (Certificate::OfAnotherHost, "it is for another host")]
    {
        let double = Double::start(Settings { certificate, ..Settings::default() }).await.unwrap();
        let error = provider(&double).connect().await.unwrap_err();
        assert!(matches!(error.kind(), StorageErrorKind::AuthenticationFailed { .. }), "{error:?}");
        assert!(error.to_string().contains(why), "{error}");
        let error = store(&*provider(&double), "key", 1).await.unwrap_err();
        assert!(!error.may_have_written(), "{error:?}");
        assert_eq!(double.counts().vault_requests, 0, "nothing was sent");
    }
}
