//! Reading a credential with its revision, and writing only if that revision is still stored.

use std::sync::Arc;

use cred_core::{
    Credential, CredentialId, CredentialPath, Lifecycle, Operation, Revision, StorageError, StorageErrorKind,
    StorageProvider as _, Versioned,
};

use crate::observe::observe;
use crate::sealing;
use crate::shared::Shared;
use crate::visibility::Writer;
use crate::write_lock::WriteLock;
use crate::{CredentialManager, ManagerError};

impl CredentialManager {
    /// Reads a credential with its revision; `None`: nothing is stored under that id. One call of
    /// the provider, never from the cache.
    ///
    /// ```
    /// # use cred_core::CredentialId;
    /// # use cred_manager::{CredentialManager, ManagerError};
    /// # async fn example(manager: CredentialManager) -> Result<(), ManagerError> {
    /// let id = CredentialId::from_static("database");
    /// if let Some(stored) = manager.retrieve_versioned(&id).await? {
    ///     let tagged = stored.value.clone().with_tag("env", "prod")?;
    ///     manager.store_if(&id, &stored.revision, tagged).await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Every store creates a new revision; so does a store after a deletion. An expired credential
    /// is logged or refused as by [`retrieve`](Self::retrieve); [`update`](Self::update) and
    /// [`rotate`](Self::rotate) can still replace it.
    ///
    /// # Errors
    /// [`Unsupported`](StorageErrorKind::Unsupported) where the provider has no compare-and-set.
    /// Otherwise as [`retrieve`](Self::retrieve).
    ///
    /// # Cancellation
    /// Dropping the future changes nothing.
    pub async fn retrieve_versioned(
        &self,
        id: &CredentialId,
    ) -> Result<Option<Versioned<Credential>>, ManagerError> {
        observe("retrieve_versioned", self, Some(id), async {
            let shared = &self.shared;
            shared.tasks.refuse_when_closed()?;
            let path = self.path(id).to_path();
            shared.require_compare_and_set(Operation::RetrieveVersioned, &path)?;
            let Some((stored, Some(revision))) = shared.fetch_with_revision(&path).await? else {
                return Ok(None);
            };
            let credential = shared.sealing.open(path.as_path_ref(), &stored).await?;
            shared.check_expiry(path.as_path_ref(), &credential)?;
            Ok(Some(Versioned::new(credential, revision)))
        })
        .await
    }

    /// Replaces a stored credential if it still has this revision, or, with `None`, stores it if
    /// none is stored. Returns the new revision. Like an HTTP PUT with `If-Match`, or with
    /// `If-None-Match: *`, it never replaces a value that the caller has not seen, whichever
    /// process wrote it.
    ///
    /// ```
    /// # use cred_core::{Credential, CredentialId};
    /// # use cred_manager::{CredentialManager, ManagerError};
    /// # async fn example(manager: CredentialManager) -> Result<(), ManagerError> {
    /// let id = CredentialId::from_static("stripe-api-key");
    /// let first = manager.store_if(&id, None, Credential::api_key("sk_live_one")).await?;
    /// let second = manager.store_if(&id, &first, Credential::api_key("sk_live_two")).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// A replacement keeps the creation time and increments the version, as a
    /// [rotation](Self::rotate) does. Tags, expiry and policy are those of `credential`. If the
    /// secret is the same as before, the time of the last modification is kept. Two calls of the
    /// provider; one with `None`.
    ///
    /// [`store_if_absent`](Self::store_if_absent) works on every backend, and returns no revision.
    /// [`supports_conditional_updates`](Self::supports_conditional_updates) returns whether this
    /// method works.
    ///
    /// # Errors
    /// - [`Conflict`](StorageErrorKind::Conflict) if the credential has another revision or does
    ///   not exist, or, with `None`, if it exists. Nothing was written.
    /// - [`Unsupported`](StorageErrorKind::Unsupported) where the provider has no compare-and-set.
    /// - [`ManagerError::Seal`] if the stored credential cannot be opened. A plain
    ///   [`store`](Self::store) replaces it.
    /// - Otherwise as [`store`](Self::store).
    ///
    /// # Cancellation
    /// As [`store`](Self::store).
    pub async fn store_if<'r>(
        &self,
        id: &CredentialId,
        revision: impl Into<Option<&'r Revision>>,
        credential: Credential,
    ) -> Result<Revision, ManagerError> {
        let expected = revision.into();
        observe("store_if", self, Some(id), async {
            let shared = &self.shared;
            shared.tasks.refuse_when_closed()?;
            let path = self.path(id).to_path();
            shared.require_compare_and_set(Operation::StoreIf, &path)?;
            let lock = Arc::new(shared.write_lock(Operation::StoreIf, &path).await?);
            let revision = match expected {
                None => shared.create(Writer::StoreIf, &path, &lock, &credential).await?,
                Some(expected) => shared.replace_if_revision(&path, &lock, expected, credential).await?,
            };
            revision.ok_or_else(|| shared.no_compare_and_set(Operation::StoreIf, &path))
        })
        .await
    }

    /// Replaces a stored credential with the one that `change` returns for it, and loses no
    /// concurrent change: if another process has written in between, it reads again and calls
    /// `change` again. `change` is called up to six times, and other writes of the credential wait
    /// meanwhile, so it must be fast and have no side effects.
    ///
    /// ```
    /// # use cred_manager::{CredentialManager, ManagerError};
    /// # async fn example(manager: CredentialManager) -> Result<(), ManagerError> {
    /// let id = "stripe-api-key".parse()?;
    /// let expires_at = cred_core::Timestamp::now();
    /// manager.update(&id, |stored| stored.clone().with_expires_at(expires_at)).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// The creation time is kept and the version is incremented, even if `change` changes nothing.
    /// If it keeps the secret, the time of the last modification is kept too, and with it the time
    /// at which the credential is due for rotation. Two calls of the provider, and two more after
    /// each conflict.
    ///
    /// # Errors
    /// - [`NotFound`](StorageErrorKind::NotFound) if nothing is stored.
    /// - [`Conflict`](StorageErrorKind::Conflict) if other processes kept writing in between.
    ///   Nothing was written.
    /// - [`Unsupported`](StorageErrorKind::Unsupported) where the provider has no compare-and-set
    ///   ([`supports_conditional_updates`](Self::supports_conditional_updates)).
    /// - [`ManagerError::Seal`] and [`ManagerError::Credential`] if the stored credential cannot be
    ///   opened or decoded.
    /// - Otherwise as [`store`](Self::store).
    ///
    /// # Cancellation
    /// As [`store`](Self::store).
    pub async fn update(
        &self,
        id: &CredentialId,
        mut change: impl FnMut(&Credential) -> Credential + Send,
    ) -> Result<Lifecycle, ManagerError> {
        observe("update", self, Some(id), async {
            let shared = &self.shared;
            shared.tasks.refuse_when_closed()?;
            let path = self.path(id).to_path();
            shared.require_compare_and_set(Operation::StoreIf, &path)?;
            let make = |opened: &_| Ok(change(&sealing::decode(path.as_path_ref(), opened)?));
            shared.replace_stored(Writer::Update, &path, make).await
        })
        .await
    }
}

impl Shared {
    /// Replaces a credential if it has the expected revision.
    async fn replace_if_revision(
        &self,
        path: &CredentialPath,
        lock: &Arc<WriteLock>,
        expected: &Revision,
        credential: Credential,
    ) -> Result<Option<Revision>, ManagerError> {
        let conflict = |why| self.at(StorageError::conflict(why), Operation::StoreIf, path.clone());
        let found = self.fetch_with_revision(path).await?;
        let (stored, revision) = found.ok_or_else(|| conflict("nothing is stored"))?;
        // Compared here too, so that a revision invented by a client never reaches the backend.
        if revision.as_ref() != Some(expected) {
            return Err(conflict("another revision is stored").into());
        }
        let former = self.sealing.open_bytes(path.as_path_ref(), &stored).await?;
        let (_, revision) =
            self.replace_keeping_history(Writer::StoreIf, path, lock, (credential, former), revision).await?;
        Ok(revision)
    }

    fn require_compare_and_set(
        &self,
        operation: Operation,
        path: &CredentialPath,
    ) -> Result<(), ManagerError> {
        match self.provider.compare_and_set() {
            Some(_) => Ok(()),
            None => Err(self.no_compare_and_set(operation, path)),
        }
    }

    fn no_compare_and_set(&self, operation: Operation, path: &CredentialPath) -> ManagerError {
        let what = "this backend has no compare-and-set, or its configuration turns it off; use `retrieve`, \
                    `store_if_absent` and `rotate_with`, and let one process alone write the credential";
        let error = StorageError::from(StorageErrorKind::Unsupported { what: what.into() });
        self.at(error, operation, path.clone()).into()
    }
}
