//! The versions and the custom metadata of secrets, on a real Vault.

use std::collections::BTreeMap;

use cred_core::{CredentialContext, Sealed, StorageErrorKind, StorageProvider};
use cred_store_vault::{HashiCorpVaultProvider, VaultConfig, VaultDeleteMode};
use cred_testing::value::{id, store, unscoped, value};
use serde_json::{Value, json};

use crate::admin::Admin;

async fn stored_with(provider: &HashiCorpVaultProvider, tags: &[(&str, &str)]) {
    let Sealed { data, mut metadata } = value(1);
    tags.iter().for_each(|(key, value)| drop(metadata.tags.insert(*key, *value).unwrap()));
    provider.store(&id("key"), data, metadata, &unscoped()).await.unwrap();
}

/// Reads the metadata of the secret `key`, without the provider.
async fn metadata(admin: &Admin, config: &VaultConfig) -> Value {
    let path = format!("secret/metadata/{}/key", config.path_prefix);
    admin.ask("GET", &path, None).await.1["data"].clone()
}

fn tags_of(metadata: &Value) -> BTreeMap<String, String> {
    let all = metadata["custom_metadata"].as_object().unwrap().iter();
    let tags = all.filter(|(key, _)| !key.starts_with("cred-rs.github.io/"));
    tags.map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned())).collect()
}

#[tokio::test]
#[ignore = "needs a real server: cargo xtask test-integration vault"]
async fn custom_metadata_follow_the_metadata_if_configured() {
    let admin = Admin::new();
    let config = admin.config();
    let path = format!("secret/metadata/{}/key", config.path_prefix);
    let provider = HashiCorpVaultProvider::new(config.clone()).unwrap();
    stored_with(&provider, &[("env", "dev")]).await;
    assert_eq!(metadata(&admin, &config).await["custom_metadata"], Value::Null, "not by default");
    admin.done("POST", &path, json!({"max_versions": 3, "custom_metadata": {"their": "own"}})).await;

    let provider = HashiCorpVaultProvider::new(config.clone().with_custom_metadata(true)).unwrap();
    stored_with(&provider, &[("env", "prod"), ("owner", "alice@example.com"), ("cost centre", "7")]).await;
    let found = metadata(&admin, &config).await;
    let expected = [("cost centre", "7"), ("env", "prod"), ("owner", "alice@example.com")];
    assert_eq!(tags_of(&found), expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
    let metadata_ = value(1).metadata;
    let own = |key: &str| found["custom_metadata"][format!("cred-rs.github.io/{key}")].clone();
    assert_eq!(own("created_at"), metadata_.created_at.to_string());
    assert_eq!(own("last_modified"), metadata_.last_modified.to_string());
    assert_eq!(own("version"), metadata_.version.to_string());
    assert_eq!(found["max_versions"], 3, "other settings of the secret stay");
    assert_eq!(found["current_version"], 2, "custom metadata do not create a version");

    // A conditional store also removes tags that no longer exist.
    let Sealed { data, metadata: metadata_ } = value(2);
    let cas = provider.compare_and_set().unwrap();
    let revision = cas.retrieve_versioned(&id("key"), &unscoped()).await.unwrap().revision;
    cas.store_if(&id("key"), data, metadata_.with_tags(Default::default()), Some(&revision), &unscoped())
        .await
        .unwrap();
    assert_eq!(tags_of(&metadata(&admin, &config).await), BTreeMap::new());
}

#[tokio::test]
#[ignore = "needs a real server: cargo xtask test-integration vault"]
async fn custom_metadata_contain_all_tags_with_a_value() {
    let admin = Admin::new();
    let config = admin.config();
    let provider = HashiCorpVaultProvider::new(config.clone().with_custom_metadata(true)).unwrap();
    let most: Vec<_> = (0..50).map(|n| (format!("{n:02}{}", "k".repeat(126)), "v".repeat(256))).collect();
    let most: Vec<_> = most.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    stored_with(&provider, &most).await;
    assert_eq!(tags_of(&metadata(&admin, &config).await).len(), 50);
    stored_with(&provider, &[("ümlaut/\"!", "{\"é\": 1}"), ("empty", "")]).await;
    let expected = [("ümlaut/\"!".to_owned(), "{\"é\": 1}".to_owned())].into();
    assert_eq!(tags_of(&metadata(&admin, &config).await), expected);
}

/// The role may only write values.
#[tokio::test]
#[ignore = "needs a real server: cargo xtask test-integration vault"]
async fn a_store_succeeds_if_the_role_may_not_write_custom_metadata() {
    let admin = Admin::new();
    let config = admin.config();
    let rules = format!(
        r#"path "secret/data/{}/*" {{ capabilities = ["create", "read", "update"] }}"#,
        config.path_prefix
    );
    let policy = config.path_prefix.clone();
    admin.done("POST", &format!("sys/policies/acl/{policy}"), json!({"policy": rules})).await;
    let token = admin.done("POST", "auth/token/create", json!({"policies": [policy]})).await;
    let token = token["auth"]["client_token"].as_str().unwrap();
    let method = cred_store_vault::VaultAuthMethod::token(token.into());
    let limited = config.clone().with_custom_metadata(true).with_auth_method(method);
    let provider = HashiCorpVaultProvider::new(limited).unwrap();
    stored_with(&provider, &[("env", "prod")]).await;
    assert!(provider.retrieve(&id("key"), &unscoped()).await.is_ok());
    assert_eq!(metadata(&admin, &config).await["custom_metadata"], Value::Null);
}

#[tokio::test]
#[ignore = "needs a real server: cargo xtask test-integration vault"]
async fn versions_match_those_in_vault() {
    let admin = Admin::new();
    let config = admin.config().with_delete_mode(VaultDeleteMode::Soft);
    let destroy = format!("secret/destroy/{}/key", config.path_prefix);
    let provider = HashiCorpVaultProvider::new(config.clone()).unwrap();
    let (key, ctx) = (id("key"), unscoped());
    let error = provider.versions(&key, &ctx).await.unwrap_err();
    assert!(error.is_not_found(), "{error}");
    assert!(error.to_string().contains("could not read the versions of credential `key`"), "{error}");
    for number in 1..=3 {
        store(&provider, "key", number).await.unwrap();
    }
    admin.done("POST", &destroy, json!({"versions": [1]})).await;
    provider.delete(&key, &ctx).await.unwrap();
    let kept = provider.versions(&key, &ctx).await.unwrap();
    assert_eq!(kept.current_version, 3);
    let states: Vec<_> = kept
        .versions
        .iter()
        .map(|(number, version)| (*number, version.destroyed, !version.deletion_time.is_empty()))
        .collect();
    assert_eq!(states, [(1, true, false), (2, false, false), (3, false, true)]);
    let raw = metadata(&admin, &config).await;
    assert_eq!(kept.versions[&2].created_time, raw["versions"]["2"]["created_time"]);

    let scoped = CredentialContext::from(Some("org:a".parse().unwrap()));
    assert!(provider.versions(&key, &scoped).await.unwrap_err().is_not_found());
    provider.shutdown().await;
    let error = provider.versions(&key, &ctx).await.unwrap_err();
    assert!(matches!(error.kind(), StorageErrorKind::ShutDown), "{error}");
}
