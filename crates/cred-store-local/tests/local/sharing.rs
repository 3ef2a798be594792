//! Concurrent writers, readers, providers and processes on one directory.

use std::collections::BTreeSet;
use std::fs::File;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::place::*;
use cred_core::{CompareAndSet, CredentialContext, Sealed, StorageErrorKind, StorageProvider as _};
use cred_store_local::LocalStorageProvider;
use rustix::fs::{FlockOperation, flock};
use tokio::task::JoinSet;

#[tokio::test(flavor = "multi_thread")]
async fn readers_see_whole_values_while_many_write() {
    let store = TestStore::new();
    put(&store.open(), "key", sized(0, 9_000)).await.unwrap();
    let mut writers = JoinSet::new();
    for number in 1..=6 {
        let provider = store.open();
        writers.spawn(async move {
            for _ in 0..30 {
                put(&provider, "key", sized(number, 1_000 * usize::from(number))).await.unwrap();
            }
        });
    }
    let mut readers = JoinSet::new();
    let done = Arc::new(AtomicBool::new(false));
    for _ in 0..4 {
        let (provider, done) = (store.open(), Arc::clone(&done));
        readers.spawn(async move {
            loop {
                let Sealed { data, .. } = get(&provider, "key").await.unwrap();
                assert!(data.ciphertext.iter().all(|byte| *byte == data.salt[0]), "a mix of two values");
                assert_eq!(
                    provider.list(None, &CredentialContext::unscoped()).await.unwrap(),
                    [path("key").id]
                );
                if done.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
    }
    writers.join_all().await;
    done.store(true, Ordering::Relaxed);
    readers.join_all().await;
    assert!(names(&store.base.join(".tmp")).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn exactly_one_of_many_conditional_stores_on_a_revision_wins() {
    let store = TestStore::new();
    let at = path("org:a/key");
    let ctx = context(&at);
    let mut expected = None;
    let shared = store.open();
    for round in 0..60 {
        let mut tasks = JoinSet::new();
        for number in 0..6 {
            // Some share a provider and its queue, and some have their own.
            let provider = if round % 3 == 0 { store.open() } else { shared.clone() };
            let (at, ctx, expected) = (at.clone(), ctx.clone(), expected.clone());
            tasks.spawn(async move {
                let Sealed { data, metadata } = value(number);
                let stored = provider.store_if(&at.id, data, metadata, expected.as_ref(), &ctx).await;
                stored.map(|revision| (revision, number))
            });
        }
        let (won, lost): (Vec<_>, Vec<_>) = tasks.join_all().await.into_iter().partition(Result::is_ok);
        assert_eq!(won.len(), 1, "round {round}");
        for error in lost {
            let error = error.unwrap_err();
            assert!(matches!(error.kind(), StorageErrorKind::Conflict { .. }), "{error}");
        }
        let (revision, number) = won.into_iter().next().unwrap().unwrap();
        let stored = store.open().retrieve_versioned(&at.id, &ctx).await.unwrap();
        assert_eq!((stored.value.data, &stored.revision), (value(number).data, &revision));
        expected = Some(revision);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conditional_store_never_overwrites_an_unseen_store() {
    let (_place, provider) = TestStore::with_provider();
    let at = path("key");
    let ctx = context(&at);
    let mut both = 0;
    for round in 0..200 {
        put(&provider, "key", value(0)).await.unwrap();
        let seen = provider.retrieve_versioned(&at.id, &ctx).await.unwrap().revision;
        let unconditional = put(&provider, "key", value(1));
        let Sealed { data, metadata } = value(2);
        let conditional = provider.store_if(&at.id, data, metadata, Some(&seen), &ctx);
        // The two alternate in which one starts first.
        let (unconditional, conditional) = match round % 2 {
            0 => tokio::join!(unconditional, conditional),
            _ => {
                let (conditional, unconditional) = tokio::join!(biased; conditional, unconditional);
                (unconditional, conditional)
            }
        };
        unconditional.unwrap();
        if conditional.is_ok() {
            // It found the first value, so the unconditional store came after it.
            assert_eq!(get(&provider, "key").await.unwrap(), value(1), "round {round}");
            both += 1;
        }
    }
    assert!(both > 0, "the conditional store always came second, so the test proves nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_first_stores_in_a_new_directory_succeed() {
    for round in 0..400 {
        let (_place, provider) = TestStore::with_provider();
        let mut stores = JoinSet::new();
        for number in 0..8 {
            let provider = provider.clone();
            stores.spawn(async move { put(&provider, &format!("org:a{number}/key"), value(1)).await });
        }
        while let Some(stored) = stores.join_next().await {
            stored.unwrap().unwrap_or_else(|error| panic!("round {round}: {error}"));
        }
    }
}

#[tokio::test]
async fn every_store_creates_a_new_revision_even_for_equal_bytes() {
    let (_place, provider) = TestStore::with_provider();
    let at = path("key");
    let ctx = context(&at);
    let mut seen = BTreeSet::new();
    for round in 0..40 {
        put(&provider, "key", value(1)).await.unwrap();
        let revision = provider.retrieve_versioned(&at.id, &ctx).await.unwrap().revision;
        assert!(seen.insert(revision.to_string()), "round {round}");
        if round % 4 == 0 {
            delete(&provider, "key").await.unwrap();
            let Sealed { data, metadata } = value(2);
            let error = provider.store_if(&at.id, data, metadata, Some(&revision), &ctx).await.unwrap_err();
            assert!(matches!(error.kind(), StorageErrorKind::Conflict { .. }), "{error}");
        }
    }
    let Sealed { data, metadata } = value(2);
    let error = provider.store_if(&at.id, data, metadata, None, &ctx).await.unwrap_err();
    assert!(
        matches!(error.kind(), StorageErrorKind::Conflict { .. }) && !error.may_have_written(),
        "{error}"
    );
    assert_eq!(get(&provider, "key").await.unwrap(), value(1));
}

#[tokio::test]
async fn without_locking_there_is_no_compare_and_set() {
    let store = TestStore::new();
    let provider = LocalStorageProvider::new(store.config().with_enable_locking(false)).unwrap();
    assert!(provider.compare_and_set().is_none());
    put(&provider, "key", value(1)).await.unwrap();
    assert_eq!(get(&provider, "key").await.unwrap(), value(1));
    assert!(!store.base.join(".lock").exists());
    assert!(store.open().compare_and_set().is_some());
}

#[tokio::test]
async fn a_writer_waits_for_the_lock_until_the_deadline_and_writes_nothing() {
    let store = TestStore::new();
    let limit = Duration::from_secs(2);
    let provider = LocalStorageProvider::new(store.config().with_operation_timeout(limit)).unwrap();
    put(&provider, "key", value(1)).await.unwrap();
    let lock = File::open(store.base.join(".lock")).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    let started = Instant::now();
    for error in
        [put(&provider, "key", value(2)).await.unwrap_err(), delete(&provider, "key").await.unwrap_err()]
    {
        assert!(matches!(error.kind(), StorageErrorKind::Busy { .. }) && error.is_transient(), "{error}");
        assert!(!error.may_have_written() && error.to_string().contains("another writer holds"), "{error}");
    }
    assert!(started.elapsed() < 2 * limit + Duration::from_secs(10));
    assert_eq!(get(&provider, "key").await.unwrap(), value(1), "readers do not wait");
    assert!(names(&store.base.join(".tmp")).is_empty());
    drop(lock);
    put(&provider, "key", value(2)).await.unwrap();
    assert_eq!(get(&provider, "key").await.unwrap(), value(2));
}

/// The number of open descriptors of this process for this file.
#[cfg(target_os = "linux")]
fn open_descriptors(file: &std::path::Path) -> usize {
    let links = std::fs::read_dir("/proc/self/fd").unwrap();
    links.filter(|link| std::fs::read_link(link.as_ref().unwrap().path()).is_ok_and(|to| to == file)).count()
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_waited_for_a_removed_lock_waits_for_the_new_one() {
    for replaced in [true, false] {
        let (store, provider) = TestStore::with_value("key", value(1)).await;
        let name = store.base.join(".lock");
        let first = File::open(&name).unwrap();
        flock(&first, FlockOperation::LockExclusive).unwrap();
        let writer = tokio::spawn(async move { put(&provider, "key", value(2)).await });
        while open_descriptors(&name) < 2 {
            tokio::task::yield_now().await;
        }
        std::fs::remove_file(&name).unwrap();
        let second = replaced.then(|| {
            let second = File::options().read(true).write(true).create_new(true).open(&name).unwrap();
            rustix::fs::fchmod(&second, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
            flock(&second, FlockOperation::LockExclusive).unwrap();
            second
        });
        flock(&first, FlockOperation::Unlock).unwrap();
        if let Some(second) = second {
            while open_descriptors(&name) < 2 {
                assert!(!writer.is_finished(), "two writers hold the lock");
                tokio::task::yield_now().await;
            }
            assert_eq!(get(&store.open(), "key").await.unwrap(), value(1));
            flock(&second, FlockOperation::Unlock).unwrap();
        }
        writer.await.unwrap().unwrap();
        assert_eq!(get(&store.open(), "key").await.unwrap(), value(2));
        assert!(name.exists(), "the lock was taken on a removed file");
    }
}

#[tokio::test]
async fn a_file_with_an_exclusive_lock_is_not_read() {
    let (store, provider) = TestStore::with_value("key", value(1)).await;
    let editor = File::open(store.base.join("key.enc.json")).unwrap();
    flock(&editor, FlockOperation::LockExclusive).unwrap();
    let error = get(&provider, "key").await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("exclusive lock"), "{error}");
    flock(&editor, FlockOperation::Unlock).unwrap();
    assert_eq!(get(&provider, "key").await.unwrap(), value(1));
    flock(&editor, FlockOperation::LockShared).unwrap();
    assert_eq!(get(&provider, "key").await.unwrap(), value(1), "readers share the lock");
    put(&provider, "key", value(2)).await.unwrap();
}

#[tokio::test]
async fn a_sweep_removes_only_files_without_a_writer() {
    let store = TestStore::new();
    put(&store.open(), "key", value(1)).await.unwrap();
    let tmp = store.base.join(".tmp");
    std::fs::write(tmp.join("00000000000000aa"), "left by a crash").unwrap();
    std::fs::write(tmp.join("00000000000000bb"), "being written").unwrap();
    std::fs::write(tmp.join("not-one-of-ours"), "").unwrap();
    let writer = File::open(tmp.join("00000000000000bb")).unwrap();
    flock(&writer, FlockOperation::LockShared).unwrap();
    assert_eq!(tree(&store.open()).await, ["key"]);
    assert_eq!(names(&tmp), ["00000000000000bb", "not-one-of-ours"]);
    // Unlock explicitly: if the file were only dropped, a process that another test is starting
    // could still hold the lock.
    flock(&writer, FlockOperation::Unlock).unwrap();
    store.open().connect().await.unwrap();
    assert_eq!(names(&tmp), ["not-one-of-ours"]);
}

#[tokio::test]
async fn a_killed_writer_leaves_a_whole_value_and_its_temporary_file_is_removed() {
    let store = TestStore::new();
    put(&store.open(), "key", sized(7, 5_000)).await.unwrap();
    let (mut left, mut round) = (0, 0);
    let deadline = Instant::now() + Duration::from_secs(60);
    // Most kills miss a half-written file, especially on fast disks.
    while round < 25 || (left < 5 && Instant::now() < deadline) {
        round += 1;
        let mut writer = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "sharing::writes_forever", "--ignored"])
            .env("CRED_TEST_BASE", &store.base)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Wait until it writes, so that the kill can hit a write.
        let before = std::fs::metadata(store.base.join("key.enc.json")).unwrap().modified().unwrap();
        let begins = Instant::now() + Duration::from_secs(20);
        while std::fs::metadata(store.base.join("key.enc.json")).unwrap().modified().unwrap() == before {
            assert!(Instant::now() < begins, "the child process writes nothing");
        }
        match round % 2 {
            0 => std::thread::sleep(Duration::from_micros(fastrand::u64(0..3_000))),
            _ => while names(&store.base.join(".tmp")).is_empty() && Instant::now() < begins {},
        }
        writer.kill().unwrap();
        writer.wait().unwrap();
        left += names(&store.base.join(".tmp")).len();
        let provider = store.open();
        let Sealed { data, .. } = get(&provider, "key").await.unwrap();
        assert!(data.ciphertext.iter().all(|byte| *byte == data.salt[0]), "round {round}");
        assert!(names(&store.base.join(".tmp")).is_empty(), "round {round}");
        put(&provider, "key", sized(7, 5_000)).await.unwrap();
    }
    assert!(left > 0, "none of {round} kills hit a write, so the test proves nothing");
}

#[tokio::test]
#[ignore = "is started, and killed, by a_killed_writer_leaves_a_whole_value_and_its_temporary_file_is_removed"]
async fn writes_forever() {
    let base = std::env::var_os("CRED_TEST_BASE").unwrap();
    let config = cred_store_local::LocalStorageConfig::default().with_base_path(base);
    let provider = LocalStorageProvider::new(config).unwrap();
    for number in (0..=255).cycle() {
        put(&provider, "key", sized(number, 20_000)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_store_completes_or_changes_nothing() {
    let (_place, provider) = TestStore::with_provider();
    for number in 0..50 {
        let write = put(&provider, "key", sized(number, 5_000));
        let _ = tokio::time::timeout(Duration::from_micros(fastrand::u64(0..1_500)), write).await;
        match get(&provider, "key").await {
            Ok(Sealed { data, .. }) => assert!(data.ciphertext.iter().all(|byte| *byte == data.salt[0])),
            Err(error) => assert!(error.is_not_found(), "{error}"),
        }
    }
}
