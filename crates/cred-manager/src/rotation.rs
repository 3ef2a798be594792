//! Replacing a credential by a fresh one that carries its history on.

use std::sync::Arc;

use cred_core::{
    Credential, CredentialId, CredentialPath, Lifecycle, Opened, Operation, PathRef, StorageError,
    StorageErrorKind, Timestamp,
};

use crate::conditional::{CONFLICT_RETRIES, is_conflict};
use crate::observe::observe;
use crate::sealing::decode;
use crate::write_lock::WriteLock;
use crate::{CredentialManager, ManagerError};

impl CredentialManager {
    /// Replaces a stored credential by a fresh one: creation time and fields of newer writers are carried on, the version
    /// goes up by one. Two calls of the provider.
    ///
    /// What the fresh credential does not say is kept: the tags if it has none, the expiry and the
    /// rotation policy if it has none, an expiry that has passed included. To drop one of them, use
    /// [`store`](Self::store).
    ///
    /// Where the provider has compare-and-set, concurrent rotations by several managers each get a
    /// version of their own; elsewhere only those of this manager do.
    ///
    /// Without compare-and-set it first waits until this manager's earlier writes of the credential
    /// are visible ([`Consistency::point`](cred_core::Consistency)), and after a write whose
    /// outcome is unknown until that write can no longer take effect
    /// ([`Description::in_doubt`](cred_core::Description::in_doubt)). It waits only if that takes
    /// no longer than an answer of the provider may take.
    ///
    /// # Errors
    /// [`NotFound`](StorageErrorKind::NotFound) if nothing is stored; [`ManagerError::Seal`] if the
    /// stored credential does not open (a plain [`store`](Self::store) replaces it);
    /// [`Conflict`](StorageErrorKind::Conflict) if others kept writing in between;
    /// [`Busy`](StorageErrorKind::Busy) if it would wait for longer, on AWS for five minutes after
    /// a write by default: the message names the time. Else as [`store`](Self::store).
    ///
    /// # Cancellation
    /// As [`store`](Self::store).
    pub async fn rotate(&self, id: &CredentialId, credential: Credential) -> Result<Lifecycle, ManagerError> {
        // The old value is opened, but need not be readable.
        observe("rotate", self.scope(), Some(id), self.rotate_to(id, |_, _| Ok(credential.clone()))).await
    }

    /// As [`rotate`](Self::rotate), with a new credential that `renew` makes of the stored one, such as
    /// a login whose password alone changes. What the new one does not say is kept, as there.
    ///
    /// `renew` is called under the write lock of the credential, again for each write of another
    /// process that comes between; other writes of this manager wait meanwhile, so it should not
    /// block. If it panics, nothing is written.
    ///
    /// # Errors
    /// As [`rotate`](Self::rotate), and [`ManagerError::Credential`] if the stored credential was opened
    /// but cannot be read.
    ///
    /// # Cancellation
    /// As [`store`](Self::store).
    pub async fn rotate_with(
        &self,
        id: &CredentialId,
        mut renew: impl FnMut(&Credential) -> Credential + Send,
    ) -> Result<Lifecycle, ManagerError> {
        let renew = |path: PathRef<'_>, old: &Opened| Ok(renew(&decode(path, old)?));
        observe("rotate_with", self.scope(), Some(id), self.rotate_to(id, renew)).await
    }

    async fn rotate_to(
        &self,
        id: &CredentialId,
        mut renew: impl FnMut(PathRef<'_>, &Opened) -> Result<Credential, ManagerError>,
    ) -> Result<Lifecycle, ManagerError> {
        let shared = &self.shared;
        shared.tasks.refuse_when_closed()?;
        let path = self.path(id).to_owned();
        let lock = Arc::new(shared.write_lock(Operation::Store, &path).await?);
        let mut conflicts = 0;
        loop {
            match self.rotate_once(&path, &lock, &mut renew).await {
                Err(error) if is_conflict(&error) && conflicts < CONFLICT_RETRIES => conflicts += 1,
                answer => return answer,
            }
        }
    }

    async fn rotate_once(
        &self,
        path: &CredentialPath,
        lock: &Arc<WriteLock>,
        renew: impl FnOnce(PathRef<'_>, &Opened) -> Result<Credential, ManagerError>,
    ) -> Result<Lifecycle, ManagerError> {
        let shared = &self.shared;
        let Some((stored, revision)) = shared.fetch_with_revision(path).await? else {
            let absent = StorageError::from(StorageErrorKind::NotFound);
            return Err(shared.at(absent, Operation::Retrieve, path.clone()).into());
        };
        let opened = shared.sealing.open_bytes(path.as_ref(), &stored).await?;
        let credential = renew(path.as_ref(), &opened)?;
        let former = opened.metadata;
        // By this machine's clock, be the former one's in the future: else that would keep every rotation from being due.
        let mut metadata = credential.to_metadata(Timestamp::now());
        if metadata.tags.is_empty() {
            metadata.tags = former.tags;
        }
        metadata.expires_at = metadata.expires_at.or(former.expires_at);
        metadata.rotation = metadata.rotation.or(former.rotation);
        metadata.created_at = former.created_at;
        metadata.version = former.version.saturating_add(1);
        metadata.unknown = former.unknown;
        let lifecycle = Lifecycle::of(&metadata);
        let data = shared.sealing.seal(path.as_ref(), &metadata, &credential).await?;
        shared.replace(path, lock, revision, (data, metadata)).await?;
        Ok(lifecycle)
    }
}
