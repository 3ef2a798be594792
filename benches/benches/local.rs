//! Local files beside the bare calls of the operating system. `TMPDIR` says which disk.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]
#![allow(clippy::unwrap_used, reason = "a benchmark that fails by panic says what it must")]

use std::fs::{self, File, OpenOptions};
use std::hint::black_box;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cred_core::{
    CredentialContext, CredentialId, CredentialMetadata, EncryptedData, PathRef, Sealer as _,
    StorageProvider as _, Timestamp,
};
use cred_crypto::KeyRing;
use cred_provider_kit::CredentialFile;
use cred_store_local::{LocalStorageConfig, LocalStorageProvider};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures_util::future::join_all;
use tokio::runtime::Runtime;
use tokio::task::spawn_blocking;

struct World {
    runtime: Runtime,
    folder: tempfile::TempDir,
    provider: LocalStorageProvider,
    keys: KeyRing,
    ctx: CredentialContext,
    id: CredentialId,
    data: EncryptedData,
    metadata: CredentialMetadata,
}

fn world() -> World {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = LocalStorageConfig::default().with_base_path(folder.path().join("store"));
    let provider = LocalStorageProvider::new(config).unwrap();
    let keys = KeyRing::generate("main".parse().unwrap()).unwrap();
    let id: CredentialId = "stripe-api-key".parse().unwrap();
    let metadata = CredentialMetadata::new(Timestamp::now());
    let path = PathRef::new(None, &id);
    let data = runtime.block_on(keys.seal(path, &metadata, &[42; 1_024])).unwrap();
    World { runtime, folder, provider, keys, ctx: CredentialContext::unscoped(), id, data, metadata }
}

/// The bare safe protocol: a temporary file, fsync, rename, fsync of the directory.
fn bare_store(folder: &Path, name: &str, bytes: &[u8]) {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let temporary = folder.join(format!(".tmp-{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary).unwrap();
    file.write_all(bytes).unwrap();
    file.sync_all().unwrap();
    fs::rename(&temporary, folder.join(name)).unwrap();
    File::open(folder).unwrap().sync_all().unwrap();
}

async fn bare_store_off_the_runtime(folder: PathBuf, name: String, bytes: Vec<u8>) {
    spawn_blocking(move || bare_store(&folder, &name, &bytes)).await.unwrap();
}

fn store(c: &mut Criterion) {
    let world = world();
    let World { runtime, provider, ctx, id, data, metadata, folder, .. } = &world;
    let bytes = CredentialFile::new(data.clone(), metadata.clone()).encode().unwrap();
    let bare = folder.path().join("bare");
    fs::create_dir(&bare).unwrap();
    runtime.block_on(provider.store(id, data.clone(), metadata.clone(), ctx)).unwrap();

    let mut group = c.benchmark_group("durable store 1 KiB");
    group.measurement_time(Duration::from_secs(8));
    group.bench_function("bare safe protocol", |b| {
        b.iter(|| runtime.block_on(bare_store_off_the_runtime(bare.clone(), "one".into(), bytes.clone())));
    });
    group.bench_function("cred-store-local", |b| {
        b.iter(|| runtime.block_on(provider.store(id, data.clone(), metadata.clone(), ctx)).unwrap());
    });
    group.finish();

    let ids: Vec<CredentialId> = (0..10).map(|n| format!("writer-{n}").parse().unwrap()).collect();
    let mut group = c.benchmark_group("ten writers, 1 KiB each");
    group.measurement_time(Duration::from_secs(8));
    group.throughput(Throughput::Elements(10));
    group.bench_function("bare safe protocol", |b| {
        b.iter(|| {
            let writes = ids
                .iter()
                .map(|id| bare_store_off_the_runtime(bare.clone(), id.as_str().into(), bytes.clone()));
            runtime.block_on(join_all(writes))
        });
    });
    group.bench_function("cred-store-local", |b| {
        b.iter(|| {
            let writes = ids.iter().map(|id| provider.store(id, data.clone(), metadata.clone(), ctx));
            assert!(runtime.block_on(join_all(writes)).iter().all(Result::is_ok));
        });
    });
    group.finish();
}

fn read(c: &mut Criterion) {
    let world = world();
    let World { runtime, provider, keys, ctx, id, data, metadata, folder } = &world;
    runtime.block_on(provider.store(id, data.clone(), metadata.clone(), ctx)).unwrap();
    let file = folder.path().join("bare.enc.json");
    fs::write(&file, CredentialFile::new(data.clone(), metadata.clone()).encode().unwrap()).unwrap();
    let path = PathRef::new(None, id);

    let mut group = c.benchmark_group("read 1 KiB, opened");
    group.bench_function("tokio::fs::read and the same opening", |b| {
        b.iter(|| {
            runtime.block_on(async {
                let bytes = tokio::fs::read(&file).await.unwrap();
                let (data, metadata) = CredentialFile::decode(&bytes).unwrap().into_stored();
                black_box(keys.open(path, &data, &metadata).await.unwrap())
            })
        });
    });
    group.bench_function("cred-store-local", |b| {
        b.iter(|| {
            runtime.block_on(async {
                let (data, metadata) = provider.retrieve(id, ctx).await.unwrap();
                black_box(keys.open(path, &data, &metadata).await.unwrap())
            })
        });
    });
    group.finish();
}

fn list(c: &mut Criterion) {
    let world = world();
    let World { runtime, provider, ctx, data, metadata, folder, .. } = &world;
    let bytes = CredentialFile::new(data.clone(), metadata.clone()).encode().unwrap();
    let first: CredentialId = "credential-0".parse().unwrap();
    runtime.block_on(provider.store(&first, data.clone(), metadata.clone(), ctx)).unwrap();
    let store = folder.path().join("store");
    for (count, from) in [(10_000, 1), (100_000, 10_000)] {
        // Straight onto the disk: a durable store of each would take minutes.
        for number in from..count {
            let name = store.join(format!("credential-{number}.enc.json"));
            OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(name)
                .unwrap()
                .write_all(&bytes)
                .unwrap();
        }
        let mut group = c.benchmark_group(format!("list {count} names"));
        group.sample_size(20);
        group.bench_function("read_dir", |b| {
            b.iter(|| {
                let store = store.clone();
                let names = move || {
                    let entries = fs::read_dir(store).unwrap();
                    entries.map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>()
                };
                runtime.block_on(async { spawn_blocking(names).await }).unwrap()
            });
        });
        group.bench_function("cred-store-local", |b| {
            b.iter(|| {
                let ids = runtime.block_on(provider.list(None, ctx)).unwrap();
                assert_eq!(ids.len(), count);
                ids
            });
        });
        group.finish();
    }
}

criterion_group!(benches, store, read, list);
criterion_main!(benches);
