//! Providers and sealers that behave badly on demand.
#![allow(dead_code, reason = "each test program uses some of it")]

pub(crate) mod backend;
pub(crate) mod metered;
pub(crate) mod sealer;

use std::num::NonZeroUsize;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cred_core::{
    Call, Consistency, Credential, Description, Sealer, StorageError, StorageProvider, Wrapper, field,
};
use cred_manager::crypto::{KeyRing, SealingKey};
use cred_manager::{BatchItem, CredentialManager};
use cred_store_memory::{MemoryStorageConfig, MemoryStorageProvider};
pub(crate) use cred_testing::value::id;
use futures_util::FutureExt as _;
use tokio::sync::Semaphore;

use self::backend::Backend;
use self::metered::Metered;

pub(crate) fn memory() -> MemoryStorageProvider {
    MemoryStorageProvider::new(MemoryStorageConfig::default()).unwrap()
}

pub(crate) fn keys() -> Arc<KeyRing> {
    Arc::new(KeyRing::generate("main".parse().unwrap()).unwrap())
}

pub(crate) fn manager(provider: impl StorageProvider + 'static) -> CredentialManager {
    CredentialManager::builder().storage(provider).keys(keys()).build()
}

/// The key ring before and after a change of the active key.
pub(crate) fn old_and_new() -> (Arc<KeyRing>, Arc<KeyRing>) {
    let raw = |byte: u8| SealingKey::from_bytes(cred_core::Zeroizing::new([byte; 32]));
    let (old_id, new_id) = ("old".parse().unwrap(), "new".parse::<cred_core::KeyId>().unwrap());
    let old = KeyRing::builder(cred_core::KeyId::clone(&old_id)).key(old_id.clone(), raw(1)).build().unwrap();
    let new = KeyRing::builder(new_id.clone()).key(new_id, raw(2)).key(old_id, raw(1)).build().unwrap();
    (Arc::new(old), Arc::new(new))
}

/// A backend with a lag of five seconds and no compare-and-set.
pub(crate) fn lagging() -> Arc<Backend> {
    let lag = Duration::from_secs(5);
    let backend = Backend::new(Consistency::Eventual { point: lag, list: lag });
    backend.behave(|behaviour| behaviour.lag = lag);
    backend
}

/// A manager over `storage` that caches nothing.
pub(crate) fn over(storage: impl StorageProvider + 'static, keys: &Arc<KeyRing>) -> CredentialManager {
    CredentialManager::builder().storage(storage).keys(keys.clone()).build()
}

/// A store with `count` credentials under the old key, each call of which takes `takes`, and the
/// ring whose active key is the new one.
pub(crate) async fn filled(conditional: bool, takes: Duration, count: usize) -> (Arc<Metered>, Arc<KeyRing>) {
    let (old, new) = old_and_new();
    let provider = Metered::new(conditional, takes);
    let before = over(Metered::inner(&provider).clone(), &old);
    for name in 0..count {
        before.store(&id(&format!("{name:04}")), Credential::text("x")).await.unwrap();
    }
    (provider, new)
}

/// A manager that works on at most `limit` credentials of a batch at once.
pub(crate) fn with_concurrency(
    storage: Arc<dyn StorageProvider>,
    keys: Arc<dyn Sealer>,
    limit: usize,
) -> CredentialManager {
    let limit = NonZeroUsize::new(limit).unwrap();
    CredentialManager::builder().storage(storage).keys(keys).batch_concurrency(limit).build()
}

pub(crate) fn text(credential: &Credential) -> &str {
    credential.expose_text(field::VALUE).unwrap()
}

/// A manager over memory that caches for an hour.
pub(crate) fn cached() -> CredentialManager {
    let ttl = Duration::from_secs(3_600);
    CredentialManager::builder().storage(memory()).keys(keys()).cache_ttl(ttl).build()
}

/// The results of a batch without their ids.
pub(crate) fn results<T>(items: Vec<BatchItem<T>>) -> Vec<T> {
    items.into_iter().map(|item| item.result).collect()
}

/// A future that was polled once and has not ended.
pub(crate) fn begun<F: Future>(future: F) -> Pin<Box<F>> {
    let mut future = Box::pin(future);
    assert!((&mut future).now_or_never().is_none(), "it ended at once");
    future
}

/// The behaviour of a write once it was let through.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Then {
    Answer,
    Panic,
    LoseTheAnswer,
}

/// Memory whose writes wait at a gate. Counts the writes that arrive.
pub(crate) struct Gated {
    inner: MemoryStorageProvider,
    description: Description,
    gate: Semaphore,
    pub(crate) then: Mutex<Then>,
    pub(crate) entered: AtomicUsize,
    pub(crate) running: AtomicUsize,
    pub(crate) most_running: AtomicUsize,
    pub(crate) shut_down: AtomicBool,
}

impl Gated {
    pub(crate) fn new(open: bool) -> Arc<Self> {
        Arc::new(Self {
            inner: memory(),
            description: Description::new("gated", Duration::from_secs(10))
                .with_consistency(Consistency::Strong),
            gate: Semaphore::new(if open { Semaphore::MAX_PERMITS } else { 0 }),
            then: Mutex::new(Then::Answer),
            entered: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
            most_running: AtomicUsize::new(0),
            shut_down: AtomicBool::new(false),
        })
    }

    /// Lets `count` writes through.
    pub(crate) fn admit(&self, count: usize) {
        self.gate.add_permits(count);
    }

    pub(crate) fn inner(&self) -> &MemoryStorageProvider {
        &self.inner
    }

    /// Yields until `count` writes have arrived.
    pub(crate) async fn until_entered(&self, count: usize) {
        while self.entered.load(Ordering::SeqCst) < count {
            tokio::task::yield_now().await;
        }
    }

    async fn write<T>(&self, effect: impl Future<Output = T> + Send) -> T {
        self.entered.fetch_add(1, Ordering::SeqCst);
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_running.fetch_max(running, Ordering::SeqCst);
        self.gate.acquire().await.unwrap().forget();
        let answer = effect.await;
        self.running.fetch_sub(1, Ordering::SeqCst);
        let then = *self.then.lock().unwrap();
        match then {
            Then::Answer => answer,
            Then::Panic => panic!("as a defective provider might"),
            Then::LoseTheAnswer => std::future::pending().await,
        }
    }
}

impl Wrapper for Gated {
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
        if call.operation.is_write() { self.write(answer).await } else { answer.await }
    }

    fn passes_compare_and_set(&self) -> bool {
        false
    }

    async fn close(&self) {
        assert_eq!(self.running.load(Ordering::SeqCst), 0, "shut down while a write was running");
        self.shut_down.store(true, Ordering::SeqCst);
    }
}
