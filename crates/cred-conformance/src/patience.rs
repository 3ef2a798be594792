//! Repeating a check until a declared bound has passed.

use std::time::Duration;

use cred_core::Consistency;
use tokio::time::{Instant, sleep};

use crate::rule::fail;

/// Repeats a check until the declared bound has passed, plus one more time: only a check that
/// started after the bound can fail.
#[derive(Clone)]
pub(crate) struct Patience {
    declared: Consistency,
    deadline: Instant,
    pause: Duration,
    /// The current check started after the bound.
    is_last: bool,
}

impl Patience {
    pub(crate) fn new(declared: Consistency, bound: Duration) -> Self {
        let pause = (bound / 20).clamp(Duration::from_millis(1), Duration::from_secs(2));
        Self { declared, deadline: Instant::now() + bound, pause, is_last: bound.is_zero() }
    }

    /// Waits for the next try; fails the clause if the current one started after the bound.
    pub(crate) async fn or_fail(&mut self, problem: &str, advice: &str) {
        if self.is_last {
            match self.declared {
                Consistency::Strong => fail(problem, advice),
                _ => fail(&format!("{problem}, after the declared bound ({:?})", self.declared), advice),
            }
        }
        let left = self.deadline.saturating_duration_since(Instant::now());
        sleep(self.pause.min(left)).await;
        self.is_last = self.has_passed();
    }

    /// Returns whether every write that completed before this was created must be visible now.
    pub(crate) fn has_passed(&self) -> bool {
        Instant::now() >= self.deadline
    }
}
