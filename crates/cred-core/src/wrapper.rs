//! Providers that wrap another provider.

use std::ops::Deref;
use std::slice;
use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    CompareAndSet, CredentialContext, CredentialFilter, CredentialId, CredentialMetadata, CredentialPath,
    Description, EncryptedData, Operation, PathRef, Revision, Sealed, SoftDelete, StorageError,
    StorageErrorKind, StorageMetrics, StorageProvider, Target, Versioned,
};

/// A provider that intercepts the calls of another provider, for example to count, delay or refuse
/// calls or to change errors.
///
/// Every wrapper is a [`StorageProvider`] with the abilities and metrics of the inner provider. A
/// provider in a `Box` or `Arc` is a wrapper that changes nothing.
///
/// ```
/// use std::ops::Deref;
/// use std::sync::atomic::{AtomicUsize, Ordering};
///
/// use cred_core::{Call, Description, StorageError, StorageProvider, Wrapper};
///
/// /// Counts the writes of another provider.
/// struct WriteCounter<P> {
///     inner: P,
///     writes: AtomicUsize,
/// }
///
/// impl<P: StorageProvider> Wrapper for WriteCounter<P> {
///     fn inner(&self) -> impl Deref<Target: StorageProvider> + Send + Sync {
///         &self.inner
///     }
///
///     fn description(&self) -> &Description {
///         self.inner.describe()
///     }
///
///     async fn around<T: Send + 'static>(
///         &self,
///         call: Call<'_>,
///         inner_call: impl Future<Output = Result<T, StorageError>> + Send,
///     ) -> Result<T, StorageError> {
///         if call.operation.is_write() {
///             self.writes.fetch_add(1, Ordering::Relaxed);
///         }
///         inner_call.await
///     }
/// }
/// ```
///
/// # Cancellation
/// Dropping the future of an operation drops the call of the inner provider.
pub trait Wrapper: Send + Sync {
    /// Returns the inner provider. It is called once per operation, so the inner provider can be
    /// exchanged between two operations.
    fn inner(&self) -> impl Deref<Target: StorageProvider> + Send + Sync;

    /// Returns the description for [`describe`](StorageProvider::describe).
    fn description(&self) -> &Description;

    /// Runs one operation: awaits `inner_call`, which calls the inner provider once it is polled,
    /// or returns an error instead. If a wrapper drops the `inner_call` of a write after polling it
    /// and before it completes, the outcome of the write is unknown, and the wrapper must report
    /// that.
    ///
    /// # Errors
    /// Errors of `inner_call` and of the wrapper itself; [`Call::locate`] adds the provider, the
    /// operation and the target. The error of a whole
    /// [`retrieve_many`](StorageProvider::retrieve_many) is returned for each id.
    fn around<T: Send + 'static>(
        &self,
        call: Call<'_>,
        inner_call: impl Future<Output = Result<T, StorageError>> + Send,
    ) -> impl Future<Output = Result<T, StorageError>> + Send {
        let _ = call;
        inner_call
    }

    /// Returns whether a [`retrieve_many`](StorageProvider::retrieve_many) becomes one call of
    /// [`around`](Self::around) and one read for each id. Default: false, one call for all ids.
    fn splits_many(&self) -> bool {
        false
    }

    /// Returns whether the wrapper has the inner provider's [`CompareAndSet`]. The result must
    /// never change. Default: true.
    fn passes_compare_and_set(&self) -> bool {
        true
    }

    /// Returns whether the wrapper has the inner provider's [`SoftDelete`]. The result must never
    /// change. Default: true.
    fn passes_soft_delete(&self) -> bool {
        true
    }

    /// Implements [`shutdown`](StorageProvider::shutdown): shuts down the wrapper, then the inner
    /// provider. It does not call [`around`](Self::around). Default: only the inner provider.
    fn close(&self) -> impl Future<Output = ()> + Send {
        async { self.inner().shutdown().await }
    }
}

/// A call that a [`Wrapper`] intercepts.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Call<'a> {
    /// The operation.
    pub operation: Operation,
    /// The ids in the call: those of a [`retrieve_many`](StorageProvider::retrieve_many) (any
    /// number; exactly one if the wrapper splits it), none for a list, otherwise one.
    pub ids: &'a [CredentialId],
    /// The context, with the scope.
    pub ctx: &'a CredentialContext,
}

impl<'a> Call<'a> {
    fn one(operation: Operation, id: &'a CredentialId, ctx: &'a CredentialContext) -> Self {
        Self { operation, ids: slice::from_ref(id), ctx }
    }

    fn all(operation: Operation, ctx: &'a CredentialContext) -> Self {
        Self { operation, ids: &[], ctx }
    }

    /// Returns the path of the credential; `None` if the call does not have exactly one id.
    #[must_use]
    pub fn path(self) -> Option<PathRef<'a>> {
        match self.ids {
            [id] => Some(self.ctx.path(id)),
            _ => None,
        }
    }

    /// Adds the provider, the operation and the target to an error that does not have them. An
    /// error of a [`retrieve_many`](StorageProvider::retrieve_many) of several ids is returned
    /// unchanged: it gets them later, for each id.
    #[must_use]
    pub fn locate(self, provider: &Description, error: StorageError) -> StorageError {
        let target = match self.path() {
            Some(path) => Target::Credential(path.to_path()),
            None if self.operation == Operation::RetrieveMany => return error,
            None => Target::Scope(self.ctx.scope_id.clone()),
        };
        error.at(provider.name.clone(), self.operation, target)
    }
}

#[diagnostic::do_not_recommend]
#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<W: Wrapper> StorageProvider for W {
    fn describe(&self) -> &Description {
        self.description()
    }

    async fn store(
        &self,
        id: &CredentialId,
        data: EncryptedData,
        metadata: CredentialMetadata,
        ctx: &CredentialContext,
    ) -> Result<(), StorageError> {
        let inner = self.inner();
        self.around(Call::one(Operation::Store, id, ctx), inner.store(id, data, metadata, ctx)).await
    }

    async fn retrieve(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<Sealed, StorageError> {
        let inner = self.inner();
        self.around(Call::one(Operation::Retrieve, id, ctx), inner.retrieve(id, ctx)).await
    }

    async fn delete(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<(), StorageError> {
        let inner = self.inner();
        self.around(Call::one(Operation::Delete, id, ctx), inner.delete(id, ctx)).await
    }

    async fn exists(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<bool, StorageError> {
        let inner = self.inner();
        self.around(Call::one(Operation::Exists, id, ctx), inner.exists(id, ctx)).await
    }

    async fn list(
        &self,
        filter: Option<&CredentialFilter>,
        ctx: &CredentialContext,
    ) -> Result<Vec<CredentialId>, StorageError> {
        let inner = self.inner();
        self.around(Call::all(Operation::List, ctx), inner.list(filter, ctx)).await
    }

    async fn list_tree(
        &self,
        filter: Option<&CredentialFilter>,
        ctx: &CredentialContext,
    ) -> Result<Vec<CredentialPath>, StorageError> {
        let inner = self.inner();
        self.around(Call::all(Operation::ListTree, ctx), inner.list_tree(filter, ctx)).await
    }

    async fn retrieve_many(
        &self,
        ids: &[CredentialId],
        ctx: &CredentialContext,
    ) -> Vec<Result<Sealed, StorageError>> {
        let (inner, operation) = (self.inner(), Operation::RetrieveMany);
        if self.splits_many() {
            let mut results = Vec::with_capacity(ids.len());
            for id in ids {
                results.push(self.around(Call::one(operation, id, ctx), inner.retrieve(id, ctx)).await);
            }
            return results;
        }
        let inner_call = async { Ok(inner.retrieve_many(ids, ctx).await) };
        self.around(Call { operation, ids, ctx }, inner_call).await.unwrap_or_else(|error| {
            let error_of = |id| Call::one(operation, id, ctx).locate(self.description(), error.clone());
            ids.iter().map(|id| Err(error_of(id))).collect()
        })
    }

    async fn shutdown(&self) {
        self.close().await;
    }

    fn metrics(&self) -> Option<Arc<StorageMetrics>> {
        self.inner().metrics()
    }

    fn compare_and_set(&self) -> Option<&dyn CompareAndSet> {
        (self.passes_compare_and_set() && self.inner().compare_and_set().is_some()).then_some(self as _)
    }

    fn soft_delete(&self) -> Option<&dyn SoftDelete> {
        (self.passes_soft_delete() && self.inner().soft_delete().is_some()).then_some(self as _)
    }
}

#[diagnostic::do_not_recommend]
#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<W: Wrapper> CompareAndSet for W {
    async fn retrieve_versioned(
        &self,
        id: &CredentialId,
        ctx: &CredentialContext,
    ) -> Result<Versioned<Sealed>, StorageError> {
        let inner = self.inner();
        let inner_call = async { compare_and_set(&*inner)?.retrieve_versioned(id, ctx).await };
        self.around(Call::one(Operation::RetrieveVersioned, id, ctx), inner_call).await
    }

    async fn store_if(
        &self,
        id: &CredentialId,
        data: EncryptedData,
        metadata: CredentialMetadata,
        expected: Option<&Revision>,
        ctx: &CredentialContext,
    ) -> Result<Revision, StorageError> {
        let inner = self.inner();
        let inner_call =
            async { compare_and_set(&*inner)?.store_if(id, data, metadata, expected, ctx).await };
        self.around(Call::one(Operation::StoreIf, id, ctx), inner_call).await
    }
}

#[diagnostic::do_not_recommend]
#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<W: Wrapper> SoftDelete for W {
    async fn recover(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<(), StorageError> {
        let inner = self.inner();
        let inner_call = async { soft_delete(&*inner)?.recover(id, ctx).await };
        self.around(Call::one(Operation::Recover, id, ctx), inner_call).await
    }

    async fn purge(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<(), StorageError> {
        let inner = self.inner();
        let inner_call = async { soft_delete(&*inner)?.purge(id, ctx).await };
        self.around(Call::one(Operation::Purge, id, ctx), inner_call).await
    }

    async fn list_deleted(&self, ctx: &CredentialContext) -> Result<Vec<CredentialId>, StorageError> {
        let inner = self.inner();
        let inner_call = async { soft_delete(&*inner)?.list_deleted(ctx).await };
        self.around(Call::all(Operation::ListDeleted, ctx), inner_call).await
    }
}

/// A wrapper offers an ability only if the inner provider has it. This fails only if the inner
/// provider loses an ability later, which breaks the contract.
fn compare_and_set(inner: &(impl StorageProvider + ?Sized)) -> Result<&dyn CompareAndSet, StorageError> {
    inner.compare_and_set().ok_or_else(|| lost_ability("compare-and-set"))
}

fn soft_delete(inner: &(impl StorageProvider + ?Sized)) -> Result<&dyn SoftDelete, StorageError> {
    inner.soft_delete().ok_or_else(|| lost_ability("recovery"))
}

fn lost_ability(ability: &str) -> StorageError {
    let what = format!("the inner provider offered {ability} before but no longer does; fix the provider");
    StorageErrorKind::Unsupported { what: what.into() }.into()
}
