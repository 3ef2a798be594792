//! Coordinates a writer with the readers that observe its writes.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Keeps a writer writing until the readers have read often enough. Without it, a fast writer could
/// finish before the first read, and the clause would test nothing.
pub(crate) struct Watch {
    ended: AtomicBool,
    reads: AtomicUsize,
    wanted: usize,
}

impl Watch {
    pub(crate) fn new(wanted: usize) -> Self {
        Self { ended: AtomicBool::new(false), reads: AtomicUsize::new(0), wanted }
    }

    /// For readers: whether the writer still writes.
    pub(crate) fn is_writing(&self) -> bool {
        !self.ended.load(Ordering::SeqCst)
    }

    /// For readers: counts a completed read.
    pub(crate) fn count_read(&self) {
        self.reads.fetch_add(1, Ordering::SeqCst);
    }

    /// For the writer: whether the readers have read often enough.
    pub(crate) fn is_enough(&self) -> bool {
        self.reads.load(Ordering::SeqCst) >= self.wanted
    }

    /// For the writer: stops the readers.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
    }
}
