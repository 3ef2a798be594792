//! The budget of retries for a backend that does not recover.

use std::sync::atomic::{AtomicU32, Ordering};

/// Bounds the retries of all operations of a provider together, so that an outage does not multiply
/// the load on the backend by six.
///
/// - A retry spends tokens. A retry after a timeout spends twice as many, because a timeout took
///   the longest.
/// - If the backend answers the retry, its tokens are returned. Each first attempt that is answered
///   adds one token.
/// - If too few tokens are left, a failure is returned at once instead of being retried.
/// - First attempts are never held back, so they detect when the backend has recovered, and refill
///   the budget.
/// - Tokens are not refilled over time.
///
/// The rule and its numbers are those of the AWS SDKs' standard retry mode (`token_bucket.rs` of
/// `aws-smithy-runtime`: 500 tokens, 5 per retry, 10 after a timeout, 1 regained). A full budget
/// covers a burst of a hundred failures. During an outage, it allows one retry for every five
/// answers.
///
/// The implementation is lock-free.
#[derive(Debug)]
pub struct RetryBudget {
    tokens: AtomicU32,
    capacity: u32,
}

impl RetryBudget {
    /// Default number of tokens in a full budget.
    pub const CAPACITY: u32 = 500;
    /// Tokens that a retry spends.
    pub const RETRY_COST: u32 = 5;
    /// Tokens that a retry after a timeout spends.
    pub const TIMEOUT_RETRY_COST: u32 = 10;
    /// Tokens that an answered first attempt adds.
    pub const REGAINED: u32 = 1;

    /// Creates a full budget of `capacity` tokens. With fewer than [`RetryBudget::RETRY_COST`]
    /// tokens, nothing is ever retried.
    #[must_use]
    pub const fn new(capacity: u32) -> Self {
        Self { tokens: AtomicU32::new(capacity), capacity }
    }

    /// Returns the number of tokens that are left.
    #[must_use]
    pub fn available(&self) -> u32 {
        self.tokens.load(Ordering::Relaxed)
    }

    /// Reserves `cost` tokens. Returns `None` and takes nothing if fewer are left.
    pub(crate) fn reserve(&self, cost: u32) -> Option<Reserved<'_>> {
        self.tokens
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |tokens| tokens.checked_sub(cost))
            .is_ok()
            .then(|| Reserved { budget: self, cost })
    }

    /// Adds tokens, up to the capacity.
    pub(crate) fn refill(&self, tokens: u32) {
        // The budget of a healthy provider is full. Skipping the write avoids contention on the
        // cache line.
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

/// Tokens reserved for a retry that waits to be sent. Dropping them returns them to the budget,
/// since a cancelled wait has sent nothing.
pub(crate) struct Reserved<'a> {
    budget: &'a RetryBudget,
    cost: u32,
}

impl Reserved<'_> {
    /// Marks the retry as sent. Returns its cost, which is refilled if the retry is answered.
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
    fn a_full_budget_pays_for_a_hundred_retries() {
        let budget = RetryBudget::default();
        let paid =
            (0..1_000).filter_map(|_| budget.reserve(RetryBudget::RETRY_COST).map(Reserved::spend)).count();
        assert_eq!((paid, budget.available()), (100, 0));
        assert!(budget.reserve(1).is_none());
    }

    #[test]
    fn a_reservation_above_the_available_tokens_takes_nothing() {
        let budget = RetryBudget::new(9);
        assert!(budget.reserve(RetryBudget::TIMEOUT_RETRY_COST).is_none());
        assert_eq!(budget.available(), 9);
    }

    #[test]
    fn an_unsent_retry_returns_its_tokens() {
        let budget = RetryBudget::new(10);
        let reserved = budget.reserve(5).unwrap();
        assert_eq!(budget.available(), 5);
        drop(reserved);
        assert_eq!(budget.available(), 10);
        assert_eq!(budget.reserve(5).unwrap().spend(), 5);
        assert_eq!(budget.available(), 5);
    }

    #[test]
    fn a_refill_never_exceeds_the_capacity() {
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
