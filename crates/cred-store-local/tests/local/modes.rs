//! Permissions of written files, and folders whose permissions cannot be changed.

use std::path::Path;

use crate::outage::{provider_in_child_process, run_in_child_process};
use crate::place::*;
use cred_core::{CredentialContext, StorageErrorKind, StorageProvider as _};
use cred_store_local::LocalStorageProvider;

/// Adds a folder and all files below it to which other users have access.
fn find_accessible_to_others(path: &Path, found: &mut Vec<String>) {
    let mode = mode(path);
    if mode & 0o077 != 0 {
        found.push(format!("{} has mode {mode:o}", path.display()));
    }
    if path.is_dir() {
        names(path).iter().for_each(|name| find_accessible_to_others(&path.join(name), found));
    }
}

#[test]
fn other_users_have_no_access_under_any_umask() {
    for umask in ["0", "002", "022", "077"] {
        let store = TestStore::new();
        let setup = format!("umask {umask}; CRED_TEST_BASE=$CRED_TEST_BASE/a/b;");
        run_in_child_process(&setup, "modes::stores_below_a_folder_that_does_not_exist", &store);
        let mut found = Vec::new();
        find_accessible_to_others(&store.base, &mut found);
        assert!(found.is_empty(), "umask {umask}: {found:?}");
        assert_eq!(names(&store.base.join("a/b")), [".lock", ".tmp", "key.enc.json", "org=a"]);
    }
}

#[tokio::test]
#[ignore = "is started by other_users_have_no_access_under_any_umask"]
async fn stores_below_a_folder_that_does_not_exist() {
    let provider = provider_in_child_process();
    put(&provider, "key", value(1)).await.unwrap();
    put(&provider, "key", value(2)).await.unwrap();
    put(&provider, "org:a/team:b/key", value(3)).await.unwrap();
    assert_eq!(tree(&provider).await, ["key", "org:a/team:b/key"]);
}

/// A store on a mount where each folder has mode 0777.
async fn store_in_open_folders() -> (TestStore, LocalStorageProvider) {
    let (store, provider) = TestStore::with_value("org:a/key", value(1)).await;
    for folder in ["", ".tmp", "org=a"] {
        set_mode(&store.base.join(folder), 0o777);
    }
    (store, provider)
}

#[tokio::test]
async fn open_folders_are_accepted_only_if_the_configuration_allows_them() {
    let (store, provider) = store_in_open_folders().await;
    let error = get(&provider, "org:a/key").await.unwrap_err();
    assert!(error.to_string().contains("set `allow_open_dirs`"), "{error}");

    let config = store.config().with_allow_open_dirs(true);
    let provider = LocalStorageProvider::new(config.clone()).unwrap();
    assert_eq!(get(&provider, "org:a/key").await.unwrap(), value(1));
    put(&provider, "org:a/key", value(2)).await.unwrap();
    put(&provider, "key", value(3)).await.unwrap();
    assert_eq!(tree(&provider).await, ["key", "org:a/key"]);
    delete(&provider, "key").await.unwrap();
    assert_eq!(mode(&store.base.join("org=a/key.enc.json")), 0o600);
}

#[tokio::test]
async fn a_file_that_other_users_can_read_is_rejected_in_an_open_folder_too() {
    let (store, _) = store_in_open_folders().await;
    let provider = LocalStorageProvider::new(store.config().with_allow_open_dirs(true)).unwrap();
    set_mode(&store.base.join("org=a/key.enc.json"), 0o666);
    let error = get(&provider, "org:a/key").await.unwrap_err();
    assert!(matches!(error.kind(), StorageErrorKind::PermissionDenied { .. }), "{error}");
    assert!(error.to_string().contains("chmod 600"), "{error}");
}

#[tokio::test]
async fn a_folder_of_another_user_is_rejected_even_if_open_folders_are_allowed() {
    let (store, _) = store_in_open_folders().await;
    let provider = LocalStorageProvider::new(store.config().with_allow_open_dirs(true)).unwrap();
    if std::os::unix::fs::chown(store.base.join("org=a"), Some(12_345), None).is_err() {
        // Only root can change the owner. Other users check that a folder of root is accepted.
        let config = store.config().with_base_path("/var/tmp").with_allow_open_dirs(true);
        let provider = LocalStorageProvider::new(config).unwrap();
        assert!(provider.list(None, &CredentialContext::unscoped()).await.is_ok());
        return;
    }
    let error = get(&provider, "org:a/key").await.unwrap_err();
    assert!(error.to_string().contains("belongs to user 12345"), "{error}");
}
