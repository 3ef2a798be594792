//! Durations in configuration files, written as `"30s"`.
//!
//! For `#[serde(with = "cred_provider_kit::duration")]`. A number without a unit is rejected.
//! Errors never repeat the input: a value in the wrong line of a file may be a secret.
//!
//! ```
//! use std::time::Duration;
//!
//! #[derive(serde::Deserialize)]
//! struct Config {
//!     #[serde(with = "cred_provider_kit::duration")]
//!     timeout: Duration,
//! }
//! let config: Config = serde_json::from_str(r#"{ "timeout": "1m 30s" }"#)?;
//! assert_eq!(config.timeout, Duration::from_secs(90));
//! # Ok::<(), serde_json::Error>(())
//! ```

use std::fmt;
use std::time::Duration;

use serde::de::{self, Deserializer, Visitor};
use serde::ser::Serializer;

/// Serializes a duration with units: `30s`, `1m 30s`, `250ms`. Nothing is rounded.
///
/// # Errors
/// Only errors of the serializer.
pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_duration(*duration))
}

/// Deserializes one or more numbers with their units, from `ns` to `years`, as the `humantime`
/// crate does. The format must be self-describing, as configuration formats are.
///
/// # Errors
/// Any other input, including a number without a unit. The message does not repeat the input.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    // If asked for a string, serde_json rejects a number itself, and quotes it.
    deserializer.deserialize_any(DurationVisitor)
}

const EXPECTED: &str = r#"a number with a unit in quotes, such as "30s" or "1m 30s""#;

struct DurationVisitor;

impl Visitor<'_> for DurationVisitor {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTED)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
        // The error of `humantime` quotes the input.
        humantime::parse_duration(text).map_err(|_| invalid_duration())
    }

    // The default implementations quote the value.
    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Duration, E> {
        Err(invalid_duration())
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Duration, E> {
        Err(invalid_duration())
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Duration, E> {
        Err(invalid_duration())
    }
}

fn invalid_duration<E: de::Error>() -> E {
    E::custom(format_args!("invalid duration: expected {EXPECTED}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Config {
        #[serde(with = "crate::duration")]
        timeout: Duration,
    }

    fn read(value: &str) -> Result<Duration, serde_json::Error> {
        serde_json::from_str::<Config>(&format!(r#"{{"timeout":{value}}}"#)).map(|config| config.timeout)
    }

    #[test]
    fn durations_are_read_and_written_with_units() {
        assert_eq!(read(r#""30s""#).unwrap(), Duration::from_secs(30));
        assert_eq!(read(r#""1m 30s""#).unwrap(), Duration::from_secs(90));
        assert_eq!(read(r#""250ms""#).unwrap(), Duration::from_millis(250));
        let written = serde_json::to_string(&Config { timeout: Duration::from_secs(90) }).unwrap();
        assert_eq!(written, r#"{"timeout":"1m 30s"}"#);
    }

    #[test]
    fn an_invalid_duration_is_refused_and_not_repeated() {
        for wrong in [
            r#""hunter2""#,
            r#""30 hunter2""#,
            r#""7316""#,
            r#""-7316s""#,
            "7316",
            "-7316",
            "7316.5",
            r#""""#,
        ] {
            let error = read(wrong).unwrap_err().to_string();
            assert!(error.contains(r#"such as "30s""#), "{error}");
            assert!(!error.contains("hunter2") && !error.contains("7316"), "{error}");
        }
        assert!(read("null").is_err());
    }

    proptest! {
        #[test]
        fn every_duration_round_trips_exactly(seconds in 0..=u64::from(u32::MAX), nanos in 0_u32..1_000_000_000) {
            let config = Config { timeout: Duration::new(seconds, nanos) };
            let text = serde_json::to_string(&config).unwrap();
            prop_assert_eq!(serde_json::from_str::<Config>(&text).unwrap(), config);
        }
    }
}
