//! The error of one attempt, and what it knows about the write.

use cred_core::StorageError;

/// Whether a failed attempt of a write may have changed what is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrote {
    /// The backend refused before it did anything, or nothing was sent.
    No,
    /// It may have written, or may still write.
    Perhaps,
}

/// The error of one attempt, as a client gives it to [`Wire::read`](super::Wire::read) and
/// [`Wire::write`](super::Wire::write).
///
/// [`StorageError`] is one. A client whose backend says more, such as that a condition did not hold
/// or that a token is refused, gives a type of its own. The executor needs two things of it: the
/// storage error, whose kind decides about retries, and whether the attempt may have written.
///
/// ```
/// use cred_core::StorageError;
/// use cred_provider_kit::{AttemptError, Wrote};
///
/// enum PutError {
///     /// The server is a standby: it refused, and another attempt may reach the active node.
///     Standby,
///     Failed(StorageError),
/// }
///
/// impl From<StorageError> for PutError {
///     fn from(error: StorageError) -> Self {
///         Self::Failed(error)
///     }
/// }
/// # impl PutError { fn standby() -> &'static StorageError { unimplemented!() } }
///
/// impl AttemptError for PutError {
///     fn storage_error(&self) -> &StorageError {
///         match self {
///             Self::Standby => Self::standby(), // an `Unavailable`
///             Self::Failed(error) => error,
///         }
///     }
///
///     fn wrote(&self) -> Wrote {
///         match self {
///             Self::Standby => Wrote::No,
///             Self::Failed(error) => error.wrote(),
///         }
///     }
/// }
/// ```
pub trait AttemptError: From<StorageError> + Send {
    /// What failed.
    fn storage_error(&self) -> &StorageError;

    /// Whether the attempt may have written. Default: what the kind of the
    /// [`storage_error`](Self::storage_error)
    /// [proves](cred_core::StorageErrorKind::may_have_written).
    fn wrote(&self) -> Wrote {
        match self.storage_error().kind().may_have_written() {
            true => Wrote::Perhaps,
            false => Wrote::No,
        }
    }
}

impl AttemptError for StorageError {
    fn storage_error(&self) -> &StorageError {
        self
    }
}
