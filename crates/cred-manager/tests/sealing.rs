//! Stored values are sealed, and bound to their path, metadata and key.
#![cfg(test)]

mod doubles;

use cred_core::{
    Credential, CredentialContext, CredentialFilter, PathRef, RotationPolicy, SealError, Sealed,
    StorageErrorKind, StorageProvider as _, Timestamp, field,
};
use cred_manager::{CredentialManager, ManagerError};
use doubles::{id, keys, manager, memory};

fn scoped(text: &str) -> CredentialContext {
    CredentialContext::scoped(text.parse().unwrap())
}

#[tokio::test]
async fn every_part_of_a_credential_is_read_back() {
    let manager = manager(memory());
    let stored = Credential::username_password("app", "hunter2")
        .with_field("note".parse().unwrap(), vec![0, 255])
        .with_tag("env", "prod")
        .unwrap()
        .with_expires_at(Timestamp::from_unix_millis(5))
        .with_rotation(RotationPolicy::Manual);
    manager.store(&id("login"), stored.clone()).await.unwrap();
    let read = manager.retrieve(&id("login")).await.unwrap().unwrap();
    assert_eq!(read, stored);
    assert_eq!(read.lifecycle().unwrap().version, 1);
    assert!(stored.lifecycle().is_none());
    manager.delete(&id("login")).await.unwrap();
    assert!(manager.retrieve(&id("login")).await.unwrap().is_none());
    assert!(manager.list().await.unwrap().is_empty());
}

#[tokio::test]
async fn the_provider_never_sees_the_secret() {
    let provider = memory();
    manager(provider.clone()).store(&id("a"), Credential::text("canary-value")).await.unwrap();
    let mut seen = Vec::new();
    assert!(provider.edit_payload(PathRef::new(None, &id("a")), |payload| seen = payload.clone()));
    assert!(!seen.windows(6).any(|window| window == b"canary"));
    assert!(seen.len() > 100, "nothing was looked at");
}

#[tokio::test]
async fn a_credential_moved_to_another_id_or_tenant_does_not_open() {
    let provider = memory();
    let manager = manager(provider.clone());
    let a = manager.scoped("org:a".parse().unwrap()).unwrap();
    a.store(&id("key"), Credential::text("of a")).await.unwrap();
    let Sealed { data, metadata } = provider.retrieve(&id("key"), &scoped("org:a")).await.unwrap();
    for (to, ctx) in [
        (id("other"), scoped("org:a")),
        (id("key"), scoped("org:b")),
        (id("key"), scoped("org:a/team:x")),
        (id("key"), CredentialContext::unscoped()),
    ] {
        provider.store(&to, data.clone(), metadata.clone(), &ctx).await.unwrap();
        let handle = match ctx.scope_id.clone() {
            Some(scope) => manager.scoped(scope).unwrap(),
            None => manager.clone(),
        };
        let error = handle.retrieve(&to).await.unwrap_err();
        assert!(matches!(error, ManagerError::Seal(SealError::Tampered { .. })), "{error}");
        assert!(error.to_string().contains(&ctx.path(&to).to_string()), "{error}");
        assert!(error.to_string().contains("moved, edited or damaged"), "{error}");
    }
}

#[tokio::test]
async fn an_edited_tag_or_expiry_does_not_open() {
    let provider = memory();
    let manager = manager(provider.clone());
    let credential = Credential::text("x")
        .with_tag("env", "prod")
        .unwrap()
        .with_expires_at(Timestamp::from_unix_millis(5));
    manager.store(&id("a"), credential).await.unwrap();
    let root = CredentialContext::unscoped();
    let Sealed { data, metadata } = provider.retrieve(&id("a"), &root).await.unwrap();
    let mut tags = metadata.tags.clone();
    tags.insert("env", "test").unwrap();
    for edited in [
        metadata.clone().with_tags(tags),
        metadata.clone().with_tags(cred_core::Tags::new()),
        metadata.clone().with_expires_at(None),
    ] {
        provider.store(&id("a"), data.clone(), edited, &root).await.unwrap();
        let error = manager.retrieve(&id("a")).await.unwrap_err();
        assert!(matches!(error, ManagerError::Seal(SealError::Tampered { .. })), "{error}");
    }
    provider.store(&id("a"), data, metadata, &root).await.unwrap();
    assert!(manager.retrieve(&id("a")).await.unwrap().is_some());
}

#[tokio::test]
async fn a_wrong_key_and_a_missing_key_are_different_errors() {
    let provider = memory();
    manager(provider.clone()).store(&id("a"), Credential::text("x")).await.unwrap();
    let error = manager(provider.clone()).retrieve(&id("a")).await.unwrap_err();
    assert!(matches!(error, ManagerError::Seal(SealError::WrongKey { .. })), "{error}");

    let other = cred_manager::crypto::KeyRing::generate("other".parse().unwrap()).unwrap();
    let stranger = CredentialManager::builder().storage(provider).keys(other).build();
    let error = stranger.retrieve(&id("a")).await.unwrap_err();
    assert!(matches!(error, ManagerError::Seal(SealError::UnknownKey { .. })), "{error}");
    assert!(error.to_string().contains("`main`"), "{error}");
}

#[tokio::test]
async fn corrupted_bytes_name_the_path_and_can_be_deleted() {
    let provider = memory();
    let manager = manager(provider.clone());
    manager.store(&id("a"), Credential::text("x")).await.unwrap();
    provider.edit_payload(PathRef::new(None, &id("a")), |payload| payload.truncate(40));
    let error = manager.retrieve(&id("a")).await.unwrap_err();
    let ManagerError::Storage(storage) = &error else { panic!("{error}") };
    assert!(matches!(storage.kind(), StorageErrorKind::Corrupted { .. }));
    assert!(error.to_string().starts_with("could not retrieve credential `a` in memory: "), "{error}");
    assert_eq!(manager.list().await.unwrap(), [id("a")]);
    let filter = CredentialFilter::new().with_tag("a", "b");
    let filtered = provider.list(Some(&filter), &CredentialContext::unscoped()).await;
    assert_eq!(filtered.unwrap_err().path().unwrap().to_string(), "a");
    manager.delete(&id("a")).await.unwrap();
}

#[tokio::test]
async fn opened_bytes_that_do_not_decode_are_reported() {
    use cred_core::{CredentialMetadata, Sealer as _};
    let (provider, keys) = (memory(), keys());
    let (a, metadata) = (id("a"), CredentialMetadata::new(Timestamp::from_unix_millis(1)));
    let data = keys.seal(PathRef::new(None, &a), &metadata, b"canary: not a credential").await.unwrap();
    provider.store(&a, data, metadata, &CredentialContext::unscoped()).await.unwrap();
    let manager = CredentialManager::builder().storage(provider).keys(keys).build();
    let error = manager.retrieve(&a).await.unwrap_err();
    assert!(matches!(error, ManagerError::Credential { .. }), "{error}");
    assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
}

#[tokio::test]
async fn scopes_are_separate_and_a_handle_only_narrows() {
    let manager = manager(memory());
    let org = manager.scoped("org:a".parse().unwrap()).unwrap();
    let team = org.scoped("org:a/team:x".parse().unwrap()).unwrap();
    for (handle, value) in [(&manager, "root"), (&org, "org"), (&team, "team")] {
        handle.store(&id("key"), Credential::text(value)).await.unwrap();
    }
    for (handle, value) in [(&manager, "root"), (&org, "org"), (&team, "team")] {
        let read = handle.retrieve(&id("key")).await.unwrap().unwrap();
        assert_eq!(read.expose_text(field::VALUE).unwrap(), value);
        assert_eq!(handle.list().await.unwrap(), [id("key")]);
    }
    for outside in ["org:b", "org:ab", "org:a/team:xy", "org"] {
        let Ok(outside) = outside.parse() else { continue };
        assert!(matches!(team.scoped(outside), Err(ManagerError::ScopeViolation { .. })));
    }
    assert!(
        matches!(team.scoped("org:a".parse().unwrap()), Err(ManagerError::ScopeViolation { .. })),
        "widened"
    );
    team.delete(&id("key")).await.unwrap();
    assert!(org.retrieve(&id("key")).await.unwrap().is_some());
}
