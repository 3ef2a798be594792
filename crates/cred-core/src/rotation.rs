//! When a credential should be replaced by a fresh one.

use std::time::Duration;

use crate::Timestamp;

/// When a credential is due for rotation. It only tells; nothing rotates by itself.
///
/// Durations are kept in whole milliseconds: use [`RotationPolicy::periodic`] and [`RotationPolicy::before_expiry`],
/// which cut them, so that a policy comes back equal to what was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RotationPolicy {
    /// Due once this much time has passed since the credential was last modified.
    Periodic {
        /// Milliseconds between rotations.
        interval_ms: u64,
    },
    /// Due this long before the credential expires; never due without an expiry.
    BeforeExpiry {
        /// Milliseconds before the expiry.
        lead_ms: u64,
    },
    /// Due at a fixed moment, until the credential is modified at or after it.
    At {
        /// The moment.
        at: Timestamp,
    },
    /// Never due by itself: somebody decides.
    Manual,
}

impl RotationPolicy {
    /// Due `interval` after the last modification, cut to whole milliseconds.
    #[must_use]
    pub fn periodic(interval: Duration) -> Self {
        Self::Periodic { interval_ms: whole_millis(interval) }
    }

    /// Due `lead` before the expiry, cut to whole milliseconds.
    #[must_use]
    pub fn before_expiry(lead: Duration) -> Self {
        Self::BeforeExpiry { lead_ms: whole_millis(lead) }
    }

    /// The moment from which rotation is due, for a credential last modified and expiring at these moments; `None`:
    /// never due by itself.
    #[must_use]
    pub fn due_at(&self, last_modified: Timestamp, expires_at: Option<Timestamp>) -> Option<Timestamp> {
        match *self {
            Self::Periodic { interval_ms } => {
                Some(last_modified.saturating_add(Duration::from_millis(interval_ms)))
            }
            Self::BeforeExpiry { lead_ms } => {
                expires_at.map(|expiry| expiry.saturating_sub(Duration::from_millis(lead_ms)))
            }
            Self::At { at } => (last_modified < at).then_some(at),
            Self::Manual => None,
        }
    }
}

fn whole_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_says_when_it_is_due() {
        let at = Timestamp::from_unix_millis;
        let hour = Duration::from_secs(3_600);
        assert_eq!(RotationPolicy::periodic(hour).due_at(at(5), None), Some(at(3_600_005)));
        assert_eq!(RotationPolicy::before_expiry(hour).due_at(at(5), Some(at(3_600_009))), Some(at(9)));
        assert_eq!(RotationPolicy::before_expiry(hour).due_at(at(5), None), None);
        assert_eq!(RotationPolicy::At { at: at(7) }.due_at(at(5), None), Some(at(7)));
        assert_eq!(RotationPolicy::At { at: at(7) }.due_at(at(7), None), None, "rotated since");
        assert_eq!(RotationPolicy::Manual.due_at(at(5), Some(at(6))), None);
    }
}
