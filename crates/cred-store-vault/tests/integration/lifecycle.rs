//! The lifetime of tokens, on a real Vault.

use std::sync::Arc;
use std::time::Duration;

use cred_core::{StorageErrorKind, StorageProvider};
use cred_store_vault::{HashiCorpVaultProvider, VaultAuthMethod};
use cred_testing::value::{id, store, unscoped};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::admin::{Admin, AppRole};

/// Creates a role with these settings, and a provider that logs in with it.
async fn logged_in(settings: serde_json::Value) -> (Admin, AppRole, Arc<HashiCorpVaultProvider>) {
    let admin = Admin::new();
    let role = admin.app_role("secret", settings).await;
    let config = admin.config().with_auth_method(role.method());
    (admin, role, Arc::new(HashiCorpVaultProvider::new(config).unwrap()))
}

/// The number of valid tokens that an auth method has issued.
async fn valid_tokens(admin: &Admin, method: &str) -> usize {
    let (_, answer) = admin.ask("LIST", "auth/token/accessors", None).await;
    let mut count = 0;
    for accessor in answer["data"]["keys"].as_array().unwrap() {
        let (status, found) =
            admin.ask("POST", "auth/token/lookup-accessor", Some(json!({"accessor": accessor}))).await;
        let path = found["data"]["path"].as_str().unwrap_or_default();
        count += usize::from(status == 200 && path == format!("auth/{method}/login"));
    }
    count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a real server: cargo xtask test-integration vault"]
async fn operations_succeed_for_a_minute_with_tokens_that_last_seconds() {
    let (admin, role, provider) = logged_in(json!({"token_ttl": "5s", "token_max_ttl": "15s"})).await;
    let end = Instant::now() + Duration::from_secs(60);
    let mut workers = JoinSet::new();
    for worker in 0..6_u8 {
        let provider = Arc::clone(&provider);
        workers.spawn(async move {
            let name = format!("key-{worker}");
            let mut operations = 0_u32;
            store(&*provider, &name, 0).await.unwrap();
            while Instant::now() < end {
                if worker < 2 {
                    store(&*provider, &name, 1).await.unwrap();
                } else {
                    provider.retrieve(&id(&name), &unscoped()).await.unwrap();
                }
                operations += 1;
                sleep(Duration::from_millis(5)).await;
            }
            operations
        });
    }
    let operations: u32 = workers.join_all().await.into_iter().sum();
    assert!(operations > 1_000, "only {operations} operations in a minute");
    // Each token reaches its maximum age after 15 s, so there were several, and the last two may
    // overlap.
    assert!((1..=2).contains(&valid_tokens(&admin, &role.mount).await));
    provider.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a real server: cargo xtask test-integration vault"]
async fn concurrent_operations_share_one_login() {
    // A second login would be refused.
    let (admin, role, provider) = logged_in(json!({"secret_id_num_uses": 1, "token_ttl": "60s"})).await;
    let mut burst = JoinSet::new();
    for number in 0..64_u8 {
        let provider = Arc::clone(&provider);
        burst.spawn(async move { store(&*provider, &format!("key-{number}"), number).await });
    }
    for stored in burst.join_all().await {
        stored.unwrap();
    }
    assert_eq!(valid_tokens(&admin, &role.mount).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a real server: cargo xtask test-integration vault"]
async fn a_revoked_token_is_replaced_within_running_operations() {
    let (admin, role, provider) = logged_in(json!({"token_ttl": "60s"})).await;
    store(&*provider, "key", 1).await.unwrap();
    for _ in 0..3 {
        admin.done("POST", &format!("sys/leases/revoke-prefix/auth/{}/login", role.mount), json!({})).await;
        let mut burst = JoinSet::new();
        for _ in 0..16 {
            let provider = Arc::clone(&provider);
            burst.spawn(async move { provider.retrieve(&id("key"), &unscoped()).await.map(drop) });
        }
        for read in burst.join_all().await {
            read.unwrap();
        }
        assert_eq!(valid_tokens(&admin, &role.mount).await, 1, "one login for the burst");
    }
}

#[tokio::test]
#[ignore = "needs a real server: cargo xtask test-integration vault"]
async fn a_single_use_secret_id_cannot_log_in_again_and_the_error_explains_it() {
    let settings = json!({"secret_id_num_uses": 1, "token_ttl": "2s", "token_max_ttl": "2s"});
    let (_, role, provider) = logged_in(settings).await;
    store(&*provider, "key", 1).await.unwrap();
    sleep(Duration::from_secs(3)).await;
    let error = provider.retrieve(&id("key"), &unscoped()).await.unwrap_err();
    assert!(matches!(error.kind(), StorageErrorKind::AuthenticationFailed { .. }), "{error}");
    assert!(error.to_string().contains("cannot log in again"), "{error}");
    assert!(!error.to_string().contains(&role.secret_id), "{error}");
}

#[tokio::test]
#[ignore = "needs a real server: cargo xtask test-integration vault"]
async fn shutdown_revokes_the_token_of_a_login_and_ends_all_use() {
    let (admin, role, provider) = logged_in(json!({"token_ttl": "60s"})).await;
    store(&*provider, "key", 1).await.unwrap();
    assert_eq!(valid_tokens(&admin, &role.mount).await, 1);
    provider.shutdown().await;
    assert_eq!(valid_tokens(&admin, &role.mount).await, 0);
    let error = store(&*provider, "key", 2).await.unwrap_err();
    assert!(error.to_string().contains("was shut down"), "{error}");
    assert_eq!(valid_tokens(&admin, &role.mount).await, 0, "no further login");
}

/// Creates a token with these settings.
async fn new_token(admin: &Admin, settings: serde_json::Value) -> String {
    let answer = admin.done("POST", "auth/token/create", settings).await;
    answer["auth"]["client_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
#[ignore = "needs a real server: cargo xtask test-integration vault"]
async fn a_configured_token_is_renewed_and_never_revoked() {
    let admin = Admin::new();
    let token = new_token(&admin, json!({"ttl": "6s", "policies": ["root"]})).await;
    let method = VaultAuthMethod::token(token.as_str().into());
    let provider = HashiCorpVaultProvider::new(admin.config().with_auth_method(method)).unwrap();
    for _ in 0..130 {
        store(&provider, "key", 1).await.unwrap();
        sleep(Duration::from_millis(100)).await;
    }
    provider.shutdown().await;
    let (status, _) = admin.ask("POST", "auth/token/lookup", Some(json!({"token": token}))).await;
    assert_eq!(status, 200, "the token is not revoked");
}

#[tokio::test]
#[ignore = "needs a real server: cargo xtask test-integration vault"]
async fn a_revoked_token_is_an_authentication_failure() {
    let admin = Admin::new();
    let token = new_token(&admin, json!({"ttl": "60s"})).await;
    let method = VaultAuthMethod::token(token.as_str().into());
    let provider = HashiCorpVaultProvider::new(admin.config().with_auth_method(method)).unwrap();
    store(&provider, "key", 1).await.unwrap();
    admin.done("POST", "auth/token/revoke", json!({"token": token})).await;
    let error = store(&provider, "key", 2).await.unwrap_err();
    assert!(matches!(error.kind(), StorageErrorKind::AuthenticationFailed { .. }), "{error}");
    assert!(error.to_string().contains("it is expired, revoked or invalid"), "{error}");
    assert!(!error.may_have_written());
}

#[tokio::test]
#[ignore = "needs a real server: cargo xtask test-integration vault"]
async fn a_wrong_secret_id_names_the_auth_mount_and_is_not_repeated() {
    let admin = Admin::new();
    let role = admin.app_role("secret", json!({})).await;
    let mut method = role.method();
    if let VaultAuthMethod::AppRole { secret_id, .. } = &mut method {
        *secret_id = "hunter2-hunter2".into();
    }
    let provider = HashiCorpVaultProvider::new(admin.config().with_auth_method(method)).unwrap();
    let error = provider.connect().await.unwrap_err();
    assert!(matches!(error.kind(), StorageErrorKind::AuthenticationFailed { .. }), "{error}");
    assert!(error.to_string().contains(&format!("auth/{}/login", role.mount)), "{error}");
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
}
