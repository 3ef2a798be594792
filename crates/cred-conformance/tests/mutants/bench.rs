//! The harness of a flawed provider.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

use cred_conformance::doubles::Reference;
use cred_conformance::{Edit, Effort, Harness, Offers, Subject};
use cred_core::{
    CredentialContext, CredentialPath, Description, Limits, Operation, Sealed, StorageError,
    StorageErrorKind, StorageProvider, async_trait,
};

use crate::flaw::Flaw;

/// The payload limit: large enough for the clauses' long values, small enough to be exceeded
/// quickly.
pub(crate) const LIMIT: usize = 22_000;
pub(crate) const TAGS: [usize; 3] = [10, 100, 200];
pub(crate) const SECRET: &str = "backend-token-c1a5f07e";

/// A harness whose providers all have the same flaw and share one store; `None`: no flaw.
pub(crate) struct MutantHarness {
    flaw: Option<Flaw>,
    reference: Reference,
    shared: Arc<Shared>,
}

/// The state of a flaw, shared by all clients of one store.
pub(crate) struct Shared {
    pub(crate) notes: Mutex<Notes>,
    pub(crate) busy: AtomicBool,
    pub(crate) down: AtomicBool,
    pub(crate) stored_once: AtomicBool,
    pub(crate) shut: AtomicUsize,
    pub(crate) in_flight: AtomicUsize,
    pub(crate) swaps: AtomicUsize,
    pub(crate) writers: tokio::sync::Semaphore,
    pub(crate) stalled: tokio::sync::watch::Sender<bool>,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            notes: Mutex::default(),
            busy: AtomicBool::default(),
            down: AtomicBool::default(),
            stored_once: AtomicBool::default(),
            shut: AtomicUsize::default(),
            in_flight: AtomicUsize::default(),
            swaps: AtomicUsize::default(),
            writers: tokio::sync::Semaphore::new(1),
            stalled: tokio::sync::watch::Sender::default(),
        }
    }
}

#[derive(Default)]
pub(crate) struct Notes {
    /// The path that was last stored at each place.
    pub(crate) spelled: BTreeMap<CredentialPath, CredentialPath>,
    pub(crate) deleted: BTreeMap<CredentialPath, Sealed>,
    pub(crate) first: BTreeMap<CredentialPath, Sealed>,
    pub(crate) absent: BTreeSet<CredentialPath>,
    pub(crate) revisions: BTreeMap<CredentialPath, u64>,
}

impl MutantHarness {
    pub(crate) fn new(flaw: Option<Flaw>) -> Self {
        let [count, key, value] = TAGS;
        let payload = match flaw {
            Some(Flaw::RefusesTheLimitItself) => LIMIT - 1,
            Some(Flaw::AcceptsOneByteMore) => LIMIT + 1,
            _ => LIMIT,
        };
        let tags = match flaw {
            Some(Flaw::DropsExtraTags | Flaw::CutsLongTags) => Limits::none(),
            Some(Flaw::RefusesTagsAtTheLimit) => Limits::none().with_max_tags(count - 1, key, value),
            _ => Limits::none().with_max_tags(count, key, value),
        };
        let reference = Reference::new().with_limits(tags.with_max_payload_len(payload));
        Self { flaw, reference, shared: Arc::default() }
    }

    pub(crate) fn offers() -> Offers {
        let mut offers = Offers::NONE;
        offers.compare_and_set = true;
        offers.soft_delete = true;
        offers.metrics = true;
        offers.payload_limit = true;
        offers.tag_limits = true;
        offers.reopen = true;
        offers.raw_edit = true;
        offers.outage = true;
        offers.stall = true;
        offers.backend_secrets = true;
        offers
    }

    fn client(&self, reference: Reference) -> Flawed {
        let [count, key, value] = TAGS;
        let limits = Limits::none().with_max_tags(count, key, value).with_max_payload_len(LIMIT);
        let mut description = reference.describe().clone().with_limits(limits);
        if self.flaw == Some(Flaw::HasNoTimeout) {
            description.operation_timeout = std::time::Duration::ZERO;
        }
        let other = description.clone().with_limits(Limits::none());
        Flawed {
            flaw: self.flaw,
            inner: reference,
            shared: Arc::clone(&self.shared),
            cache: Mutex::default(),
            lock: tokio::sync::Mutex::default(),
            description,
            other,
        }
    }
}

#[async_trait]
impl Harness for MutantHarness {
    async fn open(&self) -> Arc<dyn Subject> {
        if self.flaw == Some(Flaw::LeaksATask) {
            tokio::spawn(std::future::pending::<()>());
        }
        Arc::new(self.client(self.reference.clone()))
    }

    async fn reopen(&self) -> Option<Arc<dyn Subject>> {
        let reference = match self.flaw {
            Some(Flaw::ForgetsOnReopen) => Reference::new(),
            _ => self.reference.clone(),
        };
        let down = self.shared.down.load(Ordering::SeqCst);
        assert!(!(down && self.flaw == Some(Flaw::ConnectsInTheConstructor)), "cannot connect");
        if self.flaw == Some(Flaw::ForgetsDeletedOnReopen) {
            let soft = reference.soft_delete().unwrap();
            for scope in [None, Some("org:a".parse().unwrap())] {
                let ctx = CredentialContext::from(scope);
                for id in soft.list_deleted(&ctx).await.unwrap() {
                    soft.purge(&id, &ctx).await.unwrap();
                }
            }
        }
        Some(Arc::new(self.client(reference)))
    }

    async fn edit_raw(&self, path: &CredentialPath, edit: Edit<'_>) -> bool {
        self.reference.edit_raw(&crate::naming::place_of(self.flaw, path), edit)
    }

    async fn outage(&self, down: bool) -> bool {
        self.shared.down.store(down, Ordering::SeqCst);
        self.reference.set_outage(down);
        true
    }

    async fn stall(&self, held: bool) -> bool {
        self.shared.stalled.send_replace(held);
        true
    }

    fn backend_secrets(&self) -> Vec<String> {
        vec![SECRET.to_owned()]
    }

    fn physical_name(&self, path: &CredentialPath) -> Option<String> {
        Some(crate::naming::place_of(self.flaw, path).to_string())
    }

    fn effort(&self) -> Effort {
        Effort::default().with_list_entries(60).with_rounds(20)
    }
}

/// A reference provider with one defect.
pub(crate) struct Flawed {
    pub(crate) flaw: Option<Flaw>,
    pub(crate) inner: Reference,
    pub(crate) shared: Arc<Shared>,
    /// The cache of this client.
    pub(crate) cache: Mutex<BTreeMap<CredentialPath, Result<Sealed, StorageError>>>,
    pub(crate) lock: tokio::sync::Mutex<()>,
    pub(crate) description: Description,
    pub(crate) other: Description,
}

impl fmt::Debug for Flawed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.flaw {
            Some(Flaw::DebugPrintsContents) => {
                let notes = self.notes();
                let contents: Vec<_> = notes.first.values().map(|stored| &stored.data.ciphertext).collect();
                write!(f, "Flawed {contents:?}")
            }
            Some(Flaw::DebugPrintsSecrets) => write!(f, "Flawed {SECRET:?}"),
            _ => f.write_str("Flawed"),
        }
    }
}

impl Flawed {
    pub(crate) fn is(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    pub(crate) fn notes(&self) -> MutexGuard<'_, Notes> {
        self.shared.notes.lock().unwrap()
    }

    /// Adds the context to an error, as far as the flaw allows.
    pub(crate) fn with_context<T>(
        &self,
        result: Result<T, StorageError>,
        operation: Operation,
        path: &CredentialPath,
    ) -> Result<T, StorageError> {
        result.map_err(|error| {
            let kind = match error.kind().clone() {
                StorageErrorKind::NotFound if self.is(Flaw::AbsenceIsOther) => other("nothing is stored"),
                StorageErrorKind::Corrupted { .. } if self.is(Flaw::CorruptedIsNotFound) => {
                    StorageErrorKind::NotFound
                }
                StorageErrorKind::Corrupted { .. } if self.is(Flaw::CorruptedIsOther) => {
                    other("it is broken")
                }
                StorageErrorKind::Corrupted { .. } if self.is(Flaw::CorruptedPrintsBytes) => {
                    let mut seen = Vec::new();
                    self.inner.edit_raw(&crate::naming::place_of(self.flaw, path), |bytes| {
                        seen.clone_from(&bytes);
                        bytes
                    });
                    let reason = format!("cannot parse {:?}", String::from_utf8_lossy(&seen));
                    StorageErrorKind::Corrupted { reason: reason.into() }
                }
                StorageErrorKind::Unavailable { .. } if self.is(Flaw::OutageIsNotFound) => {
                    StorageErrorKind::NotFound
                }
                StorageErrorKind::Unavailable { .. } if self.is(Flaw::OutagePrintsSecrets) => {
                    other(&format!("the login with {SECRET} failed"))
                }
                StorageErrorKind::TooLarge { .. } if self.is(Flaw::RefusesSizeAsOther) => {
                    other("it is too large")
                }
                StorageErrorKind::TooLarge { size, .. } => StorageErrorKind::TooLarge { size, limit: LIMIT },
                StorageErrorKind::InvalidRequest { .. } if self.is(Flaw::RefusesTagsAsOther) => {
                    other("bad tags")
                }
                kind => kind,
            };
            let refused = matches!(kind, StorageErrorKind::TooLarge { .. });
            let error = StorageError::from(kind);
            match self.flaw {
                Some(Flaw::RefusalPrintsContents) if refused => {
                    let given = self.notes().first.get(path).map(|stored| stored.data.ciphertext.clone());
                    let text = String::from_utf8_lossy(&given.unwrap_or_default()).into_owned();
                    let cause = Arc::new(std::io::Error::other(text)) as Arc<_>;
                    error.with_source(cause).at(Reference::NAME, operation, path.clone())
                }
                Some(Flaw::ErrorsNameNothing) => error,
                Some(Flaw::ErrorsNameAnotherOperation) => {
                    error.at(Reference::NAME, Operation::Connect, path.clone())
                }
                Some(Flaw::ErrorsNameNoScope) => {
                    error.at(Reference::NAME, operation, CredentialPath::new(None, path.id.clone()))
                }
                _ => error.at(Reference::NAME, operation, path.clone()),
            }
        })
    }

    pub(crate) async fn get(&self, place: &CredentialPath) -> Result<Sealed, StorageError> {
        self.inner.retrieve(&place.id, &context(place)).await
    }

    pub(crate) async fn put(
        &self,
        place: &CredentialPath,
        Sealed { data, metadata }: Sealed,
    ) -> Result<(), StorageError> {
        self.inner.store(&place.id, data, metadata, &context(place)).await
    }

    pub(crate) async fn del(&self, place: &CredentialPath) -> Result<(), StorageError> {
        self.inner.delete(&place.id, &context(place)).await
    }

    pub(crate) async fn has(&self, place: &CredentialPath) -> Result<bool, StorageError> {
        self.inner.exists(&place.id, &context(place)).await
    }

    pub(crate) async fn all(&self) -> Result<Vec<CredentialPath>, StorageError> {
        self.inner.list_tree(None, &CredentialContext::unscoped()).await
    }
}

pub(crate) fn context(place: &CredentialPath) -> CredentialContext {
    CredentialContext::from(place.scope.clone())
}

pub(crate) fn other(reason: &str) -> StorageErrorKind {
    StorageErrorKind::Other { reason: reason.to_owned().into() }
}

/// Lets other tasks run.
pub(crate) async fn pause() {
    for _ in 0..3 {
        tokio::task::yield_now().await;
    }
}

pub(crate) fn once(flag: &AtomicBool) -> bool {
    !flag.swap(true, Ordering::SeqCst)
}
