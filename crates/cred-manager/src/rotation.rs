//! Replacing a credential by a fresh one that carries its history on.

use cred_core::{
    Credential, CredentialId, CredentialMetadata, Lifecycle, Opened, Operation, RotationPolicy, StorageError,
    Timestamp,
};

use crate::observe::observe;
use crate::sealing::decode;
use crate::visibility::Writer;
use crate::{CredentialManager, ManagerError};

impl CredentialManager {
    /// Replaces a stored credential by a fresh one: creation time and fields of newer writers are
    /// carried on, the version goes up by one. Two calls of the provider.
    ///
    /// What the fresh credential does not say is kept: the tags if it has none, the expiry and the
    /// rotation policy if it has none, an expiry that has passed included. To drop one of them, use
    /// [`store`](Self::store). A credential with the policy `before-expiry` stays due until it gets
    /// a later expiry: set it on the new credential. [`rotate_if_due`](Self::rotate_if_due) refuses
    /// a new credential without one.
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
    /// [`NotFound`](cred_core::StorageErrorKind::NotFound) if nothing is stored;
    /// [`ManagerError::Seal`] if the stored credential does not open (a plain
    /// [`store`](Self::store) replaces it); [`Conflict`](cred_core::StorageErrorKind::Conflict) if
    /// others kept writing in between; [`Busy`](cred_core::StorageErrorKind::Busy) if it would wait
    /// for longer, on AWS for five minutes after a write by default: the message names the time.
    /// Else as [`store`](Self::store).
    ///
    /// # Cancellation
    /// As [`store`](Self::store).
    pub async fn rotate(&self, id: &CredentialId, credential: Credential) -> Result<Lifecycle, ManagerError> {
        // The old value is opened, but need not be readable.
        let renew = |old: &Opened| Ok(keep_unset(credential.clone(), &old.metadata));
        self.rotate_to(Writer::Rotate, id, renew).await
    }

    /// As [`rotate`](Self::rotate), with a new credential that `renew` makes of the stored one,
    /// such as a login whose password alone changes. What the new one does not say is kept, as
    /// there.
    ///
    /// `renew` is called under the write lock of the credential, again for each write of another
    /// process that comes between; other writes of this manager wait meanwhile, so it should not
    /// block. If it panics, nothing is written.
    ///
    /// # Errors
    /// As [`rotate`](Self::rotate), and [`ManagerError::Credential`] if the stored credential was
    /// opened but cannot be read.
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

    /// As [`rotate_with`](Self::rotate_with), but only if the credential is due by its
    /// [`RotationPolicy`] now; `None`: it is not due, or has no policy, and
    /// nothing was written. For a job that several replicas run.
    ///
    /// The stored credential decides, as it is under the write lock, and again after each conflict.
    /// An expiry that has passed does not make it due by itself. One call of the provider if it is
    /// not due, else two, and two more after each conflict.
    ///
    /// - **With compare-and-set**
    ///   ([`supports_conditional_updates`](Self::supports_conditional_updates)), one of several
    ///   processes rotates a due credential, and the others get `None`.
    /// - **Without**, that holds for the callers of one manager only. Two processes that both read
    ///   before either has written both rotate, and each gets `Some`: the later write stays, and
    ///   the value of the other is lost. Over an eventually consistent provider, so does a process
    ///   that reads within [`Consistency::point`](cred_core::Consistency::point) after the other's
    ///   write. Run the job in one process there.
    ///
    /// `renew` is called at most once, and only if the credential is due. After a conflict its
    /// credential is stored over the newer one if that is still due.
    ///
    /// A new value that an issuer makes is made before the call, in each process that runs the job.
    /// Revoke it only where it was certainly not stored:
    ///
    /// ```
    /// # use cred_core::{Credential, CredentialId};
    /// # async fn revoke(_: Credential) {}
    /// # async fn job(manager: cred_manager::CredentialManager, fresh: Credential) -> Result<(), cred_manager::ManagerError> {
    /// let id = CredentialId::from_static("stripe-api-key");
    /// match manager.rotate_if_due(&id, |_| fresh.clone()).await {
    ///     Ok(Some(rotated)) => println!("version {} is stored", rotated.version),
    ///     Ok(None) => revoke(fresh).await, // no longer due: another replica was faster
    ///     Err(error) if !error.may_have_written() => {
    ///         revoke(fresh).await;
    ///         return Err(error);
    ///     }
    ///     // It may be stored: read the credential before you revoke anything.
    ///     Err(error) => return Err(error),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`InvalidRequest`](cred_core::StorageErrorKind::InvalidRequest) if the new credential would
    /// be expired or due at once, and nothing was written: give it a later expiry, or each run of
    /// the job would rotate it again. Else as [`rotate_with`](Self::rotate_with).
    ///
    /// # Cancellation
    /// As [`store`](Self::store): a rotation that has begun is finished, so the new value may be
    /// stored.
    pub async fn rotate_if_due(
        &self,
        id: &CredentialId,
        renew: impl FnOnce(&Credential) -> Credential + Send,
    ) -> Result<Option<Lifecycle>, ManagerError> {
        let path = self.path(id);
        let (mut renew, mut renewed) = (Some(renew), None);
        let renew = |old: &Opened| {
            let now = Timestamp::now();
            let former = &old.metadata;
            if !is_due(former.rotation, former.last_modified, former.expires_at, now) {
                return Err(Kept::NotDue);
            }
            if let Some(renew) = renew.take() {
                renewed = Some(renew(&decode(path, old)?));
            }
            // Absent only if an earlier call failed, which ends the loop.
            let renewed = renewed.clone().ok_or(Kept::NotDue)?;
            let credential = keep_unset(renewed, former);
            let is_expired = credential.expires_at().is_some_and(|expiry| expiry <= now);
            match is_expired || is_due(credential.rotation(), now, credential.expires_at(), now) {
                true => Err(ManagerError::from(self.due_at_once(id)).into()),
                false => Ok(credential),
            }
        };
        observe(Writer::RotateIfDue.as_str(), self, Some(id), async {
            self.shared.tasks.refuse_when_closed()?;
            match self.shared.replace_stored(Writer::RotateIfDue, &path.to_path(), renew).await {
                Ok(lifecycle) => Ok(Some(lifecycle)),
                Err(Kept::NotDue) => Ok(None),
                Err(Kept::Failed(error)) => Err(error),
            }
        })
        .await
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

    fn due_at_once(&self, id: &CredentialId) -> StorageError {
        let reason = "the new credential would be expired or due for rotation at once, and nothing was written; \
                      give it a later expiry (`with_expires_at`) or another rotation policy";
        self.shared.at(StorageError::invalid_request(reason), Operation::Store, self.path(id).to_path())
    }
}

/// Why a credential was not rotated.
enum Kept {
    NotDue,
    Failed(ManagerError),
}

impl From<ManagerError> for Kept {
    fn from(error: ManagerError) -> Self {
        Self::Failed(error)
    }
}

/// Whether a policy makes a credential due at `now`.
fn is_due(
    policy: Option<RotationPolicy>,
    last_modified: Timestamp,
    expires_at: Option<Timestamp>,
    now: Timestamp,
) -> bool {
    policy.and_then(|policy| policy.due_at(last_modified, expires_at)).is_some_and(|due| due <= now)
}

/// The new credential, with the tags, the expiry and the policy of the former one where it has
/// none.
fn keep_unset(credential: Credential, former: &CredentialMetadata) -> Credential {
    let expires_at = credential.expires_at().or(former.expires_at);
    let rotation = credential.rotation().or(former.rotation);
    let tags = match credential.tags().is_empty() {
        true => former.tags.clone(),
        false => credential.tags().clone(),
    };
    credential.with_tags(tags).with_expires_at(expires_at).with_rotation(rotation)
}
