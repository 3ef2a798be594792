//! Looking while others write.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Keeps a writer writing until those who look have looked often enough: without it, a quick writer
/// is done before the first look, and the clause has seen nothing.
pub(crate) struct Watch {
    ended: AtomicBool,
    looks: AtomicUsize,
    wanted: usize,
}

impl Watch {
    pub(crate) fn new(wanted: usize) -> Self {
        Self { ended: AtomicBool::new(false), looks: AtomicUsize::new(0), wanted }
    }

    /// For who looks: whether the writer still writes.
    pub(crate) fn goes_on(&self) -> bool {
        !self.ended.load(Ordering::SeqCst)
    }

    /// For who looks: a look is over.
    pub(crate) fn looked(&self) {
        self.looks.fetch_add(1, Ordering::SeqCst);
    }

    /// For the writer: whether it has been seen often enough.
    pub(crate) fn is_enough(&self) -> bool {
        self.looks.load(Ordering::SeqCst) >= self.wanted
    }

    /// For the writer: it is done.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
    }
}
