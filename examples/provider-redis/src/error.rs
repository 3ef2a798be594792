//! Errors of Redis and of its connection, as storage errors.
//!
//! Redis repeats arguments in its messages, so only the error's code is passed on.

use cred_core::{StorageError, StorageErrorKind};
use redis::{ErrorKind, RedisError, ServerErrorKind};

/// Before anything was sent but the login.
pub(crate) fn connecting(error: &RedisError) -> StorageError {
    if error.kind() == ErrorKind::Io {
        return StorageErrorKind::Unreachable { reason: error.category().to_owned().into() }.into();
    }
    answered(error)
}

/// After a request was sent.
pub(crate) fn answered(error: &RedisError) -> StorageError {
    let reason = error.code().unwrap_or(error.category()).to_owned().into();
    match (error.kind(), error.code()) {
        (ErrorKind::AuthenticationFailed, _) | (_, Some("NOAUTH" | "WRONGPASS")) => {
            StorageErrorKind::AuthenticationFailed { reason }.into()
        }
        (ErrorKind::Server(ServerErrorKind::NoPerm), _) => {
            StorageErrorKind::PermissionDenied { reason }.into()
        }
        (ErrorKind::Server(ServerErrorKind::ReadOnly), _) => StorageErrorKind::ReadOnly { reason }.into(),
        // The server looked at the request and did nothing: it loads its data, runs a script, or
        // its memory is full.
        (ErrorKind::Server(ServerErrorKind::BusyLoading), _) | (_, Some("BUSY" | "OOM" | "MISCONF")) => {
            StorageErrorKind::Busy { reason, retry_after: None }.into()
        }
        (_, Some("WRONGTYPE")) => StorageError::corrupted("the key holds another type of value"),
        (ErrorKind::Io, _) => StorageErrorKind::Unavailable { reason, retry_after: None }.into(),
        _ => StorageErrorKind::Other { reason }.into(),
    }
}
