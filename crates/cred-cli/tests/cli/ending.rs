//! Signals, at a moment that a test can hold.

use std::io::Read as _;
use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::world::World;

const PATIENCE: Duration = Duration::from_secs(30);

#[track_caller]
fn ends(child: &mut Child) -> Option<i32> {
    let begin = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        if begin.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("it does not end");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A pipe holds 64 KiB, and nobody reads what is more.
#[test]
fn output_that_nobody_reads_does_not_hold_a_signal_up() {
    let world = World::new();
    world.run_with(&["set", "long"], &"x".repeat(300_000)).good();
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        for args in [&["get", "long"][..], &["get", "long", "--json"], &["export"]] {
            let mut child = world.command(args).spawn().unwrap();
            // It has begun, and is in the way of its own end.
            let mut out = child.stdout.take().unwrap();
            out.read_exact(&mut [0; 16]).unwrap();
            std::thread::sleep(Duration::from_millis(200));
            assert!(child.try_wait().unwrap().is_none(), "{args:?}");
            kill_process(Pid::from_child(&child), signal).unwrap();
            assert_eq!(ends(&mut child), Some(code), "{args:?}");
            drop(out);
        }
    }
    assert_eq!(world.value("long").len(), 300_000, "who reads gets all of it");
}
