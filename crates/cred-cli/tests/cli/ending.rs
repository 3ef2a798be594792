//! Signals, at a moment that a test can hold.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::world::{World, files, until_it_listens};

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

#[test]
fn input_that_nobody_gives_does_not_hold_a_signal_up() {
    let world = World::new();
    world.store("a", "old");
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let mut child = world.command(&["rotate", "a"]).stdin(Stdio::piped()).spawn().unwrap();
        let mut given = child.stdin.take().unwrap();
        given.write_all(b"half a").unwrap();
        until_it_listens(&mut child);
        std::thread::sleep(Duration::from_millis(300));
        assert!(child.try_wait().unwrap().is_none());
        kill_process(Pid::from_child(&child), signal).unwrap();
        assert_eq!(ends(&mut child), Some(code));
        drop(given);
        assert_eq!(world.value("a"), "old");
    }
}

/// While another process has the store's lock, the probe waits to be written.
#[test]
fn a_doctor_that_is_ended_takes_its_probe_along() {
    let world = World::new();
    world.store("a", "1");
    let store = world.path("home/.local/share/cred/project");
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let lock = File::open(store.join(".lock")).unwrap();
        lock.lock().unwrap();
        let mut child = world.command(&["doctor"]).spawn().unwrap();
        until_it_listens(&mut child);
        std::thread::sleep(Duration::from_millis(600));
        kill_process(Pid::from_child(&child), signal).unwrap();
        std::thread::sleep(Duration::from_millis(200));
        lock.unlock().unwrap();
        assert_eq!(ends(&mut child), Some(code));
        let left: Vec<_> = files(&store).into_iter().map(|(path, _)| path).collect();
        assert!(!left.iter().any(|path| path.to_string_lossy().contains("probe-")), "{left:?}");
    }
}

#[test]
fn a_doctor_clears_away_what_an_earlier_one_has_left() {
    let world = World::new();
    for name in ["probe-00112233445566aa", "probe-00112233445566bb", "somebodys"] {
        world.store(&format!("cred:doctor/{name}"), "1");
    }
    let store = world.path("home/.local/share/cred/project");
    // As an hour ago; `bb` is of now, and may be that of a doctor at work.
    for name in ["probe-00112233445566aa", "somebodys"] {
        let (path, bytes) =
            files(&store).into_iter().find(|(path, _)| path.to_string_lossy().contains(name)).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let created = json["metadata"]["created_at"].as_u64().unwrap();
        let (now, then) = (created.to_string(), (created - 3_600_000).to_string());
        std::fs::write(path, String::from_utf8(bytes).unwrap().replacen(&now, &then, 1)).unwrap();
    }
    let left = || world.run(&["list", "cred:doctor", "--flat"]).good().out;
    let answer = world.run(&["doctor", "--read-only"]);
    assert!(answer.out.contains("1 probe of an earlier run is left"), "{}", answer.out);
    assert_eq!(left().lines().count(), 3);
    let answer = world.run(&["doctor"]);
    assert!(answer.out.contains("removed 1 probe of an earlier run"), "{}", answer.out);
    assert_eq!(left(), "cred:doctor/probe-00112233445566bb\ncred:doctor/somebodys\n");
}
