//! Validation: whether credentials can be used, and for how long.

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
    /// The look-up failed, so the state of the credential is unknown. Only in the results of
    /// [`validate_batch`](CredentialManager::validate_batch) and
    /// [`validate_tree`](CredentialManager::validate_tree);
    /// [`validate`](CredentialManager::validate) returns an error instead.
    LookupFailed {
        /// The reason.
        error: ManagerError,
    },
    /// Nothing is stored under that id.
    NotFound,
    /// It is stored, but cannot be read: it is corrupted, was tampered with, or is sealed under a
    /// key that the key ring lacks. Its expiry and format are unknown.
    Unreadable {
        /// The reason.
        error: ManagerError,
    },
    /// It can be read, and there is at least one finding.
    NeedsAttention {
        /// All findings, never empty, in the order of the variants of [`Finding`]: those that make
        /// the credential unusable come first.
        findings: Vec<Finding>,
    },
    /// It can be read and has no findings.
    Valid,
}

impl ValidationResult {
    /// All findings about a readable credential. Empty if it is valid, and if it could not be read.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        match self {
            Self::NeedsAttention { findings } => findings,
            _ => &[],
        }
    }

    /// Whether the credential can be used now: it could be read, has not expired and is not
    /// malformed. It may be due for rotation or expire soon.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        match self {
            Self::Valid => true,
            Self::NeedsAttention { findings } => findings.iter().all(Finding::is_usable),
            Self::LookupFailed { .. } | Self::NotFound | Self::Unreadable { .. } => false,
        }
    }

    /// Whether the credential is due for rotation by its policy, regardless of other findings.
    #[must_use]
    pub fn is_rotation_due(&self) -> bool {
        self.findings().iter().any(|finding| matches!(finding, Finding::RotationDue { .. }))
    }
}

/// The result of [`CredentialManager::validate_tree`] for one credential.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ValidatedPath {
    /// The credential.
    pub path: CredentialPath,
    /// The result.
    pub result: ValidationResult,
}

impl CredentialManager {
    /// Checks one credential and returns every [`Finding`]: its expiry, its rotation policy, and
    /// the format of its fields by the rules of
    /// [`Credential::format_problems`](cred_core::Credential::format_problems). It reads the
    /// credential from the provider, even if it is cached, and opens it. One call of the provider.
    ///
    /// Expiry and rotation are judged by the system clock.
    ///
    /// ```
    /// # use cred_manager::{CredentialManager, ManagerError};
    /// # async fn example(manager: CredentialManager) -> Result<(), ManagerError> {
    /// let result = manager.validate(&"stripe-api-key".parse()?).await?;
    /// if result.is_rotation_due() {
    ///     println!("rotate the Stripe API key: {:?}", result.findings());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The look-up failed: [`ManagerError::Storage`], [`ManagerError::ShutDown`], or a
    /// [`ManagerError::Seal`] that is transient or a failure of the key service. A stored
    /// credential that cannot be read is not an error, but
    /// [`Unreadable`](ValidationResult::Unreadable).
    ///
    /// # Cancellation
    /// Dropping the future changes nothing.
    pub async fn validate(&self, id: &CredentialId) -> Result<ValidationResult, ManagerError> {
        observe("validate", self, Some(id), self.validate_one(id)).await
    }

    /// Validates many credentials; the results are in input order. It reads each different id once
    /// from the provider, even if it is cached, by calls of at most
    /// [`Description::batch`](cred_core::Description) ids;
    /// [`batch_concurrency`](crate::CredentialManagerBuilder::batch_concurrency) calls run at once.
    /// With a `batch` of 20, a thousand ids are 50 calls.
    ///
    /// A failure affects only its own items: a failed look-up is
    /// [`LookupFailed`](ValidationResult::LookupFailed). If a whole call fails, each of its ids has
    /// that result.
    ///
    /// ```
    /// # use cred_manager::{CredentialManager, ManagerError};
    /// # async fn example(manager: CredentialManager) -> Result<(), ManagerError> {
    /// let ids = ["stripe-api-key".parse()?, "database".parse()?];
    /// for item in manager.validate_batch(&ids).await {
    ///     println!("{}: usable: {}", item.id, item.result.is_usable());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Cancellation
    /// Dropping the future starts no further call.
    pub async fn validate_batch(&self, ids: &[CredentialId]) -> Vec<BatchItem<ValidationResult>> {
        let validate = |chunk| answer_chunk(chunk, |ids| self.validate_many(ids));
        let work = chunks(group_ids(ids), self.shared.batch()).map(validate);
        in_order(ids, self.concurrently("validate_batch", work, failed_look_up).await)
    }

    /// Validates every credential of this handle's scope and below it; for the root, every
    /// credential. The results are sorted by path. One list, then the calls of
    /// [`validate_batch`](Self::validate_batch) for each scope, at most
    /// [`batch_concurrency`](crate::CredentialManagerBuilder::batch_concurrency) at once.
    ///
    /// A credential that is deleted after the list is [`NotFound`](ValidationResult::NotFound).
    ///
    /// ```
    /// # use cred_manager::{CredentialManager, ManagerError};
    /// # async fn example(manager: CredentialManager) -> Result<(), ManagerError> {
    /// let found = manager.validate_tree().await?;
    /// for unusable in found.iter().filter(|found| !found.result.is_usable()) {
    ///     println!("{}: {:?}", unusable.path, unusable.result);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The tree cannot be listed: [`ManagerError::Storage`], [`ManagerError::ShutDown`]. A failed
    /// look-up of a credential is [`LookupFailed`](ValidationResult::LookupFailed) in its result.
    ///
    /// # Cancellation
    /// Dropping the future starts no further call.
    pub async fn validate_tree(&self) -> Result<Vec<ValidatedPath>, ManagerError> {
        let work = async {
            let paths = self.list_tree().await?;
            let by_scope = paths.chunk_by(|path, next| path.scope == next.scope);
            let chunks = by_scope.flat_map(|paths| paths.chunks(self.shared.batch()));
            let validate: Vec<_> = chunks.map(|paths| self.validate_paths(paths)).collect();
            let mut found = self.bounded(validate.into_iter()).await;
            found.sort_unstable_by(|left, right| left.path.cmp(&right.path));
            Ok(found)
        };
        observe_as("validate_tree", self, None, work, |found| match found {
            Ok(found) => {
                let failures = found.iter().filter_map(|found: &ValidatedPath| failed_look_up(&found.result));
                outcome_of_parts(found.len(), failures)
            }
            failed => outcome(failed),
        })
        .await
    }

    /// Validates paths of one scope by one call of the provider.
    async fn validate_paths(&self, paths: &[CredentialPath]) -> Vec<ValidatedPath> {
        let handle = paths.first().map_or_else(|| Ok(self.clone()), |path| self.at(path));
        let results = match handle {
            Ok(handle) => handle.validate_many(paths.iter().map(|path| path.id.clone()).collect()).await,
            Err(error) => paths.iter().map(|_| look_up_failed(error.clone())).collect(),
        };
        let validated = |(path, result): (&CredentialPath, _)| ValidatedPath { path: path.clone(), result };
        paths.iter().zip(results).map(validated).collect()
    }

    async fn validate_one(&self, id: &CredentialId) -> Result<ValidationResult, ManagerError> {
        self.shared.tasks.refuse_when_closed()?;
        self.validation_result(self.shared.fetch_opened(id, &self.context).await)
    }

    /// Validates the different ids of a chunk by one call of the provider. One result for each.
    async fn validate_many(&self, ids: Vec<CredentialId>) -> Vec<ValidationResult> {
        if let Err(closed) = self.shared.tasks.refuse_when_closed() {
            return ids.iter().map(|_| look_up_failed(closed.clone())).collect();
        }
        let fetches = match (self.shared.batch(), ids.as_slice()) {
            (1, [id]) => vec![self.shared.fetch_opened(id, &self.context).await],
            (_, ids) => self.shared.fetch_many(ids, &self.context).await,
        };
        fetches
            .into_iter()
            .map(|fetch| self.validation_result(fetch).unwrap_or_else(look_up_failed))
            .collect()
    }

    fn validation_result(&self, fetch: Fetch) -> Result<ValidationResult, ManagerError> {
        let Fetched { stored: Sealed { metadata, .. }, opened } = match fetch {
            Ok(Some(fetched)) => fetched,
            Ok(None) => return Ok(ValidationResult::NotFound),
            Err(ManagerError::Storage(error)) if error.is_corrupted() => {
                return Ok(ValidationResult::Unreadable { error: error.into() });
            }
            Err(error) => return Err(error),
        };
        match opened {
            // Opening proved that the stored metadata equals the sealed metadata.
            Ok(credential) => {
                let warning = self.shared.settings.expiry_warning;
                let findings = finding::findings(&credential, &metadata, Timestamp::now(), warning);
                Ok(match findings.is_empty() {
                    true => ValidationResult::Valid,
                    false => ValidationResult::NeedsAttention { findings },
                })
            }
            // The key service failed, which does not prove that the credential is unreadable.
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
