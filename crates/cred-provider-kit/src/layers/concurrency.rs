//! Not too much at once.

use std::num::NonZeroUsize;
use std::time::Duration;

use cred_core::{Description, Operation, StorageError, StorageResult};
use tokio::sync::Semaphore;

use super::Layer;

/// Lets so many operations through at once; the others wait their turn, in the order in which they
/// came, no longer than a bound. Who waited in vain is told
/// [`Busy`](cred_core::StorageErrorKind::Busy): nothing was done. Who leaves the queue leaves no
/// trace. A `retrieve_many` counts as one; the shutdown does not wait.
#[derive(Debug)]
pub struct ConcurrencyLimit {
    turns: Semaphore,
    most: usize,
    longest_wait: Duration,
}

impl ConcurrencyLimit {
    /// At most `most` at once (more than 2^60 are as good as no limit), of which each waits
    /// `longest_wait` at most. The provider's `operation_timeout` grows by that.
    #[must_use]
    pub fn new(most: NonZeroUsize, longest_wait: Duration) -> Self {
        let most = most.get().min(Semaphore::MAX_PERMITS);
        Self { turns: Semaphore::new(most), most, longest_wait }
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
        match tokio::time::timeout(self.longest_wait, self.turns.acquire()).await {
            Ok(Ok(_until_the_end)) => call.await,
            // Nobody closes the semaphore.
            Ok(Err(_)) | Err(_) => Err(StorageError::busy(format!(
                "{} operations ran all the time for {:?}",
                self.most, self.longest_wait
            ))),
        }
    }
}
