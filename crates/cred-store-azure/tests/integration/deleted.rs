//! Names of deleted secrets, with deletions and recoveries that take seconds.

use cred_core::{StorageErrorKind, StorageProvider};
use cred_store_azure::{AzureKeyVaultProvider, AzureOverDeleted};
use cred_testing::value::{id, store, unscoped, value};

use crate::vault::Vault;

#[tokio::test]
#[ignore = "needs a real server: cargo xtask test-integration azure"]
async fn a_store_waits_for_a_deletion_in_progress() {
    for over_deleted in [AzureOverDeleted::Recover, AzureOverDeleted::Purge] {
        let config = Vault::new().config().with_over_deleted(over_deleted);
        let provider = AzureKeyVaultProvider::new(config).unwrap();
        let ctx = unscoped();
        store(&provider, "key", 1).await.unwrap();
        provider.delete(&id("key"), &ctx).await.unwrap();
        assert!(
            !provider.exists(&id("key"), &ctx).await.unwrap(),
            "a deletion in progress counts as deleted"
        );
        provider.delete(&id("key"), &ctx).await.unwrap();
        store(&provider, "key", 2).await.unwrap();
        assert_eq!(provider.retrieve(&id("key"), &ctx).await.unwrap(), value(2));
        // Again, over the secret that was recovered or purged.
        provider.delete(&id("key"), &ctx).await.unwrap();
        store(&provider, "key", 3).await.unwrap();
        assert_eq!(provider.retrieve(&id("key"), &ctx).await.unwrap(), value(3));
    }
}

#[tokio::test]
#[ignore = "needs a real server: cargo xtask test-integration azure"]
async fn a_store_over_a_deleted_name_is_refused_if_configured() {
    let config = Vault::new().config().with_over_deleted(AzureOverDeleted::Refuse);
    let provider = AzureKeyVaultProvider::new(config).unwrap();
    let ctx = unscoped();
    store(&provider, "key", 1).await.unwrap();
    provider.delete(&id("key"), &ctx).await.unwrap();
    let error = store(&provider, "key", 2).await.unwrap_err();
    assert!(matches!(error.kind(), StorageErrorKind::InvalidRequest { .. }), "{error}");
    assert!(error.to_string().contains("`over_deleted`") && !error.may_have_written(), "{error}");
    provider.soft_delete().unwrap().recover(&id("key"), &ctx).await.unwrap();
    assert_eq!(provider.retrieve(&id("key"), &ctx).await.unwrap(), value(1));
}

#[tokio::test]
#[ignore = "needs a real server: cargo xtask test-integration azure"]
async fn two_concurrent_recoveries_have_the_effect_of_one() {
    let provider = AzureKeyVaultProvider::new(Vault::new().config()).unwrap();
    let ctx = unscoped();
    store(&provider, "key", 1).await.unwrap();
    provider.delete(&id("key"), &ctx).await.unwrap();
    let key = id("key");
    let recover = || provider.soft_delete().unwrap().recover(&key, &ctx);
    let (one, other) = tokio::join!(recover(), recover());
    assert!(one.is_ok() || other.is_ok(), "{one:?} {other:?}");
    for result in [one, other] {
        // A recovery that starts after the end of the other one finds nothing to recover.
        assert!(result.is_ok() || result.unwrap_err().is_not_found());
    }
    assert_eq!(provider.retrieve(&key, &ctx).await.unwrap(), value(1));
}
