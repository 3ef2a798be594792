//! Power that is lost at any moment, on the model of a disk.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::disk::Disk;
use crate::kills::names;
use crate::oracle::Oracle;
use crate::sized;
use crate::trace::{CALLS, Call, Deed, read, strace};
use crate::worker::{Process, arguments, look, open, paths, runtime, settings};

const WRITERS: usize = 3;

#[test]
#[ignore = "needs strace: cargo xtask fire"]
fn no_cut_of_power_loses_what_was_acknowledged() {
    let (records, cuts) = sized((5, 40), (10, 100));
    let (mut acknowledged, mut calls) = (0, 0);
    for _ in 0..records {
        let folder = tempfile::tempdir().unwrap();
        let record = work(folder.path());
        calls += record.len();
        for _ in 0..cuts {
            acknowledged += cut(folder.path(), &record, fastrand::usize(..=record.len()));
        }
    }
    println!(
        "power: {} cuts in {records} records of {WRITERS} writers ({calls} system calls); {acknowledged} values were \
         acknowledged before a cut and all were found",
        records * cuts
    );
    assert!(acknowledged > records * cuts, "the cuts came before anything was written");
}

/// That a directory is there does not mean that it stays: whoever made it may have been killed
/// before the sync.
#[test]
#[ignore = "needs strace: cargo xtask fire"]
fn what_a_killed_writer_has_made_is_synced_by_the_next() {
    let (mut syncs, mut acknowledged) = (0, 0);
    loop {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().join("above/base");
        let run = |slot: usize, inject: &[String]| {
            let record = folder.path().join(format!("record-{slot}"));
            let script = format!("store org:acme/team:shared/key-{slot} {slot}");
            let settings = settings("script", &base, &[("CRED_FIRE_SCRIPT", &script)]);
            let (said, _) = Process::start_behind(&strace(&record, CALLS, inject), &settings).end();
            (read(&record), said.contains(&"ok".to_owned()))
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
        "power: {} writers were killed at a sync, {acknowledged} values of the next were found",
        syncs - 1
    );
    assert!(syncs > 6, "a store in a new scope makes and syncs several directories");
}

/// Several writers that begin at once, from a base that is not there, under one strace.
fn work(root: &Path) -> Vec<Call> {
    let record = root.join("record");
    let base = root.join("above/base");
    let own = arguments().map(|word| format!("'{word}'")).join(" ");
    let writer = |slot: usize| {
        let first = slot * 1_000;
        format!("CRED_FIRE_SLOT={slot} CRED_FIRE_FIRST={first} CRED_FIRE_COUNT=25 {own} &")
    };
    let script: String = (0..WRITERS).map(writer).collect();
    let mut words = strace(&record, CALLS, &[]);
    words.extend(["sh".to_owned(), "-c".to_owned(), format!("{script} wait"), "sh".to_owned()]);
    let (said, complaints) = Process::start_behind(&words, &settings("random", &base, &[])).end();
    assert_eq!(said.iter().filter(|word| *word == "end").count(), WRITERS, "{said:?} {complaints}");
    in_order(read(&record))
}

/// By the moments when calls took effect, as far as answers tell. Another writer may see a
/// directory before the one that makes it has its answer, so these count from their beginning; and
/// one may begin before another writer begins to make what is above it.
fn in_order(mut calls: Vec<Call>) -> Vec<Call> {
    // What is above stands before what is below.
    let mut made: BTreeMap<PathBuf, usize> = BTreeMap::new();
    for call in &calls {
        if let Some(Deed::Directory(place)) = call.deed() {
            made.insert(place, call.began);
        }
    }
    for place in made.keys().cloned().collect::<Vec<_>>() {
        let above = place.parent().and_then(|above| made.get(above)).copied().unwrap_or_default();
        made.entry(place).and_modify(|moment| *moment = above.max(*moment));
    }
    calls.sort_by_cached_key(|call| match call.deed() {
        Some(Deed::Directory(place)) => (made[&place], place.components().count()),
        _ => (call.ended, 0),
    });
    calls
}

#[test]
fn a_directory_that_was_begun_before_the_one_above_it_comes_after_it() {
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
    // What is renamed must be there.
    in_order(read(&record)).iter().for_each(|call| disk.apply(call));
}

/// Cuts the power after so many calls; gives how many values had to be there and were.
fn cut(root: &Path, record: &[Call], after: usize) -> usize {
    let mut disk = Disk::new(root);
    let mut threads = BTreeMap::new();
    let mut oracles: Vec<Oracle> = Vec::new();
    for call in &record[..after] {
        disk.apply(call);
        if let Some(Deed::Said(word)) = call.deed() {
            let writer = *threads.entry(call.thread).or_insert_with(|| {
                oracles.push(Oracle::default());
                oracles.len() - 1
            });
            oracles[writer].hear(&word);
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
            let found = look(&provider, &path).await.unwrap_or_else(|error| panic!("call {after}: {error}"));
            // A writer that has said nothing yet has nothing; the others each know their own paths.
            let writer = oracles.iter().find(|oracle| oracle.knows(&path)).cloned().unwrap_or_default();
            assert!(
                writer.admits(&path, found),
                "{path} is {found:?} after call {after}, said was {writer:?}"
            );
            found_after += usize::from(writer.has_acknowledged(&path));
        }
    });
    assert_eq!(names(&base.join(".tmp")), [""; 0], "left after the next opening");
    found_after
}
