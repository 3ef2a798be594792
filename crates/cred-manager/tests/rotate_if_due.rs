//! Rotation of due credentials, and of no others.
#![cfg(test)]

mod doubles;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cred_core::{
    Credential, CredentialContext, Operation, PathRef, RotationPolicy, Sealed, Sealer, StorageErrorKind,
    StorageProvider, Timestamp,
};
use cred_manager::crypto::KeyRing;
use cred_manager::{CredentialManager, ManagerError};
use doubles::metered::Metered;
use doubles::{id, keys, manager, memory, over, text};
use futures_util::future::join_all;

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

fn after(time: Duration) -> Timestamp {
    Timestamp::now().saturating_add(time)
}

/// A credential that expires in an hour and is due a day before that.
fn due() -> Credential {
    Credential::text("old").with_expires_at(after(HOUR)).with_rotation(RotationPolicy::before_expiry(DAY))
}

/// One that replaces it and is not due.
fn renewed(number: usize) -> Credential {
    Credential::text(number.to_string()).with_expires_at(after(30 * DAY))
}

async fn stored(manager: &CredentialManager) -> Credential {
    manager.retrieve(&id("a")).await.unwrap().unwrap()
}

/// Stores a credential that was last modified two hours ago.
async fn store_aged(provider: &impl StorageProvider, keys: &Arc<KeyRing>, policy: RotationPolicy) {
    let (a, root) = (id("a"), CredentialContext::unscoped());
    let Sealed { data, mut metadata } = provider.retrieve(&a, &root).await.unwrap();
    let path = PathRef::new(None, &a);
    let opened = keys.open(path, &data, &metadata).await.unwrap();
    metadata.last_modified = Timestamp::now().saturating_sub(2 * HOUR);
    metadata.rotation = Some(policy);
    let data = keys.seal(path, &metadata, &opened.secret).await.unwrap();
    provider.store(&a, data, metadata, &root).await.unwrap();
}

#[tokio::test]
async fn a_due_credential_is_rotated_once() {
    let provider = Metered::new(true, Duration::ZERO);
    let (manager, a) = (over(provider.clone(), &keys()), id("a"));
    manager.store(&a, due().with_tag("env", "prod").unwrap()).await.unwrap();
    let before = provider.calls();
    let rotated = manager.rotate_if_due(&a, |old| {
        assert_eq!(text(old), "old");
        renewed(1)
    });
    assert_eq!(rotated.await.unwrap().unwrap().version, 2);
    assert_eq!(provider.calls() - before, 2);
    let now = stored(&manager).await;
    assert_eq!(now.tags().get("env").map(String::as_str), Some("prod"));
    assert_eq!((text(&now), now.rotation()), ("1", Some(RotationPolicy::before_expiry(DAY))));

    let before = provider.calls();
    let again = manager.rotate_if_due(&a, |_| panic!("it is not due"));
    assert_eq!(again.await.unwrap(), None);
    assert_eq!(provider.calls() - before, 1);
}

#[tokio::test]
async fn the_policy_alone_decides() {
    let (provider, keys) = (memory(), keys());
    let manager = over(provider.clone(), &keys);
    manager.store(&id("a"), Credential::text("old")).await.unwrap();
    assert_eq!(manager.rotate_if_due(&id("a"), |_| renewed(1)).await.unwrap(), None, "no policy");
    for (policy, is_due) in [
        (RotationPolicy::periodic(HOUR), true),
        (RotationPolicy::periodic(DAY), false),
        (RotationPolicy::At { at: Timestamp::now().saturating_sub(HOUR) }, true),
        (RotationPolicy::At { at: after(HOUR) }, false),
        (RotationPolicy::Manual, false),
    ] {
        store_aged(&provider, &keys, policy).await;
        let rotated = manager.rotate_if_due(&id("a"), |_| Credential::text("new")).await.unwrap();
        assert_eq!(rotated.is_some(), is_due, "{policy}");
    }
    // An expiry that has passed does not make it due by itself.
    let expired = Credential::text("old").with_expires_at(Timestamp::now().saturating_sub(HOUR));
    manager.store(&id("a"), expired.with_rotation(RotationPolicy::periodic(DAY))).await.unwrap();
    assert_eq!(manager.rotate_if_due(&id("a"), |_| renewed(1)).await.unwrap(), None);
}

#[tokio::test]
async fn a_new_credential_that_would_be_due_at_once_is_refused() {
    let manager = manager(memory());
    manager.store(&id("a"), due()).await.unwrap();
    let error = manager.rotate_if_due(&id("a"), |_| Credential::text("new")).await.unwrap_err();
    let ManagerError::Storage(refused) = &error else { panic!("{error}") };
    assert!(matches!(refused.kind(), StorageErrorKind::InvalidRequest { .. }), "{error}");
    assert!(error.to_string().contains("`a`") && error.to_string().contains("later expiry"), "{error}");
    assert!(!error.may_have_written());
    assert_eq!(text(&stored(&manager).await), "old");
}

#[tokio::test]
async fn a_new_credential_that_has_expired_is_refused() {
    let (provider, keys) = (memory(), keys());
    let manager = over(provider.clone(), &keys);
    let expired = Credential::text("old").with_expires_at(Timestamp::now().saturating_sub(HOUR));
    manager.store(&id("a"), expired).await.unwrap();
    store_aged(&provider, &keys, RotationPolicy::periodic(HOUR)).await;
    // The new one has no expiry, so the former one would stay.
    let error = manager.rotate_if_due(&id("a"), |_| Credential::text("new")).await.unwrap_err();
    assert!(error.to_string().contains("later expiry"), "{error}");
    assert_eq!(text(&stored(&manager).await), "old");
    assert!(manager.rotate_if_due(&id("a"), |_| renewed(1)).await.unwrap().is_some());
}

#[tokio::test]
async fn one_value_is_created_however_many_conflicts_occur() {
    let provider = Metered::new(true, Duration::ZERO);
    let manager = over(provider.clone(), &keys());
    manager.store(&id("a"), due()).await.unwrap();
    let met = AtomicUsize::new(0);
    provider.refuse(move |operation, _| {
        let conflict = || StorageErrorKind::Conflict { reason: "as another process might".into() };
        let is_one = operation == Operation::StoreIf && met.fetch_add(1, Ordering::SeqCst) < 2;
        is_one.then(conflict)
    });
    let mut made = 0;
    let renew = |_: &Credential| {
        made += 1;
        renewed(made)
    };
    assert!(manager.rotate_if_due(&id("a"), renew).await.unwrap().is_some());
    assert_eq!((made, text(&stored(&manager).await)), (1, "1"));
}

/// As its documentation warns: the value must not be revoked then.
#[tokio::test]
async fn after_a_lost_response_the_new_value_may_be_stored() {
    let provider = Metered::new(true, Duration::ZERO);
    let (manager, a) = (over(provider.clone(), &keys()), id("a"));
    manager.store(&a, due()).await.unwrap();
    provider.loses_answers.store(true, Ordering::SeqCst);
    let error = manager.rotate_if_due(&a, |_| renewed(1)).await.unwrap_err();
    assert!(error.may_have_written(), "{error}");
    provider.loses_answers.store(false, Ordering::SeqCst);
    assert_eq!(text(&stored(&manager).await), "1");
}

#[tokio::test]
async fn an_absent_credential_is_not_found() {
    let error = manager(memory()).rotate_if_due(&id("a"), |_| renewed(1)).await.unwrap_err();
    assert!(matches!(&error, ManagerError::Storage(error) if error.is_not_found()), "{error}");
}

/// All of them read before the first one writes. Returns how many have rotated, and the version.
async fn rotate_from_four_processes(conditional: bool) -> (usize, u64) {
    let (provider, keys) = (Metered::new(conditional, Duration::from_millis(10)), keys());
    let managers: Vec<_> = (0..4).map(|_| over(provider.clone(), &keys)).collect();
    managers[0].store(&id("a"), due()).await.unwrap();
    let a = id("a");
    let rotate = |number: usize| managers[number].rotate_if_due(&a, move |_| renewed(number));
    let answers = join_all((0..4).map(rotate)).await;
    let rotated = answers.into_iter().filter(|answer| answer.as_ref().unwrap().is_some()).count();
    (rotated, stored(&managers[0]).await.lifecycle().unwrap().version)
}

#[tokio::test(start_paused = true)]
async fn one_of_several_processes_rotates_where_the_backend_has_compare_and_set() {
    assert_eq!(rotate_from_four_processes(true).await, (1, 2));
}

/// As its documentation warns.
#[tokio::test(start_paused = true)]
async fn several_processes_rotate_where_the_backend_has_no_compare_and_set() {
    assert_eq!(rotate_from_four_processes(false).await, (4, 2));
}

#[tokio::test(start_paused = true)]
async fn one_of_several_callers_of_a_manager_rotates_without_compare_and_set() {
    let manager = over(Metered::new(false, Duration::from_millis(10)), &keys());
    manager.store(&id("a"), due()).await.unwrap();
    let a = id("a");
    let answers = join_all((0..4).map(|number| manager.rotate_if_due(&a, move |_| renewed(number)))).await;
    let rotated: Vec<_> = answers.into_iter().map(|answer| answer.unwrap().is_some()).collect();
    assert_eq!(rotated, [true, false, false, false]);
}
