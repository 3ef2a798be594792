//! Keys that are exchanged while the manager runs.
#![cfg(test)]

mod doubles;

use std::num::NonZeroUsize;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cred_core::{
    Call, Consistency, Credential, CredentialContext, CredentialPath, Description, ErrorClass, KeyId,
    SealError, Sealed, StorageError, StorageProvider, Wrapper, Zeroizing,
};
use cred_manager::crypto::{KeyRing, SealingKey};
use cred_manager::{CredentialManager, ManagerError};
use cred_store_memory::MemoryStorageProvider;
use doubles::backend::Backend;
use doubles::metered::Metered;
use doubles::sealer::{Fault, Faulty};
use doubles::{Gated, begun, id, memory, old_and_new, over, text};
use futures_util::future::join_all;
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);

/// A ring of these keys, of which the first one is active.
fn ring(numbers: impl IntoIterator<Item = u8>) -> KeyRing {
    let numbers: Vec<u8> = numbers.into_iter().collect();
    let key = |ring: cred_manager::crypto::KeyRingBuilder, &number: &u8| {
        ring.key(key_id(number), SealingKey::from_bytes(Zeroizing::new([number + 1; 32])))
    };
    numbers.iter().fold(KeyRing::builder(key_id(numbers[0])), key).build().unwrap()
}

fn key_id(number: u8) -> KeyId {
    format!("key-{number}").parse().unwrap()
}

/// The key under which a credential is stored.
async fn key_of(provider: &dyn StorageProvider, path: &str) -> String {
    let path: CredentialPath = path.parse().unwrap();
    let Sealed { data, .. } = provider.retrieve(&path.id, &path.scope.into()).await.unwrap();
    data.key_id.as_str().to_owned()
}

/// A manager with the first key over memory whose writes wait at a gate.
fn gated() -> (Arc<Gated>, CredentialManager) {
    let storage = Gated::new(false);
    (storage.clone(), CredentialManager::builder().storage(storage).keys(ring([0])).build())
}

/// Memory whose writes take up to 20 ms before they take effect.
struct Slow {
    inner: MemoryStorageProvider,
    conditional: bool,
}

impl Wrapper for Slow {
    fn inner(&self) -> impl Deref<Target: StorageProvider> + Send + Sync {
        &self.inner
    }

    fn description(&self) -> &Description {
        self.inner.describe()
    }

    async fn around<T: Send + 'static>(
        &self,
        call: Call<'_>,
        answer: impl Future<Output = Result<T, StorageError>> + Send,
    ) -> Result<T, StorageError> {
        if call.operation.is_write() {
            sleep(Duration::from_millis(fastrand::u64(0..20))).await;
        }
        answer.await
    }

    fn passes_compare_and_set(&self) -> bool {
        self.conditional
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn under_load_a_rekey_after_set_keys_leaves_nothing_under_the_former_keys() {
    const EXCHANGES: u8 = 5;
    for (conditional, ttl) in [(true, 0), (false, 60)] {
        let memory = memory();
        let storage = Slow { inner: memory.clone(), conditional };
        let manager = CredentialManager::builder()
            .storage(storage)
            .keys(ring([0]))
            .cache_ttl(Duration::from_secs(ttl))
            .build();
        let stop = Arc::new(AtomicBool::new(false));
        let writers = (0..64).map(|number| {
            let (manager, stop, id) = (manager.clone(), stop.clone(), id(&format!("{number}")));
            tokio::spawn(async move {
                let mut rounds = 0;
                loop {
                    manager.store(&id, Credential::text(format!("{number}"))).await.unwrap();
                    if stop.load(Ordering::Relaxed) {
                        return rounds;
                    }
                    sleep(Duration::from_millis(30)).await;
                    manager.rotate(&id, Credential::text(format!("{number}"))).await.unwrap();
                    // A re-key does not see a credential that is stored again after its list.
                    manager.delete(&id).await.unwrap();
                    rounds += 1;
                }
            })
        });
        let readers = (0..64).map(|number| {
            let (manager, stop, id) = (manager.clone(), stop.clone(), id(&format!("{number}")));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    if let Some(read) = manager.retrieve(&id).await.unwrap() {
                        assert_eq!(text(&read), format!("{number}"));
                    }
                    sleep(Duration::from_millis(1)).await;
                }
            })
        });
        let (writers, readers): (Vec<_>, Vec<_>) = (writers.collect(), readers.collect());

        for active in 1..=EXCHANGES {
            sleep(Duration::from_millis(50)).await;
            manager.set_keys(ring((0..=active).rev())).await.unwrap();
            // Shorter than the pauses of the writers, which would repair what the re-key missed.
            let report = manager.rekey().concurrency(NonZeroUsize::new(64).unwrap()).await.unwrap();
            assert!(report.is_complete(), "{report:?}");
            for path in memory.list_tree(None, &CredentialContext::unscoped()).await.unwrap() {
                let ctx = path.scope.clone().into();
                // It may be deleted by now.
                let Ok(Sealed { data, .. }) = memory.retrieve(&path.id, &ctx).await else { continue };
                assert_eq!(data.key_id, key_id(active), "{path}, after {report:?}");
            }
        }
        stop.store(true, Ordering::Relaxed);
        for rounds in join_all(writers).await {
            assert!(rounds.unwrap() > 0, "a writer wrote nothing");
        }
        assert!(join_all(readers).await.into_iter().all(|reader| reader.is_ok()));
        manager.set_keys(ring([EXCHANGES])).await.unwrap();
        manager.clear_cache().unwrap();
        for number in 0..64 {
            let read = manager.retrieve(&id(&format!("{number}"))).await.unwrap().unwrap();
            assert_eq!(text(&read), format!("{number}"));
        }
    }
}

#[tokio::test]
async fn an_exchange_waits_for_writes_under_the_former_keys_and_for_no_others() {
    let (storage, manager) = gated();
    let (a, b) = (id("a"), id("b"));
    let store = begun(manager.store(&a, Credential::text("a")));
    storage.until_entered(1).await;
    let exchange = begun(manager.set_keys(ring([1, 0])));
    // Neither writes nor reads wait for the exchange.
    let later = begun(manager.store(&b, Credential::text("b")));
    storage.until_entered(2).await;
    assert!(manager.retrieve(&id("c")).await.unwrap().is_none());
    let exchange = begun(exchange);

    storage.admit(1);
    store.await.unwrap();
    exchange.await.unwrap();
    assert_eq!(key_of(&storage, "a").await, "key-0");
    storage.admit(1);
    later.await.unwrap();
    assert_eq!(key_of(&storage, "b").await, "key-1");
}

#[tokio::test]
async fn set_keys_waits_for_a_write_whose_caller_was_dropped() {
    let (storage, manager) = gated();
    let a = id("a");
    drop(begun(manager.store(&a, Credential::text("a"))));
    storage.until_entered(1).await;
    let exchange = begun(manager.set_keys(ring([1, 0])));
    storage.admit(1);
    exchange.await.unwrap();
    assert_eq!(key_of(&storage, "a").await, "key-0");
}

#[tokio::test]
async fn set_keys_waits_for_a_reseal_under_the_former_keys() {
    let storage = Gated::new(false);
    let before = over(Gated::inner(&storage).clone(), &Arc::new(ring([0])));
    before.store(&id("a"), Credential::text("a")).await.unwrap();
    let manager = CredentialManager::builder().storage(storage.clone()).keys(ring([1, 0])).build();
    let rekey = tokio::spawn({
        let manager = manager.clone();
        async move { manager.rekey().await }
    });
    storage.until_entered(1).await;
    let exchange = begun(manager.set_keys(ring([2, 1, 0])));
    storage.admit(1);
    exchange.await.unwrap();
    assert_eq!(key_of(&storage, "a").await, "key-1");
    // Read back under the new keys, it is resealed under these.
    storage.admit(1);
    assert!(rekey.await.unwrap().unwrap().is_complete());
    assert_eq!(key_of(&storage, "a").await, "key-2");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_exchange_blocks_nothing_and_the_next_one_waits_for_the_rest() {
    let backend = Backend::new(Consistency::Strong);
    let manager = CredentialManager::builder().storage(backend.clone()).keys(ring([0])).build();
    let (a, b) = (id("a"), id("b"));
    let started = Instant::now();
    backend.behave(|behaviour| behaviour.write_takes = 9 * SECOND);
    let first = begun(manager.store(&a, Credential::text("a")));
    sleep(SECOND).await;
    drop(begun(manager.set_keys(ring([1, 0]))));
    backend.behave(|behaviour| behaviour.write_takes = 5 * SECOND);
    let second = begun(manager.store(&b, Credential::text("b")));
    sleep(SECOND).await;

    // The write under the oldest keys takes longer.
    manager.set_keys(ring([2, 1, 0])).await.unwrap();
    assert_eq!(started.elapsed(), 9 * SECOND);
    first.await.unwrap();
    second.await.unwrap();
    let keys = [key_of(&backend, "a").await, key_of(&backend, "b").await];
    assert_eq!(keys, ["key-0", "key-1"], "the keys were exchanged at the first poll");
    manager.set_keys(ring([3, 2, 1, 0])).await.unwrap();
    assert_eq!(started.elapsed(), 9 * SECOND, "nothing was left to wait for");
}

#[tokio::test(start_paused = true)]
async fn a_write_that_is_not_polled_delays_an_exchange_for_a_limited_time() {
    let storage = Metered::new(true, Duration::ZERO);
    let stalls = Faulty::new(Fault::Stalls);
    let manager = CredentialManager::builder().storage(storage).keys(stalls).build();
    let (a, b) = (id("a"), id("b"));
    let kept = begun(manager.store(&a, Credential::text("a")));
    let started = Instant::now();
    let error = manager.set_keys(ring([1])).await.unwrap_err();
    assert!(matches!(error, ManagerError::FormerKeysInUse { .. }), "{error}");
    assert_eq!((error.is_transient(), error.class()), (true, ErrorClass::Transient));
    // Four calls of at most 11 s and two margins of 1 s.
    assert_eq!(started.elapsed(), 46 * SECOND);
    manager.store(&b, Credential::text("b")).await.unwrap();
    drop(kept);
    manager.set_keys(ring([2, 1])).await.unwrap();
    assert_eq!(started.elapsed(), 46 * SECOND);
}

#[tokio::test]
async fn a_shutdown_ends_the_wait_of_an_exchange() {
    let (storage, manager) = gated();
    let a = id("a");
    let store = begun(manager.store(&a, Credential::text("a")));
    storage.until_entered(1).await;
    let exchange = begun(manager.set_keys(ring([1, 0])));
    let shutdown = begun(manager.shutdown());
    assert!(matches!(exchange.await, Err(ManagerError::ShutDown)));
    storage.admit(1);
    store.await.unwrap();
    shutdown.await.unwrap();
    assert!(matches!(manager.set_keys(ring([1, 0])).await, Err(ManagerError::ShutDown)));
}

#[tokio::test]
async fn only_the_root_exchanges_keys_and_for_every_handle() {
    let provider = memory();
    let manager = CredentialManager::builder().storage(provider.clone()).keys(ring([0])).build();
    let tenant = manager.scoped("org:a".parse().unwrap()).unwrap();
    let refused = tenant.set_keys(ring([1])).await.unwrap_err();
    assert!(matches!(refused, ManagerError::RootOnly { operation: "set_keys", .. }), "{refused}");
    tenant.store(&id("a"), Credential::text("x")).await.unwrap();
    assert_eq!(key_of(&provider, "org:a/a").await, "key-0", "it was refused");

    manager.clone().set_keys(ring([1, 0])).await.unwrap();
    tenant.store(&id("a"), Credential::text("x")).await.unwrap();
    assert_eq!(key_of(&provider, "org:a/a").await, "key-1");
}

#[tokio::test]
async fn cached_credentials_stay_when_keys_are_exchanged() {
    let ttl = Duration::from_secs(3_600);
    let builder = CredentialManager::builder().storage(memory()).cache_ttl(ttl);
    let manager = builder.keys(ring([0])).build();
    manager.store(&id("a"), Credential::text("x")).await.unwrap();
    manager.retrieve(&id("a")).await.unwrap().unwrap();
    manager.set_keys(ring([1])).await.unwrap();
    assert_eq!(text(&manager.retrieve(&id("a")).await.unwrap().unwrap()), "x");
    manager.clear_cache().unwrap();
    let error = manager.retrieve(&id("a")).await.unwrap_err();
    assert!(matches!(error, ManagerError::Seal(SealError::UnknownKey { .. })), "{error}");
}

/// A manager with the new keys. Its uncertain write under the former keys takes effect in 20 s.
async fn after_an_uncertain_write(is_stored: bool) -> (Arc<Backend>, CredentialManager) {
    let (old, new) = old_and_new();
    let backend = Backend::new(Consistency::Strong);
    let manager = over(backend.clone(), &old);
    if is_stored {
        manager.store(&id("a"), Credential::text("first")).await.unwrap();
    }
    backend.behave(|behaviour| behaviour.writes_land_late = Some(20 * SECOND));
    let error = manager.store(&id("a"), Credential::text("late")).await.unwrap_err();
    assert!(error.may_have_written(), "{error}");
    backend.behave(|behaviour| behaviour.writes_land_late = None);
    manager.set_keys(new).await.unwrap();
    (backend, manager)
}

#[tokio::test(start_paused = true)]
async fn a_rekey_waits_for_an_uncertain_write_of_the_former_keys() {
    let (backend, manager) = after_an_uncertain_write(true).await;
    assert!(manager.rekey().await.unwrap().is_complete());
    assert_eq!(text(&manager.retrieve(&id("a")).await.unwrap().unwrap()), "late");
    assert_eq!(key_of(&backend, "a").await, "new");
}

#[tokio::test(start_paused = true)]
async fn a_rekey_is_run_again_for_an_uncertain_write_that_was_not_listed() {
    let (backend, manager) = after_an_uncertain_write(false).await;
    assert_eq!(manager.rekey().await.unwrap().found, 0);
    // For as long as it may still take effect.
    sleep(30 * SECOND).await;
    assert_eq!(key_of(&backend, "a").await, "old");
    assert!(manager.rekey().await.unwrap().is_complete());
    assert_eq!(key_of(&backend, "a").await, "new");
}
