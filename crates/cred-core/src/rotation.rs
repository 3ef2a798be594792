//! Rotation policies: when a credential should be replaced.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::timestamp::whole_millis;
use crate::{ParseError, Timestamp};

/// A policy that defines when a credential is due for rotation. Nothing rotates automatically.
///
/// It is written, parsed and serialized as `every:90d`, `before-expiry:7d`,
/// `at:2027-01-31T12:00:00Z` or `manual`. Durations have the units of the `humantime` crate.
///
/// ```
/// use std::time::Duration;
/// use cred_core::RotationPolicy;
/// let policy: RotationPolicy = "every:90d".parse()?;
/// assert_eq!(policy, RotationPolicy::periodic(Duration::from_secs(90 * 24 * 60 * 60)));
/// assert_eq!(policy.to_string(), "every:90d");
/// # Ok::<(), cred_core::ParseError>(())
/// ```
///
/// Durations are stored in whole milliseconds. [`RotationPolicy::periodic`] and
/// [`RotationPolicy::before_expiry`] truncate them, so a policy that is read back equals the stored
/// one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
#[non_exhaustive]
pub enum RotationPolicy {
    /// Due when this much time has passed since the credential was last modified.
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
    /// Never due; it is rotated on demand.
    Manual,
}

impl RotationPolicy {
    /// Creates a policy that is due `interval` after the last modification, truncated to whole
    /// milliseconds.
    #[must_use]
    pub fn periodic(interval: Duration) -> Self {
        Self::Periodic { interval_ms: whole_millis(interval) }
    }

    /// Creates a policy that is due `lead` before the expiry, truncated to whole milliseconds.
    #[must_use]
    pub fn before_expiry(lead: Duration) -> Self {
        Self::BeforeExpiry { lead_ms: whole_millis(lead) }
    }

    /// Returns the moment from which on rotation is due, for a credential with this time of last
    /// modification and this expiry; `None`: not due.
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

impl fmt::Display for RotationPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Periodic { interval_ms } => write!(f, "every:{}", MillisDisplay(interval_ms)),
            Self::BeforeExpiry { lead_ms } => write!(f, "before-expiry:{}", MillisDisplay(lead_ms)),
            Self::At { at } => write!(f, "at:{at}"),
            Self::Manual => f.write_str("manual"),
        }
    }
}

impl FromStr for RotationPolicy {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let policy = match text.split_once(':') {
            None if text == "manual" => Some(Self::Manual),
            Some(("every", rest)) => parse_duration(rest).map(Self::periodic),
            Some(("before-expiry", rest)) => parse_duration(rest).map(Self::before_expiry),
            Some(("at", rest)) => rest.parse().ok().map(|at| Self::At { at }),
            _ => None,
        };
        let problem = "write every:90d, before-expiry:7d, at:2027-01-31 or manual";
        policy.ok_or(ParseError::Malformed { what: "the rotation policy", problem })
    }
}

impl TryFrom<String> for RotationPolicy {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<RotationPolicy> for String {
    fn from(policy: RotationPolicy) -> Self {
        policy.to_string()
    }
}

/// Prints milliseconds in the largest unit without a remainder, so that 90 days are printed as 90
/// days.
struct MillisDisplay(u64);

impl fmt::Display for MillisDisplay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
        match units.into_iter().find(|(_, unit)| self.0 > 0 && self.0 % unit == 0) {
            Some((name, unit)) => write!(f, "{}{name}", self.0 / unit),
            None => write!(f, "{}ms", self.0),
        }
    }
}

fn parse_duration(text: &str) -> Option<Duration> {
    // `humantime` converts milliseconds to nanoseconds, which overflow 64 bits after 584 years.
    match text.strip_suffix("ms").and_then(|number| number.parse().ok()) {
        Some(millis) => Some(Duration::from_millis(millis)),
        None => humantime::parse_duration(text).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_round_trip_through_text_and_serde() {
        for text in
            ["every:90d", "before-expiry:36h", "every:1ms", "every:0ms", "every:253283423212063ms", "manual"]
        {
            assert_eq!(text.parse::<RotationPolicy>().unwrap().to_string(), text);
        }
        let at = RotationPolicy::At { at: Timestamp::from_unix_millis(1_801_353_600_000) };
        assert_eq!("at:2027-01-31".parse(), Ok(at));
        assert_eq!(serde_json::to_string(&at).unwrap(), r#""at:2027-01-31T00:00:00Z""#);
        assert_eq!(serde_json::from_str::<RotationPolicy>(r#""at:2027-01-31T00:00:00Z""#).unwrap(), at);
        for wrong in ["", "every", "every:", "every:9", "at:soon", "weekly", "manual:1d"] {
            assert!(wrong.parse::<RotationPolicy>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn each_policy_is_due_at_its_moment() {
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
