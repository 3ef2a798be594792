//! The local store compared with the bare system calls, on the disk of `TMPDIR`:
//! `cargo bench -p cred-benches --bench local --features criterion,local`.
#![allow(missing_docs, reason = "criterion's macros generate undocumented items")]
#![allow(clippy::unwrap_used, reason = "a benchmark may panic on failure")]

use std::time::Duration;

use cred_benches::files::Files;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn store(c: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let files = Files::new(folder.path());
    let mut group = c.benchmark_group("durable store 1 KiB");
    group.measurement_time(Duration::from_secs(8));
    group.bench_function("bare safe protocol", |b| b.iter(|| files.bare_store()));
    group.bench_function("cred-store-local", |b| b.iter(|| files.store()));
    group.finish();

    let mut group = c.benchmark_group("ten writers, 1 KiB each");
    group.measurement_time(Duration::from_secs(8));
    group.throughput(Throughput::Elements(10));
    group.bench_function("bare safe protocol", |b| b.iter(|| files.ten_bare_stores()));
    group.bench_function("cred-store-local", |b| b.iter(|| files.ten_stores()));
    group.finish();
}

fn read(c: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let files = Files::new(folder.path());
    let mut group = c.benchmark_group("read 1 KiB, opened");
    group.bench_function("tokio::fs::read and the same opening", |b| b.iter(|| files.bare_read()));
    group.bench_function("cred-store-local", |b| b.iter(|| files.read()));
    group.finish();
}

fn list(c: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let files = Files::new(folder.path());
    for numbers in [0..10_000, 10_000..100_000] {
        let mut group = c.benchmark_group(format!("list {} names", numbers.end));
        files.fill(numbers);
        group.sample_size(20);
        group.bench_function("read_dir", |b| b.iter(|| files.bare_list()));
        group.bench_function("cred-store-local", |b| b.iter(|| files.list()));
        group.finish();
    }
}

criterion_group!(benches, store, read, list);
criterion_main!(benches);
