//! Resealing one credential.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use cred_core::{CredentialPath, Operation, StorageError};
use futures_util::FutureExt as _;

use crate::conditional::{CONFLICT_RETRIES, is_conflict};
use crate::visibility::Writer;
use crate::{CredentialManager, ManagerError};

/// The mode of an attempt on a credential under another key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Reseals it.
    Write,
    /// Opens every credential, and writes nothing.
    DryRun,
    /// Reads only.
    Read,
}

/// The result of one attempt on a credential.
#[derive(Debug)]
pub(super) enum Attempt {
    /// It is resealed under the active key; in a dry run, it would be.
    Resealed,
    /// It was written without compare-and-set: only a later read shows whether another process
    /// wrote it at the same time.
    Written,
    /// It was written without compare-and-set, and the outcome is unknown: the write may still take
    /// effect.
    Uncertain(ManagerError),
    /// It was under the active key already.
    Current,
    /// It is under another key, and this attempt only reads.
    Outdated,
    NotFound,
    /// It cannot be written now, for this temporary reason.
    Deferred(ManagerError),
}

impl CredentialManager {
    /// Makes one attempt on a credential. Does not wait for unresolved writes.
    pub(super) async fn attempt(&self, path: &CredentialPath, mode: Mode) -> Result<Attempt, ManagerError> {
        let attempt = AssertUnwindSafe(async {
            match mode {
                Mode::Read => self.read_back(path).await,
                Mode::Write => self.reseal(path, false).await,
                Mode::DryRun => self.reseal(path, true).await,
            }
        });
        // Writes run in tasks, which catch their own panics, so a read or the sealer panicked.
        attempt.catch_unwind().await.unwrap_or_else(|_| {
            let error = StorageError::other("the provider or the sealer panicked");
            Err(self.shared.at(error, Operation::Retrieve, path.clone()).into())
        })
    }

    async fn read_back(&self, path: &CredentialPath) -> Result<Attempt, ManagerError> {
        let shared = &self.shared;
        shared.tasks.refuse_when_closed()?;
        Ok(match shared.fetch_with_revision(path).await? {
            None => Attempt::NotFound,
            Some((stored, _)) if shared.sealing.is_current(&stored.data) => Attempt::Current,
            Some(_) => Attempt::Outdated,
        })
    }

    /// Reseals a credential if it is under another key.
    async fn reseal(&self, path: &CredentialPath, dry_run: bool) -> Result<Attempt, ManagerError> {
        let shared = &self.shared;
        shared.tasks.refuse_when_closed()?;
        // Checked before the read: a write that is resolved now is visible to the read.
        let unresolved = self.unresolved(path);
        let mut seen = shared.fetch_with_revision(path).await?;
        for _ in 0..=CONFLICT_RETRIES {
            let Some((stored, revision)) = seen else { return Ok(Attempt::NotFound) };
            if shared.sealing.is_current(&stored.data) {
                if dry_run {
                    // It may be under another key with the same name.
                    shared.sealing.open(path.as_path_ref(), &stored).await?;
                }
                return Ok(Attempt::Current);
            }
            if let Some(why) = unresolved {
                return Ok(Attempt::Deferred(why));
            }
            // Before the lock is taken, so that other writers only wait for calls of the provider.
            let fresh = shared.sealing.reseal(path.as_path_ref(), &stored).await?;
            if dry_run {
                return Ok(Attempt::Resealed);
            }
            let lock = match shared.write_lock(Operation::Store, path).await {
                Ok(lock) => Arc::new(lock),
                Err(busy) => return Ok(Attempt::Deferred(busy)),
            };
            if revision.is_some() {
                match shared.replace(Writer::Rekey, path, &lock, revision, fresh).await {
                    Ok(_) => return Ok(Attempt::Resealed),
                    Err(error) if is_conflict(&error) => {}
                    Err(error) => return Err(error),
                }
                drop(lock);
                seen = shared.fetch_with_revision(path).await?;
                continue;
            }
            if let Some(why) = self.unresolved(path) {
                return Ok(Attempt::Deferred(why));
            }
            seen = shared.fetch_with_revision(path).await?;
            if seen.as_ref().is_some_and(|(again, _)| *again == stored) {
                return match shared.replace(Writer::Rekey, path, &lock, None, fresh).await {
                    Ok(_) => Ok(Attempt::Written),
                    Err(error) if error.may_have_written() => Ok(Attempt::Uncertain(error)),
                    Err(error) => Err(error),
                };
            }
        }
        Err(self.conflict_error(path))
    }

    /// The reason why a credential is not written now: an earlier write of it is unresolved.
    fn unresolved(&self, path: &CredentialPath) -> Option<ManagerError> {
        let left = self.shared.unresolved.left(path.as_path_ref());
        (!left.is_zero()).then(|| self.shared.unresolved_error(left, Operation::Store, path))
    }

    /// The error for a credential that other processes changed during every attempt.
    pub(super) fn conflict_error(&self, path: &CredentialPath) -> ManagerError {
        let error = StorageError::conflict("other processes kept changing it while it was resealed");
        self.shared.at(error, Operation::Store, path.clone()).into()
    }

    /// The error for a credential that was written and not confirmed. `error` alone would not show
    /// that it may have changed.
    pub(super) fn unconfirmed_error(&self, path: &CredentialPath, error: ManagerError) -> ManagerError {
        if error.may_have_written() {
            return error;
        }
        let uncertain = StorageError::in_doubt("it was resealed, but could not be read back");
        self.shared
            .at(uncertain.with_source(Arc::new(error) as Arc<_>), Operation::Store, path.clone())
            .into()
    }
}
