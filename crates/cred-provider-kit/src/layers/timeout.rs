//! A shorter patience than the provider's own.

use std::time::Duration;

use cred_core::{Description, Operation, StorageError, StorageErrorKind, StorageResult};

use super::Layer;

/// Ends every operation after a time, whatever the provider does. A read ends in
/// [`Timeout`](StorageErrorKind::Timeout), a write in [`InDoubt`](StorageErrorKind::InDoubt): its
/// call is dropped, and what was sent may still take effect. The shutdown is not bounded.
///
/// A [`retrieve_many`](cred_core::StorageProvider::retrieve_many) has the time once where it is one
/// call of the provider, and once for each id elsewhere. Kept to the timer's resolution of 1 ms.
#[derive(Debug, Clone, Copy)]
pub struct Timeout {
    limit: Duration,
}

impl Timeout {
    /// The longest that one operation takes. Where the provider's own `operation_timeout` is
    /// shorter, that counts.
    #[must_use]
    pub const fn new(limit: Duration) -> Self {
        Self { limit }
    }
}

impl Layer for Timeout {
    fn describe(&self, mut inside: Description) -> Description {
        // What is given up here may go on inside for as long as it would have had.
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
            true => Err(StorageError::in_doubt(format!("it was given up after {limit:?}"))),
            false => Err(StorageErrorKind::Timeout { limit }.into()),
        })
    }

    fn splits_many(&self, is_one_call: bool) -> bool {
        !is_one_call
    }
}
