//! Replacing a credential by a fresh one that carries its history on.

use cred_core::{Credential, CredentialId, CredentialMetadata, Lifecycle, Opened};

use crate::observe::observe;
use crate::sealing::decode;
use crate::visibility::Writer;
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
    /// [`NotFound`](cred_core::StorageErrorKind::NotFound) if nothing is stored; [`ManagerError::Seal`] if the
    /// stored credential does not open (a plain [`store`](Self::store) replaces it);
    /// [`Conflict`](cred_core::StorageErrorKind::Conflict) if others kept writing in between;
    /// [`Busy`](cred_core::StorageErrorKind::Busy) if it would wait for longer, on AWS for five minutes after
    /// a write by default: the message names the time. Else as [`store`](Self::store).
    ///
    /// # Cancellation
    /// As [`store`](Self::store).
    pub async fn rotate(&self, id: &CredentialId, credential: Credential) -> Result<Lifecycle, ManagerError> {
        // The old value is opened, but need not be readable.
        let renew = |old: &Opened| Ok(keep_unset(credential.clone(), &old.metadata));
        self.rotate_to(Writer::Rotate, id, renew).await
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
        let path = self.path(id);
        let renew = |old: &Opened| Ok(keep_unset(renew(&decode(path, old)?), &old.metadata));
        self.rotate_to(Writer::RotateWith, id, renew).await
    }

    async fn rotate_to(
        &self,
        writer: Writer,
        id: &CredentialId,
        renew: impl FnMut(&Opened) -> Result<Credential, ManagerError>,
    ) -> Result<Lifecycle, ManagerError> {
        observe(writer.as_str(), self, Some(id), async {
            self.shared.tasks.refuse_when_closed()?;
            self.shared.replace_stored(writer, &self.path(id).to_path(), renew).await
        })
        .await
    }
}

/// The new credential, with the tags, the expiry and the policy of the former one where it has none.
fn keep_unset(credential: Credential, former: &CredentialMetadata) -> Credential {
    let expires_at = credential.expires_at().or(former.expires_at);
    let rotation = credential.rotation().or(former.rotation);
    let tags = match credential.tags().is_empty() {
        true => former.tags.clone(),
        false => credential.tags().clone(),
    };
    credential.with_tags(tags).with_expires_at(expires_at).with_rotation(rotation)
}
