//! Writes whose outcome is unknown: dependent operations wait, and no later write is reverted.
#![cfg(test)]

mod doubles;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use cred_core::{Consistency, Credential, Description, StorageErrorKind};
use cred_manager::{CredentialManager, ManagerError};
use doubles::backend::{Backend, Ending};
use doubles::metered::Metered;
use doubles::{id, keys, old_and_new, over, text};
use tokio::time::{Instant, sleep, timeout};

/// A strongly consistent backend without compare-and-set, as Azure: an uncertain write can take
/// effect for exactly as long as an operation may wait.
fn patient() -> Arc<Backend> {
    let description = Description::new("backend", Duration::from_secs(60));
    Backend::of(description.with_in_doubt(Duration::from_secs(61)))
}

/// As AWS: an uncertain write can take effect for longer than any operation waits.
fn impatient() -> Arc<Backend> {
    let description = Description::new("backend", Duration::from_secs(60));
    Backend::of(description.with_in_doubt(Duration::from_secs(300)))
}

/// Writes during this time take effect later by `delay`, and end in this way.
fn late(backend: &Backend, after: Duration, ending: Ending) {
    backend.behave(|behaviour| {
        (behaviour.writes_land_late, behaviour.late_writes_end) = (Some(after), ending);
    });
}

fn in_time(backend: &Backend) {
    backend.behave(|behaviour| behaviour.writes_land_late = None);
}

async fn value(manager: &CredentialManager) -> Option<String> {
    let credential = manager.retrieve(&id("a")).await.unwrap()?;
    Some(text(&credential).to_owned())
}

fn is_busy(error: &ManagerError) -> bool {
    let ManagerError::Storage(storage) = error else { return false };
    matches!(storage.kind(), StorageErrorKind::Busy { .. })
        && !error.may_have_written()
        && error.to_string().contains("an earlier write of it")
}

/// A manager whose re-key of `a`, which has the value `first`, was dropped just after its write had
/// ended without a response. The write takes effect 20 s after it ended.
async fn after_an_uncertain_rekey(backend: &Arc<Backend>, ending: Ending) -> CredentialManager {
    let (old, new) = old_and_new();
    over(backend.clone(), &old).store(&id("a"), Credential::text("first")).await.unwrap();
    let ends = if ending == Ending::Hangs { 61 } else { 0 };
    late(backend, Duration::from_secs(ends + 20), ending);
    let manager = over(backend.clone(), &new);
    let ended = Duration::from_secs(ends) + Duration::from_millis(1);
    assert!(timeout(ended, manager.rekey()).await.is_err());
    in_time(backend);
    manager
}

#[tokio::test(start_paused = true)]
async fn an_uncertain_write_of_a_rekey_reverts_no_later_write() {
    for ending in [Ending::Fails, Ending::Hangs, Ending::Panics] {
        let manager = after_an_uncertain_rekey(&patient(), ending).await;
        manager.store(&id("a"), Credential::text("second")).await.unwrap();
        sleep(Duration::from_secs(600)).await;
        assert_eq!(value(&manager).await.as_deref(), Some("second"), "{ending:?}");

        let manager = after_an_uncertain_rekey(&patient(), ending).await;
        manager.delete(&id("a")).await.unwrap();
        sleep(Duration::from_secs(600)).await;
        assert_eq!(value(&manager).await, None, "{ending:?}");

        let manager = after_an_uncertain_rekey(&patient(), ending).await;
        let rotated = manager.rotate(&id("a"), Credential::text("second")).await.unwrap();
        sleep(Duration::from_secs(600)).await;
        assert_eq!((rotated.version, value(&manager).await.as_deref()), (2, Some("second")));

        let manager = after_an_uncertain_rekey(&patient(), ending).await;
        let again = manager.rekey().await.unwrap();
        assert!(again.is_complete(), "{again:?}");
        manager.store(&id("a"), Credential::text("second")).await.unwrap();
        sleep(Duration::from_secs(600)).await;
        assert_eq!(value(&manager).await.as_deref(), Some("second"), "{ending:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rekey_that_is_dropped_while_it_writes_reverts_no_later_write() {
    let (old, new) = old_and_new();
    let backend = patient();
    over(backend.clone(), &old).store(&id("a"), Credential::text("first")).await.unwrap();
    late(&backend, Duration::from_secs(80), Ending::Hangs);
    let manager = over(backend.clone(), &new);
    assert!(timeout(Duration::from_secs(5), manager.rekey()).await.is_err());
    in_time(&backend);
    manager.store(&id("a"), Credential::text("second")).await.unwrap();
    sleep(Duration::from_secs(600)).await;
    assert_eq!(value(&manager).await.as_deref(), Some("second"));
}

#[tokio::test(start_paused = true)]
async fn a_rekey_ends_only_when_none_of_its_writes_can_take_effect() {
    for ending in [Ending::Fails, Ending::Hangs, Ending::Panics] {
        let (old, new) = old_and_new();
        let backend = patient();
        over(backend.clone(), &old).store(&id("a"), Credential::text("first")).await.unwrap();
        late(&backend, Duration::from_secs(if ending == Ending::Hangs { 120 } else { 59 }), ending);
        let report = over(backend.clone(), &new).rekey().await.unwrap();
        assert_eq!((report.resealed, report.is_complete()), (1, true), "{ending:?}: {report:?}");
        in_time(&backend);
        let another_process = over(backend.clone(), &new);
        another_process.store(&id("a"), Credential::text("second")).await.unwrap();
        sleep(Duration::from_secs(600)).await;
        assert_eq!(value(&another_process).await.as_deref(), Some("second"), "{ending:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rekey_repeats_an_uncertain_write_that_never_took_effect() {
    let never = Duration::from_secs(1_000_000);
    for recovers in [true, false] {
        let (old, new) = old_and_new();
        let backend = patient();
        over(backend.clone(), &old).store(&id("a"), Credential::text("first")).await.unwrap();
        late(&backend, never, Ending::Fails);
        let (manager, started) = (over(backend.clone(), &new), Instant::now());
        let recovery = async {
            sleep(Duration::from_secs(1)).await;
            if recovers {
                in_time(&backend);
            }
        };
        let (report, ()) = tokio::join!(manager.rekey(), recovery);
        let report = report.unwrap();
        let expected = if recovers { (1, 0) } else { (0, 1) };
        assert_eq!((report.resealed, report.failed), expected, "{report:?}");
        assert!(report.failures.iter().all(|(_, error)| error.may_have_written()), "{report:?}");
        assert_eq!((report.to_confirm, report.stopped.is_none()), (0, true), "{report:?}");
        // Six writes, and a wait after each.
        let waits = if recovers { 1 } else { 6 };
        assert_eq!(started.elapsed().as_secs(), waits * 61);
    }
}

#[tokio::test(start_paused = true)]
async fn a_rekey_names_the_uncertain_writes_that_delay_it() {
    let (old, new) = old_and_new();
    let backend = patient();
    over(backend.clone(), &old).store(&id("a"), Credential::text("first")).await.unwrap();
    late(&backend, Duration::from_secs(1_000_000), Ending::Fails);
    let manager = over(backend.clone(), &new);
    let writes = async {
        loop {
            manager.store(&id("a"), Credential::text("again")).await.unwrap_err();
            sleep(Duration::from_secs(10)).await;
        }
    };
    let report = tokio::select! {
        biased;
        () = writes => unreachable!("it goes on"),
        report = manager.rekey() => report.unwrap(),
    };
    assert_eq!((report.failed, report.stopped.is_none()), (1, true), "{report:?}");
    assert!(is_busy(&report.failures[0].1), "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn a_write_that_would_wait_too_long_for_a_rekey_is_busy_with_a_time() {
    let backend = impatient();
    let manager = after_an_uncertain_rekey(&backend, Ending::Fails).await;
    let started = Instant::now();
    let a = id("a");
    for error in [
        manager.store(&a, Credential::text("second")).await.unwrap_err(),
        manager.delete(&a).await.unwrap_err(),
        manager.rotate(&a, Credential::text("second")).await.map(drop).unwrap_err(),
        manager.store_if_absent(&a, Credential::text("second")).await.map(drop).unwrap_err(),
    ] {
        assert!(is_busy(&error) && error.retry_after() == Some(Duration::from_secs(300)), "{error}");
    }
    manager.store(&id("b"), Credential::text("other")).await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(1), "another credential waited");
    sleep(Duration::from_secs(300)).await;
    manager.store(&a, Credential::text("second")).await.unwrap();
    sleep(Duration::from_secs(600)).await;
    assert_eq!(value(&manager).await.as_deref(), Some("second"));
}

#[tokio::test(start_paused = true)]
async fn a_rotation_waits_until_an_uncertain_write_can_no_longer_take_effect() {
    let (backend, a) = (patient(), id("a"));
    let manager = over(backend.clone(), &keys());
    manager.store(&a, Credential::text("0")).await.unwrap();
    late(&backend, Duration::from_secs(20), Ending::Fails);
    manager.rotate(&a, Credential::text("A")).await.unwrap_err();
    in_time(&backend);
    let rotated = manager.rotate(&a, Credential::text("B")).await.unwrap();
    assert_eq!(rotated.version, 3, "the rotation before it took effect and was lost");
    sleep(Duration::from_secs(600)).await;
    assert_eq!(value(&manager).await.as_deref(), Some("B"));
}

#[tokio::test(start_paused = true)]
async fn a_conditional_store_waits_until_an_uncertain_write_can_no_longer_take_effect() {
    let (backend, a) = (patient(), id("a"));
    let manager = over(backend.clone(), &keys());
    late(&backend, Duration::from_secs(20), Ending::Fails);
    manager.store(&a, Credential::text("A")).await.unwrap_err();
    in_time(&backend);
    let stored = manager.store_if_absent(&a, Credential::text("B")).await.unwrap();
    assert!(!stored, "it stored over a write that it must wait for");
    sleep(Duration::from_secs(600)).await;
    assert_eq!(value(&manager).await.as_deref(), Some("A"));
}

#[tokio::test(start_paused = true)]
async fn an_operation_that_would_wait_too_long_for_an_uncertain_write_is_busy_with_a_time() {
    let (backend, a) = (impatient(), id("a"));
    let manager = over(backend.clone(), &keys());
    late(&backend, Duration::from_secs(20), Ending::Fails);
    manager.store(&a, Credential::text("A")).await.unwrap_err();
    in_time(&backend);
    for error in [
        manager.rotate(&a, Credential::text("B")).await.map(drop).unwrap_err(),
        manager.store_if_absent(&a, Credential::text("B")).await.map(drop).unwrap_err(),
    ] {
        assert!(is_busy(&error) && error.retry_after() == Some(Duration::from_secs(300)), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_an_uncertain_rekey_is_no_longer_than_the_limit() {
    // The time in which it can take effect, and the lag after that. The limit is 61 s.
    for (in_doubt, point, waits) in [(20, 40, true), (40, 40, false), (50, 300, false)] {
        let point = Duration::from_secs(point);
        let description = Description::new("backend", Duration::from_secs(60))
            .with_consistency(Consistency::Eventual { point, list: point })
            .with_in_doubt(Duration::from_secs(in_doubt));
        for conditional in [true, false] {
            let backend = Backend::of(description.clone());
            let manager = after_an_uncertain_rekey(&backend, Ending::Fails).await;
            let (started, a) = (Instant::now(), id("a"));
            let answer = match conditional {
                true => manager.store_if_absent(&a, Credential::text("second")).await.map(drop),
                false => manager.rotate(&a, Credential::text("second")).await.map(drop),
            };
            assert_eq!(answer.is_ok(), waits, "{in_doubt} {point:?}: {answer:?}");
            let most = Duration::from_secs(if waits { 61 } else { 0 });
            assert!(started.elapsed() <= most, "{in_doubt} {point:?}: {:?}", started.elapsed());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_the_waits_for_uncertain_writes() {
    for rekey in [true, false] {
        let (backend, a) = (patient(), id("a"));
        let manager = match rekey {
            true => after_an_uncertain_rekey(&backend, Ending::Fails).await,
            false => over(backend.clone(), &keys()),
        };
        if !rekey {
            late(&backend, Duration::from_secs(20), Ending::Fails);
            manager.store(&a, Credential::text("A")).await.unwrap_err();
        }
        let started = Instant::now();
        let shutdown = async {
            sleep(Duration::from_secs(1)).await;
            manager.shutdown().await.unwrap();
        };
        let write = async {
            match rekey {
                true => manager.store(&a, Credential::text("B")).await,
                false => manager.rotate(&a, Credential::text("B")).await.map(drop),
            }
        };
        let (answer, ()) = tokio::join!(write, shutdown);
        assert!(matches!(answer, Err(ManagerError::ShutDown)), "{answer:?}");
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn with_compare_and_set_nothing_waits_for_an_uncertain_write() {
    let (old, new) = old_and_new();
    let (provider, a) = (Metered::new(true, Duration::ZERO), id("a"));
    over(provider.clone(), &old).store(&a, Credential::text("0")).await.unwrap();
    let manager = over(provider.clone(), &new);
    let started = Instant::now();
    provider.loses_answers.store(true, Ordering::SeqCst);
    assert!(!manager.rekey().await.unwrap().is_complete());
    manager.rotate(&a, Credential::text("1")).await.unwrap_err();
    provider.loses_answers.store(false, Ordering::SeqCst);
    assert_eq!(manager.rotate(&a, Credential::text("2")).await.unwrap().version, 3);
    assert!(!manager.store_if_absent(&a, Credential::text("3")).await.unwrap());
    assert!(manager.rekey().await.unwrap().is_complete());
    manager.store(&a, Credential::text("4")).await.unwrap();
    assert_eq!(started.elapsed(), Duration::ZERO);
}

/// This is documented, not wanted: without compare-and-set no provider can prevent it.
#[tokio::test(start_paused = true)]
async fn an_uncertain_store_may_replace_a_store_made_too_early() {
    for (waits, stands) in [(0, "A"), (61, "B")] {
        let (backend, a) = (patient(), id("a"));
        let manager = over(backend.clone(), &keys());
        late(&backend, Duration::from_secs(20), Ending::Fails);
        let uncertain = manager.store(&a, Credential::text("A")).await.unwrap_err();
        assert!(uncertain.may_have_written(), "{uncertain}");
        in_time(&backend);
        sleep(Duration::from_secs(waits)).await;
        manager.store(&a, Credential::text("B")).await.unwrap();
        assert_eq!(value(&manager).await.as_deref(), Some("B"));
        sleep(Duration::from_secs(60)).await;
        assert_eq!(value(&manager).await.as_deref(), Some(stands), "after {waits} s");
    }
}
