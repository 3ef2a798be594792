//! A provider that writes down what is asked of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cred_core::{
    CompareAndSet, CredentialContext, CredentialFilter, CredentialId, CredentialMetadata, CredentialPath,
    Description, EncryptedData, Operation, Revision, ScopeId, SoftDelete, StorageError, StorageMetrics,
    StorageProvider, Stored, async_trait,
};

/// Wraps any provider and keeps the list of calls, in the order in which they began (at their first poll). What was
/// stored is not in it.
///
/// ```
/// # use cred_core::{CredentialContext, CredentialMetadata, EncryptedData, KeyId};
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// # let (id, here) = ("key".parse()?, CredentialContext::unscoped());
/// # let data = EncryptedData::new(KeyId::new("k")?, [0; 32], [0; 32], [0; 12], vec![1], [0; 16]);
/// # let metadata = CredentialMetadata::default();
/// use cred_conformance::doubles::{Recording, Reference};
/// use cred_core::{Operation, StorageProvider};
///
/// let provider = Recording::new(Reference::new());
/// provider.store(&id, data, metadata, &here).await?;
/// provider.exists(&id, &here).await?;
/// assert_eq!(provider.count(Operation::Store), 1);
/// let operations: Vec<_> = provider.take().into_iter().map(|call| call.operation).collect();
/// assert_eq!(operations, [Operation::Store, Operation::Exists]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Recording<P> {
    inner: P,
    calls: Mutex<Vec<Call>>,
}

/// One call of a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Call {
    /// What was asked.
    pub operation: Operation,
    /// The scope of the context.
    pub scope: Option<ScopeId>,
    /// The ids that were asked for: one, those of `retrieve_many`, or none for a list.
    pub ids: Vec<CredentialId>,
}

impl<P: StorageProvider> Recording<P> {
    /// Wraps a provider; no call is recorded yet.
    #[must_use]
    pub fn new(inner: P) -> Self {
        Self { inner, calls: Mutex::default() }
    }

    /// The calls so far.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.recorded().clone()
    }

    /// How many calls of this operation there were so far.
    #[must_use]
    pub fn count(&self, operation: Operation) -> usize {
        self.recorded().iter().filter(|call| call.operation == operation).count()
    }

    /// Forgets the calls and gives them.
    pub fn take(&self) -> Vec<Call> {
        std::mem::take(&mut *self.recorded())
    }

    /// The wrapped provider.
    #[must_use]
    pub fn inner(&self) -> &P {
        &self.inner
    }

    fn recorded(&self) -> MutexGuard<'_, Vec<Call>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, operation: Operation, ids: &[CredentialId], ctx: &CredentialContext) {
        self.recorded().push(Call { operation, scope: ctx.scope_id.clone(), ids: ids.to_vec() });
    }

    fn note_one(&self, operation: Operation, id: &CredentialId, ctx: &CredentialContext) {
        self.note(operation, std::slice::from_ref(id), ctx);
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<P: StorageProvider> StorageProvider for Recording<P> {
    fn describe(&self) -> &Description {
        self.inner.describe()
    }

    async fn store(
        &self,
        id: &CredentialId,
        data: EncryptedData,
        metadata: CredentialMetadata,
        ctx: &CredentialContext,
    ) -> Result<(), StorageError> {
        self.note_one(Operation::Store, id, ctx);
        self.inner.store(id, data, metadata, ctx).await
    }

    async fn retrieve(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<Stored, StorageError> {
        self.note_one(Operation::Retrieve, id, ctx);
        self.inner.retrieve(id, ctx).await
    }

    async fn delete(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<(), StorageError> {
        self.note_one(Operation::Delete, id, ctx);
        self.inner.delete(id, ctx).await
    }

    async fn exists(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<bool, StorageError> {
        self.note_one(Operation::Exists, id, ctx);
        self.inner.exists(id, ctx).await
    }

    async fn list(
        &self,
        filter: Option<&CredentialFilter>,
        ctx: &CredentialContext,
    ) -> Result<Vec<CredentialId>, StorageError> {
        self.note(Operation::List, &[], ctx);
        self.inner.list(filter, ctx).await
    }

    async fn list_tree(
        &self,
        filter: Option<&CredentialFilter>,
        ctx: &CredentialContext,
    ) -> Result<Vec<CredentialPath>, StorageError> {
        self.note(Operation::ListTree, &[], ctx);
        self.inner.list_tree(filter, ctx).await
    }

    async fn retrieve_many(
        &self,
        ids: &[CredentialId],
        ctx: &CredentialContext,
    ) -> Vec<Result<Stored, StorageError>> {
        self.note(Operation::RetrieveMany, ids, ctx);
        self.inner.retrieve_many(ids, ctx).await
    }

    async fn shutdown(&self) {
        self.inner.shutdown().await;
    }

    fn metrics(&self) -> Option<Arc<StorageMetrics>> {
        self.inner.metrics()
    }

    fn compare_and_set(&self) -> Option<&dyn CompareAndSet> {
        self.inner.compare_and_set().map(|_| self as _)
    }

    fn soft_delete(&self) -> Option<&dyn SoftDelete> {
        self.inner.soft_delete().map(|_| self as _)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<P: StorageProvider> CompareAndSet for Recording<P> {
    async fn retrieve_with_revision(
        &self,
        id: &CredentialId,
        ctx: &CredentialContext,
    ) -> Result<(EncryptedData, CredentialMetadata, Revision), StorageError> {
        self.note_one(Operation::RetrieveWithRevision, id, ctx);
        super::compare_and_set(&self.inner)?.retrieve_with_revision(id, ctx).await
    }

    async fn store_if(
        &self,
        id: &CredentialId,
        data: EncryptedData,
        metadata: CredentialMetadata,
        expected: Option<&Revision>,
        ctx: &CredentialContext,
    ) -> Result<Revision, StorageError> {
        self.note_one(Operation::StoreIf, id, ctx);
        super::compare_and_set(&self.inner)?.store_if(id, data, metadata, expected, ctx).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<P: StorageProvider> SoftDelete for Recording<P> {
    async fn recover(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<(), StorageError> {
        self.note_one(Operation::Recover, id, ctx);
        super::soft_delete(&self.inner)?.recover(id, ctx).await
    }

    async fn purge(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<(), StorageError> {
        self.note_one(Operation::Purge, id, ctx);
        super::soft_delete(&self.inner)?.purge(id, ctx).await
    }

    async fn list_deleted(&self, ctx: &CredentialContext) -> Result<Vec<CredentialId>, StorageError> {
        self.note(Operation::ListDeleted, &[], ctx);
        super::soft_delete(&self.inner)?.list_deleted(ctx).await
    }
}
