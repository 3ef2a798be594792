//! A store that can be read and not written.

use crate::outage::{base_of_the_other_process, run_after};
use crate::place::*;
use cred_core::{
    CompareAndSet as _, CredentialContext, CredentialFilter, ProviderConfig as _, StorageErrorKind,
    StorageProvider as _,
};
use cred_store_local::{LocalStorageConfig, LocalStorageProvider};

/// Every operation that only reads, on a store with `value(1)` at `key` and `value(2)` at
/// `org:a/key`. The provider is new for each, so that each opens the folder itself.
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

/// Runs a test without the right of root to write where the permissions forbid it.
#[cfg(target_os = "linux")]
fn as_an_ordinary_user(test: impl AsyncFnOnce() + Send + 'static) {
    use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
    let without_rights = move || {
        let mut sets = capabilities(None).unwrap();
        sets.effective = CapabilitySet::empty();
        set_capabilities(None, sets).unwrap();
        // The threads of the runtime inherit it.
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(test());
    };
    std::thread::spawn(without_rights).join().unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn a_folder_without_write_permission_can_be_read() {
    as_an_ordinary_user(async || {
        let place = Place::new();
        fill(&place.open()).await;
        let folders = ["", ".tmp", "org=a"].map(|name| place.base.join(name));
        let lock = place.base.join(".lock");
        for with_lock in [true, false] {
            if !with_lock {
                std::fs::remove_file(&lock).unwrap();
            }
            folders.iter().for_each(|folder| set_mode(folder, 0o500));
            reads_everything(|| place.open()).await;
            let error = put(&place.open(), "key", value(3)).await.unwrap_err();
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
        let place = Place::new();
        fill(&place.open()).await;
        let writer = std::fs::File::options().write(true).open(place.base.join(".lock")).unwrap();
        flock(&writer, FlockOperation::LockExclusive).unwrap();
        set_mode(&place.base.join(".lock"), 0o400);
        let limit = std::time::Duration::from_millis(200);
        let config = place.config().with_operation_timeout(limit);
        let provider = LocalStorageProvider::new(config).unwrap();
        // It was changed a moment ago, so the list is made under the lock.
        let touched = place.base.join("touched");
        std::fs::write(&touched, "").unwrap();
        let error = provider.list(None, &CredentialContext::unscoped()).await.unwrap_err();
        assert!(matches!(error.kind(), StorageErrorKind::Busy { .. }), "{error}");
        flock(&writer, FlockOperation::Unlock).unwrap();
        std::fs::remove_file(&touched).unwrap();
        // In the usual time: a busy machine may need more than the short one.
        let provider = place.open();
        assert_eq!(provider.list(None, &CredentialContext::unscoped()).await.unwrap().len(), 1);
    });
}

#[cfg(target_os = "linux")]
#[test]
fn the_configuration_rejects_an_unreadable_folder() {
    as_an_ordinary_user(async || {
        let place = Place::new();
        fill(&place.open()).await;
        set_mode(&place.base, 0o300);
        let problem = place.config().validate().unwrap_err().to_string();
        assert!(problem.contains("`base_path` is not readable"), "{problem}");
        set_mode(&place.base, 0o700);
    });
}

#[cfg(target_os = "linux")]
#[test]
fn the_configuration_rejects_a_missing_folder_that_cannot_be_created() {
    as_an_ordinary_user(async || {
        let place = Place::new();
        let above = place.base.clone();
        std::fs::create_dir(&above).unwrap();
        for base in [above.join("store"), above.join("org/app/store")] {
            let config = place.config().with_base_path(base);
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
    let (place, provider) = Place::opened();
    let at = path("org:a/key");
    assert!(get(&provider, "org:a/key").await.unwrap_err().is_not_found());
    assert!(!provider.exists(&at.id, &context(&at)).await.unwrap());
    assert!(provider.list(None, &context(&at)).await.unwrap().is_empty());
    assert!(tree(&provider).await.is_empty());
    delete(&provider, "org:a/key").await.unwrap();
    assert!(!place.base.exists());
    put(&provider, "org:a/key", value(1)).await.unwrap();
    assert_eq!(get(&provider, "org:a/key").await.unwrap(), value(1));
}

#[test]
#[ignore = "mounts a file system, for which it must be root or be allowed user namespaces"]
fn a_read_only_mount_can_be_read() {
    let place = Place::new();
    std::fs::create_dir(&place.base).unwrap();
    let test = |name: &str| format!("\"$0\" --exact read_only::{name} --ignored --nocapture");
    let mount = "mount -t tmpfs -o size=1m,mode=700 none \"$CRED_TEST_BASE\"";
    let remount = "mount -o remount,ro \"$CRED_TEST_BASE\"";
    let (fill, read) = (test("fills_a_mount"), test("reads_a_read_only_mount"));
    let script = format!(
        "exec unshare --mount --map-root-user sh -c '{mount} && {fill} >&2 && {remount} && exec {read}' \"$0\";"
    );
    run_after(&script, "read_only::reads_a_read_only_mount", &place);
}

#[tokio::test]
#[ignore = "is started by a_read_only_mount_can_be_read"]
async fn fills_a_mount() {
    fill(&base_of_the_other_process()).await;
}

#[tokio::test]
#[ignore = "is started by a_read_only_mount_can_be_read"]
async fn reads_a_read_only_mount() {
    reads_everything(base_of_the_other_process).await;
    // Another process, for which the mount is writable, can still create it.
    let base = std::path::PathBuf::from(std::env::var_os("CRED_TEST_BASE").unwrap());
    LocalStorageConfig::default().with_base_path(base.join("missing")).validate().unwrap();
    for error in [
        put(&base_of_the_other_process(), "key", value(3)).await.unwrap_err(),
        put(&base_of_the_other_process(), "org:new/key", value(3)).await.unwrap_err(),
        delete(&base_of_the_other_process(), "key").await.unwrap_err(),
    ] {
        assert!(matches!(error.kind(), StorageErrorKind::ReadOnly { .. }), "{error}");
        assert!(!error.may_have_written() && error.to_string().contains("read-only file system"), "{error}");
    }
}
