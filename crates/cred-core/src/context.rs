//! The context of an operation.

use crate::{CredentialId, PathRef, ScopeId};

/// The context of an operation: the tenant for which it runs. Only its scope selects where a
/// credential is stored.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CredentialContext {
    /// The tenant; `None`: the unscoped credentials, which belong to no tenant.
    pub scope_id: Option<ScopeId>,
}

impl CredentialContext {
    /// Creates the context of the unscoped credentials, which belong to no tenant.
    #[must_use]
    pub const fn unscoped() -> Self {
        Self { scope_id: None }
    }

    /// Creates the context of one tenant.
    #[must_use]
    pub const fn scoped(scope: ScopeId) -> Self {
        Self { scope_id: Some(scope) }
    }

    /// Returns the path of `id` in this context.
    #[must_use]
    pub const fn path<'a>(&'a self, id: &'a CredentialId) -> PathRef<'a> {
        PathRef { scope: self.scope_id.as_ref(), id }
    }
}

impl From<Option<ScopeId>> for CredentialContext {
    fn from(scope_id: Option<ScopeId>) -> Self {
        Self { scope_id }
    }
}
