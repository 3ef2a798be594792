//! Writes of one path run one at a time, in call order, and outlive their callers.
#![cfg(test)]

mod doubles;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use cred_core::{Credential, CredentialId, Operation, StorageErrorKind, field};
use cred_manager::{CredentialManager, ManagerError};
use cred_testing::log::Log;
use doubles::metered::Metered;
use doubles::sealer::{Fault, Faulty};
use doubles::{Gated, Then, begun, id, keys, manager, memory};
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use tokio::task::coop;
use tokio::time::sleep;
use tracing::Level;

/// Memory whose writes wait unless the gate is open, a manager over it, and an id.
fn gated(open: bool) -> (Arc<Gated>, CredentialManager, CredentialId) {
    let gated = Gated::new(open);
    (gated.clone(), manager(gated), id("a"))
}

async fn value(manager: &CredentialManager, name: &str) -> Option<String> {
    let credential = manager.retrieve(&id(name)).await.unwrap()?;
    Some(credential.expose_text(field::VALUE).unwrap().to_owned())
}

fn is_in_doubt(error: &ManagerError) -> bool {
    matches!(error, ManagerError::Storage(error) if matches!(error.kind(), StorageErrorKind::InDoubt { .. }))
}

#[tokio::test]
async fn the_last_of_many_concurrent_writes_is_stored() {
    let (gated, manager, a) = gated(false);
    let writes = join_all((0..100).map(|number| manager.store(&a, Credential::text(number.to_string()))));
    gated.admit(100);
    assert!(writes.await.iter().all(Result::is_ok));
    assert_eq!(value(&manager, "a").await.as_deref(), Some("99"), "a later write was overtaken");
    assert_eq!(gated.most_running.load(Ordering::SeqCst), 1, "two writes of one path at once");
}

/// Before tokio 1.54, a task whose cooperative budget was spent did not join a mutex's queue when
/// it polled the lock.
#[tokio::test]
async fn a_write_of_a_task_without_budget_keeps_its_order() {
    for locked in [false, true] {
        let (gated, manager, a) = gated(false);
        let earlier = locked.then(|| begun(manager.store(&a, Credential::text("0"))));
        while coop::has_budget_remaining() {
            coop::consume_budget().now_or_never();
        }
        let first = begun(manager.store(&a, Credential::text("1")));
        // The next poll of this test's task has a new budget.
        tokio::task::yield_now().await;
        assert!(coop::has_budget_remaining());
        let second = begun(manager.store(&a, Credential::text("2")));
        drop(earlier);
        gated.admit(9);
        let (second, first) = tokio::join!(second, first);
        first.and(second).unwrap();
        assert_eq!(value(&manager, "a").await.as_deref(), Some("2"), "locked before: {locked}");
    }
}

#[tokio::test]
async fn a_delete_keeps_its_order_among_stores() {
    let (_, manager, a) = gated(true);
    let (first, second, third) = tokio::join!(
        manager.store(&a, Credential::text("1")),
        manager.delete(&a),
        manager.store(&a, Credential::text("2"))
    );
    first.and(second).and(third).unwrap();
    assert_eq!(value(&manager, "a").await.as_deref(), Some("2"));
}

#[tokio::test]
async fn a_write_does_not_block_other_paths() {
    let gated = Gated::new(false);
    let manager = manager(gated.clone());
    let tenant = manager.scoped("org:a".parse().unwrap()).unwrap();
    let (a, b) = (id("a"), id("b"));
    let writes = join_all([
        manager.store(&a, Credential::text("1")).boxed(),
        manager.store(&b, Credential::text("1")).boxed(),
        tenant.store(&a, Credential::text("1")).boxed(),
    ]);
    let (answers, ()) = tokio::join!(writes, async {
        gated.until_entered(3).await;
        gated.admit(3);
    });
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(gated.most_running.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_started_write_outlives_its_caller() {
    let (gated, manager, a) = gated(false);
    let store = begun(manager.store(&a, Credential::text("1")));
    gated.until_entered(1).await;
    drop(store);
    // The next write of the path waits for the one whose caller was dropped.
    let mut next = Box::pin(manager.store(&a, Credential::text("2")));
    for _ in 0..100 {
        assert!((&mut next).now_or_never().is_none());
        tokio::task::yield_now().await;
    }
    assert_eq!(gated.entered.load(Ordering::SeqCst), 1);
    gated.admit(2);
    next.await.unwrap();
    assert_eq!(value(&manager, "a").await.as_deref(), Some("2"));
    assert_eq!(gated.entered.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_caller_dropped_while_waiting_has_written_nothing() {
    let (gated, manager, a) = gated(false);
    let first = begun(manager.store(&a, Credential::text("1")));
    let second = begun(manager.store(&a, Credential::text("2")));
    drop(second);
    gated.admit(10);
    first.await.unwrap();
    manager.shutdown().await.unwrap();
    assert_eq!(gated.entered.load(Ordering::SeqCst), 1);
}

/// The log of a write that ends in this way, while its caller waits or after it was dropped.
async fn logged(then: Then, caller_leaves: bool) -> String {
    let (gated, manager, a) = gated(false);
    *gated.then.lock().unwrap() = then;
    let (log, listening) = Log::of_thread(Level::WARN);
    let store = begun(manager.store(&a, Credential::text("canary-7f3a91")));
    gated.until_entered(1).await;
    let caller = (!caller_leaves).then_some(store);
    gated.admit(1);
    if let Some(store) = caller {
        assert_eq!(store.await.is_ok(), then == Then::Answer);
    }
    manager.shutdown().await.unwrap();
    drop(listening);
    log.text()
}

#[tokio::test(start_paused = true)]
async fn a_failure_after_the_caller_was_dropped_is_logged() {
    for (then, reason) in [(Then::Panic, "panicked"), (Then::LoseTheAnswer, "no answer")] {
        assert_eq!(logged(then, false).await, "", "{then:?}: the caller has the error");
        let log = logged(then, true).await;
        assert_eq!(log.lines().count(), 1, "{then:?}: {log}");
        for part in
            ["WARN ", "cred: ", "operation=\"store\"", "path=a", "outcome of the write is unknown", reason]
        {
            assert!(log.contains(part), "{then:?}: {part} is missing in {log}");
        }
        assert!(!log.contains("7f3a91"), "{log}");
    }
    assert_eq!(logged(Then::Answer, true).await, "", "it has not failed");
}

#[tokio::test]
async fn a_failure_that_its_caller_never_read_is_logged() {
    let (gated, manager, a) = gated(true);
    *gated.then.lock().unwrap() = Then::Panic;
    let (log, listening) = Log::of_thread(Level::WARN);
    let store = begun(manager.store(&a, Credential::text("1")));
    manager.shutdown().await.unwrap();
    assert_eq!(log.text(), "", "the caller may still read it");
    drop(store);
    drop(listening);
    assert!(log.text().contains("the provider panicked"), "{}", log.text());
}

#[tokio::test(start_paused = true)]
async fn only_a_failure_is_logged_after_the_caller_was_dropped() {
    let conflict = || StorageErrorKind::Conflict { reason: "a credential exists".into() };
    for operation in ["store_if_absent", "rotate"] {
        let provider = Metered::new(true, Duration::from_secs(1));
        let manager = manager(provider.clone());
        manager.store(&id("a"), Credential::text("1")).await.unwrap();
        provider.refuse(move |operation, _| (operation == Operation::StoreIf).then(conflict));
        let (log, listening) = Log::of_thread(Level::WARN);
        let a = id("a");
        let mut write = match operation {
            "rotate" => manager.rotate(&a, Credential::text("2")).map(drop).boxed(),
            _ => manager.store_if_absent(&a, Credential::text("2")).map(drop).boxed(),
        };
        let calls = provider.calls();
        let write_begins = if operation == "rotate" { 2 } else { 1 };
        while provider.calls() < calls + write_begins {
            assert!((&mut write).now_or_never().is_none());
            sleep(Duration::from_millis(10)).await;
        }
        drop(write);
        manager.shutdown().await.unwrap();
        drop(listening);
        let is_logged = log.text().contains("operation=\"rotate\"");
        assert_eq!(is_logged, operation == "rotate", "{operation}: {}", log.text());
        assert_eq!(log.text().is_empty(), operation != "rotate", "that one exists is an answer");
    }
}

#[tokio::test]
async fn a_panicking_provider_is_an_unknown_outcome_and_the_path_stays_usable() {
    let (gated, manager, a) = gated(true);
    *gated.then.lock().unwrap() = Then::Panic;
    let error = manager.store(&a, Credential::text("1")).await.unwrap_err();
    assert!(is_in_doubt(&error) && error.may_have_written(), "{error}");
    assert!(error.to_string().contains("could not store credential `a` in gated"), "{error}");
    *gated.then.lock().unwrap() = Then::Answer;
    manager.store(&a, Credential::text("2")).await.unwrap();
    assert_eq!(value(&manager, "a").await.as_deref(), Some("2"));
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_never_returns_is_an_unknown_outcome_after_its_timeout() {
    let (gated, manager, a) = gated(true);
    *gated.then.lock().unwrap() = Then::LoseTheAnswer;
    let started = tokio::time::Instant::now();
    let error = manager.store(&a, Credential::text("1")).await.unwrap_err();
    assert!(is_in_doubt(&error), "{error}");
    assert_eq!(started.elapsed().as_secs(), 11, "its operation_timeout of 10 s and the margin");
    *gated.then.lock().unwrap() = Then::Answer;
    manager.store(&a, Credential::text("2")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stalled_sealer_fails_in_time_with_nothing_written() {
    let provider = memory();
    let stalled = Faulty::new(Fault::Stalls);
    let stuck = CredentialManager::builder().storage(provider.clone()).keys(stalled).build();
    let error = stuck.store(&id("a"), Credential::text("1")).await.unwrap_err();
    assert!(matches!(error, ManagerError::Seal(_)) && error.is_transient() && !error.may_have_written());
    assert_eq!(value(&manager(provider), "a").await, None);
}

#[tokio::test]
async fn shutdown_waits_for_running_writes_and_refuses_later_ones() {
    let (gated, manager, a) = gated(false);
    let store = begun(manager.store(&a, Credential::text("1")));
    gated.until_entered(1).await;
    drop(store);

    let shutdown = begun(manager.shutdown());
    let clone = manager.clone();
    assert!(matches!(clone.store(&a, Credential::text("2")).await, Err(ManagerError::ShutDown)));
    assert!(matches!(clone.retrieve(&a).await, Err(ManagerError::ShutDown)));
    assert!(matches!(clone.delete(&a).await, Err(ManagerError::ShutDown)));
    assert!(matches!(clone.list().await, Err(ManagerError::ShutDown)));
    gated.admit(9);
    shutdown.await.unwrap();
    assert!(gated.shut_down.load(Ordering::SeqCst));
    assert!(
        gated.inner().clone().edit_payload(cred_core::PathRef::new(None, &a), |_| ()),
        "the write was lost"
    );
    manager.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_write_that_waits_for_the_lock_at_shutdown_writes_nothing() {
    let (gated, manager, a) = gated(false);
    let mut first = Box::pin(manager.store(&a, Credential::text("1")));
    let mut second = Box::pin(manager.store(&a, Credential::text("2")));
    assert!((&mut first).now_or_never().is_none());
    assert!((&mut second).now_or_never().is_none());
    let (closed, first, second, ()) = tokio::join!(manager.shutdown(), first, second, async {
        gated.until_entered(1).await;
        gated.admit(9);
    });
    closed.and(first).unwrap();
    assert!(matches!(second, Err(ManagerError::ShutDown)), "{second:?}");
    assert_eq!(gated.entered.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_scoped_handle_cannot_shut_down_what_other_tenants_use() {
    let manager = CredentialManager::builder().storage(memory()).keys(keys()).build();
    let tenant = manager.scoped("org:a".parse().unwrap()).unwrap();
    assert!(matches!(tenant.shutdown().await, Err(ManagerError::RootOnly { .. })));
    tenant.store(&id("a"), Credential::text("1")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_write_that_is_not_polled_does_not_block_its_path_forever() {
    let provider = Gated::new(false);
    let manager = manager(provider.clone());
    let id = id("a");
    let first = begun(manager.store(&id, Credential::text("1")));
    let kept = begun(manager.store(&id, Credential::text("2")));
    provider.admit(9);
    first.await.unwrap();
    let started = tokio::time::Instant::now();
    let error = manager.store(&id, Credential::text("3")).await.unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(60), "it waited {:?}", started.elapsed());
    assert!(error.is_transient() && !error.may_have_written(), "{error}");
    assert!(error.to_string().contains("credential `a`"), "{error}");
    drop(kept);
    manager.store(&id, Credential::text("3")).await.unwrap();
}
