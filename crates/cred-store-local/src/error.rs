//! What the file system said, as what it means for a credential.

use std::path::Path;
use std::sync::Arc;

use cred_core::{StorageError, StorageErrorKind};
use cred_provider_kit::{AttemptError, Wrote};
use rustix::io::Errno;

/// An error of the file system while `doing` something, a phrase with "while" before it, at a place.
pub(crate) fn from_errno(errno: Errno, doing: &str, place: &Path) -> StorageError {
    let place = place.display();
    let error = match errno {
        Errno::NOSPC | Errno::DQUOT | Errno::FBIG => StorageErrorKind::DiskFull.into(),
        Errno::ROFS => {
            let reason = format!("`{place}` is on a read-only file system").into();
            StorageErrorKind::ReadOnly { reason }.into()
        }
        Errno::ACCESS | Errno::PERM => {
            let reason = format!("the file system refused {doing} `{place}` to this user").into();
            StorageErrorKind::PermissionDenied { reason }.into()
        }
        // ELOOP, and on some systems EMLINK or EFTYPE, is O_NOFOLLOW at a link; ENOTDIR is O_DIRECTORY at all else.
        Errno::LOOP | Errno::MLINK => {
            StorageError::corrupted(format!("`{place}` is a symbolic link, which is never followed"))
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

/// As [`from_errno`], for an error of the standard library.
pub(crate) fn from_io(error: &std::io::Error, doing: &str, place: &Path) -> StorageError {
    match Errno::from_io_error(error) {
        Some(errno) => from_errno(errno, doing, place),
        None => StorageError::other(format!("{doing} `{}` failed", place.display())),
    }
}

/// A write that failed, and whether that changed anything.
#[derive(Debug)]
pub(crate) enum WriteError {
    /// What is stored is what was stored.
    Nothing(StorageError),
    /// It may have changed.
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

/// What comes from elsewhere, as a timeout of the executor, may come after the rename.
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
