//! Stores that can be read but not written.

use crate::outage::{provider_in_child_process, run_in_child_process};
use crate::place::*;
use cred_core::{
    CompareAndSet as _, CredentialContext, CredentialFilter, ProviderConfig as _, StorageErrorKind,
    StorageProvider as _,
};
use cred_store_local::{LocalStorageConfig, LocalStorageProvider};

/// Runs every read operation on a store with `value(1)` at `key` and `value(2)` at `org:a/key`.
/// Each uses a new provider, so that each opens the folder itself.
async fn reads_everything(open: impl Fn() -> LocalStorageProvider) {
    open().connect().await.unwrap();
    assert_eq!(get(&open(), "key").await.unwrap(), value(1));
    assert_eq!(get(&open(), "org:a/key").await.unwrap(), value(2));
    assert!(get(&open(), "org:b/key").await.unwrap_err().is_not_found());
    let at = path("key");
    assert!(open().exists(&at.id, &context(&at)).await.unwrap());
    assert!(open().retrieve_versioned(&at.id, &context(&at)).await.is_ok());
    assert_eq!(tree(&open()).await, ["key", "org:a/key"]);
    let filter = CredentialFilter::new().with_tag("number", "1");
    let found = open().list(Some(&filter), &CredentialContext::unscoped()).await.unwrap();
    assert_eq!(found, [at.id]);
}

async fn fill(provider: &LocalStorageProvider) {
    put(provider, "key", value(1)).await.unwrap();
    put(provider, "org:a/key", value(2)).await.unwrap();
}

/// Runs a test without the capability of root to write against the permissions.
#[cfg(target_os = "linux")]
fn as_an_ordinary_user(test: impl AsyncFnOnce() + Send + 'static) {
    use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
    let without_capabilities = move || {
        let mut sets = capabilities(None).unwrap();
        sets.effective = CapabilitySet::empty();
        set_capabilities(None, sets).unwrap();
        // The threads of the runtime inherit the capabilities.
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(test());
    };
    std::thread::spawn(without_capabilities).join().unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn a_folder_without_write_permission_can_be_read() {
    as_an_ordinary_user(async || {
        let store = TestStore::new();
        fill(&store.open()).await;
        let folders = ["", ".tmp", "org=a"].map(|name| store.base.join(name));
        let lock = store.base.join(".lock");
        for with_lock in [true, false] {
            if !with_lock {
                std::fs::remove_file(&lock).unwrap();
            }
            folders.iter().for_each(|folder| set_mode(folder, 0o500));
            reads_everything(|| store.open()).await;
            let error = put(&store.open(), "key", value(3)).await.unwrap_err();
            assert!(matches!(error.kind(), StorageErrorKind::PermissionDenied { .. }), "{error}");
            assert!(!error.may_have_written(), "{error}");
            assert!(error.to_string().contains("creating `"), "{error}");
            assert_eq!(lock.exists(), with_lock);
            folders.iter().for_each(|folder| set_mode(folder, 0o700));
        }
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_list_of_a_read_only_store_waits_for_a_writer_elsewhere() {
    use rustix::fs::{FlockOperation, flock};
    as_an_ordinary_user(async || {
        let store = TestStore::new();
        fill(&store.open()).await;
        let writer = std::fs::File::options().write(true).open(store.base.join(".lock")).unwrap();
        flock(&writer, FlockOperation::LockExclusive).unwrap();
        set_mode(&store.base.join(".lock"), 0o400);
        let limit = std::time::Duration::from_millis(200);
        let config = store.config().with_operation_timeout(limit);
        let provider = LocalStorageProvider::new(config).unwrap();
        // The directory changed a moment ago, so the list takes the lock.
        let touched = store.base.join("touched");
        std::fs::write(&touched, "").unwrap();
        let error = provider.list(None, &CredentialContext::unscoped()).await.unwrap_err();
        assert!(matches!(error.kind(), StorageErrorKind::Busy { .. }), "{error}");
        flock(&writer, FlockOperation::Unlock).unwrap();
        std::fs::remove_file(&touched).unwrap();
        // With the default timeout, since a busy machine may need more than the short one.
        let provider = store.open();
        assert_eq!(provider.list(None, &CredentialContext::unscoped()).await.unwrap().len(), 1);
    });
}

#[cfg(target_os = "linux")]
#[test]
fn the_configuration_rejects_an_unreadable_folder() {
    as_an_ordinary_user(async || {
        let store = TestStore::new();
        fill(&store.open()).await;
        set_mode(&store.base, 0o300);
        let problem = store.config().validate().unwrap_err().to_string();
        assert!(problem.contains("`base_path` is not readable"), "{problem}");
        set_mode(&store.base, 0o700);
    });
}

#[cfg(target_os = "linux")]
#[test]
fn the_configuration_rejects_a_missing_folder_that_cannot_be_created() {
    as_an_ordinary_user(async || {
        let store = TestStore::new();
        let above = store.base.clone();
        std::fs::create_dir(&above).unwrap();
        for base in [above.join("store"), above.join("org/app/store")] {
            let config = store.config().with_base_path(base);
            set_mode(&above, 0o500);
            let problem = config.validate().unwrap_err().to_string();
            assert!(problem.contains("`base_path` does not exist and cannot be created"), "{problem}");
            assert!(problem.contains(&format!("cannot write `{}`", above.display())), "{problem}");
            let problem = config.clone().with_create_dir(false).validate().unwrap_err().to_string();
            assert!(problem.contains("`base_path` does not exist;"), "{problem}");
            set_mode(&above, 0o700);
            config.validate().unwrap();
        }
    });
}

#[tokio::test]
async fn a_read_creates_nothing() {
    let (store, provider) = TestStore::with_provider();
    let at = path("org:a/key");
    assert!(get(&provider, "org:a/key").await.unwrap_err().is_not_found());
    assert!(!provider.exists(&at.id, &context(&at)).await.unwrap());
    assert!(provider.list(None, &context(&at)).await.unwrap().is_empty());
    assert!(tree(&provider).await.is_empty());
    delete(&provider, "org:a/key").await.unwrap();
    assert!(!store.base.exists());
    put(&provider, "org:a/key", value(1)).await.unwrap();
    assert_eq!(get(&provider, "org:a/key").await.unwrap(), value(1));
}

#[test]
#[ignore = "mounts a file system, for which it must be root or be allowed user namespaces"]
fn a_read_only_mount_can_be_read() {
    let store = TestStore::new();
    std::fs::create_dir(&store.base).unwrap();
    let test = |name: &str| format!("\"$0\" --exact read_only::{name} --ignored --nocapture");
    let mount = "mount -t tmpfs -o size=1m,mode=700 none \"$CRED_TEST_BASE\"";
    let remount = "mount -o remount,ro \"$CRED_TEST_BASE\"";
    let (fill, read) = (test("fills_a_mount"), test("reads_a_read_only_mount"));
    let script = format!(
        "exec unshare --mount --map-root-user sh -c '{mount} && {fill} >&2 && {remount} && exec {read}' \"$0\";"
    );
    run_in_child_process(&script, "read_only::reads_a_read_only_mount", &store);
}

#[tokio::test]
#[ignore = "is started by a_read_only_mount_can_be_read"]
async fn fills_a_mount() {
    fill(&provider_in_child_process()).await;
}

#[tokio::test]
#[ignore = "is started by a_read_only_mount_can_be_read"]
async fn reads_a_read_only_mount() {
    reads_everything(provider_in_child_process).await;
    // Another process, for which the mount is writable, can still create it.
    let base = std::path::PathBuf::from(std::env::var_os("CRED_TEST_BASE").unwrap());
    LocalStorageConfig::default().with_base_path(base.join("missing")).validate().unwrap();
    for error in [
        put(&provider_in_child_process(), "key", value(3)).await.unwrap_err(),
        put(&provider_in_child_process(), "org:new/key", value(3)).await.unwrap_err(),
        delete(&provider_in_child_process(), "key").await.unwrap_err(),
    ] {
        assert!(matches!(error.kind(), StorageErrorKind::ReadOnly { .. }), "{error}");
        assert!(!error.may_have_written() && error.to_string().contains("read-only file system"), "{error}");
    }
}
