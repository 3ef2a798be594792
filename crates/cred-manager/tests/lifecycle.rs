//! Rotation, validation, conditional stores, and the scope operations of the contract.
#![cfg(test)]

mod doubles;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use cred_core::{
    Consistency, CreatedBy, Credential, CredentialContext, CredentialFilter, CredentialPath, ErrorClass,
    PathRef, RotationPolicy, Sealed, Sealer, StorageErrorKind, StorageProvider, Timestamp,
};
use cred_manager::crypto::KeyRing;
use cred_manager::{CredentialManager, Finding, ListOptions, ManagerError, ValidationResult};
use doubles::backend::Backend;
use doubles::metered::Metered;
use doubles::sealer::{Fault, Faulty};
use doubles::{id, keys, lagging, manager, memory, old_and_new, over, results, text};
use futures_util::future::join_all;
use tokio::time::{Instant, sleep};

/// Writes become visible three seconds after their response.
const LAGGING: Consistency =
    Consistency::Eventual { point: Duration::from_secs(3), list: Duration::from_secs(3) };

#[tokio::test]
async fn a_rotation_keeps_the_creation_time_and_increases_the_version() {
    let manager = manager(memory());
    manager.store(&id("a"), Credential::text("1").with_tag("env", "prod").unwrap()).await.unwrap();
    let first = manager.retrieve(&id("a")).await.unwrap().unwrap().lifecycle().unwrap();
    let second = manager.rotate(&id("a"), Credential::text("2")).await.unwrap();
    assert_eq!((second.created_at, second.version), (first.created_at, 2));
    let read = manager.retrieve(&id("a")).await.unwrap().unwrap();
    assert_eq!((text(&read), read.lifecycle()), ("2", Some(second)));
}

/// The creator that the credential `a` records.
async fn creator(manager: &CredentialManager) -> Option<String> {
    let read = manager.retrieve(&id("a")).await.unwrap().unwrap();
    read.lifecycle().unwrap().created_by.map(String::from)
}

#[tokio::test]
async fn the_first_writer_is_recorded_and_later_ones_are_not() {
    let (storage, keys) = (memory(), keys());
    let named = |name: &'static str| {
        let builder = CredentialManager::builder().storage(storage.clone()).keys(keys.clone());
        builder.created_by(CreatedBy::from_static(name)).build()
    };
    let (payments, billing, unnamed) = (named("payments"), named("billing"), over(storage.clone(), &keys));
    let next = |_: &Credential| Credential::text("2");
    payments.store(&id("a"), Credential::text("1")).await.unwrap();
    for manager in [&billing, &unnamed] {
        let rotated = manager.rotate(&id("a"), Credential::text("2")).await.unwrap();
        assert_eq!(rotated.created_by, Some(CreatedBy::from_static("payments")));
        manager.rotate_with(&id("a"), next).await.unwrap();
        assert_eq!(creator(manager).await.as_deref(), Some("payments"));
        manager.update(&id("a"), next).await.unwrap();
        let seen = manager.retrieve_versioned(&id("a")).await.unwrap().unwrap();
        manager.store_if(&id("a"), &seen.revision, Credential::text("3")).await.unwrap();
        assert_eq!(creator(manager).await.as_deref(), Some("payments"));
    }
    assert!(!billing.store_if_absent(&id("a"), Credential::text("4")).await.unwrap());
    assert_eq!(billing.metadata(&id("a")).await.unwrap().unwrap().created_by.unwrap().as_str(), "payments");

    // Without a cache, a plain store does not know the creator and the creation time that it
    // replaces.
    billing.store(&id("a"), Credential::text("5")).await.unwrap();
    assert_eq!(creator(&billing).await.as_deref(), Some("billing"));
    unnamed.store(&id("a"), Credential::text("6")).await.unwrap();
    billing.rotate(&id("a"), Credential::text("7")).await.unwrap();
    assert_eq!(creator(&billing).await, None, "it was not recorded at first");

    let tenant = payments.scoped("org:a".parse().unwrap()).unwrap();
    assert!(tenant.store_if_absent(&id("a"), Credential::text("1")).await.unwrap());
    assert_eq!(creator(&tenant).await.as_deref(), Some("payments"));
    billing.delete(&id("a")).await.unwrap();
    billing.store_batch(vec![(id("a"), Credential::text("1"))]).await;
    assert_eq!(creator(&billing).await.as_deref(), Some("billing"));
}

#[tokio::test]
async fn a_rekey_keeps_the_creator() {
    let (old, new) = old_and_new();
    let storage = memory();
    let named = |keys: Arc<KeyRing>, name: &'static str| {
        let builder = CredentialManager::builder().storage(storage.clone()).keys(keys);
        builder.created_by(CreatedBy::from_static(name)).build()
    };
    named(Arc::clone(&old), "payments").store(&id("a"), Credential::text("1")).await.unwrap();
    let manager = named(new, "billing");
    assert!(manager.rekey().await.unwrap().is_complete());
    assert_eq!(creator(&manager).await.as_deref(), Some("payments"));
}

#[tokio::test]
async fn a_rotation_keeps_what_the_new_credential_does_not_set() {
    let manager = manager(memory());
    let soon = Timestamp::now().saturating_add(Duration::from_secs(600));
    let daily = RotationPolicy::periodic(Duration::from_secs(86_400));
    let first = Credential::text("1").with_tag("env", "prod").unwrap();
    manager.store(&id("a"), first.with_expires_at(soon).with_rotation(daily)).await.unwrap();
    manager.rotate(&id("a"), Credential::text("2")).await.unwrap();
    let kept = manager.retrieve(&id("a")).await.unwrap().unwrap();
    assert_eq!(text(&kept), "2");
    assert_eq!(kept.tags().get("env").map(String::as_str), Some("prod"));
    assert_eq!((kept.expires_at(), kept.rotation()), (Some(soon), Some(daily)));

    let later = soon.saturating_add(Duration::from_secs(600));
    let hourly = RotationPolicy::periodic(Duration::from_secs(3_600));
    let second = Credential::text("3").with_tag("team", "a").unwrap();
    manager.rotate(&id("a"), second.with_expires_at(later).with_rotation(hourly)).await.unwrap();
    let replaced = manager.retrieve(&id("a")).await.unwrap().unwrap();
    assert_eq!(replaced.tags().get("env"), None, "tags are kept or replaced as a whole");
    assert_eq!((replaced.expires_at(), replaced.rotation()), (Some(later), Some(hourly)));

    manager.store(&id("a"), Credential::text("4")).await.unwrap();
    let dropped = manager.retrieve(&id("a")).await.unwrap().unwrap();
    assert!(dropped.tags().is_empty() && dropped.expires_at().is_none() && dropped.rotation().is_none());
}

/// Else one host with a clock of the far future would keep all later rotations from being due.
#[tokio::test]
async fn a_rotation_uses_the_manager_clock() {
    let (provider, keys) = (memory(), keys());
    let manager = over(provider.clone(), &keys);
    let (a, root) = (id("a"), CredentialContext::unscoped());
    manager.store(&a, Credential::text("1")).await.unwrap();
    let Sealed { data, mut metadata } = provider.retrieve(&a, &root).await.unwrap();
    let opened = keys.open(PathRef::new(None, &a), &data, &metadata).await.unwrap();
    metadata.last_modified = Timestamp::now().saturating_add(Duration::from_secs(80 * 365 * 86_400));
    let data = keys.seal(PathRef::new(None, &a), &metadata, &opened.secret).await.unwrap();
    provider.store(&a, data, metadata, &root).await.unwrap();
    let daily = RotationPolicy::periodic(Duration::from_secs(86_400));
    let rotated = manager.rotate(&a, Credential::text("2").with_rotation(daily)).await.unwrap();
    assert_eq!(rotated.version, 2);
    assert!(rotated.last_modified <= Timestamp::now(), "{rotated:?}");
}

#[tokio::test]
async fn a_rotation_of_nothing_is_not_found() {
    let manager = manager(memory());
    let error = manager.rotate(&id("a"), Credential::text("1")).await.unwrap_err();
    assert!(matches!(&error, ManagerError::Storage(error) if error.is_not_found()), "{error}");
    assert!(manager.list().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_rotation_from_the_old_value_is_repeated_after_a_conflict() {
    let provider = Metered::new(true, Duration::ZERO);
    let manager = over(provider.clone(), &keys());
    let login = Credential::username_password("app", "0").with_tag("env", "prod").unwrap();
    manager.store(&id("a"), login).await.unwrap();
    // The read and the write of the first attempt are the calls after the store.
    let first_write = provider.calls() + 1;
    provider.refuse(move |_, before| {
        (before == first_write).then(|| StorageErrorKind::Conflict { reason: "another revision".into() })
    });
    let mut renewals = 0;
    let renew = |old: &Credential| {
        renewals += 1;
        Credential::username_password(old.expose_login().unwrap().username, "1")
    };
    assert_eq!(manager.rotate_with(&id("a"), renew).await.unwrap().version, 2);
    assert_eq!(renewals, 2);
    let read = manager.retrieve(&id("a")).await.unwrap().unwrap();
    let login = read.expose_login().unwrap();
    assert_eq!((login.username, login.password), ("app", "1"));
    assert_eq!(read.tags().get("env").map(String::as_str), Some("prod"));
    let absent = manager.rotate_with(&id("b"), Credential::clone).await.unwrap_err();
    assert_eq!(absent.class(), ErrorClass::NotFound);
}

#[tokio::test]
async fn rotations_from_the_old_value_by_several_managers_lose_nothing() {
    let (provider, keys) = (memory(), keys());
    let managers: Vec<_> = (0..4).map(|_| over(provider.clone(), &keys)).collect();
    managers[0].store(&id("a"), Credential::text("0")).await.unwrap();
    let a = id("a");
    let add_one = |old: &Credential| Credential::text((text(old).parse::<u32>().unwrap() + 1).to_string());
    let rotations = managers.iter().map(|manager| manager.rotate_with(&a, add_one));
    assert!(join_all(rotations).await.iter().all(Result::is_ok));
    assert_eq!(text(&managers[0].retrieve(&a).await.unwrap().unwrap()), "4");
}

#[tokio::test]
async fn rotations_by_several_managers_each_get_a_different_version() {
    let (provider, keys) = (memory(), keys());
    let managers: Vec<_> = (0..4).map(|_| over(provider.clone(), &keys)).collect();
    managers[0].store(&id("a"), Credential::text("first")).await.unwrap();
    let a = id("a");
    let rotations = managers.iter().map(|manager| manager.rotate(&a, Credential::text("next")));
    let mut versions: Vec<_> =
        join_all(rotations).await.into_iter().map(|done| done.unwrap().version).collect();
    versions.sort_unstable();
    assert_eq!(versions, [2, 3, 4, 5]);
}

#[tokio::test(start_paused = true)]
async fn without_compare_and_set_rotations_of_one_manager_are_still_in_order() {
    let backend = Backend::new(Consistency::Strong);
    let manager = over(backend.clone(), &keys());
    manager.store(&id("a"), Credential::text("first")).await.unwrap();
    backend.behave(|behaviour| behaviour.write_takes = Duration::from_secs(1));
    let a = id("a");
    let rotations = (0..4).map(|_| manager.rotate(&a, Credential::text("next")));
    let versions: Vec<_> = join_all(rotations).await.into_iter().map(|done| done.unwrap().version).collect();
    assert_eq!(versions, [2, 3, 4, 5]);
}

#[tokio::test]
async fn one_of_several_managers_that_store_if_absent_succeeds() {
    let (provider, keys) = (memory(), keys());
    let managers: Vec<_> = (0..4).map(|_| over(provider.clone(), &keys)).collect();
    let a = id("a");
    let stores =
        (0..4).map(|number| managers[number].store_if_absent(&a, Credential::text(number.to_string())));
    let done: Vec<bool> = join_all(stores).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(done.iter().filter(|stored| **stored).count(), 1, "{done:?}");
    let winner = done.iter().position(|stored| *stored).unwrap().to_string();
    assert_eq!(text(&managers[0].retrieve(&a).await.unwrap().unwrap()), winner);

    managers[0].delete(&a).await.unwrap();
    assert!(managers[1].store_if_absent(&a, Credential::text("again")).await.unwrap());
    assert_eq!(text(&managers[1].retrieve(&a).await.unwrap().unwrap()), "again");
}

#[tokio::test(start_paused = true)]
async fn without_compare_and_set_store_if_absent_still_respects_own_writes() {
    for consistency in [Consistency::Strong, LAGGING] {
        let backend = Backend::new(consistency);
        let manager = over(backend.clone(), &keys());
        backend.behave(|behaviour| {
            behaviour.write_takes = Duration::from_secs(1);
            behaviour.lag = consistency.point();
        });
        let a = id("a");
        let (before, there, absent) = tokio::join!(
            manager.store(&a, Credential::text("before")),
            manager.store_if_absent(&a, Credential::text("late")),
            async {
                let done = manager.store_if_absent(&id("b"), Credential::text("b")).await;
                (done, manager.store_if_absent(&id("b"), Credential::text("late")).await)
            }
        );
        before.unwrap();
        assert!(!there.unwrap(), "it stored over a store of the same manager: {consistency:?}");
        assert!(absent.0.unwrap() && !absent.1.unwrap(), "{consistency:?}");
        sleep(Duration::from_secs(10)).await;
        assert_eq!(text(&manager.retrieve(&a).await.unwrap().unwrap()), "before");
    }
}

#[tokio::test]
async fn an_existing_credential_that_does_not_open_is_not_replaced() {
    let provider = memory();
    let theirs = over(provider.clone(), &keys());
    theirs.store(&id("a"), Credential::text("theirs")).await.unwrap();
    assert!(!over(provider, &keys()).store_if_absent(&id("a"), Credential::text("mine")).await.unwrap());
    assert_eq!(text(&theirs.retrieve(&id("a")).await.unwrap().unwrap()), "theirs");
}

#[tokio::test]
async fn validation_distinguishes_every_state() {
    let provider = memory();
    let manager = manager(provider.clone());
    let now = Timestamp::now();
    let days = |days: u64| Duration::from_secs(days * 86_400);
    for (name, credential) in [
        ("valid", Credential::text("x")),
        ("soon", Credential::text("x").with_expires_at(now.saturating_add(days(3)))),
        ("later", Credential::text("x").with_expires_at(now.saturating_add(days(30)))),
        ("expired", Credential::text("x").with_expires_at(now.saturating_sub(days(1)))),
        ("due", Credential::text("x").with_rotation(RotationPolicy::periodic(Duration::ZERO))),
        ("every", {
            let expired = Credential::api_key("key\n").with_expires_at(now.saturating_sub(days(1)));
            expired.with_rotation(RotationPolicy::before_expiry(days(7)))
        }),
        ("broken", Credential::text("x")),
        ("moved", Credential::text("x")),
    ] {
        manager.store(&id(name), credential).await.unwrap();
    }
    provider.edit_payload(PathRef::new(None, &id("broken")), |payload| payload.truncate(9));
    let root = CredentialContext::unscoped();
    let Sealed { data, metadata } = provider.retrieve(&id("valid"), &root).await.unwrap();
    provider.store(&id("moved"), data, metadata, &root).await.unwrap();

    let names = ["valid", "soon", "later", "expired", "due", "every", "broken", "moved", "absent", "valid"];
    let found = results(manager.validate_batch(&names.map(id)).await);
    assert!(
        matches!(
            found.as_slice(),
            [
                ValidationResult::Valid,
                ValidationResult::NeedsAttention { .. },
                ValidationResult::Valid,
                ValidationResult::NeedsAttention { .. },
                ValidationResult::NeedsAttention { .. },
                ValidationResult::NeedsAttention { .. },
                ValidationResult::Unreadable { error: ManagerError::Storage(_) },
                ValidationResult::Unreadable { error: ManagerError::Seal(_) },
                ValidationResult::NotFound,
                ValidationResult::Valid,
            ]
        ),
        "{found:#?}"
    );
    let usable: Vec<_> = found.iter().map(ValidationResult::is_usable).collect();
    assert_eq!(usable, [true, true, true, false, true, false, false, false, false, true]);
    let findings: Vec<_> = found.iter().map(ValidationResult::findings).collect();
    assert!(
        matches!(
            findings.as_slice(),
            [
                [],
                [Finding::ExpiringSoon { .. }],
                [],
                [Finding::Expired { .. }],
                [Finding::RotationDue { .. }],
                [Finding::Expired { .. }, Finding::Malformed { .. }, Finding::RotationDue { .. }],
                [],
                [],
                [],
                [],
            ]
        ),
        "{findings:#?}"
    );
    assert!(matches!(manager.validate(&id("absent")).await, Ok(ValidationResult::NotFound)));
}

#[tokio::test(start_paused = true)]
async fn a_failed_lookup_has_a_result_and_stops_nothing() {
    let backend = Backend::new(Consistency::Strong);
    let manager = over(backend.clone(), &keys());
    backend.behave(|behaviour| behaviour.reads_fail = true);
    let found = results(manager.validate_batch(&[id("a"), id("b")]).await);
    assert!(matches!(
        found.as_slice(),
        [ValidationResult::LookupFailed { .. }, ValidationResult::LookupFailed { .. }]
    ));
    assert!(manager.validate(&id("a")).await.unwrap_err().is_transient());
}

/// A key service that refuses proves nothing about the stored data.
#[tokio::test]
async fn a_failure_of_the_key_service_is_not_a_fault_of_the_credential() {
    let sealer = Faulty::new(Fault::Refuses);
    let manager = CredentialManager::builder().storage(memory()).keys(sealer).build();
    manager.store(&id("a"), Credential::text("x")).await.unwrap();
    assert!(manager.validate(&id("a")).await.is_err());
    let found = results(manager.validate_batch(&[id("a")]).await);
    assert!(matches!(found.as_slice(), [ValidationResult::LookupFailed { .. }]), "{found:?}");
}

#[tokio::test]
async fn the_scope_operations_stay_inside_the_handle() {
    let root = manager(memory());
    let org = root.scoped("org:a".parse().unwrap()).unwrap();
    for scope in ["org:a", "org:a/team:x", "org:a/team:y", "org:ab"] {
        let handle = root.scoped(scope.parse().unwrap()).unwrap();
        handle.store(&id("same"), Credential::text(scope)).await.unwrap();
    }
    org.store(&id("own"), Credential::text("x")).await.unwrap();
    root.store(&id("free"), Credential::text("x")).await.unwrap();

    let team = "org:a/team:x".parse().unwrap();
    assert_eq!(text(&org.retrieve_scoped(&id("same"), &team).await.unwrap().unwrap()), "org:a/team:x");
    assert!(org.retrieve_scoped(&id("absent"), &team).await.unwrap().is_none());
    for (name, scope) in [("same", "org:ab"), ("absent", "org:ab"), ("same", "org:zz")] {
        let error = org.retrieve_scoped(&id(name), &scope.parse().unwrap()).await.unwrap_err();
        assert!(
            matches!(error, ManagerError::ScopeViolation { .. }),
            "the stored value must not matter: {error}"
        );
    }
    assert_eq!(org.list_scoped(&"org:a".parse().unwrap()).await.unwrap(), [id("own"), id("same")]);
    assert_eq!(org.list_scoped(&team).await.unwrap(), [id("same")]);
    assert!(org.list_scoped(&"org:ab".parse().unwrap()).await.is_err());
    let paths: Vec<_> = org.list_tree().await.unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(paths, ["org:a/own", "org:a/same", "org:a/team:x/same", "org:a/team:y/same"]);
    assert_eq!(root.list_tree().await.unwrap().len(), 6);
    assert_eq!(root.list().await.unwrap(), [id("free")]);
}

#[tokio::test]
async fn pages_of_a_list_are_sorted_bounded_and_complete() {
    let provider = Metered::new(true, Duration::ZERO);
    let root = over(provider.clone(), &keys());
    let org = root.scoped("org:a".parse().unwrap()).unwrap();
    let team = org.scoped("org:a/team:x".parse().unwrap()).unwrap();
    for number in 0..7 {
        let value = Credential::text("x").with_tag("odd", (number % 2).to_string()).unwrap();
        org.store(&id(&format!("id{number}")), value.clone()).await.unwrap();
        team.store(&id(&format!("id{number}")), value).await.unwrap();
    }
    for size in [1, 2, 3, 7, 100] {
        let limit = NonZeroUsize::new(size).unwrap();
        let (mut ids, mut options) = (Vec::new(), ListOptions::default().with_limit(limit));
        loop {
            let calls = provider.calls();
            let page = org.list_with(&options).await.unwrap();
            assert_eq!(provider.calls() - calls, 1, "each page is one list");
            assert!(page.len() <= size);
            let Some(last) = page.last() else { break };
            options = options.with_after(last.clone());
            ids.extend(page);
        }
        assert_eq!(ids, org.list().await.unwrap());

        let (mut paths, mut options) = (Vec::new(), ListOptions::default().with_limit(limit));
        loop {
            let page = root.list_tree_with(&options).await.unwrap();
            let Some(last) = page.last() else { break };
            options = options.with_after(last.clone());
            paths.extend(page);
        }
        assert_eq!((paths.len(), paths), (14, root.list_tree().await.unwrap()));
    }
    let odd = CredentialFilter::new().with_tag("odd", "1");
    let options = ListOptions::default().with_filter(odd.clone());
    assert_eq!(org.list_with(&options).await.unwrap(), ["id1", "id3", "id5"].map(id));
    let options = options.with_after(id("id2")).with_limit(NonZeroUsize::MIN);
    assert_eq!(
        org.list_with(&options).await.unwrap(),
        [id("id3")],
        "the limit counts what the filter admits"
    );
    let tree = org.list_tree_with(&ListOptions::default().with_filter(odd)).await.unwrap();
    assert_eq!(tree.len(), 6);
}

#[tokio::test]
async fn the_handle_at_a_path_reaches_what_the_tree_lists_and_is_never_wider() {
    let root = manager(memory());
    for path in ["free", "org:a/own", "org:a/team:x/same", "org:b/same"] {
        let path: CredentialPath = path.parse().unwrap();
        root.at(&path).unwrap().store(&path.id, Credential::text(path.to_string())).await.unwrap();
    }
    for path in root.list_tree().await.unwrap() {
        let handle = root.at(&path).unwrap();
        assert_eq!(handle.scope(), path.scope.as_ref());
        assert_eq!(text(&handle.retrieve(&path.id).await.unwrap().unwrap()), path.to_string());
    }
    let org = root.scoped("org:a".parse().unwrap()).unwrap();
    assert!(
        org.at(&"org:a/own".parse().unwrap()).is_ok() && org.at(&"org:a/t:y/new".parse().unwrap()).is_ok()
    );
    for (outside, named) in [("org:b/same", "`org:b`"), ("free", "credentials without a scope")] {
        let error = org.at(&outside.parse().unwrap()).unwrap_err();
        assert!(matches!(error, ManagerError::ScopeViolation { .. }), "{outside}: {error}");
        assert!(error.to_string().contains(named), "{error}");
    }
}

#[tokio::test]
async fn existence_and_metadata_are_one_call_and_open_nothing() {
    let provider = Metered::new(true, Duration::ZERO);
    let writer = over(provider.clone(), &keys());
    writer.store(&id("a"), Credential::text("x").with_tag("env", "prod").unwrap()).await.unwrap();
    // Under other keys nothing opens.
    let ttl = Duration::from_secs(60);
    let manager = CredentialManager::builder().storage(provider.clone()).keys(keys()).cache_ttl(ttl).build();
    let calls = provider.calls();
    assert!(manager.exists(&id("a")).await.unwrap() && !manager.exists(&id("b")).await.unwrap());
    assert_eq!(provider.calls() - calls, 2);
    let metadata = manager.metadata(&id("a")).await.unwrap().unwrap();
    assert_eq!((metadata.version, metadata.tags.get("env").map(String::as_str)), (1, Some("prod")));
    assert_eq!(manager.metadata(&id("b")).await.unwrap(), None);
    assert_eq!(provider.calls() - calls, 4);
    let tenant = manager.scoped("org:a".parse().unwrap()).unwrap();
    assert!(!tenant.exists(&id("a")).await.unwrap(), "another scope's");

    provider.refuse(|_, _| Some(StorageErrorKind::Unreachable { reason: "down".into() }));
    let error = manager.exists(&id("a")).await.unwrap_err();
    assert!(error.to_string().contains("credential `a` in metered"), "{error}");
    assert!(manager.metadata(&id("a")).await.unwrap_err().is_transient());
    manager.shutdown().await.unwrap();
    assert!(matches!(manager.exists(&id("a")).await, Err(ManagerError::ShutDown)));
    assert!(matches!(manager.metadata(&id("a")).await, Err(ManagerError::ShutDown)));
}

/// If the lock were held during the lag, no caller could delete a leaked credential.
#[tokio::test(start_paused = true)]
async fn an_operation_that_must_see_a_much_later_visible_write_is_busy_and_blocks_no_other() {
    let lag = Duration::from_secs(300);
    let backend = Backend::new(Consistency::Eventual { point: lag, list: lag });
    backend.behave(|behaviour| behaviour.lag = lag);
    let (_, keys) = old_and_new();
    let manager = over(backend, &keys);
    manager.store(&id("a"), Credential::text("1")).await.unwrap();
    let begun = Instant::now();
    for error in [
        manager.rotate(&id("a"), Credential::text("2")).await.unwrap_err(),
        manager.store_if_absent(&id("a"), Credential::text("2")).await.unwrap_err(),
    ] {
        let ManagerError::Storage(busy) = &error else { panic!("{error}") };
        assert!(matches!(busy.kind(), StorageErrorKind::Busy { .. }) && !error.may_have_written(), "{error}");
    }
    manager.delete(&id("a")).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    sleep(lag * 2).await;
    manager.store_if_absent(&id("a"), Credential::text("3")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn rotations_over_a_lagging_provider_see_the_write_before_them() {
    let (_, keys) = old_and_new();
    let manager = over(lagging(), &keys);
    manager.store(&id("a"), Credential::text("1")).await.unwrap();
    for version in 2..5 {
        let lifecycle = manager.rotate(&id("a"), Credential::text("x")).await.unwrap();
        assert_eq!(lifecycle.version, version);
    }
    manager.delete(&id("a")).await.unwrap();
    let error = manager.rotate(&id("a"), Credential::text("y")).await.unwrap_err();
    assert!(matches!(&error, ManagerError::Storage(error) if error.is_not_found()), "{error}");
}

#[tokio::test]
async fn a_read_that_failed_has_written_nothing() {
    let backend = Backend::new(Consistency::Strong);
    let (_, keys) = old_and_new();
    backend.behave(|behaviour| behaviour.reads_fail = true);
    let manager = over(backend, &keys);
    assert!(!manager.retrieve(&id("a")).await.unwrap_err().may_have_written());
    assert!(!manager.rotate(&id("a"), Credential::text("x")).await.unwrap_err().may_have_written());
}
