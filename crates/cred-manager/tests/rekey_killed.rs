//! A re-key that is killed again and again, at random moments, beside somebody who goes on writing.
#![cfg(unix)]
#![cfg(test)]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cred_core::{Credential, CredentialId, KeyId, StorageProvider as _, field};
use cred_manager::CredentialManager;
use cred_manager::crypto::{KeyRing, SealingKey};
use cred_store_local::{LocalStorageConfig, LocalStorageProvider};

const KILLS: usize = 200;
const CREDENTIALS: usize = 120;
const FOLDER: &str = "CRED_TEST_FOLDER";
const ACTIVE: &str = "CRED_TEST_ACTIVE";
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

    let (mut active, mut in_the_middle, mut kill) = (1, 0, 0);
    let deadline = Instant::now() + Duration::from_secs(300);
    // How long one may run: what fits the disk of today is found out.
    let mut longest = 60_000.0;
    while kill < KILLS || (in_the_middle <= KILLS / 4 && Instant::now() < deadline) {
        kill += 1;
        let before = how_many_under(folder.path(), KEYS[active]).await;
        let mut rekey = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "rekeys_once", "--ignored"])
            .env(FOLDER, folder.path())
            .env(ACTIVE, KEYS[active])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let moment = Instant::now() + Duration::from_secs_f64(longest * (0.1 + 0.9 * fastrand::f64()) / 1e6);
        // A writer who was not told of the new key yet: what is sealed under it is the re-key's work alone.
        let writer = manager(folder.path(), KEYS[1 - active]);
        while Instant::now() < moment {
            let number = fastrand::usize(0..CREDENTIALS);
            let value = format!("{number} during {kill}");
            writer.store(&id(number), Credential::text(value.clone())).await.unwrap();
            expected.insert(number, value);
        }
        let runs_still = rekey.try_wait().unwrap().is_none();
        rekey.kill().unwrap();
        rekey.wait().unwrap();

        let sealed = how_many_under(folder.path(), KEYS[active]).await;
        match (runs_still, sealed > before) {
            (true, true) => in_the_middle += 1,
            (true, false) => longest *= 1.05,
            (false, _) => longest *= 0.95,
        }
        if sealed > CREDENTIALS * 3 / 4 {
            // Back to the other key, so that every kill has something to hit.
            active = 1 - active;
        }
        let reader = manager(folder.path(), KEYS[active]);
        for (number, value) in &expected {
            let read = reader.retrieve(&id(*number)).await.unwrap();
            let read = read.unwrap_or_else(|| panic!("credential {number} is gone after kill {kill}"));
            assert_eq!(read.expose_text(field::VALUE).unwrap(), value, "after kill {kill}");
        }
    }
    assert!(
        in_the_middle > KILLS / 4,
        "{in_the_middle} of {kill} kills hit a re-key in its middle, so the test shows little"
    );

    let report = manager(folder.path(), KEYS[active]).rekey(false, |_| ()).await.unwrap();
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
        count += usize::from(provider.retrieve(&id(number), &ctx).await.unwrap().0.key_id == key);
    }
    count
}

#[tokio::test]
#[ignore = "is started, and killed, by killed_two_hundred_times_a_rekey_loses_nothing_and_is_finished"]
async fn rekeys_once() {
    let folder = PathBuf::from(std::env::var_os(FOLDER).unwrap());
    let report = manager(&folder, &std::env::var(ACTIVE).unwrap()).rekey(false, |_| ()).await.unwrap();
    assert!(report.is_complete(), "{report:?}");
}
