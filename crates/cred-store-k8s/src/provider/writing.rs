//! Writes. Each one is conditional on the version that was read, so that an attempt which arrives
//! late cannot undo a newer write.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use cred_core::{Description, PathRef, Revision, StorageError, StorageResult};
use cred_provider_kit::{CredentialFile, Wire};

use super::Kubernetes;
use crate::client::{self, SecretMetadata};
use crate::error::{FailureCause, WriteFailure, name_taken};
use crate::marks::SecretMarks;

/// The longest pause before a write that met another writer reads the Secret again.
const LONGEST_PAUSE_MS: u64 = 20;

/// The Secret to write for a credential.
pub(super) struct Draft<'a> {
    path: PathRef<'a>,
    name: String,
    envelope: Vec<u8>,
    /// The envelope in base64.
    encoded: String,
    marked: SecretMarks,
}

impl Kubernetes {
    /// Prepares the Secret of a credential. Fails if the credential is too large.
    pub(super) fn draft<'a>(
        &self,
        path: PathRef<'a>,
        file: &CredentialFile,
        description: &Description,
    ) -> StorageResult<Draft<'a>> {
        let marked = self.marks.for_credential(path, &file.metadata)?;
        let envelope = file.encode_within(description, path)?;
        let encoded = BASE64_STANDARD.encode(&envelope);
        Ok(Draft { path, name: self.marks.name(path), envelope, encoded, marked })
    }

    /// Writes unconditionally.
    pub(super) async fn store(&self, wire: &mut Wire<'_>, draft: &Draft<'_>) -> StorageResult<()> {
        loop {
            let seen = self.read_target(wire, draft, "update").await?;
            let written = match &seen {
                None => self.write_new(wire, draft).await,
                Some(seen) => self.write_update(wire, draft, seen).await,
            };
            match (written, seen) {
                (Err(failure), Some(seen)) if self.may_replace_immutable(&failure) => {
                    self.delete_immutable(wire, &seen).await?;
                }
                (Err(failure), _) if failure.cause == FailureCause::Changed => {
                    pause_before_retry(wire).await?
                }
                (written, _) => return written.map(drop).map_err(StorageError::from),
            }
        }
    }

    /// Replaces exactly the expected revision.
    pub(super) async fn replace(
        &self,
        wire: &mut Wire<'_>,
        draft: &Draft<'_>,
        expected: &Revision,
    ) -> StorageResult<Revision> {
        let seen = match self.read_target(wire, draft, "update").await? {
            Some(seen) if seen.identity.version() == expected.as_str() => seen,
            Some(_) => return Err(StorageError::conflict("another revision is stored")),
            None => return Err(StorageError::conflict("the credential no longer exists")),
        };
        match self.write_update(wire, draft, &seen).await {
            Err(failure) if self.may_replace_immutable(&failure) => {
                if !self.delete_immutable(wire, &seen).await? {
                    return Err(StorageError::conflict(
                        "another writer changed or deleted the credential while it was being replaced",
                    ));
                }
                match self.write_new(wire, draft).await {
                    Err(failure) if failure.cause == FailureCause::Changed => Err(StorageError::conflict(
                        "another writer stored the credential while it was being replaced",
                    )),
                    written => Ok(written?),
                }
            }
            // If an attempt got no response, the outcome stays unknown: another writer may have
            // read the value of that attempt, and replaced it since.
            Err(failure) if failure.cause == FailureCause::Changed => {
                self.own_revision_if_uncertain(wire, draft).await?.ok_or_else(|| failure.into())
            }
            written => Ok(written?),
        }
    }

    /// Writes only if the credential does not exist.
    pub(super) async fn create(&self, wire: &mut Wire<'_>, draft: &Draft<'_>) -> StorageResult<Revision> {
        let failure = match self.write_new(wire, draft).await {
            Err(failure) if failure.cause == FailureCause::Changed => failure,
            written => return Ok(written?),
        };
        if let Some(revision) = self.own_revision_if_uncertain(wire, draft).await? {
            return Ok(revision);
        }
        // If an attempt got no response, the outcome stays unknown: it may still take effect once
        // the existing Secret is deleted.
        match self.read_target(wire, draft, "create").await? {
            Some(_) => Err(failure.into()),
            None => Err(StorageError::conflict("another writer stored and deleted the credential meanwhile")),
        }
    }

    /// Deletes the version that was read; if that was changed meanwhile, reads and deletes again.
    pub(super) async fn remove(&self, wire: &mut Wire<'_>, path: PathRef<'_>) -> StorageResult<()> {
        while let Some(seen) = self.read_metadata(wire, path).await? {
            match wire.write(|_| self.client.delete(&seen.identity)).await {
                Err(failure) if failure.cause == FailureCause::Changed => pause_before_retry(wire).await?,
                Err(failure) if failure.cause == FailureCause::Gone => break,
                deleted => return Ok(deleted?),
            }
        }
        Ok(())
    }

    /// Reads the Secret that a write would replace. Fails if it belongs to another owner.
    async fn read_target(
        &self,
        wire: &mut Wire<'_>,
        draft: &Draft<'_>,
        verb: &'static str,
    ) -> StorageResult<Option<SecretMetadata>> {
        let seen = wire.read(|_| self.client.read_metadata(&draft.name)).await?;
        match &seen {
            Some(seen) if !self.marks.owns(&seen.identity, draft.path) => {
                Err(name_taken(&self.client.action(verb, Some(&draft.name))))
            }
            // A value that is written into it would be deleted with it.
            Some(seen) if seen.identity.is_terminating() => Err(StorageError::busy(
                "its Secret is being deleted and waits for finalizers of other owners; try again once it is gone",
            )),
            _ => Ok(seen),
        }
    }

    async fn write_new(&self, wire: &mut Wire<'_>, draft: &Draft<'_>) -> Result<Revision, WriteFailure> {
        let body = client::created(&draft.name, &draft.marked, &draft.encoded)?;
        wire.write(|_| self.client.create(&draft.name, body.clone())).await
    }

    async fn write_update(
        &self,
        wire: &mut Wire<'_>,
        draft: &Draft<'_>,
        seen: &SecretMetadata,
    ) -> Result<Revision, WriteFailure> {
        let body = client::replaced(seen, &draft.marked, &draft.encoded)?;
        wire.write(|_| self.client.replace(&draft.name, body.clone())).await
    }

    fn may_replace_immutable(&self, failure: &WriteFailure) -> bool {
        failure.cause == FailureCause::Immutable && self.replace_immutable
    }

    /// Deletes an immutable Secret, so that it can be created again. Until it is, the credential
    /// does not exist, so an error from here on leaves the outcome unknown. False: another writer
    /// has changed or deleted it first.
    async fn delete_immutable(&self, wire: &mut Wire<'_>, seen: &SecretMetadata) -> StorageResult<bool> {
        match wire.write(|_| self.client.delete(&seen.identity)).await {
            Err(failure) if matches!(failure.cause, FailureCause::Changed | FailureCause::Gone) => Ok(false),
            deleted => Ok(deleted.map(|()| true)?),
        }
    }

    /// Returns the stored revision if an earlier attempt of this write may have succeeded and its
    /// value is the stored one.
    async fn own_revision_if_uncertain(
        &self,
        wire: &mut Wire<'_>,
        draft: &Draft<'_>,
    ) -> StorageResult<Option<Revision>> {
        if !wire.outcome_unknown() {
            return Ok(None);
        }
        let found = self.read_secret(wire, draft.path).await?;
        let ours = found.filter(|secret| secret.envelope.as_ref() == Some(&draft.envelope));
        Ok(ours.map(|secret| secret.identity.revision()))
    }
}

/// Lets other writers finish.
async fn pause_before_retry(wire: &mut Wire<'_>) -> StorageResult<()> {
    wire.pause(Duration::from_millis(fastrand::u64(1..=LONGEST_PAUSE_MS))).await
}
