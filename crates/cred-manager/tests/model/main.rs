//! The manager's promises under everything at once: readers, writers, rotations, re-keys, refreshes
//! and batches, over a backend that lags, fails, panics, hangs, loses responses and whose
//! writes land late, until the manager is shut down in the middle of it.
//!
//! Every write lands in the backend under a number, counted per path. A *floor* is the number of a
//! landing that every read from now on must show, or a later one. It is raised
//! - when a write was acknowledged (after the backend's lag and one load where it lags), and when a
//!   write with an unknown outcome cannot land any more;
//! - when a refresh has returned a landing, over a strongly consistent backend;
//! - when the TTL has passed since a write of another process.
//!
//! A read below the floor at its start breaks the promise. Other rules:
//! - writes of one path land in the order of their calls, and a write that depends on what is
//!   stored replaces only what it has seen, also when an earlier one lands late;
//! - a re-key never brings an earlier value back;
//! - one path has one load at a time, and all paths together no more than the limit;
//! - no more values are cached than the capacity;
//! - every read ends in time, also if the load that it shares is on a runtime that is not driven;
//! - a shutdown waits for all writes and loads, and nothing runs after it.
//!
//! In virtual time, only the backend takes time, so a test tries thousands of interleavings. With
//! threads, it tries races. `CRED_MODEL_READS` sets how many reads all tests make together;
//! `cargo xtask model` makes ten million.
#![cfg(test)]

mod backend;
mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use cred_core::{Consistency, CredentialId};
use tokio::time::sleep;

use backend::PLANNED_PANIC;
use world::{Counts, World};

const PATHS: usize = 48;
/// They have the same writer.
const PATHS_OF_A_SCOPE: usize = 4;
const LOAD_CONCURRENCY: usize = 6;
const LAG: Duration = Duration::from_millis(3);
const IN_DOUBT: Duration = Duration::from_millis(20);
const TTL: Duration = Duration::from_millis(100);
const OPERATION_TIMEOUT: Duration = Duration::from_millis(50);
/// How long a read takes at most: a call and an opening, each with a margin of a second.
const LIMIT: Duration = Duration::from_millis(2 * (50 + 1_000) + 1_000);

const READS: usize = 240_000;
/// The reads of one manager in virtual time.
const READS_OF_A_LIFE: usize = 2_000;
/// Each test makes this part of all reads.
const TESTS: usize = 6;

/// The behaviour of the backend, and its users.
#[derive(Debug, Clone, Copy)]
struct Variant {
    consistency: Consistency,
    compare_and_set: bool,
    batch: u32,
    /// Of the cache. With room for all, no value is evicted before it is outdated.
    capacity: usize,
    /// On one thread, whose clock advances when all tasks wait.
    is_virtual: bool,
    /// Other processes write, and the manager's readers refresh all the time.
    is_storm: bool,
}

const STRONG: Variant = Variant {
    consistency: Consistency::Strong,
    compare_and_set: false,
    batch: 1,
    capacity: 20,
    is_virtual: true,
    is_storm: false,
};
const EVENTUAL: Variant = Variant {
    consistency: Consistency::Eventual { point: LAG, list: LAG },
    batch: 4,
    capacity: PATHS,
    ..STRONG
};

impl Variant {
    /// Between the writes of a writer.
    fn pause(self) -> Duration {
        match (self.is_storm, self.is_virtual) {
            (true, _) => Duration::from_millis(40),
            // Sometimes long enough that only the rules of the cache remove a value.
            (false, true) if chance(4) => Duration::from_millis(48),
            (false, true) => Duration::from_millis(6),
            // Here hits take time as well.
            (false, false) => Duration::from_millis(15),
        }
    }

    fn lag(self) -> Duration {
        self.consistency.point()
    }
}

/// The id of a path within its scope.
fn id(place: usize) -> CredentialId {
    (place % PATHS_OF_A_SCOPE).to_string().parse().unwrap()
}

fn chance(one_in: u32) -> bool {
    fastrand::u32(0..one_in) == 0
}

fn up_to(most: Duration) -> Duration {
    most.mul_f64(fastrand::f64())
}

fn reads() -> usize {
    std::env::var("CRED_MODEL_READS").map_or(READS, |text| text.parse().unwrap()) / TESTS
}

/// The planned panics of the backend are not printed.
fn hide_planned_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let message = panic.payload().downcast_ref::<String>();
            if !message.is_some_and(|message| message.starts_with(PLANNED_PANIC)) {
                print(panic);
            }
        }));
    });
}

/// Runs readers and writers, and then checks what they found.
async fn live(world: &Arc<World>) {
    let mut tasks = Vec::new();
    for reader in 0..12 {
        let world = Arc::clone(world);
        tasks.push(tokio::spawn(async move {
            while world.reads_on() {
                world.read(fastrand::usize(0..PATHS - 2 * reader)).await;
                // Hits need no time: without this, virtual time would stand still.
                if chance(20) {
                    sleep(up_to(Duration::from_millis(4))).await;
                }
            }
        }));
    }
    for scope in 0..PATHS / PATHS_OF_A_SCOPE {
        let world = Arc::clone(world);
        tasks.push(tokio::spawn(async move {
            while world.writes_on() {
                let path = scope * PATHS_OF_A_SCOPE + fastrand::usize(0..PATHS_OF_A_SCOPE);
                // Also one after the other, while the previous one runs on without its caller.
                for _ in 0..fastrand::usize(1..4) {
                    world.write(path).await;
                }
                sleep(up_to(world.variant.pause())).await;
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    world.is_shut_down().await;
    let violations = world.backend.violations.lock().unwrap();
    let first = &violations[..violations.len().min(5)];
    assert!(violations.is_empty(), "{} violations, such as {first:#?}", violations.len());
}

/// Runs managers until they have made enough reads. A run with few operations of one kind would
/// show nothing about it.
fn in_virtual_time(variant: Variant) {
    hide_planned_panics();
    let mut totals = Totals::default();
    while totals.reads() < reads() {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let world = runtime.block_on(async {
            let world = World::new(variant, READS_OF_A_LIFE);
            live(&world).await;
            world
        });
        totals.add(&world);
    }
    println!("{variant:?}: {totals:?}");
    totals.check(variant);
}

async fn with_threads(variant: Variant) {
    hide_planned_panics();
    let variant = Variant { is_virtual: false, ..variant };
    let world = World::new(variant, reads());
    let abandoning = Arc::clone(&world);
    std::thread::spawn(move || abandoning.abandon_reads()).join().unwrap();
    live(&world).await;
    let mut totals = Totals::default();
    totals.add(&world);
    println!("{variant:?}: {totals:?}");
    totals.check(variant);
    let floors: Vec<_> = world.floors.iter().map(|floor| floor.load(SeqCst)).collect();
    assert!(floors.iter().all(|floor| *floor > 0), "no read was checked on some path: {floors:?}");
}

/// The counts of all runs of a test.
#[derive(Debug, Default)]
struct Totals {
    counts: Counts,
    hits: u64,
    loads: u64,
    landings: usize,
}

impl Totals {
    fn reads(&self) -> usize {
        self.counts.reads.load(SeqCst)
    }

    fn add(&mut self, world: &World) {
        for (total, count) in self.counts.all().into_iter().zip(world.counts.all()) {
            total.fetch_add(count.load(SeqCst), SeqCst);
        }
        let stats = world.manager.cache_stats().unwrap();
        self.hits += stats.hits;
        self.loads += stats.loads;
        self.landings += (0..PATHS).map(|place| world.backend.log(place).len()).sum::<usize>();
    }

    fn check(&self, variant: Variant) {
        let (reads, counts) = (self.reads(), &self.counts);
        for much in [self.hits, self.loads, self.landings as u64] {
            assert!(much * 200 > reads as u64, "too few operations of its kind: {self:?}");
        }
        let storm = [&counts.refreshes, &counts.externals];
        let writes = [&counts.stores, &counts.deletes, &counts.rotations, &counts.if_absent, &counts.unknown];
        let mut rare: Vec<&AtomicUsize> = vec![&counts.refreshes, &counts.batches];
        rare.extend(if variant.is_storm { &storm[..] } else { &writes[..] });
        if variant.is_virtual && !variant.is_storm {
            rare.extend([&counts.resealed, &counts.externals, &counts.clears]);
        }
        let least = rare.iter().map(|count| count.load(SeqCst)).min().unwrap();
        assert!(least * 5_000 > reads, "it did not try everything: {self:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn promises_hold_over_a_strong_backend_with_threads() {
    with_threads(STRONG).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn promises_hold_over_an_eventual_backend_with_threads() {
    with_threads(EVENTUAL).await;
}

#[test]
fn promises_hold_over_a_strong_backend() {
    in_virtual_time(STRONG);
}

#[test]
fn promises_hold_over_a_backend_with_compare_and_set() {
    in_virtual_time(Variant { compare_and_set: true, ..STRONG });
}

#[test]
fn promises_hold_over_an_eventual_backend() {
    in_virtual_time(EVENTUAL);
}

#[test]
fn promises_hold_in_a_storm_of_refreshes() {
    in_virtual_time(Variant { is_storm: true, ..STRONG });
}
