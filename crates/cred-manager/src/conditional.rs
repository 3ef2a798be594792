//! Writes that depend on what is stored, by compare-and-set where the provider has it.

use std::sync::Arc;

use cred_core::{
    Credential, CredentialId, CredentialPath, Operation, Revision, StorageErrorKind, StorageProvider as _,
    Stored, Timestamp,
};

use crate::observe::observe;
use crate::shared::Shared;
use crate::write_lock::WriteLock;
use crate::{CredentialManager, ManagerError};

/// How often a conditional write is tried again after somebody else wrote in between.
pub(crate) const CONFLICT_RETRIES: usize = 5;

impl CredentialManager {
    /// Seals a credential and stores it only where nothing is stored; `false`: something is there, was not read, and is as it
    /// was. What was deleted counts as nothing.
    ///
    /// Where the provider has compare-and-set, of several callers at once, in whichever process, one stores: one call of the
    /// provider. Elsewhere it looks first, and then stores, in one turn: two calls. This manager's own writers cannot come
    /// between, but another process can, and what it writes there is overwritten. Over an eventually consistent provider the
    /// look first waits until this manager's last write of the credential shows
    /// ([`Consistency::point`](cred_core::Consistency)), where that is no longer than an answer of the provider may take.
    ///
    /// # Errors
    /// As [`store`](Self::store); [`Busy`](StorageErrorKind::Busy) also where a write of a moment ago may not show for
    /// longer.
    ///
    /// # Cancellation
    /// As [`store`](Self::store).
    pub async fn store_if_absent(
        &self,
        id: &CredentialId,
        credential: Credential,
    ) -> Result<bool, ManagerError> {
        observe("store_if_absent", self.scope(), Some(id), async {
            let shared = &self.shared;
            shared.tasks.refuse_when_closed()?;
            let path = self.path(id).to_owned();
            let turn = Arc::new(shared.turn(Operation::StoreIf, &path).await?);
            if shared.provider.compare_and_set().is_none() && shared.is_stored(&path).await? {
                return Ok(false);
            }
            let metadata = credential.to_metadata(Timestamp::now());
            let data = shared.sealing.seal(path.as_ref(), &metadata, &credential).await?;
            match shared.replace(&path, &turn, None, (data, metadata)).await {
                Ok(()) => Ok(true),
                Err(error) if is_conflict(&error) => Ok(false),
                Err(error) => Err(error),
            }
        })
        .await
    }
}

impl Shared {
    /// What is stored, with its revision where the provider has compare-and-set. Where a read may lag behind this manager's
    /// own last write, that is waited for first: what is built on what is read must not undo it.
    pub(crate) async fn fetch_with_revision(
        &self,
        path: &CredentialPath,
    ) -> Result<Option<(Stored, Option<Revision>)>, ManagerError> {
        self.settled(Operation::RetrieveWithRevision, path).await?;
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

    /// Whether anything is stored, readable or not.
    async fn is_stored(&self, path: &CredentialPath) -> Result<bool, ManagerError> {
        self.settled(Operation::Exists, path).await?;
        let ctx = path.scope.clone().into();
        let look = self.provider.exists(&path.id, &ctx);
        Ok(self.read(Operation::Exists, || path.clone().into(), look).await?)
    }

    /// Stores in the place of what was read, or, with `None`, where nothing is stored: only if that is still so, where the
    /// provider has compare-and-set.
    pub(crate) async fn replace(
        &self,
        path: &CredentialPath,
        turn: &Arc<WriteLock>,
        expected: Option<Revision>,
        (data, metadata): Stored,
    ) -> Result<(), ManagerError> {
        let (provider, id, ctx) = (Arc::clone(&self.provider), path.id.clone(), path.scope.clone().into());
        let operation = match provider.compare_and_set() {
            Some(_) => Operation::StoreIf,
            None => Operation::Store,
        };
        let last_write = self.stores(&data);
        let write = async move {
            match provider.compare_and_set() {
                Some(conditional) => {
                    conditional.store_if(&id, data, metadata, expected.as_ref(), &ctx).await.map(|_| ())
                }
                None => provider.store(&id, data, metadata, &ctx).await,
            }
        };
        self.write(operation, path, Arc::clone(turn), last_write, write).await
    }
}

pub(crate) fn is_conflict(error: &ManagerError) -> bool {
    matches!(error, ManagerError::Storage(error) if matches!(error.kind(), StorageErrorKind::Conflict { .. }))
}
