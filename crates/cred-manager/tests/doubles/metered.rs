//! A memory store that counts its calls and takes time for each, with or without compare-and-set.

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cred_core::{Call, Description, Operation, StorageError, StorageErrorKind, StorageProvider, Wrapper};
use cred_store_memory::MemoryStorageProvider;
use tokio::time::sleep;

use super::memory;

/// A memory store each call of which takes `takes`.
pub(crate) struct Metered {
    inner: MemoryStorageProvider,
    description: Description,
    conditional: bool,
    takes: Duration,
    calls: AtomicUsize,
    in_flight: AtomicUsize,
    pub(crate) most_in_flight: AtomicUsize,
    /// Writes take effect and return `Unavailable`.
    pub(crate) loses_answers: AtomicBool,
    refuses: Mutex<Option<Refusal>>,
}

/// Why a call is refused, by what it does and how many calls came before it.
type Refusal = Box<dyn Fn(Operation, usize) -> Option<StorageErrorKind> + Send>;

impl Metered {
    /// `conditional`: whether it has compare-and-set.
    pub(crate) fn new(conditional: bool, takes: Duration) -> Arc<Self> {
        Arc::new(Self {
            inner: memory(),
            description: Description::new("metered", Duration::from_secs(10))
                .with_in_doubt(Duration::from_secs(30)),
            conditional,
            takes,
            calls: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
            most_in_flight: AtomicUsize::new(0),
            loses_answers: AtomicBool::new(false),
            refuses: Mutex::default(),
        })
    }

    /// Refuses calls from now on, without an effect, where `refusal` gives a reason.
    pub(crate) fn refuse(
        &self,
        refusal: impl Fn(Operation, usize) -> Option<StorageErrorKind> + Send + 'static,
    ) {
        *self.refuses.lock().unwrap() = Some(Box::new(refusal));
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    pub(crate) fn inner(&self) -> &MemoryStorageProvider {
        &self.inner
    }
}

impl Wrapper for Metered {
    fn inner(&self) -> impl Deref<Target: StorageProvider> + Send + Sync {
        &self.inner
    }

    fn description(&self) -> &Description {
        &self.description
    }

    async fn around<T: Send + 'static>(
        &self,
        call: Call<'_>,
        answer: impl Future<Output = Result<T, StorageError>> + Send,
    ) -> Result<T, StorageError> {
        let before = self.calls.fetch_add(1, Ordering::SeqCst);
        let running = self.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_in_flight.fetch_max(running, Ordering::SeqCst);
        if !self.takes.is_zero() {
            sleep(self.takes).await;
        }
        let refused = self.refuses.lock().unwrap().as_ref().and_then(|why| why(call.operation, before));
        let answer = match refused {
            Some(kind) => Err(kind.into()),
            None => answer.await,
        };
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
        if call.operation.is_write() && self.loses_answers.load(Ordering::SeqCst) {
            return Err(StorageError::unavailable("the connection was reset"));
        }
        answer
    }

    fn passes_compare_and_set(&self) -> bool {
        self.conditional
    }
}
