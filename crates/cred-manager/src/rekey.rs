//! Sealing a whole tree under the active key.

use std::sync::Arc;

use cred_core::{CredentialPath, Operation, StorageError, Stored};

use crate::conditional::{CONFLICT_RETRIES, is_conflict};
use crate::observe::{observe_as, outcome, outcome_of_parts};
use crate::visibility::Writer;
use crate::write_lock::WriteLock;
use crate::{CredentialManager, ManagerError};

/// How a re-key went, or how it goes so far. Of each credential found it tells one thing.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct RekeyReport {
    /// Credentials found when it began.
    pub found: usize,
    /// Sealed anew under the active key; in a dry run, those that would be.
    pub resealed: usize,
    /// Under the active key already.
    pub current: usize,
    /// Deleted by somebody since it began.
    pub gone: usize,
    /// Not known to be under the active key, with the reason. They are as they were, unless
    /// [`ManagerError::may_have_written`] says that they may be sealed anew already. Call it again for them.
    pub failed: Vec<(CredentialPath, ManagerError)>,
}

impl RekeyReport {
    /// Whether every credential that was found is under the active key now, or gone. Of a dry run it says that they
    /// would be.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.failed.is_empty() && self.done() == self.found
    }

    /// Credentials of which something is known by now.
    #[must_use]
    pub fn done(&self) -> usize {
        self.resealed + self.current + self.gone + self.failed.len()
    }
}

/// What became of one credential.
enum Resealed {
    Anew,
    /// Sealed anew without compare-and-set: that nobody wrote over it at the same moment, only a later look shows.
    Unseen,
    NotNeeded,
    Gone,
}

impl CredentialManager {
    /// Seals every credential of this handle's scope and below it under the active key, with nothing inside changed;
    /// for the root, everything.
    ///
    /// Resumable: what is under the active key already is left alone, so that after a failure, a kill or a dropped
    /// future it is simply called again. With `dry_run` nothing is written, but everything is opened, so that a missing
    /// key shows, and a wrong one. `progress` is called after each credential.
    ///
    /// Concurrent writers lose nothing: where the provider has compare-and-set, a credential is replaced only if it is
    /// still the one that was read. Elsewhere this manager's own writers wait for their turn, the credential is read
    /// again just before the write and compared; another process that writes between that last read and the write is
    /// overwritten by the value before it. Stop other writers there. When all are written, each of them is read back, and
    /// sealed anew once more where somebody has written it under another key since: `resealed` is final with the report
    /// that is returned. Over an eventually consistent provider a read first waits until this manager's last write of the
    /// credential shows ([`Consistency::point`](cred_core::Consistency)): once for all that are read back, and before that for
    /// what was written just before; on AWS that is five minutes by default. What other processes wrote shortly before is not seen there.
    ///
    /// One listing, then two calls of the provider for each credential to be sealed (four without compare-and-set) and
    /// one for each other, one credential after another.
    ///
    /// # Errors
    /// If the tree cannot be listed. What fails of one credential is in the report, and the others go on.
    ///
    /// # Cancellation
    /// Dropping the future begins no further credential.
    pub async fn rekey(
        &self,
        dry_run: bool,
        mut progress: impl FnMut(&RekeyReport) + Send,
    ) -> Result<RekeyReport, ManagerError> {
        let work = async {
            let paths = self.list_tree().await?;
            let mut report = RekeyReport { found: paths.len(), ..RekeyReport::default() };
            let mut unseen = Vec::new();
            for path in paths {
                match self.reseal(&path, dry_run).await {
                    Ok(Resealed::Anew) => report.resealed += 1,
                    Ok(Resealed::Unseen) => {
                        report.resealed += 1;
                        unseen.push(path);
                    }
                    Ok(Resealed::NotNeeded) => report.current += 1,
                    Ok(Resealed::Gone) => report.gone += 1,
                    Err(error) => report.failed.push((path, error)),
                }
                progress(&report);
            }
            for (path, error) in self.look_back(unseen).await {
                report.resealed -= 1;
                report.failed.push((path, error));
            }
            Ok(report)
        };
        observe_as("rekey", self.scope(), None, work, |result| match result {
            Ok(report) => {
                (outcome_of_parts(report.found, report.failed.iter().map(|(_, error)| error)), None)
            }
            failed => outcome(failed),
        })
        .await
    }

    /// Reads what was sealed anew, and seals again what others wrote over it meanwhile. Gives those of which nothing good is known.
    async fn look_back(&self, mut unseen: Vec<CredentialPath>) -> Vec<(CredentialPath, ManagerError)> {
        let mut failed = Vec::new();
        for _ in 0..=CONFLICT_RETRIES {
            for path in std::mem::take(&mut unseen) {
                match self.reseal(&path, false).await {
                    Ok(Resealed::Anew | Resealed::NotNeeded | Resealed::Gone) => {}
                    Ok(Resealed::Unseen) => unseen.push(path),
                    Err(error) => {
                        let error = self.doubted(&path, error);
                        failed.push((path, error));
                    }
                }
            }
        }
        let busy = unseen.into_iter().map(|path| {
            let error = self.doubted(&path, self.others_write(&path));
            (path, error)
        });
        failed.extend(busy);
        failed
    }

    async fn reseal(&self, path: &CredentialPath, dry_run: bool) -> Result<Resealed, ManagerError> {
        let turn = Arc::new(self.settled_turn(path).await?);
        for _ in 0..=CONFLICT_RETRIES {
            let Some((stored, revision)) = self.shared.fetch_with_revision(path).await? else {
                return Ok(Resealed::Gone);
            };
            if self.shared.sealing.is_current(&stored.0) {
                if dry_run {
                    // It may be under another key of the same name.
                    self.shared.sealing.open(path.as_ref(), &stored).await?;
                }
                return Ok(Resealed::NotNeeded);
            }
            let fresh = self.shared.sealing.reseal(path.as_ref(), &stored).await?;
            if dry_run {
                return Ok(Resealed::Anew);
            }
            let done = if revision.is_some() { Resealed::Anew } else { Resealed::Unseen };
            if revision.is_some() || self.is_still(path, &stored).await? {
                match self.shared.replace_as(Writer::Rekey, path, &turn, revision, fresh).await {
                    Ok(()) => return Ok(done),
                    Err(error) if is_conflict(&error) => {}
                    Err(error) => return Err(error),
                }
            }
            // Somebody else wrote in between: theirs is what is to be looked at now.
        }
        Err(self.others_write(path))
    }

    /// The turn to write a path, when what this manager wrote there before shows: others do not wait for that with it.
    async fn settled_turn(&self, path: &CredentialPath) -> Result<WriteLock, ManagerError> {
        let mut tries = 0;
        loop {
            self.shared.tasks.refuse_when_closed()?;
            self.shared.unresolved.resolved(path.as_ref()).await;
            self.shared.tasks.refuse_when_closed()?;
            let turn = self.shared.write_lock(Operation::Store, path).await?;
            // Somebody may have written it since.
            if tries == CONFLICT_RETRIES || self.shared.unresolved.left(path.as_ref()).is_zero() {
                return Ok(turn);
            }
            tries += 1;
        }
    }

    fn others_write(&self, path: &CredentialPath) -> ManagerError {
        let error = StorageError::conflict("others kept writing it while it was sealed anew");
        self.shared.at(error, Operation::Store, path.clone()).into()
    }

    /// It was sealed anew before, so that a later failure is no proof that nothing has changed.
    fn doubted(&self, path: &CredentialPath, error: ManagerError) -> ManagerError {
        if error.may_have_written() {
            return error;
        }
        let doubt = StorageError::in_doubt("it was sealed anew, but what became of it could not be seen");
        self.shared.at(doubt.with_source(Arc::new(error) as Arc<_>), Operation::Store, path.clone()).into()
    }

    /// Whether what is stored under a path is still this.
    async fn is_still(&self, path: &CredentialPath, stored: &Stored) -> Result<bool, ManagerError> {
        self.shared.settled(Operation::Retrieve, path).await?;
        let ctx = path.scope.clone().into();
        Ok(self.shared.fetch_sealed(&path.id, &ctx).await?.as_ref() == Some(stored))
    }
}
