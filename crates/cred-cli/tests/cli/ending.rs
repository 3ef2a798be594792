//! Signals and closed pipes, at controlled moments.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::world::{CommandOutput, World, files, wait_for_signal_handlers};

const TIMEOUT: Duration = Duration::from_secs(30);

#[track_caller]
fn wait_for_exit(child: &mut Child) -> Option<i32> {
    let begin = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        if begin.elapsed() > TIMEOUT {
            child.kill().unwrap();
            panic!("the process does not end");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A pipe holds 64 KiB, and the test does not read the rest.
#[test]
fn a_signal_ends_a_write_to_a_full_pipe() {
    let world = World::new();
    world.run_with(&["set", "long"], &"x".repeat(300_000)).success();
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        for args in [&["get", "long"][..], &["get", "long", "--json"], &["export"]] {
            let mut child = world.command(args).spawn().unwrap();
            // The process has begun to write, and blocks.
            let mut out = child.stdout.take().unwrap();
            out.read_exact(&mut [0; 16]).unwrap();
            std::thread::sleep(Duration::from_millis(200));
            assert!(child.try_wait().unwrap().is_none(), "{args:?}");
            kill_process(Pid::from_child(&child), signal).unwrap();
            assert_eq!(wait_for_exit(&mut child), Some(code), "{args:?}");
            drop(out);
        }
    }
    assert_eq!(world.value("long").len(), 300_000, "a reader gets the whole value");
}

#[test]
fn a_signal_ends_a_read_from_an_open_pipe() {
    let world = World::new();
    world.store("a", "old");
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let mut child = world.command(&["rotate", "a"]).stdin(Stdio::piped()).spawn().unwrap();
        let mut given = child.stdin.take().unwrap();
        given.write_all(b"half a").unwrap();
        wait_for_signal_handlers(&mut child);
        std::thread::sleep(Duration::from_millis(300));
        assert!(child.try_wait().unwrap().is_none());
        kill_process(Pid::from_child(&child), signal).unwrap();
        assert_eq!(wait_for_exit(&mut child), Some(code));
        drop(given);
        assert_eq!(world.value("a"), "old");
    }
}

/// While another process holds the lock of the store, the write of the test credential waits.
#[test]
fn an_interrupted_doctor_deletes_its_test_credential() {
    let world = World::new();
    world.store("a", "1");
    let store = world.path("home/.local/share/cred/project");
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let lock = File::open(store.join(".lock")).unwrap();
        lock.lock().unwrap();
        let mut child = world.command(&["doctor"]).spawn().unwrap();
        wait_for_signal_handlers(&mut child);
        std::thread::sleep(Duration::from_millis(600));
        kill_process(Pid::from_child(&child), signal).unwrap();
        std::thread::sleep(Duration::from_millis(200));
        lock.unlock().unwrap();
        assert_eq!(wait_for_exit(&mut child), Some(code));
        let left: Vec<_> = files(&store).into_iter().map(|(path, _)| path).collect();
        assert!(!left.iter().any(|path| path.to_string_lossy().contains("probe-")), "{left:?}");
    }
}

#[test]
fn doctor_deletes_leftovers_of_killed_runs() {
    let world = World::new();
    for name in ["probe-00112233445566aa", "probe-00112233445566bb", "unrelated"] {
        world.store(&format!("cred:doctor/{name}"), "1");
    }
    let store = world.path("home/.local/share/cred/project");
    // An hour old. `bb` is new, and may belong to a running doctor.
    for name in ["probe-00112233445566aa", "unrelated"] {
        let (path, bytes) =
            files(&store).into_iter().find(|(path, _)| path.to_string_lossy().contains(name)).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let created = json["metadata"]["created_at"].as_u64().unwrap();
        let (now, then) = (created.to_string(), (created - 3_600_000).to_string());
        std::fs::write(path, String::from_utf8(bytes).unwrap().replacen(&now, &then, 1)).unwrap();
    }
    let left = || world.run(&["list", "cred:doctor", "--flat"]).success().out;
    let output = world.run(&["doctor", "--read-only"]);
    assert!(output.out.contains("1 test credential of earlier runs is left"), "{}", output.out);
    assert_eq!(left().lines().count(), 3);
    let output = world.run(&["doctor"]);
    assert!(output.out.contains("deleted 1 test credential of earlier runs"), "{}", output.out);
    assert_eq!(left(), "cred:doctor/probe-00112233445566bb\ncred:doctor/unrelated\n");
}

/// 141 is 128 + SIGPIPE, the exit code of a program that SIGPIPE ends.
#[test]
fn a_closed_output_ends_a_command_quietly() {
    let world = World::with_other(true);
    world.store("org:acme/a", "1");
    world.store("org:acme/b", "1");
    for args in [
        &["--help"][..],
        &["--version"],
        &["set", "--help"],
        &["list"],
        &["list", "--flat"],
        &["list", "--json"],
        &["get", "org:acme/a"],
        &["get", "org:acme/a", "--json"],
        &["set", "org:acme/c", "--generate", "--json"],
        &["rotate", "org:acme/c", "--generate", "--json"],
        &["rm", "--yes", "org:acme/c", "--json"],
        &["export"],
        &["export", "--scope", "org:acme", "--format", "shell"],
        &["export", "--scope", "org:acme", "--format", "json-flat"],
        &["export", "--scope", "org:acme", "--format", "gha", "--output", "github"],
        &["import", "record.json", "--dry-run", "--json"],
        &["validate", "--all"],
        &["validate", "--json"],
        &["rekey", "--dry-run", "--json"],
        &["key", "list"],
        &["key", "list", "--count", "--json"],
        &["migrate", "--from", "dev", "--to", "other", "--reseal", "--dry-run", "--json"],
        &["diff", "dev", "other"],
        &["diff", "dev", "other", "--json"],
        &["trust", "--list"],
        &["trust", "--json", "-q"],
        &["doctor"],
        &["doctor", "--json"],
        &["completions", "bash"],
        &["completions", "fish"],
    ] {
        std::fs::write(world.path("project/record.json"), "{\"NEW\": \"1\"}").unwrap();
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let child = world.command(args).stdout(writer).spawn().unwrap();
        let output = CommandOutput::of(child);
        assert_eq!((output.code, output.err.as_str()), (141, ""), "{args:?}");
    }
    assert!(!world.path("project/github").exists(), "no variable is written before its mask");
}

#[test]
fn output_closed_in_the_middle_ends_a_command_quietly() {
    let world = World::new();
    world.run_with(&["set", "long"], &"x".repeat(300_000)).success();
    for args in [&["get", "long"][..], &["get", "long", "--json"], &["export"]] {
        let mut child = world.command(args).spawn().unwrap();
        let mut out = child.stdout.take().unwrap();
        out.read_exact(&mut [0; 16]).unwrap();
        drop(out);
        let output = CommandOutput::of(child);
        assert_eq!((output.code, output.err.as_str()), (141, ""), "{args:?}");
    }
}
