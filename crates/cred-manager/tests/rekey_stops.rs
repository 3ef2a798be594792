//! The failures that stop a re-key, and those that affect one credential.
#![cfg(test)]

mod doubles;

use std::sync::atomic::Ordering;
use std::time::Duration;

use cred_core::{Consistency, Credential, StorageErrorKind};
use cred_manager::ManagerError;
use doubles::backend::Backend;
use doubles::sealer::{Fault, Faulty};
use doubles::{begun, filled, id, old_and_new, over, with_concurrency};
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_rekey_waits_until_a_passphrase_key_can_be_derived() {
    let (provider, new) = filled(true, Duration::ZERO, 30).await;
    let started = Instant::now();
    let sealer = Faulty::with_ring(Fault::IsBusyUntil(started + 10 * SECOND), new);
    let report = with_concurrency(provider, sealer, 10).rekey().await.unwrap();
    assert_eq!((report.resealed, report.is_complete()), (30, true), "{report:?}");
    assert!(started.elapsed() < 12 * SECOND, "it waited for each: {:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_passphrase_key_that_cannot_be_derived_fails_its_own_credential() {
    let (provider, new) = filled(true, Duration::ZERO, 30).await;
    let started = Instant::now();
    let sealer = Faulty::with_ring(Fault::IsBusyUntil(started + 100_000 * SECOND), new);
    let report = with_concurrency(provider, sealer, 10).rekey().await.unwrap();
    assert_eq!((report.failed, report.not_tried), (30, 0), "{report:?}");
    assert!(report.stopped.is_none(), "{report:?}");
    assert!(report.failures.iter().all(|(_, error)| matches!(error, ManagerError::Seal(_))));
    assert!(started.elapsed() < 30 * 40 * SECOND, "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_sealer_fails_its_own_credential() {
    let (provider, new) = filled(true, Duration::ZERO, 3).await;
    let (old, _) = old_and_new();
    over(provider.inner().clone(), &old).store(&id("a"), Credential::text("x")).await.unwrap();
    let sealer = Faulty::with_ring(Fault::PanicsAtShortIds, new);
    let report = with_concurrency(provider, sealer, 1).rekey().await.unwrap();
    assert_eq!((report.resealed, report.failed, report.found), (3, 1, 4), "{report:?}");
    let (path, error) = &report.failures[0];
    assert!(path.to_string() == "a" && !error.may_have_written(), "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn panics_of_the_provider_stop_a_rekey_like_an_outage() {
    let (old, new) = old_and_new();
    let backend = Backend::new(Consistency::Strong);
    for name in 0..50 {
        over(backend.clone(), &old).store(&id(&name.to_string()), Credential::text("x")).await.unwrap();
    }
    backend.behave(|behaviour| behaviour.reads_panic = true);
    let report = over(backend, &new).rekey().await.unwrap();
    assert!((20..=29).contains(&report.failed), "{report:?}");
    assert_eq!((report.not_tried, report.stopped.is_some()), (50 - report.failed, true));
}

#[tokio::test(start_paused = true)]
async fn credentials_whose_write_lock_is_not_free_come_last_and_stop_no_rekey() {
    let (provider, new) = filled(false, Duration::from_millis(20), 100).await;
    let manager = over(provider.clone(), &new);
    provider.refuse(|operation, _| {
        operation.is_write().then_some(StorageErrorKind::Throttled { retry_after: None })
    });
    let ids: Vec<_> = (0..40).map(|name| id(&format!("{name:04}"))).collect();
    // The second store of each gets the lock from the first, and is not polled.
    let first: Vec<_> = ids.iter().map(|id| begun(manager.store(id, Credential::text("y")))).collect();
    let mut held: Vec<_> = ids.iter().map(|id| begun(manager.store(id, Credential::text("z")))).collect();
    for store in first {
        store.await.unwrap_err();
    }
    provider.refuse(|_, _| None);
    let release = async {
        sleep(60 * SECOND).await;
        held.truncate(10);
    };
    let (report, ()) = tokio::join!(manager.rekey(), release);
    let report = report.unwrap();
    assert_eq!((report.resealed, report.failed, report.not_tried), (90, 10, 0), "{report:?}");
    assert!(report.stopped.is_none(), "{report:?}");
    for (_, error) in &report.failures {
        let ManagerError::Storage(storage) = error else { panic!("{error}") };
        assert!(matches!(storage.kind(), StorageErrorKind::Busy { .. }), "{error}");
        assert!(!error.may_have_written(), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn reads_of_current_credentials_do_not_hide_failing_writes() {
    for conditional in [true, false] {
        let (provider, new) = filled(conditional, Duration::ZERO, 1_000).await;
        let current = over(provider.inner().clone(), &new);
        for name in (0..1_000).step_by(10) {
            current.store(&id(&format!("{name:04}")), Credential::text("x")).await.unwrap();
        }
        provider.loses_answers.store(true, Ordering::SeqCst);
        let report = over(provider, &new).rekey().await.unwrap();
        assert!(report.not_tried > 950 && report.stopped.is_some(), "{report:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn reading_back_counts_its_failures_from_zero() {
    let (provider, new) = filled(false, Duration::ZERO, 100).await;
    // A list, three calls for each of 50, 20 failures that stop it, and one while it reads back.
    provider.refuse(|_, before| {
        (before > 150 && before <= 171).then(|| StorageErrorKind::Unreachable { reason: "down".into() })
    });
    let report = with_concurrency(provider, new, 1).rekey().await.unwrap();
    assert_eq!((report.resealed, report.failed, report.not_tried), (49, 21, 30), "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn a_complete_rekey_did_not_stop_early() {
    let (provider, new) = filled(true, Duration::from_millis(20), 1).await;
    let manager = over(provider, &new);
    let shutdown = async {
        // While it writes.
        sleep(Duration::from_millis(50)).await;
        manager.shutdown().await.unwrap();
    };
    let (report, ()) = tokio::join!(manager.rekey(), shutdown);
    let report = report.unwrap();
    assert!(report.is_complete() && report.stopped.is_none(), "{report:?}");
}
