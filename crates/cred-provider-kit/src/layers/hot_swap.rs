//! A provider whose inside can be exchanged while it is used.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, PoisonError, RwLock};

use cred_core::{Call, Description, StorageError, StorageProvider, StorageResult, Wrapper};

/// Forwards to a provider that can be [swapped](HotSwap::swap) for another: with renewed backend
/// credentials, another address, other timeouts of its wire calls. Each operation goes to the one
/// that is inside when it begins, and stays with it.
///
/// Both have to hold the same credentials. Nothing is copied, and a cache above knows nothing of a
/// swap: a manager over stores that differ may give a cached value for its TTL more, unless
/// `clear_cache` follows the swap.
pub struct HotSwap {
    description: Description,
    offers: Offers,
    current: RwLock<Arc<dyn StorageProvider>>,
}

/// Which abilities a provider has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Offers {
    compare_and_set: bool,
    soft_delete: bool,
}

impl Offers {
    fn of(provider: &dyn StorageProvider) -> Self {
        Self {
            compare_and_set: provider.compare_and_set().is_some(),
            soft_delete: provider.soft_delete().is_some(),
        }
    }
}

impl HotSwap {
    /// Begins with this provider. What it promises and which abilities it has holds for all that
    /// follow it.
    pub fn new(provider: impl StorageProvider + 'static) -> Self {
        let (description, offers) = (provider.describe().clone(), Offers::of(&provider));
        Self { description, offers, current: RwLock::new(Arc::new(provider)) }
    }

    /// Lets `next` answer what begins from now on, and gives back the one that did so far.
    /// Operations that have begun with that one go on: shut it down once they have had its
    /// `operation_timeout`.
    ///
    /// # Errors
    /// [`InvalidRequest`](cred_core::StorageErrorKind::InvalidRequest) if `next` promises anything
    /// else in its [`Description`], or has other abilities: neither may change in a provider's
    /// life. Nothing was swapped.
    pub fn swap(&self, next: impl StorageProvider + 'static) -> StorageResult<Arc<dyn StorageProvider>> {
        if *next.describe() != self.description {
            return Err(StorageError::invalid_request(
                "the provider to be swapped in describes itself otherwise than the first one; give it the same limits, \
                 consistency and timeouts, or make another manager",
            ));
        }
        if Offers::of(&next) != self.offers {
            return Err(StorageError::invalid_request(
                "the provider to be swapped in has other abilities than the first one; configure it alike, or make another \
                 manager",
            ));
        }
        let next: Arc<dyn StorageProvider> = Arc::new(next);
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        Ok(std::mem::replace(&mut *current, next))
    }
}

impl Wrapper for HotSwap {
    /// The provider that answers calls from now on. The lock is held while a pointer is copied.
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
