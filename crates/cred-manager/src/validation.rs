//! Whether credentials are fit for use.

use cred_core::{
    CredentialId, CredentialMetadata, CredentialPath, SealError, Sealed, StorageErrorKind, Timestamp,
};

use crate::batch::{BatchItem, answer_chunk, chunks, group_ids, in_order};
use crate::fetch_many::{Fetch, Fetched};
use crate::observe::{observe, observe_as, outcome, outcome_of_parts};
use crate::{CredentialManager, ManagerError};

/// What [`CredentialManager::validate`] found; where several hold, the first in this order.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ValidationResult {
    /// It could not be looked up, so nothing is known. In the answers of
    /// [`validate_batch`](CredentialManager::validate_batch) alone; [`validate`](CredentialManager::validate) fails.
    LookupFailed {
        /// Why.
        error: ManagerError,
    },
    /// Nothing is stored under that id.
    NotFound,
    /// It is stored, but cannot be read: corrupted, tampered with, or sealed under a key that is not there.
    Unreadable {
        /// Why.
        error: ManagerError,
    },
    /// Its time is over.
    Expired {
        /// Since when.
        since: Timestamp,
    },
    /// Its policy says that it should be replaced.
    RotationDue {
        /// Since when.
        since: Timestamp,
    },
    /// Its time will be over within the builder's
    /// [`expiry_warning`](crate::CredentialManagerBuilder::expiry_warning).
    ExpiringSoon {
        /// When.
        at: Timestamp,
    },
    /// It can be read and is due for nothing.
    Valid,
}

impl ValidationResult {
    /// Whether the credential can be used now: valid, expiring soon or due for rotation.
    #[must_use]
    pub const fn is_usable(&self) -> bool {
        matches!(self, Self::Valid | Self::ExpiringSoon { .. } | Self::RotationDue { .. })
    }
}

/// A credential of a tree, as [`CredentialManager::validate_tree`] found it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ValidatedPath {
    /// The credential.
    pub path: CredentialPath,
    /// What was found.
    pub result: ValidationResult,
}

impl CredentialManager {
    /// Reads a credential from the provider, whatever is cached, opens it and says whether it is fit for use. One call
    /// of the provider.
    ///
    /// # Errors
    /// If it could not be looked up: [`ManagerError::Storage`], [`ManagerError::ShutDown`], or a
    /// [`ManagerError::Seal`] that is transient or a failure of the key service. What is stored and cannot be read is
    /// [`Unreadable`](ValidationResult::Unreadable), no error.
    ///
    /// # Cancellation
    /// Dropping the future changes nothing.
    pub async fn validate(&self, id: &CredentialId) -> Result<ValidationResult, ManagerError> {
        observe("validate", self, Some(id), self.judge(id)).await
    }

    /// Validates many credentials, in input order. It reads each different id once from the
    /// provider, whatever is cached, by calls of at most
    /// [`Description::batch`](cred_core::Description) ids, of which
    /// [`batch_concurrency`](crate::CredentialManagerBuilder::batch_concurrency) are in flight: with
    /// a `batch` of 20, a thousand ids are 50 calls.
    ///
    /// One failure touches its own slots alone: a failed look-up is
    /// [`LookupFailed`](ValidationResult::LookupFailed). A call that fails as a whole is one in the
    /// slot of each of its ids.
    ///
    /// # Cancellation
    /// Dropping the future begins no further call.
    pub async fn validate_batch(&self, ids: &[CredentialId]) -> Vec<BatchItem<ValidationResult>> {
        let judge = |chunk| answer_chunk(chunk, |ids| self.judge_many(ids));
        let work = chunks(group_ids(ids), self.shared.batch()).map(judge);
        in_order(ids, self.concurrently("validate_batch", work, failed_look_up).await)
    }

    /// Validates every credential of this handle's scope and below it; for the root, every credential.
    /// Sorted by path. One list, then the calls of [`validate_batch`](Self::validate_batch) for each
    /// scope, at most [`batch_concurrency`](crate::CredentialManagerBuilder::batch_concurrency) at once.
    ///
    /// A credential that is deleted after the list is [`NotFound`](ValidationResult::NotFound).
    ///
    /// # Errors
    /// If the tree cannot be listed: [`ManagerError::Storage`], [`ManagerError::ShutDown`]. A failed
    /// look-up is [`LookupFailed`](ValidationResult::LookupFailed) of its credential.
    ///
    /// # Cancellation
    /// Dropping the future begins no further call.
    pub async fn validate_tree(&self) -> Result<Vec<ValidatedPath>, ManagerError> {
        let work = async {
            let paths = self.list_tree().await?;
            let of_scopes = paths.chunk_by(|one, next| one.scope == next.scope);
            let chunks = of_scopes.flat_map(|paths| paths.chunks(self.shared.batch()));
            let judge: Vec<_> = chunks.map(|paths| self.judge_paths(paths)).collect();
            let mut found = self.bounded(judge.into_iter()).await;
            found.sort_unstable_by(|one, other| one.path.cmp(&other.path));
            Ok(found)
        };
        observe_as("validate_tree", self, None, work, |found| match found {
            Ok(found) => {
                let failures = found.iter().filter_map(|one: &ValidatedPath| failed_look_up(&one.result));
                outcome_of_parts(found.len(), failures)
            }
            failed => outcome(failed),
        })
        .await
    }

    /// Judges paths of one scope by one call of the provider.
    async fn judge_paths(&self, paths: &[CredentialPath]) -> Vec<ValidatedPath> {
        let handle = paths.first().map_or_else(|| Ok(self.clone()), |path| self.at(path));
        let results = match handle {
            Ok(handle) => handle.judge_many(paths.iter().map(|path| path.id.clone()).collect()).await,
            Err(error) => paths.iter().map(|_| look_up_failed(error.clone())).collect(),
        };
        let validated = |(path, result): (&CredentialPath, _)| ValidatedPath { path: path.clone(), result };
        paths.iter().zip(results).map(validated).collect()
    }

    async fn judge(&self, id: &CredentialId) -> Result<ValidationResult, ManagerError> {
        self.shared.tasks.refuse_when_closed()?;
        self.verdict(self.shared.fetch_opened(id, &self.context).await)
    }

    /// Judges different ids of a chunk by one call of the provider; one answer for each.
    async fn judge_many(&self, ids: Vec<CredentialId>) -> Vec<ValidationResult> {
        if let Err(closed) = self.shared.tasks.refuse_when_closed() {
            return ids.iter().map(|_| look_up_failed(closed.clone())).collect();
        }
        let fetches = match (self.shared.batch(), ids.as_slice()) {
            (1, [id]) => vec![self.shared.fetch_opened(id, &self.context).await],
            (_, ids) => self.shared.fetch_many(ids, &self.context).await,
        };
        fetches.into_iter().map(|fetch| self.verdict(fetch).unwrap_or_else(look_up_failed)).collect()
    }

    fn verdict(&self, fetch: Fetch) -> Result<ValidationResult, ManagerError> {
        let Fetched { stored: Sealed { metadata, .. }, opened } = match fetch {
            Ok(Some(fetched)) => fetched,
            Ok(None) => return Ok(ValidationResult::NotFound),
            Err(error) if is_corrupted(&error) => return Ok(ValidationResult::Unreadable { error }),
            Err(error) => return Err(error),
        };
        match opened {
            // Opening proved that the metadata beside it is the sealed one.
            Ok(_) => Ok(due(&metadata, Timestamp::now(), self.shared.settings.expiry_warning)),
            // The key holder failed, which does not show that the credential is unreadable.
            Err(error @ ManagerError::Seal(SealError::Failed { .. })) => Err(error),
            Err(error) if error.is_transient() => Err(error),
            Err(error) => Ok(ValidationResult::Unreadable { error }),
        }
    }
}

fn look_up_failed(error: ManagerError) -> ValidationResult {
    ValidationResult::LookupFailed { error }
}

fn failed_look_up(found: &ValidationResult) -> Option<&ManagerError> {
    match found {
        ValidationResult::LookupFailed { error } => Some(error),
        _ => None,
    }
}

fn is_corrupted(error: &ManagerError) -> bool {
    matches!(error, ManagerError::Storage(error) if matches!(error.kind(), StorageErrorKind::Corrupted { .. }))
}

/// What a readable credential is due for at `now`.
fn due(
    metadata: &CredentialMetadata,
    now: Timestamp,
    expiry_warning: std::time::Duration,
) -> ValidationResult {
    let rotation =
        metadata.rotation.and_then(|policy| policy.due_at(metadata.last_modified, metadata.expires_at));
    match (metadata.expires_at, rotation) {
        (Some(expiry), _) if expiry <= now => ValidationResult::Expired { since: expiry },
        (_, Some(due)) if due <= now => ValidationResult::RotationDue { since: due },
        (Some(expiry), _) if expiry < now.saturating_add(expiry_warning) => {
            ValidationResult::ExpiringSoon { at: expiry }
        }
        _ => ValidationResult::Valid,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use cred_core::RotationPolicy;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    /// What is found at `now` of a value modified at 0, with an hour's warning.
    fn found(
        expires_at: Option<u64>,
        rotation: impl Into<Option<RotationPolicy>>,
        now: u64,
    ) -> ValidationResult {
        let at = Timestamp::from_unix_millis;
        let metadata =
            CredentialMetadata::new(at(0)).with_expires_at(expires_at.map(at)).with_rotation(rotation);
        due(&metadata, at(now), HOUR)
    }

    #[test]
    fn expiry_is_foretold_and_then_told() {
        let day = 24 * 3_600_000;
        assert!(matches!(found(Some(day), None, 0), ValidationResult::Valid));
        assert!(matches!(found(Some(day), None, day - 3_600_000), ValidationResult::Valid));
        assert!(matches!(found(Some(day), None, day - 3_599_999), ValidationResult::ExpiringSoon { .. }));
        assert!(matches!(found(Some(day), None, day), ValidationResult::Expired { .. }));
        assert!(matches!(found(None, None, u64::MAX), ValidationResult::Valid));
    }

    #[test]
    fn each_kind_of_policy_comes_due() {
        let at = Timestamp::from_unix_millis;
        let is_due = |found| matches!(found, ValidationResult::RotationDue { .. });
        assert!(!is_due(found(None, RotationPolicy::periodic(HOUR), 3_599_999)));
        assert!(is_due(found(None, RotationPolicy::periodic(HOUR), 3_600_000)));
        assert!(!is_due(found(Some(7_200_000), RotationPolicy::before_expiry(HOUR), 3_599_999)));
        assert!(is_due(found(Some(7_200_000), RotationPolicy::before_expiry(HOUR), 3_600_000)));
        assert!(!is_due(found(None, RotationPolicy::At { at: at(5) }, 4)));
        assert!(is_due(found(None, RotationPolicy::At { at: at(5) }, 5)));
        assert!(!is_due(found(None, RotationPolicy::Manual, u64::MAX)));
    }

    #[test]
    fn the_worst_is_said_first() {
        assert!(matches!(
            found(Some(5), RotationPolicy::periodic(HOUR), 9_000_000),
            ValidationResult::Expired { .. }
        ));
        let both = found(Some(9_000_001), RotationPolicy::periodic(HOUR), 9_000_000);
        assert!(matches!(both, ValidationResult::RotationDue { .. }));
    }
}
