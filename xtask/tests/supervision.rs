//! What xtask starts ends with it, however it ends: seen from outside, with servers that are shell scripts.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that fails by panic says what it must"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Only how long a broken test takes to say so.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that leaves a child behind which does not listen to SIGTERM. `PIDS` becomes a file.
const SERVER: &str = r#"
[ "$1" = --version ] && { echo etcd Version: 9.9.9; exit; }
(trap '' TERM; echo ready >> PIDS.trapped; exec sleep 1000) &
while [ ! -s PIDS.trapped ]; do sleep 0.01; done
echo $! >> PIDS
echo $$ >> PIDS
wait
"#;

/// Waits for the server's two processes, adds itself, and stays.
const COMMAND: &str =
    r#"while [ "$(wc -l < PIDS)" -lt 2 ]; do sleep 0.01; done; echo $$ >> PIDS; exec sleep 1000"#;

struct Machine {
    folder: tempfile::TempDir,
}

impl Machine {
    /// A machine whose one server is this script, and whose curl is content with everything.
    fn with(server: &str) -> Self {
        let machine = Self { folder: tempfile::tempdir().unwrap() };
        for name in ["bin", "tmp", "cache"] {
            fs::create_dir(machine.path(name)).unwrap();
        }
        fs::write(machine.path("pids"), "").unwrap();
        machine.program("etcd", &machine.filled(server));
        machine.program("curl", "echo '{\"version\":\"9.9.9\"}'");
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn filled(&self, script: &str) -> String {
        script.replace("PIDS", self.path("pids").to_str().unwrap())
    }

    fn program(&self, name: &str, script: &str) {
        let path = self.path("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn xtask(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        let path = std::env::var_os("PATH").unwrap();
        let folders = std::iter::once(self.path("bin")).chain(std::env::split_paths(&path));
        command.args(args).env("PATH", std::env::join_paths(folders).unwrap());
        command.env("TMPDIR", self.path("tmp")).env("CRED_CACHE_DIR", self.path("cache"));
        command.env_remove("CRED_TEST_ETCD_ADDR").stdin(Stdio::null());
        command
    }

    fn output(&self, args: &[&str]) -> Output {
        self.xtask(args).output().unwrap()
    }

    /// `servers run` with a command that stays, once everything runs.
    fn running(&self) -> Child {
        let command = self.filled(COMMAND);
        let mut xtask = self.xtask(&["servers", "run", "etcd", "--", "sh", "-c", &command]);
        let child = xtask.stderr(Stdio::null()).spawn().unwrap();
        until("three processes", || self.pids().len() == 3);
        assert!(self.pids().iter().all(|pid| is_alive(pid)));
        child
    }

    fn pids(&self) -> Vec<String> {
        fs::read_to_string(self.path("pids")).unwrap().lines().map(str::to_owned).collect()
    }

    fn all_gone(&self) {
        until("the end of every process", || !self.pids().iter().any(|pid| is_alive(pid)));
        until("a clean temporary folder", || is_empty(&self.path("tmp")));
    }
}

impl Drop for Machine {
    /// A broken test leaves nothing either.
    fn drop(&mut self) {
        for pid in self.pids().iter().filter(|pid| is_alive(pid)) {
            let _ = Command::new("kill").args(["-KILL", pid]).status();
        }
    }
}

fn until(what: &str, reached: impl Fn() -> bool) {
    let begin = Instant::now();
    while !reached() {
        assert!(begin.elapsed() < PATIENCE, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A process that has ended but that nobody waited for has the state Z.
fn is_alive(pid: &str) -> bool {
    let output = Command::new("ps").args(["-o", "stat=", "-p", pid]).output().unwrap();
    let state = String::from_utf8(output.stdout).unwrap();
    !state.trim().is_empty() && !state.trim().starts_with('Z')
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).unwrap().next().is_none()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn no_signal_leaves_a_process_or_a_folder_behind() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::KILL] {
        let machine = Machine::with(SERVER);
        let mut xtask = machine.running();
        let pid = Pid::from_raw(i32::try_from(xtask.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
        let begin = Instant::now();
        // Who was started with a signal ignored, as in the background of a script, does not end by it.
        while xtask.try_wait().unwrap().is_none() {
            assert!(begin.elapsed() < PATIENCE, "{signal:?} does not end it; is it ignored here?");
            thread::sleep(Duration::from_millis(10));
        }
        machine.all_gone();
    }
}

#[test]
fn a_command_that_ends_takes_the_servers_with_it_and_gives_its_exit_code() {
    let machine = Machine::with(SERVER);
    let script = "case $CRED_TEST_ETCD_ADDR in http://127.0.0.1:*) exit 3;; esac";
    let output = machine.output(&["servers", "run", "etcd", "--", "sh", "-c", script]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    machine.all_gone();
}

#[test]
fn a_server_that_ends_too_early_fails_the_run() {
    let machine = Machine::with(SERVER);
    let script = machine.filled(
        r#"while [ "$(wc -l < PIDS)" -lt 2 ]; do sleep 0.01; done
        server=$(tail -n 1 PIDS); kill -KILL "$server"
        while ps -o stat= -p "$server" | grep -qv Z; do sleep 0.01; done"#,
    );
    // The guard learns of the end at its next look, within 20 ms; the command stays a little longer.
    let script = format!("{script}; sleep 1");
    let output = machine.output(&["servers", "run", "etcd", "--", "sh", "-c", &script]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("etcd ended before the command did"), "{}", stderr(&output));
    machine.all_gone();
}

#[test]
fn a_server_that_cannot_start_says_why_and_leaves_nothing() {
    let machine =
        Machine::with(r#"[ "$1" = --version ] && exit; echo $$ >> PIDS; echo no more memory; exit 9"#);
    // Nobody answers, or what answers would be taken for the server at its first breath.
    machine.program("curl", "exit 7");
    let output = machine.output(&["servers", "run", "etcd", "--", "true"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("no more memory"), "{}", stderr(&output));
    assert_eq!(machine.pids().len(), 3, "its port may have been taken, so it is tried again");
    machine.all_gone();
}

#[test]
fn a_server_that_is_given_is_used_and_left_alone() {
    let machine = Machine::with("exit 1");
    let mut xtask = machine.xtask(&["servers", "run", "etcd", "--", "sh", "-c", "echo $CRED_TEST_ETCD_ADDR"]);
    let output = xtask.env("CRED_TEST_ETCD_ADDR", "http://elsewhere:1").output().unwrap();
    assert_eq!(output.stdout, b"http://elsewhere:1\n", "{}", stderr(&output));
    assert!(stderr(&output).contains("given by CRED_TEST_ETCD_ADDR"), "{}", stderr(&output));
}

#[test]
fn a_server_that_is_given_but_does_not_answer_fails_the_run() {
    let machine = Machine::with("exit 1");
    machine.program("curl", "exit 7");
    let mut xtask = machine.xtask(&["servers", "run", "etcd", "--", "true"]);
    let output = xtask.env("CRED_TEST_ETCD_ADDR", "http://elsewhere:1").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("does not answer at http://elsewhere:1"), "{}", stderr(&output));
}

#[test]
fn a_server_that_cannot_be_had_fails_the_run() {
    let machine = Machine::with("exit 127");
    machine.program("go", "echo no such version; exit 1");
    let output = machine.output(&["servers", "run", "etcd", "--", "true"]);
    assert_eq!(output.status.code(), Some(1));
    for words in ["does not run; looking further", "cannot make etcd", "no such version"] {
        assert!(stderr(&output).contains(words), "{words} is not in: {}", stderr(&output));
    }
    assert_eq!(fs::read_dir(machine.path("cache/servers")).unwrap().count(), 1, "only the lock");
}

/// A cargo that has built one program for whatever it is asked for.
const CARGO: &str = r#"
[ "$1" = test ] || exec "$REAL_CARGO" "$@"
for word in "$@"; do
    [ "$before" = --package ] && package=$word
    [ "$before" = --test ] && target=$word
    before=$word
done
id=$("$REAL_CARGO" pkgid "$package"); folder=${id#path+file://}; folder=${folder%%#*}
echo '{"reason": "compiler-artifact", "package_id": "'$id'", "manifest_path": "'$folder'/Cargo.toml", "features": [],
    "target": {"kind": ["test"], "crate_types": ["bin"], "name": "'$target'", "src_path": "'$folder'/tests/'$target'.rs"},
    "profile": {"opt_level": "0", "debug_assertions": true, "overflow_checks": true, "test": true},
    "filenames": [], "executable": "SUITE", "fresh": true}' | tr -d '\n'
"#;

/// Integration tests that pass, whatever the server does; `SCRIPT` runs in the middle of them.
const SUITE: &str = r#"
if [ "$1" = --exact ]; then
    SCRIPT
    echo "test stores ... ok"
    echo "test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out"
else
    echo "test stores ... ignored, needs a real server: cargo xtask test-integration aws"
    echo "test result: ok. 0 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out"
fi
"#;

/// `test-integration aws` on a server that is a script.
fn integration(machine: &Machine, in_the_middle: &str) -> Output {
    machine.program(
        "moto_server",
        &machine.filled(r#"[ "$1" = --help ] && exit; echo $$ >> PIDS; exec sleep 1000"#),
    );
    machine.program("suite", &machine.filled(&SUITE.replace("SCRIPT", in_the_middle)));
    machine.program("cargo", &CARGO.replace("SUITE", &machine.path("bin/suite").display().to_string()));
    let mut xtask = machine.xtask(&["test-integration", "aws"]);
    xtask.env("REAL_CARGO", env!("CARGO")).env("CARGO", machine.path("bin/cargo"));
    xtask.env_remove("CRED_TEST_AWS_ENDPOINT").env_remove("AWS_ENDPOINT_URL").output().unwrap()
}

#[test]
fn a_server_that_is_killed_in_the_middle_of_a_suite_turns_it_red() {
    let machine = Machine::with("exit 1");
    // The guard learns of the end at its next look, within 20 ms.
    let output = integration(&machine, r#"kill -KILL "$(head -n 1 PIDS)" 2> /dev/null; sleep 1"#);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("moto: ended during the tests"), "{text}");
    assert!(text.trim_end().ends_with("1 failed, 0 skipped"), "{text}");
    machine.all_gone();

    let machine = Machine::with("exit 1");
    let output = integration(&machine, "true");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "left alone, it is green: {text}");
    machine.all_gone();
}
