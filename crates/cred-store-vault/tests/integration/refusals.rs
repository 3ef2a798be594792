//! Requests that a real Vault refuses, and the errors they become.

use std::time::Duration;

use cred_core::{CredentialContext, RetryPolicy, Sealed, StorageErrorKind, StorageProvider};
use cred_store_vault::{HashiCorpVaultProvider, VaultDeleteMode};
use cred_testing::value::{fresh, id, sized, store, value};
use serde_json::json;

use crate::admin::Admin;

#[tokio::test]
#[ignore = "needs a real server: cargo xtask test-integration vault"]
async fn a_missing_mount_is_not_an_absent_credential() {
    let admin = Admin::new();
    let mount = format!("nowhere-{}", fresh());
    let provider = HashiCorpVaultProvider::new(admin.config().with_mount_path(&mount)).unwrap();
    let ctx = CredentialContext::unscoped();
    for error in [
        store(&provider, "key", 1).await.unwrap_err(),
        provider.retrieve(&id("key"), &ctx).await.unwrap_err(),
        provider.exists(&id("key"), &ctx).await.unwrap_err(),
        provider.list(None, &ctx).await.unwrap_err(),
        provider.delete(&id("key"), &ctx).await.unwrap_err(),
    ] {
        assert!(matches!(error.kind(), StorageErrorKind::InvalidRequest { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains(&mount) && text.contains("no handler for route"), "{text}");
    }
}

#[tokio::test]
#[ignore = "needs a real server: cargo xtask test-integration vault"]
async fn a_version_1_mount_is_refused_before_a_write() {
    let admin = Admin::new();
    let mount = admin.mount("1").await;
    let provider = HashiCorpVaultProvider::new(admin.config().with_mount_path(&mount)).unwrap();
    let ctx = CredentialContext::unscoped();
    for error in [
        store(&provider, "key", 1).await.unwrap_err(),
        provider.retrieve(&id("key"), &ctx).await.unwrap_err(),
        provider.list(None, &ctx).await.unwrap_err(),
        provider.connect().await.unwrap_err(),
    ] {
        assert!(error.to_string().contains("version 1"), "{error}");
        assert!(!error.may_have_written());
    }
    let (status, _) = admin.ask("LIST", &format!("{mount}/data/"), None).await;
    assert_eq!(status, 404, "nothing was written");
}

#[tokio::test]
#[ignore = "needs a real server: cargo xtask test-integration vault"]
async fn another_engine_is_refused() {
    let admin = Admin::new();
    let mount = format!("transit-{}", fresh());
    admin.done("POST", &format!("sys/mounts/{mount}"), json!({"type": "transit"})).await;
    let provider = HashiCorpVaultProvider::new(admin.config().with_mount_path(&mount)).unwrap();
    let error = store(&provider, "key", 1).await.unwrap_err();
    assert!(matches!(error.kind(), StorageErrorKind::InvalidRequest { .. }), "{error}");
    assert!(error.to_string().contains("not a KV version 2 engine"), "{error}");
}

#[tokio::test]
#[ignore = "needs a real server: cargo xtask test-integration vault"]
async fn a_missing_capability_is_reported_with_the_path_and_the_reason() {
    let admin = Admin::new();
    let role = admin.app_role("elsewhere", json!({"token_ttl": "60s"})).await;
    let config = admin.config().with_auth_method(role.method());
    let secret_path = format!("secret/data/{}/key", config.path_prefix);
    let folder = format!("secret/metadata/{}", config.path_prefix);
    let provider = HashiCorpVaultProvider::new(config).unwrap();
    let ctx = CredentialContext::unscoped();
    for (error, capability, path) in [
        (store(&provider, "key", 1).await.unwrap_err(), "`update`", &secret_path),
        (provider.retrieve(&id("key"), &ctx).await.unwrap_err(), "`read`", &secret_path),
        (provider.list(None, &ctx).await.unwrap_err(), "`list`", &folder),
    ] {
        assert!(matches!(error.kind(), StorageErrorKind::PermissionDenied { .. }), "{error}");
        let text = error.to_string();
        assert!(
            text.contains(path) && text.contains(capability) && text.contains("permission denied"),
            "{text}"
        );
        assert!(!error.may_have_written());
    }
    provider.shutdown().await;
}

#[tokio::test]
#[ignore = "needs a real server: cargo xtask test-integration vault"]
async fn a_rate_limit_is_throttling_with_the_pause_from_vault() {
    let admin = Admin::new();
    let mount = admin.mount("2").await;
    // Without this, Vault does not report how long to wait. It affects no other test.
    admin.done("POST", "sys/quotas/config", json!({"enable_rate_limit_response_headers": true})).await;
    let quota = format!("sys/quotas/rate-limit/{}", fresh());
    let limit = json!({"path": format!("{mount}/"), "rate": 2, "interval": "30s"});
    admin.done("POST", &quota, limit).await;
    let once = RetryPolicy::default().with_max_retries(0);
    let config = admin.config().with_mount_path(&mount).with_retry_policy(once);
    let provider = HashiCorpVaultProvider::new(config).unwrap();
    let mut throttled = None;
    for number in 0..8 {
        if let Err(error) = store(&provider, "key", number).await {
            throttled = Some(error);
            break;
        }
    }
    admin.done("DELETE", &quota, json!({})).await;
    let error = throttled.unwrap();
    let StorageErrorKind::Throttled { retry_after } = error.kind() else { panic!("{error:?}") };
    assert!(retry_after.is_some_and(|pause| pause <= Duration::from_secs(31)), "{retry_after:?}");
    assert!(!error.may_have_written());
}

#[tokio::test]
#[ignore = "needs a real server: cargo xtask test-integration vault"]
async fn vault_accepts_the_largest_value_of_the_default_limit() {
    let config = Admin::new().config();
    let limit = config.max_payload_len;
    let provider = HashiCorpVaultProvider::new(config).unwrap();
    let (id, ctx) = (id("key"), CredentialContext::unscoped());
    let longer = limit / 4 * 3;
    let Sealed { data, metadata } = sized(1, longer);
    let error = provider.store(&id, data, metadata, &ctx).await.unwrap_err();
    let StorageErrorKind::TooLarge { size, limit: reported } = *error.kind() else { panic!("{error:?}") };
    assert_eq!(reported, limit);
    // Four characters of base64 are three bytes.
    let longest = longer - (size - limit).div_ceil(4) * 3;
    let Sealed { data, metadata } = sized(1, longest);
    provider.store(&id, data, metadata, &ctx).await.unwrap();
    assert!(provider.retrieve(&id, &ctx).await.unwrap() == sized(1, longest));
    let Sealed { data, metadata } = sized(1, longest + 3);
    let error = provider.store(&id, data, metadata, &ctx).await.unwrap_err();
    assert!(
        matches!(error.kind(), StorageErrorKind::TooLarge { .. }),
        "the earlier value was the largest: {error:?}"
    );
}

#[tokio::test]
#[ignore = "needs a real server: cargo xtask test-integration vault"]
async fn a_secret_of_another_program_is_listed_by_name_and_reads_as_corrupted() {
    let admin = Admin::new();
    let config = admin.config();
    let prefix = format!("secret/data/{}", config.path_prefix);
    admin.done("POST", &format!("{prefix}/foreign"), json!({"data": {"password": "x"}})).await;
    admin.done("POST", &format!("{prefix}/folder/key"), json!({"data": {"password": "x"}})).await;
    admin.done("POST", &format!("{prefix}/not.an.id"), json!({"data": {"password": "x"}})).await;
    let provider = HashiCorpVaultProvider::new(config).unwrap();
    store(&provider, "key", 1).await.unwrap();
    let ctx = CredentialContext::unscoped();
    let error = provider.retrieve(&id("foreign"), &ctx).await.unwrap_err();
    assert!(matches!(error.kind(), StorageErrorKind::Corrupted { .. }), "{error}");
    assert_eq!(provider.list_tree(None, &ctx).await.unwrap().len(), 2, "`key` and, by its name, `foreign`");
}

#[tokio::test]
#[ignore = "needs a real server: cargo xtask test-integration vault"]
async fn a_version_with_a_future_deletion_time_exists() {
    let admin = Admin::new();
    let mount = admin.mount("2").await;
    admin.done("POST", &format!("{mount}/config"), json!({"delete_version_after": "1h"})).await;
    let config = admin.config().with_mount_path(&mount).with_delete_mode(VaultDeleteMode::Soft);
    let provider = HashiCorpVaultProvider::new(config).unwrap();
    let ctx = CredentialContext::unscoped();
    store(&provider, "key", 1).await.unwrap();
    assert!(provider.exists(&id("key"), &ctx).await.unwrap());
    assert_eq!(provider.list(None, &ctx).await.unwrap(), [id("key")]);
    assert!(provider.soft_delete().unwrap().list_deleted(&ctx).await.unwrap().is_empty());
    provider.delete(&id("key"), &ctx).await.unwrap();
    assert!(!provider.exists(&id("key"), &ctx).await.unwrap());
    assert_eq!(provider.soft_delete().unwrap().list_deleted(&ctx).await.unwrap(), [id("key")]);
}

#[tokio::test]
#[ignore = "needs a real server: cargo xtask test-integration vault"]
async fn a_revision_from_before_a_permanent_deletion_is_a_conflict() {
    let provider = HashiCorpVaultProvider::new(Admin::new().config()).unwrap();
    let ctx = CredentialContext::unscoped();
    let cas = provider.compare_and_set().unwrap();
    store(&provider, "key", 1).await.unwrap();
    let old = cas.retrieve_versioned(&id("key"), &ctx).await.unwrap().revision;
    provider.delete(&id("key"), &ctx).await.unwrap();
    store(&provider, "key", 2).await.unwrap();
    let Sealed { data, metadata } = value(3);
    let error = cas.store_if(&id("key"), data, metadata, Some(&old), &ctx).await.unwrap_err();
    assert!(matches!(error.kind(), StorageErrorKind::Conflict { .. }), "{error}");
}
