//! Errors and deaths at each system call in turn.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::kills::names;
use crate::oracle::{Operation, Oracle};
use crate::sized;
use crate::trace::{Call, Deed, read, strace};
use crate::worker::{self, Process, look, open, runtime, store};

const CALLS: &str = "openat,newfstatat,fstat,statx,fcntl,mkdirat,flock,read,write,fsync,fdatasync,renameat,renameat2,\
                     unlinkat,getdents64";
/// Silent writes and reads before the call that is hit, in the same thread, so that its calls are
/// told from those of other threads, which make fewer of each kind.
const WARM_UP: u64 = 25;
const THREADS: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Error(&'static str),
    /// The call answers zero and does nothing.
    Nothing,
    Death,
}

const FAULTS: [Fault; 5] =
    [Fault::Error("EIO"), Fault::Error("ENOSPC"), Fault::Error("EINTR"), Fault::Nothing, Fault::Death];

/// Calls that may be interrupted, and are then made again.
const REPEATED: [&str; 9] =
    ["openat", "mkdirat", "flock", "read", "write", "fsync", "renameat", "renameat2", "unlinkat"];

#[test]
#[ignore = "needs strace: cargo xtask fire"]
fn each_system_call_may_fail_or_be_the_last() {
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
            for fault in FAULTS.into_iter().filter(|fault| *fault != Fault::Nothing || name == "write") {
                work.lock().unwrap().push((*operation, name.clone(), nth, fault));
            }
        }
    }
    let (runs, answered) = (work.lock().unwrap().len(), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some((operation, name, nth, fault)) = { work.lock().unwrap().pop() } {
                    answered.fetch_add(usize::from(hit(operation, &name, nth, fault)), Ordering::Relaxed);
                }
            });
        }
    });
    println!(
        "inject: {runs} faults in {} operations; {} were answered with success, the others with a clear error or death; \
         old or new value after each, nothing left",
        operations.len(),
        answered.into_inner()
    );
}

fn settings(operation: &str, base: &Path) -> BTreeMap<String, String> {
    let script = format!("store key 26;{operation}");
    let warm_up = WARM_UP.to_string();
    worker::settings("script", base, &[("CRED_FIRE_WARM_UP", &warm_up), ("CRED_FIRE_SCRIPT", &script)])
}

/// The system calls of an operation: their names, and which of that name in its thread each is.
fn reference(operation: &str) -> Vec<(String, usize)> {
    let folder = tempfile::tempdir().unwrap();
    let (base, record) = (folder.path().join("base"), folder.path().join("record"));
    let settings = settings(operation, &base);
    let (words, complaints) = Process::start_behind(&strace(&record, CALLS, &[]), &settings).end();
    assert_eq!(words.last().map(String::as_str), Some("end"), "{words:?} {complaints}");
    let calls = read(&record);
    let said = |word: &str| calls.iter().position(|call| says(call, word)).expect("it was said");
    let begun = said(operation);
    let ended = begun + calls[begun..].iter().position(|call| says(call, "ok")).unwrap();
    // The thread that the files are handled in.
    let thread = calls[begun..ended].iter().find(|call| call.name == "openat").unwrap().thread;
    let mut counts: BTreeMap<(u32, &str), usize> = BTreeMap::new();
    let mut found = Vec::new();
    for (at, call) in calls.iter().enumerate() {
        let count = counts.entry((call.thread, call.name.as_str())).or_default();
        *count += 1;
        if (begun..ended).contains(&at) && call.thread == thread {
            found.push((call.name.clone(), *count));
        }
    }
    for (name, nth) in &found {
        let elsewhere = counts.iter().filter(|((other, of), _)| *other != thread && of == name);
        assert!(
            elsewhere.map(|(_, count)| *count).max().unwrap_or(0) < *nth,
            "another thread makes as many {name}"
        );
    }
    found
}

fn says(call: &Call, word: &str) -> bool {
    call.name == "write" && call.deed() == Some(Deed::Said(word.to_owned()))
}

/// Runs the operation with one fault; gives whether it was answered with success.
fn hit(text: &str, name: &str, nth: usize, fault: Fault) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let (base, record) = (folder.path().join("base"), folder.path().join("record"));
    let inject = match fault {
        Fault::Error(errno) => format!("inject={name}:error={errno}:when={nth}"),
        Fault::Nothing => format!("inject={name}:retval=0:when={nth}"),
        Fault::Death => format!("inject={name}:signal=SIGKILL:when={nth}"),
    };
    let what = format!("{text}: {inject}");
    let strace = strace(&record, CALLS, &["-e".to_owned(), inject]);
    let settings = settings(text, &base);
    let (words, complaints) = Process::start_behind(&strace, &settings).end();
    assert!(!complaints.contains("panicked"), "{what}: {complaints}");

    // What was hit is the operation, and not what came before it.
    let begun =
        words.iter().position(|word| word == text).unwrap_or_else(|| panic!("{what}: not begun: {words:?}"));
    let log = std::fs::read_to_string(&record).unwrap();
    let was_hit = log.contains("(INJECTED)") || log.contains("killed by SIGKILL");
    assert!(was_hit, "{what}: nothing was hit");
    let answer = words.get(begun + 1).map(String::as_str);
    assert_eq!(answer.is_none(), fault == Fault::Death, "{what}: {words:?}");

    let operation: Operation = text.parse().unwrap();
    let mut oracle = Oracle::default();
    oracle.hear(&format!("store warm {WARM_UP}"));
    oracle.hear("ok");
    for word in &words[..=begun] {
        oracle.hear(word);
    }
    match answer {
        Some("ok") => oracle.hear("ok"),
        Some(failed) => {
            let (may_have_written, message) =
                failed.strip_prefix("failed ").and_then(|rest| rest.split_once(' ')).unwrap();
            assert!(message.starts_with("could not ") && message.contains(" in local"), "{what}: {message}");
            let repeated = fault == Fault::Error("EINTR") && REPEATED.contains(&name);
            assert!(!repeated, "{what}: an interruption is no failure: {message}");
            if may_have_written == "false" {
                oracle.fail();
            }
        }
        None => {}
    }
    if fault != Fault::Death {
        assert_eq!(names(&base.join(".tmp")), [""; 0], "{what}: left behind");
    }
    verify(&base, &operation, &oracle, &what);
    answer == Some("ok")
}

/// A process of its own finds the old value or the new one, nothing left, and can store.
fn verify(base: &Path, operation: &Operation, oracle: &Oracle, what: &str) {
    let provider = open(base);
    runtime().block_on(async {
        provider.connect().await.unwrap();
        assert_eq!(names(&base.join(".tmp")), [""; 0], "{what}: left after the next opening");
        for path in ["warm", "key", "org:new/team:new/key"].map(|text| text.parse().unwrap()) {
            let found = look(&provider, &path).await.unwrap_or_else(|error| panic!("{what}: {error}"));
            assert!(oracle.admits(&path, found), "{what}: {path} is {found:?}");
        }
        if let Operation::Store(path, _) | Operation::Rotate(path, _) | Operation::Delete(path) = operation {
            store(&provider, path, 7).await.unwrap_or_else(|error| panic!("{what}: afterwards: {error}"));
            assert_eq!(look(&provider, path).await.unwrap(), Some(7), "{what}");
        }
    });
}

/// `ulimit -f` makes a write stop short in the middle, and the next one fail.
#[test]
fn a_write_that_stops_short_leaves_the_old_value() {
    // The first value is a file of 2 blocks of 512 bytes, the second one of 17.
    let (small, large) = (6_000, 1926);
    let mut refused = 0;
    for blocks in sized(vec![2, 7, 13, 30], (2..=30).collect()) {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().join("base");
        let script = format!("store key {small};store key {large}");
        let limit = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
        let before = ["sh", "-c", &limit, "sh"];
        let settings = worker::settings("script", &base, &[("CRED_FIRE_SCRIPT", &script)]);
        let (words, _) = Process::start_behind(&before, &settings).end();
        let found = runtime().block_on(look(&open(&base), &"key".parse().unwrap())).unwrap();
        match words[3].strip_prefix("failed ") {
            None => assert_eq!((words[3].as_str(), found), ("ok", Some(large)), "{blocks} blocks"),
            Some(error) => {
                assert!(
                    error.starts_with("false could not store credential `key` in local: no space"),
                    "{error}"
                );
                assert_eq!(found, Some(small), "{blocks} blocks: {words:?}");
                refused += 1;
            }
        }
        assert_eq!(names(&base.join(".tmp")), [""; 0], "{blocks} blocks: left behind");
    }
    assert!(refused > 1, "the limit was never reached");
    println!("short writes: {refused} stores were cut short and refused, the old value stood");
}

/// Seccomp filters that are older than the call refuse it with EPERM, whatever the permissions are.
#[test]
#[ignore = "needs strace: cargo xtask fire"]
fn a_sandbox_that_refuses_to_check_permissions_does_not_refuse_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let (base, record) = (folder.path().join("base"), folder.path().join("record"));
    let inject = ["-e".to_owned(), "inject=faccessat2:error=EPERM".to_owned()];
    // The base is missing for the first provider, and there for the second one.
    for expected in ["store key 1", "store key 2"] {
        let settings = worker::settings("script", &base, &[("CRED_FIRE_SCRIPT", expected)]);
        let (words, complaints) =
            Process::start_behind(&strace(&record, "faccessat2", &inject), &settings).end();
        assert_eq!(words, [expected, "ok", "end"], "{complaints}");
        let record = std::fs::read_to_string(&record).unwrap();
        assert!(record.contains("EPERM") && record.contains("(INJECTED)"), "{record}");
    }
}
