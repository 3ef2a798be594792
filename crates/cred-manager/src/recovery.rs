//! Deleted credentials that the backend still keeps: recovery, purging and lists.

use std::sync::Arc;

use cred_core::{
    CredentialId, Operation, SoftDelete, StorageError, StorageErrorKind, StorageProvider, Target,
};

use crate::observe::observe;
use crate::visibility::Writer;
use crate::windows::LastWrite;
use crate::{CredentialManager, ManagerError};

/// Deleted credentials. A setting determines whether a backend keeps any, and for how long:
/// `delete_mode` of Vault, `recovery_window_days` of AWS, `soft_delete` of memory, and a setting of
/// the vault itself on Azure. Local files and Kubernetes keep none.
/// [`supports_recovery`](CredentialManager::supports_recovery) returns whether this backend does.
impl CredentialManager {
    /// Restores a deleted credential unchanged. One call of the provider.
    ///
    /// ```
    /// # use cred_manager::{CredentialManager, ManagerError};
    /// # async fn example(manager: CredentialManager) -> Result<(), ManagerError> {
    /// for id in manager.list_deleted().await? {
    ///     manager.recover(&id).await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Consistency
    /// - Without compare-and-set, it first waits until this manager's earlier writes of the
    ///   credential are visible ([`Consistency::point`](cred_core::Consistency)), and after a write
    ///   whose outcome is unknown until that write can no longer take effect. It waits only if that
    ///   takes no longer than an answer of the provider may take. It does not wait for writes of
    ///   other processes within that time.
    /// - A recovery whose outcome is unknown ([`ManagerError::may_have_written`]) may still take
    ///   effect for [`Description::in_doubt`](cred_core::Description::in_doubt), and then restores
    ///   a credential that was deleted later. Wait for that time before you write the credential
    ///   again.
    ///
    /// # Errors
    /// - [`NotFound`](StorageErrorKind::NotFound) if no deleted credential can be recovered under
    ///   that id: it was never stored, is not deleted, or is deleted permanently. Nothing was
    ///   changed.
    /// - [`Unsupported`](StorageErrorKind::Unsupported) where the backend keeps no deleted
    ///   credentials ([`supports_recovery`](Self::supports_recovery)).
    /// - [`Busy`](StorageErrorKind::Busy) if it would have to wait for longer, on AWS for five
    ///   minutes after a write by default: [`ManagerError::retry_after`] is the time.
    /// - Otherwise as [`delete`](Self::delete).
    ///
    /// # Cancellation
    /// - Dropped while it waits for the write lock, or for earlier writes: nothing is recovered.
    /// - Dropped later: the recovery continues to its end.
    pub async fn recover(&self, id: &CredentialId) -> Result<(), ManagerError> {
        observe("recover", self, Some(id), self.write_deleted(id, Operation::Recover)).await
    }

    /// Removes a deleted credential permanently: afterwards it can be neither recovered nor listed
    /// as deleted. `Ok` also if no deleted one exists. A credential that is not deleted is never
    /// changed. One call of the provider, after the waits of [`recover`](Self::recover).
    ///
    /// ```
    /// # use cred_manager::{CredentialManager, ManagerError};
    /// # async fn example(manager: CredentialManager) -> Result<(), ManagerError> {
    /// let id = "stripe-api-key".parse()?;
    /// manager.delete(&id).await?;
    /// manager.purge(&id).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Consistency
    /// - Over an eventually consistent provider, a credential that another process stored within
    ///   [`Consistency::point`](cred_core::Consistency) may be taken for the deleted one and
    ///   removed.
    /// - A purge whose outcome is unknown may still take effect for
    ///   [`Description::in_doubt`](cred_core::Description::in_doubt), also on a credential that is
    ///   deleted again in that time.
    ///
    /// # Errors
    /// - [`PermissionDenied`](StorageErrorKind::PermissionDenied) where the backend has purge
    ///   protection.
    /// - [`Unsupported`](StorageErrorKind::Unsupported) where the backend keeps no deleted
    ///   credentials.
    /// - Otherwise as [`recover`](Self::recover), but never
    ///   [`NotFound`](StorageErrorKind::NotFound).
    ///
    /// # Cancellation
    /// - Dropped while it waits for the write lock, or for earlier writes: nothing is purged.
    /// - Dropped later: the purge continues to its end.
    pub async fn purge(&self, id: &CredentialId) -> Result<(), ManagerError> {
        observe("purge", self, Some(id), self.write_deleted(id, Operation::Purge)).await
    }

    /// Returns the deleted ids of exactly this handle's scope that can still be recovered, sorted;
    /// for the root, those that belong to no tenant. One call of the provider, never cached.
    ///
    /// ```
    /// # use cred_manager::{CredentialManager, ManagerError};
    /// # async fn example(manager: CredentialManager) -> Result<(), ManagerError> {
    /// if manager.supports_recovery() {
    ///     println!("{} can be recovered", manager.list_deleted().await?.len());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Unsupported`](StorageErrorKind::Unsupported) where the backend keeps no deleted
    /// credentials. Otherwise as [`list`](Self::list).
    ///
    /// # Cancellation
    /// Dropping the future changes nothing.
    pub async fn list_deleted(&self) -> Result<Vec<CredentialId>, ManagerError> {
        observe("list_deleted", self, None, async {
            let shared = &self.shared;
            shared.tasks.refuse_when_closed()?;
            let target = || Target::Scope(self.scope().cloned());
            let list = async { soft_delete(&*shared.provider)?.list_deleted(&self.context).await };
            let mut ids = shared.read(Operation::ListDeleted, target, list).await?;
            ids.sort_unstable();
            Ok(ids)
        })
        .await
    }

    /// Recovers or purges.
    async fn write_deleted(&self, id: &CredentialId, operation: Operation) -> Result<(), ManagerError> {
        let shared = &self.shared;
        shared.tasks.refuse_when_closed()?;
        let path = self.path(id).to_path();
        // Checked before it waits for the lock.
        if let Err(unsupported) = soft_delete(&*shared.provider) {
            return Err(shared.at(unsupported, operation, path).into());
        }
        let lock = shared.write_lock(operation, &path).await?;
        // The provider reads before it writes. A read that lags behind an earlier write could still
        // find the credential deleted, and the purge would remove the value that was stored since.
        shared.wait_until_resolved(operation, &path).await?;
        let (provider, ctx, id) = (Arc::clone(&shared.provider), self.context.clone(), id.clone());
        let (writer, last_write) = match operation {
            Operation::Recover => (Writer::Recover, LastWrite::Recovered),
            _ => (Writer::Purge, LastWrite::Deleted),
        };
        let write = async move {
            let deleted = soft_delete(&*provider)?;
            match operation {
                Operation::Recover => deleted.recover(&id, &ctx).await,
                _ => deleted.purge(&id, &ctx).await,
            }
        };
        shared.write(writer, operation, &path, lock.into(), last_write, write).await
    }
}

fn soft_delete(provider: &dyn StorageProvider) -> Result<&dyn SoftDelete, StorageError> {
    provider.soft_delete().ok_or_else(|| {
        let what = "this backend keeps no deleted credentials; store the credential again, and check whether \
                    the provider has a setting to keep later deletions";
        StorageErrorKind::Unsupported { what: what.into() }.into()
    })
}
