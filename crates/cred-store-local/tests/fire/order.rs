//! Checks the order of system calls: a file is synced before it becomes visible, and its directory
//! before the write is acknowledged.

use std::path::Path;

use crate::oracle::Operation;
use crate::trace::{CALLS, Effect, read, strace};
use crate::worker::{Process, settings};

#[test]
#[ignore = "needs strace: cargo xtask fire"]
fn every_write_is_synced_in_order_before_it_is_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let (base, record) = (folder.path().join("base"), folder.path().join("record"));
    let script = "store key 1;store key 2;store org:a/team:b/key 3;store org:a/team:b/key 4;rotate org:a/team:b/key 5;\
                  delete org:a/team:b/key;delete key;delete key;store key 6";
    let settings = settings("script", &base, &[("CRED_FIRE_SCRIPT", script)]);
    let (words, stderr) = Process::start_under(&strace(&record, CALLS, &[]), &settings).wait();
    assert_eq!(words.iter().filter(|word| *word == "ok").count(), 9, "{words:?} {stderr}");

    let calls = read(&record);
    for (path, words, mode) in calls.iter().filter(|call| call.succeeded()).filter_map(|call| call.creation())
    {
        assert!(
            words.contains("O_CLOEXEC") && words.contains("O_NOFOLLOW") && mode == "0600",
            "{path:?} {words}"
        );
        assert!(path == base.join(".lock") || words.contains("O_EXCL"), "{path:?} {words}");
    }
    let effects: Vec<_> = calls.iter().filter_map(|call| call.effect()).collect();
    for effect in &effects {
        let path = match effect {
            Effect::Created(path)
            | Effect::Directory(path)
            | Effect::Wrote(path, _)
            | Effect::Renamed(_, path) => path,
            _ => continue,
        };
        assert!(path.starts_with(&base), "{effect:?}: outside the base");
    }
    let mut acknowledged = 0;
    for piece in effects.split(|effect| *effect == Effect::Reported("ok".to_owned())) {
        // The effects between two acknowledgements start with the report of an operation.
        let Some(pending) = piece.iter().position(|effect| matches!(effect, Effect::Reported(_))) else {
            continue;
        };
        let (after, piece) = piece.split_at(pending);
        assert!(after.is_empty(), "after the acknowledgement: {after:?}");
        let Effect::Reported(word) = &piece[0] else { panic!("it starts with a report") };
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

fn check_store(base: &Path, effects: &[Effect]) {
    let index = |wanted: &dyn Fn(&Effect) -> bool| {
        effects.iter().position(wanted).unwrap_or_else(|| panic!("{effects:?}"))
    };
    let renamed = index(&|effect| matches!(effect, Effect::Renamed(..)));
    let Effect::Renamed(from, to) = &effects[renamed] else { panic!("unexpected effect") };
    assert_eq!(from.parent(), Some(&*base.join(".tmp")), "temporary files are in one directory");
    let created = index(&|effect| *effect == Effect::Created(from.clone()));
    let last_write = effects.iter().rposition(|effect| matches!(effect, Effect::Wrote(..))).unwrap();
    let synced = index(&|effect| *effect == Effect::Synced(from.clone()));
    let locked = effects.iter().rposition(|effect| *effect == Effect::Locked(base.join(".lock"))).unwrap();
    assert!(
        created < last_write && last_write < synced && synced < locked && locked < renamed,
        "{effects:?}"
    );
    for effect in effects {
        assert!(!matches!(effect, Effect::Wrote(path, _) if path != from), "written elsewhere: {effect:?}");
    }
    check_end(&effects[renamed + 1..], to);
}

fn check_delete(effects: &[Effect]) {
    let Some(removed) = effects.iter().position(|effect| matches!(effect, Effect::Removed(_))) else {
        // The file did not exist. An earlier removal may not be durable yet.
        assert!(effects.iter().any(|effect| matches!(effect, Effect::Synced(_))), "{effects:?}");
        return;
    };
    let Effect::Removed(path) = &effects[removed] else { panic!("unexpected effect") };
    check_end(&effects[removed + 1..], path);
}

/// After the change, the directory is synced and nothing else changes.
fn check_end(effects: &[Effect], path: &Path) {
    let directory = path.parent().unwrap().to_owned();
    assert_eq!(
        effects.iter().filter(|effect| !matches!(effect, Effect::Locked(_))).collect::<Vec<_>>(),
        [&Effect::Synced(directory)]
    );
}
