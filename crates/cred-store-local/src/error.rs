//! Maps file system errors to storage errors.

use std::path::Path;
use std::sync::Arc;

use cred_core::{StorageError, StorageErrorKind};
use cred_provider_kit::{AttemptError, WriteEffect};
use rustix::io::Errno;

/// Converts a file system error at `path`. `action` names the failed step, such as `creating`.
pub(crate) fn from_errno(errno: Errno, action: &str, path: &Path) -> StorageError {
    let path = path.display();
    let error = match errno {
        Errno::NOSPC | Errno::DQUOT | Errno::FBIG => StorageErrorKind::DiskFull.into(),
        Errno::ROFS => {
            let reason = format!("`{path}` is on a read-only file system").into();
            StorageErrorKind::ReadOnly { reason }.into()
        }
        Errno::ACCESS | Errno::PERM => {
            let reason = format!("{action} `{path}` is not permitted for the user of this process").into();
            StorageErrorKind::PermissionDenied { reason }.into()
        }
        // O_NOFOLLOW fails with ELOOP on a link, or with EMLINK on some systems. O_DIRECTORY fails
        // with ENOTDIR on anything but a directory.
        Errno::LOOP | Errno::MLINK => StorageError::corrupted(format!(
            "`{path}` is a symbolic link, and the provider does not follow links"
        )),
        Errno::NOTDIR => {
            StorageError::corrupted(format!("`{path}` is a link or a file, but must be a directory"))
        }
        Errno::ISDIR => StorageError::corrupted(format!("`{path}` is a directory, but must be a file")),
        Errno::MFILE | Errno::NFILE => StorageError::unavailable("too many files are open"),
        _ => StorageError::other(format!("{action} `{path}` failed")),
    };
    error.with_source(Arc::new(std::io::Error::from(errno)) as Arc<_>)
}

/// Like [`from_errno`], for an error of the standard library.
pub(crate) fn from_io(error: &std::io::Error, action: &str, path: &Path) -> StorageError {
    match Errno::from_io_error(error) {
        Some(errno) => from_errno(errno, action, path),
        None => StorageError::other(format!("{action} `{}` failed", path.display())),
    }
}

/// A failed write, and whether it may have changed the stored data.
#[derive(Debug)]
pub(crate) enum WriteError {
    /// The stored data is unchanged.
    NothingWritten(StorageError),
    /// The stored data may have changed.
    OutcomeUnknown(StorageError),
}

impl AttemptError for WriteError {
    fn storage_error(&self) -> &StorageError {
        match self {
            Self::NothingWritten(error) | Self::OutcomeUnknown(error) => error,
        }
    }

    fn write_effect(&self) -> WriteEffect {
        match self {
            Self::NothingWritten(_) => WriteEffect::NotWritten,
            Self::OutcomeUnknown(_) => WriteEffect::MayHaveWritten,
        }
    }
}

/// Other errors, such as a timeout of the executor, may occur after the rename.
impl From<StorageError> for WriteError {
    fn from(error: StorageError) -> Self {
        Self::OutcomeUnknown(error)
    }
}

impl From<WriteError> for StorageError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::NothingWritten(error) | WriteError::OutcomeUnknown(error) => error,
        }
    }
}
