//! Readers and writers of one manager, and the required result of each.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cred_core::{Credential, KeyId, PathRef, Sealed, Sealer as _, Tags, Timestamp, Zeroizing, field};
use cred_manager::crypto::{KeyRing, SealingKey};
use cred_manager::{CredentialManager, ManagerError};
use futures_util::FutureExt as _;
use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, sleep, timeout};

use crate::backend::{Backend, NOT_A_LOAD, Provider, SLOWEST_READ};
use crate::{IN_DOUBT, LIMIT, LOAD_CONCURRENCY, PATHS, PATHS_OF_A_SCOPE, TTL, Variant, chance, id, up_to};

/// A load can be shared for a moment after its panic.
const UNWINDING: Duration = Duration::from_secs(1);

/// How much longer than its limit a result may take on a busy machine; none in virtual time.
const BUSY: Duration = Duration::from_secs(30);

/// How long after its caller was dropped a write can land: by then it runs, or never will.
const LEFT: Duration = Duration::from_millis(30);

/// How many operations of each kind succeeded.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) reads: AtomicUsize,
    pub(crate) refreshes: AtomicUsize,
    pub(crate) batches: AtomicUsize,
    pub(crate) clears: AtomicUsize,
    pub(crate) stores: AtomicUsize,
    pub(crate) deletes: AtomicUsize,
    pub(crate) rotations: AtomicUsize,
    pub(crate) if_absent: AtomicUsize,
    pub(crate) resealed: AtomicUsize,
    pub(crate) externals: AtomicUsize,
    pub(crate) unknown: AtomicUsize,
}

impl Counts {
    pub(crate) fn all(&self) -> [&AtomicUsize; 11] {
        let Self { reads, refreshes, batches, clears, stores, deletes, .. } = self;
        let Self { rotations, if_absent, resealed, externals, unknown, .. } = self;
        [
            reads, refreshes, batches, clears, stores, deletes, rotations, if_absent, resealed, externals,
            unknown,
        ]
    }
}

pub(crate) struct World {
    pub(crate) variant: Variant,
    pub(crate) manager: CredentialManager,
    /// The manager's handle of each path's scope.
    handles: Vec<CredentialManager>,
    /// The keys of another process, whose active key is the old one.
    old_keys: Arc<KeyRing>,
    pub(crate) backend: Arc<Backend>,
    /// The number of the landing that each read of the path must show, or a later one.
    pub(crate) floors: Vec<AtomicU64>,
    /// From when no write of the manager can run or land any more.
    idle_from: Vec<Mutex<Instant>>,
    abandoned: Mutex<Option<Runtime>>,
    left: AtomicUsize,
    shut_down_at: usize,
    is_shut_down: AtomicBool,
    pub(crate) counts: Counts,
}

fn key_id(text: &str) -> KeyId {
    text.parse().unwrap()
}

fn keys(active: &str) -> Arc<KeyRing> {
    let mut ring = KeyRing::builder(key_id(active));
    for (id, byte) in [("old", 1), ("new", 2)] {
        ring = ring.key(key_id(id), SealingKey::from_bytes(Zeroizing::new([byte; 32])));
    }
    Arc::new(ring.build().unwrap())
}

fn handles(manager: &CredentialManager) -> Vec<CredentialManager> {
    let scope = |place| format!("scope:{}", place / PATHS_OF_A_SCOPE).parse().unwrap();
    (0..PATHS).map(|place| manager.scoped(scope(place)).unwrap()).collect()
}

impl World {
    pub(crate) fn new(variant: Variant, reads: usize) -> Arc<Self> {
        let backend = Backend::new(variant);
        let manager = CredentialManager::builder()
            .storage(Provider(Arc::clone(&backend)))
            .keys(keys("new"))
            .cache_ttl(TTL)
            .cache_max_size(variant.capacity)
            .load_concurrency(LOAD_CONCURRENCY.try_into().unwrap())
            .build();
        Arc::new(Self {
            variant,
            handles: handles(&manager),
            old_keys: keys("old"),
            manager,
            backend,
            floors: (0..PATHS).map(|_| AtomicU64::new(0)).collect(),
            idle_from: (0..PATHS).map(|_| Mutex::new(Instant::now())).collect(),
            abandoned: Mutex::default(),
            left: AtomicUsize::new(reads),
            shut_down_at: reads / 8,
            is_shut_down: AtomicBool::new(false),
            counts: Counts::default(),
        })
    }

    /// Whether another read is to be made. Shuts the manager down while the last ones run.
    pub(crate) fn reads_on(self: &Arc<Self>) -> bool {
        let left = self.left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1));
        if left == Ok(self.shut_down_at) {
            let world = Arc::clone(self);
            tokio::spawn(async move {
                if let Some(abandoned) = world.abandoned.lock().unwrap().take() {
                    abandoned.shutdown_background();
                }
                let result = world.manager.shutdown().await;
                world.is_shut_down.store(true, SeqCst);
                if let Err(error) = result {
                    world.backend.violation(format!("shutdown: {error}"));
                }
            });
        }
        left.is_ok()
    }

    /// Whether the readers need writes.
    pub(crate) fn writes_on(&self) -> bool {
        self.left.load(SeqCst) > 0
    }

    pub(crate) async fn is_shut_down(&self) {
        while !self.is_shut_down.load(SeqCst) {
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// Begins reads on a runtime that nothing drives any more, and keeps it until the shutdown.
    pub(crate) fn abandon_reads(&self) {
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            for place in 0..LOAD_CONCURRENCY {
                let _ = self.handles[place].retrieve(&id(place)).now_or_never();
            }
        });
        *self.abandoned.lock().unwrap() = Some(runtime);
    }

    fn judge(&self, place: usize, floor: u64, result: &Result<Option<Credential>, ManagerError>) -> u64 {
        self.counts.reads.fetch_add(1, SeqCst);
        let log = self.backend.log(place);
        let shown = match result {
            Err(_) => return 0,
            Ok(Some(credential)) => {
                let text = credential.expose_text(field::VALUE).unwrap();
                let (of, number) = text.split_once('/').unwrap();
                if of != place.to_string() {
                    self.backend.violation(format!("path {place}: the value of path {of}"));
                }
                log.number_of(number.parse().unwrap())
            }
            Ok(None) => log.number_of_deletion(),
        };
        drop(log);
        if shown < floor {
            let is_present = result.as_ref().unwrap().is_some();
            let what = format!("path {place}: floor {floor}, shown {shown}, present {is_present}");
            self.backend.violation(what);
        }
        if is_present(result) { shown } else { 0 }
    }

    /// The result of an operation that must end in time.
    async fn timed<T>(&self, what: &str, limit: Duration, operation: impl Future<Output = T>) -> T {
        let started = Instant::now();
        let result = operation.await;
        let limit = if self.variant.is_virtual { limit } else { limit + BUSY };
        if started.elapsed() > limit {
            self.backend.violation(format!("{what} took {:?}", started.elapsed()));
        }
        result
    }

    /// The number that a read that starts now must show.
    fn floor(&self, place: usize) -> u64 {
        if self.is_shut_down.load(SeqCst) {
            return u64::MAX; // nothing
        }
        self.floors[place].load(SeqCst)
    }

    pub(crate) async fn read(self: &Arc<Self>, place: usize) {
        let (floor, handle) = (self.floor(place), &self.handles[place]);
        let refreshes = if self.variant.is_storm { 3 } else { 300 };
        match () {
            () if chance(refreshes) => {
                // It returns the value stored when it begins, or a later one.
                let stored = self.backend.log(place).len() as u64;
                let floor = if self.variant.lag().is_zero() { floor.max(stored) } else { floor };
                // It waits for one load before it loads.
                let result = self.timed("a refresh", 2 * LIMIT, handle.refresh(&id(place))).await;
                let shown = self.judge(place, floor, &result);
                if result.is_ok() {
                    self.counts.refreshes.fetch_add(1, SeqCst);
                }
                if self.variant.lag().is_zero() {
                    self.floors[place].fetch_max(shown, SeqCst);
                }
            }
            () if chance(200) => {
                // The whole scope, and one of it twice.
                let first = place - place % PATHS_OF_A_SCOPE;
                let places: Vec<_> = (first..first + PATHS_OF_A_SCOPE).chain([place]).collect();
                let floors: Vec<_> = places.iter().map(|place| self.floor(*place)).collect();
                let ids: Vec<_> = places.iter().map(|place| id(*place)).collect();
                let items = self.timed("a batch", LIMIT, handle.retrieve_batch(&ids)).await;
                for ((place, floor), item) in places.into_iter().zip(floors).zip(&items) {
                    self.judge(place, floor, &item.result);
                }
                self.counts.batches.fetch_add(1, SeqCst);
            }
            () if chance(100) => {
                let id = id(place);
                let mut dropped = Box::pin(handle.retrieve(&id));
                let _ = (&mut dropped).now_or_never();
            }
            () if !self.variant.is_storm && chance(300) => {
                self.clear(place);
            }
            () => {
                let started = Instant::now();
                let result = self.timed("a read", LIMIT, handle.retrieve(&id(place))).await;
                self.judge(place, floor, &result);
                let lost = result.is_err_and(|error| error.to_string().contains("the load panicked"));
                let panicked = |at: Instant| at + UNWINDING > started;
                if lost && !self.backend.panics[place].lock().unwrap().is_some_and(panicked) {
                    self.backend.violation(format!("path {place}: a load ended with a reader of it"));
                }
                let stats = self.manager.cache_stats().unwrap();
                if stats.size > self.variant.capacity || stats.utilisation() > 1.0 {
                    self.backend.violation(format!("{} are cached", stats.size));
                }
            }
        }
    }

    /// A read after a clear shows what has landed before it.
    fn clear(&self, place: usize) {
        let landed = self.backend.log(place).len() as u64;
        match fastrand::u32(0..3) {
            0 => self.manager.clear_cache().unwrap(),
            1 => self.handles[place].clear_cache().unwrap(),
            _ => self.handles[place].clear_cache_for(&id(place)).unwrap(),
        }
        if self.variant.lag().is_zero() {
            self.floors[place].fetch_max(landed, SeqCst);
        }
        self.counts.clears.fetch_add(1, SeqCst);
    }

    /// The one writer of a path.
    pub(crate) async fn write(self: &Arc<Self>, place: usize) {
        match () {
            () if self.variant.is_storm || (self.variant.is_virtual && chance(7)) => {
                self.write_externally(place).await;
            }
            () if self.variant.is_virtual && chance(5) => {
                // Often while the manager writes one of the scope.
                let write = async {
                    if chance(2) {
                        sleep(up_to(Duration::from_millis(4))).await;
                        self.write_by_the_manager(place).await;
                    }
                };
                tokio::join!(self.rekey(place), write);
            }
            () => self.write_by_the_manager(place).await,
        }
    }

    async fn write_by_the_manager(self: &Arc<Self>, place: usize) {
        let number = self.next(place);
        let handle = self.handles[place].clone();
        let (kind, count) = match fastrand::u32(0..20) {
            0..3 => ("delete", &self.counts.deletes),
            3..7 => ("rotation", &self.counts.rotations),
            7..9 => ("if_absent", &self.counts.if_absent),
            _ => ("plain", &self.counts.stores),
        };
        let credential = value(place, number, kind);
        let mut work = Box::pin(NOT_A_LOAD.scope((), async move {
            match kind {
                "delete" => handle.delete(&id(place)).await.map(|()| true),
                "rotation" => handle.rotate(&id(place), credential).await.map(|_| true),
                "if_absent" => handle.store_if_absent(&id(place), credential).await,
                _ => handle.store(&id(place), credential).await.map(|()| true),
            }
        }));
        // The caller is dropped. (Not of a delete: it has no contents that could show its number.)
        if kind != "delete" && chance(10) {
            self.idle_after(place, LEFT);
            for _ in 0..fastrand::u32(1..4) {
                if (&mut work).now_or_never().is_some() {
                    return;
                }
                tokio::task::yield_now().await;
            }
            return;
        }
        let wait = match work.await {
            Ok(written) => {
                count.fetch_add(written.into(), SeqCst);
                self.variant.lag()
            }
            Err(error) if error.may_have_written() => {
                self.counts.unknown.fetch_add(1, SeqCst);
                self.idle_after(place, IN_DOUBT);
                if self.variant.is_virtual && chance(2) {
                    return self.write_at_once(place, number).await;
                }
                IN_DOUBT + self.variant.lag()
            }
            Err(_) => return,
        };
        if wait.is_zero() {
            return self.raise(place, number);
        }
        let world = Arc::clone(self);
        tokio::spawn(async move {
            sleep(wait).await;
            // And one load: a read from now on can share none from before.
            match world.variant.is_virtual {
                true => sleep(SLOWEST_READ * world.variant.batch).await,
                false => drop(world.handles[place].refresh(&id(place)).await),
            }
            world.raise(place, number);
        });
    }

    /// After a write with an unknown outcome: it can land over the next one, which is read
    /// meanwhile, and then a read must show it.
    async fn write_at_once(&self, place: usize, unknown: u64) {
        let cannot_land = sleep(IN_DOUBT + self.variant.lag() + SLOWEST_READ * self.variant.batch);
        let (number, handle) = (self.next(place), &self.handles[place]);
        let _ = handle.store(&id(place), value(place, number, "plain")).await;
        sleep(self.variant.lag()).await;
        let floor = self.floor(place);
        self.judge(place, floor, &handle.retrieve(&id(place)).await);
        cannot_land.await;
        self.raise(place, unknown);
        let floor = self.floor(place);
        self.judge(place, floor, &handle.retrieve(&id(place)).await);
    }

    /// Another process can overwrite the value that this manager is about to replace, and be
    /// overwritten: it writes while the manager does not.
    async fn write_externally(self: &Arc<Self>, place: usize) {
        if Instant::now() < *self.idle_from[place].lock().unwrap() {
            return;
        }
        let number = self.next(place);
        let (id, credential) = (id(place), value(place, number, "external"));
        let path = PathRef::new(self.handles[place].scope(), &id);
        let metadata = credential.to_metadata(Timestamp::now());
        let secret = credential.to_secret_bytes().unwrap();
        let data = self.old_keys.seal(path, &metadata, &secret).await.unwrap();
        self.backend.land_external(place, number, Sealed { data, metadata });
        self.counts.externals.fetch_add(1, SeqCst);
        let world = Arc::clone(self);
        tokio::spawn(async move {
            sleep(TTL + world.variant.lag()).await;
            world.raise(place, number);
        });
        if !self.variant.is_storm && chance(2) {
            self.clear(place);
        }
        // The value that the manager replaces must include it.
        sleep(self.variant.lag()).await;
    }

    /// The whole scope.
    async fn rekey(&self, place: usize) {
        let rekey = NOT_A_LOAD.scope((), self.handles[place].rekey().into_future());
        // Half of the callers are dropped: a re-key returns only when its writes cannot land any
        // more.
        let limit = if chance(2) { up_to(Duration::from_millis(15)) } else { Duration::MAX };
        match timeout(limit, rekey).await {
            Ok(Ok(report)) => {
                self.counts.resealed.fetch_add(report.resealed, SeqCst);
                self.scope_idle_after(place, IN_DOUBT);
            }
            _ => self.scope_idle_after(place, LEFT),
        }
    }

    fn scope_idle_after(&self, place: usize, time: Duration) {
        let first = place - place % PATHS_OF_A_SCOPE;
        for place in first..first + PATHS_OF_A_SCOPE {
            self.idle_after(place, time);
        }
    }

    fn next(&self, place: usize) -> u64 {
        self.backend.next[place].fetch_add(1, SeqCst) + 1
    }

    fn idle_after(&self, place: usize, time: Duration) {
        let mut idle_from = self.idle_from[place].lock().unwrap();
        *idle_from = idle_from.max(Instant::now() + time);
    }

    fn raise(&self, place: usize, number: u64) {
        let landed = self.backend.log(place).number_of(number);
        self.floors[place].fetch_max(landed, SeqCst);
    }
}

fn is_present(result: &Result<Option<Credential>, ManagerError>) -> bool {
    matches!(result, Ok(Some(_)))
}

fn value(place: usize, number: u64, kind: &str) -> Credential {
    let mut tags = Tags::new();
    tags.insert("write", number.to_string()).unwrap();
    tags.insert("kind", kind).unwrap();
    Credential::text(format!("{place}/{number}")).with_tags(tags)
}
