//! Resealing one credential.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use cred_core::{CredentialPath, Operation, StorageError};
use futures_util::FutureExt as _;

use crate::conditional::{CONFLICT_RETRIES, is_conflict};
use crate::visibility::Writer;
use crate::{CredentialManager, ManagerError};

/// What a re-key does with a credential under another key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Reseals it.
    Write,
    /// Opens every credential, and writes nothing.
    DryRun,
    /// Nothing: it only reads.
    Read,
}

/// The result of one look at a credential.
#[derive(Debug)]
pub(super) enum Look {
    /// It is resealed under the active key; in a dry run, it would be.
    Done,
    /// It was written without compare-and-set: only a later read shows whether another process
    /// wrote it at the same moment.
    Written,
    /// It was written without compare-and-set, and may be written later: the outcome is unknown.
    Uncertain(ManagerError),
    /// It was under the active key already.
    Current,
    /// It is under another key, and this look only reads.
    Outdated,
    NotFound,
    /// It cannot be written now, for this reason, which passes.
    Deferred(ManagerError),
}

impl CredentialManager {
    /// Looks at one credential. Waits for no write that is unresolved.
    pub(super) async fn look_at(&self, path: &CredentialPath, mode: Mode) -> Result<Look, ManagerError> {
        let look = AssertUnwindSafe(async {
            match mode {
                Mode::Read => self.read_back(path).await,
                Mode::Write => self.reseal(path, false).await,
                Mode::DryRun => self.reseal(path, true).await,
            }
        });
        // Writes run in tasks, which catch their own panics, so this was a read or the sealer.
        look.catch_unwind().await.unwrap_or_else(|_| {
            let error = StorageError::other("the provider or the sealer panicked");
            Err(self.shared.at(error, Operation::Retrieve, path.clone()).into())
        })
    }

    async fn read_back(&self, path: &CredentialPath) -> Result<Look, ManagerError> {
        let shared = &self.shared;
        shared.tasks.refuse_when_closed()?;
        Ok(match shared.look(path).await? {
            None => Look::NotFound,
            Some((stored, _)) if shared.sealing.is_current(&stored.data) => Look::Current,
            Some(_) => Look::Outdated,
        })
    }

    /// Reseals a credential if it is under another key.
    async fn reseal(&self, path: &CredentialPath, dry_run: bool) -> Result<Look, ManagerError> {
        let shared = &self.shared;
        shared.tasks.refuse_when_closed()?;
        // Asked before the read: a write that is resolved by now is visible to it.
        let unresolved = self.unresolved(path);
        let mut seen = shared.look(path).await?;
        for _ in 0..=CONFLICT_RETRIES {
            let Some((stored, revision)) = seen else { return Ok(Look::NotFound) };
            if shared.sealing.is_current(&stored.data) {
                if dry_run {
                    // It may be under another key with the same name.
                    shared.sealing.open(path.as_path_ref(), &stored).await?;
                }
                return Ok(Look::Current);
            }
            if let Some(why) = unresolved {
                return Ok(Look::Deferred(why));
            }
            // Before the lock is taken: other writers wait for calls of the provider only.
            let fresh = shared.sealing.reseal(path.as_path_ref(), &stored).await?;
            if dry_run {
                return Ok(Look::Done);
            }
            let lock = match shared.write_lock(Operation::Store, path).await {
                Ok(lock) => Arc::new(lock),
                Err(busy) => return Ok(Look::Deferred(busy)),
            };
            if revision.is_some() {
                match shared.replace(Writer::Rekey, path, &lock, revision, fresh).await {
                    Ok(_) => return Ok(Look::Done),
                    Err(error) if is_conflict(&error) => {}
                    Err(error) => return Err(error),
                }
                drop(lock);
                seen = shared.look(path).await?;
                continue;
            }
            if let Some(why) = self.unresolved(path) {
                return Ok(Look::Deferred(why));
            }
            seen = shared.look(path).await?;
            if seen.as_ref().is_some_and(|(again, _)| *again == stored) {
                return match shared.replace(Writer::Rekey, path, &lock, None, fresh).await {
                    Ok(_) => Ok(Look::Written),
                    Err(error) if error.may_have_written() => Ok(Look::Uncertain(error)),
                    Err(error) => Err(error),
                };
            }
        }
        Err(self.others_write(path))
    }

    /// Why a credential is not written now: an earlier write of it is unresolved.
    fn unresolved(&self, path: &CredentialPath) -> Option<ManagerError> {
        let left = self.shared.unresolved.left(path.as_path_ref());
        (!left.is_zero()).then(|| self.shared.unresolved_for(left, Operation::Store, path))
    }

    /// The error for a credential that never stayed unchanged for long enough.
    pub(super) fn others_write(&self, path: &CredentialPath) -> ManagerError {
        let error = StorageError::conflict("others kept writing it while it was resealed");
        self.shared.at(error, Operation::Store, path.clone()).into()
    }

    /// The error for a credential that was written and not confirmed: the reason does not prove
    /// that nothing has changed.
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
