//! Which loads may call the provider: a bounded number at once, in the order in which they began.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::windows::later;

/// Part of what the cache's one lock guards. No process may drive the runtime that a load runs on
/// any more. So a call counts as ended after its limit, and a wait has a limit too.
pub(super) struct CallQueue {
    /// How many loads call at once.
    concurrency: usize,
    /// How long a call takes at most, and how long a load waits for one.
    call_limit: Duration,
    wait_limit: Duration,
    /// The loads that may call, by number, and when each has ended at the latest.
    calling: HashMap<u64, Instant>,
    /// In the order in which they began, and so in the order of their limits.
    waiting: VecDeque<Waiting>,
    is_closed: bool,
}

struct Waiting {
    number: u64,
    until: Instant,
    granted: oneshot::Sender<()>,
}

/// Whether a load may call the provider.
pub(super) enum CallRight {
    Granted,
    /// Once this ends with `Ok`.
    Waiting(oneshot::Receiver<()>),
    /// The manager was shut down.
    Refused,
}

impl CallQueue {
    pub(super) fn new(concurrency: usize, call_limit: Duration, wait_limit: Duration) -> Self {
        let (calling, waiting) = (HashMap::new(), VecDeque::new());
        Self { concurrency, call_limit, wait_limit, calling, waiting, is_closed: false }
    }

    /// How long a load with this right takes at most, counted from now.
    pub(super) fn limit(&self, right: &CallRight) -> Duration {
        match right {
            CallRight::Waiting(_) => self.wait_limit.saturating_add(self.call_limit),
            CallRight::Granted | CallRight::Refused => self.call_limit,
        }
    }

    /// A load has begun.
    pub(super) fn enter(&mut self, number: u64, now: Instant) -> CallRight {
        if self.is_closed {
            return CallRight::Refused;
        }
        self.grant(now);
        if self.calling.len() < self.concurrency {
            self.calling.insert(number, later(now, self.call_limit));
            return CallRight::Granted;
        }
        let (granted, right) = oneshot::channel();
        self.waiting.push_back(Waiting { number, until: later(now, self.wait_limit), granted });
        CallRight::Waiting(right)
    }

    /// A load has ended, or does not wait any more.
    pub(super) fn leave(&mut self, number: u64, now: Instant) {
        if self.calling.remove(&number).is_some() {
            self.grant(now);
        }
    }

    /// Refuses all loads that wait, and all that begin from now on.
    pub(super) fn close(&mut self) {
        self.is_closed = true;
        self.waiting.clear();
    }

    /// Lets the first loads that still wait call in place of those that have ended.
    fn grant(&mut self, now: Instant) {
        if self.calling.len() >= self.concurrency {
            self.calling.retain(|_, ended| now < *ended);
        }
        while self.waiting.front().is_some_and(|first| first.until <= now) {
            self.waiting.pop_front();
        }
        while self.calling.len() < self.concurrency {
            let Some(Waiting { number, granted, .. }) = self.waiting.pop_front() else { break };
            // A load that has ended does not wait any more.
            if granted.send(()).is_ok() {
                self.calling.insert(number, later(now, self.call_limit));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn queue() -> CallQueue {
        CallQueue::new(1, 20 * SECOND, 10 * SECOND)
    }

    fn waits(right: CallRight) -> oneshot::Receiver<()> {
        let CallRight::Waiting(granted) = right else { panic!("it does not wait") };
        granted
    }

    #[test]
    fn loads_call_in_the_order_in_which_they_began() {
        let (mut queue, now) = (queue(), Instant::now());
        assert!(matches!(queue.enter(1, now), CallRight::Granted));
        let (mut second, mut third) = (waits(queue.enter(2, now)), waits(queue.enter(3, now)));
        queue.leave(1, now);
        assert!(second.try_recv().is_ok() && third.try_recv().is_err());
        queue.leave(2, now);
        assert!(third.try_recv().is_ok());
    }

    #[test]
    fn a_load_that_has_ended_or_waited_too_long_is_passed_over() {
        let (mut queue, now) = (queue(), Instant::now());
        queue.enter(1, now);
        let (ended, mut late) = (waits(queue.enter(2, now)), waits(queue.enter(3, now)));
        drop(ended);
        let then = now + 5 * SECOND;
        let mut last = waits(queue.enter(4, then));
        queue.leave(1, now + 12 * SECOND);
        assert!(late.try_recv().is_err() && last.try_recv().is_ok());
        assert_eq!(queue.calling.len(), 1);
    }

    #[test]
    fn a_call_that_has_taken_too_long_counts_as_ended() {
        let (mut queue, now) = (queue(), Instant::now());
        queue.enter(1, now);
        assert!(matches!(queue.enter(2, now + 19 * SECOND), CallRight::Waiting(_)));
        let right = queue.enter(3, now + 30 * SECOND);
        assert!(matches!(right, CallRight::Granted), "the second has waited too long");
    }

    #[test]
    fn nothing_waits_in_a_closed_queue() {
        let (mut queue, now) = (queue(), Instant::now());
        queue.enter(1, now);
        let mut second = waits(queue.enter(2, now));
        queue.close();
        assert!(second.try_recv().is_err() && matches!(queue.enter(3, now), CallRight::Refused));
    }
}
