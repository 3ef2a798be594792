//! The start of a task against the shutdown, in every order that the memory model allows.
#![cfg(test)]

use std::sync::Arc;

use loom::sync::atomic;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

#[path = "../src/tasks/gate.rs"]
mod gate;

use gate::Gate;

/// Counts with the orderings of `TaskTrackerInner` in tokio-util 0.7: `add_task` is a relaxed
/// addition, and `is_closed_and_empty`, on which `wait` relies, is an acquire load. `set_closed` is
/// left out: it is also a write of the count and so orders more, but its docs do not promise that.
#[derive(Default)]
struct Counter(AtomicUsize);

impl Counter {
    fn add_task(&self) {
        self.0.fetch_add(2, Ordering::Relaxed);
    }

    fn is_empty(&self) -> bool {
        self.0.load(Ordering::Acquire) <= 1
    }
}

#[test]
fn shutdown_waits_for_every_task_that_begins() {
    loom::model(|| {
        let shared = Arc::new((Gate::default(), Counter::default()));
        let starter = Arc::clone(&shared);
        let start = thread::spawn(move || {
            let (gate, counter) = &*starter;
            gate.enter(|| counter.add_task()).is_some()
        });
        let (gate, counter) = &*shared;
        gate.close();
        let waits = !counter.is_empty();
        let begun = start.join().unwrap();
        assert!(waits || !begun, "the task has begun, and the shutdown does not wait for it");
    });
}
