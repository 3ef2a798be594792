//! Secrets of other owners in the same namespace, and changes by others to Secrets of this store.

use std::collections::BTreeMap;

use cred_core::{CredentialFilter, Sealed, StorageErrorKind, StorageProvider};
use cred_store_k8s::{KubernetesSecretsConfig, KubernetesSecretsProvider};
use cred_testing::value::{id, store, unscoped, value};
use serde_json::{Value, json};

use crate::admin::{Admin, secrets};

/// An administrator, and a configuration for a new namespace.
async fn setup() -> (Admin, KubernetesSecretsConfig, String) {
    let admin = Admin::new().await;
    let config = admin.config().await;
    let namespace = config.namespace.clone();
    (admin, config, namespace)
}

/// Runs every operation on `key`; none of them may see or change the Secret with its name.
async fn assert_untouched(provider: &KubernetesSecretsProvider) {
    let (key, ctx) = (id("key"), unscoped());
    assert!(provider.retrieve(&key, &ctx).await.unwrap_err().is_not_found());
    assert!(!provider.exists(&key, &ctx).await.unwrap());
    assert!(provider.list(None, &ctx).await.unwrap().is_empty());
    assert!(provider.list_tree(None, &ctx).await.unwrap().is_empty());
    let filter = CredentialFilter::new().with_tag("env", "prod");
    assert!(provider.list_tree(Some(&filter), &ctx).await.unwrap().is_empty());
    provider.delete(&key, &ctx).await.unwrap();
    let cas = provider.compare_and_set().unwrap();
    assert!(cas.retrieve_versioned(&key, &ctx).await.unwrap_err().is_not_found());
    let Sealed { data, metadata } = value(2);
    for error in [
        store(provider, "key", 1).await.unwrap_err(),
        cas.store_if(&key, data, metadata, None, &ctx).await.unwrap_err(),
    ] {
        assert!(matches!(error.kind(), StorageErrorKind::InvalidRequest { .. }), "{error}");
        assert!(
            error.to_string().contains("does not belong to this store") && !error.may_have_written(),
            "{error}"
        );
    }
}

#[tokio::test]
#[ignore = "needs a real server: cargo xtask test-integration k8s"]
async fn a_secret_of_another_owner_is_never_touched() {
    let (admin, config, namespace) = setup().await;
    let labels = json!({"app.kubernetes.io/name": "nebula-credential", "env": "prod"});
    let mut before = Vec::new();
    for name in ["nebula-cred-key", "nebula-cred-other", "nebula-cred-org-ca-skey", "elsewhere"] {
        before.push(admin.secret(&namespace, json!({"name": name, "labels": labels})).await);
    }
    let provider = KubernetesSecretsProvider::new(config).unwrap();
    assert_untouched(&provider).await;
    for secret in before {
        let name = secret["metadata"]["name"].as_str().unwrap();
        let (_, now) = admin.ask("GET", &secrets(&namespace, name), None).await;
        assert_eq!(now["metadata"]["resourceVersion"], secret["metadata"]["resourceVersion"], "{name}");
    }
}

#[tokio::test]
#[ignore = "needs a real server: cargo xtask test-integration k8s"]
async fn a_copied_secret_does_not_belong_to_the_store() {
    let (admin, config, namespace) = setup().await;
    let provider = KubernetesSecretsProvider::new(config).unwrap();
    store(&provider, "original", 1).await.unwrap();
    // As copied by hand: all labels and annotations, under the name of another credential.
    let (_, original) = admin.ask("GET", &secrets(&namespace, "nebula-cred-original"), None).await;
    let metadata = json!({
        "name": "nebula-cred-key",
        "labels": original["metadata"]["labels"],
        "annotations": original["metadata"]["annotations"],
    });
    let copy = json!({"metadata": metadata, "data": original["data"]});
    admin.done("POST", &secrets(&namespace, ""), Some(copy)).await;
    assert_eq!(provider.list(None, &unscoped()).await.unwrap(), [id("original")], "each credential once");
    provider.delete(&id("original"), &unscoped()).await.unwrap();
    assert_untouched(&provider).await;
}

#[tokio::test]
#[ignore = "needs a real server: cargo xtask test-integration k8s"]
async fn a_prefix_that_starts_another_prefix_is_a_separate_store() {
    let (_, config, _) = setup().await;
    let short = KubernetesSecretsProvider::new(config.clone().with_secret_prefix("app-")).unwrap();
    let long = KubernetesSecretsProvider::new(config.with_secret_prefix("app-prod-")).unwrap();
    // Both stores use the name `app-prod-u1` for their Secret.
    store(&short, "prod_1", 1).await.unwrap();
    assert!(long.list_tree(None, &unscoped()).await.unwrap().is_empty());
    assert!(long.retrieve(&id("u1"), &unscoped()).await.unwrap_err().is_not_found());
    long.delete(&id("u1"), &unscoped()).await.unwrap();
    assert!(store(&long, "u1", 2).await.unwrap_err().to_string().contains("does not belong to this store"));
    assert_eq!(short.retrieve(&id("prod_1"), &unscoped()).await.unwrap(), value(1));
}

#[tokio::test]
#[ignore = "needs a real server: cargo xtask test-integration k8s"]
async fn annotations_and_finalizers_of_others_are_preserved() {
    let (admin, config, namespace) = setup().await;
    let annotations = BTreeMap::from([("team".to_owned(), "a".to_owned())]);
    let provider = KubernetesSecretsProvider::new(config.with_default_annotations(annotations)).unwrap();
    store(&provider, "key", 1).await.unwrap();
    let theirs = json!({"metadata": {
        "annotations": {"backup.example.com/at": "noon"},
        "finalizers": ["example.com/guard"],
    }});
    admin.edit(&namespace, "nebula-cred-key", theirs).await;
    store(&provider, "key", 2).await.unwrap();
    let (_, secret) = admin.ask("GET", &secrets(&namespace, "nebula-cred-key"), None).await;
    let metadata = &secret["metadata"];
    assert_eq!(metadata["annotations"]["backup.example.com/at"], "noon");
    assert_eq!(metadata["annotations"]["team"], "a");
    assert_eq!(metadata["annotations"]["cred-rs.github.io/path"], "key");
    assert_eq!(metadata["finalizers"], json!(["example.com/guard"]));
    assert_eq!(provider.retrieve(&id("key"), &unscoped()).await.unwrap(), value(2));

    // A deleted Secret stays until its finalizers are removed: readers no longer see it, and a
    // store is refused.
    provider.delete(&id("key"), &unscoped()).await.unwrap();
    provider.delete(&id("key"), &unscoped()).await.unwrap();
    assert!(provider.retrieve(&id("key"), &unscoped()).await.unwrap_err().is_not_found());
    assert!(!provider.exists(&id("key"), &unscoped()).await.unwrap());
    assert!(provider.list(None, &unscoped()).await.unwrap().is_empty());
    let error = store(&provider, "key", 3).await.unwrap_err();
    assert!(matches!(error.kind(), StorageErrorKind::Busy { .. }), "{error}");
    admin.edit(&namespace, "nebula-cred-key", json!({"metadata": {"finalizers": Value::Null}})).await;
    store(&provider, "key", 3).await.unwrap();
    assert_eq!(provider.retrieve(&id("key"), &unscoped()).await.unwrap(), value(3));
}

#[tokio::test]
#[ignore = "needs a real server: cargo xtask test-integration k8s"]
async fn an_immutable_secret_is_replaced_only_if_configured() {
    let (admin, config, namespace) = setup().await;
    let provider = KubernetesSecretsProvider::new(config.clone()).unwrap();
    let cas = provider.compare_and_set().unwrap();
    store(&provider, "key", 1).await.unwrap();
    admin.edit(&namespace, "nebula-cred-key", json!({"immutable": true})).await;
    let revision = cas.retrieve_versioned(&id("key"), &unscoped()).await.unwrap().revision;
    let Sealed { data, metadata } = value(2);
    for error in [
        store(&provider, "key", 2).await.unwrap_err(),
        cas.store_if(&id("key"), data, metadata, Some(&revision), &unscoped()).await.unwrap_err(),
    ] {
        assert!(matches!(error.kind(), StorageErrorKind::InvalidRequest { .. }), "{error}");
        assert!(error.to_string().contains("immutable") && !error.may_have_written(), "{error}");
    }
    assert_eq!(provider.retrieve(&id("key"), &unscoped()).await.unwrap(), value(1));

    let replacing = KubernetesSecretsProvider::new(config.with_replace_immutable(true)).unwrap();
    store(&replacing, "key", 3).await.unwrap();
    assert_eq!(provider.retrieve(&id("key"), &unscoped()).await.unwrap(), value(3));
    admin.edit(&namespace, "nebula-cred-key", json!({"immutable": true})).await;
    let cas = replacing.compare_and_set().unwrap();
    let revision = cas.retrieve_versioned(&id("key"), &unscoped()).await.unwrap().revision;
    let Sealed { data, metadata } = value(4);
    let now = cas.store_if(&id("key"), data, metadata, Some(&revision), &unscoped()).await.unwrap();
    assert_eq!(cas.retrieve_versioned(&id("key"), &unscoped()).await.unwrap().revision, now);

    admin.edit(&namespace, "nebula-cred-key", json!({"immutable": true})).await;
    provider.delete(&id("key"), &unscoped()).await.unwrap();
    assert!(!provider.exists(&id("key"), &unscoped()).await.unwrap());
}
