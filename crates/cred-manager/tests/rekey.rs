//! Re-keying: a tree is resealed under the active key, and no writer loses anything.
#![cfg(test)]

mod doubles;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use cred_core::{Consistency, Credential, CredentialContext, PathRef, StorageErrorKind, StorageProvider};
use cred_manager::{CredentialManager, ManagerError};
use doubles::backend::Backend;
use doubles::metered::Metered;
use doubles::{id, lagging, memory, old_and_new, over, text};
use futures_util::future::join_all;
use tokio::time::{Instant, sleep};

#[tokio::test]
async fn a_rekey_reseals_a_tree_without_changing_contents() {
    for conditional in [true, false] {
        let (old, new) = old_and_new();
        let storage: Arc<dyn StorageProvider> = match conditional {
            true => Arc::new(memory()),
            false => Backend::new(Consistency::Strong),
        };
        let before = over(storage.clone(), &old);
        let tenant = before.scoped("org:a".parse().unwrap()).unwrap();
        let stored = Credential::api_key("k").with_tag("env", "prod").unwrap();
        for name in ["x", "y", "z"] {
            tenant.store(&id(name), stored.clone()).await.unwrap();
        }
        before.store(&id("outside"), stored.clone()).await.unwrap();
        tenant.rotate(&id("x"), stored.clone()).await.unwrap();
        let lifecycle = tenant.retrieve(&id("x")).await.unwrap().unwrap().lifecycle();

        let after = over(storage.clone(), &new);
        let tenant = after.scoped("org:a".parse().unwrap()).unwrap();
        let mut seen = Vec::new();
        let dry = tenant.rekey().dry_run(true).on_progress(|report| seen.push(report.done())).await.unwrap();
        assert_eq!((dry.found, dry.resealed, dry.is_complete(), seen), (3, 3, true, vec![1, 2, 3]));
        assert!(before.retrieve(&id("outside")).await.is_ok(), "a dry run wrote");

        let report = tenant.rekey().await.unwrap();
        assert_eq!((report.found, report.resealed, report.is_complete()), (3, 3, true));
        let again = tenant.rekey().await.unwrap();
        assert_eq!((again.resealed, again.current, again.is_complete()), (0, 3, true));

        let read = tenant.retrieve(&id("x")).await.unwrap().unwrap();
        assert_eq!((&read, read.lifecycle()), (&stored, lifecycle));
        let ctx = CredentialContext::scoped("org:a".parse().unwrap());
        assert_eq!(storage.retrieve(&id("x"), &ctx).await.unwrap().data.key_id.as_str(), "new");
        let outside = storage.retrieve(&id("outside"), &CredentialContext::unscoped()).await.unwrap();
        assert_eq!(outside.data.key_id.as_str(), "old", "beyond the handle's scope");
    }
}

#[tokio::test]
async fn a_rekey_continues_past_a_broken_credential_and_names_it() {
    let (old, new) = old_and_new();
    let provider = memory();
    let before = over(provider.clone(), &old);
    for name in ["a", "b", "c"] {
        before.store(&id(name), Credential::text("x")).await.unwrap();
    }
    provider.edit_payload(PathRef::new(None, &id("b")), |payload| payload.truncate(9));
    let report = over(provider, &new).rekey().await.unwrap();
    assert_eq!((report.resealed, report.is_complete()), (2, false));
    assert_eq!(report.failures.iter().map(|(path, _)| path.to_string()).collect::<Vec<_>>(), ["b"]);
    let ManagerError::Storage(error) = &report.failures[0].1 else { panic!("{report:?}") };
    assert!(matches!(error.kind(), StorageErrorKind::Corrupted { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_rekey_does_not_overwrite_another_process_between_its_read_and_write() {
    let (old, new) = old_and_new();
    // A list, a read, and then a write, which takes effect 60 ms after the start.
    let provider = Metered::new(true, Duration::from_millis(20));
    let other = over(provider.inner().clone(), &old);
    other.store(&id("a"), Credential::text("old")).await.unwrap();
    let manager = over(provider.clone(), &new);
    let between = async {
        sleep(Duration::from_millis(50)).await;
        other.store(&id("a"), Credential::text("theirs")).await.unwrap();
    };
    let (report, ()) = tokio::join!(manager.rekey(), between);
    let report = report.unwrap();
    assert_eq!((report.resealed, report.is_complete()), (1, true), "{report:?}");
    assert_eq!(provider.calls(), 5, "the write, which was a conflict, was repeated after another read");
    assert_eq!(text(&manager.retrieve(&id("a")).await.unwrap().unwrap()), "theirs");
}

#[tokio::test(start_paused = true)]
async fn a_rekey_over_a_lagging_provider_reverts_no_write_of_its_manager() {
    let (old, new) = old_and_new();
    for ttl in [0, 60] {
        let backend = lagging();
        over(backend.clone(), &old).store(&id("a"), Credential::text("old")).await.unwrap();
        over(backend.clone(), &old).store(&id("b"), Credential::text("old")).await.unwrap();
        sleep(Duration::from_secs(60)).await;
        let manager = CredentialManager::builder()
            .storage(backend.clone())
            .keys(new.clone())
            .cache_ttl(Duration::from_secs(ttl))
            .build();
        manager.store(&id("a"), Credential::text("new")).await.unwrap();
        let report = manager.rekey().await.unwrap();
        assert!(report.is_complete(), "{report:?}");
        sleep(Duration::from_secs(600)).await;
        assert_eq!(text(&manager.retrieve(&id("a")).await.unwrap().unwrap()), "new");
        assert_eq!(text(&manager.retrieve(&id("b")).await.unwrap().unwrap()), "old");
        let ctx = CredentialContext::unscoped();
        assert_eq!(backend.retrieve(&id("b"), &ctx).await.unwrap().data.key_id.as_str(), "new");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rekey_over_a_lagging_provider_waits_once_for_all_and_blocks_no_writer() {
    let (old, new) = old_and_new();
    let backend = lagging();
    for name in 0..20 {
        over(backend.clone(), &old).store(&id(&name.to_string()), Credential::text("old")).await.unwrap();
    }
    sleep(Duration::from_secs(60)).await;
    let manager = over(backend, &new);
    let begun = Instant::now();
    let write = async {
        sleep(Duration::from_secs(1)).await;
        manager.store(&id("7"), Credential::text("new")).await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(2), "it waited for the re-key: {:?}", begun.elapsed());
    };
    let (report, ()) = tokio::join!(manager.rekey(), write);
    assert!(begun.elapsed() < Duration::from_secs(12), "a lag for each: {:?}", begun.elapsed());
    let report = report.unwrap();
    assert_eq!((report.resealed, report.is_complete()), (20, true), "{report:?}");
    sleep(Duration::from_secs(60)).await;
    assert_eq!(text(&manager.retrieve(&id("7")).await.unwrap().unwrap()), "new");
}

#[tokio::test(start_paused = true)]
async fn a_credential_that_another_process_writes_behind_a_rekey_is_resealed_too() {
    let (old, new) = old_and_new();
    let backend = Backend::new(Consistency::Strong);
    let other = over(backend.clone(), &old);
    for name in ["a", "b"] {
        other.store(&id(name), Credential::text("before")).await.unwrap();
    }
    backend.behave(|behaviour| behaviour.write_takes = Duration::from_secs(2));
    let behind = async {
        // While `b` is written.
        sleep(Duration::from_secs(3)).await;
        backend.behave(|behaviour| behaviour.write_takes = Duration::ZERO);
        other.store(&id("a"), Credential::text("theirs")).await.unwrap();
    };
    let storage = backend.clone();
    let one_at_a_time =
        CredentialManager::builder().storage(storage).keys(new).batch_concurrency(NonZeroUsize::MIN);
    let manager = one_at_a_time.build();
    let (report, ()) = tokio::join!(manager.rekey(), behind);
    let report = report.unwrap();
    assert_eq!((report.resealed, report.is_complete()), (2, true), "{report:?}");
    let ctx = CredentialContext::unscoped();
    assert_eq!(backend.retrieve(&id("a"), &ctx).await.unwrap().data.key_id.as_str(), "new");
    assert_eq!(text(&manager.retrieve(&id("a")).await.unwrap().unwrap()), "theirs");
}

#[tokio::test(start_paused = true)]
async fn a_rekey_that_is_always_overwritten_reports_that_it_may_have_written() {
    let (old, new) = old_and_new();
    // The re-key waits for the point before it reads back, and the others do not.
    let point = Duration::from_millis(50);
    let backend = Backend::new(Consistency::Eventual { point, list: point });
    let other = over(backend.clone(), &old);
    let names = ["a", "b", "c", "d"];
    for name in names {
        other.store(&id(name), Credential::text("theirs")).await.unwrap();
    }
    backend.behave(|behaviour| behaviour.write_takes = Duration::from_millis(10));
    let others = join_all(names.map(async |name| {
        loop {
            let ctx = CredentialContext::unscoped();
            if backend.retrieve(&id(name), &ctx).await.unwrap().data.key_id.as_str() == "new" {
                other.store(&id(name), Credential::text("theirs")).await.unwrap();
            }
            sleep(Duration::from_millis(1)).await;
        }
    }));
    let manager = over(backend.clone(), &new);
    let report = tokio::select! {
        report = manager.rekey() => report.unwrap(),
        _ = others => unreachable!("they go on for ever"),
    };
    assert_eq!((report.resealed, report.failed), (0, 4), "{report:?}");
    assert!(report.failures.iter().all(|(_, error)| error.may_have_written()), "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn a_rekey_right_after_a_write_over_a_lagging_provider_blocks_no_writer() {
    let (old, new) = old_and_new();
    let backend = lagging();
    over(backend.clone(), &old).store(&id("a"), Credential::text("old")).await.unwrap();
    sleep(Duration::from_secs(60)).await;
    let manager = over(backend, &new);
    manager.store(&id("a"), Credential::text("just before")).await.unwrap();
    let begun = Instant::now();
    let write = async {
        sleep(Duration::from_secs(1)).await;
        manager.store(&id("a"), Credential::text("meanwhile")).await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(2), "it waited for the re-key: {:?}", begun.elapsed());
    };
    let (report, ()) = tokio::join!(manager.rekey(), write);
    assert!(report.unwrap().is_complete());
    sleep(Duration::from_secs(60)).await;
    assert_eq!(text(&manager.retrieve(&id("a")).await.unwrap().unwrap()), "meanwhile");
}

#[tokio::test(start_paused = true)]
async fn a_rekey_that_wrote_and_cannot_read_back_reports_that_it_may_have_written() {
    let (old, new) = old_and_new();
    let backend = Backend::new(Consistency::Strong);
    over(backend.clone(), &old).store(&id("a"), Credential::text("x")).await.unwrap();
    backend.behave(|behaviour| behaviour.write_takes = Duration::from_secs(2));
    let manager = over(backend.clone(), &new);
    let break_down = async {
        sleep(Duration::from_secs(1)).await;
        backend.behave(|behaviour| behaviour.reads_fail = true);
    };
    let (report, ()) = tokio::join!(manager.rekey(), break_down);
    let report = report.unwrap();
    assert!(report.failures[0].1.may_have_written(), "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn a_rekey_does_not_overwrite_a_store_after_its_first_read() {
    // Of this manager, over a backend whose reads lag and over one where they do not; and of
    // another one.
    for (backend, own) in [
        (lagging(), true),
        (Backend::new(Consistency::Strong), true),
        (Backend::new(Consistency::Strong), false),
    ] {
        let (old, new) = old_and_new();
        over(backend.clone(), &old).store(&id("a"), Credential::text("old")).await.unwrap();
        sleep(Duration::from_secs(60)).await;
        backend.behave(|behaviour| behaviour.read_takes = Duration::from_secs(1));
        let manager = over(backend.clone(), &new);
        let writer = if own { manager.clone() } else { over(backend.clone(), &old) };
        let store = async {
            sleep(Duration::from_millis(500)).await;
            writer.store(&id("a"), Credential::text("between")).await.unwrap();
        };
        let (report, ()) = tokio::join!(manager.rekey(), store);
        let report = report.unwrap();
        assert!(report.is_complete(), "{report:?}");
        sleep(Duration::from_secs(600)).await;
        assert_eq!(text(&manager.retrieve(&id("a")).await.unwrap().unwrap()), "between", "own: {own}");
    }
}
