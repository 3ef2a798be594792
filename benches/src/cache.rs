//! A manager with a warm cache, and the caches that it is compared with.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cred_core::{Credential, CredentialId, CredentialPath};
use cred_crypto::KeyRing;
use cred_manager::CredentialManager;
use cred_store_memory::{MemoryStorageConfig, MemoryStorageProvider};
use tokio::runtime::Runtime;

/// Number of credentials that are read repeatedly.
pub const HOT: usize = 64;
/// TTL of every cache.
pub const TTL: Duration = Duration::from_secs(3_600);
/// The manager's default.
const CAPACITY: usize = 10_000;

/// Holds the same credentials in each cache.
pub struct World {
    pub runtime: Runtime,
    pub manager: CredentialManager,
    pub paths: Vec<CredentialPath>,
    pub ids: Vec<CredentialId>,
    raw: quick_cache::sync::Cache<CredentialPath, Entry>,
    moka: moka::future::Cache<CredentialPath, Credential>,
}

/// The manager's cache entry.
#[derive(Clone)]
struct Entry {
    credential: Credential,
    deadline: Instant,
}

impl World {
    pub fn new() -> Self {
        let runtime = crate::slow::runtime();
        let storage = Arc::new(MemoryStorageProvider::new(MemoryStorageConfig::default()).unwrap());
        let keys = Arc::new(KeyRing::generate("main".parse().unwrap()).unwrap());
        let manager = CredentialManager::builder()
            .storage(storage)
            .keys(keys)
            .cache_ttl(TTL)
            .cache_max_size(CAPACITY)
            .build();
        let manager = manager.scoped("org:acme/team:payments".parse().unwrap()).unwrap();
        let ids: Vec<CredentialId> = (0..HOT).map(|n| format!("credential-{n}").parse().unwrap()).collect();
        let scope = manager.scope().cloned();
        let paths: Vec<_> = ids.iter().map(|id| CredentialPath::new(scope.clone(), id.clone())).collect();
        let raw = quick_cache::sync::Cache::new(CAPACITY);
        let moka = moka::future::Cache::builder().max_capacity(CAPACITY as u64).time_to_live(TTL).build();
        runtime.block_on(async {
            for (id, path) in ids.iter().zip(&paths) {
                let credential = Credential::api_key("sk_live_example");
                manager.store(id, credential.clone()).await.unwrap();
                manager.retrieve(id).await.unwrap();
                moka.insert(path.clone(), credential.clone()).await;
                raw.insert(path.clone(), Entry { credential, deadline: Instant::now() + TTL });
            }
        });
        Self { runtime, manager, paths, ids, raw, moka }
    }

    /// Does `hits` lookups in the bare map, with the same key and deadline as the manager.
    pub fn raw_hits(&self, hits: u64) {
        self.runtime.block_on(async {
            for path in hot(&self.paths, hits) {
                let entry = self.raw.get(&path.as_path_ref()).unwrap();
                black_box((Instant::now() < entry.deadline).then_some(entry.credential));
            }
        });
    }

    pub fn moka_hits(&self, hits: u64) {
        self.runtime.block_on(async {
            for path in hot(&self.paths, hits) {
                black_box(self.moka.get(path).await);
            }
        });
    }

    pub fn manager_hits(&self, hits: u64) {
        self.runtime.block_on(async {
            for id in hot(&self.ids, hits) {
                black_box(self.manager.retrieve(id).await.unwrap());
            }
        });
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

fn hot<T>(of: &[T], times: u64) -> impl Iterator<Item = &T> {
    of.iter().cycle().zip(0..times).map(|(one, _)| one)
}

pub fn timed(work: impl FnOnce()) -> Duration {
    let started = Instant::now();
    work();
    started.elapsed()
}

pub fn on_two_threads(work: impl Fn() + Sync) -> Duration {
    timed(|| {
        std::thread::scope(|scope| {
            scope.spawn(&work);
            scope.spawn(&work);
        });
    })
}
