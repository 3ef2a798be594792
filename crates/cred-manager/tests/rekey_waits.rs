//! The waits of a re-key, and how long they take.
#![cfg(test)]

mod doubles;

use std::sync::Arc;
use std::time::Duration;

use cred_core::{Consistency, Credential, CredentialContext, Description, Sealed, StorageProvider as _};
use cred_manager::ManagerError;
use doubles::backend::{Backend, Ending};
use doubles::sealer::{Fault, Faulty};
use doubles::{id, lagging, old_and_new, over, with_concurrency};
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);

/// As AWS: reads lag, and uncertain writes can take effect, for 300 s.
fn aws() -> Arc<Backend> {
    let lag = 300 * SECOND;
    let consistency = Consistency::Eventual { point: lag, list: lag };
    let description = Description::new("backend", 60 * SECOND);
    let backend = Backend::of(description.with_consistency(consistency).with_in_doubt(lag));
    backend.behave(|behaviour| behaviour.lag = lag);
    backend
}

async fn key_of(backend: &Backend, name: &str) -> String {
    let Sealed { data, .. } = backend.retrieve(&id(name), &CredentialContext::unscoped()).await.unwrap();
    data.key_id.as_str().to_owned()
}

#[tokio::test(start_paused = true)]
async fn deferred_credentials_and_those_to_confirm_share_one_wait() {
    let (old, new) = old_and_new();
    let backend = aws();
    for name in ["a", "b"] {
        over(backend.clone(), &old).store(&id(name), Credential::text("first")).await.unwrap();
    }
    sleep(2_000 * SECOND).await;
    let manager = over(backend.clone(), &new);
    manager.store(&id("b"), Credential::text("second")).await.unwrap();
    let started = Instant::now();
    let report = manager.rekey().await.unwrap();
    assert_eq!((report.resealed, report.current, report.is_complete()), (1, 1, true), "{report:?}");
    assert_eq!(started.elapsed().as_secs(), 300);
}

#[tokio::test(start_paused = true)]
async fn an_uncertain_write_is_read_back_once_it_is_visible() {
    let (old, new) = old_and_new();
    let backend = aws();
    over(backend.clone(), &old).store(&id("a"), Credential::text("first")).await.unwrap();
    sleep(2_000 * SECOND).await;
    backend.behave(|behaviour| {
        (behaviour.writes_land_late, behaviour.late_writes_end) = (Some(299 * SECOND), Ending::Fails);
    });
    let started = Instant::now();
    let report = over(backend.clone(), &new).rekey().await.unwrap();
    assert_eq!((report.resealed, report.is_complete()), (1, true), "{report:?}");
    assert_eq!(started.elapsed().as_secs(), 600);
    assert_eq!(backend.reads(), 3);
}

#[tokio::test(start_paused = true)]
async fn every_write_is_read_back_once_and_not_before_it_is_visible() {
    let (old, new) = old_and_new();
    let backend = lagging();
    let other = over(backend.clone(), &old);
    for name in ["a", "b"] {
        other.store(&id(name), Credential::text("first")).await.unwrap();
    }
    sleep(60 * SECOND).await;
    backend.behave(|behaviour| behaviour.write_takes = 2 * SECOND);
    let behind = async {
        // After the write of `a`, while `b` is written.
        sleep(3 * SECOND).await;
        backend.behave(|behaviour| behaviour.write_takes = Duration::ZERO);
        other.store(&id("a"), Credential::text("theirs")).await.unwrap();
    };
    let manager = with_concurrency(backend.clone(), new, 1);
    let (report, ()) = tokio::join!(manager.rekey(), behind);
    let report = report.unwrap();
    assert_eq!((report.resealed, report.is_complete()), (2, true), "{report:?}");
    assert_eq!(key_of(&backend, "a").await, "new");
    // Two before each of the three writes, one after each that is not read before the next; and
    // the one above.
    assert_eq!(backend.reads(), 2 * 2 + 2 + 1 + 1 + 1);
}

#[tokio::test(start_paused = true)]
async fn a_credential_that_another_process_has_just_stored_is_not_gone() {
    let (old, new) = old_and_new();
    let backend = lagging();
    let other = over(backend.clone(), &old);
    for name in ["a", "b"] {
        other.store(&id(name), Credential::text("old")).await.unwrap();
    }
    sleep(60 * SECOND).await;
    // `b` is not visible from 5 s on, and visible again from 9 s on.
    other.delete(&id("b")).await.unwrap();
    sleep(4 * SECOND).await;
    other.store(&id("b"), Credential::text("theirs")).await.unwrap();
    backend.behave(|behaviour| behaviour.read_takes = SECOND);
    sleep(SECOND / 2).await;
    let manager = with_concurrency(backend.clone(), new, 1);
    let report = manager.rekey().await.unwrap();
    assert_eq!((report.resealed, report.gone, report.is_complete()), (2, 0, true), "{report:?}");
    sleep(60 * SECOND).await;
    assert_eq!(key_of(&backend, "b").await, "new");
}

#[tokio::test(start_paused = true)]
async fn a_deleted_credential_is_gone_once_no_write_of_it_can_become_visible() {
    // Two reads, and over a lagging provider the lag and a third read.
    for (backend, takes) in [(Backend::new(Consistency::Strong), 8 + 8), (lagging(), 8 + 8 + 5 + 8)] {
        let (old, new) = old_and_new();
        let other = over(backend.clone(), &old);
        for name in ["a", "b"] {
            other.store(&id(name), Credential::text("x")).await.unwrap();
        }
        sleep(60 * SECOND).await;
        backend.behave(|behaviour| behaviour.read_takes = 8 * SECOND);
        let delete = async {
            sleep(SECOND).await;
            other.delete(&id("b")).await.unwrap();
        };
        let started = Instant::now();
        let manager = with_concurrency(backend.clone(), new, 1);
        let (report, ()) = tokio::join!(manager.rekey().dry_run(true), delete);
        let report = report.unwrap();
        assert_eq!((report.resealed, report.gone, report.is_complete()), (1, 1, true), "{report:?}");
        assert_eq!(started.elapsed().as_secs(), takes);
    }
}

#[tokio::test(start_paused = true)]
async fn a_credential_that_is_deleted_after_a_rekey_stopped_is_gone() {
    let (old, new) = old_and_new();
    let backend = lagging();
    let other = over(backend.clone(), &old);
    for name in 'a'..='z' {
        other.store(&id(&name.to_string()), Credential::text("x")).await.unwrap();
    }
    sleep(60 * SECOND).await;
    backend.behave(|behaviour| behaviour.write_takes = SECOND);
    let outage = async {
        // While `a` is written. The others cannot be read.
        sleep(SECOND / 2).await;
        backend.behave(|behaviour| behaviour.reads_fail = true);
        sleep(SECOND).await;
        // The deletion is visible when `a` is read back.
        backend.behave(|behaviour| (behaviour.reads_fail, behaviour.lag) = (false, SECOND));
        other.delete(&id("a")).await.unwrap();
    };
    let manager = with_concurrency(backend.clone(), new, 1);
    let (report, ()) = tokio::join!(manager.rekey(), outage);
    let report = report.unwrap();
    assert_eq!((report.gone, report.failed, report.not_tried), (1, 20, 5), "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_counts_what_its_manager_has_just_stored_as_current() {
    let (old, new) = old_and_new();
    let backend = lagging();
    over(backend.clone(), &old).store(&id("a"), Credential::text("old")).await.unwrap();
    sleep(60 * SECOND).await;
    let manager = over(backend.clone(), &new);
    manager.store(&id("a"), Credential::text("new")).await.unwrap();
    // The store becomes visible while a read runs that does not see it yet.
    sleep(Duration::from_millis(4_500)).await;
    backend.behave(|behaviour| behaviour.read_takes = SECOND);
    let report = manager.rekey().dry_run(true).await.unwrap();
    assert_eq!((report.current, report.resealed, report.is_complete()), (1, 0, true), "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_every_wait_of_a_rekey() {
    // It waits to read back, for an earlier write, or for a passphrase key.
    for (earlier_write, busy) in [(false, false), (true, false), (false, true)] {
        let (old, new) = old_and_new();
        let backend = aws();
        over(backend.clone(), &old).store(&id("a"), Credential::text("first")).await.unwrap();
        sleep(2_000 * SECOND).await;
        let fault = Fault::IsBusyUntil(Instant::now() + if busy { 1_000 * SECOND } else { Duration::ZERO });
        let manager = with_concurrency(backend.clone(), Faulty::with_ring(fault, new), 1);
        if earlier_write {
            manager.store(&id("a"), Credential::text("second")).await.unwrap();
        }
        let started = Instant::now();
        let shutdown = async {
            sleep(SECOND).await;
            manager.shutdown().await.unwrap();
        };
        let (report, ()) = tokio::join!(manager.rekey(), shutdown);
        let report = report.unwrap();
        // An opening for which the sealer is too busy is tried for 5 s.
        let limit = if busy { 6 * SECOND } else { 2 * SECOND };
        assert!(started.elapsed() < limit, "{:?}", started.elapsed());
        assert!(matches!(report.stopped, Some(ManagerError::ShutDown)), "{report:?}");
        let written = !earlier_write && !busy;
        assert_eq!((report.failed, report.not_tried), (written.into(), (!written).into()), "{report:?}");
        assert!(report.failures.iter().all(|(_, error)| error.may_have_written()), "{report:?}");
    }
}
