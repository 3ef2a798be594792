//! Replacing a credential by a fresh one that carries its history on.

use std::sync::Arc;

use cred_core::{
    Credential, CredentialId, CredentialPath, Lifecycle, Operation, Revision, StorageError, StorageErrorKind,
    StorageProvider, Stored, Timestamp,
};

use crate::observe::observe;
use crate::shared::Shared;
use crate::turns::Turn;
use crate::{CredentialManager, ManagerError};

/// How often a conditional write is tried again after somebody else wrote in between.
pub(crate) const CONFLICT_RETRIES: usize = 5;

impl CredentialManager {
    /// Replaces a stored credential by a fresh one: creation time and fields of newer writers are carried on, the version
    /// goes up by one. Tags, expiry and policy are those of the fresh one. Two calls of the provider.
    ///
    /// Where the provider has compare-and-set, rotations by several managers at once each get a version of their own;
    /// elsewhere only those of this manager do. Over an eventually consistent provider it first waits until this manager's
    /// last write of the credential shows ([`Consistency::point`](cred_core::Consistency)).
    ///
    /// # Errors
    /// [`NotFound`](StorageErrorKind::NotFound) if nothing is stored; [`ManagerError::Seal`] if what is stored does not
    /// open (a plain [`store`](Self::store) replaces it); [`Conflict`](StorageErrorKind::Conflict) if others kept
    /// writing in between. Else as [`store`](Self::store).
    ///
    /// # Cancellation
    /// As [`store`](Self::store).
    pub async fn rotate(&self, id: &CredentialId, credential: Credential) -> Result<Lifecycle, ManagerError> {
        observe("rotate", self.scope(), Some(id), async {
            let shared = &self.shared;
            shared.tasks.refuse_when_closed()?;
            let path = self.path(id).to_owned();
            let turn = Arc::new(shared.turn(Operation::Store, &path).await?);
            let mut conflicts = 0;
            loop {
                match self.rotate_once(&path, &turn, &credential).await {
                    Err(error) if is_conflict(&error) && conflicts < CONFLICT_RETRIES => conflicts += 1,
                    answer => return answer,
                }
            }
        })
        .await
    }

    async fn rotate_once(
        &self,
        path: &CredentialPath,
        turn: &Arc<Turn>,
        credential: &Credential,
    ) -> Result<Lifecycle, ManagerError> {
        let shared = &self.shared;
        let Some((stored, revision)) = shared.fetch_with_revision(path).await? else {
            let absent = StorageError::from(StorageErrorKind::NotFound);
            return Err(shared.at(absent, Operation::Retrieve, path.clone()).into());
        };
        let former = shared.sealing.open_bytes(path.as_ref(), &stored).await?.metadata;
        // Never before what it follows, wherever the clock of this machine is.
        let mut metadata = credential.to_metadata(Timestamp::now().max(former.last_modified));
        metadata.created_at = former.created_at;
        metadata.version = former.version.saturating_add(1);
        metadata.unknown = former.unknown;
        let lifecycle = Lifecycle::of(&metadata);
        let data = shared.sealing.seal(path.as_ref(), &metadata, credential).await?;
        shared.replace(path, turn, revision, (data, metadata)).await?;
        Ok(lifecycle)
    }
}

impl Shared {
    /// What is stored, with its revision where the provider has compare-and-set. Where a read may lag behind this manager's
    /// own last write, that is waited for first: what is built on what is read must not undo it.
    pub(crate) async fn fetch_with_revision(
        &self,
        path: &CredentialPath,
    ) -> Result<Option<(Stored, Option<Revision>)>, ManagerError> {
        self.settling.settled(path.as_ref()).await;
        let ctx = path.scope.clone().into();
        let Some(conditional) = self.provider.compare_and_set() else {
            return Ok(self.fetch_sealed(&path.id, &ctx).await?.map(|stored| (stored, None)));
        };
        let read = conditional.retrieve_with_revision(&path.id, &ctx);
        match self.read(Operation::RetrieveWithRevision, || path.clone().into(), read).await {
            Ok((data, metadata, revision)) => Ok(Some(((data, metadata), Some(revision)))),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Stores in the place of what was read: only if that is still there, where its revision is known.
    pub(crate) async fn replace(
        &self,
        path: &CredentialPath,
        turn: &Arc<Turn>,
        expected: Option<Revision>,
        (data, metadata): Stored,
    ) -> Result<(), ManagerError> {
        let operation = if expected.is_some() { Operation::StoreIf } else { Operation::Store };
        let (provider, id, ctx) = (Arc::clone(&self.provider), path.id.clone(), path.scope.clone().into());
        let write = async move {
            match (expected, provider.compare_and_set()) {
                (Some(expected), Some(conditional)) => {
                    conditional.store_if(&id, data, metadata, Some(&expected), &ctx).await.map(|_| ())
                }
                _ => provider.store(&id, data, metadata, &ctx).await,
            }
        };
        self.write(operation, path, Arc::clone(turn), write).await
    }
}

pub(crate) fn is_conflict(error: &ManagerError) -> bool {
    matches!(error, ManagerError::Storage(error) if matches!(error.kind(), StorageErrorKind::Conflict { .. }))
}
