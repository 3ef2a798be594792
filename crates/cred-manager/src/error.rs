//! What can go wrong between a service and its credentials.

use std::fmt;
use std::time::Duration;

use cred_core::{
    ConfigError, CredentialError, CredentialPath, ErrorClass, ParseError, ScopeId, SealError, StorageError,
    Timestamp,
};

/// Why an operation of the manager failed. Cheap to clone; never holds a secret.
///
/// Errors of parsing, of configurations and of reading a credential's fields convert into it, so
/// that a handler needs one error type.
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ManagerError {
    /// The provider failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The credential could not be sealed or opened.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The credential was opened, but its contents cannot be read; or it cannot be encoded.
    #[error("credential `{path}` cannot be read or encoded; if it is stored, replace it by a new value")]
    Credential {
        /// The credential.
        path: CredentialPath,
        /// What is wrong with it.
        #[source]
        source: CredentialError,
    },
    /// The credential has expired, and the builder's
    /// [`on_expired`](crate::CredentialManagerBuilder::on_expired) refuses it.
    #[error(
        "credential `{path}` expired at {since}; store a new one, or rotate it with a later expiry, \
         or read it with `on_expired(OnExpired::Return)`"
    )]
    Expired {
        /// The credential.
        path: CredentialPath,
        /// When it expired.
        since: Timestamp,
    },
    /// A field of a credential cannot be read. From [`Credential`](cred_core::Credential), not from
    /// an operation of the manager.
    #[error(transparent)]
    Field(#[from] CredentialError),
    /// A text is not an id, a scope or a name. From parsing, not from an operation of the manager.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// A configuration cannot be used. From a provider's constructor, not from an operation of the
    /// manager.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A scoped handle was asked for something outside its scope.
    #[error(
        "this handle is limited to scope `{actual}` and cannot reach {}; use a handle that contains it",
        place(.requested)
    )]
    ScopeViolation {
        /// The handle's scope.
        actual: ScopeId,
        /// The scope that was asked for; `None`: that of the credentials that belong to no tenant.
        requested: Option<ScopeId>,
    },
    /// A scoped handle was asked for something that only the root handle may do.
    #[error(
        "`{operation}` concerns every tenant and this handle is limited to scope `{scope}`; use the root handle"
    )]
    RootOnly {
        /// What was asked.
        operation: &'static str,
        /// The handle's scope.
        scope: ScopeId,
    },
    /// Writes that were sealed under former keys did not end in time. The new keys are in use.
    /// Transient: another [`set_keys`](crate::CredentialManager::set_keys) waits for the rest.
    #[error(
        "the new keys are in use, but writes under the former ones did not end within {limit:?}; call `set_keys` \
         again before the re-key, and drop or poll futures of writes that are kept"
    )]
    FormerKeysInUse {
        /// How long they were waited for.
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

fn place(scope: &Option<ScopeId>) -> String {
    match scope {
        Some(scope) => format!("`{scope}`"),
        None => "credentials without a scope".to_owned(),
    }
}

impl ManagerError {
    /// Whether the same call may succeed a little later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Storage(error) => error.is_transient(),
            Self::Seal(error) => error.is_transient(),
            Self::FormerKeysInUse { .. } => true,
            _ => false,
        }
    }

    /// What a caller can do about it.
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

    /// How long to wait before the next try, where that is known.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Storage(error) => error.retry_after(),
            _ => None,
        }
    }

    /// The status that an HTTP handler may answer with: that of the
    /// [class](ErrorClass::http_status_hint), and more precisely what
    /// [`StorageError::http_status_hint`] says, 403 outside the scope of the handle, and 503 after
    /// a shutdown. An absent credential is not an error of
    /// [`retrieve`](crate::CredentialManager::retrieve): it gives `None`.
    #[must_use]
    pub fn http_status_hint(&self) -> u16 {
        match self {
            Self::Storage(error) => error.http_status_hint(),
            Self::ScopeViolation { .. } | Self::RootOnly { .. } => 403,
            Self::ShutDown => 503,
            other => other.class().http_status_hint(),
        }
    }

    /// Whether the failed call may have changed what is stored.
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
