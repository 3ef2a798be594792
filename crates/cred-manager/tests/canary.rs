//! A secret is sent through every operation, every error, `tracing` at TRACE and a panic, and must come out nowhere.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails by panic says what it must")]

mod doubles;

use std::fmt::{Debug, Write as _};
use std::io;
use std::sync::{Arc, Mutex};

use cred_core::{
    Consistency, Credential, CredentialContext, ExposeSecret as _, Opened, PathRef, SecretString,
    StorageProvider as _, Tags, Timestamp, field,
};
use cred_manager::crypto::{KeyRing, SealingKey};
use cred_manager::{CredentialManager, ManagerError};
use doubles::backend::Backend;
use doubles::{id, memory};
use tracing_subscriber::fmt::MakeWriter;

const CANARY: &str = "canary-7f3a91";

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// All that a value could print of itself.
fn print(out: &mut String, value: &impl Debug) {
    writeln!(out, "{value:?} {value:#?}").unwrap();
}

fn print_error(out: &mut String, error: &ManagerError) {
    print(out, error);
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        writeln!(out, "{error} {error:?}").unwrap();
        cause = error.source();
    }
}

#[tokio::test]
async fn a_secret_comes_out_of_nothing() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone());
    let subscriber = subscriber.with_span_events(tracing_subscriber::fmt::format::FmtSpan::FULL).finish();
    // Of every thread: the test is alone in its process.
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let mut out = String::new();

    // The types that can hold one.
    let key = SealingKey::from_bytes(cred_core::Zeroizing::new(*b"canary-7f3a91-canary-7f3a91-key!"));
    print(&mut out, &key);
    let keys = Arc::new(
        KeyRing::builder("main".parse().unwrap()).key("main".parse().unwrap(), key).build().unwrap(),
    );
    print(&mut out, &keys);
    let secret = SecretString::from(CANARY);
    print(&mut out, &secret);
    let credentials = [
        Credential::text(CANARY),
        Credential::opaque(CANARY.as_bytes().to_vec()),
        Credential::username_password(CANARY, CANARY),
        Credential::oauth2_token(CANARY, CANARY),
        Credential::key_pair(CANARY.as_bytes().to_vec(), CANARY.as_bytes().to_vec()),
        Credential::typed("typed".parse().unwrap(), &vec![CANARY]).unwrap(),
        Credential::custom("mine".parse().unwrap())
            .with_field("f".parse().unwrap(), CANARY.as_bytes().to_vec()),
    ];
    print(&mut out, &credentials);
    print(&mut out, &Opened::new(Default::default(), cred_core::Zeroizing::new(CANARY.as_bytes().to_vec())));

    // Every operation, over a backend that works.
    let provider = memory();
    let builder = CredentialManager::builder().storage(Arc::new(provider.clone())).keys(keys.clone());
    let builder = builder.cache_ttl(std::time::Duration::from_secs(60));
    print(&mut out, &builder);
    let manager = builder.build();
    print(&mut out, &manager);
    for credential in &credentials {
        manager.store(&id("a"), credential.clone()).await.unwrap();
        print(&mut out, &manager.retrieve(&id("a")).await);
        print(&mut out, &manager.refresh(&id("a")).await);
        print(&mut out, &manager.rotate(&id("a"), credential.clone()).await);
        print(&mut out, &manager.store_if_absent(&id("a"), credential.clone()).await);
        print(&mut out, &manager.validate(&id("a")).await);
        print_error(
            &mut out,
            &ManagerError::from(
                provider.retrieve(&id("b"), &CredentialContext::unscoped()).await.unwrap_err(),
            ),
        );
    }
    print(&mut out, &manager.store_batch(vec![(id("b"), Credential::text(CANARY))]).await);
    print(&mut out, &manager.retrieve_batch(vec![id("a"), id("b")]).await);
    print(&mut out, &manager.rekey(false, |_| ()).await);
    print(&mut out, &manager.cache_stats());
    print(&mut out, &provider.retrieve(&id("a"), &CredentialContext::unscoped()).await);

    // Every way to fail.
    let typed = manager.retrieve(&id("a")).await.unwrap().unwrap();
    print(&mut out, &typed.to_typed::<u64>());
    print(&mut out, &typed.expose_text(CANARY_FIELD));
    provider.edit_payload(PathRef::new(None, &id("b")), |payload| {
        payload.splice(0..1, *b"canary-7f3a91").for_each(drop)
    });
    manager.clear_cache().unwrap();
    print_error(&mut out, &manager.retrieve(&id("b")).await.unwrap_err());
    provider.edit_payload(PathRef::new(None, &id("b")), |payload| {
        *payload = br#"{"version":"canary-7f3a91"}"#.to_vec()
    });
    print_error(&mut out, &manager.retrieve(&id("b")).await.unwrap_err());
    let root = CredentialContext::unscoped();
    let (data, metadata) = provider.retrieve(&id("a"), &root).await.unwrap();
    provider.store(&id("c"), data.clone(), metadata.clone(), &root).await.unwrap();
    print_error(&mut out, &manager.retrieve(&id("c")).await.unwrap_err());
    provider
        .store(&id("a"), data, metadata.with_tags(Tags::new()).with_expires_at(Timestamp::now()), &root)
        .await
        .unwrap();
    manager.clear_cache().unwrap();
    print_error(&mut out, &manager.retrieve(&id("a")).await.unwrap_err());
    print(&mut out, &cred_core::CredentialId::new(format!("{CANARY} as an id")));
    print(&mut out, &cred_core::ScopeId::new(CANARY));
    print(&mut out, &SealingKey::from_base64(CANARY));
    let backend = Backend::new(Consistency::Strong);
    let failing = CredentialManager::builder().storage(backend.clone()).keys(keys).build();
    backend.behave(|behaviour| behaviour.writes_land_late = Some(std::time::Duration::ZERO));
    print_error(&mut out, &failing.store(&id("a"), Credential::text(CANARY)).await.unwrap_err());

    // A panic that has a credential at hand.
    let panicked = tokio::spawn(async { panic!("{:?}", Credential::text(CANARY)) }).await.unwrap_err();
    print(&mut out, &panicked.into_panic().downcast_ref::<String>());

    let log = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    assert!(
        log.contains("operation=\"store\"") && log.contains("outcome=\"ok\"") && log.contains("id=\"a\""),
        "{log}"
    );
    assert!(out.contains("[REDACTED]"), "nothing was printed");
    for (what, text) in [("output", &out), ("log", &log)] {
        assert!(!text.contains("7f3a91"), "the {what} holds the secret");
        // As bytes in decimal, as a derived Debug prints them.
        assert!(!text.contains("99, 97, 110, 97, 114, 121, 45"), "the {what} holds the secret's bytes");
    }
    assert_eq!(secret.expose_secret(), CANARY);
    assert_eq!(Credential::text(CANARY).expose_text(field::VALUE).unwrap(), CANARY);
}

const CANARY_FIELD: &str = "no-such-field";
