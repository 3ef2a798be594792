//! A provider whose inner provider can be replaced while it is in use.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, PoisonError, RwLock};

use cred_core::{Call, Description, StorageError, StorageProvider, StorageResult, Wrapper};

/// Forwards to an inner provider that can be [swapped](HotSwap::swap) for another one, such as one
/// with renewed backend credentials, another address, or other timeouts of its wire calls. An
/// operation uses the inner provider that is current when it starts, until it ends.
///
/// Both inner providers must contain the same credentials. Nothing is copied, and a cache above
/// does not detect a swap. If the stores differ, a manager may serve a cached value for up to its
/// TTL, unless `clear_cache` follows the swap.
///
/// ```
/// use cred_provider_kit::layers::HotSwap;
/// use cred_store_memory::MemoryStorageProvider;
///
/// let provider = HotSwap::new(MemoryStorageProvider::default());
/// let previous = provider.swap(MemoryStorageProvider::default())?;
/// # Ok::<(), cred_core::StorageError>(())
/// ```
pub struct HotSwap {
    description: Description,
    abilities: Abilities,
    current: RwLock<Arc<dyn StorageProvider>>,
}

/// Which abilities a provider has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Abilities {
    compare_and_set: bool,
    soft_delete: bool,
}

impl Abilities {
    fn of(provider: &dyn StorageProvider) -> Self {
        Self {
            compare_and_set: provider.compare_and_set().is_some(),
            soft_delete: provider.soft_delete().is_some(),
        }
    }
}

impl HotSwap {
    /// Creates a provider that forwards to this one first. Its description and its abilities apply
    /// to all later inner providers.
    pub fn new(provider: impl StorageProvider + 'static) -> Self {
        let (description, abilities) = (provider.describe().clone(), Abilities::of(&provider));
        Self { description, abilities, current: RwLock::new(Arc::new(provider)) }
    }

    /// Replaces the inner provider for operations that start from now on, and returns the previous
    /// one. Operations that have already started continue on the previous provider: shut it down
    /// after its `operation_timeout` has passed.
    ///
    /// # Errors
    /// [`InvalidRequest`](cred_core::StorageErrorKind::InvalidRequest) if `next` has another
    /// [`Description`] or other abilities than the first provider: neither may change during the
    /// lifetime of a provider. Nothing was swapped.
    pub fn swap(&self, next: impl StorageProvider + 'static) -> StorageResult<Arc<dyn StorageProvider>> {
        if *next.describe() != self.description {
            return Err(StorageError::invalid_request(
                "the new provider has another description than the first one; give it the same limits, consistency and \
                 timeouts, or create another manager",
            ));
        }
        if Abilities::of(&next) != self.abilities {
            return Err(StorageError::invalid_request(
                "the new provider has other abilities than the first one; configure it in the same way, or create another \
                 manager",
            ));
        }
        let next: Arc<dyn StorageProvider> = Arc::new(next);
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        Ok(std::mem::replace(&mut *current, next))
    }
}

impl Wrapper for HotSwap {
    /// Returns the current inner provider. The lock is only held while a pointer is copied.
    fn inner(&self) -> impl Deref<Target: StorageProvider> + Send + Sync {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn description(&self) -> &Description {
        &self.description
    }

    async fn around<T: Send + 'static>(
        &self,
        call: Call<'_>,
        answer: impl Future<Output = StorageResult<T>> + Send,
    ) -> StorageResult<T> {
        answer.await.map_err(|error| call.locate(&self.description, error))
    }
}

impl fmt::Debug for HotSwap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HotSwap").field("provider", &self.description.name).finish_non_exhaustive()
    }
}
