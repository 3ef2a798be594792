//! A backend with 5 ms latency, and three ways to read 100 credentials from it.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use cred_core::{
    Credential, CredentialContext, CredentialFilter, CredentialId, CredentialMetadata, CredentialPath,
    Description, EncryptedData, StorageError, StorageProvider, Stored, async_trait,
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
        runtime.block_on(manager.store_batch(items)).into_iter().for_each(|stored| stored.unwrap());
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
            let answers = self.manager.retrieve_batch(self.ids.clone()).await;
            assert!(black_box(answers).iter().all(|answer| matches!(answer, Ok(Some(_)))));
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
