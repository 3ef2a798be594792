//! What is refused because somebody else may have put it there.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use crate::place::*;
use cred_core::{CredentialContext, StorageError, StorageErrorKind, StorageProvider as _};
use cred_store_local::LocalStorageProvider;
use rustix::fs::{CWD, FileType, Mode, mkfifoat, mknodat};

fn is_corrupted(error: &StorageError) -> bool {
    matches!(error.kind(), StorageErrorKind::Corrupted { .. })
}

fn is_denied(error: &StorageError) -> bool {
    matches!(error.kind(), StorageErrorKind::PermissionDenied { .. })
}

fn says(error: &StorageError, place: &Path) -> bool {
    error.to_string().contains(place.to_str().unwrap())
}

#[tokio::test]
async fn a_link_in_the_place_of_a_file_is_not_followed() {
    let place = Place::new();
    let provider = place.open();
    put(&provider, "other", value(1)).await.unwrap();
    let link = place.base.join("key.enc.json");
    symlink(place.base.join("other.enc.json"), &link).unwrap();
    let error = get(&provider, "key").await.unwrap_err();
    assert!(is_corrupted(&error) && says(&error, &link), "{error}");
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
async fn a_link_in_the_place_of_any_directory_is_not_followed() {
    let place = Place::new();
    let provider = place.open();
    let elsewhere = place.directory.path().join("elsewhere");
    std::fs::create_dir_all(elsewhere.join("team=b")).unwrap();
    for (link, at) in [("org=a", "org:a/team:b/key"), ("org=c/team=b", "org:c/team:b/key")] {
        let link = place.base.join(link);
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
            assert!(is_corrupted(&error) && says(&error, &link), "{error}");
        }
        std::fs::remove_file(&link).unwrap();
    }
    assert_eq!(names(&elsewhere), ["team=b"]);
    assert!(names(&elsewhere.join("team=b")).is_empty(), "nothing was written through a link");
}

#[tokio::test]
async fn a_link_in_the_place_of_our_own_files_is_not_followed() {
    let place = Place::new();
    let provider = place.open();
    put(&provider, "key", value(1)).await.unwrap();
    let elsewhere = place.directory.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    std::fs::write(elsewhere.join("0123456789abcdef"), "theirs").unwrap();
    for ours in [".tmp", ".lock"] {
        let link = place.base.join(ours);
        if ours == ".tmp" {
            std::fs::remove_dir(&link).unwrap()
        } else {
            std::fs::remove_file(&link).unwrap()
        }
        symlink(elsewhere.join(if ours == ".tmp" { "" } else { "lock" }), &link).unwrap();
        // A new one sweeps when it opens.
        let error = put(&place.open(), "key", value(2)).await.unwrap_err();
        assert!(is_corrupted(&error) && says(&error, &link), "{error}");
        std::fs::remove_file(&link).unwrap();
    }
    assert_eq!(names(&elsewhere), ["0123456789abcdef"]);
    assert_eq!(get(&provider, "key").await.unwrap(), value(1));
}

#[tokio::test]
async fn the_base_itself_may_be_a_link() {
    let place = Place::new();
    std::fs::create_dir(place.directory.path().join("real")).unwrap();
    set_mode(&place.directory.path().join("real"), 0o700);
    symlink("real", &place.base).unwrap();
    put(&place.open(), "key", value(1)).await.unwrap();
    assert_eq!(get(&place.open(), "key").await.unwrap(), value(1));
}

#[tokio::test]
async fn a_pipe_is_never_waited_for() {
    let place = Place::new();
    let provider = place.open();
    provider.connect().await.unwrap();
    mkfifoat(CWD, place.base.join("key.enc.json"), Mode::RUSR | Mode::WUSR).unwrap();
    mknodat(CWD, place.base.join("socket.enc.json"), FileType::Socket, Mode::RUSR | Mode::WUSR, 0).unwrap();
    for at in ["key", "socket"] {
        let read = tokio::time::timeout(Duration::from_secs(5), get(&provider, at)).await;
        let error = read.expect("it must not wait for a writer").unwrap_err();
        assert!(is_corrupted(&error), "{error}");
        put(&provider, at, value(1)).await.unwrap();
        assert_eq!(get(&provider, at).await.unwrap(), value(1));
    }
}

#[tokio::test]
async fn a_file_that_others_may_read_is_refused() {
    let place = Place::new();
    let provider = place.open();
    put(&provider, "key", value(1)).await.unwrap();
    let file = place.base.join("key.enc.json");
    for open in [0o640, 0o604, 0o620, 0o601] {
        set_mode(&file, open);
        let error = get(&provider, "key").await.unwrap_err();
        assert!(is_denied(&error) && says(&error, &file), "{error}");
        assert!(error.to_string().contains(&format!("{open:o}")) && error.to_string().contains("chmod 600"));
    }
    set_mode(&file, 0o400);
    assert_eq!(get(&provider, "key").await.unwrap(), value(1));
    set_mode(&file, 0o644);
    put(&provider, "key", value(2)).await.unwrap();
    assert_eq!(mode(&file), 0o600, "a store makes it anew");
}

#[tokio::test]
async fn a_directory_that_others_may_write_is_refused() {
    let place = Place::new();
    let provider = place.open();
    put(&provider, "org:a/key", value(1)).await.unwrap();
    for directory in [place.base.clone(), place.base.join("org=a")] {
        set_mode(&directory, 0o770);
        for error in [
            get(&provider, "org:a/key").await.unwrap_err(),
            put(&provider, "org:a/key", value(2)).await.unwrap_err(),
        ] {
            assert!(is_denied(&error) && says(&error, &directory) && !error.may_have_written(), "{error}");
        }
        set_mode(&directory, 0o755);
        assert_eq!(get(&provider, "org:a/key").await.unwrap(), value(1), "who may only look does no harm");
    }
}

#[tokio::test]
async fn what_belongs_to_another_user_is_refused() {
    let place = Place::new();
    let provider = place.open();
    put(&provider, "key", value(1)).await.unwrap();
    let file = place.base.join("key.enc.json");
    if std::os::unix::fs::chown(&file, Some(12_345), None).is_err() {
        // Only root can give files away; everyone else finds a directory of root's.
        let config = place.config().with_base_path("/var/tmp");
        let error = get(&LocalStorageProvider::new(config).unwrap(), "key").await.unwrap_err();
        assert!(is_denied(&error) && error.to_string().contains("belongs to user 0"), "{error}");
        return;
    }
    let error = get(&provider, "key").await.unwrap_err();
    assert!(is_denied(&error) && error.to_string().contains("belongs to user 12345"), "{error}");
}
