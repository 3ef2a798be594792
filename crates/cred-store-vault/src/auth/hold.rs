//! The pause after a failed login.

use std::time::Duration;

use cred_core::StorageError;
use tokio::time::Instant;

use crate::error::{CallFailure, FailureCause};

/// A failed login. Until the pause ends, no other login is tried, and every operation gets the
/// error.
#[derive(Debug, Clone)]
pub(super) struct LoginBackoff {
    pub(super) until: Instant,
    pub(super) error: StorageError,
    /// The number of consecutive logins that Vault has refused.
    refused: u32,
}

impl LoginBackoff {
    /// The pause after a failure that is not a refused login: an outage, another server, a
    /// certificate. With it, concurrent operations that fail make only one login.
    const FAILED: Duration = Duration::from_millis(100);

    /// The pauses after the first refusals. The pause after a fourth one, and after all that
    /// follow, is [`LONGEST`](Self::LONGEST).
    const REFUSED: [Duration; 3] =
        [Duration::from_secs(1), Duration::from_secs(10), Duration::from_secs(100)];

    /// Vault locks a role for every process that uses it after five refused logins without a pause
    /// of 15 minutes ([user
    /// lockout](https://developer.hashicorp.com/vault/docs/concepts/user-lockout)). This pause
    /// after the fourth refusal restarts that count each time.
    const LONGEST: Duration = Duration::from_secs(1_000);

    /// Returns the pause after a failure. `previous` is that of the failure before it, if no login
    /// succeeded in between.
    pub(super) fn after(previous: Option<&Self>, failure: CallFailure, now: Instant) -> Self {
        let refused = previous.map_or(0, |backoff| backoff.refused);
        let (refused, pause) = match failure.cause {
            FailureCause::LoginRefused => {
                let index = usize::try_from(refused).unwrap_or(usize::MAX);
                let pause = Self::REFUSED.get(index).copied().unwrap_or(Self::LONGEST);
                (refused.saturating_add(1), pause)
            }
            _ => (refused, Self::FAILED),
        };
        Self { until: now + pause, error: failure.error, refused }
    }

    pub(super) fn is_over(&self, now: Instant) -> bool {
        now >= self.until
    }
}

#[cfg(test)]
mod tests {
    use cred_core::StorageErrorKind;

    use super::*;

    /// The pauses after consecutive refusals.
    fn pauses(count: usize) -> Vec<u64> {
        let now = Instant::now();
        let mut backoff = None;
        let mut pauses = Vec::new();
        for _ in 0..count {
            let next = LoginBackoff::after(backoff.as_ref(), refusal(), now);
            pauses.push((next.until - now).as_secs());
            backoff = Some(next);
        }
        pauses
    }

    fn refusal() -> CallFailure {
        let error = StorageErrorKind::AuthenticationFailed { reason: "no".into() }.into();
        CallFailure { cause: FailureCause::LoginRefused, error }
    }

    #[test]
    fn consecutive_refusals_never_reach_the_lockout_threshold() {
        let (threshold, forgotten_after) = (5, 15 * 60);
        let mut counted = 0;
        for pause in pauses(20) {
            counted += 1;
            assert!(counted < threshold, "{counted} refusals without a pause of {forgotten_after} s");
            if pause > forgotten_after {
                counted = 0;
            }
        }
        assert_eq!(pauses(5), [1, 10, 100, 1_000, 1_000]);
    }

    #[test]
    fn an_outage_between_two_refusals_does_not_reset_the_count() {
        let now = Instant::now();
        let first = LoginBackoff::after(None, refusal(), now);
        let outage = StorageError::from(StorageErrorKind::Unreachable { reason: "x".into() });
        let second = LoginBackoff::after(Some(&first), outage.into(), now);
        assert_eq!(second.until - now, LoginBackoff::FAILED);
        assert!(!second.is_over(now) && second.is_over(second.until));
        assert_eq!(LoginBackoff::after(Some(&second), refusal(), now).until - now, Duration::from_secs(10));
    }
}
