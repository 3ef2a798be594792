//! Writers that are killed at random moments.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cred_provider_kit::naming::FileNames;

use crate::oracle::Oracle;
use crate::sized;
use crate::worker::{Process, look, open, paths, runtime};

/// Writers that are alive at once: each death is among living ones.
const SLOTS: usize = 4;
/// Kills of one slot until all are dead at once.
const KILLS: usize = 24;
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

#[derive(Default)]
struct Tally {
    kills: usize,
    acknowledged: usize,
    left: usize,
}

#[test]
fn no_kill_loses_what_was_acknowledged_or_leaves_anything() {
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
        // All at once, and nobody opens the directory between their deaths.
        let last = next + 900_000;
        let writers: Vec<_> =
            (0..SLOTS).map(|slot| writer(&base, slot, last + 1_000_000 * slot_number(slot))).collect();
        for (writer, oracle) in writers.into_iter().zip(&mut oracles) {
            kill(writer, oracle);
        }
        next += 4_000_000;
        tally.kills += SLOTS * (KILLS + 1);
        tally.left += names(&base.join(".tmp")).len();
        for (slot, oracle) in oracles.iter_mut().enumerate() {
            verify(&base, slot, oracle);
        }
        assert_eq!(names(&base.join(".tmp")), [""; 0], "left after the next opening");
        assert_eq!(strangers(&base), BTreeSet::new(), "files that nobody asked for");
    }
    tally.acknowledged = oracles.iter().map(|oracle| oracle.acknowledgements).sum();
    println!(
        "kills: {} kills in {:.0} s, {} acknowledged writes, 0 lost, 0 torn; {} temporary files left by the last kills, \
         0 after the next opening",
        tally.kills,
        started.elapsed().as_secs_f64(),
        tally.acknowledged,
        tally.left
    );
    assert!(tally.acknowledged > tally.kills, "the kills hit nothing: {}", tally.acknowledged);
    assert!(rounds < 20 || tally.left > 0, "no kill hit a write, so nothing is shown");
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
    let mut heard = 0;
    while heard < wanted {
        let word = writer.next().expect("it goes on until it is killed");
        oracle.hear(&word);
        heard += u32::from(word == "ok");
    }
    // Somewhere in the next write, however slow the disk is today.
    let pace = started.elapsed() / wanted.max(1);
    std::thread::sleep(pace.min(LONGEST_PAUSE).mul_f64(1.3 * fastrand::f64()));
    for word in writer.kill() {
        oracle.hear(&word);
    }
}

/// Looks through a new provider, which sweeps when it opens, be the others writing or not.
fn verify(base: &Path, slot: usize, oracle: &mut Oracle) {
    let provider = open(base);
    runtime().block_on(async {
        for path in paths(&slot.to_string()) {
            let found = look(&provider, &path).await.unwrap();
            assert!(oracle.admits(&path, found), "{path} is {found:?}, but was said: {oracle:?}");
            oracle.settle(&path, found);
        }
    });
}

pub(crate) fn names(directory: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Files below the base that are neither a credential of the slots nor the store's lock.
fn strangers(base: &Path) -> BTreeSet<PathBuf> {
    let naming = FileNames::new("file_extension", "enc.json").unwrap();
    let mut files = files(base);
    files.remove(&base.join(".lock"));
    for path in (0..SLOTS).flat_map(|slot| paths(&slot.to_string())) {
        let directories = path.scope.iter().flat_map(|scope| naming.directories(scope));
        let names = directories.chain([naming.file(&path.id)]);
        files.remove(&names.fold(base.to_owned(), |place, name| place.join(name.text)));
    }
    files
}

fn files(directory: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let place = entry.unwrap().path();
        match place.is_dir() {
            true => found.extend(files(&place)),
            false => _ = found.insert(place),
        }
    }
    found
}
