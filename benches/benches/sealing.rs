//! Sealing and opening 1 KiB, compared with the same `ring` primitives composed by hand:
//! `cargo bench -p cred-benches --bench sealing --features criterion`.
#![allow(missing_docs, reason = "criterion's macros generate undocumented items")]

use cred_benches::sealing::Secret;
use criterion::{Criterion, criterion_group, criterion_main};

fn sealing(c: &mut Criterion) {
    let secret = Secret::new();
    let mut group = c.benchmark_group("seal+open 1 KiB");
    group.bench_function("bare ring primitives", |b| b.iter(|| secret.by_hand()));
    group.bench_function("cred-crypto", |b| b.iter(|| secret.by_cred_crypto()));
    group.finish();
}

criterion_group!(benches, sealing);
criterion_main!(benches);
