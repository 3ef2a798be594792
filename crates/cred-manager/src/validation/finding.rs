//! The problems of a readable credential.

use std::fmt;
use std::time::Duration;

use cred_core::{Credential, CredentialMetadata, FormatProblem, Timestamp};

/// A reason why a readable credential needs attention, found by
/// [`CredentialManager::validate`](crate::CredentialManager::validate). Its text contains fields
/// and times, never a value.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// Its expiry has passed.
    Expired {
        /// The expiry.
        since: Timestamp,
    },
    /// A field does not have the format of its kind, by the rules of
    /// [`Credential::format_problems`]. One finding for each problem.
    Malformed {
        /// The problem.
        problem: FormatProblem,
    },
    /// Its rotation policy requires a new value. If the policy is `before-expiry`, the new value
    /// needs a later expiry: otherwise [`rotate`](crate::CredentialManager::rotate) keeps the
    /// stored expiry, and the rotation stays due.
    RotationDue {
        /// When the rotation became due.
        since: Timestamp,
    },
    /// It expires within the builder's
    /// [`expiry_warning`](crate::CredentialManagerBuilder::expiry_warning), by default 7 days.
    ExpiringSoon {
        /// The expiry.
        at: Timestamp,
    },
}

impl Finding {
    /// Whether the credential can still be used despite this finding: it is due for rotation or
    /// expires soon.
    #[must_use]
    pub const fn is_usable(&self) -> bool {
        matches!(self, Self::RotationDue { .. } | Self::ExpiringSoon { .. })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired { since } => write!(f, "expired at {since}"),
            Self::Malformed { problem } => write!(f, "malformed: {problem}"),
            Self::RotationDue { since } => write!(f, "due for rotation since {since}"),
            Self::ExpiringSoon { at } => write!(f, "expires soon, at {at}"),
        }
    }
}

/// Every finding about an opened credential at `now`, in the order of the variants of [`Finding`].
/// `metadata` is the stored metadata of the credential.
pub(super) fn findings(
    credential: &Credential,
    metadata: &CredentialMetadata,
    now: Timestamp,
    expiry_warning: Duration,
) -> Vec<Finding> {
    let expiry = metadata.expires_at;
    let due = metadata.rotation.and_then(|policy| policy.due_at(metadata.last_modified, expiry));
    let warn_until = now.saturating_add(expiry_warning);

    let mut findings = Vec::new();
    findings.extend(expiry.filter(|at| *at <= now).map(|since| Finding::Expired { since }));
    findings.extend(credential.format_problems().into_iter().map(|problem| Finding::Malformed { problem }));
    findings.extend(due.filter(|at| *at <= now).map(|since| Finding::RotationDue { since }));
    findings.extend(expiry.filter(|at| *at > now && *at < warn_until).map(|at| Finding::ExpiringSoon { at }));
    findings
}

#[cfg(test)]
mod tests {
    use cred_core::{RotationPolicy, field};

    use super::Finding::{Expired, ExpiringSoon, Malformed, RotationDue};
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_unix_millis(millis)
    }

    /// The findings at `now` about a credential modified at 0, with a warning of an hour.
    fn found_of(
        credential: &Credential,
        expires_at: Option<u64>,
        rotation: impl Into<Option<RotationPolicy>>,
        now: u64,
    ) -> Vec<Finding> {
        let metadata =
            CredentialMetadata::new(at(0)).with_expires_at(expires_at.map(at)).with_rotation(rotation);
        findings(credential, &metadata, at(now), HOUR)
    }

    fn found(expires_at: Option<u64>, rotation: impl Into<Option<RotationPolicy>>, now: u64) -> Vec<Finding> {
        found_of(&Credential::text("x"), expires_at, rotation, now)
    }

    #[test]
    fn an_expiry_is_reported_within_the_warning_and_after_it() {
        let day = 24 * 3_600_000;
        assert_eq!(found(Some(day), None, 0), []);
        assert_eq!(found(Some(day), None, day - 3_600_000), []);
        assert_eq!(found(Some(day), None, day - 3_599_999), [ExpiringSoon { at: at(day) }]);
        assert_eq!(found(Some(day), None, day), [Expired { since: at(day) }]);
        assert_eq!(found(None, None, u64::MAX), []);
    }

    #[test]
    fn each_kind_of_policy_comes_due() {
        let is_due = |found: Vec<Finding>| found.iter().any(|finding| matches!(finding, RotationDue { .. }));
        assert!(!is_due(found(None, RotationPolicy::periodic(HOUR), 3_599_999)));
        assert!(is_due(found(None, RotationPolicy::periodic(HOUR), 3_600_000)));
        assert!(!is_due(found(Some(7_200_000), RotationPolicy::before_expiry(HOUR), 3_599_999)));
        assert!(is_due(found(Some(7_200_000), RotationPolicy::before_expiry(HOUR), 3_600_000)));
        assert!(!is_due(found(None, RotationPolicy::At { at: at(5) }, 4)));
        assert!(is_due(found(None, RotationPolicy::At { at: at(5) }, 5)));
        assert!(!is_due(found(None, RotationPolicy::Manual, u64::MAX)));
    }

    #[test]
    fn all_findings_are_given_in_order() {
        let pair = Credential::key_pair(vec![], vec![]);
        let empty = |field| Malformed { problem: FormatProblem::Empty { field } };
        let since = at(3_600_000);
        assert_eq!(
            found_of(&pair, Some(5), RotationPolicy::periodic(HOUR), 9_000_000),
            [
                Expired { since: at(5) },
                empty(field::PRIVATE_KEY),
                empty(field::PUBLIC_KEY),
                RotationDue { since },
            ]
        );
        assert_eq!(
            found_of(&pair, Some(9_000_001), RotationPolicy::periodic(HOUR), 9_000_000),
            [
                empty(field::PRIVATE_KEY),
                empty(field::PUBLIC_KEY),
                RotationDue { since },
                ExpiringSoon { at: at(9_000_001) },
            ]
        );
    }

    #[test]
    fn a_finding_is_displayed_with_its_time_or_its_field() {
        let problem = FormatProblem::Empty { field: field::PASSWORD };
        for (finding, usable, expected) in [
            (Expired { since: at(0) }, false, "expired at 1970-01-01T00:00:00"),
            (Malformed { problem }, false, "malformed: field `password` is missing or empty"),
            (RotationDue { since: at(0) }, true, "due for rotation since 1970-01-01T00:00:00"),
            (ExpiringSoon { at: at(0) }, true, "expires soon, at 1970-01-01T00:00:00"),
        ] {
            assert!(finding.to_string().starts_with(expected), "{finding}");
            assert_eq!(finding.is_usable(), usable, "{finding}");
        }
    }
}
