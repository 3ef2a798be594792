//! Writes and deletions, with names that belong to deleted secrets.

use std::time::Duration;

use cred_core::{Description, PathRef, StorageError, StorageErrorKind, StorageResult};
use cred_provider_kit::{CredentialFile, Wire, limits};

use super::KeyVault;
use crate::AzureOverDeleted;
use crate::client::Draft;
use crate::error::Blocked;

/// The pauses between two checks of a change that Azure makes in the background.
pub(super) struct Pauses(Duration);

impl Pauses {
    const LONGEST: Duration = Duration::from_secs(2);

    pub(super) fn new() -> Self {
        Self(Duration::from_millis(200))
    }

    /// Waits before the next check.
    ///
    /// # Errors
    /// `Busy` with the awaited change, if no time is left.
    pub(super) async fn wait(&mut self, wire: &Wire<'_>, blocked: Blocked) -> StorageResult<()> {
        let pause = self.0;
        self.0 = (pause * 2).min(Self::LONGEST);
        wire.pause(pause).await.map_err(|_| blocked.add_to(StorageError::busy(blocked.to_string())))
    }
}

/// Whether a store has recovered a deleted secret.
enum Recovery {
    NotStarted,
    /// The old value may be readable. Contains the address of the recovered version, if known.
    Started(Option<String>),
}

/// The result of an attempt to delete a secret.
enum Deletion {
    /// The secret is deleted, or its deletion is in progress.
    Deleted,
    /// A recovery is in progress: try again.
    RecoveryInProgress,
}

impl KeyVault {
    /// Creates the secret of a credential. Fails if it is too large.
    pub(super) fn draft(
        &self,
        path: PathRef<'_>,
        file: &CredentialFile,
        description: &Description,
    ) -> StorageResult<(String, Draft)> {
        let (name, tags) = self.naming.tagged(path, &file.metadata.tags)?;
        let expires = file
            .metadata
            .expires_at
            .map(|moment| i64::try_from(moment.as_unix_millis() / 1_000).unwrap_or(i64::MAX));
        let value = file.encode_text()?;
        limits::check_payload_len(description, path, value.len())?;
        Ok((name, Draft { value, tags, expires }))
    }

    /// Writes a secret, also over an existing or a deleted one.
    pub(super) async fn store(&self, wire: &mut Wire<'_>, name: &str, draft: &Draft) -> StorageResult<()> {
        let mut recovery = Recovery::NotStarted;
        let result = self.write_when_free(wire, name, draft, &mut recovery).await;
        match (result, recovery) {
            (Err(error), Recovery::Started(old)) => self.undo_recovery(wire, name, draft, old, error).await,
            (result, _) => result,
        }
    }

    /// Makes the name free if needed, and writes the secret.
    async fn write_when_free(
        &self,
        wire: &mut Wire<'_>,
        name: &str,
        draft: &Draft,
        recovery: &mut Recovery,
    ) -> StorageResult<()> {
        let mut pauses = Pauses::new();
        loop {
            let error = match wire.write(|_| self.client.set(name, draft)).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            match (Blocked::of(&error), self.over_deleted) {
                (Some(Blocked::Deleted), AzureOverDeleted::Recover) => {
                    // Reserves time for the deletion that follows if the write fails.
                    wire.hold_back(self.write_timeout);
                    self.start_recovery(wire, name, recovery).await?;
                }
                (Some(Blocked::Deleted), AzureOverDeleted::Purge) => {
                    let was_uncertain = wire.outcome_unknown();
                    self.purge_secret(wire, name).await?;
                    if !was_uncertain {
                        // The purge only prepared the write.
                        wire.mark_not_written();
                    }
                }
                (Some(Blocked::Deleted), AzureOverDeleted::Refuse) => {
                    return Err(StorageError::invalid_request(
                        "a deleted secret has this name; recover or purge it, or change `over_deleted`",
                    ));
                }
                (Some(blocked @ (Blocked::BeingDeleted | Blocked::BeingRecovered)), _) => {
                    pauses.wait(wire, blocked).await?;
                }
                (Some(Blocked::Disabled) | None, _) => return Err(error),
            }
        }
    }

    /// Recovers a deleted secret in order to overwrite it. It counts as recovered unless Azure
    /// reports that it is not.
    async fn start_recovery(
        &self,
        wire: &mut Wire<'_>,
        name: &str,
        recovery: &mut Recovery,
    ) -> StorageResult<()> {
        let was_uncertain = wire.outcome_unknown();
        match wire.write(|_| self.client.recover(name)).await {
            Ok(old) => {
                *recovery = Recovery::Started(old);
                Ok(())
            }
            // Another process recovered or purged it first, or an earlier attempt of this store did
            // and its response was lost. The next write attempt finds out.
            Err(error) if error.is_not_found() || Blocked::of(&error).is_some() => {
                if wire.outcome_unknown() && !was_uncertain {
                    *recovery = Recovery::Started(None);
                }
                Ok(())
            }
            Err(error) => {
                if error.may_have_written() || wire.outcome_unknown() {
                    *recovery = Recovery::Started(None);
                }
                Err(error)
            }
        }
    }

    /// Deletes the secret again after a recovery whose write failed.
    ///
    /// Reads the secret before each attempt to delete it:
    ///
    /// - If it has the new value, the write succeeded after all.
    /// - If it has another version than the recovered one, another process wrote it, and it stays.
    ///   A version that is written between the read and the deletion is lost, because Azure has no
    ///   conditional deletion.
    /// - Otherwise it is deleted, since it was deleted before.
    async fn undo_recovery(
        &self,
        wire: &mut Wire<'_>,
        name: &str,
        draft: &Draft,
        old: Option<String>,
        error: StorageError,
    ) -> StorageResult<()> {
        let mut pauses = Pauses::new();
        let deletion = loop {
            // The read must leave time for the deletion.
            wire.hold_back(self.write_timeout);
            let current = wire.read(|_| self.client.get(name)).await;
            wire.hold_back(Duration::ZERO);
            match current {
                Ok(current) if current.value == draft.value => return Ok(()),
                Ok(current) if old.is_some() && current.id != old => return Err(error),
                _ => {}
            }
            match self.try_to_delete(wire, name).await {
                Ok(Deletion::Deleted) => break "the secret was deleted again",
                Ok(Deletion::RecoveryInProgress)
                    if pauses.wait(wire, Blocked::BeingRecovered).await.is_ok() => {}
                Ok(Deletion::RecoveryInProgress) | Err(_) => break "the secret could not be deleted again",
            }
        };
        let reason = format!("{deletion}; the error of the write: {}", error.kind());
        Err(error.with_kind(StorageErrorKind::RecoveredNotWritten { reason: reason.into() }))
    }

    /// Deletes a secret, and waits for a recovery in progress.
    pub(super) async fn delete_secret(&self, wire: &mut Wire<'_>, name: &str) -> StorageResult<()> {
        let mut pauses = Pauses::new();
        while let Deletion::RecoveryInProgress = self.try_to_delete(wire, name).await? {
            pauses.wait(wire, Blocked::BeingRecovered).await?;
        }
        Ok(())
    }

    /// Deletes a secret unless a recovery is in progress. A deletion in progress is success.
    async fn try_to_delete(&self, wire: &mut Wire<'_>, name: &str) -> StorageResult<Deletion> {
        let error = match wire.write(|_| self.client.delete(name)).await {
            Ok(()) => return Ok(Deletion::Deleted),
            Err(error) => error,
        };
        match Blocked::of(&error) {
            Some(Blocked::Deleted | Blocked::BeingDeleted) => Ok(Deletion::Deleted),
            Some(Blocked::BeingRecovered) => Ok(Deletion::RecoveryInProgress),
            Some(Blocked::Disabled) | None if error.is_not_found() => Ok(Deletion::Deleted),
            Some(Blocked::Disabled) | None => Err(error),
        }
    }
}
