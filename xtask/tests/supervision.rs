//! Everything that xtask starts ends with it, however it ends: tested from outside, with shell
//! scripts as servers.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Only how long a broken test takes to fail.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that leaves a child behind which ignores SIGTERM. Servers get no variable but PATH and
/// TMPDIR. Processes that a broken test leaves end by themselves.
const SERVER: &str = r#"
[ "$1" = --version ] && { echo etcd Version: 9.9.9; exit; }
(trap '' TERM; echo ready >> $TMPDIR/../trapped; exec sleep 120) &
while [ ! -s $TMPDIR/../trapped ]; do sleep 0.01; done
echo $! >> $TMPDIR/../pids
echo $$ >> $TMPDIR/../pids
wait
"#;

/// Waits for the server's two processes, adds itself, and stays.
const COMMAND: &str = r#"while [ "$(wc -l < $TMPDIR/../pids)" -lt 2 ]; do sleep 0.01; done
    echo $$ >> $TMPDIR/../pids; exec sleep 120"#;

struct Machine {
    folder: tempfile::TempDir,
}

impl Machine {
    /// A machine whose etcd is this script, and whose curl accepts every answer.
    fn with(server: &str) -> Self {
        let machine = Self { folder: tempfile::tempdir().unwrap() };
        for name in ["bin", "tmp", "cache"] {
            fs::create_dir(machine.path(name)).unwrap();
        }
        fs::write(machine.path("pids"), "").unwrap();
        machine.program("etcd", server);
        machine.program("curl", "echo '{\"version\":\"9.9.9\"}'");
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
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
        for name in ["CRED_TEST_ETCD_ADDR", "CRED_TEST_AWS_ENDPOINT", "AWS_ENDPOINT_URL"] {
            command.env_remove(name);
        }
        command.stdin(Stdio::null());
        command
    }

    fn servers_run(&self, script: &str) -> Command {
        self.xtask(&["servers", "run", "etcd", "--", "sh", "-c", script])
    }

    fn pids(&self) -> Vec<String> {
        fs::read_to_string(self.path("pids")).unwrap().lines().map(str::to_owned).collect()
    }

    fn all_gone(&self) {
        until("the end of every process", || !self.pids().iter().any(|pid| is_alive(pid)));
        until("a clean temporary folder", || fs::read_dir(self.path("tmp")).unwrap().next().is_none());
    }
}

fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !reached() {
        assert!(begin.elapsed() < PATIENCE, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A process that has ended, but that its parent has not waited for, has the state Z.
fn is_alive(pid: &str) -> bool {
    let output = Command::new("ps").args(["-o", "stat=", "-p", pid]).output().unwrap();
    let state = String::from_utf8(output.stdout).unwrap();
    !state.trim().is_empty() && !state.trim().starts_with('Z')
}

/// The same command, ended by each signal also where this test inherited that it is ignored, as in
/// the background of a script or under `nohup`.
fn with_default_signals(command: &Command) -> Command {
    let mut env = Command::new("env");
    if cfg!(target_os = "linux") {
        env.arg("--default-signal=INT,TERM,HUP");
    }
    env.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => env.env(name, value),
            None => env.env_remove(name),
        };
    }
    env
}

/// Its exit code, standard output and standard error.
fn outcome(mut command: Command) -> (Option<i32>, String, String) {
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn no_signal_leaves_a_process_or_a_folder_behind() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::KILL] {
        let machine = Machine::with(SERVER);
        let xtask = machine.servers_run(COMMAND);
        let mut xtask = with_default_signals(&xtask).stderr(Stdio::null()).spawn().unwrap();
        until("three processes", || machine.pids().len() == 3);
        assert!(machine.pids().iter().all(|pid| is_alive(pid)));
        let folder = fs::read_dir(machine.path("tmp")).unwrap().next().unwrap().unwrap();
        assert_eq!(folder.metadata().unwrap().permissions().mode() & 0o777, 0o700, "it may have keys");
        kill_process(Pid::from_child(&xtask), signal).unwrap();
        until(&format!("an end by {signal:?}"), || xtask.try_wait().unwrap().is_some());
        machine.all_gone();
    }
}

#[test]
fn the_servers_end_with_the_command_whose_exit_code_is_returned() {
    let machine = Machine::with(SERVER);
    let script = "case $CRED_TEST_ETCD_ADDR in http://127.0.0.1:*) exit 3;; esac";
    let (code, _, error) = outcome(machine.servers_run(script));
    assert_eq!(code, Some(3), "{error}");
    machine.all_gone();
}

#[test]
fn a_server_that_ends_too_early_fails_the_run() {
    let machine = Machine::with(SERVER);
    // The command stays a little longer, until the guard has noticed the end.
    let script = r#"while [ "$(wc -l < $TMPDIR/../pids)" -lt 2 ]; do sleep 0.01; done
        server=$(tail -n 1 $TMPDIR/../pids); kill -KILL "$server"
        while ps -o stat= -p "$server" | grep -qv Z; do sleep 0.01; done; sleep 1"#;
    let (code, _, error) = outcome(machine.servers_run(script));
    assert_eq!(code, Some(1));
    assert!(error.contains("etcd ended before the command did"), "{error}");
    machine.all_gone();
}

#[test]
fn a_server_that_cannot_start_is_tried_again_and_leaves_nothing() {
    let machine = Machine::with(
        r#"[ "$1" = --version ] && exit; echo $$ >> $TMPDIR/../pids; echo no more memory; exit 9"#,
    );
    machine.program("curl", "exit 7"); // else its answer would count before the server has ended
    let (code, _, error) = outcome(machine.servers_run("true"));
    assert_eq!(code, Some(1));
    assert!(error.contains("no more memory"), "{error}");
    assert_eq!(machine.pids().len(), 3, "another process may have taken its port");
    machine.all_gone();
}

#[test]
fn a_server_that_is_given_is_used_if_it_answers() {
    let machine = Machine::with("exit 1");
    let given = || {
        let mut xtask = machine.servers_run("echo $CRED_TEST_ETCD_ADDR");
        xtask.env("CRED_TEST_ETCD_ADDR", "http://elsewhere:1");
        outcome(xtask)
    };
    let (code, text, error) = given();
    assert_eq!((code, text.as_str()), (Some(0), "http://elsewhere:1\n"), "{error}");
    assert!(error.contains("given by CRED_TEST_ETCD_ADDR"), "{error}");
    machine.program("curl", "exit 7");
    let (code, _, error) = given();
    assert_eq!(code, Some(1));
    assert!(error.contains("does not answer at http://elsewhere:1"), "{error}");
}

#[test]
fn a_missing_server_is_made_once_and_fails_the_run_if_it_cannot_be_made() {
    let machine = Machine::with("exit 127");
    machine.program("go", "echo no such version; exit 1");
    let (code, _, error) = outcome(machine.servers_run("true"));
    assert_eq!(code, Some(1));
    for words in ["bin/etcd does not run", "cannot make etcd", "no such version"] {
        assert!(error.contains(words), "{words} is not in: {error}");
    }
    assert_eq!(fs::read_dir(machine.path("cache/servers")).unwrap().count(), 1, "only the lock");

    machine.program("go", r#"[ $1 = list ] && echo v9.9.8 || { mkdir "${6%/*}"; cp "$0" "$6"; }"#);
    for source in ["made now", "cache"] {
        let (code, _, error) = outcome(machine.xtask(&["servers", "make", "etcd"]));
        assert_eq!(code, Some(0), "{error}");
        assert!(error.ends_with(&format!("etcd: 9.9.8 exists ({source})\n")), "{error}");
        assert!(error.lines().all(|line| line.starts_with("etcd: ")), "{error}");
    }
}

/// A cargo that has built one program for every package.
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

#[test]
fn a_server_that_is_killed_in_the_middle_of_a_suite_turns_it_red() {
    // The suite stays until the guard has noticed the end.
    let killing = r#"kill -KILL "$(head -n 1 $TMPDIR/../pids)" 2> /dev/null; sleep 1"#;
    for (in_the_middle, code) in [(killing, 1), ("true", 0)] {
        let machine = Machine::with("exit 1");
        machine.program(
            "moto_server",
            r#"[ "$1" = --help ] && exit; echo $$ >> $TMPDIR/../pids; exec sleep 120"#,
        );
        machine.program("suite", &SUITE.replace("SCRIPT", in_the_middle));
        machine.program("cargo", &CARGO.replace("SUITE", machine.path("bin/suite").to_str().unwrap()));
        let mut xtask = machine.xtask(&["test-integration", "aws"]);
        xtask.env("REAL_CARGO", env!("CARGO")).env("CARGO", machine.path("bin/cargo"));
        let (ended, text, error) = outcome(xtask);
        assert_eq!(ended, Some(code), "{text}{error}");
        assert_eq!(text.contains("moto: ended during the tests"), code == 1, "{text}");
        assert!(text.trim_end().ends_with(&format!("{code} failed, 0 skipped")), "{text}");
        machine.all_gone();
    }
}
