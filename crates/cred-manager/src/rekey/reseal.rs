//! Resealing one credential.

use std::sync::Arc;

use cred_core::{CredentialPath, Operation, StorageError};

use crate::conditional::{CONFLICT_RETRIES, is_conflict};
use crate::visibility::Writer;
use crate::{CredentialManager, ManagerError};

/// What became of one credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resealed {
    /// It is under the active key; in a dry run, it would be.
    Done,
    /// It was written without compare-and-set: only a later read shows whether another process
    /// wrote it at the same moment.
    ToConfirm,
    /// It was under the active key already.
    Current,
    Gone,
    /// An earlier write of this manager is not visible yet, or may still take effect.
    Deferred,
}

impl CredentialManager {
    /// Reseals a credential if it is under another key. Waits for no write that is unresolved.
    pub(super) async fn reseal(
        &self,
        path: &CredentialPath,
        dry_run: bool,
    ) -> Result<Resealed, ManagerError> {
        let shared = &self.shared;
        shared.tasks.refuse_when_closed()?;
        // Asked before the read: a write that is resolved by now is visible to it.
        let unresolved = self.is_unresolved(path);
        let mut seen = shared.look(path).await?;
        for _ in 0..=CONFLICT_RETRIES {
            let (stored, revision) = match seen {
                Some((stored, revision)) => (stored, revision),
                None if unresolved => return Ok(Resealed::Deferred),
                None => return Ok(Resealed::Gone),
            };
            if shared.sealing.is_current(&stored.0) {
                if dry_run {
                    // It may be under another key with the same name.
                    shared.sealing.open(path.as_ref(), &stored).await?;
                }
                return Ok(Resealed::Current);
            }
            if unresolved {
                return Ok(Resealed::Deferred);
            }
            // Before the lock is taken: other writers wait for calls of the provider only.
            let fresh = shared.sealing.reseal(path.as_ref(), &stored).await?;
            if dry_run {
                return Ok(Resealed::Done);
            }
            let lock = Arc::new(shared.write_lock(Operation::Store, path).await?);
            if revision.is_some() {
                match shared.replace_as(Writer::Rekey, path, &lock, revision, fresh).await {
                    Ok(()) => return Ok(Resealed::Done),
                    Err(error) if is_conflict(&error) => {}
                    Err(error) => return Err(error),
                }
                drop(lock);
                seen = shared.look(path).await?;
                continue;
            }
            if self.is_unresolved(path) {
                return Ok(Resealed::Deferred);
            }
            seen = shared.look(path).await?;
            if seen.as_ref().is_some_and(|(again, _)| *again == stored) {
                shared.replace_as(Writer::Rekey, path, &lock, None, fresh).await?;
                return Ok(Resealed::ToConfirm);
            }
        }
        Err(self.others_write(path))
    }

    fn is_unresolved(&self, path: &CredentialPath) -> bool {
        !self.shared.unresolved.left(path.as_ref()).is_zero()
    }

    /// The error for a credential that never stayed unchanged for long enough.
    pub(super) fn others_write(&self, path: &CredentialPath) -> ManagerError {
        let error = StorageError::conflict("others kept writing it while it was resealed");
        self.shared.at(error, Operation::Store, path.clone()).into()
    }

    /// The error for a credential that was resealed and could not be read back: the failure of the
    /// read does not prove that nothing has changed.
    pub(super) fn unconfirmed(&self, path: &CredentialPath, error: ManagerError) -> ManagerError {
        if error.may_have_written() {
            return error;
        }
        let uncertain = StorageError::in_doubt("it was resealed, and could not be read back");
        self.shared
            .at(uncertain.with_source(Arc::new(error) as Arc<_>), Operation::Store, path.clone())
            .into()
    }
}
