//! A re-key that is killed again and again, after a random number of credentials, while another
//! process continues to write.
#![cfg(unix)]
#![cfg(test)]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use cred_core::{Credential, CredentialId, KeyId, StorageProvider as _, field};
use cred_manager::CredentialManager;
use cred_manager::crypto::{KeyRing, SealingKey};
use cred_store_local::{LocalStorageConfig, LocalStorageProvider};

const KILLS: usize = 200;
const CREDENTIALS: usize = 120;
const FOLDER: &str = "CRED_TEST_FOLDER";
const ACTIVE: &str = "CRED_TEST_ACTIVE";
const REACHED: &str = "CRED_TEST_REACHED";
const RESEALS: &str = "CRED_TEST_RESEALS";
const KEYS: [&str; 2] = ["even", "odd"];

fn provider(folder: &Path) -> LocalStorageProvider {
    LocalStorageProvider::new(LocalStorageConfig::default().with_base_path(folder.join("store"))).unwrap()
}

/// A manager as any process has it that knows both keys.
fn manager(folder: &Path, active: &str) -> CredentialManager {
    let ring = KEYS.iter().fold(KeyRing::builder(active.parse().unwrap()), |ring, key| {
        ring.key(key.parse().unwrap(), SealingKey::from_file(folder.join(key)).unwrap())
    });
    let (storage, keys) = (Arc::new(provider(folder)), Arc::new(ring.build().unwrap()));
    CredentialManager::builder().storage(storage).keys(keys).cache_max_size(0).build()
}

fn id(number: usize) -> CredentialId {
    format!("credential-{number}").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_two_hundred_times_a_rekey_loses_nothing_and_is_finished() {
    let folder = tempfile::tempdir().unwrap();
    for key in KEYS {
        SealingKey::create_file(folder.path().join(key)).unwrap();
    }
    let mut expected: HashMap<usize, String> = HashMap::new();
    let before = manager(folder.path(), KEYS[0]);
    for number in 0..CREDENTIALS {
        before.store(&id(number), Credential::text("first")).await.unwrap();
        expected.insert(number, "first".to_owned());
    }

    let mut active = 1;
    for kill in 0..KILLS {
        let reached = folder.path().join(format!("reached-{kill}"));
        let mut rekey = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "rekeys_until_it_is_killed", "--ignored"])
            .env(FOLDER, folder.path())
            .env(ACTIVE, KEYS[active])
            .env(REACHED, &reached)
            .env(RESEALS, fastrand::usize(1..=CREDENTIALS / 8).to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // A writer that does not have the new key yet: only the re-key seals under that one.
        let writer = manager(folder.path(), KEYS[1 - active]);
        let mut write = async || {
            let number = fastrand::usize(0..CREDENTIALS);
            let value = format!("{number} during {kill}");
            writer.store(&id(number), Credential::text(value.clone())).await.unwrap();
            expected.insert(number, value);
        };
        while !reached.exists() {
            assert_eq!(rekey.try_wait().unwrap(), None, "the re-key ended on its own");
            write().await;
        }
        // Meanwhile, started writes continue.
        for _ in 0..fastrand::usize(0..3) {
            write().await;
        }
        rekey.kill().unwrap();
        rekey.wait().unwrap();

        let sealed = how_many_under(folder.path(), KEYS[active]).await;
        if sealed > CREDENTIALS * 3 / 4 {
            // Back to the other key, so that every kill interrupts a re-key with work left.
            active = 1 - active;
        }
        let reader = manager(folder.path(), KEYS[active]);
        for (number, value) in &expected {
            let read = reader.retrieve(&id(*number)).await.unwrap();
            let read = read.unwrap_or_else(|| panic!("credential {number} is gone after kill {kill}"));
            assert_eq!(read.expose_text(field::VALUE).unwrap(), value, "after kill {kill}");
        }
    }
    let report = manager(folder.path(), KEYS[active]).rekey().await.unwrap();
    assert!(report.is_complete() && report.found == CREDENTIALS, "{report:?}");
    assert_eq!(how_many_under(folder.path(), KEYS[active]).await, CREDENTIALS);
    let left = std::fs::read_dir(folder.path().join("store/.tmp")).unwrap().count();
    assert_eq!(left, 0, "files of killed writers are swept");
}

async fn how_many_under(folder: &Path, key: &str) -> usize {
    let (provider, ctx) = (provider(folder), cred_core::CredentialContext::unscoped());
    let key: KeyId = key.parse().unwrap();
    let mut count = 0;
    for number in 0..CREDENTIALS {
        count += usize::from(provider.retrieve(&id(number), &ctx).await.unwrap().data.key_id == key);
    }
    count
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "is started, and killed, by killed_two_hundred_times_a_rekey_loses_nothing_and_is_finished"]
async fn rekeys_until_it_is_killed() {
    let variable = |name| std::env::var(name).unwrap();
    let (folder, reached) = (PathBuf::from(variable(FOLDER)), PathBuf::from(variable(REACHED)));
    let reseals: usize = variable(RESEALS).parse().unwrap();
    let manager = manager(&folder, &variable(ACTIVE));
    let rekey = manager.rekey().on_progress(|report| {
        if report.resealed == reseals && !reached.exists() {
            std::fs::write(&reached, "").unwrap();
            // Starts nothing more, and lets started writes continue. Ends even without a kill.
            std::thread::sleep(Duration::from_secs(60));
        }
    });
    panic!("it was not killed: {:?}", rekey.await);
}
