//! What a test may do to a double.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::refusal::Refusal;

/// How often a double was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Counts {
    /// Requests for a token, refused ones as well.
    pub token_requests: usize,
    /// Requests to the vault, without the double's own paths.
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

    /// The vault answers the next `times` requests so.
    pub(crate) fn refuse(&self, refusal: &Refusal, times: usize) {
        self.state().refusals.extend(std::iter::repeat_n(refusal.clone(), times));
    }

    pub(crate) fn token_request(&self) {
        self.state().counts.token_requests += 1;
    }

    /// A request to the vault begins; `Some`: it is refused.
    pub(crate) fn vault_request(&self) -> Option<Refusal> {
        let mut state = self.state();
        state.counts.vault_requests += 1;
        state.refusals.pop_front()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
