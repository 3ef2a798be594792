//! The users of a manager, and the required result of each operation.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use cred_core::{Credential, CredentialId, KeyId, StorageProvider, Zeroizing, field};
use cred_manager::crypto::{KeyRing, SealingKey};
use cred_manager::{CredentialManager, ManagerError};
use futures_util::FutureExt as _;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

const PATHS: usize = 48;
const READERS: usize = 6;
const WRITERS: usize = 6;
/// Fewer than there are paths, and shorter than a life: values are evicted and expire.
const CACHE_SIZE: usize = 20;
const TTL: Duration = Duration::from_millis(200);

/// The state of one path. Each write has a number, deletes too; its one writer counts them.
#[derive(Default)]
struct Path {
    /// The latest that was begun.
    begun: AtomicU64,
    /// The latest that was acknowledged: a read that begins now must show this or a later one.
    floor: AtomicU64,
    /// The numbers of the deletes that a read may still show.
    deletes: Mutex<Vec<u64>>,
}

type Open = dyn Fn() -> Arc<dyn StorageProvider> + Send + Sync;

/// A store that outlives its managers, and the contents that it must have.
pub(crate) struct World {
    open: Box<Open>,
    ids: Vec<CredentialId>,
    paths: Vec<Path>,
    broken: Mutex<Vec<String>>,
    reads: AtomicU64,
    absences: AtomicU64,
    writes: AtomicU64,
    refusals: AtomicU64,
    resealed: AtomicU64,
    evictions: AtomicU64,
    lives: AtomicU64,
}

fn chance(one_in: u32) -> bool {
    fastrand::u32(0..one_in) == 0
}

/// Both keys open; which one seals changes with each life.
fn keys(life: u64) -> Arc<KeyRing> {
    let [one, other]: [KeyId; 2] = ["one", "other"].map(|id| id.parse().unwrap());
    let active = if life % 2 == 0 { one.clone() } else { other.clone() };
    let key = |byte| SealingKey::from_bytes(Zeroizing::new([byte; 32]));
    Arc::new(KeyRing::builder(active).key(one, key(1)).key(other, key(2)).build().unwrap())
}

impl World {
    pub(crate) fn new(open: impl Fn() -> Arc<dyn StorageProvider> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            open: Box::new(open),
            ids: (0..PATHS).map(|path| path.to_string().parse().unwrap()).collect(),
            paths: (0..PATHS).map(|_| Path::default()).collect(),
            broken: Mutex::default(),
            reads: AtomicU64::new(0),
            absences: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            refusals: AtomicU64::new(0),
            resealed: AtomicU64::new(0),
            evictions: AtomicU64::new(0),
            lives: AtomicU64::new(0),
        })
    }

    pub(crate) fn broken(&self) -> Vec<String> {
        self.broken.lock().unwrap().iter().take(5).cloned().collect()
    }

    pub(crate) fn counts(&self) -> String {
        let count = |counter: &AtomicU64| counter.load(SeqCst);
        format!(
            "{} lives, {} reads, {} writes, {} refused, {} resealed, {} evicted, {} broken",
            count(&self.lives),
            count(&self.reads),
            count(&self.writes),
            count(&self.refusals),
            count(&self.resealed),
            count(&self.evictions),
            self.broken.lock().unwrap().len(),
        )
    }

    /// A run without one of them tests nothing about it.
    pub(crate) fn has_tried_everything(&self, name: &str) {
        for counter in
            [&self.reads, &self.absences, &self.writes, &self.refusals, &self.resealed, &self.evictions]
        {
            assert!(counter.load(SeqCst) > 0, "no operation of the kind `{name}`: {}", self.counts());
        }
    }

    fn manager(&self, life: u64) -> CredentialManager {
        CredentialManager::builder()
            .storage((self.open)())
            .keys(keys(life))
            .cache_ttl(TTL)
            .cache_max_size(CACHE_SIZE)
            .build()
    }

    /// A manager's life, to its shutdown at this moment or a little later, and the state after it.
    pub(crate) async fn live(self: Arc<Self>, life: u64, until: Instant) {
        self.forget_deletes();
        let manager = self.manager(life);
        let ended = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        for _ in 0..READERS {
            let (world, manager, ended) = (Arc::clone(&self), manager.clone(), Arc::clone(&ended));
            tasks.spawn(async move {
                while !ended.load(SeqCst) {
                    world.read(&manager).await;
                    sleep(Duration::from_micros(fastrand::u64(0..500))).await;
                }
            });
        }
        for writer in 0..WRITERS {
            let (world, manager, ended) = (Arc::clone(&self), manager.clone(), Arc::clone(&ended));
            tasks.spawn(async move {
                for path in (writer..PATHS).step_by(WRITERS).cycle() {
                    if ended.load(SeqCst) {
                        break;
                    }
                    world.write(&manager, path).await;
                    sleep(Duration::from_micros(fastrand::u64(0..4_000))).await;
                }
            });
        }
        // Resealed while all of them run, and cancelled if it takes long.
        if let Ok(Ok(report)) = timeout_at(until, manager.rekey()).await {
            self.resealed.fetch_add(report.resealed as u64, SeqCst);
        }
        tokio::time::sleep_until(until).await;
        self.evictions.fetch_add(manager.cache_stats().map_or(0, |stats| stats.evictions), SeqCst);
        // In the middle of their work; their calls fail, and they end.
        if let Err(error) = manager.shutdown().await {
            self.breaks(format!("life {life} does not shut down: {error}"));
        }
        ended.store(true, SeqCst);
        while let Some(task) = tasks.join_next().await {
            if let Err(error) = task {
                self.breaks(format!("life {life}: {error}"));
            }
        }
        drop(manager);
        self.nothing_is_lost(life).await;
        self.lives.fetch_add(1, SeqCst);
    }

    /// Between two lives no read is under way, and one that begins later shows nothing from before
    /// the floor. Without this the state of the test grows for hours.
    fn forget_deletes(&self) {
        for path in &self.paths {
            let floor = path.floor.load(SeqCst);
            path.deletes.lock().unwrap().retain(|number| *number >= floor);
        }
    }

    /// Another manager reads everything.
    async fn nothing_is_lost(&self, life: u64) {
        let manager = self.manager(life + 1);
        for path in 0..PATHS {
            let floor = self.paths[path].floor.load(SeqCst);
            // Faults of the backend are not checked here.
            for attempt in 1.. {
                match manager.retrieve(&self.ids[path]).await {
                    Err(error) if attempt == 50 => {
                        self.breaks(format!("path {path} cannot be read: {error}"))
                    }
                    Err(_) => continue,
                    answer => self.judge(path, floor, &answer),
                }
                break;
            }
        }
        if let Err(error) = manager.shutdown().await {
            self.breaks(format!("the reader after life {life} does not shut down: {error}"));
        }
    }

    async fn read(&self, manager: &CredentialManager) {
        let path = fastrand::usize(0..PATHS);
        let floor = self.paths[path].floor.load(SeqCst);
        let id = &self.ids[path];
        match () {
            () if chance(200) => {
                let answer = manager.refresh(id).await;
                self.judge(path, floor, &answer);
            }
            () if chance(200) => {
                let others: Vec<_> = (0..6).map(|step| (path + step * 7) % PATHS).collect();
                let floors: Vec<_> = others.iter().map(|path| self.paths[*path].floor.load(SeqCst)).collect();
                let ids: Vec<_> = others.iter().map(|path| self.ids[*path].clone()).collect();
                let items = manager.retrieve_batch(&ids).await;
                for ((path, floor), item) in others.into_iter().zip(floors).zip(&items) {
                    self.judge(path, floor, &item.result);
                }
            }
            () if chance(100) => {
                let mut dropped = Box::pin(manager.retrieve(id));
                let _ = (&mut dropped).now_or_never();
            }
            () if chance(1_000) => {
                let _ = manager.list().await;
            }
            () => {
                let answer = manager.retrieve(id).await;
                self.judge(path, floor, &answer);
            }
        }
    }

    /// The one writer of a path.
    async fn write(&self, manager: &CredentialManager, path: usize) {
        static PADDING: LazyLock<String> = LazyLock::new(|| "x".repeat(4_096));
        let known = &self.paths[path];
        let number = known.begun.fetch_add(1, SeqCst) + 1;
        let deletes = chance(8);
        if deletes {
            known.deletes.lock().unwrap().push(number);
        }
        let mut text = number.to_string();
        let _ = write!(text, " {}", &PADDING[..fastrand::usize(0..PADDING.len())]);
        let id = &self.ids[path];
        let mut work = Box::pin(async move {
            match deletes {
                true => manager.delete(id).await,
                false => manager.store(id, Credential::text(text)).await,
            }
        });
        if chance(20) {
            // The caller is dropped after a moment: the write may still take effect, in order.
            for _ in 0..fastrand::u32(1..4) {
                if (&mut work).now_or_never().is_some() {
                    return;
                }
                tokio::task::yield_now().await;
            }
            return;
        }
        self.writes.fetch_add(1, SeqCst);
        match work.await {
            Ok(()) => drop(known.floor.fetch_max(number, SeqCst)),
            Err(_) => drop(self.refusals.fetch_add(1, SeqCst)),
        }
    }

    fn judge(&self, path: usize, floor: u64, answer: &Result<Option<Credential>, ManagerError>) {
        self.reads.fetch_add(1, SeqCst);
        let known = &self.paths[path];
        let fits = match answer {
            Err(_) => return,
            Ok(Some(credential)) => {
                let text = credential.expose_text(field::VALUE).unwrap();
                let shown: u64 = text.split_once(' ').unwrap().0.parse().unwrap();
                (floor..=known.begun.load(SeqCst)).contains(&shown)
            }
            Ok(None) => {
                self.absences.fetch_add(1, SeqCst);
                floor == 0 || known.deletes.lock().unwrap().iter().any(|number| *number >= floor)
            }
        };
        if !fits {
            let shown = match answer {
                Ok(Some(credential)) => {
                    credential.expose_text(field::VALUE).unwrap().chars().take(12).collect()
                }
                _ => "nothing".to_owned(),
            };
            self.breaks(format!("path {path}: {floor} was acknowledged, and {shown} is shown"));
        }
    }

    fn breaks(&self, what: String) {
        println!("soak: {what}");
        self.broken.lock().unwrap().push(what);
    }
}
