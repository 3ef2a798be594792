//! The local store, and the bare system calls that it is built on.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::hint::black_box;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use cred_core::{
    CredentialContext, CredentialId, CredentialMetadata, EncryptedData, PathRef, Sealed, Sealer as _,
    StorageProvider as _, Timestamp,
};
use cred_crypto::KeyRing;
use cred_provider_kit::CredentialFile;
use cred_store_local::{LocalStorageConfig, LocalStorageProvider};
use futures_util::future::join_all;
use tokio::runtime::Runtime;
use tokio::task::spawn_blocking;

/// A store, a folder next to it for bare files, and one sealed credential of 1 KiB.
#[allow(missing_debug_implementations, reason = "never printed")]
pub struct Files {
    runtime: Runtime,
    bare: PathBuf,
    pub bytes: Vec<u8>,
    store: PathBuf,
    provider: LocalStorageProvider,
    keys: KeyRing,
    ctx: CredentialContext,
    id: CredentialId,
    ten: Vec<CredentialId>,
    data: EncryptedData,
    metadata: CredentialMetadata,
}

impl Files {
    pub fn new(folder: &Path) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (store, bare) = (folder.join("store"), folder.join("bare"));
        DirBuilder::new().mode(0o700).create(&bare).unwrap();
        let provider =
            LocalStorageProvider::new(LocalStorageConfig::default().with_base_path(&store)).unwrap();
        let keys = KeyRing::generate("main".parse().unwrap()).unwrap();
        let id: CredentialId = "stripe-api-key".parse().unwrap();
        let metadata = CredentialMetadata::new(Timestamp::now());
        let data = runtime.block_on(keys.seal(PathRef::new(None, &id), &metadata, &[42; 1_024])).unwrap();
        let bytes = CredentialFile::new(data.clone(), metadata.clone()).encode().unwrap();
        let ten = (0..10).map(|n| format!("writer-{n}").parse().unwrap()).collect();
        let ctx = CredentialContext::unscoped();
        let files = Self { runtime, bare, bytes, store, provider, keys, ctx, id, ten, data, metadata };
        files.store();
        files.bare_store();
        files
    }

    pub fn store(&self) {
        let Self { provider, id, data, metadata, ctx, .. } = self;
        self.runtime.block_on(provider.store(id, data.clone(), metadata.clone(), ctx)).unwrap();
    }

    /// Writes a temporary file, syncs it, renames it and syncs the directory.
    pub fn bare_store(&self) {
        self.runtime.block_on(self.bare_write("stripe-api-key"));
    }

    pub fn ten_stores(&self) {
        let Self { provider, data, metadata, ctx, .. } = self;
        let writes = self.ten.iter().map(|id| provider.store(id, data.clone(), metadata.clone(), ctx));
        assert!(self.runtime.block_on(join_all(writes)).iter().all(Result::is_ok));
    }

    pub fn ten_bare_stores(&self) {
        self.runtime.block_on(join_all(self.ten.iter().map(|id| self.bare_write(id.as_str()))));
    }

    pub fn read(&self) {
        let Self { provider, id, ctx, .. } = self;
        self.runtime.block_on(async {
            let Sealed { data, metadata } = provider.retrieve(id, ctx).await.unwrap();
            black_box(self.keys.open(PathRef::new(None, id), &data, &metadata).await.unwrap());
        });
    }

    /// Reads with `tokio::fs::read` and opens the credential in the same way.
    pub fn bare_read(&self) {
        let file = self.bare.join("stripe-api-key");
        self.runtime.block_on(async {
            let bytes = tokio::fs::read(file).await.unwrap();
            let Sealed { data, metadata } = CredentialFile::decode(&bytes).unwrap().into_sealed();
            black_box(self.keys.open(PathRef::new(None, &self.id), &data, &metadata).await.unwrap());
        });
    }

    /// Creates one more file per number. It writes them directly, because a durable store of each
    /// would take minutes.
    pub fn fill(&self, numbers: std::ops::Range<usize>) {
        for number in numbers {
            let name = self.store.join(format!("credential-{number}.enc.json"));
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(name).unwrap();
            file.write_all(&self.bytes).unwrap();
        }
    }

    pub fn list(&self) -> usize {
        self.runtime.block_on(self.provider.list(None, &self.ctx)).unwrap().len()
    }

    /// Collects the names of the same directory with `read_dir`, also on a blocking thread.
    pub fn bare_list(&self) -> usize {
        let store = self.store.clone();
        let names = move || {
            let entries = fs::read_dir(store).unwrap();
            entries.map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>()
        };
        self.runtime.block_on(async { spawn_blocking(names).await }).unwrap().len()
    }

    async fn bare_write(&self, name: &str) {
        let (folder, name, bytes) = (self.bare.clone(), name.to_owned(), self.bytes.clone());
        spawn_blocking(move || bare_write(&folder, &name, &bytes)).await.unwrap();
    }
}

fn bare_write(folder: &Path, name: &str, bytes: &[u8]) {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let temporary = folder.join(format!(".tmp-{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary).unwrap();
    file.write_all(bytes).unwrap();
    file.sync_all().unwrap();
    fs::rename(&temporary, folder.join(name)).unwrap();
    File::open(folder).unwrap().sync_all().unwrap();
}
