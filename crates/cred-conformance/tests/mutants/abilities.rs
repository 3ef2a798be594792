//! Compare-and-set and recovery of a flawed provider.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::Ordering;

use cred_core::{
    CompareAndSet, CredentialContext, CredentialId, CredentialMetadata, CredentialPath, EncryptedData,
    Operation, Revision, Sealed, SoftDelete, StorageError, StorageErrorKind, StorageProvider, Target,
    Versioned, async_trait,
};

use crate::bench::{Flawed, context, pause};
use crate::contents::apply_flaw;
use crate::flaw::Flaw;
use crate::naming::place_of;
use crate::provider::blank;

#[async_trait]
impl CompareAndSet for Flawed {
    async fn retrieve_versioned(
        &self,
        id: &CredentialId,
        ctx: &CredentialContext,
    ) -> Result<Versioned<Sealed>, StorageError> {
        let path = ctx.path(id).to_path();
        self.wait_for_stall(Operation::RetrieveVersioned, path.clone()).await?;
        let read = self.current(&place_of(self.flaw, &path)).await;
        let (Sealed { data, metadata }, revision) = match (read, self.flaw) {
            (Err(error), Some(Flaw::RevisionOfAbsentIsAConflict)) if error.is_not_found() => self
                .with_context(
                    Err(StorageError::conflict("nothing is stored")),
                    Operation::RetrieveVersioned,
                    &path,
                )?,
            (Err(error), Some(Flaw::RevisionReadDecodesCorrupted)) if !error.is_not_found() => {
                (blank(), Revision::new("0"))
            }
            (read, _) => self.with_context(read, Operation::RetrieveVersioned, &path)?,
        };
        let metadata =
            if self.is(Flaw::RevisionReadLosesData) { CredentialMetadata::default() } else { metadata };
        Ok(Versioned::new(Sealed { data, metadata }, revision))
    }

    async fn store_if(
        &self,
        id: &CredentialId,
        data: EncryptedData,
        metadata: CredentialMetadata,
        expected: Option<&Revision>,
        ctx: &CredentialContext,
    ) -> Result<Revision, StorageError> {
        let path = ctx.path(id).to_path();
        self.wait_for_stall_before_write(
            Operation::StoreIf,
            &path,
            Some(Sealed::new(data.clone(), metadata.clone())),
        )
        .await?;
        let result = self.swap(&path, Sealed { data, metadata }, expected).await;
        self.with_context(result, Operation::StoreIf, &path)
    }
}

impl Flawed {
    /// The stored value with its revision, as this provider reports it.
    async fn current(&self, place: &CredentialPath) -> Result<(Sealed, Revision), StorageError> {
        let cas = self.inner.compare_and_set().unwrap();
        let Versioned { value: stored, revision } =
            cas.retrieve_versioned(&place.id, &context(place)).await?;
        let revision = match self.flaw {
            Some(Flaw::RevisionIsAHashOfContents) => {
                let mut hasher = DefaultHasher::new();
                (&stored.data.ciphertext, &stored.data.salt, stored.metadata.created_at).hash(&mut hasher);
                Revision::new(hasher.finish().to_string())
            }
            Some(Flaw::RevisionsStartOverAfterDelete) => {
                let count = self.notes().revisions.get(place).copied().unwrap_or_default();
                Revision::new(count.to_string())
            }
            _ => revision,
        };
        Ok((stored, revision))
    }

    async fn swap(
        &self,
        path: &CredentialPath,
        given: Sealed,
        expected: Option<&Revision>,
    ) -> Result<Revision, StorageError> {
        let place = match self.flaw {
            Some(Flaw::SwapIgnoresTheScope) => CredentialPath::new(None, path.id.clone()),
            flaw => place_of(flaw, path),
        };
        self.notes().spelled.insert(place.clone(), path.clone());
        let mut stored = apply_flaw(self.flaw, given)?;
        let conflict = || StorageError::conflict("another revision is stored");
        let calls = self.shared.swaps.fetch_add(1, Ordering::SeqCst);
        let mut expected = expected;
        match self.flaw {
            Some(Flaw::SwapLosesMetadata) => {
                stored.metadata = CredentialMetadata::new(stored.metadata.created_at)
            }
            Some(Flaw::SwapAlwaysConflictsAtFirst) if calls == 0 => return Err(conflict()),
            Some(Flaw::SwapRefusesDeletedNames)
                if expected.is_none() && self.notes().deleted.contains_key(path) =>
            {
                return Err(conflict());
            }
            Some(Flaw::SwapIgnoresRevisions) => return self.force(&place, stored).await,
            Some(Flaw::SwapWithoutARevisionOverwrites) if expected.is_none() => {
                return self.force(&place, stored).await;
            }
            Some(Flaw::SwapCreatesWithARevision) if !self.has(&place).await? => expected = None,
            Some(
                Flaw::SwapChecksThenWrites
                | Flaw::RevisionIsAHashOfContents
                | Flaw::RevisionsStartOverAfterDelete,
            ) => {
                return self.compare_then_write(&place, stored, expected).await;
            }
            Some(Flaw::SwapLocksPerClient) => {
                let _alone = self.lock.lock().await;
                return self.compare_then_write(&place, stored, expected).await;
            }
            Some(Flaw::SwapsInParts) if expected.is_some() => {
                return self.compare_then_write(&place, stored, expected).await;
            }
            _ => {}
        }
        let cas = self.inner.compare_and_set().unwrap();
        let Sealed { data, metadata } = stored.clone();
        let result = cas.store_if(&place.id, data, metadata, expected, &context(&place)).await;
        match (result, self.flaw) {
            (Err(error), Some(Flaw::SwapConflictIsInvalid)) if is_conflict(&error) => {
                Err(StorageError::invalid_request("that revision is wrong"))
            }
            (Err(error), Some(Flaw::SwapWritesOnConflict)) if is_conflict(&error) => {
                self.put(&place, stored).await?;
                Err(error)
            }
            (Ok(_), Some(Flaw::SwapReturnsTheOldRevision)) => Ok(Revision::new("0")),
            (Err(error), Some(Flaw::OutageWritesAndReportsNoWrite))
                if matches!(error.kind(), StorageErrorKind::Unavailable { .. }) =>
            {
                Err(StorageErrorKind::Unreachable { reason: "down".into() }.into())
            }
            (result, _) => result,
        }
    }

    async fn force(&self, place: &CredentialPath, stored: Sealed) -> Result<Revision, StorageError> {
        *self.notes().revisions.entry(place.clone()).or_default() += 1;
        self.put(place, stored).await?;
        Ok(self.current(place).await?.1)
    }

    async fn compare_then_write(
        &self,
        place: &CredentialPath,
        stored: Sealed,
        expected: Option<&Revision>,
    ) -> Result<Revision, StorageError> {
        let current = match self.current(place).await {
            Ok((_, revision)) => Some(revision),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error),
        };
        if current.as_ref() != expected {
            return Err(StorageError::conflict("another revision is stored"));
        }
        if self.is(Flaw::SwapsInParts) {
            self.del(place).await?;
        }
        if matches!(
            self.flaw,
            Some(Flaw::SwapChecksThenWrites | Flaw::SwapLocksPerClient | Flaw::SwapsInParts)
        ) {
            pause().await;
        }
        self.force(place, stored).await
    }
}

fn is_conflict(error: &StorageError) -> bool {
    matches!(error.kind(), StorageErrorKind::Conflict { .. })
}

#[async_trait]
impl SoftDelete for Flawed {
    async fn recover(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<(), StorageError> {
        let path = ctx.path(id).to_path();
        self.wait_for_stall(Operation::Recover, path.clone()).await?;
        let result = self.recover_at(&path).await;
        self.with_context(result, Operation::Recover, &path)
    }

    async fn purge(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<(), StorageError> {
        let path = ctx.path(id).to_path();
        self.wait_for_stall(Operation::Purge, path.clone()).await?;
        let result = self.purge_at(&path).await;
        self.with_context(result, Operation::Purge, &path)
    }

    async fn list_deleted(&self, ctx: &CredentialContext) -> Result<Vec<CredentialId>, StorageError> {
        self.wait_for_stall(Operation::ListDeleted, Target::Scope(ctx.scope_id.clone())).await?;
        let soft = self.inner.soft_delete().unwrap();
        let mut ids = match soft.list_deleted(ctx).await {
            Err(_) if self.is(Flaw::OutageIsEmpty) => Vec::new(),
            ids => ids?,
        };
        match self.flaw {
            Some(Flaw::ListsDeletedFirstPage) => ids.truncate(8),
            Some(Flaw::ListsDeletedTwice) => ids.extend(ids.clone().into_iter().skip(1)),
            Some(Flaw::ListsDeletedOfAllScopes) => {
                ids = self.notes().deleted.keys().map(|path| path.id.clone()).collect();
            }
            Some(Flaw::KeepsDeletedNextToStored) => {
                let notes = self.notes();
                let kept = notes.deleted.keys().filter(|path| path.scope == ctx.scope_id);
                ids = kept.map(|path| path.id.clone()).collect();
            }
            _ => {}
        }
        Ok(ids)
    }
}

impl Flawed {
    async fn recover_at(&self, path: &CredentialPath) -> Result<(), StorageError> {
        let soft = self.inner.soft_delete().unwrap();
        let place = place_of(self.flaw, path);
        let (id, ctx) = (place.id.clone(), context(&place));
        match self.flaw {
            Some(Flaw::KeepsDeletedNextToStored) => {
                let kept = self.notes().deleted.remove(path).ok_or(StorageErrorKind::NotFound)?;
                return self.put(&place, kept).await;
            }
            Some(Flaw::RecoversInParts) => {
                let kept = self.notes().deleted.remove(path).ok_or(StorageErrorKind::NotFound)?;
                soft.purge(&id, &ctx).await?;
                pause().await;
                return self.put(&place, kept).await;
            }
            Some(Flaw::RecoveringALiveCredentialIsOk) => {
                return soft
                    .recover(&id, &ctx)
                    .await
                    .or_else(|error| if error.is_not_found() { Ok(()) } else { Err(error) });
            }
            Some(Flaw::RecoversInAllScopes) => {
                for other in self.deleted_namesakes(path) {
                    let _ = soft.recover(&other.id, &context(&other)).await;
                }
                return Ok(());
            }
            _ => soft.recover(&id, &ctx).await?,
        }
        match self.flaw {
            Some(Flaw::RecoversWithoutMetadata) => {
                let Sealed { data, metadata } = self.get(&place).await?;
                self.put(&place, Sealed::new(data, CredentialMetadata::new(metadata.created_at))).await
            }
            Some(Flaw::RecoversTheFirstVersion) => {
                let first = self.notes().first.get(&place).cloned();
                self.put(&place, first.unwrap_or_else(blank)).await
            }
            _ => Ok(()),
        }
    }

    async fn purge_at(&self, path: &CredentialPath) -> Result<(), StorageError> {
        let soft = self.inner.soft_delete().unwrap();
        let place = place_of(self.flaw, path);
        let (id, ctx) = (place.id.clone(), context(&place));
        match self.flaw {
            Some(Flaw::PurgesNothing) => return Ok(()),
            Some(Flaw::PurgesLiveCredentials) => self.del(&place).await?,
            Some(Flaw::PurgeOfAbsentIsNotFound) if !soft.list_deleted(&ctx).await?.contains(&id) => {
                return Err(StorageErrorKind::NotFound.into());
            }
            Some(Flaw::PurgesInAllScopes) => {
                for other in self.deleted_namesakes(path) {
                    soft.purge(&other.id, &context(&other)).await?;
                }
            }
            _ => {}
        }
        self.notes().deleted.remove(path);
        soft.purge(&id, &ctx).await
    }

    fn deleted_namesakes(&self, path: &CredentialPath) -> Vec<CredentialPath> {
        self.notes().deleted.keys().filter(|other| other.id == path.id).cloned().collect()
    }
}
