//! The abilities of the backend, and the readiness check.

use cred_core::{CredentialId, StorageProvider as _};

use crate::observe::observe;
use crate::{CredentialManager, ManagerError};

/// The id that [`CredentialManager::check_ready`] reads.
const READINESS_ID: &str = "cred-readiness";

/// The backend.
impl CredentialManager {
    /// Checks that a credential of this handle's scope could be read now, for a readiness probe
    /// such as `/readyz`. One call of the provider, never cached.
    ///
    /// It reads the id `cred-readiness`, which need not exist: an answer proves that the network,
    /// the authentication and the permission to read that id work. It takes no longer than the
    /// provider's [`operation_timeout`](cred_core::Description::operation_timeout) and a second.
    ///
    /// ```
    /// # async fn readyz(manager: cred_manager::CredentialManager) -> u16 {
    /// match manager.check_ready().await {
    ///     Ok(()) => 204,
    ///     Err(_) => 503,
    /// }
    /// # }
    /// ```
    ///
    /// - **Permissions.** The backend's policy must permit this service to read any id of the
    ///   handle's scope, as for every credential that does not exist yet. If the service has the
    ///   permission for one tenant only, use a [`scoped`](Self::scoped) handle. If the policy lists
    ///   single names, call [`exists`](Self::exists) for one of those instead.
    /// - **Not checked: writing, other scopes, and the keys.** Nothing is opened. A missing key
    ///   fails when the manager is built, or when a credential is read. On AWS with a KMS key, the
    ///   permission to use that key is only checked if a credential is stored as `cred-readiness`.
    /// - **Not detected: a missing namespace or folder.** Two backends answer as if nothing were
    ///   stored: Kubernetes in a namespace that does not exist, and local files where `base_path`
    ///   does not exist, such as a volume that is not mounted. Set `create_dir` to false there, and
    ///   a missing volume fails at the start.
    ///
    /// Each check is a request to the backend: a probe every few seconds in each replica counts
    /// towards its rate limits, its price and its audit log.
    ///
    /// # Errors
    /// [`ManagerError::Storage`], also [`Corrupted`](cred_core::StorageErrorKind::Corrupted) if the
    /// data stored under the id is damaged; [`ManagerError::ShutDown`].
    ///
    /// # Cancellation
    /// Dropping the future changes nothing.
    pub async fn check_ready(&self) -> Result<(), ManagerError> {
        let id = CredentialId::from_static(READINESS_ID);
        observe("check_ready", self, Some(&id), async {
            self.shared.tasks.refuse_when_closed()?;
            self.shared.fetch_sealed(&id, &self.context).await.map(drop)
        })
        .await
    }

    /// Whether the backend has compare-and-set, which
    /// [`retrieve_versioned`](Self::retrieve_versioned), [`store_if`](Self::store_if) and
    /// [`update`](Self::update) need. Memory, Vault, Kubernetes and local files with
    /// `enable_locking` have it; AWS and Azure do not. No call of the provider.
    ///
    /// ```
    /// # use cred_manager::CredentialManager;
    /// # fn example(manager: CredentialManager) {
    /// if !manager.supports_conditional_updates() {
    ///     eprintln!("this backend has no compare-and-set: only one process may write");
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn supports_conditional_updates(&self) -> bool {
        self.shared.provider.compare_and_set().is_some()
    }

    /// Whether the backend keeps deleted credentials, so that [`recover`](Self::recover),
    /// [`purge`](Self::purge) and [`list_deleted`](Self::list_deleted) work. It depends on the
    /// backend and on its configuration. No call of the provider.
    #[must_use]
    pub fn supports_recovery(&self) -> bool {
        self.shared.provider.soft_delete().is_some()
    }
}
