//! A backend with 5 ms latency, and three ways to read 100 credentials from it.

use std::hint::black_box;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use cred_core::{
    Call, Credential, CredentialContext, CredentialId, Description, Operation, StorageError, StorageProvider,
    Wrapper,
};
use cred_crypto::KeyRing;
use cred_manager::CredentialManager;
use cred_store_memory::{MemoryStorageConfig, MemoryStorageProvider};
use futures_util::stream::{self, StreamExt as _};
use tokio::runtime::Runtime;

pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap()
}

pub struct Hundred {
    runtime: Runtime,
    storage: Arc<FiveMillis>,
    manager: CredentialManager,
    ids: Vec<CredentialId>,
    ctx: CredentialContext,
}

impl Hundred {
    pub fn new() -> Self {
        let runtime = runtime();
        let memory = MemoryStorageProvider::new(MemoryStorageConfig::default()).unwrap();
        let storage = Arc::new(FiveMillis(memory));
        let keys = Arc::new(KeyRing::generate("main".parse().unwrap()).unwrap());
        let manager = CredentialManager::builder().storage(storage.clone()).keys(keys).build();
        let ids: Vec<CredentialId> = (0..100).map(|n| format!("credential-{n}").parse().unwrap()).collect();
        let items = ids.iter().map(|id| (id.clone(), Credential::api_key("sk_live_example"))).collect();
        runtime.block_on(manager.store_batch(items)).into_iter().for_each(|stored| stored.result.unwrap());
        Self { runtime, storage, manager, ids, ctx: CredentialContext::unscoped() }
    }

    pub fn one_after_another(&self) {
        self.runtime.block_on(async {
            for id in &self.ids {
                black_box(self.storage.retrieve(id, &self.ctx).await.unwrap());
            }
        });
    }

    pub fn buffer_unordered(&self) {
        self.runtime.block_on(async {
            let reads =
                stream::iter(&self.ids).map(|id| self.storage.retrieve(id, &self.ctx)).buffer_unordered(10);
            black_box(reads.collect::<Vec<_>>().await);
        });
    }

    pub fn retrieve_batch(&self) {
        self.runtime.block_on(async {
            let answers = self.manager.retrieve_batch(&self.ids).await;
            assert!(black_box(answers).iter().all(|answer| matches!(answer.result, Ok(Some(_)))));
        });
    }
}

impl Default for Hundred {
    fn default() -> Self {
        Self::new()
    }
}

/// An in-memory provider whose stores and reads take 5 ms.
pub struct FiveMillis(MemoryStorageProvider);

const CALL: Duration = Duration::from_millis(5);

impl Wrapper for FiveMillis {
    fn inner(&self) -> impl Deref<Target: StorageProvider> + Send + Sync {
        &self.0
    }

    fn description(&self) -> &Description {
        self.0.describe()
    }

    async fn around<T: Send + 'static>(
        &self,
        call: Call<'_>,
        answer: impl Future<Output = Result<T, StorageError>> + Send,
    ) -> Result<T, StorageError> {
        if matches!(call.operation, Operation::Store | Operation::Retrieve) {
            tokio::time::sleep(CALL).await;
        }
        answer.await
    }

    fn splits_many(&self) -> bool {
        true // as a backend without a batch read
    }
}
