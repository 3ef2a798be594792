//! Writes that depend on the stored credential, by compare-and-set where the provider has it.

use std::sync::Arc;

use cred_core::{
    Credential, CredentialId, CredentialPath, Lifecycle, Opened, Operation, Revision, Sealed, StorageError,
    StorageErrorKind, StorageProvider as _, Versioned,
};

use crate::observe::observe;
use crate::sealing::SealedWrite;
use crate::shared::Shared;
use crate::visibility::Writer;
use crate::write_lock::WriteLock;
use crate::{CredentialManager, ManagerError};

/// How often a conditional write is tried again after another process has written in between.
pub(crate) const CONFLICT_RETRIES: usize = 5;

impl CredentialManager {
    /// Seals a credential and stores it only if none is stored under that id. Returns `false` if
    /// one exists; that one is neither read nor changed. A deleted credential counts as absent.
    /// Where the provider has compare-and-set, [`store_if`](Self::store_if) without a revision does
    /// the same and returns the revision.
    ///
    /// ```
    /// # use cred_core::{Credential, CredentialId};
    /// # use cred_manager::{CredentialManager, ManagerError};
    /// # async fn example(manager: CredentialManager) -> Result<(), ManagerError> {
    /// let id = CredentialId::from_static("session-key");
    /// if !manager.store_if_absent(&id, Credential::text("generated")).await? {
    ///     println!("one is already stored: use that");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Consistency
    /// - **With compare-and-set**, exactly one of several concurrent callers stores, in whichever
    ///   process they are: one call of the provider.
    /// - **Without**, the manager checks first and then stores, both under the write lock: two
    ///   calls. No other write of this manager can intervene, but another process can store in
    ///   between, and its credential is replaced.
    /// - **Without**, the check first waits until this manager's earlier writes of the credential
    ///   are visible ([`Consistency::point`](cred_core::Consistency)), and after a write whose
    ///   outcome is unknown until that write can no longer take effect
    ///   ([`Description::in_doubt`](cred_core::Description::in_doubt)). It waits only if that takes
    ///   no longer than an answer of the provider may take.
    ///
    /// # Errors
    /// As [`store`](Self::store). [`Busy`](StorageErrorKind::Busy) also if it would have to wait
    /// for longer; the message states the time.
    ///
    /// # Cancellation
    /// As [`store`](Self::store).
    pub async fn store_if_absent(
        &self,
        id: &CredentialId,
        credential: Credential,
    ) -> Result<bool, ManagerError> {
        observe("store_if_absent", self, Some(id), async {
            let shared = &self.shared;
            shared.tasks.refuse_when_closed()?;
            let path = self.path(id).to_path();
            let lock = Arc::new(shared.write_lock(Operation::StoreIf, &path).await?);
            if shared.provider.compare_and_set().is_none() && shared.is_stored(&path).await? {
                return Ok(false);
            }
            let is_conditional = shared.provider.compare_and_set().is_some();
            match shared.create(Writer::StoreIfAbsent, &path, &lock, &credential).await {
                Ok(_) => Ok(true),
                // Without compare-and-set, a plain store was refused, which does not prove that a
                // credential exists.
                Err(error) if is_conditional && is_conflict(&error) => Ok(false),
                Err(error) => Err(error),
            }
        })
        .await
    }
}

impl Shared {
    /// As [`fetch_with_revision`](Self::fetch_with_revision), after waiting until this manager's
    /// earlier writes are resolved: a write that is based on this read must not undo them.
    pub(crate) async fn fetch_resolved(
        &self,
        path: &CredentialPath,
    ) -> Result<Option<(Sealed, Option<Revision>)>, ManagerError> {
        self.wait_until_resolved(Operation::RetrieveVersioned, path).await?;
        self.fetch_with_revision(path).await
    }

    /// Reads the stored credential, with its revision where the provider has compare-and-set.
    pub(crate) async fn fetch_with_revision(
        &self,
        path: &CredentialPath,
    ) -> Result<Option<(Sealed, Option<Revision>)>, ManagerError> {
        let ctx = path.scope.clone().into();
        let Some(conditional) = self.provider.compare_and_set() else {
            return Ok(self.fetch_sealed(&path.id, &ctx).await?.map(|stored| (stored, None)));
        };
        let read = conditional.retrieve_versioned(&path.id, &ctx);
        match self.read(Operation::RetrieveVersioned, || path.clone().into(), read).await {
            Ok(Versioned { value, revision }) => Ok(Some((value, Some(revision)))),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a credential is stored, readable or not.
    async fn is_stored(&self, path: &CredentialPath) -> Result<bool, ManagerError> {
        self.wait_until_resolved(Operation::Exists, path).await?;
        let ctx = path.scope.clone().into();
        let exists = self.provider.exists(&path.id, &ctx);
        Ok(self.read(Operation::Exists, || path.clone().into(), exists).await?)
    }

    /// Stores a credential at version 1. Where the provider has compare-and-set, it does so only if
    /// none is stored, and returns the revision.
    pub(crate) async fn create(
        &self,
        writer: Writer,
        path: &CredentialPath,
        lock: &Arc<WriteLock>,
        credential: &Credential,
    ) -> Result<Option<Revision>, ManagerError> {
        let metadata = self.metadata(credential, None);
        let sealed = self.sealing.seal(path.as_path_ref(), metadata, credential).await?;
        self.replace(writer, path, lock, None, sealed).await
    }

    /// Replaces a stored credential with the one that `make` returns for it, by
    /// [`replace_keeping_history`](Self::replace_keeping_history). Tries again if another process
    /// has written in between.
    ///
    /// # Errors
    /// Those of `make`, with nothing written, and those of the manager.
    pub(crate) async fn replace_stored<E: From<ManagerError>>(
        &self,
        writer: Writer,
        path: &CredentialPath,
        mut make: impl FnMut(&Opened) -> Result<Credential, E>,
    ) -> Result<Lifecycle, E> {
        let lock = Arc::new(self.write_lock(Operation::Store, path).await?);
        let mut conflicts = 0;
        loop {
            let Some((stored, revision)) = self.fetch_resolved(path).await? else {
                let absent = StorageError::from(StorageErrorKind::NotFound);
                return Err(ManagerError::from(self.at(absent, Operation::Retrieve, path.clone())).into());
            };
            let opened = self.sealing.open_bytes(path.as_path_ref(), &stored).await;
            let former = opened.map_err(ManagerError::from)?;
            let credential = make(&former)?;
            match self.replace_keeping_history(writer, path, &lock, (credential, former), revision).await {
                Err(error) if is_conflict(&error) && conflicts < CONFLICT_RETRIES => conflicts += 1,
                answer => return Ok(answer?.0),
            }
        }
    }

    /// Replaces the credential that was read and opened, if it still has this revision. Keeps the
    /// creation time, the creator and the fields of newer writers, and increments the version. A
    /// change of the metadata alone also keeps the time of the last modification: it must not
    /// postpone a rotation.
    pub(crate) async fn replace_keeping_history(
        &self,
        writer: Writer,
        path: &CredentialPath,
        lock: &Arc<WriteLock>,
        (credential, former): (Credential, Opened),
        revision: Option<Revision>,
    ) -> Result<(Lifecycle, Option<Revision>), ManagerError> {
        // By this machine's clock, even if the former time is in the future: that one would keep
        // the credential from becoming due for rotation.
        let mut metadata = self.metadata(&credential, Some(Lifecycle::of(&former.metadata)));
        if !writer.rotates() && self.sealing.is_value_of(&credential, &former) {
            metadata.last_modified = former.metadata.last_modified;
        }
        metadata.unknown = former.metadata.unknown;
        let lifecycle = Lifecycle::of(&metadata);
        let sealed = self.sealing.seal(path.as_path_ref(), metadata, &credential).await?;
        let revision = self.replace(writer, path, lock, revision, sealed).await?;
        Ok((lifecycle, revision))
    }

    /// Replaces the credential that was read, or, with `None`, stores it where none is stored.
    /// Where the provider has compare-and-set, it does so only if that is still the case, and
    /// returns the new revision.
    pub(crate) async fn replace(
        &self,
        writer: Writer,
        path: &CredentialPath,
        lock: &Arc<WriteLock>,
        expected: Option<Revision>,
        SealedWrite { sealed: Sealed { data, metadata }, token }: SealedWrite,
    ) -> Result<Option<Revision>, ManagerError> {
        let (provider, id, ctx) = (Arc::clone(&self.provider), path.id.clone(), path.scope.clone().into());
        let operation = match provider.compare_and_set() {
            Some(_) => Operation::StoreIf,
            None => Operation::Store,
        };
        let effect = self.stores(&data, token);
        let write = async move {
            match provider.compare_and_set() {
                Some(conditional) => {
                    conditional.store_if(&id, data, metadata, expected.as_ref(), &ctx).await.map(Some)
                }
                None => provider.store(&id, data, metadata, &ctx).await.map(|()| None),
            }
        };
        self.write(writer, operation, path, Arc::clone(lock), effect, write).await
    }
}

pub(crate) fn is_conflict(error: &ManagerError) -> bool {
    matches!(error, ManagerError::Storage(error) if matches!(error.kind(), StorageErrorKind::Conflict { .. }))
}
