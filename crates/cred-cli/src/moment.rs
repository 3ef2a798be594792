//! Moments, durations and rotation policies, as people write them.

use std::time::{Duration, SystemTime};

use cred_core::{RotationPolicy, Timestamp};

/// A moment in UTC, to the second.
pub(crate) fn shown(moment: Timestamp) -> String {
    humantime::format_rfc3339_seconds(on_the_calendar(moment)).to_string()
}

/// A moment in UTC, to the millisecond that is stored.
pub(crate) fn exact(moment: Timestamp) -> String {
    match moment.as_unix_millis() % 1_000 {
        0 => shown(moment),
        _ => humantime::format_rfc3339_millis(on_the_calendar(moment)).to_string(),
    }
}

/// The moment, or the last one of the year 9999, beyond which `humantime` panics.
fn on_the_calendar(moment: Timestamp) -> SystemTime {
    const LAST: u64 = 253_402_300_799_999;
    SystemTime::from(Timestamp::from_unix_millis(moment.as_unix_millis().min(LAST)))
}

/// `2027-01-31`, `2027-01-31T12:00:00Z`, or `30d` from now.
pub(crate) fn moment(text: &str) -> Result<Timestamp, String> {
    if let Ok(from_now) = humantime::parse_duration(text) {
        return Ok(Timestamp::now().saturating_add(from_now));
    }
    at(text)
        .ok_or_else(|| "write 2027-01-31, 2027-01-31T12:00:00Z, or how long from now, as in 30d".to_owned())
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
    at(text).ok_or_else(|| "write 2027-01-31, 2027-01-31T12:00:00Z, or how long ago, as in 30d".to_owned())
}

/// A moment that is not counted from now.
pub(crate) fn at(text: &str) -> Option<Timestamp> {
    let whole = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    humantime::parse_rfc3339_weak(&whole).ok().map(Timestamp::from)
}

/// `14d`, `12h`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    // `humantime` counts these in nanoseconds, of which 64 bits hold 584 years.
    if let Some(millis) = text.strip_suffix("ms").and_then(|number| number.parse().ok()) {
        return Ok(Duration::from_millis(millis));
    }
    humantime::parse_duration(text).map_err(|_| "write a number with a unit, as in 14d or 12h".to_owned())
}

/// `every:90d`, `before-expiry:7d`, `at:2027-01-31`, `manual`.
pub(crate) fn rotation(text: &str) -> Result<RotationPolicy, String> {
    let wrong = || "write every:90d, before-expiry:7d, at:2027-01-31 or manual".to_owned();
    match text.split_once(':') {
        None if text == "manual" => Ok(RotationPolicy::Manual),
        Some(("every", rest)) => Ok(RotationPolicy::periodic(duration(rest).map_err(|_| wrong())?)),
        Some(("before-expiry", rest)) => {
            Ok(RotationPolicy::before_expiry(duration(rest).map_err(|_| wrong())?))
        }
        Some(("at", rest)) => Ok(RotationPolicy::At { at: at(rest).ok_or_else(wrong)? }),
        _ => Err(wrong()),
    }
}

/// What [`rotation`] reads; `None`: a policy that this program does not know.
pub(crate) fn rotation_shown(policy: RotationPolicy) -> Option<String> {
    match policy {
        RotationPolicy::Periodic { interval_ms } => Some(format!("every:{}", length(interval_ms))),
        RotationPolicy::BeforeExpiry { lead_ms } => Some(format!("before-expiry:{}", length(lead_ms))),
        RotationPolicy::At { at } => Some(format!("at:{}", exact(at))),
        RotationPolicy::Manual => Some("manual".to_owned()),
        _ => None,
    }
}

/// In the largest unit that leaves no rest, so that 90 days stay 90 days.
fn length(millis: u64) -> String {
    let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
    let whole = units.into_iter().find(|(_, unit)| millis > 0 && millis.is_multiple_of(*unit));
    whole.map_or_else(|| format!("{millis}ms"), |(name, unit)| format!("{}{name}", millis / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_come_back_as_they_were_written() {
        for text in ["every:90d", "before-expiry:7d", "at:2027-01-31", "manual"] {
            let policy = rotation(text).unwrap();
            assert_eq!(rotation(&rotation_shown(policy).unwrap()).unwrap(), policy, "{text}");
        }
        for text in ["every:90d", "before-expiry:36h", "every:1ms", "every:0ms", "every:253283423212063ms"] {
            assert_eq!(rotation_shown(rotation(text).unwrap()).unwrap(), text);
        }
        for wrong in ["", "every", "every:", "every:9", "at:soon", "weekly", "manual:1d"] {
            assert!(rotation(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_rotation_beyond_the_calendar_is_shown_at_its_end() {
        let policy = RotationPolicy::At { at: Timestamp::from_unix_millis(u64::MAX) };
        assert_eq!(rotation_shown(policy).as_deref(), Some("at:9999-12-31T23:59:59.999Z"));
    }

    #[test]
    fn an_exact_moment_keeps_its_milliseconds() {
        for millis in [0, 1, 999, 1_000, 1_801_353_599_007] {
            let moment = Timestamp::from_unix_millis(millis);
            assert_eq!(at(&exact(moment)), Some(moment));
        }
        assert_eq!(exact(moment("2027-01-31").unwrap()), "2027-01-31T00:00:00Z");
    }

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
