//! Where files of the fuzzer lie.

use std::path::Path;

use tempfile::TempDir;

/// A temporary folder of this target's own, in memory where the system has such a place: a disk
/// would be all that is measured.
///
/// # Panics
/// If it cannot be made.
#[must_use]
pub fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a temporary folder")
}
