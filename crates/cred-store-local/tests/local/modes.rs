//! Permissions of what is written, and of folders whose permissions cannot be changed.

use std::path::Path;

use crate::outage::{base_of_the_other_process, run_after};
use crate::place::*;
use cred_core::{CredentialContext, StorageErrorKind, StorageProvider as _};
use cred_store_local::LocalStorageProvider;

/// All below a folder that lets other users in, and it itself.
fn open_to_others(place: &Path, found: &mut Vec<String>) {
    let of = mode(place);
    if of & 0o077 != 0 {
        found.push(format!("{} has mode {of:o}", place.display()));
    }
    if place.is_dir() {
        names(place).iter().for_each(|name| open_to_others(&place.join(name), found));
    }
}

#[test]
fn other_users_have_no_access_under_any_umask() {
    for umask in ["0", "002", "022", "077"] {
        let place = Place::new();
        let setup = format!("umask {umask}; CRED_TEST_BASE=$CRED_TEST_BASE/a/b;");
        run_after(&setup, "modes::stores_below_a_folder_that_does_not_exist", &place);
        let mut found = Vec::new();
        open_to_others(&place.base, &mut found);
        assert!(found.is_empty(), "umask {umask}: {found:?}");
        assert_eq!(names(&place.base.join("a/b")), [".lock", ".tmp", "key.enc.json", "org=a"]);
    }
}

#[tokio::test]
#[ignore = "is started by other_users_have_no_access_under_any_umask"]
async fn stores_below_a_folder_that_does_not_exist() {
    let provider = base_of_the_other_process();
    put(&provider, "key", value(1)).await.unwrap();
    put(&provider, "key", value(2)).await.unwrap();
    put(&provider, "org:a/team:b/key", value(3)).await.unwrap();
    assert_eq!(tree(&provider).await, ["key", "org:a/team:b/key"]);
}

/// As on a mount where each folder has mode 0777.
async fn opened_up() -> (Place, LocalStorageProvider) {
    let (place, provider) = Place::holding("org:a/key", value(1)).await;
    for folder in ["", ".tmp", "org=a"] {
        set_mode(&place.base.join(folder), 0o777);
    }
    (place, provider)
}

#[tokio::test]
async fn open_folders_are_accepted_only_if_the_configuration_allows_them() {
    let (place, provider) = opened_up().await;
    let error = get(&provider, "org:a/key").await.unwrap_err();
    assert!(error.to_string().contains("set `allow_open_dirs`"), "{error}");

    let config = place.config().with_allow_open_dirs(true);
    let provider = LocalStorageProvider::new(config.clone()).unwrap();
    assert_eq!(get(&provider, "org:a/key").await.unwrap(), value(1));
    put(&provider, "org:a/key", value(2)).await.unwrap();
    put(&provider, "key", value(3)).await.unwrap();
    assert_eq!(tree(&provider).await, ["key", "org:a/key"]);
    delete(&provider, "key").await.unwrap();
    assert_eq!(mode(&place.base.join("org=a/key.enc.json")), 0o600);
}

#[tokio::test]
async fn a_file_that_other_users_can_read_is_rejected_in_an_open_folder_too() {
    let (place, _) = opened_up().await;
    let provider = LocalStorageProvider::new(place.config().with_allow_open_dirs(true)).unwrap();
    set_mode(&place.base.join("org=a/key.enc.json"), 0o666);
    let error = get(&provider, "org:a/key").await.unwrap_err();
    assert!(matches!(error.kind(), StorageErrorKind::PermissionDenied { .. }), "{error}");
    assert!(error.to_string().contains("chmod 600"), "{error}");
}

#[tokio::test]
async fn a_folder_of_another_user_is_rejected_even_if_open_folders_are_allowed() {
    let (place, _) = opened_up().await;
    let provider = LocalStorageProvider::new(place.config().with_allow_open_dirs(true)).unwrap();
    if std::os::unix::fs::chown(place.base.join("org=a"), Some(12_345), None).is_err() {
        // Only root can give a folder away. Another user finds that a folder of root is accepted.
        let config = place.config().with_base_path("/var/tmp").with_allow_open_dirs(true);
        let provider = LocalStorageProvider::new(config).unwrap();
        assert!(provider.list(None, &CredentialContext::unscoped()).await.is_ok());
        return;
    }
    let error = get(&provider, "org:a/key").await.unwrap_err();
    assert!(error.to_string().contains("belongs to user 12345"), "{error}");
}
