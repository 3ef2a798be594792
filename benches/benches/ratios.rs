//! The ratios of sealing, the cache and batches in `docs/performance.md`:
//! `cargo bench -p cred-benches --bench ratios`.

use cred_benches::cache::{World, on_two_threads, timed};
use cred_benches::ratio::{compare, head};
use cred_benches::sealing::Secret;
use cred_benches::slow::Hundred;

/// A round of hits takes about a millisecond: much longer than reading the clock, and shorter than
/// a time slice.
const HITS: u64 = 5_000;
/// Enough to outweigh the cost of starting two threads.
const HITS_OF_A_THREAD: u64 = 50_000;
const SEALINGS: usize = 100;

fn main() {
    head();
    let secret = Secret::new();
    let many = |work: &dyn Fn()| timed(|| (0..SEALINGS).for_each(|_| work()));
    compare(
        "seal + open 1 KiB / the same primitives by hand",
        1.15,
        400,
        || many(&|| secret.by_cred_crypto()),
        || many(&|| secret.by_hand()),
    );

    let world = World::new();
    let ours = || timed(|| world.manager_hits(HITS));
    compare("cache hit, 64 hot keys / raw quick_cache", 1.15, 2_000, ours, || timed(|| world.raw_hits(HITS)));
    compare("cache hit, 64 hot keys / moka future TTL", 0.35, 1_000, ours, || {
        timed(|| world.moka_hits(HITS))
    });
    compare(
        "hits on two threads / moka future TTL",
        0.35,
        200,
        || on_two_threads(|| world.manager_hits(HITS_OF_A_THREAD)),
        || on_two_threads(|| world.moka_hits(HITS_OF_A_THREAD)),
    );

    let hundred = Hundred::new();
    let ours = || timed(|| hundred.retrieve_batch());
    compare("batch of 100, 5 ms backend / buffer_unordered(10)", 1.03, 60, ours, || {
        timed(|| hundred.buffer_unordered())
    });
    compare("batch of 100, 5 ms backend / one after another", 0.11, 10, ours, || {
        timed(|| hundred.one_after_another())
    });
}
