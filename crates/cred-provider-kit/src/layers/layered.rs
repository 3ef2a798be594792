//! A provider that is wrapped in a layer.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use cred_core::{Call, Description, Operation, StorageProvider, StorageResult, Wrapper};

use crate::TargetRef;

/// The behaviour that a wrapper adds to a provider, for use with [`Layered`]. Every method has a
/// default that adds nothing.
///
/// ```
/// use cred_core::{Operation, StorageError, StorageResult};
/// use cred_provider_kit::TargetRef;
/// use cred_provider_kit::layers::Layer;
///
/// /// Refuses all lists.
/// struct NoLists;
///
/// impl Layer for NoLists {
///     fn admit(&self, operation: Operation, _: TargetRef<'_>) -> StorageResult<()> {
///         match operation {
///             Operation::List | Operation::ListTree => Err(StorageError::invalid_request("lists are off here")),
///             _ => Ok(()),
///         }
///     }
/// }
/// ```
pub trait Layer: Send + Sync {
    /// Returns the description of the wrapped provider, given that of the inner provider. Called
    /// once, at construction.
    fn describe(&self, inside: Description) -> Description {
        inside
    }

    /// Decides whether an operation is passed on. Called before anything is sent; [`Layered`] adds
    /// the provider, the operation and the target to the error. For a
    /// [`retrieve_many`](StorageProvider::retrieve_many) of several ids, it is called once, with
    /// their scope.
    ///
    /// # Errors
    /// The refusal. Its kind must prove that nothing was written.
    fn admit(&self, operation: Operation, target: TargetRef<'_>) -> StorageResult<()> {
        let (_, _) = (operation, target);
        Ok(())
    }

    /// Runs an operation that was admitted. If the layer drops `call` of a write before it ends,
    /// the outcome is unknown, and the layer must return
    /// [`InDoubt`](cred_core::StorageErrorKind::InDoubt).
    ///
    /// # Errors
    /// The error of `call`, or one that the layer derives from it.
    fn around<T: Send>(
        &self,
        operation: Operation,
        call: impl Future<Output = StorageResult<T>> + Send,
    ) -> impl Future<Output = StorageResult<T>> + Send {
        let _ = operation;
        call
    }

    /// Reports whether a [`retrieve_many`](StorageProvider::retrieve_many) is passed on id by id.
    /// `is_one_call` is whether the inner provider makes it in one call. Default: false, so it is
    /// passed on unchanged.
    fn splits_many(&self, is_one_call: bool) -> bool {
        let _ = is_one_call;
        false
    }
}

/// A provider that is wrapped in a [`Layer`]. It has the abilities and the metrics of the inner
/// provider.
///
/// ```
/// use cred_core::{CredentialContext, StorageProvider};
/// use cred_provider_kit::layers::{Layered, ReadOnly};
/// use cred_store_memory::MemoryStorageProvider;
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let provider = Layered::new(MemoryStorageProvider::default(), ReadOnly);
/// let here = CredentialContext::unscoped();
/// assert!(provider.list(None, &here).await?.is_empty());
/// assert!(provider.delete(&"stripe-api-key".parse()?, &here).await.is_err());
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(run()).unwrap();
/// ```
///
/// # Cancellation
/// The same as that of the inner provider: dropping the future of an operation drops the call.
pub struct Layered<L> {
    inner: Arc<dyn StorageProvider>,
    description: Description,
    layer: L,
}

impl<L: Layer> Layered<L> {
    /// Wraps a provider, which may be in an `Arc` or a `Box`.
    pub fn new(inner: impl StorageProvider + 'static, layer: L) -> Self {
        let description = layer.describe(inner.describe().clone());
        Self { inner: Arc::new(inner), description, layer }
    }

    /// Returns the layer.
    #[must_use]
    pub fn layer(&self) -> &L {
        &self.layer
    }
}

impl<L: Layer> Wrapper for Layered<L> {
    fn inner(&self) -> impl Deref<Target: StorageProvider> + Send + Sync {
        &*self.inner
    }

    fn description(&self) -> &Description {
        &self.description
    }

    async fn around<T: Send + 'static>(
        &self,
        call: Call<'_>,
        answer: impl Future<Output = StorageResult<T>> + Send,
    ) -> StorageResult<T> {
        let target = call.path().map_or_else(|| call.ctx.into(), TargetRef::from);
        let result = match self.layer.admit(call.operation, target) {
            Ok(()) => self.layer.around(call.operation, answer).await,
            Err(refused) => Err(refused),
        };
        result.map_err(|error| call.locate(&self.description, error))
    }

    fn splits_many(&self) -> bool {
        self.layer.splits_many(self.inner.describe().batch.get() > 1)
    }
}

impl<L> fmt::Debug for Layered<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layered").field("provider", &self.description.name).finish_non_exhaustive()
    }
}
