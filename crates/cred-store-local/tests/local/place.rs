//! Helpers that the tests share.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use cred_core::{
    CredentialContext, CredentialMetadata, CredentialPath, EncryptedData, KeyId, Sealed, StorageError,
    StorageProvider as _, Tags, Timestamp,
};
use cred_store_local::{LocalStorageConfig, LocalStorageProvider};
use tempfile::TempDir;

/// A temporary directory with the path of a base in it, which does not exist yet.
pub(crate) struct TestStore {
    pub(crate) directory: TempDir,
    pub(crate) base: PathBuf,
}

impl TestStore {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let base = directory.path().join("base");
        Self { directory, base }
    }

    /// A test store with one provider.
    pub(crate) fn with_provider() -> (Self, LocalStorageProvider) {
        let store = Self::new();
        let provider = store.open();
        (store, provider)
    }

    /// A test store with one provider and one stored value.
    pub(crate) async fn with_value(at: &str, value: Sealed) -> (Self, LocalStorageProvider) {
        let (store, provider) = Self::with_provider();
        put(&provider, at, value).await.unwrap();
        (store, provider)
    }

    pub(crate) fn config(&self) -> LocalStorageConfig {
        LocalStorageConfig::default().with_base_path(&self.base)
    }

    pub(crate) fn open(&self) -> LocalStorageProvider {
        LocalStorageProvider::new(self.config()).unwrap()
    }
}

pub(crate) fn path(text: &str) -> CredentialPath {
    text.parse().unwrap()
}

pub(crate) fn context(path: &CredentialPath) -> CredentialContext {
    CredentialContext::from(path.scope.clone())
}

/// A value whose bytes are derived from its number.
pub(crate) fn value(number: u8) -> Sealed {
    sized(number, 100)
}

pub(crate) fn sized(number: u8, length: usize) -> Sealed {
    let key = KeyId::new("main").unwrap();
    let data =
        EncryptedData::new(key, [number; 32], [number; 32], [number; 12], vec![number; length], [number; 16]);
    let mut tags = Tags::new();
    tags.insert("number", number.to_string()).unwrap();
    let created = Timestamp::from_unix_millis(1_000 + u64::from(number));
    Sealed::new(data, CredentialMetadata::new(created).with_tags(tags))
}

pub(crate) async fn put(
    provider: &LocalStorageProvider,
    at: &str,
    Sealed { data, metadata }: Sealed,
) -> Result<(), StorageError> {
    let path = path(at);
    provider.store(&path.id, data, metadata, &context(&path)).await
}

pub(crate) async fn get(provider: &LocalStorageProvider, at: &str) -> Result<Sealed, StorageError> {
    let path = path(at);
    provider.retrieve(&path.id, &context(&path)).await
}

pub(crate) async fn delete(provider: &LocalStorageProvider, at: &str) -> Result<(), StorageError> {
    let path = path(at);
    provider.delete(&path.id, &context(&path)).await
}

/// All stored paths, sorted.
pub(crate) async fn tree(provider: &LocalStorageProvider) -> Vec<String> {
    let paths = provider.list_tree(None, &CredentialContext::unscoped()).await.unwrap();
    let mut paths: Vec<_> = paths.iter().map(ToString::to_string).collect();
    paths.sort();
    paths
}

pub(crate) fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o7777
}

pub(crate) fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// The names in a directory, sorted.
pub(crate) fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
