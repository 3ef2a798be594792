//! Nothing is written.

use cred_core::{Operation, StorageErrorKind, StorageResult};

use super::Layer;
use crate::TargetRef;

/// Passes reads and lists on, and answers every write with
/// [`ReadOnly`](StorageErrorKind::ReadOnly), those of abilities included. Abilities are still
/// handed out: what they read can be read.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReadOnly;

impl Layer for ReadOnly {
    fn admit(&self, operation: Operation, _: TargetRef<'_>) -> StorageResult<()> {
        match operation.is_write() {
            false => Ok(()),
            true => {
                Err(StorageErrorKind::ReadOnly { reason: "this service opened it for reading alone".into() }
                    .into())
            }
        }
    }
}
