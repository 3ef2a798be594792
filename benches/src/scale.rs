//! Managers with many credentials.

use std::hint::black_box;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cred_core::{
    Call, Credential, CredentialId, Description, StorageError, StorageProvider, Wrapper, Zeroizing,
};
use cred_crypto::{KeyRing, SealingKey};
use cred_manager::CredentialManager;
use cred_store_memory::{MemoryStorageConfig, MemoryStorageProvider};
use futures_util::stream::{self, StreamExt as _};
use tokio::runtime::Runtime;

use crate::cache::{TTL, timed};

fn memory() -> MemoryStorageProvider {
    MemoryStorageProvider::new(MemoryStorageConfig::default()).unwrap()
}

fn ids(count: usize) -> Vec<CredentialId> {
    (0..count).map(|number| format!("credential-{number}").parse().unwrap()).collect()
}

/// One manager, whose cache holds the credentials of a large and of a small tenant.
pub struct Tenants {
    runtime: Runtime,
    large: CredentialManager,
    small: CredentialManager,
    ids: Vec<CredentialId>,
}

impl Tenants {
    /// Caches this many credentials of the large tenant.
    pub fn new(large: usize) -> Self {
        let runtime = crate::slow::runtime();
        let keys = Arc::new(KeyRing::generate("main".parse().unwrap()).unwrap());
        let manager = CredentialManager::builder()
            .storage(memory())
            .keys(keys)
            .cache_ttl(TTL)
            .cache_max_size(4_000_000)
            .build();
        let tenant = |scope: &str| manager.scoped(scope.parse().unwrap()).unwrap();
        let tenants = Self {
            runtime,
            large: tenant("org:large"),
            small: tenant("org:small"),
            ids: ids(large.max(100)),
        };
        for (tenant, count) in [(&tenants.large, large), (&tenants.small, 100)] {
            tenants.runtime.block_on(async {
                for id in tenants.ids.iter().take(count) {
                    tenant.store(id, Credential::api_key("sk_live_example")).await.unwrap();
                }
            });
            tenants.read(tenant, count);
        }
        tenants
    }

    /// Caches the first credentials of the large tenant.
    pub fn fill(&self, count: usize) {
        self.read(&self.large, count);
    }

    /// Caches this many credentials of the small tenant, and times how long it takes to clear them.
    pub fn clear_of(&self, count: usize) -> Duration {
        self.read(&self.small, count);
        timed(|| self.small.clear_cache().unwrap())
    }

    /// The slowest miss of the small tenant while another thread clears the large one, and the time
    /// of the clear.
    pub fn slowest_miss_while_the_other_is_cleared(&self) -> (Duration, Duration) {
        let is_done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let clear = scope.spawn(|| {
                let took = timed(|| self.large.clear_cache().unwrap());
                is_done.store(true, Ordering::SeqCst);
                took
            });
            let mut slowest = Duration::ZERO;
            while !is_done.load(Ordering::SeqCst) {
                slowest = slowest.max(timed(|| {
                    black_box(self.miss());
                }));
            }
            (slowest, clear.join().unwrap())
        })
    }

    /// A miss of the small tenant. It takes the lock of the cache, and a call that ends at once.
    fn miss(&self) -> Option<Credential> {
        let id = self.ids.first().unwrap();
        self.small.clear_cache_for(id).unwrap();
        self.runtime.block_on(self.small.retrieve(id)).unwrap()
    }

    fn read(&self, tenant: &CredentialManager, count: usize) {
        self.runtime.block_on(async {
            for id in self.ids.iter().take(count) {
                tenant.retrieve(id).await.unwrap().unwrap();
            }
        });
    }
}

/// An in-memory provider whose calls take 20 ms.
struct TwentyMillis {
    memory: Arc<MemoryStorageProvider>,
    compare_and_set: bool,
}

impl Wrapper for TwentyMillis {
    fn inner(&self) -> impl Deref<Target: StorageProvider> + Send + Sync {
        &*self.memory
    }

    fn description(&self) -> &Description {
        self.memory.describe()
    }

    async fn around<T: Send + 'static>(
        &self,
        _: Call<'_>,
        answer: impl Future<Output = Result<T, StorageError>> + Send,
    ) -> Result<T, StorageError> {
        tokio::time::sleep(Duration::from_millis(20)).await;
        answer.await
    }

    fn passes_compare_and_set(&self) -> bool {
        self.compare_and_set
    }
}

/// Prints how long it takes to re-key this many credentials over a backend that takes 20 ms per
/// call.
pub fn rekey(count: usize, compare_and_set: bool) {
    let key = |byte| SealingKey::from_bytes(Zeroizing::new([byte; 32]));
    let ring = |active: &str| {
        let ring = KeyRing::builder(active.parse().unwrap());
        Arc::new(
            ring.key("old".parse().unwrap(), key(1)).key("new".parse().unwrap(), key(2)).build().unwrap(),
        )
    };
    let memory = Arc::new(memory());
    crate::slow::runtime().block_on(async {
        let before = CredentialManager::builder().storage(memory.clone()).keys(ring("old")).build();
        let ids = ids(count);
        let stores = ids.iter().map(|id| before.store(id, Credential::api_key("sk_live_example")));
        stream::iter(stores).buffer_unordered(10).for_each(async |stored| stored.unwrap()).await;

        let provider = TwentyMillis { memory, compare_and_set };
        let manager = CredentialManager::builder().storage(provider).keys(ring("new")).build();
        let started = Instant::now();
        let report = manager.rekey().await.unwrap();
        let took = started.elapsed();
        assert!(report.is_complete() && report.resealed == count, "{report:?}");
        println!("{count} at 20 ms per call, with compare-and-set {compare_and_set}: {took:.0?}");
    });
}
