//! For how long a login that failed is not tried again.

use std::time::Duration;

use cred_core::StorageError;
use tokio::time::Instant;

use crate::error::{Failure, Meaning};

/// A login that failed: until it ends, nobody tries another, and all are told why.
#[derive(Debug, Clone)]
pub(super) struct Hold {
    pub(super) until: Instant,
    pub(super) error: StorageError,
    /// How many logins in a row Vault has refused.
    refused: u32,
}

impl Hold {
    /// For whatever no login was refused by: an outage, another server, a certificate. A burst that
    /// fails is one login.
    const FAILED: Duration = Duration::from_millis(100);

    /// After the first refusals. A fourth one, and all that follow, are held for
    /// [`LONGEST`](Self::LONGEST).
    const REFUSED: [Duration; 3] =
        [Duration::from_secs(1), Duration::from_secs(10), Duration::from_secs(100)];

    /// Vault locks a role out, for whoever logs in with it, when it has refused five logins without
    /// a pause of 15 minutes ([user
    /// lockout](https://developer.hashicorp.com/vault/docs/concepts/user-lockout)). With this pause
    /// after the fourth, its count begins anew each time.
    const LONGEST: Duration = Duration::from_secs(1_000);

    /// After a failure, and the one before it where there was no success between.
    pub(super) fn after(previous: Option<&Self>, failure: Failure, now: Instant) -> Self {
        let refused = previous.map_or(0, |hold| hold.refused);
        let (refused, pause) = match failure.meaning {
            Meaning::LoginRefused => {
                let place = usize::try_from(refused).unwrap_or(usize::MAX);
                let pause = Self::REFUSED.get(place).copied().unwrap_or(Self::LONGEST);
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

    /// The pauses after a row of refusals.
    fn pauses(count: usize) -> Vec<u64> {
        let now = Instant::now();
        let mut hold = None;
        let mut pauses = Vec::new();
        for _ in 0..count {
            let next = Hold::after(hold.as_ref(), refusal(), now);
            pauses.push((next.until - now).as_secs());
            hold = Some(next);
        }
        pauses
    }

    fn refusal() -> Failure {
        let error = StorageErrorKind::AuthenticationFailed { reason: "no".into() }.into();
        Failure { meaning: Meaning::LoginRefused, error }
    }

    #[test]
    fn refusals_in_a_row_never_reach_the_count_that_locks_a_role_out() {
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
    fn an_outage_between_two_refusals_forgets_none() {
        let now = Instant::now();
        let first = Hold::after(None, refusal(), now);
        let outage = StorageError::from(StorageErrorKind::Unreachable { reason: "x".into() });
        let second = Hold::after(Some(&first), outage.into(), now);
        assert_eq!(second.until - now, Hold::FAILED);
        assert!(!second.is_over(now) && second.is_over(second.until));
        assert_eq!(Hold::after(Some(&second), refusal(), now).until - now, Duration::from_secs(10));
    }
}
