//! The retry policy for transient failures.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ConfigError;

/// Exponential backoff, the same for all backends. Only
/// [transient](crate::StorageErrorKind::is_transient) failures are retried, and only until the
/// timeout of the operation.
///
/// With the defaults there are up to 6 attempts: the first one, and retries after delays of 100,
/// 200, 400, 800 and 1,600 ms. Each delay varies by up to a quarter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// Maximum number of attempts after the first; 0 to 10, default 5.
    pub max_retries: u32,
    /// Delay before the first retry in milliseconds; 10 to 10,000, default 100.
    pub base_delay_ms: u64,
    /// Maximum delay in milliseconds; more than `base_delay_ms`, default 30,000.
    pub max_delay_ms: u64,
    /// Factor from one delay to the next; 1.0 to 10.0, default 2.0.
    pub multiplier: f64,
    /// Varies each delay randomly by up to a quarter in either direction, so that many clients do
    /// not retry at the same moment; default true.
    pub jitter: bool,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { max_retries: 5, base_delay_ms: 100, max_delay_ms: 30_000, multiplier: 2.0, jitter: true }
    }
}

impl RetryPolicy {
    /// The maximum jitter, as a fraction of the delay.
    pub const JITTER: f64 = 0.25;

    /// Returns the delay before retry number `retry`, counted from 0.
    ///
    /// The function is pure: the caller supplies `random`, a number from 0.0 (shortest delay) to
    /// 1.0 (longest delay). It is not used without [`jitter`](Self::jitter). The delay never
    /// exceeds [`max_delay_ms`](Self::max_delay_ms), for any policy and any input.
    ///
    /// ```
    /// use cred_core::RetryPolicy;
    /// let policy = RetryPolicy::default();
    /// assert_eq!(policy.delay(0, 0.5).as_millis(), 100);
    /// assert_eq!(policy.delay(4, 0.5).as_millis(), 1_600);
    /// assert_eq!(policy.delay(0, 0.0).as_millis(), 75);
    /// ```
    #[must_use]
    pub fn delay(&self, retry: u32, random: f64) -> Duration {
        let retry = i32::try_from(retry).unwrap_or(i32::MAX);
        let max_ms = to_f64(self.max_delay_ms);
        let backoff_ms = (to_f64(self.base_delay_ms) * self.multiplier.powi(retry)).min(max_ms);
        let jitter = match self.jitter {
            true => Self::JITTER * (2.0 * random.clamp(0.0, 1.0) - 1.0),
            false => 0.0,
        };
        let delay_ms = (backoff_ms * (1.0 + jitter)).clamp(0.0, max_ms);
        // NaN, from a policy that was not validated, gives the maximum delay instead of a panic.
        Duration::try_from_secs_f64(delay_ms / 1_000.0).unwrap_or(Duration::from_millis(self.max_delay_ms))
    }

    /// Checks the bounds of every field.
    ///
    /// # Errors
    /// [`ConfigError`] names the first field outside its bounds.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let refuse = |field, problem| Err(ConfigError::invalid("retry policy", field, problem));
        if self.max_retries > 10 {
            return refuse("max_retries", "must be between 0 and 10");
        }
        if !(10..=10_000).contains(&self.base_delay_ms) {
            return refuse("base_delay_ms", "must be between 10 and 10,000");
        }
        if self.max_delay_ms <= self.base_delay_ms {
            return refuse("max_delay_ms", "must be greater than base_delay_ms");
        }
        if !(1.0..=10.0).contains(&self.multiplier) {
            return refuse("multiplier", "must be between 1.0 and 10.0");
        }
        Ok(())
    }

    /// Sets [`max_retries`](Self::max_retries).
    #[must_use]
    pub const fn with_max_retries(mut self, max_retries: u32) -> Self {
        self.max_retries = max_retries;
        self
    }

    /// Sets [`base_delay_ms`](Self::base_delay_ms).
    #[must_use]
    pub const fn with_base_delay_ms(mut self, base_delay_ms: u64) -> Self {
        self.base_delay_ms = base_delay_ms;
        self
    }

    /// Sets [`max_delay_ms`](Self::max_delay_ms).
    #[must_use]
    pub const fn with_max_delay_ms(mut self, max_delay_ms: u64) -> Self {
        self.max_delay_ms = max_delay_ms;
        self
    }

    /// Sets [`multiplier`](Self::multiplier).
    #[must_use]
    pub const fn with_multiplier(mut self, multiplier: f64) -> Self {
        self.multiplier = multiplier;
        self
    }

    /// Sets [`jitter`](Self::jitter).
    #[must_use]
    pub const fn with_jitter(mut self, jitter: bool) -> Self {
        self.jitter = jitter;
        self
    }
}

/// Delays are far below 2^53 ms; above it, the nearest float is good enough.
#[expect(clippy::cast_precision_loss, reason = "rounding a delay of 285,000 years does no harm")]
fn to_f64(millis: u64) -> f64 {
    millis as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_defaults_match_the_specification() {
        let policy = RetryPolicy::default();
        assert!(policy.validate().is_ok());
        let delays: Vec<_> = (0..5).map(|retry| policy.delay(retry, 0.5).as_millis()).collect();
        assert_eq!(delays, [100, 200, 400, 800, 1_600]);
    }

    #[test]
    fn values_just_outside_the_bounds_are_refused() {
        let policy = RetryPolicy::default;
        for (wrong, field) in [
            (policy().with_max_retries(11), "max_retries"),
            (policy().with_base_delay_ms(9), "base_delay_ms"),
            (policy().with_base_delay_ms(10_001), "base_delay_ms"),
            (policy().with_max_delay_ms(100), "max_delay_ms"),
            (policy().with_multiplier(0.99), "multiplier"),
            (policy().with_multiplier(10.1), "multiplier"),
            (policy().with_multiplier(f64::NAN), "multiplier"),
        ] {
            assert_eq!(wrong.validate().unwrap_err().field(), field);
        }
    }

    #[test]
    fn unknown_fields_are_refused() {
        assert!(serde_json::from_str::<RetryPolicy>(r#"{"max_retry":3}"#).is_err());
        let policy: RetryPolicy = serde_json::from_str(r#"{"max_retries":3}"#).unwrap();
        assert_eq!(policy, RetryPolicy::default().with_max_retries(3));
    }

    proptest! {
        #[test]
        fn delays_stay_within_the_policy(
            base in 10_u64..=10_000, more in 1_u64..=100_000, multiplier in 1.0_f64..=10.0,
            retry in 0_u32..=1_000, random in -1.0_f64..=2.0, jitter: bool,
        ) {
            let policy = RetryPolicy { max_retries: 10, base_delay_ms: base, max_delay_ms: base + more, multiplier, jitter };
            prop_assert!(policy.validate().is_ok());
            let delay = policy.delay(retry, random);
            prop_assert!(delay <= Duration::from_millis(policy.max_delay_ms));
            prop_assert!(delay >= Duration::from_millis(base).mul_f64(1.0 - RetryPolicy::JITTER - 1e-9));
        }

        #[test]
        fn a_policy_that_was_not_validated_cannot_panic(
            base: u64, max: u64, multiplier in prop::num::f64::ANY, retry: u32, random in prop::num::f64::ANY,
        ) {
            let policy = RetryPolicy { max_retries: 0, base_delay_ms: base, max_delay_ms: max, multiplier, jitter: true };
            let _ = policy.delay(retry, random);
        }
    }
}
