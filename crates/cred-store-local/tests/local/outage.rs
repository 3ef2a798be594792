//! A missing directory, a full disk, and a file system that rejects writes.

use std::process::{Command, Stdio};

use crate::place::*;
use cred_core::{CredentialContext, ProviderConfig as _, StorageErrorKind, StorageProvider as _};
use cred_store_local::{LocalStorageConfig, LocalStorageProvider};

#[tokio::test]
async fn a_directory_that_disappeared_is_an_outage_and_is_not_recreated() {
    let (store, provider) = TestStore::with_value("key", value(1)).await;
    let aside = store.directory.path().join("aside");
    std::fs::rename(&store.base, &aside).unwrap();
    let at = path("key");
    for error in [
        get(&provider, "key").await.unwrap_err(),
        provider.exists(&at.id, &context(&at)).await.unwrap_err(),
        provider.list(None, &CredentialContext::unscoped()).await.unwrap_err(),
        provider.list_tree(None, &CredentialContext::unscoped()).await.unwrap_err(),
        put(&provider, "key", value(2)).await.unwrap_err(),
        delete(&provider, "key").await.unwrap_err(),
    ] {
        assert!(matches!(error.kind(), StorageErrorKind::Unavailable { .. }), "{error}");
        assert!(error.to_string().contains(store.base.to_str().unwrap()), "{error}");
    }
    assert!(!store.base.exists(), "an empty directory at the mount point would hide the outage");
    std::fs::rename(&aside, &store.base).unwrap();
    assert_eq!(get(&provider, "key").await.unwrap(), value(1));
}

#[tokio::test]
async fn a_missing_directory_is_a_clear_error_if_it_must_not_be_created() {
    let store = TestStore::new();
    let config = store.config().with_create_dir(false);
    let problem = config.validate().unwrap_err().to_string();
    assert_eq!(
        problem,
        "the local configuration is invalid: `base_path` does not exist; restore it if it was moved, mount it, or \
         create it with mode 0700"
    );
    std::fs::create_dir(&store.base).unwrap();
    let provider = LocalStorageProvider::new(config).unwrap();
    std::fs::remove_dir(&store.base).unwrap();
    let error = provider.connect().await.unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("could not connect to local: the backend is unavailable: its directory `")
    );
    assert!(!store.base.exists());
}

/// Runs an ignored test in a child process, after the shell commands of `setup`. The output goes
/// through pipes, since a file size limit would also apply to a log file.
pub(crate) fn run_in_child_process(setup: &str, test: &str, store: &TestStore) {
    let output = Command::new("sh")
        .args(["-c", &format!("{setup} exec \"$0\" --exact {test} --ignored --nocapture")])
        .arg(std::env::current_exe().unwrap())
        .env("CRED_TEST_BASE", &store.base)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(output.status.success() && out.contains("1 passed"), "{out}{err}");
}

pub(crate) fn provider_in_child_process() -> LocalStorageProvider {
    let base = std::env::var_os("CRED_TEST_BASE").expect("another test starts this one");
    LocalStorageProvider::new(LocalStorageConfig::default().with_base_path(base)).unwrap()
}

/// `ulimit -f` is a limit in blocks of 512 bytes (1,024 in some shells) that every user can set. A
/// write that reaches it fails midway, as on a full disk.
#[test]
fn a_file_size_limit_leaves_the_old_value() {
    let store = TestStore::new();
    run_in_child_process("trap '' XFSZ; ulimit -f 16;", "outage::a_store_without_space", &store);
}

#[tokio::test]
#[ignore = "is started by a_file_size_limit_leaves_the_old_value and a_full_disk_leaves_the_old_value"]
async fn a_store_without_space() {
    let provider = provider_in_child_process();
    put(&provider, "key", value(1)).await.unwrap();
    let error = put(&provider, "key", sized(2, 200_000)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "could not store credential `key` in local: no space is left on the disk; the old value is unchanged, \
         free some space and try again"
    );
    assert!(!error.may_have_written());
    assert_eq!(get(&provider, "key").await.unwrap(), value(1));
    put(&provider, "key", value(3)).await.unwrap();
    assert_eq!(get(&provider, "key").await.unwrap(), value(3));
    let base = std::path::PathBuf::from(std::env::var_os("CRED_TEST_BASE").unwrap());
    assert!(names(&base.join(".tmp")).is_empty(), "the unfinished file is removed and takes no space");
}

#[test]
#[ignore = "mounts a file system of 64 KiB, for which it must be root or be allowed user namespaces"]
fn a_full_disk_leaves_the_old_value() {
    let store = TestStore::new();
    std::fs::create_dir(&store.base).unwrap();
    let mount = "mount -t tmpfs -o size=64k,mode=700 none \"$CRED_TEST_BASE\" &&";
    let script = format!(
        "exec unshare --mount --map-root-user sh -c '{mount} exec \"$0\" --exact outage::a_store_without_space --ignored --nocapture' \"$0\";"
    );
    run_in_child_process(&script, "outage::a_store_without_space", &store);
}
