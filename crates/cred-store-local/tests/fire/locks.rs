//! Locks that work on NFS: a shared one needs a descriptor that is open for reading, an exclusive
//! one needs a descriptor that is open for writing, and a folder cannot be locked at all.

use std::collections::BTreeMap;

use crate::trace::{read, strace};
use crate::worker::{Process, open, runtime, settings, store};

const SCRIPT: &str = "store key 1;store org:a/key 2;rotate key 3;retrieve key 3;list 2;delete key";

#[test]
#[ignore = "needs strace: cargo xtask fire"]
fn every_lock_is_one_that_nfs_grants() {
    let folder = tempfile::tempdir().unwrap();
    let (base, record) = (folder.path().join("base"), folder.path().join("record"));
    // A file of a killed writer, so that the sweep locks as well.
    runtime().block_on(store(&open(&base), &"org:a/key".parse().unwrap(), 1)).unwrap();
    std::fs::write(base.join(".tmp/00000000000000aa"), "").unwrap();
    let settings = settings("script", &base, &[("CRED_FIRE_SCRIPT", SCRIPT)]);
    let (words, complaints) = Process::start_behind(&strace(&record, "openat,flock", &[]), &settings).end();
    assert_eq!(words.iter().filter(|word| *word == "ok").count(), 6, "{words:?} {complaints}");

    let (mut opened, mut shared, mut exclusive) = (BTreeMap::new(), 0, 0);
    for call in read(&record).iter().filter(|call| call.succeeded()) {
        match call.name.as_str() {
            "openat" => {
                opened.insert(call.result.clone(), call.arguments[2].clone());
            }
            _ => {
                let flags = &opened[&call.arguments[0]];
                assert!(!flags.contains("O_DIRECTORY"), "{call:?} {flags}");
                let is_shared = call.arguments[1].contains("LOCK_SH");
                let refused = if is_shared { "O_WRONLY" } else { "O_RDONLY" };
                assert!(!flags.contains(refused), "{call:?} {flags}");
                *(if is_shared { &mut shared } else { &mut exclusive }) += 1;
            }
        }
    }
    assert!(!base.join(".tmp/00000000000000aa").exists(), "it was not swept");
    assert!(shared >= 4 && exclusive >= 5, "{shared} shared, {exclusive} exclusive");
}

#[test]
#[ignore = "needs strace: cargo xtask fire"]
fn a_file_system_that_cannot_lock_a_temporary_file_takes_writes() {
    for errno in ["EBADF", "ENOLCK", "EOPNOTSUPP", "ENOSYS", "EINVAL"] {
        let folder = tempfile::tempdir().unwrap();
        let (base, record) = (folder.path().join("base"), folder.path().join("record"));
        let inject = ["-e".to_owned(), format!("inject=flock:error={errno}:when=1")];
        let settings = settings("script", &base, &[("CRED_FIRE_SCRIPT", "store key 1")]);
        let (words, complaints) = Process::start_behind(&strace(&record, "flock", &inject), &settings).end();
        assert_eq!(words, ["store key 1", "ok", "end"], "{errno}: {complaints}");
        assert!(std::fs::read_to_string(&record).unwrap().contains("(INJECTED)"), "{errno}");
    }
}
