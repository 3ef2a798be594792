//! Request counts, and refusals that a test requests.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::refusal::Refusal;

/// The number of requests to a double.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Counts {
    /// Requests for a token, including refused ones.
    pub token_requests: usize,
    /// Requests to the vault, without those to `/double/`.
    pub vault_requests: usize,
}

#[derive(Default)]
pub(crate) struct Control {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    counts: Counts,
    refusals: VecDeque<Refusal>,
}

impl Control {
    pub(crate) fn counts(&self) -> Counts {
        self.state().counts
    }

    /// Makes the vault refuse the next `times` requests.
    pub(crate) fn refuse(&self, refusal: &Refusal, times: usize) {
        self.state().refusals.extend(std::iter::repeat_n(refusal.clone(), times));
    }

    /// Counts a request for a token.
    pub(crate) fn count_token_request(&self) {
        self.state().counts.token_requests += 1;
    }

    /// Counts a request to the vault. Returns the refusal if it must be refused.
    pub(crate) fn count_vault_request(&self) -> Option<Refusal> {
        let mut state = self.state();
        state.counts.vault_requests += 1;
        state.refusals.pop_front()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
