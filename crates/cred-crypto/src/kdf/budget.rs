//! The limit of derivations for unproven salts, which a writer of the backend can cause.

use std::time::{Duration, Instant};

/// A token bucket: [`Budget::MAX`] derivations at once, then one per [`Budget::REFILL`].
#[derive(Debug)]
pub(super) struct Budget {
    left: u32,
    /// When the refill of the next token started. Not used while the bucket is full.
    filling_since: Instant,
}

impl Budget {
    pub(super) const MAX: u32 = 8;
    pub(super) const REFILL: Duration = Duration::from_secs(10);

    pub(super) const fn full(now: Instant) -> Self {
        Self { left: Self::MAX, filling_since: now }
    }

    /// Takes one token; returns false if there is none.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        self.refill(now);
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }

    /// Returns one token to the bucket.
    pub(super) fn refund(&mut self) {
        self.left = Self::MAX.min(self.left.saturating_add(1));
    }

    fn refill(&mut self, now: Instant) {
        while self.left < Self::MAX && now.saturating_duration_since(self.filling_since) >= Self::REFILL {
            self.left += 1;
            self.filling_since += Self::REFILL;
        }
        if self.left == Self::MAX {
            self.filling_since = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drained(now: Instant) -> Budget {
        let mut budget = Budget::full(now);
        assert!((0..Budget::MAX).all(|_| budget.take(now)));
        budget
    }

    #[test]
    fn eight_at_once_then_one_per_ten_seconds() {
        let start = Instant::now();
        let mut budget = drained(start);
        assert!(!budget.take(start));
        assert!(!budget.take(start + Duration::from_millis(9_999)));
        assert!(budget.take(start + Duration::from_secs(10)));
        assert!(!budget.take(start + Duration::from_millis(19_999)));
        assert!(
            budget.take(start + Duration::from_secs(20)),
            "a refused derivation does not restart the refill"
        );
    }

    #[test]
    fn idle_time_refills_at_most_eight() {
        let start = Instant::now();
        let mut budget = drained(start);
        let later = start + Duration::from_secs(3_600);
        assert!((0..Budget::MAX).all(|_| budget.take(later)));
        assert!(!budget.take(later));
        assert!(!budget.take(later + Duration::from_millis(9_999)), "a full bucket does not accumulate time");
    }

    #[test]
    fn a_refund_returns_one_derivation_up_to_eight_in_total() {
        let start = Instant::now();
        let mut budget = drained(start);
        budget.refund();
        assert!(budget.take(start));
        assert!(!budget.take(start));
        (0..20).for_each(|_| budget.refund());
        assert!((0..Budget::MAX).all(|_| budget.take(start)));
        assert!(!budget.take(start));
    }
}
