//! A hostile backend: it lags, fails, panics, hangs, loses responses, and its writes take
//! effect late. It checks the order of its calls.

use std::future::pending;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use cred_core::{
    CompareAndSet, CredentialContext, CredentialFilter, CredentialId, CredentialMetadata, CredentialPath,
    Description, EncryptedData, Revision, Sealed, StorageError, StorageErrorKind, StorageProvider, Versioned,
    async_trait,
};
use tokio::time::{Instant, sleep};

use crate::{IN_DOUBT, LOAD_CONCURRENCY, OPERATION_TIMEOUT, PATHS, PATHS_OF_A_SCOPE, Variant, chance, up_to};

/// The message of the panics that the backend plans.
pub(crate) const PLANNED_PANIC: &str = "planned panic";

/// How long a read takes at most, before and after it has seen the stored value. A batch reads its
/// ids one after another.
pub(crate) const SLOWEST_READ: Duration = Duration::from_millis(5);

/// How a write depends on what is stored. The caller's tag `kind` reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A store or a delete.
    Plain,
    Rotation,
    IfAbsent,
    /// It stores the stored value, under another key.
    Rekey,
    /// By another process.
    External,
}

#[derive(Clone)]
struct Landing {
    /// From when reads show it.
    visible: Instant,
    write: u64,
    stored: Option<Sealed>,
}

/// The writes of one path.
#[derive(Default)]
pub(crate) struct PathLog {
    /// In the order in which they landed. A landing has its position, from 1 on, as number.
    landings: Vec<Landing>,
    /// The highest number of a write that was sent.
    last_sent: u64,
    /// Calls so far, and the last of them that neither depends on what is stored nor re-keys.
    calls: u64,
    last_plain_call: u64,
    /// The last call whose write landed while the caller waited.
    last_landed_call: u64,
}

impl PathLog {
    /// The number of the last landing of this write; 0: it has not landed.
    pub(crate) fn number_of(&self, write: u64) -> u64 {
        self.last(|landing| landing.write == write)
    }

    /// The number of the last landing of a deletion; 0: none has landed.
    pub(crate) fn number_of_deletion(&self) -> u64 {
        self.last(|landing| landing.stored.is_none())
    }

    pub(crate) fn len(&self) -> usize {
        self.landings.len()
    }

    fn last(&self, which: impl Fn(&Landing) -> bool) -> u64 {
        self.landings.iter().rposition(which).map_or(0, |place| place as u64 + 1)
    }

    fn stored(&self) -> Option<&Landing> {
        self.landings.last().filter(|landing| landing.stored.is_some())
    }

    fn revision(&self) -> Option<Revision> {
        self.stored().map(|_| Revision::new(self.landings.len().to_string()))
    }
}

/// One call of the backend that writes.
struct Write {
    place: usize,
    call: u64,
    number: u64,
    kind: Kind,
    stored: Option<Sealed>,
    /// For a conditional write: the revision that must be stored.
    expected: Option<Option<Revision>>,
}

pub(crate) struct Backend {
    description: Description,
    variant: Variant,
    logs: Vec<Mutex<PathLog>>,
    /// The loads of each path that call the backend now.
    loads: Vec<AtomicUsize>,
    /// The number of the write that each path is about to make: deletes have no contents to show
    /// it.
    pub(crate) next: Vec<AtomicU64>,
    /// When a read of each path's scope panicked last: the only cause for a load without a result.
    pub(crate) panics: Vec<Mutex<Option<Instant>>>,
    running_loads: AtomicUsize,
    running: AtomicUsize,
    is_shut_down: AtomicBool,
    pub(crate) violations: Mutex<Vec<String>>,
}

tokio::task_local! {
    /// Set for reads of a re-key, which do not fill the cache.
    pub(crate) static NOT_A_LOAD: ();
}

/// The place of a path: [`PATHS_OF_A_SCOPE`] are in each scope.
fn place(id: &CredentialId, ctx: &CredentialContext) -> usize {
    first_place(ctx) + id.as_str().parse::<usize>().unwrap()
}

fn first_place(ctx: &CredentialContext) -> usize {
    let (_, number) = ctx.scope_id.as_ref().unwrap().parts().next().unwrap();
    number.parse::<usize>().unwrap() * PATHS_OF_A_SCOPE
}

/// Counts a write or a load for as long as it runs, however it ends.
struct Running<'a> {
    backend: &'a Backend,
    /// Of a load: its path.
    load: Option<usize>,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.backend.running.fetch_sub(1, SeqCst);
        if let Some(place) = self.load {
            self.backend.running_loads.fetch_sub(1, SeqCst);
            self.backend.loads[place].fetch_sub(1, SeqCst);
        }
    }
}

impl Backend {
    pub(crate) fn new(variant: Variant) -> Arc<Self> {
        let description = Description::new("model", OPERATION_TIMEOUT)
            .with_consistency(variant.consistency)
            .with_in_doubt(IN_DOUBT)
            .with_batch(NonZeroUsize::new(variant.batch.try_into().unwrap()).unwrap());
        Arc::new(Self {
            description,
            variant,
            logs: (0..PATHS).map(|_| Mutex::default()).collect(),
            loads: (0..PATHS).map(|_| AtomicUsize::new(0)).collect(),
            next: (0..PATHS).map(|_| AtomicU64::new(0)).collect(),
            panics: (0..PATHS).map(|_| Mutex::default()).collect(),
            running_loads: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
            is_shut_down: AtomicBool::new(false),
            violations: Mutex::default(),
        })
    }

    pub(crate) fn log(&self, place: usize) -> MutexGuard<'_, PathLog> {
        self.logs[place].lock().unwrap()
    }

    pub(crate) fn violation(&self, what: String) {
        self.violations.lock().unwrap().push(what);
    }

    /// A write of another process, which lands at once.
    pub(crate) fn land_external(&self, place: usize, number: u64, stored: Sealed) {
        let call = self.call(place, number, Kind::External);
        let write = Write { place, call, number, kind: Kind::External, stored: Some(stored), expected: None };
        self.land(write, None).unwrap();
    }

    /// A write or a load has begun. (Other reads are bounded by their callers, and no shutdown
    /// waits for them.)
    fn enter(&self, load: Option<usize>) -> Running<'_> {
        self.running.fetch_add(1, SeqCst);
        if self.is_shut_down.load(SeqCst) {
            self.violation("a call after the shutdown".to_owned());
        }
        if let Some(place) = load {
            let of_all = self.running_loads.fetch_add(1, SeqCst) + 1;
            if self.variant.batch == 1 && of_all > LOAD_CONCURRENCY {
                self.violation(format!("{of_all} loads at once"));
            }
            // A write or a clear unlinks a load, and the next one runs beside it.
            let of_path = self.loads[place].fetch_add(1, SeqCst) + 1;
            if self.variant.is_storm && of_path > 1 {
                self.violation(format!("path {place}: {of_path} loads at once"));
            }
        }
        Running { backend: self, load }
    }

    /// Records that a write was sent. Returns the number of its call.
    fn call(&self, place: usize, number: u64, kind: Kind) -> u64 {
        let mut log = self.log(place);
        log.calls += 1;
        log.last_sent = log.last_sent.max(number);
        if matches!(kind, Kind::Plain | Kind::External) {
            log.last_plain_call = log.calls;
        }
        log.calls
    }

    /// A write takes effect: while the caller waits, or late but before `last_moment`.
    fn land(&self, write: Write, last_moment: Option<Instant>) -> Result<(), StorageError> {
        let Write { place, call, number, kind, stored, expected } = write;
        let shows_after = up_to(self.variant.lag());
        let mut log = self.log(place);
        let now = Instant::now();
        // A busy machine can wake it too late; then it does not land at all, as it had promised.
        if last_moment.is_some_and(|last_moment| last_moment <= now) {
            return Ok(());
        }
        if expected.is_some_and(|expected| expected != log.revision()) {
            return Err(StorageError::conflict("another revision is stored"));
        }
        if last_moment.is_none() && std::mem::replace(&mut log.last_landed_call, call) > call {
            self.violation(format!("path {place}: write {number} landed after a later one"));
        }
        self.check_what_it_replaces(&log, call, number, kind, stored.as_ref());
        // Writes become visible in the order in which they land.
        let visible = now + shows_after;
        let visible = log.landings.last().map_or(visible, |last| visible.max(last.visible));
        log.landings.push(Landing { visible, write: number, stored });
        Ok(())
    }

    /// A write that depends on the stored value waits until earlier writes cannot land any more. So
    /// it may replace only the value that its writer has seen, unless a later plain write was sent,
    /// which does not wait for it. (After a re-key, it does.)
    fn check_what_it_replaces(
        &self,
        log: &PathLog,
        call: u64,
        number: u64,
        kind: Kind,
        stored: Option<&Sealed>,
    ) {
        let last = log.stored();
        let is_overtaken = log.last_plain_call > call;
        let version = |stored: &Sealed| stored.metadata.version;
        let fits = match kind {
            Kind::Plain | Kind::External => true,
            Kind::Rekey => last.is_some_and(|last| last.write == number),
            Kind::IfAbsent => is_overtaken || last.is_none(),
            Kind::Rotation => {
                let before = last.and_then(|last| last.stored.as_ref()).map(version);
                is_overtaken || before.is_some_and(|before| stored.map(version) == Some(before + 1))
            }
        };
        if !fits {
            let what = last.map(|last| (last.write, last.stored.as_ref().map(version)));
            self.violation(format!("{kind:?} {number} replaced what it did not see: {what:?}"));
        }
    }

    async fn write(self: &Arc<Self>, write: Write) -> Result<(), StorageError> {
        let _running = self.enter(None);
        // Few writes are those of a re-key.
        let is_late = chance(if write.kind == Kind::Rekey { 4 } else { 40 });
        if chance(8) {
            sleep(up_to(Duration::from_millis(2))).await;
        }
        match () {
            () if is_late => {
                // The response is lost, and the write lands at a random time.
                let latest = IN_DOUBT - self.variant.lag();
                let (last_moment, late) = (Instant::now() + latest, up_to(latest));
                let backend = Arc::clone(self);
                tokio::spawn(async move {
                    sleep(late).await;
                    let _ = backend.land(write, Some(last_moment));
                });
                Err(StorageError::unavailable("reset"))
            }
            () if chance(60) => Err(StorageErrorKind::Throttled { retry_after: None }.into()),
            () if chance(200) => {
                self.land(write, None)?;
                panic!("{PLANNED_PANIC}: after the effect");
            }
            () if chance(4_000) => {
                self.land(write, None)?;
                pending().await
            }
            () => {
                self.land(write, None)?;
                if chance(4) {
                    sleep(up_to(Duration::from_millis(1))).await;
                }
                Ok(())
            }
        }
    }

    async fn read(&self, place: usize) -> Result<(Sealed, Option<Revision>), StorageError> {
        let is_load = NOT_A_LOAD.try_with(|()| ()).is_err();
        let _running = is_load.then(|| self.enter(Some(place)));
        let look = || {
            let (now, log) = (Instant::now(), self.log(place));
            let visible = log.landings.iter().rev().find(|landing| landing.visible <= now);
            (visible.and_then(|landing| landing.stored.clone()), log.revision())
        };
        // The result is fixed at a random moment of the call.
        if chance(3) {
            sleep(up_to(Duration::from_millis(2))).await;
        }
        let (seen, revision) = look();
        if chance(3) {
            sleep(up_to(Duration::from_millis(3))).await;
        }
        match () {
            () if chance(50) => Err(StorageError::unavailable("reset")),
            () if self.variant.is_virtual && chance(2_000) => pending().await,
            () if is_load && chance(5_000) => {
                // With the whole batch, which is of one scope.
                let first = place - place % PATHS_OF_A_SCOPE;
                for panic in &self.panics[first..first + PATHS_OF_A_SCOPE] {
                    *panic.lock().unwrap() = Some(Instant::now());
                }
                panic!("{PLANNED_PANIC}: as a defective provider might")
            }
            () => Ok((seen.ok_or(StorageErrorKind::NotFound)?, revision)),
        }
    }

    fn stores(
        &self,
        place: usize,
        Sealed { data, metadata }: Sealed,
        expected: Option<Option<Revision>>,
    ) -> Write {
        let number = metadata.tags["write"].parse().unwrap();
        let kind = match metadata.tags.get("kind").map(AsRef::as_ref) {
            // A re-key stores what was sent before. (A conditional write may be sent twice as
            // well.)
            _ if number <= self.log(place).last_sent && expected.is_none() => Kind::Rekey,
            Some("rotation") if expected.is_none() => Kind::Rotation,
            Some("if_absent") if expected.is_none() => Kind::IfAbsent,
            _ => Kind::Plain,
        };
        let call = self.call(place, number, kind);
        Write { place, call, number, kind, stored: Some(Sealed { data, metadata }), expected }
    }
}

/// The provider of the manager under test.
pub(crate) struct Provider(pub(crate) Arc<Backend>);

#[async_trait]
impl StorageProvider for Provider {
    fn describe(&self) -> &Description {
        &self.0.description
    }

    async fn store(
        &self,
        id: &CredentialId,
        data: EncryptedData,
        metadata: CredentialMetadata,
        ctx: &CredentialContext,
    ) -> Result<(), StorageError> {
        let write = self.0.stores(place(id, ctx), Sealed { data, metadata }, None);
        self.0.write(write).await
    }

    async fn retrieve(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<Sealed, StorageError> {
        Ok(self.0.read(place(id, ctx)).await?.0)
    }

    async fn delete(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<(), StorageError> {
        let (place, kind) = (place(id, ctx), Kind::Plain);
        let number = self.0.next[place].load(SeqCst);
        let call = self.0.call(place, number, kind);
        self.0.write(Write { place, call, number, kind, stored: None, expected: None }).await
    }

    async fn exists(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<bool, StorageError> {
        NOT_A_LOAD
            .scope((), async {
                match self.0.read(place(id, ctx)).await {
                    Ok(_) => Ok(true),
                    Err(error) if error.is_not_found() => Ok(false),
                    Err(error) => Err(error),
                }
            })
            .await
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
        ctx: &CredentialContext,
    ) -> Result<Vec<CredentialPath>, StorageError> {
        let first = first_place(ctx);
        let stored = (first..first + PATHS_OF_A_SCOPE).filter(|place| self.0.log(*place).stored().is_some());
        Ok(stored.map(|place| ctx.path(&crate::id(place)).to_path()).collect())
    }

    async fn shutdown(&self) {
        let running = self.0.running.load(SeqCst);
        if running > 0 {
            self.0.violation(format!("shut down while {running} calls ran"));
        }
        self.0.is_shut_down.store(true, SeqCst);
    }

    fn compare_and_set(&self) -> Option<&dyn CompareAndSet> {
        self.0.variant.compare_and_set.then_some(self as &dyn CompareAndSet)
    }
}

#[async_trait]
impl CompareAndSet for Provider {
    async fn retrieve_versioned(
        &self,
        id: &CredentialId,
        ctx: &CredentialContext,
    ) -> Result<Versioned<Sealed>, StorageError> {
        let (sealed, revision) = NOT_A_LOAD.scope((), self.0.read(place(id, ctx))).await?;
        Ok(Versioned::new(sealed, revision.ok_or(StorageErrorKind::NotFound)?))
    }

    async fn store_if(
        &self,
        id: &CredentialId,
        data: EncryptedData,
        metadata: CredentialMetadata,
        expected: Option<&Revision>,
        ctx: &CredentialContext,
    ) -> Result<Revision, StorageError> {
        let write = self.0.stores(place(id, ctx), Sealed { data, metadata }, Some(expected.cloned()));
        self.0.write(write).await?;
        Ok(Revision::new("unused"))
    }
}
