//! Moments and durations, as people write them.

use std::time::Duration;

use cred_core::Timestamp;

/// A moment in UTC, to the second.
pub(crate) fn shown(moment: Timestamp) -> String {
    /// The last second of the year 9999: a later moment is shown as it.
    const LAST: u64 = 253_402_300_799_000;
    Timestamp::from_unix_millis((moment.as_unix_millis() / 1_000 * 1_000).min(LAST)).to_string()
}

/// `2027-01-31`, `2027-01-31T12:00:00Z`, or `30d` from now.
pub(crate) fn moment(text: &str) -> Result<Timestamp, String> {
    if let Ok(from_now) = humantime::parse_duration(text) {
        return Ok(Timestamp::now().saturating_add(from_now));
    }
    text.parse()
        .map_err(|_| "write 2027-01-31, 2027-01-31T12:00:00Z, or how long from now, as in 30d".to_owned())
}

/// A [`moment()`] that is still to come.
pub(crate) fn expiry(text: &str) -> Result<Timestamp, String> {
    match moment(text)? {
        moment if moment > Timestamp::now() => Ok(moment),
        _ => Err("that is over already; name a moment in the future".to_owned()),
    }
}

/// `2027-01-31`, `2027-01-31T12:00:00Z`, or `30d` ago.
pub(crate) fn past(text: &str) -> Result<Timestamp, String> {
    if let Ok(ago) = humantime::parse_duration(text) {
        return Ok(Timestamp::now().saturating_sub(ago));
    }
    text.parse().map_err(|_| "write 2027-01-31, 2027-01-31T12:00:00Z, or how long ago, as in 30d".to_owned())
}

/// `14d`, `12h`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    // `humantime` counts these in nanoseconds, of which 64 bits hold 584 years.
    if let Some(millis) = text.strip_suffix("ms").and_then(|number| number.parse().ok()) {
        return Ok(Duration::from_millis(millis));
    }
    humantime::parse_duration(text).map_err(|_| "write a number with a unit, as in 14d or 12h".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_absolute_or_from_now() {
        assert_eq!(shown(moment("2027-01-31").unwrap()), "2027-01-31T00:00:00Z");
        assert_eq!(shown(moment("2027-01-31T12:30:00Z").unwrap()), "2027-01-31T12:30:00Z");
        let day = Duration::from_secs(86_400);
        assert!(moment("2d").unwrap() > Timestamp::now().saturating_add(day));
        assert!(past("2d").unwrap() < Timestamp::now().saturating_sub(day));
        assert!(moment("soon").is_err());
        assert_eq!(shown(Timestamp::from_unix_millis(u64::MAX)), "9999-12-31T23:59:59Z");
    }
}
