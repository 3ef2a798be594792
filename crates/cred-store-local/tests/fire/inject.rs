//! Injects errors and kills at each system call, one at a time.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::kills::names;
use crate::oracle::{Operation, Oracle};
use crate::sized;
use crate::trace::{Call, Effect, read, strace};
use crate::worker::{self, Process, open, read_number, runtime, store};

const CALLS: &str = "openat,newfstatat,fstat,statx,fcntl,mkdirat,flock,read,write,fsync,fdatasync,renameat,renameat2,\
                     unlinkat,getdents64";
/// Unreported writes and reads before the operation, in the same thread. Its calls then have higher
/// numbers than those of other threads, which make fewer calls of each kind.
const WARM_UP: u64 = 25;
const THREADS: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Error(&'static str),
    /// The call returns zero and does nothing.
    NoEffect,
    Kill,
}

const FAULTS: [Fault; 5] =
    [Fault::Error("EIO"), Fault::Error("ENOSPC"), Fault::Error("EINTR"), Fault::NoEffect, Fault::Kill];

/// Calls that are retried if they are interrupted.
const RETRIED: [&str; 9] =
    ["openat", "mkdirat", "flock", "read", "write", "fsync", "renameat", "renameat2", "unlinkat"];

#[test]
#[ignore = "needs strace: cargo xtask fire"]
fn every_injected_fault_leaves_the_old_or_the_new_value() {
    let operations = sized(
        &["store org:new/team:new/key 1000", "delete key"][..],
        &[
            "store org:new/team:new/key 1000",
            "store key 1000",
            "rotate key 1000",
            "delete key",
            "retrieve key 26",
            "list 2",
        ],
    );
    let work = Mutex::new(Vec::new());
    for operation in operations {
        let calls = reference(operation);
        for (name, nth) in calls {
            for fault in FAULTS.into_iter().filter(|fault| *fault != Fault::NoEffect || name == "write") {
                work.lock().unwrap().push((*operation, name.clone(), nth, fault));
            }
        }
    }
    let (runs, succeeded) = (work.lock().unwrap().len(), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some((operation, name, nth, fault)) = { work.lock().unwrap().pop() } {
                    succeeded.fetch_add(
                        usize::from(run_with_fault(operation, &name, nth, fault)),
                        Ordering::Relaxed,
                    );
                }
            });
        }
    });
    println!(
        "inject: {runs} faults in {} operations; {} operations succeeded, the others failed with a clear error or were \
         killed; each left the old or the new value and no temporary file",
        operations.len(),
        succeeded.into_inner()
    );
}

fn settings(operation: &str, base: &Path) -> BTreeMap<String, String> {
    let script = format!("store key 26;{operation}");
    let warm_up = WARM_UP.to_string();
    worker::settings("script", base, &[("CRED_FIRE_WARM_UP", &warm_up), ("CRED_FIRE_SCRIPT", &script)])
}

/// The system calls of an operation: the name of each, and its number among the calls of that name
/// in its thread.
fn reference(operation: &str) -> Vec<(String, usize)> {
    let folder = tempfile::tempdir().unwrap();
    let (base, record) = (folder.path().join("base"), folder.path().join("record"));
    let settings = settings(operation, &base);
    let (messages, stderr) = Process::start_under(&strace(&record, CALLS, &[]), &settings).wait();
    assert_eq!(messages.last().map(String::as_str), Some("end"), "{messages:?} {stderr}");
    let calls = read(&record);
    let position_of = |message: &str| {
        calls.iter().position(|call| reports(call, message)).expect("the message was reported")
    };
    let pending = position_of(operation);
    let ended = pending + calls[pending..].iter().position(|call| reports(call, "ok")).unwrap();
    // The thread that does the file operations.
    let thread = calls[pending..ended].iter().find(|call| call.name == "openat").unwrap().thread;
    let mut counts: BTreeMap<(u32, &str), usize> = BTreeMap::new();
    let mut found = Vec::new();
    for (at, call) in calls.iter().enumerate() {
        let count = counts.entry((call.thread, call.name.as_str())).or_default();
        *count += 1;
        if (pending..ended).contains(&at) && call.thread == thread {
            found.push((call.name.clone(), *count));
        }
    }
    for (name, nth) in &found {
        let elsewhere = counts.iter().filter(|((other, of), _)| *other != thread && of == name);
        assert!(
            elsewhere.map(|(_, count)| *count).max().unwrap_or(0) < *nth,
            "another thread makes as many {name} calls"
        );
    }
    found
}

fn reports(call: &Call, message: &str) -> bool {
    call.name == "write" && call.effect() == Some(Effect::Reported(message.to_owned()))
}

/// Runs the operation with one fault. Returns whether it succeeded.
fn run_with_fault(text: &str, name: &str, nth: usize, fault: Fault) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let (base, record) = (folder.path().join("base"), folder.path().join("record"));
    let inject = match fault {
        Fault::Error(errno) => format!("inject={name}:error={errno}:when={nth}"),
        Fault::NoEffect => format!("inject={name}:retval=0:when={nth}"),
        Fault::Kill => format!("inject={name}:signal=SIGKILL:when={nth}"),
    };
    let context = format!("{text}: {inject}");
    let strace = strace(&record, CALLS, &["-e".to_owned(), inject]);
    let settings = settings(text, &base);
    let (messages, stderr) = Process::start_under(&strace, &settings).wait();
    assert!(!stderr.contains("panicked"), "{context}: {stderr}");

    // The fault must be in the operation and not in a call before it.
    let pending = messages
        .iter()
        .position(|message| message == text)
        .unwrap_or_else(|| panic!("{context}: not started: {messages:?}"));
    let log = std::fs::read_to_string(&record).unwrap();
    let was_injected = log.contains("(INJECTED)") || log.contains("killed by SIGKILL");
    assert!(was_injected, "{context}: no fault was injected");
    let result = messages.get(pending + 1).map(String::as_str);
    assert_eq!(result.is_none(), fault == Fault::Kill, "{context}: {messages:?}");

    let operation: Operation = text.parse().unwrap();
    let mut oracle = Oracle::default();
    oracle.observe(&format!("store warm {WARM_UP}"));
    oracle.observe("ok");
    for message in &messages[..=pending] {
        oracle.observe(message);
    }
    match result {
        Some("ok") => oracle.observe("ok"),
        Some(failed) => {
            let (may_have_written, message) =
                failed.strip_prefix("failed ").and_then(|rest| rest.split_once(' ')).unwrap();
            assert!(
                message.starts_with("could not ") && message.contains(" in local"),
                "{context}: {message}"
            );
            let retried = fault == Fault::Error("EINTR") && RETRIED.contains(&name);
            assert!(!retried, "{context}: an interruption caused a failure: {message}");
            if may_have_written == "false" {
                oracle.fail();
            }
        }
        None => {}
    }
    if fault != Fault::Kill {
        assert_eq!(names(&base.join(".tmp")), [""; 0], "{context}: a temporary file remains");
    }
    verify(&base, &operation, &oracle, &context);
    result == Some("ok")
}

/// Checks that a new provider finds the old or the new value and no temporary file, and can store.
fn verify(base: &Path, operation: &Operation, oracle: &Oracle, context: &str) {
    let provider = open(base);
    runtime().block_on(async {
        provider.connect().await.unwrap();
        assert_eq!(
            names(&base.join(".tmp")),
            [""; 0],
            "{context}: a temporary file remains after the next opening"
        );
        for path in ["warm", "key", "org:new/team:new/key"].map(|text| text.parse().unwrap()) {
            let found =
                read_number(&provider, &path).await.unwrap_or_else(|error| panic!("{context}: {error}"));
            assert!(oracle.allows(&path, found), "{context}: {path} is {found:?}");
        }
        if let Operation::Store(path, _) | Operation::Rotate(path, _) | Operation::Delete(path) = operation {
            store(&provider, path, 7).await.unwrap_or_else(|error| panic!("{context}: later store: {error}"));
            assert_eq!(read_number(&provider, path).await.unwrap(), Some(7), "{context}");
        }
    });
}

/// `ulimit -f` cuts a write short and makes the next one fail.
#[test]
fn a_short_write_leaves_the_old_value() {
    // The first value is a file of 2 blocks of 512 bytes, the second one of 17.
    let (small, large) = (6_000, 1926);
    let mut failed = 0;
    for blocks in sized(vec![2, 7, 13, 30], (2..=30).collect()) {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().join("base");
        let script = format!("store key {small};store key {large}");
        let limit = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
        let before = ["sh", "-c", &limit, "sh"];
        let settings = worker::settings("script", &base, &[("CRED_FIRE_SCRIPT", &script)]);
        let (messages, _) = Process::start_under(&before, &settings).wait();
        let found = runtime().block_on(read_number(&open(&base), &"key".parse().unwrap())).unwrap();
        match messages[3].strip_prefix("failed ") {
            None => assert_eq!((messages[3].as_str(), found), ("ok", Some(large)), "{blocks} blocks"),
            Some(error) => {
                assert!(
                    error.starts_with("false could not store credential `key` in local: no space"),
                    "{error}"
                );
                assert_eq!(found, Some(small), "{blocks} blocks: {messages:?}");
                failed += 1;
            }
        }
        assert_eq!(names(&base.join(".tmp")), [""; 0], "{blocks} blocks: a temporary file remains");
    }
    assert!(failed > 1, "the limit was never reached");
    println!("short writes: {failed} stores were cut short and failed, and the old value remained");
}

/// A seccomp filter that does not know the call fails it with EPERM, whatever the permissions are.
#[test]
#[ignore = "needs strace: cargo xtask fire"]
fn a_sandbox_that_denies_permission_checks_does_not_block_stores() {
    let folder = tempfile::tempdir().unwrap();
    let (base, record) = (folder.path().join("base"), folder.path().join("record"));
    let inject = ["-e".to_owned(), "inject=faccessat2:error=EPERM".to_owned()];
    // The base is missing for the first provider and exists for the second.
    for expected in ["store key 1", "store key 2"] {
        let settings = worker::settings("script", &base, &[("CRED_FIRE_SCRIPT", expected)]);
        let (messages, stderr) =
            Process::start_under(&strace(&record, "faccessat2", &inject), &settings).wait();
        assert_eq!(messages, [expected, "ok", "end"], "{stderr}");
        let record = std::fs::read_to_string(&record).unwrap();
        assert!(record.contains("EPERM") && record.contains("(INJECTED)"), "{record}");
    }
}
