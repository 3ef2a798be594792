//! Errors of the file system as storage errors.

use std::path::Path;
use std::sync::Arc;

use cred_core::{StorageError, StorageErrorKind};
use cred_provider_kit::{AttemptError, Wrote};
use rustix::io::Errno;

/// Converts an error of the file system at `place`. `doing` is what failed, such as `creating`.
pub(crate) fn from_errno(errno: Errno, doing: &str, place: &Path) -> StorageError {
    let place = place.display();
    let error = match errno {
        Errno::NOSPC | Errno::DQUOT | Errno::FBIG => StorageErrorKind::DiskFull.into(),
        Errno::ROFS => {
            let reason = format!("`{place}` is on a read-only file system").into();
            StorageErrorKind::ReadOnly { reason }.into()
        }
        Errno::ACCESS | Errno::PERM => {
            let reason = format!("{doing} `{place}` is not permitted for the user of this process").into();
            StorageErrorKind::PermissionDenied { reason }.into()
        }
        // O_NOFOLLOW answers ELOOP for a link, and EMLINK on some systems. O_DIRECTORY answers
        // ENOTDIR for anything but a directory.
        Errno::LOOP | Errno::MLINK => {
            StorageError::corrupted(format!("`{place}` is a symbolic link, and links are not followed here"))
        }
        Errno::NOTDIR => {
            StorageError::corrupted(format!("`{place}` is a link or a file where a directory should be"))
        }
        Errno::ISDIR => StorageError::corrupted(format!("`{place}` is a directory where a file should be")),
        Errno::MFILE | Errno::NFILE => StorageError::unavailable("too many files are open"),
        _ => StorageError::other(format!("{doing} `{place}` failed")),
    };
    error.with_source(Arc::new(std::io::Error::from(errno)) as Arc<_>)
}

/// Like [`from_errno`], for an error of the standard library.
pub(crate) fn from_io(error: &std::io::Error, doing: &str, place: &Path) -> StorageError {
    match Errno::from_io_error(error) {
        Some(errno) => from_errno(errno, doing, place),
        None => StorageError::other(format!("{doing} `{}` failed", place.display())),
    }
}

/// A failed write, and whether it may have changed the stored data.
#[derive(Debug)]
pub(crate) enum WriteError {
    /// The stored data is unchanged.
    Nothing(StorageError),
    /// The stored data may have changed.
    Doubtful(StorageError),
}

impl AttemptError for WriteError {
    fn storage_error(&self) -> &StorageError {
        match self {
            Self::Nothing(error) | Self::Doubtful(error) => error,
        }
    }

    fn wrote(&self) -> Wrote {
        match self {
            Self::Nothing(_) => Wrote::No,
            Self::Doubtful(_) => Wrote::Perhaps,
        }
    }
}

/// An error from elsewhere, such as a timeout of the executor, may come after the rename.
impl From<StorageError> for WriteError {
    fn from(error: StorageError) -> Self {
        Self::Doubtful(error)
    }
}

impl From<WriteError> for StorageError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Nothing(error) | WriteError::Doubtful(error) => error,
        }
    }
}
