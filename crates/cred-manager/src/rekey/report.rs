//! The report of a re-key, and which failures stop it.

use cred_core::{CredentialPath, SealError, StorageErrorKind};

use crate::ManagerError;

/// The result of a re-key, or its progress. Each credential that was found is counted in one of the
/// numbers below: in `not_tried` at the end, and in the others once its state is known. Only
/// `to_confirm` ever decreases.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct RekeyReport {
    /// Credentials found at the start.
    pub found: usize,
    /// Resealed under the active key; in a dry run, those that would be. Without compare-and-set, a
    /// credential is counted once it was read back.
    pub resealed: usize,
    /// Already under the active key.
    pub current: usize,
    /// Deleted since the start.
    pub gone: usize,
    /// Written without compare-and-set, or perhaps written, and not read back yet. Each becomes
    /// `resealed`, `gone` or `failed`, so this is zero in the report that is returned.
    pub to_confirm: usize,
    /// Not known to be under the active key. Run the re-key again.
    pub failed: usize,
    /// The first [`MAX_FAILURES_KEPT`](Self::MAX_FAILURES_KEPT) failed credentials, with the
    /// reasons. They are unchanged, unless [`ManagerError::may_have_written`]: then they may
    /// already be resealed.
    pub failures: Vec<(CredentialPath, ManagerError)>,
    /// Not started, or not finished, because the re-key stopped before. Zero until it has stopped.
    pub not_tried: usize,
    /// The error that stopped the re-key before every credential was finished; `None`: it processed
    /// all of them.
    pub stopped: Option<ManagerError>,
}

impl RekeyReport {
    /// A re-key stops after this many failures of the backend or the key service in a row.
    pub const MAX_FAILURES_IN_A_ROW: usize = 20;
    /// [`failures`](Self::failures) contains at most this many; the others are only counted.
    pub const MAX_FAILURES_KEPT: usize = 100;

    /// Whether every credential that was found is known to be under the active key now, or gone.
    /// For a dry run, whether all of them would be.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.failed == 0 && self.done() == self.found
    }

    /// Credentials with a final result: all except those to confirm, not tried, or not reached yet.
    #[must_use]
    pub fn done(&self) -> usize {
        self.resealed + self.current + self.gone + self.failed
    }

    /// The outcome in one word, for spans and metrics.
    pub(super) fn outcome(&self) -> &'static str {
        match () {
            () if self.is_complete() => "ok",
            () if self.done() > self.failed => "partial",
            () if self.failures.iter().any(|(_, error)| error.may_have_written()) => "in_doubt",
            () => "failed",
        }
    }

    pub(super) fn add_failure(&mut self, path: CredentialPath, error: ManagerError) {
        self.failed += 1;
        if self.failures.len() < Self::MAX_FAILURES_KEPT {
            self.failures.push((path, error));
        }
    }
}

/// The impact of a failure on the credentials that have not been tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FailureImpact {
    /// None: the failure concerns one credential.
    OneCredential,
    /// The backend or the key service may be down, or may refuse all of them: many such failures
    /// in a row stop the re-key.
    Outage,
    /// They would fail as well: the login is refused, or no write is possible.
    Refusal,
}

impl FailureImpact {
    pub(super) fn of(error: &ManagerError) -> Self {
        let kind = match error {
            ManagerError::ShutDown => return Self::Refusal,
            ManagerError::Seal(SealError::Failed { .. }) => return Self::Outage,
            ManagerError::Storage(error) => error.kind(),
            _ => return Self::OneCredential,
        };
        match kind {
            StorageErrorKind::AuthenticationFailed { .. } | StorageErrorKind::ReadOnly { .. } => {
                Self::Refusal
            }
            // A permission may be missing for one credential only.
            StorageErrorKind::PermissionDenied { .. }
            | StorageErrorKind::InDoubt { .. }
            | StorageErrorKind::NotDurable { .. }
            | StorageErrorKind::RecoveredNotWritten { .. }
            | StorageErrorKind::DiskFull
            | StorageErrorKind::Other { .. } => Self::Outage,
            kind if kind.is_transient() => Self::Outage,
            _ => Self::OneCredential,
        }
    }
}
