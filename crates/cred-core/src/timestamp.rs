//! Timestamps, as stored in metadata.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::ParseError;

/// A moment in time, in milliseconds since 1970-01-01T00:00:00Z. It serializes as that integer.
///
/// It is written as [RFC 3339](https://www.rfc-editor.org/rfc/rfc3339) in UTC, with milliseconds
/// unless they are zero. It is parsed from the same format, or from a date without a time. A moment
/// after the year 9999 is written as the last millisecond of that year.
///
/// ```
/// use cred_core::Timestamp;
/// let moment: Timestamp = "2027-01-31".parse()?;
/// assert_eq!(moment.to_string(), "2027-01-31T00:00:00Z");
/// # Ok::<(), cred_core::ParseError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// Creates a timestamp from milliseconds since the Unix epoch.
    #[must_use]
    pub const fn from_unix_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Returns the milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_unix_millis(self) -> u64 {
        self.0
    }

    /// Returns the time of the system clock; the epoch if the clock is before it.
    #[must_use]
    pub fn now() -> Self {
        SystemTime::now().into()
    }

    /// Adds `duration`, truncated to whole milliseconds; the maximum timestamp on overflow.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(whole_millis(duration)))
    }

    /// Subtracts `duration`, truncated to whole milliseconds; the epoch on underflow.
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(whole_millis(duration)))
    }

    /// Returns the time from `earlier` to this moment; zero if `earlier` is later.
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl From<SystemTime> for Timestamp {
    /// Truncates to whole milliseconds. A time before the epoch becomes the epoch.
    fn from(time: SystemTime) -> Self {
        Self(whole_millis(time.duration_since(UNIX_EPOCH).unwrap_or_default()))
    }
}

impl From<Timestamp> for SystemTime {
    fn from(time: Timestamp) -> Self {
        UNIX_EPOCH + Duration::from_millis(time.0)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `humantime` cannot print a later moment than 9999-12-31T23:59:59.999Z.
        let millis = self.0.min(253_402_300_799_999);
        let moment = SystemTime::from(Self(millis));
        match millis % 1_000 {
            0 => humantime::format_rfc3339_seconds(moment).fmt(f),
            _ => humantime::format_rfc3339_millis(moment).fmt(f),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timestamp({self})")
    }
}

impl FromStr for Timestamp {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let problem = "write it as 2027-01-31 or 2027-01-31T12:00:00Z";
        let malformed = ParseError::Malformed { what: "the timestamp", problem };
        // `humantime` refuses other offsets, but ignores one after a fraction of a second.
        if text.contains('+') && !text.ends_with("+00:00") {
            return Err(malformed);
        }
        let moment = match text.len() {
            10 => humantime::parse_rfc3339_weak(&format!("{text}T00:00:00Z")),
            _ => humantime::parse_rfc3339_weak(text),
        };
        moment.map(Self::from).map_err(|_| malformed)
    }
}

pub(crate) fn whole_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_round_trip_through_text() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (1, "1970-01-01T00:00:00.001Z"),
            (1_801_353_599_007, "2027-01-30T23:59:59.007Z"),
        ] {
            assert_eq!(Timestamp(millis).to_string(), text);
            assert_eq!(text.parse(), Ok(Timestamp(millis)));
        }
        assert_eq!(Timestamp(u64::MAX).to_string(), "9999-12-31T23:59:59.999Z");
        assert_eq!(format!("{:?}", Timestamp(0)), "Timestamp(1970-01-01T00:00:00Z)");
        assert_eq!(Timestamp(253_402_300_800_000).to_string(), "9999-12-31T23:59:59.999Z");
        let offset = "2027-01-31T12:00:00.5+02:00";
        for wrong in ["", "soon", "2027-13-01", "1969-12-31", "2027-01-31T12:00:00+02:00", offset] {
            assert!(wrong.parse::<Timestamp>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn arithmetic_saturates() {
        let second = Timestamp::from_unix_millis(1_000);
        assert_eq!(second.saturating_add(Duration::from_millis(5)).as_unix_millis(), 1_005);
        assert_eq!(second.saturating_sub(Duration::from_secs(9)).as_unix_millis(), 0);
        assert_eq!(Timestamp(u64::MAX).saturating_add(Duration::MAX), Timestamp(u64::MAX));
        assert_eq!(Timestamp(5).saturating_since(Timestamp(9)), Duration::ZERO);
        assert_eq!(Timestamp::from(UNIX_EPOCH - Duration::from_secs(1)), Timestamp(0));
    }
}
