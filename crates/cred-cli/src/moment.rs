//! Parsing and printing of times and durations.

use std::time::Duration;

use cred_core::Timestamp;

/// Formats a time in UTC, to the second.
pub(crate) fn formatted(time: Timestamp) -> String {
    /// The last second of the year 9999, which also stands for every later time.
    const LAST: u64 = 253_402_300_799_000;
    Timestamp::from_unix_millis((time.as_unix_millis() / 1_000 * 1_000).min(LAST)).to_string()
}

/// Parses `2027-01-31`, `2027-01-31T12:00:00Z`, or `30d` from now.
fn time(text: &str) -> Result<Timestamp, String> {
    if let Ok(from_now) = humantime::parse_duration(text) {
        return Ok(Timestamp::now().saturating_add(from_now));
    }
    text.parse().map_err(|_| {
        "write a date such as 2027-01-31 or 2027-01-31T12:00:00Z, or a duration from now such as 30d"
            .to_owned()
    })
}

/// Parses a [`time`] in the future.
pub(crate) fn future_time(text: &str) -> Result<Timestamp, String> {
    match time(text)? {
        time if time > Timestamp::now() => Ok(time),
        _ => Err("this time is in the past; give one in the future".to_owned()),
    }
}

/// Parses `2027-01-31`, `2027-01-31T12:00:00Z`, or `30d` ago.
pub(crate) fn past_time(text: &str) -> Result<Timestamp, String> {
    if let Ok(ago) = humantime::parse_duration(text) {
        return Ok(Timestamp::now().saturating_sub(ago));
    }
    text.parse().map_err(|_| {
        "write a date such as 2027-01-31 or 2027-01-31T12:00:00Z, or a duration before now such as 30d"
            .to_owned()
    })
}

/// Parses `14d`, `12h`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    // `humantime` computes in nanoseconds, and 64 bits of them end at 584 years.
    if let Some(millis) = text.strip_suffix("ms").and_then(|number| number.parse().ok()) {
        return Ok(Duration::from_millis(millis));
    }
    humantime::parse_duration(text).map_err(|_| "write a number with a unit, such as 14d or 12h".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_absolute_or_relative_to_now() {
        assert_eq!(formatted(time("2027-01-31").unwrap()), "2027-01-31T00:00:00Z");
        assert_eq!(formatted(time("2027-01-31T12:30:00Z").unwrap()), "2027-01-31T12:30:00Z");
        let day = Duration::from_secs(86_400);
        assert!(time("2d").unwrap() > Timestamp::now().saturating_add(day));
        assert!(past_time("2d").unwrap() < Timestamp::now().saturating_sub(day));
        assert!(time("soon").is_err());
        assert_eq!(formatted(Timestamp::from_unix_millis(u64::MAX)), "9999-12-31T23:59:59Z");
    }
}
