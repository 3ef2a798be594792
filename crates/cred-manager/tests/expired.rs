//! Expired credentials: returned, logged or refused.
#![cfg(test)]

mod doubles;

use std::sync::Arc;
use std::time::Duration;

use cred_core::{Consistency, Credential, ErrorClass, Timestamp};
use cred_manager::crypto::KeyRing;
use cred_manager::{CredentialManager, Finding, ManagerError, OnExpired};
use cred_testing::log::Log;
use doubles::backend::Backend;
use doubles::{id, keys, over, results, text};
use tokio::time::sleep;
use tracing::Level;

const TTL: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);
const SINCE: &str = "2020-01-31T00:00:00Z";

fn expired(value: &str) -> Credential {
    Credential::text(value).with_expires_at(SINCE.parse::<Timestamp>().unwrap())
}

fn manager(
    backend: &Arc<Backend>,
    keys: &Arc<KeyRing>,
    ttl: Duration,
    choice: OnExpired,
) -> CredentialManager {
    let builder = CredentialManager::builder().storage(backend.clone()).keys(keys.clone());
    builder.cache_ttl(ttl).on_expired(choice).build()
}

#[tokio::test(start_paused = true)]
async fn an_expired_credential_is_logged_once_for_each_load() {
    let backend = Backend::new(Consistency::Strong);
    let builder = CredentialManager::builder().storage(backend).keys(keys());
    let manager = builder.cache_ttl(TTL).build().scoped("org:a".parse().unwrap()).unwrap();
    manager.store(&id("key"), expired("canary-7f3a91")).await.unwrap();
    let (log, listening) = Log::of_thread(Level::WARN);
    for _ in 0..5 {
        manager.retrieve(&id("key")).await.unwrap().unwrap();
    }
    let once = log.text();
    sleep(2 * SECOND).await;
    manager.retrieve(&id("key")).await.unwrap().unwrap();
    drop(listening);
    assert_eq!(once.lines().count(), 1, "{once}");
    for part in ["WARN cred: ", "scope=\"org:a\"", "id=\"key\"", SINCE] {
        assert!(once.contains(part), "{part} is missing in {once}");
    }
    assert!(!once.contains("7f3a91"), "{once}");
    assert_eq!(log.text().lines().count(), 2, "it was loaded again after a second");
}

#[tokio::test(start_paused = true)]
async fn on_expired_applies_to_every_kind_of_read() {
    for (batch, ttl) in [(1, TTL), (1, Duration::ZERO), (3, TTL), (3, Duration::ZERO)] {
        for (choice, is_logged) in
            [(OnExpired::Return, false), (OnExpired::Warn, true), (OnExpired::Refuse, false)]
        {
            let backend = Backend::with_batch(Consistency::Strong, batch);
            let manager = manager(&backend, &keys(), ttl, choice);
            manager.store(&id("old"), expired("x")).await.unwrap();
            manager.store(&id("new"), Credential::text("x")).await.unwrap();
            let (log, listening) = Log::of_thread(Level::WARN);
            let mut reads = vec![manager.retrieve(&id("old")).await];
            reads.push(manager.refresh(&id("old")).await);
            manager.clear_cache().unwrap();
            let mut answers = results(manager.retrieve_batch(&[id("new"), id("old")]).await);
            reads.extend(answers.pop());
            drop(listening);
            let case = format!("batch {batch}, ttl {ttl:?}, {choice:?}");
            assert_eq!(log.text().lines().count(), if is_logged { 3 } else { 0 }, "{case}");
            assert!(matches!(answers.as_slice(), [Ok(Some(_))]), "{case}");
            for read in reads {
                match read {
                    Ok(Some(_)) => assert_ne!(choice, OnExpired::Refuse, "{case}"),
                    Err(error @ ManagerError::Expired { .. }) => {
                        assert_eq!(choice, OnExpired::Refuse, "{case}");
                        assert_eq!(error.class(), ErrorClass::Broken);
                        assert!(
                            error.to_string().contains("`old` expired at 2020-01-31T00:00:00Z"),
                            "{error}"
                        );
                    }
                    other => panic!("{case}: {other:?}"),
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_expired_credential_can_be_validated_rotated_and_rekeyed() {
    let (backend, keys) = (Backend::new(Consistency::Strong), keys());
    let manager = manager(&backend, &keys, TTL, OnExpired::Refuse);
    manager.store(&id("a"), expired("1")).await.unwrap();
    assert!(manager.retrieve(&id("a")).await.is_err());
    assert_eq!(manager.cache_stats().unwrap().size, 0, "a refused credential was cached");
    assert!(matches!(manager.validate(&id("a")).await.unwrap().findings(), [Finding::Expired { .. }]));
    assert_eq!(manager.rekey().dry_run(true).await.unwrap().failed, 0);
    let later = Timestamp::now().saturating_add(TTL);
    manager.rotate(&id("a"), Credential::text("2").with_expires_at(later)).await.unwrap();
    assert_eq!(text(&manager.retrieve(&id("a")).await.unwrap().unwrap()), "2");
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_finds_a_refused_credential_removes_the_one_before() {
    let (backend, keys) = (Backend::new(Consistency::Strong), keys());
    let manager = manager(&backend, &keys, TTL, OnExpired::Refuse);
    manager.store(&id("a"), Credential::text("1")).await.unwrap();
    manager.retrieve(&id("a")).await.unwrap().unwrap();
    over(backend, &keys).store(&id("a"), expired("2")).await.unwrap();
    assert!(matches!(manager.refresh(&id("a")).await, Err(ManagerError::Expired { .. })));
    assert!(matches!(manager.retrieve(&id("a")).await, Err(ManagerError::Expired { .. })));
    assert_eq!(manager.cache_stats().unwrap().failures, 0);
}
