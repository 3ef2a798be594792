//! What can go wrong between a service and its credentials.

use cred_core::{CredentialError, CredentialPath, ScopeId, SealError, StorageError};

/// Why an operation of the manager failed. Cheap to clone; never holds a secret.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ManagerError {
    /// The provider failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The credential could not be sealed or opened.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The credential was opened, but its contents cannot be read; or it cannot be encoded.
    #[error("credential `{path}` cannot be read or encoded; if it is what is stored, store it anew")]
    Credential {
        /// The credential.
        path: CredentialPath,
        /// What is wrong with it.
        #[source]
        source: CredentialError,
    },
    /// A scoped handle was asked for something outside its scope.
    #[error(
        "this handle is limited to scope `{actual}` and cannot reach `{requested}`; use a handle that contains it"
    )]
    ScopeViolation {
        /// The handle's scope.
        actual: ScopeId,
        /// The scope that was asked for.
        requested: ScopeId,
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
    /// The manager was shut down. Nothing was read or written.
    #[error("the credential manager was shut down; build a new one")]
    ShutDown,
}

impl ManagerError {
    /// Whether the same call may succeed a little later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Storage(error) => error.is_transient(),
            Self::Seal(error) => error.is_transient(),
            Self::Credential { .. }
            | Self::ScopeViolation { .. }
            | Self::RootOnly { .. }
            | Self::ShutDown => false,
        }
    }

    /// Whether the failed call may have changed what is stored.
    #[must_use]
    pub fn may_have_written(&self) -> bool {
        matches!(self, Self::Storage(error) if error.may_have_written())
    }
}
