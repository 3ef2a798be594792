//! Writes: each on the condition that nobody else was quicker, so that an attempt which lands late
//! undoes nothing newer.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use cred_core::{Description, PathRef, Revision, StorageError, StorageResult};
use cred_provider_kit::{CredentialFile, Wire};

use super::Kubernetes;
use crate::client::{self, Metadata};
use crate::error::{Failure, Meaning, in_the_way};
use crate::marks::Marked;

/// The longest pause before a write looks anew at what another one has changed.
const LONGEST_PAUSE_MS: u64 = 20;

/// A credential as its secret is to be.
pub(super) struct Draft<'a> {
    path: PathRef<'a>,
    name: String,
    envelope: Vec<u8>,
    /// The same, as it goes into a request.
    encoded: String,
    marked: Marked,
}

impl Kubernetes {
    /// The credential, if it fits.
    pub(super) fn draft<'a>(
        &self,
        path: PathRef<'a>,
        file: &CredentialFile,
        description: &Description,
    ) -> StorageResult<Draft<'a>> {
        let marked = self.marks.of(path, &file.metadata)?;
        let envelope = file.encode_within(description, path)?;
        let encoded = BASE64_STANDARD.encode(&envelope);
        Ok(Draft { path, name: self.marks.name(path), envelope, encoded, marked })
    }

    /// Writes whatever is there.
    pub(super) async fn store(&self, wire: &mut Wire<'_>, draft: &Draft<'_>) -> StorageResult<()> {
        loop {
            let seen = self.look(wire, draft, "update").await?;
            let written = match &seen {
                None => self.write_new(wire, draft).await,
                Some(seen) => self.write_over(wire, draft, seen).await,
            };
            match (written, seen) {
                (Err(failure), Some(seen)) if self.may_take_away(&failure) => {
                    self.take_away(wire, &seen).await?;
                }
                (Err(failure), _) if failure.meaning == Meaning::Changed => give_way(wire).await?,
                (written, _) => return written.map(drop).map_err(StorageError::from),
            }
        }
    }

    /// Writes over exactly the expected revision.
    pub(super) async fn replace(
        &self,
        wire: &mut Wire<'_>,
        draft: &Draft<'_>,
        expected: &Revision,
    ) -> StorageResult<Revision> {
        let seen = match self.look(wire, draft, "update").await? {
            Some(seen) if seen.identity.version() == expected.as_str() => seen,
            Some(_) => return Err(StorageError::conflict("another revision is stored")),
            None => return Err(StorageError::conflict("nothing is stored there any more")),
        };
        match self.write_over(wire, draft, &seen).await {
            Err(failure) if self.may_take_away(&failure) => {
                if !self.take_away(wire, &seen).await? {
                    return Err(StorageError::conflict("it was changed or deleted while it was replaced"));
                }
                match self.write_new(wire, draft).await {
                    Err(failure) if failure.meaning == Meaning::Changed => {
                        Err(StorageError::conflict("it was stored by somebody else while it was replaced"))
                    }
                    written => Ok(written?),
                }
            }
            // Where an attempt had no answer, the outcome stays unknown: another writer may have
            // read what it wrote, and replaced it since.
            Err(failure) if failure.meaning == Meaning::Changed => {
                self.ours_after_all(wire, draft).await?.ok_or_else(|| failure.into())
            }
            written => Ok(written?),
        }
    }

    /// Writes only where nothing is stored.
    pub(super) async fn create(&self, wire: &mut Wire<'_>, draft: &Draft<'_>) -> StorageResult<Revision> {
        let failure = match self.write_new(wire, draft).await {
            Err(failure) if failure.meaning == Meaning::Changed => failure,
            written => return Ok(written?),
        };
        if let Some(revision) = self.ours_after_all(wire, draft).await? {
            return Ok(revision);
        }
        // Where an attempt had no answer, the outcome stays unknown: it may still land once what is
        // stored is deleted.
        match self.look(wire, draft, "create").await? {
            Some(_) => Err(failure.into()),
            None => Err(StorageError::conflict("it was stored and deleted by somebody else meanwhile")),
        }
    }

    /// Deletes what was seen; where that was changed meanwhile, looks again.
    pub(super) async fn remove(&self, wire: &mut Wire<'_>, path: PathRef<'_>) -> StorageResult<()> {
        while let Some(seen) = self.seen(wire, path).await? {
            match wire.write(|_| self.client.delete(&seen.identity)).await {
                Err(failure) if failure.meaning == Meaning::Changed => give_way(wire).await?,
                Err(failure) if failure.meaning == Meaning::Gone => break,
                deleted => return Ok(deleted?),
            }
        }
        Ok(())
    }

    /// The secret under a credential's name; one of another owner is never touched.
    async fn look(
        &self,
        wire: &mut Wire<'_>,
        draft: &Draft<'_>,
        verb: &'static str,
    ) -> StorageResult<Option<Metadata>> {
        let seen = wire.read(|_| self.client.look(&draft.name)).await?;
        match &seen {
            Some(seen) if !self.marks.owns(&seen.identity, draft.path) => {
                Err(in_the_way(&self.client.place(verb, Some(&draft.name))))
            }
            // What is written into it would go with it.
            Some(seen) if seen.identity.is_terminating() => Err(StorageError::busy(
                "its secret was deleted and stays until others have taken their finalizers from it",
            )),
            _ => Ok(seen),
        }
    }

    async fn write_new(&self, wire: &mut Wire<'_>, draft: &Draft<'_>) -> Result<Revision, Failure> {
        let body = client::created(&draft.name, &draft.marked, &draft.encoded)?;
        wire.write(|_| self.client.create(&draft.name, body.clone())).await
    }

    async fn write_over(
        &self,
        wire: &mut Wire<'_>,
        draft: &Draft<'_>,
        seen: &Metadata,
    ) -> Result<Revision, Failure> {
        let body = client::replaced(seen, &draft.marked, &draft.encoded)?;
        wire.write(|_| self.client.replace(&draft.name, body.clone())).await
    }

    fn may_take_away(&self, failure: &Failure) -> bool {
        failure.meaning == Meaning::Immutable && self.replace_immutable
    }

    /// Deletes an immutable secret, so that it can be created again. Until that is done, the
    /// credential does not exist, so an error from here on leaves the outcome unknown. False:
    /// another writer has changed or deleted it first.
    async fn take_away(&self, wire: &mut Wire<'_>, seen: &Metadata) -> StorageResult<bool> {
        match wire.write(|_| self.client.delete(&seen.identity)).await {
            Err(failure) if matches!(failure.meaning, Meaning::Changed | Meaning::Gone) => Ok(false),
            deleted => Ok(deleted.map(|()| true)?),
        }
    }

    /// Where an attempt of this write may have landed, whether what is stored is its own.
    async fn ours_after_all(
        &self,
        wire: &mut Wire<'_>,
        draft: &Draft<'_>,
    ) -> StorageResult<Option<Revision>> {
        if !wire.in_doubt() {
            return Ok(None);
        }
        let found = self.found(wire, draft.path).await?;
        let ours = found.filter(|secret| secret.envelope.as_ref() == Some(&draft.envelope));
        Ok(ours.map(|secret| secret.identity.revision()))
    }
}

/// Lets others finish.
async fn give_way(wire: &mut Wire<'_>) -> StorageResult<()> {
    wire.pause(Duration::from_millis(fastrand::u64(1..=LONGEST_PAUSE_MS))).await
}
