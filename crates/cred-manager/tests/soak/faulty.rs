//! A provider over memory that lags, refuses, loses answers and hangs.

use std::sync::Arc;
use std::time::Duration;

use cred_core::{
    CompareAndSet, CredentialContext, CredentialFilter, CredentialId, CredentialMetadata, CredentialPath,
    Description, EncryptedData, Revision, StorageError, StorageErrorKind, StorageProvider, Stored,
    async_trait,
};
use cred_store_memory::{MemoryStorageConfig, MemoryStorageProvider};
use tokio::time::sleep;

const OPERATION_TIMEOUT: Duration = Duration::from_millis(100);

pub(crate) struct Faulty {
    memory: Arc<MemoryStorageProvider>,
    description: Description,
}

fn chance(one_in: u32) -> bool {
    fastrand::u32(0..one_in) == 0
}

impl Faulty {
    pub(crate) fn memory() -> Arc<MemoryStorageProvider> {
        Arc::new(MemoryStorageProvider::new(MemoryStorageConfig::default()).unwrap())
    }

    pub(crate) fn over(memory: Arc<MemoryStorageProvider>) -> Self {
        let description =
            Description::new("faulty", OPERATION_TIMEOUT).with_in_doubt(Duration::from_millis(20));
        Self { memory, description }
    }

    /// What happens before the effect of a call.
    async fn before() -> Result<(), StorageError> {
        if chance(4) {
            sleep(Duration::from_micros(fastrand::u64(0..3_000))).await;
        }
        match () {
            () if chance(100) => Err(StorageErrorKind::Throttled { retry_after: None }.into()),
            () if chance(20_000) => std::future::pending().await,
            () => Ok(()),
        }
    }

    /// What happens after it.
    fn after<T>(answer: Result<T, StorageError>) -> Result<T, StorageError> {
        if chance(100) { Err(StorageError::unavailable("the answer is lost")) } else { answer }
    }
}

#[async_trait]
impl StorageProvider for Faulty {
    fn describe(&self) -> &Description {
        &self.description
    }

    async fn store(
        &self,
        id: &CredentialId,
        data: EncryptedData,
        metadata: CredentialMetadata,
        ctx: &CredentialContext,
    ) -> Result<(), StorageError> {
        Self::before().await?;
        Self::after(self.memory.store(id, data, metadata, ctx).await)
    }

    async fn retrieve(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<Stored, StorageError> {
        Self::before().await?;
        Self::after(self.memory.retrieve(id, ctx).await)
    }

    async fn delete(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<(), StorageError> {
        Self::before().await?;
        Self::after(self.memory.delete(id, ctx).await)
    }

    async fn exists(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<bool, StorageError> {
        Self::before().await?;
        Self::after(self.memory.exists(id, ctx).await)
    }

    async fn list(
        &self,
        filter: Option<&CredentialFilter>,
        ctx: &CredentialContext,
    ) -> Result<Vec<CredentialId>, StorageError> {
        Self::before().await?;
        Self::after(self.memory.list(filter, ctx).await)
    }

    async fn list_tree(
        &self,
        filter: Option<&CredentialFilter>,
        ctx: &CredentialContext,
    ) -> Result<Vec<CredentialPath>, StorageError> {
        Self::before().await?;
        Self::after(self.memory.list_tree(filter, ctx).await)
    }

    fn compare_and_set(&self) -> Option<&dyn CompareAndSet> {
        Some(self)
    }
}

#[async_trait]
impl CompareAndSet for Faulty {
    async fn retrieve_with_revision(
        &self,
        id: &CredentialId,
        ctx: &CredentialContext,
    ) -> Result<(EncryptedData, CredentialMetadata, Revision), StorageError> {
        Self::before().await?;
        Self::after(self.conditional()?.retrieve_with_revision(id, ctx).await)
    }

    async fn store_if(
        &self,
        id: &CredentialId,
        data: EncryptedData,
        metadata: CredentialMetadata,
        expected: Option<&Revision>,
        ctx: &CredentialContext,
    ) -> Result<Revision, StorageError> {
        Self::before().await?;
        Self::after(self.conditional()?.store_if(id, data, metadata, expected, ctx).await)
    }
}

impl Faulty {
    fn conditional(&self) -> Result<&dyn CompareAndSet, StorageError> {
        self.memory.compare_and_set().ok_or_else(|| StorageError::other("memory compares"))
    }
}
