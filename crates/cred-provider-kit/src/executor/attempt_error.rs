//! The error of one attempt, and whether the attempt may have written.

use cred_core::StorageError;

/// Whether a failed attempt of a write may have changed the stored data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteEffect {
    /// The attempt wrote nothing: the backend refused it first, or nothing was sent.
    NotWritten,
    /// The attempt may have written, or may still write.
    MayHaveWritten,
}

/// The error of one attempt, as a client returns it to [`Wire::read`](super::Wire::read) and
/// [`Wire::write`](super::Wire::write).
///
/// [`StorageError`] implements it. A client can use another type if its backend reports more, such
/// as a failed condition or a rejected token. The executor needs two things: the storage error,
/// whose kind decides about retries, and whether the attempt may have written.
///
/// ```
/// use cred_core::StorageError;
/// use cred_provider_kit::{AttemptError, WriteEffect};
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
///     fn write_effect(&self) -> WriteEffect {
///         match self {
///             Self::Standby => WriteEffect::NotWritten,
///             Self::Failed(error) => error.write_effect(),
///         }
///     }
/// }
/// ```
pub trait AttemptError: From<StorageError> + Send {
    /// Returns the storage error.
    fn storage_error(&self) -> &StorageError;

    /// Reports whether the attempt may have written. Default: whether the kind of the
    /// [`storage_error`](Self::storage_error) [allows
    /// it](cred_core::StorageErrorKind::may_have_written).
    fn write_effect(&self) -> WriteEffect {
        match self.storage_error().kind().may_have_written() {
            true => WriteEffect::MayHaveWritten,
            false => WriteEffect::NotWritten,
        }
    }
}

impl AttemptError for StorageError {
    fn storage_error(&self) -> &StorageError {
        self
    }
}
