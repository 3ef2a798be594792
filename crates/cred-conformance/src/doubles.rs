//! Providers for tests: a correct one, and wrappers that fail, lag or record.
//!
//! Each wrapper hands out the abilities of what it wraps, no more and no less.

mod codec;
mod faulty;
mod lagging;
mod recording;
mod reference;

use cred_core::{CompareAndSet, SoftDelete, StorageError, StorageErrorKind, StorageProvider};

pub use faulty::{Alter, Fault, Faulty};
pub use lagging::Lagging;
pub use recording::{Call, Recording};
pub use reference::Reference;

/// The wrapped provider's ability. A wrapper hands its own out only where this is there.
fn compare_and_set(inner: &impl StorageProvider) -> Result<&dyn CompareAndSet, StorageError> {
    inner.compare_and_set().ok_or_else(|| missing("the wrapped provider no longer has compare-and-set"))
}

fn soft_delete(inner: &impl StorageProvider) -> Result<&dyn SoftDelete, StorageError> {
    inner.soft_delete().ok_or_else(|| missing("the wrapped provider no longer has recovery"))
}

fn missing(what: &'static str) -> StorageError {
    StorageErrorKind::Unsupported { what: what.into() }.into()
}
