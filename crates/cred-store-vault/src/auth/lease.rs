//! How long a token is good, and when something must be done about it.

use std::time::Duration;

use tokio::time::Instant;

/// A token's life, from what Vault granted.
#[derive(Debug, Clone)]
pub(super) struct Lease {
    ends: Instant,
    /// When it is to be prolonged.
    pub(super) due: Instant,
    /// What the login granted.
    whole: Duration,
    pub(super) renewable: bool,
}

impl Lease {
    /// The part of a lease that is left when it is prolonged, at the most.
    const REST: u32 = 3;
    /// How much earlier than that chance may have it, so that many who began together do not return
    /// together.
    const SPREAD: f64 = 0.1;
    const SHORTEST_WAIT: Duration = Duration::from_millis(100);
    const LONGEST_WAIT: Duration = Duration::from_secs(30);

    /// A lease of a request that was sent at `begun`. Prolonged when `threshold` is left of it, or
    /// a third where that is less. `random` is 0.0 to 1.0. `None`: it never ends.
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
        let rest = threshold.min(granted / Self::REST).mul_f64(1.0 + Self::SPREAD * random.clamp(0.0, 1.0));
        let ends = begun.checked_add(granted)?;
        Some(Self { ends, due: ends.checked_sub(rest).unwrap_or(begun), whole: granted, renewable })
    }

    /// The same lease after it was renewed: `next` with what the login granted.
    pub(super) fn renewed_as(&self, next: Self) -> Self {
        Self { whole: self.whole, ..next }
    }

    /// Prolonging failed: once more after a quarter of what is left.
    pub(super) fn later(&self, now: Instant) -> Self {
        let wait = (self.left(now) / 4).clamp(Self::SHORTEST_WAIT, Self::LONGEST_WAIT);
        Self { due: now + wait, ..self.clone() }
    }

    /// Nothing is done about it before then, though it may end meanwhile.
    pub(super) fn not_before(self, then: Instant) -> Self {
        Self { due: self.due.max(then), ..self }
    }

    pub(super) fn has_ended(&self, now: Instant) -> bool {
        now >= self.ends
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        now >= self.due
    }

    /// Whether a renewal that granted this has met the token's maximum age: every further one
    /// grants less.
    pub(super) fn is_cut_to(&self, granted: Duration) -> bool {
        granted < self.whole / 2
    }

    /// Whether a failed renewal leaves enough for another and, should that fail too, for a login.
    pub(super) fn leaves_time(&self, now: Instant) -> bool {
        self.left(now) > self.whole / 6
    }

    fn left(&self, now: Instant) -> Duration {
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
    fn a_short_lease_is_prolonged_at_two_thirds() {
        let (begun, lease) = lease(6, HOUR, 0.0);
        assert_eq!(lease.due - begun, Duration::from_secs(4));
        assert!(
            !lease.has_ended(begun + Duration::from_millis(5_999))
                && lease.has_ended(begun + Duration::from_secs(6))
        );
    }

    #[test]
    fn a_long_one_when_the_threshold_is_left() {
        let (begun, lease) = lease(768 * 3_600, HOUR, 0.0);
        assert_eq!(lease.due - begun, HOUR * 767);
    }

    #[test]
    fn chance_only_has_it_earlier() {
        let (begun, lease) = lease(30, HOUR, 1.0);
        assert_eq!(lease.due - begun, Duration::from_secs(19));
    }

    #[test]
    fn what_never_ends_has_no_lease() {
        assert!(Lease::new(Instant::now(), Duration::ZERO, true, HOUR, 0.5).is_none());
    }

    #[test]
    fn a_renewal_that_grants_less_than_half_is_the_last() {
        let (begun, lease) = lease(5, HOUR, 0.0);
        assert!(lease.is_cut_to(Duration::from_secs(2)) && !lease.is_cut_to(Duration::from_secs(3)));
        let next = Lease::new(begun, Duration::from_secs(3), true, HOUR, 0.0).unwrap();
        assert!(lease.renewed_as(next).is_cut_to(Duration::from_secs(2)), "measured by the login's lease");
    }

    #[test]
    fn tries_get_closer_and_never_busy() {
        let (begun, lease) = lease(400, HOUR, 0.0);
        assert_eq!(lease.later(begun).due - begun, Lease::LONGEST_WAIT);
        let near = begun + Duration::from_millis(399_900);
        assert_eq!(lease.later(near).due - near, Lease::SHORTEST_WAIT);
        assert!(lease.leaves_time(begun) && !lease.leaves_time(near));
    }
}
