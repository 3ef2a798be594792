//! On whose behalf an operation runs.

use crate::{CredentialId, PathRef, ScopeId};

/// On whose behalf an operation runs. Its scope is the only place that says where a credential
/// lives.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CredentialContext {
    /// The tenant; `None`: the credentials that belong to no tenant.
    pub scope_id: Option<ScopeId>,
}

impl CredentialContext {
    /// The context of the credentials that belong to no tenant.
    #[must_use]
    pub const fn unscoped() -> Self {
        Self { scope_id: None }
    }

    /// The context of one tenant.
    #[must_use]
    pub const fn scoped(scope: ScopeId) -> Self {
        Self { scope_id: Some(scope) }
    }

    /// The path of `id` in this context.
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
