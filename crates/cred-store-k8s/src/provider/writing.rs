//! Writes: each on the condition that nobody else was quicker, so that an attempt which lands late undoes nothing newer.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use cred_core::{CredentialMetadata, EncryptedData, PathRef, Revision, StorageError};
use cred_provider_kit::{CredentialFile, Wire, limits};

use super::Inner;
use crate::client::{self, Deleted, Metadata, Written};
use crate::error::{immutable, in_the_way};
use crate::marks::Marked;

/// The longest pause before a write looks anew at what another one has changed.
const LONGEST_PAUSE_MS: u64 = 20;

/// A credential as its secret is to be.
pub(super) struct Draft {
    name: String,
    envelope: Vec<u8>,
    /// The same, as it goes into a request.
    encoded: String,
    marked: Marked,
}

/// What lies under a credential's name.
enum Occupant {
    Nobody,
    Ours(Metadata),
}

impl Draft {
    /// The credential, if it fits.
    pub(super) fn new(
        inner: &Inner,
        path: PathRef<'_>,
        data: EncryptedData,
        metadata: CredentialMetadata,
    ) -> Result<Self, StorageError> {
        limits::check_tags(&inner.description.limits, &metadata)?;
        let marked = inner.marks.of(path, &metadata)?;
        let envelope = CredentialFile::new(data, metadata).encode()?;
        limits::check_payload_len(&inner.description.limits, envelope.len())?;
        let encoded = BASE64_STANDARD.encode(&envelope);
        Ok(Self { name: inner.marks.name(path), envelope, encoded, marked })
    }
}

impl Inner {
    /// Writes whatever is there.
    pub(super) async fn store(
        &self,
        wire: &mut Wire<'_>,
        path: PathRef<'_>,
        draft: &Draft,
    ) -> Result<(), StorageError> {
        // Once an immutable secret is deleted, something has been done, whatever follows.
        let mut taken_away = false;
        loop {
            let seen = self.look(wire, path, "update").await?;
            let written = match &seen {
                Occupant::Nobody => self.write_new(wire, draft).await?,
                Occupant::Ours(seen) => self.write_over(wire, draft, seen).await?,
            };
            match (written, seen) {
                (Written::Done(_), _) => return Ok(()),
                (Written::Immutable, Occupant::Ours(seen)) if self.replace_immutable => {
                    taken_away |= self.take_away(wire, &seen).await?;
                }
                (Written::Immutable, _) => {
                    nothing_done(wire);
                    return Err(immutable(&self.client.place("update", Some(&draft.name))));
                }
                (Written::Exists | Written::Changed, _) => {
                    if !taken_away {
                        nothing_done(wire);
                    }
                    self.give_way(wire).await?;
                }
            }
        }
    }

    /// Writes over exactly the expected revision.
    pub(super) async fn replace(
        &self,
        wire: &mut Wire<'_>,
        path: PathRef<'_>,
        draft: &Draft,
        expected: &Revision,
    ) -> Result<Revision, StorageError> {
        let seen = match self.look(wire, path, "update").await? {
            Occupant::Ours(seen) if seen.identity.version() == expected.as_str() => seen,
            Occupant::Ours(_) => return Err(StorageError::conflict("another revision is stored")),
            Occupant::Nobody => return Err(StorageError::conflict("nothing is stored there any more")),
        };
        match self.write_over(wire, draft, &seen).await? {
            Written::Done(version) => Ok(Revision::new(version)),
            Written::Immutable if self.replace_immutable => {
                if !self.take_away(wire, &seen).await? {
                    return Err(StorageError::conflict("it was changed or deleted while it was replaced"));
                }
                match self.write_new(wire, draft).await? {
                    Written::Done(version) => Ok(Revision::new(version)),
                    _ => Err(StorageError::conflict("it was stored by somebody else while it was replaced")),
                }
            }
            Written::Immutable => {
                nothing_done(wire);
                Err(immutable(&self.client.place("update", Some(&draft.name))))
            }
            Written::Exists | Written::Changed => {
                if let Some(revision) = self.ours_after_all(wire, path, draft).await? {
                    return Ok(revision);
                }
                // An attempt without an answer may have been what another one has written over since.
                nothing_done(wire);
                Err(StorageError::conflict("another revision is stored"))
            }
        }
    }

    /// Writes only where nothing is stored.
    pub(super) async fn create(
        &self,
        wire: &mut Wire<'_>,
        path: PathRef<'_>,
        draft: &Draft,
    ) -> Result<Revision, StorageError> {
        if let Written::Done(version) = self.write_new(wire, draft).await? {
            return Ok(Revision::new(version));
        }
        if let Some(revision) = self.ours_after_all(wire, path, draft).await? {
            return Ok(revision);
        }
        // An attempt without an answer may still land once what is there is deleted: it stays in doubt.
        nothing_done(wire);
        match self.look(wire, path, "create").await? {
            Occupant::Ours(_) => Err(StorageError::conflict("something is stored there already")),
            Occupant::Nobody => {
                Err(StorageError::conflict("it was stored and deleted by somebody else meanwhile"))
            }
        }
    }

    /// Deletes what was seen; where that was changed meanwhile, looks anew.
    pub(super) async fn delete(&self, wire: &mut Wire<'_>, path: PathRef<'_>) -> Result<(), StorageError> {
        let name = &self.marks.name(path);
        loop {
            let seen = wire.read(|_| self.client.look(name)).await?;
            let Some(seen) = seen.filter(|seen| self.is_live(&seen.identity, path)) else { return Ok(()) };
            match wire.write(|_| self.client.delete(&seen.identity)).await? {
                Deleted::Done | Deleted::Gone => return Ok(()),
                Deleted::Changed => {
                    nothing_done(wire);
                    self.give_way(wire).await?;
                }
            }
        }
    }

    /// What lies under a credential's name; somebody else's secret is never touched.
    async fn look(
        &self,
        wire: &mut Wire<'_>,
        path: PathRef<'_>,
        verb: &'static str,
    ) -> Result<Occupant, StorageError> {
        let name = &self.marks.name(path);
        match wire.read(|_| self.client.look(name)).await? {
            None => Ok(Occupant::Nobody),
            Some(seen) if !self.marks.owns(&seen.identity, path) => {
                Err(in_the_way(&self.client.place(verb, Some(name))))
            }
            // What is written into it would go with it.
            Some(seen) if seen.identity.is_terminating() => Err(StorageError::busy(
                "its secret was deleted and stays until others have taken their finalizers from it",
            )),
            Some(seen) => Ok(Occupant::Ours(seen)),
        }
    }

    async fn write_new(&self, wire: &mut Wire<'_>, draft: &Draft) -> Result<Written, StorageError> {
        let body = client::created(&draft.name, &draft.marked, &draft.encoded)?;
        wire.write(|_| self.client.create(&draft.name, body.clone())).await
    }

    async fn write_over(
        &self,
        wire: &mut Wire<'_>,
        draft: &Draft,
        seen: &Metadata,
    ) -> Result<Written, StorageError> {
        let body = client::replaced(seen, &draft.marked, &draft.encoded)?;
        wire.write(|_| self.client.replace(&draft.name, body.clone())).await
    }

    /// Deletes an immutable secret, so that it can be created anew. From here on the credential is gone until that is done.
    /// False: somebody else was quicker to change or delete it.
    async fn take_away(&self, wire: &mut Wire<'_>, seen: &Metadata) -> Result<bool, StorageError> {
        nothing_done(wire);
        let deleted = wire.write(|_| self.client.delete(&seen.identity)).await?;
        if deleted != Deleted::Done {
            nothing_done(wire);
        }
        Ok(deleted == Deleted::Done)
    }

    /// Where an attempt of this write may have landed, whether what is stored is its own.
    async fn ours_after_all(
        &self,
        wire: &mut Wire<'_>,
        path: PathRef<'_>,
        draft: &Draft,
    ) -> Result<Option<Revision>, StorageError> {
        if !wire.in_doubt() {
            return Ok(None);
        }
        let found = self.found(wire, path).await?;
        let ours = found.filter(|secret| secret.envelope.as_ref() == Some(&draft.envelope));
        Ok(ours.map(|secret| Revision::new(secret.identity.version())))
    }

    /// Lets others finish.
    async fn give_way(&self, wire: &mut Wire<'_>) -> Result<(), StorageError> {
        wire.pause(Duration::from_millis(fastrand::u64(1..=LONGEST_PAUSE_MS))).await
    }
}

/// A condition that did not hold is an answer to the executor, and yet no write; unless an attempt got no answer.
fn nothing_done(wire: &mut Wire<'_>) {
    if !wire.in_doubt() {
        wire.settle();
    }
}
