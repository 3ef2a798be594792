//! Checks that locks work on NFS: a shared lock needs a descriptor that is open for reading, an
//! exclusive lock needs one that is open for writing, and a folder cannot be locked.

use std::collections::BTreeMap;

use crate::trace::{read, strace};
use crate::worker::{Process, open, runtime, settings, store};

const SCRIPT: &str = "store key 1;store org:a/key 2;rotate key 3;retrieve key 3;list 2;delete key";

#[test]
#[ignore = "needs strace: cargo xtask fire"]
fn every_lock_is_supported_by_nfs() {
    let folder = tempfile::tempdir().unwrap();
    let (base, record) = (folder.path().join("base"), folder.path().join("record"));
    // The file of a killed writer, so that the sweep takes locks too.
    runtime().block_on(store(&open(&base), &"org:a/key".parse().unwrap(), 1)).unwrap();
    std::fs::write(base.join(".tmp/00000000000000aa"), "").unwrap();
    let settings = settings("script", &base, &[("CRED_FIRE_SCRIPT", SCRIPT)]);
    let (messages, stderr) = Process::start_under(&strace(&record, "openat,flock", &[]), &settings).wait();
    assert_eq!(messages.iter().filter(|message| *message == "ok").count(), 6, "{messages:?} {stderr}");

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
    assert!(!base.join(".tmp/00000000000000aa").exists(), "the temporary file was not swept");
    assert!(shared >= 4 && exclusive >= 5, "{shared} shared, {exclusive} exclusive");
}

#[test]
#[ignore = "needs strace: cargo xtask fire"]
fn writes_succeed_if_a_temporary_file_cannot_be_locked() {
    for errno in ["EBADF", "ENOLCK", "EOPNOTSUPP", "ENOSYS", "EINVAL"] {
        let folder = tempfile::tempdir().unwrap();
        let (base, record) = (folder.path().join("base"), folder.path().join("record"));
        let inject = ["-e".to_owned(), format!("inject=flock:error={errno}:when=1")];
        let settings = settings("script", &base, &[("CRED_FIRE_SCRIPT", "store key 1")]);
        let (messages, stderr) = Process::start_under(&strace(&record, "flock", &inject), &settings).wait();
        assert_eq!(messages, ["store key 1", "ok", "end"], "{errno}: {stderr}");
        assert!(std::fs::read_to_string(&record).unwrap().contains("(INJECTED)"), "{errno}");
    }
}
