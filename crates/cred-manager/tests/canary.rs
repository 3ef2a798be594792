//! A secret is sent through every operation, every error, `tracing` at TRACE and a panic. No output
//! may contain it.
#![cfg(test)]

mod doubles;

use std::sync::Arc;

use cred_core::{
    Consistency, Credential, CredentialContext, ExposeSecret as _, Opened, PathRef, Sealed, SecretString,
    StorageProvider as _, Tags, Timestamp, field,
};
use cred_manager::crypto::{KeyRing, SealingKey};
use cred_manager::{CredentialManager, ManagerError};
use cred_testing::log::Log;
use cred_testing::printed::Printed;
use doubles::backend::Backend;
use doubles::{id, memory};

const CANARY: &str = "canary-7f3a91";

#[tokio::test]
async fn no_output_contains_a_secret() {
    let (log, mut printed) = (Log::of_process(), Printed::default());

    // The types that can contain one.
    let key = SealingKey::from_bytes(cred_core::Zeroizing::new(*b"canary-7f3a91-canary-7f3a91-key!"));
    printed.value(&key);
    let keys = Arc::new(
        KeyRing::builder("main".parse().unwrap()).key("main".parse().unwrap(), key).build().unwrap(),
    );
    printed.value(&keys);
    let secret = SecretString::from(CANARY);
    printed.value(&secret);
    let credentials = [
        Credential::text(CANARY),
        Credential::opaque(CANARY.as_bytes().to_vec()),
        Credential::username_password(CANARY, CANARY),
        Credential::oauth2_token(CANARY, CANARY),
        Credential::key_pair(CANARY.as_bytes().to_vec(), CANARY.as_bytes().to_vec()),
        Credential::custom("mine".parse().unwrap())
            .with_field("f".parse().unwrap(), CANARY.as_bytes().to_vec()),
    ];
    printed.value(&credentials);
    printed.value(&Opened::new(Default::default(), cred_core::Zeroizing::new(CANARY.as_bytes().to_vec())));

    // Every operation, over a backend that works.
    let provider = memory();
    let builder = CredentialManager::builder().storage(provider.clone()).keys(keys.clone());
    let builder = builder.cache_ttl(std::time::Duration::from_secs(60));
    printed.value(&builder);
    let manager = builder.build();
    printed.value(&manager);
    for credential in &credentials {
        manager.store(&id("a"), credential.clone()).await.unwrap();
        printed.value(&manager.retrieve(&id("a")).await);
        printed.value(&manager.refresh(&id("a")).await);
        printed.value(&manager.rotate(&id("a"), credential.clone()).await);
        printed.value(&manager.store_if_absent(&id("a"), credential.clone()).await);
        let versioned = manager.retrieve_versioned(&id("a")).await.unwrap().unwrap();
        printed.value(&versioned);
        printed.value(&manager.store_if(&id("a"), &versioned.revision, credential.clone()).await);
        printed
            .error(&manager.store_if(&id("a"), &versioned.revision, credential.clone()).await.unwrap_err());
        printed.value(&manager.update(&id("a"), Credential::clone).await);
        printed.value(&manager.validate(&id("a")).await);
        let absent = provider.retrieve(&id("b"), &CredentialContext::unscoped()).await.unwrap_err();
        printed.error(&ManagerError::from(absent));
    }
    printed.value(&manager.store_batch(vec![(id("b"), Credential::text(CANARY))]).await);
    printed.value(&manager.retrieve_batch(&[id("a"), id("b")]).await);
    printed.value(&manager.rekey().await);
    printed.value(&manager.cache_stats());
    printed.value(&provider.retrieve(&id("a"), &CredentialContext::unscoped()).await);

    // Every way to fail.
    let custom = manager.retrieve(&id("a")).await.unwrap().unwrap();
    printed.value(&custom.expose_login());
    printed.value(&custom.expose_text(CANARY_FIELD));
    provider.edit_payload(PathRef::new(None, &id("b")), |payload| {
        payload.splice(0..1, *b"canary-7f3a91").for_each(drop)
    });
    manager.clear_cache().unwrap();
    printed.error(&manager.retrieve(&id("b")).await.unwrap_err());
    provider.edit_payload(PathRef::new(None, &id("b")), |payload| {
        *payload = br#"{"version":"canary-7f3a91"}"#.to_vec()
    });
    printed.error(&manager.retrieve(&id("b")).await.unwrap_err());
    let root = CredentialContext::unscoped();
    let Sealed { data, metadata } = provider.retrieve(&id("a"), &root).await.unwrap();
    provider.store(&id("c"), data.clone(), metadata.clone(), &root).await.unwrap();
    printed.error(&manager.retrieve(&id("c")).await.unwrap_err());
    provider
        .store(&id("a"), data, metadata.with_tags(Tags::new()).with_expires_at(Timestamp::now()), &root)
        .await
        .unwrap();
    manager.clear_cache().unwrap();
    printed.error(&manager.retrieve(&id("a")).await.unwrap_err());
    printed.value(&cred_core::CredentialId::new(format!("{CANARY} as an id")));
    printed.value(&CANARY.parse::<cred_core::ScopeId>());
    printed.value(&SealingKey::from_base64(CANARY));
    let backend = Backend::new(Consistency::Strong);
    let failing = CredentialManager::builder().storage(backend.clone()).keys(keys).build();
    backend.behave(|behaviour| behaviour.writes_land_late = Some(std::time::Duration::ZERO));
    printed.error(&failing.store(&id("a"), Credential::text(CANARY)).await.unwrap_err());

    // A panic with a credential in scope.
    let panicked = tokio::spawn(async { panic!("{:?}", Credential::text(CANARY)) }).await.unwrap_err();
    printed.value(&panicked.into_panic().downcast_ref::<String>());

    let log = log.text();
    assert!(
        log.contains("operation=\"store\"") && log.contains("outcome=\"ok\"") && log.contains("id=\"a\""),
        "{log}"
    );
    assert!(printed.contains("[REDACTED]"), "nothing was printed");
    printed.text(log);
    // As text, and as bytes in decimal, as a derived Debug prints them.
    printed.holds_none_of(&["7f3a91", "99, 97, 110, 97, 114, 121, 45"]);
    assert_eq!(secret.expose_secret(), CANARY);
    assert_eq!(Credential::text(CANARY).expose_text(field::VALUE).unwrap(), CANARY);
}

const CANARY_FIELD: &str = "no-such-field";
