//! A layer that refuses writes.

use cred_core::{Operation, StorageErrorKind, StorageResult};

use super::Layer;
use crate::TargetRef;

/// Passes reads and lists on, and refuses every write with
/// [`ReadOnly`](StorageErrorKind::ReadOnly), including those of abilities. The abilities stay
/// available for their reads.
///
/// ```
/// use cred_provider_kit::layers::{Layered, ReadOnly};
/// use cred_store_memory::MemoryStorageProvider;
///
/// let provider = Layered::new(MemoryStorageProvider::default(), ReadOnly);
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct ReadOnly;

impl Layer for ReadOnly {
    fn admit(&self, operation: Operation, _: TargetRef<'_>) -> StorageResult<()> {
        match operation.is_write() {
            false => Ok(()),
            true => {
                Err(StorageErrorKind::ReadOnly { reason: "this service opened it read-only".into() }.into())
            }
        }
    }
}
