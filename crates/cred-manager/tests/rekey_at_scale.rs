//! Re-keying many credentials: the cost, when it stops early, and how it reports its progress.
#![cfg(test)]

mod doubles;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use cred_core::{
    Consistency, Credential, CredentialContext, Description, Operation, PathRef, Sealed, StorageErrorKind,
    StorageProvider,
};
use cred_manager::{ManagerError, RekeyReport};
use doubles::backend::Backend;
use doubles::sealer::{Fault, Faulty};
use doubles::{filled, id, lagging, old_and_new, over, with_concurrency};
use tokio::time::{Instant, sleep};

const CALL: Duration = Duration::from_millis(20);

#[tokio::test(start_paused = true)]
async fn a_credential_costs_two_calls_with_compare_and_set_and_four_without() {
    for (conditional, each) in [(true, 2), (false, 4)] {
        let (provider, new) = filled(conditional, CALL, 1_000).await;
        let started = Instant::now();
        let report = over(provider.clone(), &new).rekey().await.unwrap();
        assert!(report.is_complete(), "{report:?}");
        assert_eq!(provider.calls(), 1 + 1_000 * each);
        // 100,000 of them take at most 900 s.
        assert!(started.elapsed() <= Duration::from_secs(9), "{:?}", started.elapsed());
        let again = over(provider.clone(), &new).rekey().await.unwrap();
        assert_eq!(again.current, 1_000);
        assert_eq!(provider.calls(), 2 + 1_000 * (each + 1), "a current one costs one read");
    }
}

#[tokio::test(start_paused = true)]
async fn batch_concurrency_is_reached_and_not_exceeded() {
    for conditional in [true, false] {
        let (provider, new) = filled(conditional, CALL, 60).await;
        let report = with_concurrency(provider.clone(), new, 7).rekey().await.unwrap();
        assert!(report.is_complete(), "{report:?}");
        assert_eq!(provider.most_in_flight.load(Ordering::SeqCst), 7);
    }
}

#[tokio::test(start_paused = true)]
async fn a_rekey_can_set_its_own_concurrency() {
    let (provider, new) = filled(true, CALL, 60).await;
    let limit = NonZeroUsize::new(13).unwrap();
    let report = with_concurrency(provider.clone(), new, 7).rekey().concurrency(limit).await.unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(provider.most_in_flight.load(Ordering::SeqCst), 13);
}

/// As AWS: reads lag, and uncertain writes can take effect, for 300 s.
fn aws() -> Arc<Backend> {
    let lag = Duration::from_secs(300);
    let consistency = Consistency::Eventual { point: lag, list: lag };
    let description = Description::new("backend", Duration::from_secs(60));
    let backend = Backend::of(description.with_consistency(consistency).with_in_doubt(lag));
    backend.behave(|behaviour| behaviour.lag = lag);
    backend
}

#[tokio::test(start_paused = true)]
async fn credentials_that_are_stored_repeatedly_do_not_delay_a_rekey() {
    // How long before the re-key the tokens were first stored under the new key, in seconds.
    for before in [1_000, 10] {
        let (old, new) = old_and_new();
        let backend = aws();
        let resting: Vec<String> = (0..100).map(|name| format!("resting-{name}")).collect();
        let tokens: Vec<String> = (0..20).map(|name| format!("token-{name}")).collect();
        for name in resting.iter().chain(&tokens) {
            over(backend.clone(), &old).store(&id(name), Credential::text("old")).await.unwrap();
        }
        sleep(Duration::from_secs(400)).await;
        let manager = over(backend.clone(), &new);
        let renew = async {
            loop {
                for name in &tokens {
                    manager.store(&id(name), Credential::text("new")).await.unwrap();
                }
                sleep(Duration::from_secs(240)).await;
            }
        };
        let rekey = async {
            sleep(Duration::from_secs(before)).await;
            let started = Instant::now();
            let mut resting_after = None;
            let report = manager.rekey().on_progress(|report| {
                if report.to_confirm == 100 {
                    resting_after.get_or_insert(started.elapsed());
                }
            });
            let report = report.await.unwrap();
            assert!(report.is_complete(), "{report:?}");
            assert_eq!((report.resealed, report.current), (100, 20), "{report:?}");
            assert!(resting_after.unwrap() < Duration::from_secs(5), "{resting_after:?}");
            // One lag for all: until then the tokens have become visible as well.
            assert!(started.elapsed() < Duration::from_secs(305), "{:?}", started.elapsed());
        };
        tokio::select! { () = rekey => (), () = renew => unreachable!("it goes on for ever") }
    }
}

#[tokio::test(start_paused = true)]
async fn a_credential_that_is_not_visible_yet_is_not_counted_as_gone() {
    let (old, new) = old_and_new();
    let backend = lagging();
    let before = over(backend.clone(), &old);
    for name in ["a", "b"] {
        before.store(&id(name), Credential::text("old")).await.unwrap();
    }
    sleep(Duration::from_secs(60)).await;
    // `b` is not visible from 5 s on, and visible again from 9 s on.
    before.delete(&id("b")).await.unwrap();
    sleep(Duration::from_secs(4)).await;
    let manager = with_concurrency(backend.clone(), new, 1);
    manager.store(&id("b"), Credential::text("new")).await.unwrap();
    backend.behave(|behaviour| behaviour.read_takes = Duration::from_secs(1));
    sleep(Duration::from_millis(500)).await;
    let report = manager.rekey().await.unwrap();
    assert_eq!((report.found, report.resealed, report.current, report.gone), (2, 1, 1, 0), "{report:?}");
    assert!(report.is_complete(), "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn passphrase_keys_that_are_not_derived_at_once_are_derived_alone() {
    let (provider, new) = filled(true, Duration::ZERO, 20).await;
    let sealer = Faulty::with_ring(Fault::IsBusyBeyond(2), new);
    let report = with_concurrency(provider, sealer, 10).rekey().await.unwrap();
    assert_eq!((report.resealed, report.is_complete()), (20, true), "{report:?}");
}

fn unavailable() -> StorageErrorKind {
    StorageErrorKind::Unavailable { reason: "down".into(), retry_after: None }
}

fn denied() -> StorageErrorKind {
    StorageErrorKind::PermissionDenied { reason: "it may only read".into() }
}

#[tokio::test(start_paused = true)]
async fn a_dead_backend_costs_a_bounded_number_of_calls() {
    let (provider, new) = filled(true, Duration::ZERO, 1).await;
    let (root, store) = (CredentialContext::unscoped(), provider.inner());
    let Sealed { data, metadata } = store.retrieve(&id("0000"), &root).await.unwrap();
    for name in 1..100_000 {
        store.store(&id(&format!("{name:05}")), data.clone(), metadata.clone(), &root).await.unwrap();
    }
    provider.refuse(|operation, _| (operation != Operation::ListTree).then(unavailable));
    let mut last = RekeyReport::default();
    let report =
        over(provider.clone(), &new).rekey().on_progress(|report| last = report.clone()).await.unwrap();
    // Those that are in flight when it stops are finished.
    assert!((21..=30).contains(&provider.calls()), "{} calls", provider.calls());
    assert!((20..=29).contains(&report.failed), "{report:?}");
    assert_eq!((report.found, report.not_tried), (100_000, 100_000 - report.failed));
    assert_eq!((report.failed, last.failed), (last.failed, report.failed));
    assert!(report.stopped.as_ref().is_some_and(ManagerError::is_transient), "{:?}", report.stopped);
    assert!(!report.is_complete());
}

#[tokio::test(start_paused = true)]
async fn uncertain_writes_stop_a_rekey_too() {
    for conditional in [true, false] {
        let (provider, new) = filled(conditional, Duration::ZERO, 300).await;
        provider.loses_answers.store(true, Ordering::SeqCst);
        let report = over(provider, &new).rekey().await.unwrap();
        // Without compare-and-set they are read back: these writes took effect.
        let uncertain = if conditional { report.failed } else { report.resealed };
        assert!((20..=29).contains(&uncertain), "{report:?}");
        assert!(report.failures.iter().all(|(_, error)| error.may_have_written()), "{report:?}");
        assert_eq!(report.not_tried, 300 - uncertain);
        assert!(report.stopped.is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn a_success_in_between_keeps_a_rekey_going() {
    let (provider, new) = filled(true, Duration::ZERO, 100).await;
    // A list, and then 19 failures before each success.
    provider.refuse(|_, before| (before > 0 && before % 20 != 0).then(unavailable));
    let one_at_a_time = with_concurrency(provider.clone(), new, 1);
    let mut calls = 0;
    let report = one_at_a_time.rekey().dry_run(true).on_progress(|_| calls += 1).await.unwrap();
    assert_eq!((report.resealed, report.failed, calls), (5, 95, 100), "{report:?}");
    assert!(report.stopped.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_missing_permission_stops_a_rekey_like_an_outage() {
    let (provider, new) = filled(true, Duration::ZERO, 300).await;
    provider.refuse(|operation, _| operation.is_write().then(denied));
    let report = over(provider.clone(), &new).rekey().await.unwrap();
    assert!((20..=29).contains(&report.failed), "{report:?}");
    assert_eq!(report.not_tried, 300 - report.failed);
    let Some(ManagerError::Storage(error)) = &report.stopped else { panic!("{report:?}") };
    assert_eq!(*error.kind(), denied());
}

#[tokio::test(start_paused = true)]
async fn a_permission_missing_for_one_credential_does_not_stop_a_rekey() {
    let (provider, new) = filled(true, Duration::ZERO, 100).await;
    // A list, a read, and this write.
    provider.refuse(|_, before| (before == 2).then(denied));
    let report = with_concurrency(provider, new, 1).rekey().await.unwrap();
    assert_eq!((report.resealed, report.failed, report.not_tried), (99, 1, 0), "{report:?}");
    assert!(report.stopped.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_refused_login_or_write_stops_a_rekey_at_once() {
    for kind in [
        StorageErrorKind::AuthenticationFailed { reason: "the token has expired".into() },
        StorageErrorKind::ReadOnly { reason: "it is a replica".into() },
    ] {
        let (provider, new) = filled(true, Duration::ZERO, 300).await;
        let refused = kind.clone();
        provider.refuse(move |operation, _| operation.is_write().then(|| refused.clone()));
        let report = over(provider.clone(), &new).rekey().await.unwrap();
        assert!(provider.calls() <= 1 + 2 * 10, "{} calls", provider.calls());
        assert!((1..=10).contains(&report.failed), "{report:?}");
        assert_eq!(report.not_tried, 300 - report.failed);
        let Some(ManagerError::Storage(error)) = &report.stopped else { panic!("{report:?}") };
        assert_eq!(*error.kind(), kind);
    }
}

#[tokio::test(start_paused = true)]
async fn credentials_written_before_a_stop_are_still_read_back() {
    let (provider, new) = filled(false, Duration::ZERO, 300).await;
    // A list, and then three calls for each credential.
    provider.refuse(|operation, before| (before > 3 * 50 && operation.is_write()).then(denied));
    let report = with_concurrency(provider, new, 1).rekey().await.unwrap();
    assert_eq!((report.resealed, report.failed, report.not_tried), (50, 20, 230), "{report:?}");
    assert_eq!((report.to_confirm, report.is_complete()), (0, false));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_stops_a_rekey() {
    let (provider, new) = filled(false, CALL, 300).await;
    let manager = over(provider.clone(), &new);
    let shutdown = async {
        sleep(Duration::from_secs(1)).await;
        manager.shutdown().await.unwrap();
    };
    let (report, ()) = tokio::join!(manager.rekey(), shutdown);
    let report = report.unwrap();
    assert!(matches!(report.stopped, Some(ManagerError::ShutDown)), "{report:?}");
    assert!(report.not_tried > 0 && report.to_confirm == 0 && !report.is_complete(), "{report:?}");
    // Those that were written fail as well: they were not read back.
    assert_eq!(report.failed + report.not_tried, 300, "{report:?}");
    let unconfirmed = report.failures.iter().filter(|(_, error)| error.may_have_written()).count();
    assert!(unconfirmed >= RekeyReport::MAX_FAILURES_KEPT - 10, "{report:?}");
}

#[tokio::test]
async fn broken_credentials_do_not_stop_a_rekey_and_kept_failures_are_bounded() {
    let (provider, new) = filled(true, Duration::ZERO, 300).await;
    for name in 0..250 {
        let broken = id(&format!("{name:04}"));
        assert!(provider.inner().edit_payload(PathRef::new(None, &broken), |payload| payload.truncate(9)));
    }
    let report = over(provider, &new).rekey().await.unwrap();
    assert_eq!((report.resealed, report.failed, report.not_tried), (50, 250, 0), "{report:?}");
    assert_eq!((report.failures.len(), report.done()), (RekeyReport::MAX_FAILURES_KEPT, 300));
    assert!(report.stopped.is_none() && !report.is_complete());
}

#[tokio::test(start_paused = true)]
async fn reading_back_stops_by_the_same_rule() {
    let (provider, new) = filled(false, Duration::ZERO, 200).await;
    // A list, three calls for each credential, and then nothing works.
    provider.refuse(|_, before| (before > 3 * 200).then(unavailable));
    let report = over(provider.clone(), &new).rekey().await.unwrap();
    // Once, and again after the stop.
    assert!((40..=58).contains(&(provider.calls() - 1 - 3 * 200)), "{} calls", provider.calls());
    assert_eq!((report.resealed, report.failed, report.to_confirm), (0, 200, 0), "{report:?}");
    assert_eq!((report.failures.len(), report.not_tried), (100, 0));
    assert!(report.failures.iter().all(|(_, error)| error.may_have_written()), "{report:?}");
    assert!(report.stopped.is_some());
}

#[tokio::test(start_paused = true)]
async fn every_phase_reports_its_progress() {
    let (old, new) = old_and_new();
    let backend = lagging();
    for name in ["a", "b", "c", "d"] {
        over(backend.clone(), &old).store(&id(name), Credential::text("old")).await.unwrap();
    }
    sleep(Duration::from_secs(60)).await;
    let manager = over(backend.clone(), &new);
    // Both are deferred, since these writes are not visible yet. Later `c` is under the new key,
    // and `d` still under the old one.
    manager.store(&id("c"), Credential::text("new")).await.unwrap();
    manager.delete(&id("d")).await.unwrap();
    over(backend.clone(), &old).store(&id("d"), Credential::text("theirs")).await.unwrap();
    let mut seen: Vec<RekeyReport> = Vec::new();
    let report = manager.rekey().on_progress(|report| seen.push(report.clone())).await.unwrap();
    assert_eq!((report.resealed, report.current, report.is_complete()), (3, 1, true), "{report:?}");

    let mut to_confirm: Vec<_> = seen.iter().map(|report| report.to_confirm).collect();
    to_confirm.dedup();
    assert!(to_confirm.ends_with(&[1, 2, 3, 2, 1, 0]), "{to_confirm:?}");
    assert!(seen.iter().any(|report| (report.current, report.resealed) == (1, 0)), "{seen:?}");
    for pair in seen.windows(2) {
        let numbers = |of: &RekeyReport| [of.resealed, of.current, of.gone, of.failed, of.not_tried];
        let fell = numbers(&pair[0]).into_iter().zip(numbers(&pair[1])).any(|(before, after)| after < before);
        assert!(!fell, "{pair:?}");
    }
}
