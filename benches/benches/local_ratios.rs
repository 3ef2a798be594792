//! The ratios of the local store to the bare system calls, on the disk of `TMPDIR`:
//! `cargo bench -p cred-benches --bench local_ratios --features local`.
#![allow(clippy::unwrap_used, reason = "a benchmark may panic on failure")]

use cred_benches::cache::timed;
use cred_benches::files::Files;
use cred_benches::ratio::{compare, head};

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let files = Files::new(folder.path());
    head();
    compare(
        "durable store 1 KiB / the bare safe protocol",
        1.10,
        600,
        || timed(|| files.store()),
        || timed(|| files.bare_store()),
    );
    compare(
        "ten writers / ten bare writers",
        1.10,
        200,
        || timed(|| files.ten_stores()),
        || timed(|| files.ten_bare_stores()),
    );
    let reads = |read: &dyn Fn()| timed(|| (0..50).for_each(|_| read()));
    compare(
        "read 1 KiB, opened / tokio::fs::read, opened",
        1.0,
        600,
        || reads(&|| files.read()),
        || reads(&|| files.bare_read()),
    );
    for (names, rounds, numbers) in [("10k", 100, 0..10_000), ("100k", 20, 10_000..100_000)] {
        files.fill(numbers);
        let what = format!("list of {names} names / read_dir");
        compare(&what, 1.25, rounds, || timed(|| _ = files.list()), || timed(|| _ = files.bare_list()));
    }
}
