//! Kills writers at random moments.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cred_provider_kit::naming::FileNames;

use crate::oracle::Oracle;
use crate::sized;
use crate::worker::{Process, open, paths, read_number, runtime};

/// Writers that run at once: while one is killed, the others keep writing.
const SLOTS: usize = 4;
/// Kills per slot before all writers are killed together.
const KILLS: usize = 24;
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

#[derive(Default)]
struct Tally {
    kills: usize,
    acknowledged: usize,
    temporary_files: usize,
}

#[test]
fn a_kill_loses_no_acknowledged_write_and_leaves_no_files() {
    let rounds = sized(3, 100);
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("base");
    let mut oracles: Vec<Oracle> = vec![Oracle::default(); SLOTS];
    let mut tally = Tally::default();
    let mut next = 1;
    let started = Instant::now();
    for _ in 0..rounds {
        std::thread::scope(|scope| {
            for (slot, oracle) in oracles.iter_mut().enumerate() {
                let (base, first) = (&base, next + slot_number(slot) * 1_000_000);
                scope.spawn(move || kill_repeatedly(base, slot, first, oracle));
            }
        });
        // All at once, and no process opens the directory between the kills.
        let last = next + 900_000;
        let writers: Vec<_> =
            (0..SLOTS).map(|slot| writer(&base, slot, last + 1_000_000 * slot_number(slot))).collect();
        for (writer, oracle) in writers.into_iter().zip(&mut oracles) {
            kill(writer, oracle);
        }
        next += 4_000_000;
        tally.kills += SLOTS * (KILLS + 1);
        tally.temporary_files += names(&base.join(".tmp")).len();
        for (slot, oracle) in oracles.iter_mut().enumerate() {
            verify(&base, slot, oracle);
        }
        assert_eq!(names(&base.join(".tmp")), [""; 0], "a temporary file remains after the next opening");
        assert_eq!(unexpected_files(&base), BTreeSet::new(), "unexpected files");
    }
    tally.acknowledged = oracles.iter().map(|oracle| oracle.acknowledgements).sum();
    println!(
        "kills: {} kills in {:.0} s, {} acknowledged writes, 0 lost, 0 torn; {} temporary files left by the last kills, \
         0 after the next opening",
        tally.kills,
        started.elapsed().as_secs_f64(),
        tally.acknowledged,
        tally.temporary_files
    );
    assert!(tally.acknowledged > tally.kills, "too few acknowledged writes: {}", tally.acknowledged);
    assert!(rounds < 20 || tally.temporary_files > 0, "no kill hit a write, so the test proves nothing");
}

fn kill_repeatedly(base: &Path, slot: usize, first: u64, oracle: &mut Oracle) {
    for number in 0..KILLS {
        kill(writer(base, slot, first + u64::try_from(number).unwrap() * 10_000), oracle);
        verify(base, slot, oracle);
    }
}

fn slot_number(slot: usize) -> u64 {
    u64::try_from(slot).unwrap()
}

fn writer(base: &Path, slot: usize, first: u64) -> Process {
    let (slot, first) = (slot.to_string(), first.to_string());
    let more = [("CRED_FIRE_SLOT", &*slot), ("CRED_FIRE_FIRST", &*first), ("CRED_FIRE_COUNT", "9999")];
    Process::start("random", base, &more)
}

fn kill(writer: Process, oracle: &mut Oracle) {
    writer.expect("ready");
    let (started, wanted) = (Instant::now(), fastrand::u32(0..4));
    let mut acknowledged = 0;
    while acknowledged < wanted {
        let message = writer.next().expect("the writer runs until it is killed");
        oracle.observe(&message);
        acknowledged += u32::from(message == "ok");
    }
    // Kill it somewhere in the next write, however slow the disk is.
    let pace = started.elapsed() / wanted.max(1);
    std::thread::sleep(pace.min(LONGEST_PAUSE).mul_f64(1.3 * fastrand::f64()));
    for message in writer.kill() {
        oracle.observe(&message);
    }
}

/// Checks the paths of a slot with a new provider, which sweeps when it opens the directory, even
/// while others write.
fn verify(base: &Path, slot: usize, oracle: &mut Oracle) {
    let provider = open(base);
    runtime().block_on(async {
        for path in paths(&slot.to_string()) {
            let found = read_number(&provider, &path).await.unwrap();
            assert!(oracle.allows(&path, found), "{path} is {found:?}, but the writer reported {oracle:?}");
            oracle.resolve(&path, found);
        }
    });
}

pub(crate) fn names(directory: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Files below the base that are neither a credential of a slot nor the lock file.
fn unexpected_files(base: &Path) -> BTreeSet<PathBuf> {
    let naming = FileNames::new("file_extension", "enc.json").unwrap();
    let mut files = files(base);
    files.remove(&base.join(".lock"));
    for path in (0..SLOTS).flat_map(|slot| paths(&slot.to_string())) {
        let directories = path.scope.iter().flat_map(|scope| naming.directories(scope));
        let names = directories.chain([naming.file(&path.id)]);
        files.remove(&names.fold(base.to_owned(), |path, name| path.join(name.text)));
    }
    files
}

fn files(directory: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => _ = found.insert(path),
        }
    }
    found
}
