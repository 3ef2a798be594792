//! Reads with a revision, and writes only over the revision that was read.
#![cfg(test)]

mod doubles;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cred_core::{Consistency, Credential, Operation, Revision, RotationPolicy, StorageErrorKind, Versioned};
use cred_manager::{CredentialManager, ManagerError};
use cred_store_memory::{MemoryStorageConfig, MemoryStorageProvider};
use doubles::backend::Backend;
use doubles::metered::Metered;
use doubles::{cached, id, keys, manager, memory, over, text};
use futures_util::future::join_all;

async fn read(manager: &CredentialManager, name: &str) -> Versioned<Credential> {
    manager.retrieve_versioned(&id(name)).await.unwrap().unwrap()
}

fn kind(error: &ManagerError) -> &StorageErrorKind {
    let ManagerError::Storage(error) = error else { panic!("{error}") };
    error.kind()
}

fn is_conflict(error: &ManagerError) -> bool {
    matches!(kind(error), StorageErrorKind::Conflict { .. }) && !error.may_have_written()
}

fn plus_one(counter: &Credential) -> Credential {
    Credential::text((text(counter).parse::<u64>().unwrap() + 1).to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_updates_of_two_managers_lose_none() {
    const EACH: u64 = 25;
    let (provider, keys) = (memory(), keys());
    let managers = [over(provider.clone(), &keys), over(provider, &keys)];
    managers[0].store(&id("counter"), Credential::text("0")).await.unwrap();
    let tasks = (0..8).map(|number| {
        let manager = managers[number % 2].clone();
        tokio::spawn(async move {
            let mut done = 0;
            while done < EACH {
                match manager.update(&id("counter"), plus_one).await {
                    Ok(_) => done += 1,
                    Err(error) => assert!(is_conflict(&error), "{error}"),
                }
            }
        })
    });
    join_all(tasks).await.into_iter().for_each(Result::unwrap);
    let counter = read(&managers[1], "counter").await.value;
    assert_eq!(text(&counter), (8 * EACH).to_string());
    assert_eq!(counter.lifecycle().unwrap().version, 1 + 8 * EACH);
}

#[tokio::test]
async fn an_update_keeps_what_it_does_not_change() {
    let manager = manager(memory());
    let first = Credential::text("1").with_tag("env", "prod").unwrap();
    manager.store(&id("a"), first).await.unwrap();
    let stored = read(&manager, "a").await.value;
    let add = |old: &Credential| old.clone().with_tag("team", "x").unwrap();
    let updated = manager.update(&id("a"), add).await.unwrap();
    assert_eq!((updated.version, updated.created_at), (2, stored.lifecycle().unwrap().created_at));
    let read = read(&manager, "a").await.value;
    assert_eq!((&read, read.lifecycle()), (&stored.with_tag("team", "x").unwrap(), Some(updated)));
}

#[tokio::test]
async fn a_change_of_tags_does_not_postpone_a_rotation() {
    let (manager, a) = (manager(memory()), id("a"));
    let periodic = RotationPolicy::periodic(Duration::from_secs(3_600));
    manager.store(&a, Credential::text("1").with_rotation(periodic)).await.unwrap();
    let modified = async || read(&manager, "a").await.value.lifecycle().unwrap().last_modified;
    let first = modified().await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    manager.update(&a, |old| old.clone().with_tag("team", "x").unwrap()).await.unwrap();
    assert_eq!(modified().await, first, "an update");
    let seen = read(&manager, "a").await;
    manager.store_if(&a, &seen.revision, seen.value).await.unwrap();
    assert_eq!(modified().await, first, "a conditional store");
    manager.update(&a, plus_one).await.unwrap();
    let second = modified().await;
    assert!(second > first, "another secret");
    tokio::time::sleep(Duration::from_millis(5)).await;
    manager.rotate(&a, Credential::text("2")).await.unwrap();
    assert!(modified().await > second, "a rotation to an equal secret");
}

#[tokio::test]
async fn an_update_is_repeated_after_a_conflict_but_not_forever() {
    for (conflicts, expected) in [(5, Ok(2)), (6, Err(6))] {
        let provider = Metered::new(true, Duration::ZERO);
        let manager = over(provider.clone(), &keys());
        manager.store(&id("a"), Credential::text("1")).await.unwrap();
        let met = AtomicUsize::new(0);
        provider.refuse(move |operation, _| {
            let conflict = || StorageErrorKind::Conflict { reason: "as another process might".into() };
            let is_one = operation == Operation::StoreIf && met.fetch_add(1, Ordering::SeqCst) < conflicts;
            is_one.then(conflict)
        });
        let mut made = 0;
        let change = |old: &Credential| {
            made += 1;
            plus_one(old)
        };
        let answer = manager.update(&id("a"), change).await;
        let answer = answer.map(|updated| updated.version).map_err(|error| {
            assert!(is_conflict(&error), "{error}");
            made
        });
        assert_eq!(answer, expected);
        assert_eq!(made, 6);
    }
}

#[tokio::test]
async fn an_update_of_nothing_is_not_found() {
    let manager = manager(memory());
    let error = manager.update(&id("a"), Credential::clone).await.unwrap_err();
    assert_eq!(kind(&error), &StorageErrorKind::NotFound);
    assert!(manager.retrieve_versioned(&id("a")).await.unwrap().is_none());
}

#[tokio::test]
async fn without_a_revision_it_creates_once_and_returns_the_revision() {
    let provider = Metered::new(true, Duration::ZERO);
    let (manager, a) = (over(provider.clone(), &keys()), id("a"));
    let first = manager.store_if(&a, None, Credential::text("1")).await.unwrap();
    assert_eq!(provider.calls(), 1);
    let stored = read(&manager, "a").await;
    assert_eq!((text(&stored.value), &stored.revision), ("1", &first));
    assert_eq!(stored.value.lifecycle().unwrap().version, 1);
    let error = manager.store_if(&a, None, Credential::text("2")).await.unwrap_err();
    assert!(is_conflict(&error), "{error}");
    manager.store_if(&a, &first, Credential::text("2")).await.unwrap();
}

#[tokio::test]
async fn a_manager_reports_what_its_backend_supports() {
    for conditional in [true, false] {
        let manager = over(Metered::new(conditional, Duration::ZERO), &keys());
        manager.store(&id("a"), Credential::text("1")).await.unwrap();
        assert_eq!(manager.supports_conditional_updates(), conditional);
        assert_eq!(manager.update(&id("a"), plus_one).await.is_ok(), conditional);
    }
    for soft_delete in [true, false] {
        let config = MemoryStorageConfig::default().with_soft_delete(soft_delete);
        let manager = manager(MemoryStorageProvider::new(config).unwrap());
        assert_eq!(manager.supports_recovery(), soft_delete);
        assert_eq!(manager.list_deleted().await.is_ok(), soft_delete);
    }
}

#[tokio::test]
async fn only_the_stored_revision_is_stored_over() {
    let provider = Metered::new(true, Duration::ZERO);
    let (manager, a) = (over(provider.clone(), &keys()), id("a"));
    manager.store(&a, Credential::text("1")).await.unwrap();
    let first = read(&manager, "a").await;
    let before = provider.calls();
    let second = manager.store_if(&a, &first.revision, Credential::text("2")).await.unwrap();
    assert_eq!(provider.calls() - before, 2);
    let stored = read(&manager, "a").await;
    assert_eq!((text(&stored.value), &stored.revision), ("2", &second));
    let (old, new) = (first.value.lifecycle().unwrap(), stored.value.lifecycle().unwrap());
    assert_eq!((new.version, new.created_at), (2, old.created_at));

    manager.delete(&a).await.unwrap();
    let gone = manager.store_if(&a, &second, Credential::text("3")).await.unwrap_err();
    assert!(manager.retrieve(&a).await.unwrap().is_none());
    manager.store(&a, Credential::text("2")).await.unwrap();
    // A made-up revision of a client never reaches the backend.
    provider.refuse(|operation, _| {
        (operation == Operation::StoreIf).then(|| StorageErrorKind::Other { reason: "it was sent".into() })
    });
    for error in [
        gone,
        manager.store_if(&a, &first.revision, Credential::text("3")).await.unwrap_err(),
        manager.store_if(&a, &second, Credential::text("3")).await.unwrap_err(),
        manager.store_if(&a, &Revision::new("1 or 1=1"), Credential::text("3")).await.unwrap_err(),
    ] {
        assert!(is_conflict(&error), "{error}");
        assert!(error.to_string().starts_with("could not conditionally store credential `a` in"), "{error}");
    }
    assert_eq!(text(&read(&manager, "a").await.value), "2");
}

/// Between the read of the manager and its write, too.
#[tokio::test]
async fn one_of_several_stores_over_one_revision_succeeds() {
    let (provider, keys, a) = (memory(), keys(), id("a"));
    let managers: Vec<_> = (0..4).map(|_| over(provider.clone(), &keys)).collect();
    managers[0].store(&a, Credential::text("first")).await.unwrap();
    let seen = read(&managers[0], "a").await.revision;
    let stores =
        (0..8).map(|number| managers[number % 4].store_if(&a, &seen, Credential::text(number.to_string())));
    let answers = join_all(stores).await;
    assert!(answers.iter().filter_map(|answer| answer.as_ref().err()).all(is_conflict));
    let won: Vec<_> = answers.iter().enumerate().filter(|(_, answer)| answer.is_ok()).collect();
    let [(number, Ok(revision))] = won[..] else { panic!("{won:?}") };
    let stored = read(&managers[1], "a").await;
    assert_eq!((text(&stored.value), &stored.revision), (number.to_string().as_str(), revision));
}

#[tokio::test]
async fn a_revision_is_never_that_of_a_cached_value_and_a_conditional_write_replaces_that() {
    let (manager, a) = (cached(), id("a"));
    manager.store(&a, Credential::text("1")).await.unwrap();
    let first = read(&manager, "a").await.revision;
    manager.retrieve(&a).await.unwrap();
    let second = manager.store_if(&a, &first, Credential::text("2")).await.unwrap();
    assert_eq!(text(&manager.retrieve(&a).await.unwrap().unwrap()), "2");
    assert_eq!(read(&manager, "a").await.revision, second);
    manager.update(&a, plus_one).await.unwrap();
    assert_eq!(text(&manager.retrieve(&a).await.unwrap().unwrap()), "3");
    assert_eq!(manager.cache_stats().unwrap().hits, 0);
    assert_ne!(read(&manager, "a").await.revision, second);
}

#[tokio::test]
async fn without_compare_and_set_the_error_names_the_alternative() {
    let backend = Backend::new(Consistency::Strong);
    let (manager, a) = (over(Arc::clone(&backend), &keys()), id("a"));
    manager.store(&a, Credential::text("1")).await.unwrap();
    for error in [
        manager.retrieve_versioned(&a).await.map(drop).unwrap_err(),
        manager.store_if(&a, &Revision::new("1"), Credential::text("2")).await.map(drop).unwrap_err(),
        manager.update(&a, plus_one).await.map(drop).unwrap_err(),
    ] {
        assert!(matches!(kind(&error), StorageErrorKind::Unsupported { .. }), "{error}");
        assert!(
            error.to_string().contains("no compare-and-set, or its configuration turns it off; use"),
            "{error}"
        );
        assert!(error.to_string().contains("credential `a` in backend") && !error.may_have_written());
    }
    assert_eq!(backend.reads(), 0);
    assert_eq!(text(&manager.retrieve(&a).await.unwrap().unwrap()), "1");
}

#[tokio::test]
async fn a_manager_that_was_shut_down_writes_nothing() {
    let (manager, a) = (manager(memory()), id("a"));
    manager.store(&a, Credential::text("1")).await.unwrap();
    let seen = read(&manager, "a").await.revision;
    manager.shutdown().await.unwrap();
    for error in [
        manager.retrieve_versioned(&a).await.map(drop).unwrap_err(),
        manager.store_if(&a, &seen, Credential::text("2")).await.map(drop).unwrap_err(),
        manager.update(&a, plus_one).await.map(drop).unwrap_err(),
    ] {
        assert!(matches!(error, ManagerError::ShutDown), "{error}");
    }
}
