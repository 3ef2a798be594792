//! Runs the conformance suite: the contract of a storage provider, clause by clause.
#![cfg(unix)]
#![cfg(test)]

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cred_conformance::{Edit, Harness, Subject};
use cred_core::{CredentialPath, async_trait};
use cred_provider_kit::naming::FileNames;
use cred_store_local::{LocalStorageConfig, LocalStorageProvider};
use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use tempfile::TempDir;

struct Local {
    directory: TempDir,
    names: FileNames,
    /// The store lock, while the harness holds it.
    lock: Mutex<Option<OwnedFd>>,
}

impl Local {
    fn new() -> Self {
        let names = FileNames::new("file_extension", "enc.json").unwrap();
        Self { directory: tempfile::tempdir().unwrap(), names, lock: Mutex::default() }
    }

    fn base(&self) -> PathBuf {
        self.directory.path().join("base")
    }

    fn provider(&self) -> Arc<LocalStorageProvider> {
        let config = LocalStorageConfig::default()
            .with_base_path(self.base())
            .with_operation_timeout(Duration::from_secs(5))
            .with_max_payload_len(64 * 1_024);
        Arc::new(LocalStorageProvider::new(config).unwrap())
    }

    fn file(&self, path: &CredentialPath) -> PathBuf {
        let directories = path.scope.iter().flat_map(|scope| self.names.directories(scope));
        directories.chain([self.names.file(&path.id)]).fold(self.base(), |path, name| path.join(name.text))
    }
}

#[async_trait]
impl Harness for Local {
    async fn open(&self) -> Arc<dyn Subject> {
        let provider = self.provider();
        // A directory that was never opened cannot be an outage.
        provider.connect().await.unwrap();
        provider
    }

    async fn reopen(&self) -> Option<Arc<dyn Subject>> {
        Some(self.provider())
    }

    async fn edit_raw(&self, path: &CredentialPath, edit: Edit<'_>) -> bool {
        let file = self.file(path);
        let Ok(bytes) = std::fs::read(&file) else { return false };
        std::fs::write(file, edit(bytes)).is_ok()
    }

    async fn outage(&self, down: bool) -> bool {
        let aside = self.directory.path().join("aside");
        match down {
            true => std::fs::rename(self.base(), aside).is_ok(),
            false => !aside.exists() || std::fs::rename(aside, self.base()).is_ok(),
        }
    }

    /// Holds the store lock, as a writer in another process does.
    async fn stall(&self, held: bool) -> bool {
        let lock = held.then(|| {
            let flags = OFlags::RDWR | OFlags::CREATE;
            let file = open(self.base().join(".lock"), flags, Mode::RUSR | Mode::WUSR).unwrap();
            flock(&file, FlockOperation::LockExclusive).unwrap();
            file
        });
        *self.lock.lock().unwrap() = lock;
        true
    }

    fn physical_name(&self, path: &CredentialPath) -> Option<String> {
        let file = self.file(path);
        file.strip_prefix(self.base()).ok()?.to_str().map(str::to_owned)
    }
}

cred_conformance::suite!(
    Local::new(),
    offers: [compare_and_set, metrics, payload_limit, reopen, raw_edit, outage, stall]
);
