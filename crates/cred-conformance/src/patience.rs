//! Asking again until a declared bound has passed.

use std::time::Duration;

use cred_core::Consistency;
use tokio::time::{Instant, sleep};

use crate::rule::fail;

/// Repeats a question until the declared bound has passed, and once more: only what is asked after
/// the bound counts against the provider.
#[derive(Clone)]
pub(crate) struct Patience {
    declared: Consistency,
    deadline: Instant,
    pause: Duration,
    /// The question that is being asked began after the bound.
    last: bool,
}

impl Patience {
    pub(crate) fn new(declared: Consistency, bound: Duration) -> Self {
        let pause = (bound / 20).clamp(Duration::from_millis(1), Duration::from_secs(2));
        Self { declared, deadline: Instant::now() + bound, pause, last: bound.is_zero() }
    }

    /// Waits for the next try; fails where the last one began after the bound.
    pub(crate) async fn or_fail(&mut self, problem: &str, advice: &str) {
        if self.last {
            match self.declared {
                Consistency::Strong => fail(problem, advice),
                _ => fail(&format!("{problem}, after the declared bound ({:?})", self.declared), advice),
            }
        }
        let left = self.deadline.saturating_duration_since(Instant::now());
        sleep(self.pause.min(left)).await;
        self.last = self.has_passed();
    }

    /// Whether all that was answered before this patience began must show by now.
    pub(crate) fn has_passed(&self) -> bool {
        Instant::now() >= self.deadline
    }
}
