//! A provider with a layer around it.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use cred_core::{Call, Description, Operation, StorageProvider, StorageResult, Wrapper};

use crate::TargetRef;

/// What a wrapper adds to a provider. Every method has a default that adds nothing.
///
/// ```
/// use cred_core::{Operation, StorageError, StorageResult};
/// use cred_provider_kit::TargetRef;
/// use cred_provider_kit::layers::Layer;
///
/// /// Lets nobody list.
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
    /// What the wrapped provider promises, made of what the one inside promises. Asked once, at
    /// construction.
    fn describe(&self, inside: Description) -> Description {
        inside
    }

    /// Whether an operation is passed on. Asked before anything is sent; [`Layered`] adds the
    /// provider, the operation and the target to the error. A
    /// [`retrieve_many`](StorageProvider::retrieve_many) of several ids is asked for once, with its
    /// scope.
    ///
    /// # Errors
    /// The refusal. It must be of a kind that proves that nothing was written.
    fn admit(&self, operation: Operation, target: TargetRef<'_>) -> StorageResult<()> {
        let (_, _) = (operation, target);
        Ok(())
    }

    /// Runs an operation that was admitted. Whatever drops `call` before its end leaves a write in
    /// doubt, and has to say so.
    ///
    /// # Errors
    /// What `call` gives, or what the layer makes of it.
    fn around<T: Send>(
        &self,
        operation: Operation,
        call: impl Future<Output = StorageResult<T>> + Send,
    ) -> impl Future<Output = StorageResult<T>> + Send {
        let _ = operation;
        call
    }

    /// Whether a [`retrieve_many`](StorageProvider::retrieve_many) is passed on id by id, given
    /// whether it is one call of the provider inside. By default it is passed on as it is.
    fn splits_many(&self, is_one_call: bool) -> bool {
        let _ = is_one_call;
        false
    }
}

/// A provider inside a [`Layer`]. It has the abilities of the provider inside, and its metrics.
///
/// # Cancellation
/// That of the provider inside: dropping the future of an operation drops the call.
pub struct Layered<L> {
    inner: Arc<dyn StorageProvider>,
    description: Description,
    layer: L,
}

impl<L: Layer> Layered<L> {
    /// Wraps a provider, one behind an `Arc` or a `Box` as well.
    pub fn new(inner: impl StorageProvider + 'static, layer: L) -> Self {
        let description = layer.describe(inner.describe().clone());
        Self { inner: Arc::new(inner), description, layer }
    }

    /// What it adds.
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
