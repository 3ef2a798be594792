//! A limit on concurrent operations.

use std::num::NonZeroUsize;
use std::time::Duration;

use cred_core::{Description, Operation, StorageError, StorageResult};
use tokio::sync::Semaphore;

use super::Layer;

/// Limits the number of concurrent operations. Further operations wait in order of arrival, for at
/// most a maximum time.
///
/// - An operation that cannot start within that time fails with
///   [`Busy`](cred_core::StorageErrorKind::Busy): nothing was done.
/// - An operation that is cancelled while it waits is removed from the queue.
/// - A `retrieve_many` counts as one operation.
/// - The shutdown does not wait.
///
/// ```
/// use std::num::NonZeroUsize;
/// use std::time::Duration;
///
/// use cred_provider_kit::layers::{ConcurrencyLimit, Layered};
/// use cred_store_memory::MemoryStorageProvider;
///
/// let most = NonZeroUsize::new(8).ok_or("zero")?;
/// let limit = ConcurrencyLimit::new(most, Duration::from_secs(5));
/// let provider = Layered::new(MemoryStorageProvider::default(), limit);
/// # Ok::<(), &str>(())
/// ```
#[derive(Debug)]
pub struct ConcurrencyLimit {
    permits: Semaphore,
    most: usize,
    longest_wait: Duration,
}

impl ConcurrencyLimit {
    /// Allows at most `most` operations at a time, capped at [`Semaphore::MAX_PERMITS`], which is
    /// effectively no limit. Each operation waits at most `longest_wait`. The `operation_timeout`
    /// of the provider grows by that time.
    #[must_use]
    pub fn new(most: NonZeroUsize, longest_wait: Duration) -> Self {
        let most = most.get().min(Semaphore::MAX_PERMITS);
        Self { permits: Semaphore::new(most), most, longest_wait }
    }
}

impl Layer for ConcurrencyLimit {
    fn describe(&self, mut inside: Description) -> Description {
        inside.operation_timeout = inside.operation_timeout.saturating_add(self.longest_wait);
        inside
    }

    async fn around<T: Send>(
        &self,
        _: Operation,
        call: impl Future<Output = StorageResult<T>> + Send,
    ) -> StorageResult<T> {
        match tokio::time::timeout(self.longest_wait, self.permits.acquire()).await {
            Ok(Ok(_permit)) => call.await,
            // The semaphore is never closed.
            Ok(Err(_)) | Err(_) => Err(StorageError::busy(format!(
                "all {} slots were in use for {:?}",
                self.most, self.longest_wait
            ))),
        }
    }
}
