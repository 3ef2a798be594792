//! Whether credentials are fit for use.

mod finding;

use cred_core::{CredentialId, CredentialPath, SealError, Sealed, Timestamp};

pub use self::finding::Finding;

use crate::batch::{BatchItem, answer_chunk, chunks, group_ids, in_order};
use crate::fetch_many::{Fetch, Fetched};
use crate::observe::{observe, observe_as, outcome, outcome_of_parts};
use crate::{CredentialManager, ManagerError};

/// The result of [`CredentialManager::validate`] for one credential.
///
/// ```
/// use cred_manager::{Finding, ValidationResult};
///
/// /// A line of a health check.
/// fn line(id: &str, result: &ValidationResult) -> String {
///     match result {
///         ValidationResult::Valid => format!("{id}: ok"),
///         ValidationResult::NeedsAttention { findings } => {
///             let findings: Vec<_> = findings.iter().map(Finding::to_string).collect();
///             format!("{id}: {}", findings.join("; "))
///         }
///         ValidationResult::NotFound => format!("{id}: not found"),
///         ValidationResult::Unreadable { error } => format!("{id}: unreadable: {error}"),
///         ValidationResult::LookupFailed { error } => format!("{id}: not looked up: {error}"),
///         _ => format!("{id}: unknown"),
///     }
/// }
/// assert_eq!(line("stripe-api-key", &ValidationResult::Valid), "stripe-api-key: ok");
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ValidationResult {
    /// The look-up failed, so nothing is known about the credential. Only in the results of
    /// [`validate_batch`](CredentialManager::validate_batch) and
    /// [`validate_tree`](CredentialManager::validate_tree);
    /// [`validate`](CredentialManager::validate) fails instead.
    LookupFailed {
        /// Why.
        error: ManagerError,
    },
    /// Nothing is stored under that id.
    NotFound,
    /// It is stored, but cannot be read: it is corrupted, was tampered with, or is sealed under a
    /// key that the key ring lacks. Neither its expiry nor its format is known.
    Unreadable {
        /// Why.
        error: ManagerError,
    },
    /// It can be read, and there is at least one finding.
    NeedsAttention {
        /// All findings, never empty, in the order of the variants of [`Finding`]: those after
        /// which it cannot be used come first.
        findings: Vec<Finding>,
    },
    /// It can be read and has no findings.
    Valid,
}

impl ValidationResult {
    /// All findings about a readable credential; empty if it is valid, and if it could not be read.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        match self {
            Self::NeedsAttention { findings } => findings,
            _ => &[],
        }
    }

    /// Whether the credential can be used now: it was read, has not expired and is not malformed.
    /// It may be due for rotation or expire soon.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        match self {
            Self::Valid => true,
            Self::NeedsAttention { findings } => findings.iter().all(Finding::is_usable),
            Self::LookupFailed { .. } | Self::NotFound | Self::Unreadable { .. } => false,
        }
    }

    /// Whether the credential is due for rotation by its policy, whatever else was found.
    #[must_use]
    pub fn is_rotation_due(&self) -> bool {
        self.findings().iter().any(|finding| matches!(finding, Finding::RotationDue { .. }))
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
    /// Reads a credential from the provider, whatever is cached, opens it and returns every
    /// [`Finding`]: its expiry, its rotation policy, and the format of its fields by the rules of
    /// [`Credential::format_problems`](cred_core::Credential::format_problems). One call of the
    /// provider.
    ///
    /// Expiry and rotation are judged by the system clock.
    ///
    /// # Errors
    /// If it could not be looked up: [`ManagerError::Storage`], [`ManagerError::ShutDown`], or a
    /// [`ManagerError::Seal`] that is transient or a failure of the key service. What is stored and
    /// cannot be read is [`Unreadable`](ValidationResult::Unreadable), no error.
    ///
    /// # Cancellation
    /// Dropping the future changes nothing.
    pub async fn validate(&self, id: &CredentialId) -> Result<ValidationResult, ManagerError> {
        observe("validate", self, Some(id), self.judge(id)).await
    }

    /// Validates many credentials, in input order. It reads each different id once from the
    /// provider, whatever is cached, by calls of at most
    /// [`Description::batch`](cred_core::Description) ids, of which
    /// [`batch_concurrency`](crate::CredentialManagerBuilder::batch_concurrency) are in flight:
    /// with a `batch` of 20, a thousand ids are 50 calls.
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

    /// Validates every credential of this handle's scope and below it; for the root, every
    /// credential. Sorted by path. One list, then the calls of
    /// [`validate_batch`](Self::validate_batch) for each scope, at most
    /// [`batch_concurrency`](crate::CredentialManagerBuilder::batch_concurrency) at once.
    ///
    /// A credential that is deleted after the list is [`NotFound`](ValidationResult::NotFound).
    ///
    /// # Errors
    /// If the tree cannot be listed: [`ManagerError::Storage`], [`ManagerError::ShutDown`]. A
    /// failed look-up is [`LookupFailed`](ValidationResult::LookupFailed) of its credential.
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
            Err(ManagerError::Storage(error)) if error.is_corrupted() => {
                return Ok(ValidationResult::Unreadable { error: error.into() });
            }
            Err(error) => return Err(error),
        };
        match opened {
            // Opening proved that the metadata beside it is the sealed one.
            Ok(credential) => {
                let warning = self.shared.settings.expiry_warning;
                let findings = finding::findings(&credential, &metadata, Timestamp::now(), warning);
                Ok(match findings.is_empty() {
                    true => ValidationResult::Valid,
                    false => ValidationResult::NeedsAttention { findings },
                })
            }
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
