//! Deleted credentials that the backend still keeps: recovery, purging and lists.

use std::sync::Arc;

use cred_core::{
    CredentialId, Operation, SoftDelete, StorageError, StorageErrorKind, StorageProvider, Target,
};

use crate::observe::observe;
use crate::visibility::Writer;
use crate::windows::LastWrite;
use crate::{CredentialManager, ManagerError};

/// Deleted credentials. Whether a backend keeps any, and for how long, is a setting: `delete_mode`
/// of Vault, `recovery_window_days` of AWS, `soft_delete` of memory, and of the vault itself on
/// Azure. Local files and Kubernetes keep none.
/// [`supports_recovery`](CredentialManager::supports_recovery) returns whether this backend does.
impl CredentialManager {
    /// Brings a deleted credential back as it was. One call of the provider.
    ///
    /// It first waits until this manager's earlier writes of the credential are visible
    /// ([`Consistency::point`](cred_core::Consistency)), and after a write whose outcome is unknown
    /// until that write can no longer take effect. It waits only if that takes no longer than an
    /// answer of the provider may take. Writes of other processes within that time are not waited
    /// for.
    ///
    /// A recovery whose outcome is unknown ([`ManagerError::may_have_written`]) may still take
    /// effect for [`Description::in_doubt`](cred_core::Description::in_doubt), and then bring a
    /// credential back that was deleted later. Wait for that time before you write the credential
    /// again.
    ///
    /// # Errors
    /// [`NotFound`](StorageErrorKind::NotFound) if nothing deleted can be recovered under that id:
    /// it was never stored, is not deleted, or is deleted permanently. Nothing was changed.
    /// [`Unsupported`](StorageErrorKind::Unsupported) where the backend keeps nothing that is
    /// deleted ([`supports_recovery`](Self::supports_recovery)). [`Busy`](StorageErrorKind::Busy)
    /// if it would wait for longer, on AWS for five minutes after a write by default:
    /// [`ManagerError::retry_after`] is the time. Else as [`delete`](Self::delete).
    ///
    /// # Cancellation
    /// Dropped before its turn has come, nothing is recovered. Dropped later, the recovery goes on
    /// to its end.
    pub async fn recover(&self, id: &CredentialId) -> Result<(), ManagerError> {
        observe("recover", self, Some(id), self.write_deleted(id, Operation::Recover)).await
    }

    /// Removes a deleted credential permanently: afterwards it can be neither recovered nor listed
    /// as deleted. It is `Ok` where nothing is deleted, and never touches a credential that is not
    /// deleted. One call of the provider, after the waits of [`recover`](Self::recover). Over an
    /// eventually consistent provider, a credential that another process stored within
    /// [`Consistency::point`](cred_core::Consistency) may be taken for the deleted one and removed.
    ///
    /// A purge whose outcome is unknown may still take effect for
    /// [`Description::in_doubt`](cred_core::Description::in_doubt), also on a credential that is
    /// deleted again in that time.
    ///
    /// # Errors
    /// [`PermissionDenied`](StorageErrorKind::PermissionDenied) where the backend protects from
    /// purging. [`Unsupported`](StorageErrorKind::Unsupported) where it keeps nothing that is
    /// deleted. Else as [`recover`](Self::recover), but never
    /// [`NotFound`](StorageErrorKind::NotFound).
    ///
    /// # Cancellation
    /// Dropped before its turn has come, nothing is purged. Dropped later, the purge goes on to its
    /// end.
    pub async fn purge(&self, id: &CredentialId) -> Result<(), ManagerError> {
        observe("purge", self, Some(id), self.write_deleted(id, Operation::Purge)).await
    }

    /// The deleted ids of exactly this handle's scope that can still be recovered, sorted; for the
    /// root those that belong to no tenant. One call of the provider, never cached.
    ///
    /// # Errors
    /// [`Unsupported`](StorageErrorKind::Unsupported) where the backend keeps nothing that is
    /// deleted. Else as [`list`](Self::list).
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
        // Before it waits for the lock.
        if let Err(unsupported) = soft_delete(&*shared.provider) {
            return Err(shared.at(unsupported, operation, path).into());
        }
        let lock = shared.write_lock(operation, &path).await?;
        // The provider looks before it writes. A look that lags behind an earlier write could find
        // deleted what was stored since, and purge that.
        shared.settled(operation, &path).await?;
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
        let what = "this backend keeps nothing that is deleted; store the credential again, and see whether \
                    the provider has a setting for later deletions";
        StorageErrorKind::Unsupported { what: what.into() }.into()
    })
}
