//! How much derivation strangers can cause.

use std::time::{Duration, Instant};

/// A token bucket: [`Budget::MOST`] derivations at once, then one per [`Budget::REFILL`].
#[derive(Debug)]
pub(super) struct Budget {
    left: u32,
    /// Since when the next token has been filling. Never while the bucket is full.
    filling_since: Instant,
}

impl Budget {
    pub(super) const MOST: u32 = 8;
    pub(super) const REFILL: Duration = Duration::from_secs(10);

    pub(super) const fn full(now: Instant) -> Self {
        Self { left: Self::MOST, filling_since: now }
    }

    /// Takes one derivation, if there is one.
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

    /// Gives one back.
    pub(super) fn refund(&mut self) {
        self.left = Self::MOST.min(self.left.saturating_add(1));
    }

    fn refill(&mut self, now: Instant) {
        while self.left < Self::MOST && now.saturating_duration_since(self.filling_since) >= Self::REFILL {
            self.left += 1;
            self.filling_since += Self::REFILL;
        }
        if self.left == Self::MOST {
            self.filling_since = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drained(now: Instant) -> Budget {
        let mut budget = Budget::full(now);
        assert!((0..Budget::MOST).all(|_| budget.take(now)));
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
        assert!(budget.take(start + Duration::from_secs(20)), "the seconds of a refusal are not lost");
    }

    #[test]
    fn idle_time_saves_up_no_more_than_eight() {
        let start = Instant::now();
        let mut budget = drained(start);
        let later = start + Duration::from_secs(3_600);
        assert!((0..Budget::MOST).all(|_| budget.take(later)));
        assert!(!budget.take(later));
        assert!(!budget.take(later + Duration::from_millis(9_999)), "a full bucket fills no further token");
    }

    #[test]
    fn a_refund_is_worth_one_derivation_and_never_more_than_eight_in_all() {
        let start = Instant::now();
        let mut budget = drained(start);
        budget.refund();
        assert!(budget.take(start));
        assert!(!budget.take(start));
        (0..20).for_each(|_| budget.refund());
        assert!((0..Budget::MOST).all(|_| budget.take(start)));
        assert!(!budget.take(start));
    }
}
