//! One tenant alone.

use cred_core::{Operation, ScopeId, StorageErrorKind, StorageResult};

use super::Layer;
use crate::TargetRef;

/// Passes on what is about one scope or lies below it, and refuses the rest with
/// [`PermissionDenied`](StorageErrorKind::PermissionDenied) whatever is stored there: the unscoped
/// credentials, and the tree of everything, too. Paths stay as they are: nothing is moved below the
/// scope.
#[derive(Debug, Clone)]
pub struct ScopeJail {
    scope: ScopeId,
}

impl ScopeJail {
    /// Only this scope, and what it contains.
    #[must_use]
    pub const fn new(scope: ScopeId) -> Self {
        Self { scope }
    }

    /// The scope that nothing leaves.
    #[must_use]
    pub const fn scope(&self) -> &ScopeId {
        &self.scope
    }
}

impl Layer for ScopeJail {
    fn admit(&self, _: Operation, target: TargetRef<'_>) -> StorageResult<()> {
        match target.scope().is_some_and(|scope| self.scope.contains(scope)) {
            true => Ok(()),
            false => Err(StorageErrorKind::PermissionDenied {
                reason: format!("only `{}` and what lies below it can be reached here", self.scope).into(),
            }
            .into()),
        }
    }
}
