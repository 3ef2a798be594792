//! The promise of the cache under everything at once: readers, writers, deletes, refreshes and batches on several
//! threads, over a backend that lags, fails, panics, hangs, loses answers and applies writes after the caller has gone.
//!
//! Every write lands in the backend under a number of its own, counted per path. A *floor* is the number of a write that
//! every read that starts from now on must show, or a later one: raised when the write was answered `Ok` (after the
//! backend's lag and one load where it lags), and for a write in doubt once it cannot land any more. A read below the
//! floor at its start is a broken promise.
//!
//! `CRED_MODEL_OPERATIONS` sets how many operations each of the two tests runs; the default is 200,000. The long run is
//! `CRED_MODEL_OPERATIONS=10000000 cargo test -p cred-manager --test model`.
#![cfg(test)]

mod doubles;

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cred_core::{
    Consistency, Credential, CredentialContext, CredentialFilter, CredentialId, CredentialMetadata,
    CredentialPath, Description, EncryptedData, StorageError, StorageErrorKind, StorageProvider, Stored,
    Tags, async_trait, field,
};
use cred_manager::{CredentialManager, ManagerError};
use doubles::{id, keys};
use futures_util::FutureExt as _;
use tokio::time::{Instant, sleep};

const PATHS: usize = 48;
const LAG: Duration = Duration::from_millis(3);
const IN_DOUBT: Duration = Duration::from_millis(8);
const TTL: Duration = Duration::from_millis(40);
const UNWINDING: Duration = Duration::from_secs(1);
const OPERATION_TIMEOUT: Duration = Duration::from_millis(50);

/// The panics of the backend are part of the play: they are not printed.
const PLANNED: &str = "planned panic";

fn hide_planned_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !panic.payload().downcast_ref::<&str>().is_some_and(|message| message.starts_with(PLANNED)) {
                print(panic);
            }
        }));
    });
}

/// What has landed on one path, in order: when it shows, which write it was, what was stored.
#[derive(Default)]
struct Landings(Vec<(Instant, u64, Option<Stored>)>);

impl Landings {
    /// The number of the last landing of this write; 0: it has not landed.
    fn number_of(&self, write: u64) -> u64 {
        self.0.iter().rposition(|(_, landed, _)| *landed == write).map_or(0, |place| place as u64 + 1)
    }
}

struct Backend {
    description: Description,
    lag: Duration,
    paths: Arc<Vec<Mutex<Landings>>>,
    /// The write that each path is about to make: deletes have no contents to tell.
    next: Vec<AtomicU64>,
    /// When a read of each path panicked last: the one cause for which a load may end without an answer.
    panics: Vec<Mutex<Option<Instant>>>,
    /// The latest write of each path that landed while its call ran.
    landed: Vec<AtomicU64>,
    /// Writes that landed after one that was called later.
    disordered: AtomicU64,
}

fn place(id: &CredentialId) -> usize {
    id.as_str().parse().unwrap()
}

fn chance(one_in: u32) -> bool {
    fastrand::u32(0..one_in) == 0
}

fn upto(most: Duration) -> Duration {
    most.mul_f64(fastrand::f64())
}

impl Backend {
    async fn write(&self, id: &CredentialId, write: u64, value: Option<Stored>) -> Result<(), StorageError> {
        let place = place(id);
        let (paths, shows_after) = (Arc::clone(&self.paths), upto(self.lag));
        let land = move |at_latest: Option<Instant>| {
            let mut landings = paths[place].lock().unwrap();
            let now = Instant::now();
            // A busy machine may have woken it too late; then it does not land at all, as it had promised.
            if at_latest.is_some_and(|moment| moment <= now) {
                return;
            }
            // They show in the order in which they landed.
            let shows = now + shows_after;
            let shows = landings.0.last().map_or(shows, |(last, ..)| shows.max(*last));
            landings.0.push((shows, write, value));
        };
        let in_turn = || {
            if self.landed[place].fetch_max(write, SeqCst) > write {
                self.disordered.fetch_add(1, SeqCst);
            }
        };
        if chance(8) {
            sleep(upto(Duration::from_millis(2))).await;
        }
        match () {
            () if chance(40) => {
                // The answer is lost, and the attempt lands when it likes.
                let last_moment = Instant::now() + IN_DOUBT - self.lag;
                let late = upto(IN_DOUBT - self.lag);
                tokio::spawn(async move {
                    sleep(late).await;
                    land(Some(last_moment));
                });
                Err(StorageError::unavailable("reset"))
            }
            () if chance(60) => Err(StorageErrorKind::Throttled { retry_after: None }.into()),
            () if chance(200) => {
                in_turn();
                land(None);
                panic!("{PLANNED}: after the effect");
            }
            () if chance(4_000) => {
                in_turn();
                land(None);
                std::future::pending().await
            }
            () => {
                in_turn();
                land(None);
                if chance(4) {
                    sleep(upto(Duration::from_millis(1))).await;
                }
                Ok(())
            }
        }
    }
}

#[async_trait]
impl StorageProvider for Backend {
    fn describe(&self) -> &Description {
        &self.description
    }

    async fn store(
        &self,
        id: &CredentialId,
        data: EncryptedData,
        metadata: CredentialMetadata,
        _: &CredentialContext,
    ) -> Result<(), StorageError> {
        let write = metadata.tags["write"].parse().unwrap();
        self.write(id, write, Some((data, metadata))).await
    }

    async fn retrieve(&self, id: &CredentialId, _: &CredentialContext) -> Result<Stored, StorageError> {
        let look = || {
            let (now, landings) = (Instant::now(), self.paths[place(id)].lock().unwrap());
            landings.0.iter().rev().find(|(shows, ..)| *shows <= now).and_then(|(.., stored)| stored.clone())
        };
        // What it sees is fixed at some moment of the call, and it may take its time before and after.
        if chance(3) {
            sleep(upto(Duration::from_millis(2))).await;
        }
        let seen = look();
        if chance(3) {
            sleep(upto(Duration::from_millis(3))).await;
        }
        match () {
            () if chance(50) => Err(StorageError::unavailable("reset")),
            () if chance(5_000) => {
                *self.panics[place(id)].lock().unwrap() = Some(Instant::now());
                panic!("{PLANNED}: as a defective provider might")
            }
            () => seen.ok_or_else(|| StorageErrorKind::NotFound.into()),
        }
    }

    async fn delete(&self, id: &CredentialId, _: &CredentialContext) -> Result<(), StorageError> {
        let write = self.next[place(id)].load(SeqCst);
        self.write(id, write, None).await
    }

    async fn exists(&self, _: &CredentialId, _: &CredentialContext) -> Result<bool, StorageError> {
        panic!("the manager does not ask")
    }

    async fn list(
        &self,
        _: Option<&CredentialFilter>,
        _: &CredentialContext,
    ) -> Result<Vec<CredentialId>, StorageError> {
        panic!("the model does not list")
    }

    async fn list_tree(
        &self,
        _: Option<&CredentialFilter>,
        _: &CredentialContext,
    ) -> Result<Vec<CredentialPath>, StorageError> {
        panic!("the model does not list")
    }
}

struct World {
    manager: CredentialManager,
    backend: Arc<Backend>,
    ids: Vec<CredentialId>,
    floors: Vec<AtomicU64>,
    left: AtomicU64,
    reads: AtomicU64,
    broken: Mutex<Vec<String>>,
}

impl World {
    fn new(consistency: Consistency) -> Arc<Self> {
        let description = Description::new("model", OPERATION_TIMEOUT)
            .with_consistency(consistency)
            .with_in_doubt(IN_DOUBT);
        let backend = Arc::new(Backend {
            description,
            lag: consistency.point(),
            paths: Arc::new((0..PATHS).map(|_| Mutex::default()).collect()),
            next: (0..PATHS).map(|_| AtomicU64::new(0)).collect(),
            panics: (0..PATHS).map(|_| Mutex::default()).collect(),
            landed: (0..PATHS).map(|_| AtomicU64::new(0)).collect(),
            disordered: AtomicU64::new(0),
        });
        let manager = CredentialManager::builder()
            .storage(backend.clone())
            .keys(keys())
            .cache_ttl(TTL)
            .cache_max_size(20)
            .build();
        let left = std::env::var("CRED_MODEL_OPERATIONS").map_or(200_000, |text| text.parse().unwrap());
        Arc::new(Self {
            manager,
            backend,
            ids: (0..PATHS).map(|path| id(&path.to_string())).collect(),
            floors: (0..PATHS).map(|_| AtomicU64::new(0)).collect(),
            left: AtomicU64::new(left),
            reads: AtomicU64::new(0),
            broken: Mutex::default(),
        })
    }

    fn go_on(&self) -> bool {
        self.left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok()
    }

    fn judge(&self, path: usize, floor: u64, answer: &Result<Option<Credential>, ManagerError>) {
        self.reads.fetch_add(1, SeqCst);
        let landings = self.backend.paths[path].lock().unwrap();
        let shown = match answer {
            Err(_) => return,
            Ok(Some(credential)) => {
                landings.number_of(credential.expose_text(field::VALUE).unwrap().parse().unwrap())
            }
            // Absence shows the latest delete; nothing at all is what was there before the first landing.
            Ok(None) => landings
                .0
                .iter()
                .rposition(|(.., stored)| stored.is_none())
                .map_or(0, |place| place as u64 + 1),
        };
        if shown < floor {
            let what = answer.as_ref().unwrap().is_some();
            self.broken
                .lock()
                .unwrap()
                .push(format!("path {path}: floor {floor}, shown {shown}, present {what}"));
        }
    }

    async fn read(self: Arc<Self>, path: usize) {
        let floor = self.floors[path].load(SeqCst);
        let id = &self.ids[path];
        match () {
            () if chance(300) => {
                let answer = self.manager.refresh(id).await;
                self.judge(path, floor, &answer);
            }
            () if chance(300) => {
                let others: Vec<_> = (0..6).map(|step| (path + step * 7) % PATHS).collect();
                let floors: Vec<_> = others.iter().map(|path| self.floors[*path].load(SeqCst)).collect();
                let ids = others.iter().map(|path| self.ids[*path].clone()).collect();
                let answers = self.manager.retrieve_batch(ids).await;
                for ((path, floor), answer) in others.into_iter().zip(floors).zip(&answers) {
                    self.judge(path, floor, answer);
                }
            }
            () if chance(100) => {
                let mut dropped = Box::pin(self.manager.retrieve(id));
                let _ = (&mut dropped).now_or_never();
            }
            () => {
                let started = Instant::now();
                let answer = self.manager.retrieve(id).await;
                self.judge(path, floor, &answer);
                let lost = answer.is_err_and(|error| error.to_string().contains("ended without an answer"));
                // A load can be joined for a moment after its panic.
                let panicked = |at: Instant| at + UNWINDING > started;
                if lost && !self.backend.panics[path].lock().unwrap().is_some_and(panicked) {
                    let what = format!("path {path}: a load ended because a reader of it had left");
                    self.broken.lock().unwrap().push(what);
                }
            }
        }
    }

    /// The one writer of a path.
    async fn write(self: &Arc<Self>, path: usize) {
        let write = self.backend.next[path].fetch_add(1, SeqCst) + 1;
        let (id, manager) = (self.ids[path].clone(), self.manager.clone());
        let mut tags = Tags::new();
        tags.insert("write", write.to_string()).unwrap();
        let credential = Credential::text(write.to_string()).with_tags(tags);
        let deletes = chance(6);
        let mut work = Box::pin(async move {
            match deletes {
                true => manager.delete(&id).await,
                false => manager.store(&id, credential).await,
            }
        });
        if !deletes && chance(10) {
            // The caller leaves. (Not from a delete: it has no contents that could tell its number.)
            for _ in 0..fastrand::u32(1..4) {
                if (&mut work).now_or_never().is_some() {
                    return;
                }
                tokio::task::yield_now().await;
            }
            return;
        }
        let answer = work.await;
        let wait = match &answer {
            Ok(()) => self.backend.lag,
            Err(error) if error.may_have_written() => IN_DOUBT + self.backend.lag,
            Err(_) => return,
        };
        if wait.is_zero() {
            return self.raise(path, write);
        }
        let world = Arc::clone(self);
        tokio::spawn(async move {
            sleep(wait).await;
            // And one load: whoever starts from now on can join none from before.
            let _ = world.manager.refresh(&world.ids[path]).await;
            world.raise(path, write);
        });
    }

    fn raise(&self, path: usize, write: u64) {
        let landed = self.backend.paths[path].lock().unwrap().number_of(write);
        self.floors[path].fetch_max(landed, SeqCst);
    }
}

async fn run(consistency: Consistency) {
    hide_planned_panics();
    let world = World::new(consistency);
    let mut tasks = Vec::new();
    for reader in 0..12 {
        let world = Arc::clone(&world);
        tasks.push(tokio::spawn(async move {
            while world.go_on() {
                let path = fastrand::usize(0..PATHS - 2 * reader);
                Arc::clone(&world).read(path).await;
            }
        }));
    }
    for writer in 0..12 {
        let world = Arc::clone(&world);
        tasks.push(tokio::spawn(async move {
            for path in (writer..PATHS).step_by(12).cycle() {
                if !world.go_on() {
                    break;
                }
                // Also one after the other, while the one before runs on without its caller.
                for _ in 0..fastrand::usize(1..4) {
                    world.write(path).await;
                }
                sleep(upto(Duration::from_millis(6))).await;
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let (stats, writes) = (world.manager.cache_stats().unwrap(), landed(&world));
    println!("{consistency:?}: {} reads, {writes} landings, {stats:?}", world.reads.load(SeqCst));
    assert_eq!(world.backend.disordered.load(SeqCst), 0, "writes of one path overtook each other");
    let broken = world.broken.lock().unwrap();
    assert!(
        broken.is_empty(),
        "{} broken promises, such as {:?}",
        broken.len(),
        &broken[..broken.len().min(5)]
    );
    let (reads, writes) = (world.reads.load(SeqCst), writes as u64);
    // A run in which one of them is rare shows nothing about it.
    for much in [stats.hits, stats.loads, writes] {
        assert!(much * 50 > reads, "it did not try what it is for: {stats:?}, {writes} landings");
    }
    let floors: Vec<_> = world.floors.iter().map(|floor| floor.load(SeqCst)).collect();
    assert!(floors.iter().all(|floor| *floor > 0), "no read was held to anything on some path: {floors:?}");
}

fn landed(world: &World) -> usize {
    world.backend.paths.iter().map(|path| path.lock().unwrap().0.len()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_read_breaks_the_promise_over_a_strong_backend() {
    run(Consistency::Strong).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_read_breaks_the_promise_over_an_eventual_backend() {
    run(Consistency::Eventual { point: LAG, list: LAG }).await;
}
