//! Files and directories that are rejected because another user may have created them.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::place::*;
use cred_core::{
    CredentialContext, CredentialFilter, CredentialPath, StorageError, StorageErrorKind, StorageProvider as _,
};
use cred_store_local::LocalStorageProvider;
use rustix::fs::{CWD, FileType, Mode, makedev, mkfifoat, mknodat};

fn is_corrupted(error: &StorageError) -> bool {
    matches!(error.kind(), StorageErrorKind::Corrupted { .. })
}

fn is_denied(error: &StorageError) -> bool {
    matches!(error.kind(), StorageErrorKind::PermissionDenied { .. })
}

fn mentions(error: &StorageError, path: &Path) -> bool {
    error.to_string().contains(path.to_str().unwrap())
}

#[tokio::test]
async fn a_link_instead_of_a_file_is_not_followed() {
    let (store, provider) = TestStore::with_value("other", value(1)).await;
    let link = store.base.join("key.enc.json");
    symlink(store.base.join("other.enc.json"), &link).unwrap();
    let error = get(&provider, "key").await.unwrap_err();
    assert!(is_corrupted(&error) && mentions(&error, &link), "{error}");
    // A store replaces the link, not what it points to.
    put(&provider, "key", value(2)).await.unwrap();
    assert!(link.symlink_metadata().unwrap().is_file());
    assert_eq!(get(&provider, "other").await.unwrap(), value(1));
    std::fs::remove_file(&link).unwrap();
    symlink("nowhere", &link).unwrap();
    delete(&provider, "key").await.unwrap();
    assert!(link.symlink_metadata().is_err());
}

#[tokio::test]
async fn a_link_instead_of_any_directory_is_not_followed() {
    let (store, provider) = TestStore::with_provider();
    let elsewhere = store.directory.path().join("elsewhere");
    std::fs::create_dir_all(elsewhere.join("team=b")).unwrap();
    for (link, at) in [("org=a", "org:a/team:b/key"), ("org=c/team=b", "org:c/team:b/key")] {
        let link = store.base.join(link);
        std::fs::create_dir_all(link.parent().unwrap()).unwrap();
        set_mode(link.parent().unwrap(), 0o700);
        symlink(&elsewhere, &link).unwrap();
        for error in [
            put(&provider, at, value(1)).await.unwrap_err(),
            get(&provider, at).await.unwrap_err(),
            delete(&provider, at).await.unwrap_err(),
            provider.exists(&path(at).id, &context(&path(at))).await.unwrap_err(),
            provider.list(None, &context(&path(at))).await.unwrap_err(),
            provider.list_tree(None, &CredentialContext::unscoped()).await.unwrap_err(),
        ] {
            assert!(is_corrupted(&error) && mentions(&error, &link), "{error}");
        }
        std::fs::remove_file(&link).unwrap();
    }
    assert_eq!(names(&elsewhere), ["team=b"]);
    assert!(names(&elsewhere.join("team=b")).is_empty(), "nothing was written through a link");
}

#[tokio::test]
async fn a_link_instead_of_an_internal_file_is_not_followed() {
    let (store, provider) = TestStore::with_value("key", value(1)).await;
    let elsewhere = store.directory.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    std::fs::write(elsewhere.join("0123456789abcdef"), "theirs").unwrap();
    for ours in [".tmp", ".lock"] {
        let link = store.base.join(ours);
        if ours == ".tmp" {
            std::fs::remove_dir(&link).unwrap()
        } else {
            std::fs::remove_file(&link).unwrap()
        }
        symlink(elsewhere.join(if ours == ".tmp" { "" } else { "lock" }), &link).unwrap();
        // A new provider sweeps when it opens the base.
        let error = put(&store.open(), "key", value(2)).await.unwrap_err();
        assert!(is_corrupted(&error) && mentions(&error, &link), "{error}");
        std::fs::remove_file(&link).unwrap();
    }
    assert_eq!(names(&elsewhere), ["0123456789abcdef"]);
    assert_eq!(get(&provider, "key").await.unwrap(), value(1));
}

#[tokio::test]
async fn the_base_itself_may_be_a_link() {
    let store = TestStore::new();
    std::fs::create_dir(store.directory.path().join("real")).unwrap();
    set_mode(&store.directory.path().join("real"), 0o700);
    symlink("real", &store.base).unwrap();
    put(&store.open(), "key", value(1)).await.unwrap();
    assert_eq!(get(&store.open(), "key").await.unwrap(), value(1));
}

#[tokio::test]
async fn a_pipe_is_never_waited_for() {
    let (store, provider) = TestStore::with_provider();
    provider.connect().await.unwrap();
    mkfifoat(CWD, store.base.join("key.enc.json"), Mode::RUSR | Mode::WUSR).unwrap();
    mknodat(CWD, store.base.join("socket.enc.json"), FileType::Socket, Mode::RUSR | Mode::WUSR, 0).unwrap();
    for at in ["key", "socket"] {
        let read = tokio::time::timeout(Duration::from_secs(5), get(&provider, at)).await;
        let error = read.expect("the read must not wait for a writer").unwrap_err();
        assert!(is_corrupted(&error), "{error}");
        put(&provider, at, value(1)).await.unwrap();
        assert_eq!(get(&provider, at).await.unwrap(), value(1));
    }
}

#[tokio::test]
async fn a_file_that_other_users_can_access_is_rejected() {
    let (store, provider) = TestStore::with_value("key", value(1)).await;
    let file = store.base.join("key.enc.json");
    for open in [0o640, 0o604, 0o620, 0o601] {
        set_mode(&file, open);
        let error = get(&provider, "key").await.unwrap_err();
        assert!(is_denied(&error) && mentions(&error, &file), "{error}");
        assert!(error.to_string().contains(&format!("{open:o}")) && error.to_string().contains("chmod 600"));
    }
    set_mode(&file, 0o400);
    assert_eq!(get(&provider, "key").await.unwrap(), value(1));
    set_mode(&file, 0o644);
    put(&provider, "key", value(2)).await.unwrap();
    assert_eq!(mode(&file), 0o600, "a store creates a new file");
}

#[tokio::test]
async fn a_directory_that_other_users_can_write_is_rejected() {
    let (store, provider) = TestStore::with_value("org:a/key", value(1)).await;
    for directory in [store.base.clone(), store.base.join("org=a")] {
        set_mode(&directory, 0o770);
        for error in [
            get(&provider, "org:a/key").await.unwrap_err(),
            put(&provider, "org:a/key", value(2)).await.unwrap_err(),
        ] {
            assert!(
                is_denied(&error) && mentions(&error, &directory) && !error.may_have_written(),
                "{error}"
            );
        }
        set_mode(&directory, 0o755);
        assert_eq!(
            get(&provider, "org:a/key").await.unwrap(),
            value(1),
            "read access to a directory is accepted"
        );
    }
}

#[tokio::test]
async fn a_file_of_another_user_is_rejected() {
    let (store, provider) = TestStore::with_value("key", value(1)).await;
    let file = store.base.join("key.enc.json");
    if std::os::unix::fs::chown(&file, Some(12_345), None).is_err() {
        // Only root can change the owner. Other users test with a directory of root.
        let config = store.config().with_base_path("/var/tmp");
        let error = get(&LocalStorageProvider::new(config).unwrap(), "key").await.unwrap_err();
        assert!(is_denied(&error) && error.to_string().contains("belongs to user 0"), "{error}");
        return;
    }
    let error = get(&provider, "key").await.unwrap_err();
    assert!(is_denied(&error) && error.to_string().contains("belongs to user 12345"), "{error}");
}

#[tokio::test]
async fn a_directory_of_another_user_is_rejected() {
    let (store, provider) = TestStore::with_value("org:a/key", value(1)).await;
    let directory = store.base.join("org=a");
    if std::os::unix::fs::chown(&directory, Some(12_345), None).is_err() {
        // Only root can change the owner. Other users test with a directory of root.
        let config = store.config().with_base_path("/var/tmp");
        let error = put(&LocalStorageProvider::new(config).unwrap(), "key", value(1)).await.unwrap_err();
        assert!(is_denied(&error) && !error.may_have_written(), "{error}");
        return;
    }
    for error in [
        get(&provider, "org:a/key").await.unwrap_err(),
        put(&provider, "org:a/key", value(2)).await.unwrap_err(),
        delete(&provider, "org:a/key").await.unwrap_err(),
        provider.list_tree(None, &CredentialContext::unscoped()).await.unwrap_err(),
    ] {
        assert!(is_denied(&error) && mentions(&error, &directory) && !error.may_have_written(), "{error}");
    }
}

#[tokio::test]
async fn a_device_is_never_read() {
    let (store, provider) = TestStore::with_provider();
    provider.connect().await.unwrap();
    let file = store.base.join("key.enc.json");
    let mode = Mode::RUSR | Mode::WUSR;
    // The device `/dev/zero`, which only root can create. Other users create a pipe, which fails
    // the same check.
    mknodat(CWD, &file, FileType::CharacterDevice, mode, makedev(1, 5))
        .or_else(|_| mkfifoat(CWD, &file, mode))
        .unwrap();
    let read = tokio::time::timeout(Duration::from_secs(5), get(&provider, "key")).await;
    let error = read.expect("the device must not be read to its end").unwrap_err();
    assert!(is_corrupted(&error) && mentions(&error, &file), "{error}");
    assert!(error.to_string().contains("is not a regular file"), "rejected without being read: {error}");
    put(&provider, "key", value(1)).await.unwrap();
    assert_eq!(get(&provider, "key").await.unwrap(), value(1));
}

#[tokio::test]
async fn no_credential_path_leads_out_of_the_base() {
    for text in
        ["../key", "org:../key", "org:a/../key", "org:a/..", "/etc/key", "org:./key", "org:a/team:b\\c/key"]
    {
        assert!(text.parse::<CredentialPath>().is_err(), "{text}");
    }
    let (store, provider) = TestStore::with_value("key", value(1)).await;
    // The provider never creates such names, so it ignores them.
    for name in ["%2e%2e", "org=..", "org=%2e%2e", "%2e%2e=%2e%2e", "org=a%2fb"] {
        let directory = store.base.join(name);
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(directory.join("key.enc.json"), "theirs").unwrap();
    }
    std::fs::write(store.base.join("%2e%2e.enc.json"), "theirs").unwrap();
    assert_eq!(tree(&provider).await, ["key"]);
}

/// Another program keeps replacing a file while it is listed and read.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_swapped_during_reads_is_rejected_or_read_whole() {
    let (store, provider) = TestStore::with_value("key", value(1)).await;
    let (file, outside) = (store.base.join("key.enc.json"), store.directory.path().join("outside"));
    let good = std::fs::read(&file).unwrap();
    put(&store.open(), "other", value(9)).await.unwrap();
    std::fs::rename(store.base.join("other.enc.json"), &outside).unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let swaps = std::thread::spawn({
        let (done, file, aside) = (Arc::clone(&done), file.clone(), store.base.join("aside"));
        move || {
            let mut swaps = 0;
            while !done.load(Ordering::Relaxed) {
                match swaps % 4 {
                    0 => symlink(&outside, &aside).unwrap(),
                    1 => mkfifoat(CWD, &aside, Mode::RUSR | Mode::WUSR).unwrap(),
                    2 => std::fs::write(&aside, "open to all").unwrap(),
                    _ => {
                        std::fs::write(&aside, &good).unwrap();
                        set_mode(&aside, 0o600);
                    }
                }
                std::fs::rename(&aside, &file).unwrap();
                swaps += 1;
            }
            swaps
        }
    });
    let filter = CredentialFilter::new().with_tag("number", "1");
    let (mut whole, mut refused) = (0, 0);
    for _ in 0..2_000 {
        match get(&provider, "key").await {
            Ok(found) => {
                assert_eq!(found, value(1), "it was read through a link");
                whole += 1;
            }
            Err(error) => {
                assert!(is_corrupted(&error) || is_denied(&error), "{error}");
                refused += 1;
            }
        }
        match provider.list(Some(&filter), &CredentialContext::unscoped()).await {
            Ok(ids) => assert_eq!(ids, [path("key").id]),
            Err(error) => assert!(is_corrupted(&error) || is_denied(&error), "{error}"),
        }
    }
    done.store(true, Ordering::Relaxed);
    assert!(swaps.join().unwrap() > 100 && whole > 10 && refused > 10, "{whole} whole, {refused} rejected");
}

#[tokio::test]
async fn a_replaced_base_is_opened_again() {
    let (store, provider) = TestStore::with_value("key", value(1)).await;
    std::fs::rename(&store.base, store.directory.path().join("aside")).unwrap();
    put(&store.open(), "key", value(2)).await.unwrap();
    assert_eq!(get(&provider, "key").await.unwrap(), value(2));
    put(&provider, "key", value(3)).await.unwrap();
    assert_eq!(get(&store.open(), "key").await.unwrap(), value(3));
}
