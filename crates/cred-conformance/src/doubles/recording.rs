//! A provider that writes down what is asked of it.

use std::ops::Deref;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cred_core::{CredentialId, Description, Operation, ScopeId, StorageError, StorageProvider, Wrapper};

/// Wraps any provider and keeps the list of calls, in the order in which they began (at their first
/// poll). What was stored is not in it.
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
        call: cred_core::Call<'_>,
        answer: impl Future<Output = Result<T, StorageError>> + Send,
    ) -> Result<T, StorageError> {
        let (operation, scope, ids) = (call.operation, call.ctx.scope_id.clone(), call.ids.to_vec());
        self.recorded().push(Call { operation, scope, ids });
        answer.await
    }
}
