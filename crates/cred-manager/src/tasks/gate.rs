//! Orders the start of a task and the shutdown. `tests/loom.rs` compiles this file with loom's
//! atomics and tests every order.

use super::atomic::{AtomicBool, Ordering, fence};

/// Counts each task that enters. Once closed, it refuses further tasks.
#[derive(Default)]
pub(super) struct Gate {
    closed: AtomicBool,
}

impl Gate {
    /// Takes a token from `count` for a task that is about to start. `None`: the gate is closed.
    ///
    /// A task is counted and then reads `closed`. The shutdown stores `closed` and then reads the
    /// count. Without the two fences, a weakly ordered processor can let each side read before it
    /// sees the write of the other side: the task starts, and the shutdown does not wait for it.
    /// Stronger orderings of the accesses cannot replace the fences, because the count belongs to
    /// `TaskTracker`, which adds with `Relaxed` (`TaskTrackerInner::add_task` in tokio-util 0.7).
    pub(super) fn enter<T>(&self, count: impl FnOnce() -> T) -> Option<T> {
        let token = count();
        fence(Ordering::SeqCst);
        (!self.is_closed()).then_some(token)
    }

    /// Refuses later tasks. A count that is read afterwards includes every task that entered.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Whether it is closed.
    #[inline]
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }
}
