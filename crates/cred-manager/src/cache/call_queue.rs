//! Limits how many loads call the provider at once. Further loads wait in the order in which they
//! began.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::windows::later;

/// Guarded by the lock of the cache. The runtime of a load may have stopped being driven. So a call
/// counts as ended after its limit, and a wait has a limit too.
pub(super) struct CallQueue {
    /// The maximum number of loads that call at once.
    concurrency: usize,
    /// The maximum time of a call, and of the wait before it.
    call_limit: Duration,
    wait_limit: Duration,
    /// The loads that may call, by number, and the time by which each counts as ended.
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
    /// It may call once this resolves to `Ok`.
    Waiting(oneshot::Receiver<()>),
    /// The manager was shut down.
    Refused,
}

impl CallQueue {
    pub(super) fn new(concurrency: usize, call_limit: Duration, wait_limit: Duration) -> Self {
        let (calling, waiting) = (HashMap::new(), VecDeque::new());
        Self { concurrency, call_limit, wait_limit, calling, waiting, is_closed: false }
    }

    /// The maximum time from now until a load with this right ends.
    pub(super) fn limit(&self, right: &CallRight) -> Duration {
        match right {
            CallRight::Waiting(_) => self.wait_limit.saturating_add(self.call_limit),
            CallRight::Granted | CallRight::Refused => self.call_limit,
        }
    }

    /// Adds a load that has begun.
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

    /// Removes a load that has ended.
    pub(super) fn leave(&mut self, number: u64, now: Instant) {
        if self.calling.remove(&number).is_some() {
            self.grant(now);
        }
    }

    /// Refuses all waiting loads, and all that begin from now on.
    pub(super) fn close(&mut self) {
        self.is_closed = true;
        self.waiting.clear();
    }

    /// Grants calls to the first waiting loads in place of those that have ended.
    fn grant(&mut self, now: Instant) {
        if self.calling.len() >= self.concurrency {
            self.calling.retain(|_, ended| now < *ended);
        }
        while self.waiting.front().is_some_and(|first| first.until <= now) {
            self.waiting.pop_front();
        }
        while self.calling.len() < self.concurrency {
            let Some(Waiting { number, granted, .. }) = self.waiting.pop_front() else { break };
            // If sending fails, the load has ended and no longer waits.
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
        let CallRight::Waiting(granted) = right else { panic!("expected to wait") };
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
    fn a_load_that_has_ended_or_waited_too_long_is_skipped() {
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
        assert!(matches!(right, CallRight::Granted), "the second load has waited too long");
    }

    #[test]
    fn a_closed_queue_refuses_waiting_and_later_loads() {
        let (mut queue, now) = (queue(), Instant::now());
        queue.enter(1, now);
        let mut second = waits(queue.enter(2, now));
        queue.close();
        assert!(second.try_recv().is_err() && matches!(queue.enter(3, now), CallRight::Refused));
    }
}
