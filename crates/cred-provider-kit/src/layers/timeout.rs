//! A layer with a shorter timeout than that of the provider.

use std::time::Duration;

use cred_core::{Description, Operation, StorageError, StorageErrorKind, StorageResult};

use super::Layer;

/// Ends every operation after a time limit, whatever the provider does.
///
/// - A read ends with [`Timeout`](StorageErrorKind::Timeout).
/// - A write ends with [`InDoubt`](StorageErrorKind::InDoubt): its call is dropped, and a request
///   that was already sent may still take effect.
/// - For a [`retrieve_many`](cred_core::StorageProvider::retrieve_many), the limit applies once if
///   the provider makes it in one call, and otherwise to each id.
/// - The shutdown has no limit.
///
/// The limit is accurate to the resolution of the timer, 1 ms.
///
/// ```
/// use std::time::Duration;
///
/// use cred_provider_kit::layers::{Layered, Timeout};
/// use cred_store_memory::MemoryStorageProvider;
///
/// let timeout = Timeout::new(Duration::from_millis(500));
/// let provider = Layered::new(MemoryStorageProvider::default(), timeout);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Timeout {
    limit: Duration,
}

impl Timeout {
    /// Limits each operation to this time. If the `operation_timeout` of the provider is shorter,
    /// that one applies.
    #[must_use]
    pub const fn new(limit: Duration) -> Self {
        Self { limit }
    }
}

impl Layer for Timeout {
    fn describe(&self, mut inside: Description) -> Description {
        // A write that is cancelled here may take effect for as long as the provider would have
        // run.
        let cut = inside.operation_timeout.saturating_sub(self.limit);
        inside.operation_timeout = inside.operation_timeout.saturating_sub(cut);
        inside.in_doubt = inside.in_doubt.saturating_add(cut);
        inside
    }

    async fn around<T: Send>(
        &self,
        operation: Operation,
        call: impl Future<Output = StorageResult<T>> + Send,
    ) -> StorageResult<T> {
        let limit = self.limit;
        tokio::time::timeout(limit, call).await.unwrap_or_else(|_| match operation.is_write() {
            true => Err(StorageError::in_doubt(format!("it was cancelled after {limit:?}"))),
            false => Err(StorageErrorKind::Timeout { limit }.into()),
        })
    }

    fn splits_many(&self, is_one_call: bool) -> bool {
        !is_one_call
    }
}
