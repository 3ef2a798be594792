//! Secrets that are scheduled for deletion, and changes that other clients make to secrets.

use std::collections::BTreeMap;

use aws_sdk_secretsmanager::types::Tag;
use cred_core::{CredentialContext, ScopeId, Sealed, StorageErrorKind, StorageProvider};
use cred_store_aws::AwsOverDeleted;
use cred_testing::value::{fresh, id, store, value};

use crate::client::sdk;
use crate::server::{config, provider, server};

#[tokio::test]
#[ignore = "needs a real server: cargo xtask test-integration aws"]
async fn a_store_over_a_scheduled_secret_is_refused_if_configured() {
    let provider = provider(config().with_over_deleted(AwsOverDeleted::Refuse), server());
    let ctx = CredentialContext::unscoped();
    store(&provider, "key", 1).await.unwrap();
    provider.delete(&id("key"), &ctx).await.unwrap();
    let error = store(&provider, "key", 2).await.unwrap_err();
    assert!(matches!(error.kind(), StorageErrorKind::InvalidRequest { .. }), "{error}");
    assert!(error.to_string().contains("scheduled for deletion"), "{error}");
    assert!(!error.may_have_written());
    let soft = provider.soft_delete().unwrap();
    soft.recover(&id("key"), &ctx).await.unwrap();
    assert_eq!(provider.retrieve(&id("key"), &ctx).await.unwrap(), value(1));
}

#[tokio::test]
#[ignore = "needs a real server: cargo xtask test-integration aws"]
async fn a_secret_scheduled_by_another_client_is_restored_even_if_deletions_are_permanent() {
    let config = config().with_recovery_window_days(None);
    let name = format!("{}key", config.secret_prefix);
    let provider = provider(config, server());
    store(&provider, "key", 1).await.unwrap();
    sdk(server()).delete_secret().secret_id(name).recovery_window_in_days(7).send().await.unwrap();
    assert!(!provider.exists(&id("key"), &CredentialContext::unscoped()).await.unwrap());
    store(&provider, "key", 2).await.unwrap();
    assert_eq!(provider.retrieve(&id("key"), &CredentialContext::unscoped()).await.unwrap(), value(2));
}

#[tokio::test]
#[ignore = "needs a real server: cargo xtask test-integration aws"]
async fn a_new_secret_has_the_requested_tags_key_and_description() {
    let config = config().with_default_tags([("team", "payments")]).with_kms_key_id("alias/credentials");
    let prefix = config.secret_prefix.clone();
    let provider = provider(config, server());
    let Sealed { data, mut metadata } = value(1);
    metadata.tags.insert("env", "prod").unwrap();
    provider.store(&id("key"), data, metadata, &CredentialContext::unscoped()).await.unwrap();
    let secret = sdk(server()).describe_secret().secret_id(format!("{prefix}key")).send().await.unwrap();
    let mut tags: Vec<_> =
        secret.tags().iter().map(|tag| (tag.key().unwrap(), tag.value().unwrap())).collect();
    tags.sort_unstable();
    assert_eq!(tags, [("env", "prod"), ("team", "payments")]);
    assert_eq!(secret.kms_key_id(), Some("alias/credentials"));
    assert_eq!(secret.description(), None);
}

#[tokio::test]
#[ignore = "needs a real server: cargo xtask test-integration aws"]
async fn tags_are_updated_from_the_metadata_and_tags_of_others_stay() {
    let config = config();
    let name = format!("{}key", config.secret_prefix);
    let (provider, sdk, ctx) = (provider(config, server()), sdk(server()), CredentialContext::unscoped());
    let store = async |tags: &[(&str, &str)]| {
        let Sealed { data, mut metadata } = value(1);
        tags.iter().for_each(|(key, value)| drop(metadata.tags.insert(*key, *value).unwrap()));
        provider.store(&id("key"), data, metadata, &ctx).await.unwrap();
    };
    let tags = async || {
        let secret = sdk.describe_secret().secret_id(&name).send().await.unwrap();
        let pair = |tag: &Tag| (tag.key().unwrap().to_owned(), tag.value().unwrap().to_owned());
        secret.tags().iter().map(pair).collect::<BTreeMap<_, _>>()
    };
    let expected = |all: &[(&str, &str)]| {
        all.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>()
    };
    store(&[("env", "dev"), ("owner", "alice@example.com")]).await;
    let other = Tag::builder().key("cost-centre").value("7").build();
    sdk.tag_resource().secret_id(&name).tags(other).send().await.unwrap();
    store(&[("env", "prod"), ("tier", "1")]).await;
    assert_eq!(tags().await, expected(&[("cost-centre", "7"), ("env", "prod"), ("tier", "1")]));
    // The secret is restored with its previous tags, which are then updated.
    provider.delete(&id("key"), &ctx).await.unwrap();
    store(&[]).await;
    assert_eq!(tags().await, expected(&[("cost-centre", "7")]));
}

#[tokio::test]
#[ignore = "needs a real server: cargo xtask test-integration aws"]
async fn a_path_too_long_for_a_name_is_listed_even_if_its_description_was_changed() {
    let config = config();
    let prefix = config.secret_prefix.clone();
    let provider = provider(config, server());
    let scope: ScopeId = format!("org:{}", "a".repeat(400)).parse().unwrap();
    let ctx = CredentialContext::from(Some(scope.clone()));
    let long = id(&"k".repeat(255));
    let Sealed { data, metadata } = value(1);
    provider.store(&long, data, metadata, &ctx).await.unwrap();
    assert_eq!(provider.list(None, &ctx).await.unwrap(), std::slice::from_ref(&long));
    let sdk = sdk(server());
    let listed = sdk
        .list_secrets()
        .filters(aws_sdk_secretsmanager::types::Filter::builder().key("name".into()).values(&prefix).build());
    let listed = listed.send().await.unwrap();
    let secret = listed.secret_list().first().unwrap();
    assert!(secret.name().unwrap().starts_with(&format!("{prefix}@h")), "{secret:?}");
    assert_eq!(secret.description(), Some(format!("{scope}/{long}").as_str()));
    sdk.update_secret().secret_id(secret.name().unwrap()).description(fresh()).send().await.unwrap();
    assert_eq!(provider.list(None, &ctx).await.unwrap(), std::slice::from_ref(&long));
    // The next store corrects the description.
    let Sealed { data, metadata } = value(2);
    provider.store(&long, data, metadata, &ctx).await.unwrap();
    let secret = sdk.describe_secret().secret_id(secret.name().unwrap()).send().await.unwrap();
    assert_eq!(secret.description(), Some(format!("{scope}/{long}").as_str()));
}

#[tokio::test]
#[ignore = "needs a real server: cargo xtask test-integration aws"]
async fn secrets_of_other_programs_are_not_credentials() {
    let config = config();
    let prefix = config.secret_prefix.clone();
    let provider = provider(config, server());
    let sdk = sdk(server());
    let binary = aws_sdk_secretsmanager::primitives::Blob::new([0, 159, 146]);
    for name in ["not+an+id", "folder/key"] {
        sdk.create_secret().name(format!("{prefix}{name}")).secret_string("x").send().await.unwrap();
    }
    sdk.create_secret().name(format!("{prefix}binary")).secret_binary(binary).send().await.unwrap();
    store(&provider, "key", 1).await.unwrap();
    let ctx = CredentialContext::unscoped();
    let error = provider.retrieve(&id("binary"), &ctx).await.unwrap_err();
    assert!(matches!(error.kind(), StorageErrorKind::Corrupted { .. }), "{error}");
    let listed = provider.list_tree(None, &ctx).await.unwrap();
    assert_eq!(listed.len(), 2, "`key` and, by its name, `binary`: {listed:?}");
}
