//! When a credential should be replaced by a fresh one.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::timestamp::whole_millis;
use crate::{ParseError, Timestamp};

/// When a credential is due for rotation. It only tells; nothing rotates by itself.
///
/// Written and parsed as `every:90d`, `before-expiry:7d`, `at:2027-01-31T12:00:00Z` or `manual`;
/// serializes so. Lengths of time have the units of the `humantime` crate.
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
/// Durations are kept in whole milliseconds: use [`RotationPolicy::periodic`] and
/// [`RotationPolicy::before_expiry`], which cut them, so that a policy comes back equal to what was
/// stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
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

    /// The moment from which rotation is due, for a credential last modified and expiring at these
    /// moments; `None`: never due by itself.
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
            Self::Periodic { interval_ms } => write!(f, "every:{}", Length(interval_ms)),
            Self::BeforeExpiry { lead_ms } => write!(f, "before-expiry:{}", Length(lead_ms)),
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
            Some(("every", rest)) => parse_length(rest).map(Self::periodic),
            Some(("before-expiry", rest)) => parse_length(rest).map(Self::before_expiry),
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

/// Milliseconds in the largest unit that leaves no rest, so that 90 days stay 90 days.
struct Length(u64);

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
        match units.into_iter().find(|(_, unit)| self.0 > 0 && self.0 % unit == 0) {
            Some((name, unit)) => write!(f, "{}{name}", self.0 / unit),
            None => write!(f, "{}ms", self.0),
        }
    }
}

fn parse_length(text: &str) -> Option<Duration> {
    // `humantime` counts these in nanoseconds, of which 64 bits hold 584 years.
    match text.strip_suffix("ms").and_then(|number| number.parse().ok()) {
        Some(millis) => Some(Duration::from_millis(millis)),
        None => humantime::parse_duration(text).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_read_as_it_is_written() {
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
