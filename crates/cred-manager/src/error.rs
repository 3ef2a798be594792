//! The error type of the manager.

use std::fmt;
use std::time::Duration;

use cred_core::{
    ConfigError, CredentialError, CredentialPath, ErrorClass, ParseError, ScopeId, SealError, StorageError,
    Timestamp,
};

/// The error of every operation of the manager. Cheap to clone; never contains a secret.
///
/// Errors of parsing, of configurations and of reading a credential's fields convert into it, so
/// that a handler needs only one error type.
///
/// ```
/// use cred_core::ErrorClass;
/// use cred_manager::ManagerError;
///
/// fn status(error: &ManagerError) -> u16 {
///     if error.class() == ErrorClass::Transient {
///         println!("try again after {:?}", error.retry_after());
///     }
///     error.http_status_hint()
/// }
/// ```
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ManagerError {
    /// The provider failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The credential could not be sealed or opened.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The credential was opened, but its contents cannot be decoded; or it cannot be encoded.
    #[error("credential `{path}` cannot be decoded or encoded; if it is stored, replace it with a new value")]
    Credential {
        /// The credential.
        path: CredentialPath,
        /// The reason.
        #[source]
        source: CredentialError,
    },
    /// The credential has expired, and the builder's
    /// [`on_expired`](crate::CredentialManagerBuilder::on_expired) refuses it.
    #[error(
        "credential `{path}` expired at {since}; store a new one, rotate it with a later expiry, or build \
         the manager with `on_expired(OnExpired::Return)`"
    )]
    Expired {
        /// The credential.
        path: CredentialPath,
        /// When it expired.
        since: Timestamp,
    },
    /// A field of a credential cannot be read. Returned by [`Credential`](cred_core::Credential),
    /// not by an operation of the manager.
    #[error(transparent)]
    Field(#[from] CredentialError),
    /// A text is not a valid id, scope or name. Returned by parsing, not by an operation of the
    /// manager.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// A configuration is invalid. Returned by a provider's constructor, not by an operation of the
    /// manager.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A scoped handle was used for a path or scope outside its own scope.
    #[error(
        "this handle is limited to scope `{actual}` and cannot access {}; use the root handle, or one whose \
         scope contains it",
        scope_name(.requested)
    )]
    ScopeViolation {
        /// The handle's scope.
        actual: ScopeId,
        /// The requested scope; `None`: that of the credentials that belong to no tenant.
        requested: Option<ScopeId>,
    },
    /// An operation that only the root handle permits was called on a scoped handle.
    #[error(
        "`{operation}` affects every tenant, and this handle is limited to scope `{scope}`; use the root handle"
    )]
    RootOnly {
        /// The operation.
        operation: &'static str,
        /// The handle's scope.
        scope: ScopeId,
    },
    /// Writes that were sealed under former keys did not end in time. The new keys are in use.
    /// Transient: call [`set_keys`](crate::CredentialManager::set_keys) again to wait for the rest.
    #[error(
        "the new keys are in use, but writes that were sealed under the former keys did not end within {limit:?}; \
         poll or drop all pending futures of writes, and call `set_keys` again before the re-key"
    )]
    FormerKeysInUse {
        /// How long `set_keys` waited.
        limit: Duration,
    },
    /// The manager was shut down. Nothing was read or written.
    #[error("the credential manager was shut down; build a new one")]
    ShutDown,
}

impl fmt::Debug for ManagerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        cred_core::fmt_report(self, f)
    }
}

fn scope_name(scope: &Option<ScopeId>) -> String {
    match scope {
        Some(scope) => format!("`{scope}`"),
        None => "credentials without a scope".to_owned(),
    }
}

impl ManagerError {
    /// Whether the same call may succeed if it is made again shortly.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Storage(error) => error.is_transient(),
            Self::Seal(error) => error.is_transient(),
            Self::FormerKeysInUse { .. } => true,
            _ => false,
        }
    }

    /// The class of the error, which shows what a caller can do about it.
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Storage(error) => error.class(),
            Self::Seal(error) => error.class(),
            Self::Parse(_) | Self::ScopeViolation { .. } | Self::RootOnly { .. } => {
                ErrorClass::InvalidRequest
            }
            Self::FormerKeysInUse { .. } => ErrorClass::Transient,
            Self::Credential { .. }
            | Self::Expired { .. }
            | Self::Field(_)
            | Self::Config(_)
            | Self::ShutDown => ErrorClass::Broken,
        }
    }

    /// How long to wait before the next attempt, if that is known.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Storage(error) => error.retry_after(),
            _ => None,
        }
    }

    /// The status that an HTTP handler may return. It is that of the
    /// [class](ErrorClass::http_status_hint), except:
    ///
    /// - [`ManagerError::Storage`]: that of [`StorageError::http_status_hint`], which is more
    ///   precise
    /// - outside the scope of the handle: 403
    /// - after a shutdown: 503
    ///
    /// An absent credential is not an error of [`retrieve`](crate::CredentialManager::retrieve),
    /// which returns `None`.
    #[must_use]
    pub fn http_status_hint(&self) -> u16 {
        match self {
            Self::Storage(error) => error.http_status_hint(),
            Self::ScopeViolation { .. } | Self::RootOnly { .. } => 403,
            Self::ShutDown => 503,
            other => other.class().http_status_hint(),
        }
    }

    /// Whether the failed call may have changed the stored data.
    #[must_use]
    pub fn may_have_written(&self) -> bool {
        matches!(self, Self::Storage(error) if error.may_have_written())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn debug_is_the_message_and_its_causes() {
        let cause = Arc::new(std::io::Error::other("the disk failed")) as Arc<_>;
        let error = ManagerError::from(StorageError::other("a rename failed").with_source(cause));
        let expected = "an unexpected failure: a rename failed\n\nCaused by:\n    the disk failed";
        assert_eq!(format!("{error:?}"), expected);
        assert_eq!(format!("{:?}", ManagerError::ShutDown), ManagerError::ShutDown.to_string());
    }
}
