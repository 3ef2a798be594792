//! The folder for files of the fuzzer.

use std::path::Path;

use tempfile::TempDir;

/// A temporary folder for this target, in memory if the system has such a folder: on a disk, the
/// fuzzer would mostly wait.
///
/// # Panics
/// If it cannot be created.
#[must_use]
pub fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a temporary folder")
}
