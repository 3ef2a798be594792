//! A provider that records its calls.

use std::ops::Deref;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cred_core::{
    Call, CredentialId, Description, Operation, ScopeId, StorageError, StorageProvider, Wrapper,
};

/// Wraps any provider and records its calls, in the order in which they started (at their first
/// poll). The recorded calls do not contain the stored data.
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
    calls: Mutex<Vec<RecordedCall>>,
}

/// One call of a provider, without the data.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordedCall {
    /// The operation.
    pub operation: Operation,
    /// The scope of the context.
    pub scope: Option<ScopeId>,
    /// The ids in the arguments: one, those of `retrieve_many`, or none for a list.
    pub ids: Vec<CredentialId>,
}

impl<P: StorageProvider> Recording<P> {
    /// Wraps a provider, with no recorded calls.
    #[must_use]
    pub fn new(inner: P) -> Self {
        Self { inner, calls: Mutex::default() }
    }

    /// Returns the calls so far.
    #[must_use]
    pub fn calls(&self) -> Vec<RecordedCall> {
        self.recorded().clone()
    }

    /// Returns the number of calls of this operation so far.
    #[must_use]
    pub fn count(&self, operation: Operation) -> usize {
        self.recorded().iter().filter(|call| call.operation == operation).count()
    }

    /// Returns the calls so far and clears the record.
    pub fn take(&self) -> Vec<RecordedCall> {
        std::mem::take(&mut *self.recorded())
    }

    /// Returns the wrapped provider.
    #[must_use]
    pub fn inner(&self) -> &P {
        &self.inner
    }

    fn recorded(&self) -> MutexGuard<'_, Vec<RecordedCall>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P: StorageProvider> Wrapper for Recording<P> {
    fn inner(&self) -> impl Deref<Target: StorageProvider> + Send + Sync {
        &self.inner
    }

    fn description(&self) -> &Description {
        self.inner.describe()
    }

    async fn around<T: Send + 'static>(
        &self,
        call: Call<'_>,
        answer: impl Future<Output = Result<T, StorageError>> + Send,
    ) -> Result<T, StorageError> {
        let (operation, scope, ids) = (call.operation, call.ctx.scope_id.clone(), call.ids.to_vec());
        self.recorded().push(RecordedCall { operation, scope, ids });
        answer.await
    }
}
