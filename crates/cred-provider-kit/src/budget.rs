//! How many retries a provider may spend on a backend that does not recover.

use std::sync::atomic::{AtomicU32, Ordering};

/// Bounds the retries of all of a provider's operations together, so that an outage is not answered
/// by six times the load.
///
/// A retry spends tokens, a retry after a timeout twice as many: its cause took the longest. What
/// the backend then answers gives them back, and each first attempt that is answered adds one. With
/// nothing left, a failure is returned at once instead of being tried again; first attempts are
/// never held back, so a backend that is well again is noticed and the bucket refills.
///
/// The rule and its numbers are those of the AWS SDKs' standard retry mode (`token_bucket.rs` of
/// `aws-smithy-runtime`: 500 tokens, 5 a retry, 10 after a timeout, 1 regained): bursts of a
/// hundred failures are ridden out, and while an outage lasts there is one retry for five answers.
///
/// Time alone refills nothing. Lock-free.
#[derive(Debug)]
pub struct RetryBudget {
    tokens: AtomicU32,
    capacity: u32,
}

impl RetryBudget {
    /// Tokens of a full bucket, by default.
    pub const CAPACITY: u32 = 500;
    /// Tokens that a retry spends.
    pub const RETRY_COST: u32 = 5;
    /// Tokens that a retry after a timeout spends.
    pub const TIMEOUT_RETRY_COST: u32 = 10;
    /// Tokens that an answered first attempt adds.
    pub const REGAINED: u32 = 1;

    /// A full bucket of `capacity` tokens; with fewer than [`RetryBudget::RETRY_COST`], nothing is
    /// ever tried again.
    #[must_use]
    pub const fn new(capacity: u32) -> Self {
        Self { tokens: AtomicU32::new(capacity), capacity }
    }

    /// Tokens that are left.
    #[must_use]
    pub fn available(&self) -> u32 {
        self.tokens.load(Ordering::Relaxed)
    }

    /// Sets `cost` tokens aside; `None`: there are not as many, and nothing is taken.
    pub(crate) fn reserve(&self, cost: u32) -> Option<Reserved<'_>> {
        self.tokens
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |tokens| tokens.checked_sub(cost))
            .is_ok()
            .then(|| Reserved { budget: self, cost })
    }

    /// Adds tokens, up to the capacity.
    pub(crate) fn refill(&self, tokens: u32) {
        // The bucket of a healthy provider is full: this way it costs no write to a shared line.
        let _full = self.tokens.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |available| {
            (available < self.capacity).then(|| available.saturating_add(tokens).min(self.capacity))
        });
    }
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self::new(Self::CAPACITY)
    }
}

/// Tokens set aside for a retry that waits to be sent. Who is dropped while waiting has sent
/// nothing, and gives them back.
pub(crate) struct Reserved<'a> {
    budget: &'a RetryBudget,
    cost: u32,
}

impl Reserved<'_> {
    /// The retry is sent now. Gives what it cost, to be refilled when it is answered.
    pub(crate) fn spend(mut self) -> u32 {
        std::mem::take(&mut self.cost)
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        if self.cost > 0 {
            self.budget.refill(self.cost);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_bucket_pays_for_a_hundred_retries() {
        let budget = RetryBudget::default();
        let paid =
            (0..1_000).filter_map(|_| budget.reserve(RetryBudget::RETRY_COST).map(Reserved::spend)).count();
        assert_eq!((paid, budget.available()), (100, 0));
        assert!(budget.reserve(1).is_none());
    }

    #[test]
    fn what_is_too_little_is_not_taken() {
        let budget = RetryBudget::new(9);
        assert!(budget.reserve(RetryBudget::TIMEOUT_RETRY_COST).is_none());
        assert_eq!(budget.available(), 9);
    }

    #[test]
    fn an_unsent_retry_gives_its_tokens_back() {
        let budget = RetryBudget::new(10);
        let reserved = budget.reserve(5).unwrap();
        assert_eq!(budget.available(), 5);
        drop(reserved);
        assert_eq!(budget.available(), 10);
        assert_eq!(budget.reserve(5).unwrap().spend(), 5);
        assert_eq!(budget.available(), 5);
    }

    #[test]
    fn it_never_overflows_its_capacity() {
        let budget = RetryBudget::new(10);
        budget.refill(1);
        assert_eq!(budget.available(), 10);
        let _spent = budget.reserve(4).unwrap().spend();
        budget.refill(u32::MAX);
        assert_eq!(budget.available(), 10);
        let _spent = budget.reserve(4).unwrap().spend();
        budget.refill(1);
        assert_eq!(budget.available(), 7);
    }
}
