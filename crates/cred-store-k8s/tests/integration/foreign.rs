//! Secrets of others in the same namespace, and others' hands on ours.

use std::collections::BTreeMap;

use cred_core::{CredentialFilter, Sealed, StorageErrorKind, StorageProvider};
use cred_store_k8s::{KubernetesSecretsConfig, KubernetesSecretsProvider};
use cred_testing::value::{id, store, unscoped, value};
use serde_json::{Value, json};

use crate::admin::{Admin, secrets};

/// An administrator, and a configuration over a namespace of its own.
async fn place() -> (Admin, KubernetesSecretsConfig, String) {
    let admin = Admin::new().await;
    let config = admin.config().await;
    let namespace = config.namespace.clone();
    (admin, config, namespace)
}

/// All that can be asked of `key`, none of which may see or change what lies there.
async fn is_left_alone(provider: &KubernetesSecretsProvider) {
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
            error.to_string().contains("a secret that this store has not written")
                && !error.may_have_written(),
            "{error}"
        );
    }
}

#[tokio::test]
#[ignore = "needs a real server: cargo xtask test-integration k8s"]
async fn a_secret_of_others_is_left_alone_whatever_its_name() {
    let (admin, config, namespace) = place().await;
    let labels = json!({"app.kubernetes.io/name": "nebula-credential", "env": "prod"});
    let mut before = Vec::new();
    for name in ["nebula-cred-key", "nebula-cred-other", "nebula-cred-org-ca-skey", "elsewhere"] {
        before.push(admin.secret(&namespace, json!({"name": name, "labels": labels})).await);
    }
    let provider = KubernetesSecretsProvider::new(config).unwrap();
    is_left_alone(&provider).await;
    for secret in before {
        let name = secret["metadata"]["name"].as_str().unwrap();
        let (_, now) = admin.ask("GET", &secrets(&namespace, name), None).await;
        assert_eq!(now["metadata"]["resourceVersion"], secret["metadata"]["resourceVersion"], "{name}");
    }
}

#[tokio::test]
#[ignore = "needs a real server: cargo xtask test-integration k8s"]
async fn a_secret_that_only_looks_like_ours_is_not() {
    let (admin, config, namespace) = place().await;
    let provider = KubernetesSecretsProvider::new(config).unwrap();
    store(&provider, "original", 1).await.unwrap();
    // As a copy by hand: all marks of ours, under the name of another credential.
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
    is_left_alone(&provider).await;
}

#[tokio::test]
#[ignore = "needs a real server: cargo xtask test-integration k8s"]
async fn a_prefix_that_begins_another_is_another_store() {
    let (_, config, _) = place().await;
    let short = KubernetesSecretsProvider::new(config.clone().with_secret_prefix("app-")).unwrap();
    let long = KubernetesSecretsProvider::new(config.with_secret_prefix("app-prod-")).unwrap();
    // Both call their secret `app-prod-u1`.
    store(&short, "prod_1", 1).await.unwrap();
    assert!(long.list_tree(None, &unscoped()).await.unwrap().is_empty());
    assert!(long.retrieve(&id("u1"), &unscoped()).await.unwrap_err().is_not_found());
    long.delete(&id("u1"), &unscoped()).await.unwrap();
    assert!(
        store(&long, "u1", 2)
            .await
            .unwrap_err()
            .to_string()
            .contains("a secret that this store has not written")
    );
    assert_eq!(short.retrieve(&id("prod_1"), &unscoped()).await.unwrap(), value(1));
}

#[tokio::test]
#[ignore = "needs a real server: cargo xtask test-integration k8s"]
async fn what_others_have_added_to_a_secret_of_ours_stays() {
    let (admin, config, namespace) = place().await;
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

    // Deleted, it stays until they let go of it: gone for readers, and no place to store in.
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
async fn an_immutable_secret_is_kept_unless_it_may_be_replaced() {
    let (admin, config, namespace) = place().await;
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
