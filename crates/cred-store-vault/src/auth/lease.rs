//! The lease of a token, and when it must be renewed.

use std::time::Duration;

use tokio::time::Instant;

/// The lease that Vault granted for a token.
#[derive(Debug, Clone)]
pub(super) struct Lease {
    ends: Instant,
    /// When it must be renewed.
    pub(super) due: Instant,
    /// The duration that the login granted.
    granted: Duration,
    pub(super) renewable: bool,
}

impl Lease {
    /// A lease is renewed when at most one part of this many remains.
    const REMAINING_PARTS: u32 = 3;
    /// The random share by which a renewal is earlier, so that many processes that started together
    /// do not renew together.
    const SPREAD: f64 = 0.1;
    const SHORTEST_WAIT: Duration = Duration::from_millis(100);
    const LONGEST_WAIT: Duration = Duration::from_secs(30);

    /// Creates the lease of a request that was sent at `begun`. It is due when `threshold` remains,
    /// or a third of it if that is less. `random` is 0.0 to 1.0. `None`: the token never expires.
    pub(super) fn new(
        begun: Instant,
        granted: Duration,
        renewable: bool,
        threshold: Duration,
        random: f64,
    ) -> Option<Self> {
        if granted.is_zero() {
            return None;
        }
        let rest = threshold
            .min(granted / Self::REMAINING_PARTS)
            .mul_f64(1.0 + Self::SPREAD * random.clamp(0.0, 1.0));
        let ends = begun.checked_add(granted)?;
        Some(Self { ends, due: ends.checked_sub(rest).unwrap_or(begun), granted, renewable })
    }

    /// Returns the renewed lease: `next`, with the duration that the login granted.
    pub(super) fn renewed_as(&self, next: Self) -> Self {
        Self { granted: self.granted, ..next }
    }

    /// Returns the lease after a failed renewal: due again after a quarter of the remaining time.
    pub(super) fn retry_later(&self, now: Instant) -> Self {
        let wait = (self.remaining(now) / 4).clamp(Self::SHORTEST_WAIT, Self::LONGEST_WAIT);
        Self { due: now + wait, ..self.clone() }
    }

    /// Returns the lease with a renewal not before `then`, even if it ends before that.
    pub(super) fn not_before(self, then: Instant) -> Self {
        Self { due: self.due.max(then), ..self }
    }

    pub(super) fn has_ended(&self, now: Instant) -> bool {
        now >= self.ends
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        now >= self.due
    }

    /// Whether a renewal that granted this duration is limited by the maximum age of the token, so
    /// that every further renewal grants less.
    pub(super) fn is_limited_to(&self, granted: Duration) -> bool {
        granted < self.granted / 2
    }

    /// Whether enough time remains for another renewal and, if that fails too, for a login.
    pub(super) fn has_time_for_retry(&self, now: Instant) -> bool {
        self.remaining(now) > self.granted / 6
    }

    fn remaining(&self, now: Instant) -> Duration {
        self.ends.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn lease(granted: u64, threshold: Duration, random: f64) -> (Instant, Lease) {
        let begun = Instant::now();
        (begun, Lease::new(begun, Duration::from_secs(granted), true, threshold, random).unwrap())
    }

    #[test]
    fn a_short_lease_is_renewed_at_two_thirds() {
        let (begun, lease) = lease(6, HOUR, 0.0);
        assert_eq!(lease.due - begun, Duration::from_secs(4));
        assert!(
            !lease.has_ended(begun + Duration::from_millis(5_999))
                && lease.has_ended(begun + Duration::from_secs(6))
        );
    }

    #[test]
    fn a_long_lease_is_renewed_when_the_threshold_remains() {
        let (begun, lease) = lease(768 * 3_600, HOUR, 0.0);
        assert_eq!(lease.due - begun, HOUR * 767);
    }

    #[test]
    fn randomness_only_makes_a_renewal_earlier() {
        let (begun, lease) = lease(30, HOUR, 1.0);
        assert_eq!(lease.due - begun, Duration::from_secs(19));
    }

    #[test]
    fn a_token_that_never_expires_has_no_lease() {
        assert!(Lease::new(Instant::now(), Duration::ZERO, true, HOUR, 0.5).is_none());
    }

    #[test]
    fn a_renewal_that_grants_less_than_half_reached_the_maximum_age() {
        let (begun, lease) = lease(5, HOUR, 0.0);
        assert!(lease.is_limited_to(Duration::from_secs(2)) && !lease.is_limited_to(Duration::from_secs(3)));
        let next = Lease::new(begun, Duration::from_secs(3), true, HOUR, 0.0).unwrap();
        assert!(
            lease.renewed_as(next).is_limited_to(Duration::from_secs(2)),
            "compared with the lease of the login"
        );
    }

    #[test]
    fn retries_get_more_frequent_with_a_minimum_pause() {
        let (begun, lease) = lease(400, HOUR, 0.0);
        assert_eq!(lease.retry_later(begun).due - begun, Lease::LONGEST_WAIT);
        let near = begun + Duration::from_millis(399_900);
        assert_eq!(lease.retry_later(near).due - near, Lease::SHORTEST_WAIT);
        assert!(lease.has_time_for_retry(begun) && !lease.has_time_for_retry(near));
    }
}
