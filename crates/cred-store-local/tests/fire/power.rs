//! Simulates power cuts at any moment, on a model of a disk.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::disk::Disk;
use crate::kills::names;
use crate::oracle::Oracle;
use crate::sized;
use crate::trace::{CALLS, Call, Effect, read, strace};
use crate::worker::{Process, arguments, open, paths, read_number, runtime, settings};

const WRITERS: usize = 3;

#[test]
#[ignore = "needs strace: cargo xtask fire"]
fn a_power_cut_loses_no_acknowledged_write() {
    let (records, cuts) = sized((5, 40), (10, 100));
    let (mut acknowledged, mut calls) = (0, 0);
    for _ in 0..records {
        let folder = tempfile::tempdir().unwrap();
        let record = record_writers(folder.path());
        calls += record.len();
        for _ in 0..cuts {
            acknowledged += cut(folder.path(), &record, fastrand::usize(..=record.len()));
        }
    }
    println!(
        "power: {} cuts in {records} records of {WRITERS} writers ({calls} system calls); all {acknowledged} values \
         that were acknowledged before a cut were found",
        records * cuts
    );
    assert!(acknowledged > records * cuts, "the cuts came before anything was written");
}

/// A directory that exists may not be durable: the writer that created it may have been killed
/// before it synced the parent.
#[test]
#[ignore = "needs strace: cargo xtask fire"]
fn directories_of_a_killed_writer_are_synced_by_the_next_writer() {
    let (mut syncs, mut acknowledged) = (0, 0);
    loop {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().join("above/base");
        let run = |slot: usize, inject: &[String]| {
            let record = folder.path().join(format!("record-{slot}"));
            let script = format!("store org:acme/team:shared/key-{slot} {slot}");
            let settings = settings("script", &base, &[("CRED_FIRE_SCRIPT", &script)]);
            let (messages, _) = Process::start_under(&strace(&record, CALLS, inject), &settings).wait();
            (read(&record), messages.contains(&"ok".to_owned()))
        };
        syncs += 1;
        let killed = ["-e".to_owned(), format!("inject=fsync:signal=SIGKILL:when={syncs}")];
        let (mut record, survived) = run(0, &killed);
        let later = record.len() + 1_000_000;
        let (next, stored) = run(1, &[]);
        assert!(stored);
        record.extend(next.into_iter().map(|call| call.later(later)));
        for _ in 0..20 {
            acknowledged += cut(folder.path(), &record, record.len());
        }
        if survived {
            break;
        }
    }
    println!(
        "power: {} writers were killed at a sync; {acknowledged} values of the next writer were found",
        syncs - 1
    );
    assert!(syncs > 6, "a store in a new scope creates and syncs several directories");
}

/// Runs several writers at once under one strace, starting without a base directory.
fn record_writers(root: &Path) -> Vec<Call> {
    let record = root.join("record");
    let base = root.join("above/base");
    let own = arguments().map(|argument| format!("'{argument}'")).join(" ");
    let writer = |slot: usize| {
        let first = slot * 1_000;
        format!("CRED_FIRE_SLOT={slot} CRED_FIRE_FIRST={first} CRED_FIRE_COUNT=25 {own} &")
    };
    let script: String = (0..WRITERS).map(writer).collect();
    let mut words = strace(&record, CALLS, &[]);
    words.extend(["sh".to_owned(), "-c".to_owned(), format!("{script} wait"), "sh".to_owned()]);
    let (messages, stderr) = Process::start_under(&words, &settings("random", &base, &[])).wait();
    assert_eq!(messages.iter().filter(|message| *message == "end").count(), WRITERS, "{messages:?} {stderr}");
    in_order(read(&record))
}

/// Sorts calls by the time when they took effect, as far as the record shows it. Another writer may
/// see a directory before the call that creates it returns, so `mkdirat` counts from its begin. It
/// may also begin before another writer begins to create the parent.
fn in_order(mut calls: Vec<Call>) -> Vec<Call> {
    // Parents sort before their children.
    let mut created: BTreeMap<PathBuf, usize> = BTreeMap::new();
    for call in &calls {
        if let Some(Effect::Directory(path)) = call.effect() {
            created.insert(path, call.began);
        }
    }
    for path in created.keys().cloned().collect::<Vec<_>>() {
        let above = path.parent().and_then(|above| created.get(above)).copied().unwrap_or_default();
        created.entry(path).and_modify(|moment| *moment = above.max(*moment));
    }
    calls.sort_by_cached_key(|call| match call.effect() {
        Some(Effect::Directory(path)) => (created[&path], path.components().count()),
        _ => (call.ended, 0),
    });
    calls
}

#[test]
fn a_directory_is_ordered_after_its_parent_even_if_its_call_began_first() {
    let folder = tempfile::tempdir().unwrap();
    let record = folder.path().join("record");
    let text = "\
1 mkdirat(AT_FDCWD</>, \"/r/above/base\", 0700 <unfinished ...>
2 mkdirat(AT_FDCWD</>, \"/r/above\", 0700) = 0
1 <... mkdirat resumed>) = 0
1 openat(5</r/above/base>, \"x\", O_WRONLY|O_CREAT|O_EXCL, 0600) = 6</r/above/base/x>
1 renameat(5</r/above/base>, \"x\", 5</r/above/base>, \"y\") = 0
";
    std::fs::write(&record, text).unwrap();
    let mut disk = Disk::new(Path::new("/r"));
    // Fails if a renamed file does not exist.
    in_order(read(&record)).iter().for_each(|call| disk.apply(call));
}

/// Cuts the power after this many calls. Returns the number of acknowledged values, all found.
fn cut(root: &Path, record: &[Call], after: usize) -> usize {
    let mut disk = Disk::new(root);
    let mut threads = BTreeMap::new();
    let mut oracles: Vec<Oracle> = Vec::new();
    for call in &record[..after] {
        disk.apply(call);
        if let Some(Effect::Reported(message)) = call.effect() {
            let writer = *threads.entry(call.thread).or_insert_with(|| {
                oracles.push(Oracle::default());
                oracles.len() - 1
            });
            oracles[writer].observe(&message);
        }
    }
    let folder = tempfile::tempdir().unwrap();
    disk.cut(folder.path());
    let base = folder.path().join("above/base");
    let provider = open(&base);
    let mut found_after = 0;
    runtime().block_on(async {
        provider.connect().await.unwrap();
        for path in (0..WRITERS).flat_map(|slot| paths(&slot.to_string())) {
            let found =
                read_number(&provider, &path).await.unwrap_or_else(|error| panic!("call {after}: {error}"));
            // Each writer knows its own paths. One that has reported nothing yet has stored
            // nothing.
            let writer = oracles.iter().find(|oracle| oracle.knows(&path)).cloned().unwrap_or_default();
            assert!(
                writer.allows(&path, found),
                "{path} is {found:?} after call {after}, but the writer reported {writer:?}"
            );
            found_after += usize::from(writer.has_acknowledged(&path));
        }
    });
    assert_eq!(names(&base.join(".tmp")), [""; 0], "a temporary file remains after the next opening");
    found_after
}
