//! Cache hits of the manager compared with a raw map and with moka, and its batches compared with a
//! bare stream: `cargo bench -p cred-benches --bench manager --features criterion`.
#![allow(missing_docs, reason = "criterion's macros generate undocumented items")]

use cred_benches::cache::{World, on_two_threads, timed};
use cred_benches::slow::Hundred;
use criterion::{Criterion, criterion_group, criterion_main};

fn hits(c: &mut Criterion) {
    let world = World::new();
    let mut group = c.benchmark_group("cache hit, 64 hot keys");
    group.bench_function("raw quick_cache, same key and deadline", |b| {
        b.iter_custom(|hits| timed(|| world.raw_hits(hits)));
    });
    group.bench_function("moka future, TTL", |b| b.iter_custom(|hits| timed(|| world.moka_hits(hits))));
    group.bench_function("cred-manager", |b| b.iter_custom(|hits| timed(|| world.manager_hits(hits))));
    group.finish();
    let mut group = c.benchmark_group("hits on two threads");
    group.bench_function("moka future, TTL", |b| {
        b.iter_custom(|hits| on_two_threads(|| world.moka_hits(hits)))
    });
    group.bench_function("cred-manager", |b| {
        b.iter_custom(|hits| on_two_threads(|| world.manager_hits(hits)))
    });
    group.finish();
}

fn batches(c: &mut Criterion) {
    let hundred = Hundred::new();
    let mut group = c.benchmark_group("read 100 from a 5 ms backend");
    group.sample_size(10);
    group.bench_function("one after another", |b| b.iter(|| hundred.one_after_another()));
    group.bench_function("buffer_unordered(10)", |b| b.iter(|| hundred.buffer_unordered()));
    group.bench_function("retrieve_batch, 10 in flight", |b| b.iter(|| hundred.retrieve_batch()));
    group.finish();
}

criterion_group!(benches, hits, batches);
criterion_main!(benches);
