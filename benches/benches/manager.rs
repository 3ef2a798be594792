//! The manager's hit path beside a raw map and other caches, and its batches beside a bare stream.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark that fails by panic says what it must"
)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cred_core::{
    Credential, CredentialContext, CredentialFilter, CredentialId, CredentialMetadata, CredentialPath,
    Description, EncryptedData, StorageError, StorageProvider, Stored, async_trait,
};
use cred_crypto::KeyRing;
use cred_manager::CredentialManager;
use cred_store_memory::{MemoryStorageConfig, MemoryStorageProvider};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use futures_util::stream::{self, StreamExt as _};
use tokio::runtime::Runtime;

const HOT: usize = 64;
const TTL: Duration = Duration::from_secs(3_600);

struct World {
    runtime: Runtime,
    manager: CredentialManager,
    paths: Vec<CredentialPath>,
    ids: Vec<CredentialId>,
}

fn world() -> World {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    let storage = Arc::new(MemoryStorageProvider::new(MemoryStorageConfig::default()).unwrap());
    let keys = Arc::new(KeyRing::generate("main".parse().unwrap()).unwrap());
    let manager = CredentialManager::builder().storage(storage).keys(keys).cache_ttl(TTL).build();
    let manager = manager.scoped("org:acme/team:payments".parse().unwrap()).unwrap();
    let ids: Vec<CredentialId> = (0..HOT).map(|n| format!("credential-{n}").parse().unwrap()).collect();
    let paths = ids.iter().map(|id| CredentialPath::new(manager.scope().cloned(), id.clone())).collect();
    runtime.block_on(async {
        for id in &ids {
            manager.store(id, Credential::api_key("sk_live_example")).await.unwrap();
            manager.retrieve(id).await.unwrap();
        }
    });
    World { runtime, manager, paths, ids }
}

/// What the manager keeps for a path.
#[derive(Clone)]
struct Entry {
    credential: Credential,
    deadline: Instant,
}

fn raw_map(paths: &[CredentialPath]) -> quick_cache::sync::Cache<CredentialPath, Entry> {
    let cache = quick_cache::sync::Cache::new(1_000);
    for path in paths {
        let entry =
            Entry { credential: Credential::api_key("sk_live_example"), deadline: Instant::now() + TTL };
        cache.insert(path.clone(), entry);
    }
    cache
}

fn raw_hit(
    cache: &quick_cache::sync::Cache<CredentialPath, Entry>,
    path: &CredentialPath,
) -> Option<Credential> {
    let entry = cache.get(&path.as_ref())?;
    (Instant::now() < entry.deadline).then_some(entry.credential)
}

fn moka(paths: &[CredentialPath], runtime: &Runtime) -> moka::future::Cache<CredentialPath, Credential> {
    let cache = moka::future::Cache::builder().max_capacity(1_000).time_to_live(TTL).build();
    runtime.block_on(async {
        for path in paths {
            cache.insert(path.clone(), Credential::api_key("sk_live_example")).await;
        }
    });
    cache
}

/// So many of these, again and again.
fn hot<T>(of: &[T], iterations: u64) -> impl Iterator<Item = &T> {
    let mut at = 0;
    (0..iterations).map(move |_| {
        at = (at + 1) % HOT;
        &of[at]
    })
}

fn hits(c: &mut Criterion) {
    let world = world();
    let (raw, moka) = (raw_map(&world.paths), moka(&world.paths, &world.runtime));
    let mut group = c.benchmark_group("cache hit, 64 hot keys");
    group.bench_function("raw quick_cache, same key and deadline", |b| {
        b.iter_custom(|iterations| {
            world.runtime.block_on(async {
                let started = Instant::now();
                for path in hot(&world.paths, iterations) {
                    black_box(raw_hit(&raw, path));
                }
                started.elapsed()
            })
        });
    });
    group.bench_function("moka future, TTL", |b| {
        b.iter_custom(|iterations| {
            world.runtime.block_on(async {
                let started = Instant::now();
                for path in hot(&world.paths, iterations) {
                    black_box(moka.get(path).await);
                }
                started.elapsed()
            })
        });
    });
    group.bench_function("cred-manager", |b| {
        b.iter_custom(|iterations| {
            world.runtime.block_on(async {
                let started = Instant::now();
                for id in hot(&world.ids, iterations) {
                    black_box(world.manager.retrieve(id).await.unwrap());
                }
                started.elapsed()
            })
        });
    });
    group.finish();
    two_threads(c, &world, &moka);
}

fn two_threads(c: &mut Criterion, world: &World, moka: &moka::future::Cache<CredentialPath, Credential>) {
    let mut group = c.benchmark_group("hits on two threads");
    group.bench_function("moka future, TTL", |b| {
        b.iter_custom(|iterations| {
            on_two_threads(|| {
                world.runtime.block_on(async {
                    for path in hot(&world.paths, iterations) {
                        black_box(moka.get(path).await);
                    }
                })
            })
        });
    });
    group.bench_function("cred-manager", |b| {
        b.iter_custom(|iterations| {
            on_two_threads(|| {
                world.runtime.block_on(async {
                    for id in hot(&world.ids, iterations) {
                        black_box(world.manager.retrieve(id).await.unwrap());
                    }
                })
            })
        });
    });
    group.finish();
}

fn on_two_threads(work: impl Fn() + Sync) -> Duration {
    let started = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(&work);
        scope.spawn(&work);
    });
    started.elapsed()
}

/// Memory behind a network: every call takes 5 ms.
struct FiveMillis(MemoryStorageProvider);

const CALL: Duration = Duration::from_millis(5);

#[async_trait]
impl StorageProvider for FiveMillis {
    fn describe(&self) -> &Description {
        self.0.describe()
    }

    async fn store(
        &self,
        id: &CredentialId,
        data: EncryptedData,
        metadata: CredentialMetadata,
        ctx: &CredentialContext,
    ) -> Result<(), StorageError> {
        tokio::time::sleep(CALL).await;
        self.0.store(id, data, metadata, ctx).await
    }

    async fn retrieve(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<Stored, StorageError> {
        tokio::time::sleep(CALL).await;
        self.0.retrieve(id, ctx).await
    }

    async fn delete(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<(), StorageError> {
        self.0.delete(id, ctx).await
    }

    async fn exists(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<bool, StorageError> {
        self.0.exists(id, ctx).await
    }

    async fn list(
        &self,
        filter: Option<&CredentialFilter>,
        ctx: &CredentialContext,
    ) -> Result<Vec<CredentialId>, StorageError> {
        self.0.list(filter, ctx).await
    }

    async fn list_tree(
        &self,
        filter: Option<&CredentialFilter>,
        ctx: &CredentialContext,
    ) -> Result<Vec<CredentialPath>, StorageError> {
        self.0.list_tree(filter, ctx).await
    }
}

fn batches(c: &mut Criterion) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    let storage = Arc::new(FiveMillis(MemoryStorageProvider::new(MemoryStorageConfig::default()).unwrap()));
    let keys = Arc::new(KeyRing::generate("main".parse().unwrap()).unwrap());
    let manager = CredentialManager::builder().storage(storage.clone()).keys(keys).build();
    let ids: Vec<CredentialId> = (0..100).map(|n| format!("credential-{n}").parse().unwrap()).collect();
    let items: Vec<_> = ids.iter().map(|id| (id.clone(), Credential::api_key("sk_live_example"))).collect();
    runtime.block_on(manager.store_batch(items));
    let ctx = CredentialContext::unscoped();

    let mut group = c.benchmark_group("read 100 from a 5 ms backend");
    group.sample_size(10);
    group.bench_function(BenchmarkId::from_parameter("one after another"), |b| {
        b.iter(|| {
            runtime.block_on(async {
                for id in &ids {
                    black_box(storage.retrieve(id, &ctx).await.unwrap());
                }
            })
        });
    });
    group.bench_function(BenchmarkId::from_parameter("buffer_unordered(10)"), |b| {
        b.iter(|| {
            runtime.block_on(async {
                let reads = stream::iter(&ids).map(|id| storage.retrieve(id, &ctx)).buffer_unordered(10);
                black_box(reads.collect::<Vec<_>>().await)
            })
        });
    });
    group.bench_function(BenchmarkId::from_parameter("retrieve_batch, 10 in flight"), |b| {
        b.iter(|| runtime.block_on(async { black_box(manager.retrieve_batch(ids.clone()).await) }));
    });
    group.finish();
}

criterion_group!(benches, hits, batches);
criterion_main!(benches);
