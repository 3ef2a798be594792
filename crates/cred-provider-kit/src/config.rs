//! Helpers for the configurations of providers: setters, the bounds of deadlines, and errors that
//! never repeat a secret.
//!
//! ```
//! use std::collections::BTreeMap;
//! use std::time::Duration;
//!
//! use cred_core::{ConfigError, ProviderConfig, RetryPolicy};
//! use cred_provider_kit::{config, setters};
//!
//! #[derive(Clone, Default)]
//! #[non_exhaustive]
//! pub struct MyConfig {
//!     /// Address of the server.
//!     pub address: String,
//!     /// Owner of the credentials; `None`: no owner.
//!     pub owner: Option<String>,
//!     /// Tags of every secret.
//!     pub default_tags: BTreeMap<String, String>,
//!     /// Timeout of one attempt; 1 to 60 s.
//!     pub timeout: Duration,
//!     /// Timeout of an operation with all its attempts; 1 s to 10 minutes.
//!     pub operation_timeout: Duration,
//!     /// Number of retries, and the delays between attempts.
//!     pub retry_policy: RetryPolicy,
//! }
//!
//! impl MyConfig {
//!     setters! {
//!         into with_address(address: String);
//!         some with_owner(owner: String);
//!         map with_default_tags(default_tags: BTreeMap<String, String>);
//!         const with_timeout(timeout: Duration);
//!         const with_operation_timeout(operation_timeout: Duration);
//!         with_retry_policy(retry_policy: RetryPolicy);
//!     }
//! }
//!
//! impl ProviderConfig for MyConfig {
//!     fn validate(&self) -> Result<(), ConfigError> {
//!         config::check_deadlines("mine", self.timeout, self.operation_timeout)?;
//!         self.retry_policy.validate()
//!     }
//!
//!     fn provider_name(&self) -> &'static str {
//!         "mine"
//!     }
//! }
//!
//! let config = MyConfig::default().with_address("a").with_default_tags([("team", "payments")]);
//! assert_eq!(config.default_tags["team"], "payments");
//! ```

mod unquoted;

use std::ops::RangeInclusive;
use std::time::Duration;

use cred_core::ConfigError;

pub use self::unquoted::unquoted;
use crate::RetryBudget;

const TIMEOUT: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(60);
const OPERATION_TIMEOUT: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(600);

/// Checks the fields `timeout` (one attempt: 1 to 60 s) and `operation_timeout` (all attempts
/// together: 1 s to 10 minutes) of any backend, local or on a network. `operation_timeout` may be
/// shorter than `timeout`: it then ends an attempt early.
///
/// # Errors
/// A [`ConfigError`] that names the field.
pub fn check_deadlines(
    provider: &'static str,
    timeout: Duration,
    operation_timeout: Duration,
) -> Result<(), ConfigError> {
    if !TIMEOUT.contains(&timeout) {
        return Err(ConfigError::invalid(provider, "timeout", "must be 1 to 60 s"));
    }
    if !OPERATION_TIMEOUT.contains(&operation_timeout) {
        return Err(ConfigError::invalid(provider, "operation_timeout", "must be 1 s to 10 minutes"));
    }
    Ok(())
}

/// Checks the field `retry_budget`, the capacity of a [`RetryBudget`]: 10 to 1,000,000 tokens.
/// Fewer would not pay for a retry after a timeout.
///
/// # Errors
/// A [`ConfigError`] that names the field.
pub fn check_retry_budget(provider: &'static str, tokens: u32) -> Result<(), ConfigError> {
    if !(RetryBudget::TIMEOUT_RETRY_COST..=1_000_000).contains(&tokens) {
        let problem =
            "must be 10 to 1,000,000 tokens; to turn retries off, set `max_retries` of `retry_policy` to 0";
        return Err(ConfigError::invalid(provider, "retry_budget", problem));
    }
    Ok(())
}

/// Generates the `with_` methods of a configuration with public fields. Use it inside the `impl`;
/// [`config`](mod@crate::config) has an example.
///
/// - `with_policy(policy: Policy);` takes a value of the field's type.
/// - `const with_wait(wait: Duration);` does the same, and can be called in constants.
/// - `into with_name(name: String);` takes any value that converts into the field's type.
/// - `some with_path(path: PathBuf);` is for a field that is an `Option`, and takes any value that
///   converts into the inner type. To set the field to an `Option`, assign the field.
/// - `map with_tags(tags: BTreeMap<String, String>);` replaces the map by pairs that convert into
///   its keys and values: an array, a `Vec` or another map.
#[macro_export]
macro_rules! setters {
    () => {};
    (const $setter:ident($field:ident: $value:ty); $($rest:tt)*) => {
        #[doc = concat!("Sets [`", stringify!($field), "`](Self::", stringify!($field), ").")]
        #[must_use]
        pub const fn $setter(mut self, $field: $value) -> Self {
            self.$field = $field;
            self
        }
        $crate::setters! { $($rest)* }
    };
    (into $setter:ident($field:ident: $value:ty); $($rest:tt)*) => {
        #[doc = concat!("Sets [`", stringify!($field), "`](Self::", stringify!($field), ").")]
        #[must_use]
        pub fn $setter(mut self, $field: impl Into<$value>) -> Self {
            self.$field = $field.into();
            self
        }
        $crate::setters! { $($rest)* }
    };
    (some $setter:ident($field:ident: $value:ty); $($rest:tt)*) => {
        #[doc = concat!("Sets [`", stringify!($field), "`](Self::", stringify!($field), ").")]
        #[must_use]
        pub fn $setter(mut self, $field: impl Into<$value>) -> Self {
            self.$field = Some($field.into());
            self
        }
        $crate::setters! { $($rest)* }
    };
    (map $setter:ident($field:ident: BTreeMap<$key:ty, $value:ty>); $($rest:tt)*) => {
        #[doc = concat!("Sets [`", stringify!($field), "`](Self::", stringify!($field), ") to these pairs.")]
        #[must_use]
        pub fn $setter<K: Into<$key>, V: Into<$value>>(
            mut self,
            $field: impl IntoIterator<Item = (K, V)>,
        ) -> Self {
            self.$field = $field.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
            self
        }
        $crate::setters! { $($rest)* }
    };
    ($setter:ident($field:ident: $value:ty); $($rest:tt)*) => {
        #[doc = concat!("Sets [`", stringify!($field), "`](Self::", stringify!($field), ").")]
        #[must_use]
        pub fn $setter(mut self, $field: $value) -> Self {
            self.$field = $field;
            self
        }
        $crate::setters! { $($rest)* }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_budget_out_of_bounds_is_named() {
        for right in [10, RetryBudget::CAPACITY, 1_000_000] {
            assert!(check_retry_budget("p", right).is_ok());
        }
        for wrong in [0, 9, 1_000_001, u32::MAX] {
            assert_eq!(check_retry_budget("p", wrong).unwrap_err().field(), "retry_budget");
        }
    }

    #[test]
    fn a_deadline_out_of_bounds_is_named() {
        let s = Duration::from_secs;
        let field =
            |timeout, operation| check_deadlines("p", timeout, operation).unwrap_err().field().to_owned();
        assert!(check_deadlines("p", s(1), s(1)).is_ok() && check_deadlines("p", s(60), s(600)).is_ok());
        for wrong in [Duration::from_millis(999), s(61)] {
            assert_eq!(field(wrong, s(60)), "timeout");
        }
        for wrong in [Duration::from_millis(999), s(601)] {
            assert_eq!(field(s(5), wrong), "operation_timeout");
        }
    }
}
