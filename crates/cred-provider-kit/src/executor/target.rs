//! The target of an operation, borrowed.

use cred_core::{CredentialContext, CredentialId, CredentialPath, PathRef, ScopeId, Target};

/// A borrowed [`Target`]: an owned one is created only for an error.
///
/// Convert it from `ctx.path(id)` for one credential, or from `ctx` for its scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TargetRef<'a> {
    /// One credential.
    Credential(PathRef<'a>),
    /// All credentials of a scope, or of a tree of scopes; `None`: the unscoped credentials, or all
    /// credentials.
    Scope(Option<&'a ScopeId>),
    /// The backend itself.
    Backend,
}

impl<'a> TargetRef<'a> {
    /// Returns the scope of the credential, or the scope itself; `None` without a scope, or if the
    /// target is the backend.
    #[must_use]
    pub fn scope(self) -> Option<&'a ScopeId> {
        match self {
            Self::Credential(path) => path.scope,
            Self::Scope(scope) => scope,
            Self::Backend => None,
        }
    }

    /// Returns the id of the credential; `None` if the target is not one credential.
    #[must_use]
    pub fn id(self) -> Option<&'a CredentialId> {
        match self {
            Self::Credential(path) => Some(path.id),
            Self::Scope(_) | Self::Backend => None,
        }
    }
}

impl<'a> From<PathRef<'a>> for TargetRef<'a> {
    fn from(path: PathRef<'a>) -> Self {
        Self::Credential(path)
    }
}

impl<'a> From<&'a CredentialPath> for TargetRef<'a> {
    fn from(path: &'a CredentialPath) -> Self {
        Self::Credential(path.as_path_ref())
    }
}

impl<'a> From<&'a CredentialContext> for TargetRef<'a> {
    fn from(ctx: &'a CredentialContext) -> Self {
        Self::Scope(ctx.scope_id.as_ref())
    }
}

impl From<TargetRef<'_>> for Target {
    fn from(target: TargetRef<'_>) -> Self {
        match target {
            TargetRef::Credential(path) => Self::Credential(path.to_path()),
            TargetRef::Scope(scope) => Self::Scope(scope.cloned()),
            TargetRef::Backend => Self::Backend,
        }
    }
}
