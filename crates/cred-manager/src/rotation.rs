//! Rotation: replacing a credential with a new one that keeps its history.

use cred_core::{
    Credential, CredentialId, CredentialMetadata, Lifecycle, Opened, Operation, RotationPolicy, StorageError,
    Timestamp,
};

use crate::observe::observe;
use crate::sealing::decode;
use crate::visibility::Writer;
use crate::{CredentialManager, ManagerError};

impl CredentialManager {
    /// Replaces a stored credential with a new one. The creation time and the fields of newer
    /// writers are kept, and the version is incremented. Two calls of the provider.
    ///
    /// ```
    /// # use cred_core::{Credential, CredentialId};
    /// # use cred_manager::{CredentialManager, ManagerError};
    /// # async fn example(manager: CredentialManager) -> Result<(), ManagerError> {
    /// let id = CredentialId::from_static("stripe-api-key");
    /// let rotated = manager.rotate(&id, Credential::api_key("sk_live_new")).await?;
    /// println!("version {}", rotated.version);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// If the new credential has no tags, no expiry or no rotation policy, the stored ones are
    /// kept, even an expiry that has passed. To drop one of them, use [`store`](Self::store). A
    /// credential with the policy `before-expiry` stays due until it gets a later expiry: set it on
    /// the new credential. [`rotate_if_due`](Self::rotate_if_due) refuses a new credential without
    /// one.
    ///
    /// # Consistency
    /// - Where the provider has compare-and-set, concurrent rotations by several managers each get
    ///   their own version. Elsewhere, only those of this manager do.
    /// - Without compare-and-set, it first waits until this manager's earlier writes of the
    ///   credential are visible ([`Consistency::point`](cred_core::Consistency)), and after a write
    ///   whose outcome is unknown until that write can no longer take effect
    ///   ([`Description::in_doubt`](cred_core::Description::in_doubt)). It waits only if that takes
    ///   no longer than an answer of the provider may take.
    ///
    /// # Errors
    /// - [`NotFound`](cred_core::StorageErrorKind::NotFound) if nothing is stored.
    /// - [`ManagerError::Seal`] if the stored credential cannot be opened. A plain
    ///   [`store`](Self::store) replaces it.
    /// - [`Conflict`](cred_core::StorageErrorKind::Conflict) if other processes kept writing in
    ///   between.
    /// - [`Busy`](cred_core::StorageErrorKind::Busy) if it would have to wait for longer, on AWS
    ///   for five minutes after a write by default: the message states the time.
    /// - Otherwise as [`store`](Self::store).
    ///
    /// # Cancellation
    /// As [`store`](Self::store).
    pub async fn rotate(&self, id: &CredentialId, credential: Credential) -> Result<Lifecycle, ManagerError> {
        // The stored credential must open, but its contents need not decode.
        let renew = |old: &Opened| Ok(keep_unset(credential.clone(), &old.metadata));
        self.rotate_to(Writer::Rotate, id, renew).await
    }

    /// As [`rotate`](Self::rotate), with a new credential that `renew` makes from the stored one,
    /// for example a login in which only the password changes. Tags, expiry and policy are kept as
    /// there.
    ///
    /// ```
    /// # use cred_core::{Credential, CredentialId, field};
    /// # use cred_manager::{CredentialManager, ManagerError};
    /// # async fn example(manager: CredentialManager) -> Result<(), ManagerError> {
    /// let id = CredentialId::from_static("database");
    /// let Some(stored) = manager.retrieve(&id).await? else { return Ok(()) };
    /// let user = stored.expose_text(field::USERNAME)?.to_owned();
    /// manager
    ///     .rotate_with(&id, |_| Credential::username_password(user.as_str(), "new password"))
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// `renew` is called under the write lock of the credential, and again after each write of
    /// another process in between. Other writes of this manager to the credential wait meanwhile,
    /// so it should not block. If it panics, nothing is written.
    ///
    /// # Errors
    /// As [`rotate`](Self::rotate), and [`ManagerError::Credential`] if the stored credential was
    /// opened but cannot be decoded.
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
    /// [`RotationPolicy`] now. Returns `None` if it is not due or has no policy; nothing was
    /// written. For a job that several replicas run.
    ///
    /// ```
    /// # use cred_core::{Credential, CredentialId};
    /// # use cred_manager::{CredentialManager, ManagerError};
    /// # async fn revoke(_: Credential) {}
    /// # async fn example(manager: CredentialManager, fresh: Credential) -> Result<(), ManagerError> {
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
    /// In this example an issuer creates the new value before the call, in each process that runs
    /// the job. Revoke such a value only if it was certainly not stored.
    ///
    /// The stored credential is checked under the write lock, and again after each conflict. A
    /// passed expiry alone does not make it due. `renew` is called at most once, and only if the
    /// credential is due. After a conflict its credential replaces the newer one if that is still
    /// due. One call of the provider if the credential is not due, otherwise two, and two more
    /// after each conflict.
    ///
    /// # Consistency
    /// - **With compare-and-set**
    ///   ([`supports_conditional_updates`](Self::supports_conditional_updates)), one of several
    ///   processes rotates a due credential, and the others get `None`.
    /// - **Without**, that holds for the callers of one manager only. Two processes that both read
    ///   before either has written both rotate, and each gets `Some`: the later write stays, and
    ///   the value of the other is lost. Over an eventually consistent provider, so does a process
    ///   that reads within [`Consistency::point`](cred_core::Consistency::point) after the other's
    ///   write. Run the job in only one process there.
    ///
    /// # Errors
    /// [`InvalidRequest`](cred_core::StorageErrorKind::InvalidRequest) if the new credential would
    /// be expired or due at once; nothing was written. Give it a later expiry, or each run of the
    /// job would rotate it again. Otherwise as [`rotate_with`](Self::rotate_with).
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
                return Err(NotRotated::NotDue);
            }
            if let Some(renew) = renew.take() {
                renewed = Some(renew(&decode(path, old)?));
            }
            // `None` only if an earlier call failed, which ends the loop.
            let renewed = renewed.clone().ok_or(NotRotated::NotDue)?;
            let credential = keep_unset(renewed, former);
            let is_expired = credential.expires_at().is_some_and(|expiry| expiry <= now);
            match is_expired || is_due(credential.rotation(), now, credential.expires_at(), now) {
                true => Err(ManagerError::from(self.due_at_once_error(id)).into()),
                false => Ok(credential),
            }
        };
        observe(Writer::RotateIfDue.as_str(), self, Some(id), async {
            self.shared.tasks.refuse_when_closed()?;
            match self.shared.replace_stored(Writer::RotateIfDue, &path.to_path(), renew).await {
                Ok(lifecycle) => Ok(Some(lifecycle)),
                Err(NotRotated::NotDue) => Ok(None),
                Err(NotRotated::Failed(error)) => Err(error),
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

    fn due_at_once_error(&self, id: &CredentialId) -> StorageError {
        let reason = "the new credential would be expired or due for rotation at once; nothing was written; \
                      give it a later expiry (`with_expires_at`) or another rotation policy";
        self.shared.at(StorageError::invalid_request(reason), Operation::Store, self.path(id).to_path())
    }
}

/// Why a credential was not rotated.
enum NotRotated {
    NotDue,
    Failed(ManagerError),
}

impl From<ManagerError> for NotRotated {
    fn from(error: ManagerError) -> Self {
        Self::Failed(error)
    }
}

/// Whether the policy makes a credential due at `now`.
fn is_due(
    policy: Option<RotationPolicy>,
    last_modified: Timestamp,
    expires_at: Option<Timestamp>,
    now: Timestamp,
) -> bool {
    policy.and_then(|policy| policy.due_at(last_modified, expires_at)).is_some_and(|due| due <= now)
}

/// Fills in the tags, the expiry and the policy of the former credential where the new one has
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
