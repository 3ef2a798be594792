//! A provider that may have recovery and has no compare-and-set.

use cred_core::{
    CredentialContext, CredentialFilter, CredentialId, CredentialMetadata, CredentialPath, Description,
    EncryptedData, SoftDelete, StorageError, StorageProvider, Stored, async_trait,
};
use cred_store_memory::MemoryStorageProvider;

pub(crate) struct WithoutCompareAndSet(pub(crate) MemoryStorageProvider);

#[async_trait]
impl StorageProvider for WithoutCompareAndSet {
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
        self.0.store(id, data, metadata, ctx).await
    }

    async fn retrieve(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<Stored, StorageError> {
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

    fn soft_delete(&self) -> Option<&dyn SoftDelete> {
        self.0.soft_delete()
    }
}
