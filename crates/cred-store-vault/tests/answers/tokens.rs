//! The lifetime of a token with a server that refuses, fails or is slow at the wrong moment.

use std::sync::Arc;
use std::time::Duration;

use cred_core::{StorageErrorKind, StorageProvider};
use cred_store_vault::{HashiCorpVaultProvider, VaultAuthMethod};
use cred_testing::http::Answer;
use cred_testing::value::{id, unscoped};
use futures_util::future::join_all;
use tokio::time::{Instant, sleep, timeout};

use crate::TOKEN;
use crate::script::{Script, granted, respond};

const REFUSED: &str = r#"{"errors":["invalid role or secret ID"]}"#;
const ABSENT: &str = r#"{"errors":[]}"#;

fn provider(server: &Script) -> Arc<HashiCorpVaultProvider> {
    let method = VaultAuthMethod::app_role("role", "s-1234".into());
    Arc::new(HashiCorpVaultProvider::new(server.config().with_auth_method(method)).unwrap())
}

async fn retrieve(provider: &HashiCorpVaultProvider) -> cred_core::StorageError {
    provider.retrieve(&id("key"), &unscoped()).await.unwrap_err()
}

#[tokio::test]
async fn a_failed_login_is_shared_by_all_waiting_operations() {
    let server = Script::start(|asked, _| match asked.ends_with("/login") {
        true => respond(503, r#"{"errors":["Vault is sealed"]}"#),
        false => respond(404, ABSENT),
    })
    .await;
    let provider = provider(&server);
    let begun = Instant::now();
    for _ in 0..8 {
        let reads = (0..4).map(|_| retrieve(&provider));
        for error in join_all(reads).await {
            assert!(matches!(error.kind(), StorageErrorKind::Unavailable { .. }), "{error:?}");
        }
    }
    let (logins, elapsed) = (server.asked("POST", "/login"), begun.elapsed());
    assert!(logins as u128 <= 1 + elapsed.as_millis() / 100, "{logins} logins within {elapsed:?}");
}

#[tokio::test]
async fn a_refused_login_with_a_still_valid_token_is_not_repeated_immediately() {
    for _ in 0..10 {
        // The lease cannot be renewed, so the task logs in again after two thirds of it.
        let server = Script::start(|asked, times| match asked.ends_with("/login") {
            true if times == 0 => granted(2, false),
            true => respond(400, REFUSED),
            false => respond(404, ABSENT),
        })
        .await;
        let provider = provider(&server);
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(1_800) {
            let _ = retrieve(&provider).await;
            sleep(Duration::from_millis(100)).await;
        }
        let logins = server.asked("POST", "/login");
        // A second after the refused login, another one is allowed.
        if begun.elapsed() < Duration::from_millis(2_200) {
            assert_eq!(logins, 2, "the first login, and one that was refused");
            return;
        }
    }
    panic!("the machine was too slow in ten attempts");
}

/// Vault has counted no refusal, and growing pauses would outlast the fault.
#[tokio::test]
async fn a_login_that_another_server_refuses_is_soon_retried() {
    let server = Script::start(|asked, _| match asked.ends_with("/login") {
        true => respond(403, "<html>blocked</html>"),
        false => respond(404, ABSENT),
    })
    .await;
    let provider = provider(&server);
    for _ in 0..8 {
        let _ = retrieve(&provider).await;
        sleep(Duration::from_millis(150)).await;
    }
    let logins = server.asked("POST", "/login");
    assert!(logins >= 4, "{logins}");
}

#[tokio::test]
async fn an_unexpected_response_to_the_first_lookup_does_not_stop_renewal() {
    let server = Script::start(|asked, times| match asked.rsplit('/').next() {
        Some("lookup-self") if times == 0 => respond(200, "<html>welcome</html>"),
        Some("lookup-self") => respond(200, r#"{"data":{"ttl":1,"renewable":true}}"#),
        Some("renew-self") => granted(60, true),
        _ => respond(404, ABSENT),
    })
    .await;
    let config = server.config().with_auth_method(VaultAuthMethod::token(TOKEN.into()));
    let provider = HashiCorpVaultProvider::new(config).unwrap();
    let renewed = async {
        while server.asked("POST", "/renew-self") == 0 {
            let _ = retrieve(&provider).await;
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(20), renewed).await.unwrap();
}

#[tokio::test]
async fn a_shutdown_dropped_during_a_login_is_completed_by_the_next() {
    let server = Script::start(|asked, _| match asked.rsplit('/').next() {
        Some("login") => granted(60, true).late(Duration::from_secs(2)),
        Some("revoke-self") => respond(204, ""),
        _ => respond(404, ABSENT),
    })
    .await;
    let provider = provider(&server);
    let reader = Arc::clone(&provider);
    let read = tokio::spawn(async move { retrieve(&reader).await });
    while server.asked("POST", "/login") == 0 {
        sleep(Duration::from_millis(5)).await;
    }
    assert!(
        timeout(Duration::from_millis(50), provider.shutdown()).await.is_err(),
        "the login is in progress"
    );
    let error = read.await.unwrap();
    assert!(error.to_string().contains("was shut down"), "{error}");
    provider.shutdown().await;
    assert_eq!(server.asked("POST", "/revoke-self"), 1, "the token of the login is revoked");
    provider.shutdown().await;
    assert_eq!(server.asked("POST", "/revoke-self"), 1, "it is revoked only once");
}

#[tokio::test]
async fn a_shutdown_dropped_during_the_revocation_is_completed_by_the_next() {
    let server = Script::start(|asked, times| match asked.rsplit('/').next() {
        Some("login") => granted(60, true),
        Some("revoke-self") if times == 0 => Answer::never(),
        Some("revoke-self") => respond(204, ""),
        _ => respond(404, ABSENT),
    })
    .await;
    let provider = provider(&server);
    assert!(retrieve(&provider).await.is_not_found());
    assert!(timeout(Duration::from_millis(200), provider.shutdown()).await.is_err());
    let error = retrieve(&provider).await;
    assert!(error.to_string().contains("was shut down"), "{error}");
    provider.shutdown().await;
    assert_eq!(server.asked("POST", "/revoke-self"), 2);
}

#[tokio::test]
async fn no_login_follows_a_renewal_that_ends_after_the_shutdown() {
    // The renewal is limited by the maximum age, so a new login would follow.
    let server = Script::start(|asked, times| match asked.rsplit('/').next() {
        Some("login") if times == 0 => granted(3, true),
        Some("login") => granted(60, true),
        Some("renew-self") => granted(1, true).late(Duration::from_secs(2)),
        Some("revoke-self") => respond(204, ""),
        _ => respond(404, ABSENT),
    })
    .await;
    let provider = provider(&server);
    assert!(retrieve(&provider).await.is_not_found());
    while server.asked("POST", "/renew-self") == 0 {
        sleep(Duration::from_millis(5)).await;
    }
    provider.shutdown().await;
    assert_eq!((server.asked("POST", "/login"), server.asked("POST", "/revoke-self")), (1, 1));
}
