//! Writes, and what stands in their way: names that deleted secrets hold.

use std::time::Duration;

use cred_core::{Description, PathRef, StorageError, StorageErrorKind, StorageResult};
use cred_provider_kit::{CredentialFile, Wire, limits};

use super::KeyVault;
use crate::AzureOverDeleted;
use crate::client::Draft;
use crate::error::Blocked;

/// The pauses between two looks at what Azure does in its own time.
pub(super) struct Pauses(Duration);

impl Pauses {
    const LONGEST: Duration = Duration::from_secs(2);

    pub(super) fn new() -> Self {
        Self(Duration::from_millis(200))
    }

    /// Waits for the next look.
    ///
    /// # Errors
    /// That the time is over, and what was waited for.
    pub(super) async fn wait(&mut self, wire: &Wire<'_>, what: Blocked) -> StorageResult<()> {
        let pause = self.0;
        self.0 = (pause * 2).min(Self::LONGEST);
        wire.pause(pause).await.map_err(|_| what.beneath(StorageError::busy(what.to_string())))
    }
}

/// What a store did to a deleted secret.
enum Recovery {
    NotBegun,
    /// The old value may be readable. With the address of the version that came back, where that is
    /// known.
    Begun(Option<String>),
}

/// What came of a deletion.
enum Tried {
    Deleted,
    /// A recovery is still going: try again.
    Recovering,
}

impl KeyVault {
    /// The secret of a credential, if it fits.
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

    /// Writes whatever is there, and whatever was deleted there.
    pub(super) async fn store(&self, wire: &mut Wire<'_>, name: &str, draft: &Draft) -> StorageResult<()> {
        let mut recovery = Recovery::NotBegun;
        let written = self.written(wire, name, draft, &mut recovery).await;
        match (written, recovery) {
            (Err(error), Recovery::Begun(old)) => self.withdraw(wire, name, draft, old, error).await,
            (answer, _) => answer,
        }
    }

    /// Tries until the name is free.
    async fn written(
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
                    // What must be done if the write fails.
                    wire.hold_back(self.write_timeout);
                    self.begin_recovery(wire, name, recovery).await?;
                }
                (Some(Blocked::Deleted), AzureOverDeleted::Purge) => {
                    let doubted = wire.in_doubt();
                    self.purge_secret(wire, name).await?;
                    if !doubted {
                        // It only made room.
                        wire.settle();
                    }
                }
                (Some(Blocked::Deleted), AzureOverDeleted::Refuse) => {
                    return Err(StorageError::invalid_request(
                        "a deleted secret holds the name; recover or purge it, or set `over_deleted`",
                    ));
                }
                (Some(what @ (Blocked::BeingDeleted | Blocked::BeingRecovered)), _) => {
                    pauses.wait(wire, what).await?;
                }
                (Some(Blocked::Disabled) | None, _) => return Err(error),
            }
        }
    }

    /// Recovers a deleted secret to be written over. It counts as recovered unless Azure says that
    /// it is not.
    async fn begin_recovery(
        &self,
        wire: &mut Wire<'_>,
        name: &str,
        recovery: &mut Recovery,
    ) -> StorageResult<()> {
        let doubted = wire.in_doubt();
        match wire.write(|_| self.client.recover(name)).await {
            Ok(old) => {
                *recovery = Recovery::Begun(old);
                Ok(())
            }
            // Somebody else was quicker, this way or that, or an attempt that lost its answer: the
            // write finds out.
            Err(error) if error.is_not_found() || Blocked::of(&error).is_some() => {
                if wire.in_doubt() && !doubted {
                    *recovery = Recovery::Begun(None);
                }
                Ok(())
            }
            Err(error) => {
                if error.may_have_written() || wire.in_doubt() {
                    *recovery = Recovery::Begun(None);
                }
                Err(error)
            }
        }
    }

    /// The write failed after a recovery: deletes the secret again, as well as that can be done. It
    /// looks before each attempt: its own value was written after all, and another version than the
    /// recovered one is somebody else's and stays. Azure has no conditional deletion, so that who
    /// writes between look and deletion loses it; what cannot be told apart is deleted, since it
    /// was before.
    async fn withdraw(
        &self,
        wire: &mut Wire<'_>,
        name: &str,
        draft: &Draft,
        old: Option<String>,
        error: StorageError,
    ) -> StorageResult<()> {
        let mut pauses = Pauses::new();
        let what_became = loop {
            // The look must leave time to delete.
            wire.hold_back(self.write_timeout);
            let now = wire.read(|_| self.client.get(name)).await;
            wire.hold_back(Duration::ZERO);
            match now {
                Ok(now) if now.value == draft.value => return Ok(()),
                Ok(now) if old.is_some() && now.id != old => return Err(error),
                _ => {}
            }
            match self.try_to_delete(wire, name).await {
                Ok(Tried::Deleted) => break "it was deleted again",
                Ok(Tried::Recovering) if pauses.wait(wire, Blocked::BeingRecovered).await.is_ok() => {}
                Ok(Tried::Recovering) | Err(_) => break "and could not be deleted again",
            }
        };
        let reason = format!("{what_became}: {}", error.kind());
        Err(error.with_kind(StorageErrorKind::RecoveredNotWritten { reason: reason.into() }))
    }

    /// Deletes, after a recovery that is still going.
    pub(super) async fn delete_secret(&self, wire: &mut Wire<'_>, name: &str) -> StorageResult<()> {
        let mut pauses = Pauses::new();
        while let Tried::Recovering = self.try_to_delete(wire, name).await? {
            pauses.wait(wire, Blocked::BeingRecovered).await?;
        }
        Ok(())
    }

    /// Deletes, unless a recovery is still going. A deletion that is still going is one.
    async fn try_to_delete(&self, wire: &mut Wire<'_>, name: &str) -> StorageResult<Tried> {
        let error = match wire.write(|_| self.client.delete(name)).await {
            Ok(()) => return Ok(Tried::Deleted),
            Err(error) => error,
        };
        match Blocked::of(&error) {
            Some(Blocked::Deleted | Blocked::BeingDeleted) => Ok(Tried::Deleted),
            Some(Blocked::BeingRecovered) => Ok(Tried::Recovering),
            Some(Blocked::Disabled) | None if error.is_not_found() => Ok(Tried::Deleted),
            Some(Blocked::Disabled) | None => Err(error),
        }
    }
}
