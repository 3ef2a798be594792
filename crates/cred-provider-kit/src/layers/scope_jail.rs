//! A layer that restricts a provider to one scope.

use cred_core::{Operation, ScopeId, StorageErrorKind, StorageResult};

use super::Layer;
use crate::TargetRef;

/// Passes on operations in one scope and the scopes below it. Refuses all others with
/// [`PermissionDenied`](StorageErrorKind::PermissionDenied), whatever is stored there, including
/// those on unscoped credentials and on the tree of all scopes. Paths stay unchanged: nothing is
/// moved below the scope.
///
/// ```
/// use cred_provider_kit::layers::{Layered, ScopeJail};
/// use cred_store_memory::MemoryStorageProvider;
///
/// let jail = ScopeJail::new("org:acme".parse()?);
/// let provider = Layered::new(MemoryStorageProvider::default(), jail);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct ScopeJail {
    scope: ScopeId,
}

impl ScopeJail {
    /// Allows only this scope and the scopes below it.
    #[must_use]
    pub const fn new(scope: ScopeId) -> Self {
        Self { scope }
    }

    /// Returns the scope.
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
                reason: format!("access is limited to `{}` and the scopes below it", self.scope).into(),
            }
            .into()),
        }
    }
}
