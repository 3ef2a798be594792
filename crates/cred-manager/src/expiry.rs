//! Handling of expired credentials.

use cred_core::{Credential, PathRef, ScopeId};
use tracing::warn;

use crate::ManagerError;
use crate::shared::Shared;

/// How to handle an expired credential that is loaded from the provider. Set by the builder's
/// [`on_expired`](crate::CredentialManagerBuilder::on_expired).
///
/// An expired credential is cached for at most one second, so a credential that is read often is
/// loaded about once per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnExpired {
    /// It is returned like any other.
    Return,
    /// It is returned, and each load logs an event at WARN with the target `cred` and the fields
    /// `scope`, `id` and `since`.
    #[default]
    Warn,
    /// Reading it fails with [`ManagerError::Expired`].
    Refuse,
}

impl Shared {
    /// Applies the builder's setting to a credential that was loaded.
    ///
    /// # Errors
    /// [`ManagerError::Expired`].
    pub(crate) fn check_expiry(
        &self,
        path: PathRef<'_>,
        credential: &Credential,
    ) -> Result<(), ManagerError> {
        let since = match credential.expires_at() {
            Some(expiry) if credential.is_expired() => expiry,
            _ => return Ok(()),
        };
        match self.settings.on_expired {
            OnExpired::Return => Ok(()),
            OnExpired::Warn => {
                let (scope, id) = (path.scope.map(ScopeId::as_str), path.id.as_str());
                warn!(target: "cred", scope, id, %since, "an expired credential was read");
                Ok(())
            }
            OnExpired::Refuse => Err(ManagerError::Expired { path: path.to_path(), since }),
        }
    }
}
