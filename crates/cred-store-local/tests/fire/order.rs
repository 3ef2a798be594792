//! The order of system calls: synced before it is visible, synced again before it is acknowledged.

use std::path::Path;

use crate::oracle::Operation;
use crate::trace::{CALLS, Deed, read, strace};
use crate::worker::{Process, settings};

#[test]
#[ignore = "needs strace: cargo xtask fire"]
fn all_is_synced_in_order_before_it_is_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let (base, record) = (folder.path().join("base"), folder.path().join("record"));
    let script = "store key 1;store key 2;store org:a/team:b/key 3;store org:a/team:b/key 4;rotate org:a/team:b/key 5;\
                  delete org:a/team:b/key;delete key;delete key;store key 6";
    let settings = settings("script", &base, &[("CRED_FIRE_SCRIPT", script)]);
    let (words, complaints) = Process::start_behind(&strace(&record, CALLS, &[]), &settings).end();
    assert_eq!(words.iter().filter(|word| *word == "ok").count(), 9, "{words:?} {complaints}");

    let calls = read(&record);
    for (place, words, mode) in
        calls.iter().filter(|call| call.succeeded()).filter_map(|call| call.creation())
    {
        assert!(
            words.contains("O_CLOEXEC") && words.contains("O_NOFOLLOW") && mode == "0600",
            "{place:?} {words}"
        );
        assert!(place == base.join(".lock") || words.contains("O_EXCL"), "{place:?} {words}");
    }
    let deeds: Vec<_> = calls.iter().filter_map(|call| call.deed()).collect();
    for deed in &deeds {
        let place = match deed {
            Deed::Created(place)
            | Deed::Directory(place)
            | Deed::Wrote(place, _)
            | Deed::Renamed(_, place) => place,
            _ => continue,
        };
        assert!(place.starts_with(&base), "{deed:?}: outside of the base");
    }
    let mut acknowledged = 0;
    for piece in deeds.split(|deed| *deed == Deed::Said("ok".to_owned())) {
        // From one acknowledgement to the next: first what was begun then.
        let Some(begun) = piece.iter().position(|deed| matches!(deed, Deed::Said(_))) else { continue };
        let (after, piece) = piece.split_at(begun);
        assert!(after.is_empty(), "after the acknowledgement: {after:?}");
        let Deed::Said(word) = &piece[0] else { panic!("a piece begins with a word") };
        if word == "end" {
            continue;
        }
        match word.parse().unwrap() {
            Operation::Delete(_) => check_delete(&piece[1..]),
            _ => check_store(&base, &piece[1..]),
        }
        acknowledged += 1;
    }
    assert_eq!(acknowledged, 9);
    println!("order: {} system calls of {acknowledged} writes, all in order", calls.len());
}

fn check_store(base: &Path, deeds: &[Deed]) {
    let index =
        |wanted: &dyn Fn(&Deed) -> bool| deeds.iter().position(wanted).unwrap_or_else(|| panic!("{deeds:?}"));
    let renamed = index(&|deed| matches!(deed, Deed::Renamed(..)));
    let Deed::Renamed(from, to) = &deeds[renamed] else { panic!("another deed than was looked for") };
    assert_eq!(from.parent(), Some(&*base.join(".tmp")), "temporary files are in one place");
    let created = index(&|deed| *deed == Deed::Created(from.clone()));
    let last_write = deeds.iter().rposition(|deed| matches!(deed, Deed::Wrote(..))).unwrap();
    let synced = index(&|deed| *deed == Deed::Synced(from.clone()));
    let locked = deeds.iter().rposition(|deed| *deed == Deed::Locked(base.join(".lock"))).unwrap();
    assert!(created < last_write && last_write < synced && synced < locked && locked < renamed, "{deeds:?}");
    for deed in deeds {
        assert!(!matches!(deed, Deed::Wrote(place, _) if place != from), "written elsewhere: {deed:?}");
    }
    check_end(&deeds[renamed + 1..], to);
}

fn check_delete(deeds: &[Deed]) {
    let Some(removed) = deeds.iter().position(|deed| matches!(deed, Deed::Removed(_))) else {
        // Nothing was there; what an earlier one removed may not be durable yet.
        assert!(deeds.iter().any(|deed| matches!(deed, Deed::Synced(_))), "{deeds:?}");
        return;
    };
    let Deed::Removed(place) = &deeds[removed] else { panic!("another deed than was looked for") };
    check_end(&deeds[removed + 1..], place);
}

/// After the change: the directory is synced, and nothing else is changed.
fn check_end(deeds: &[Deed], place: &Path) {
    let directory = place.parent().unwrap().to_owned();
    assert_eq!(
        deeds.iter().filter(|deed| !matches!(deed, Deed::Locked(_))).collect::<Vec<_>>(),
        [&Deed::Synced(directory)]
    );
}
