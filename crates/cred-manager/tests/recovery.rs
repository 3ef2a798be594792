//! Recovery, purging and lists of deleted credentials.
#![cfg(test)]

mod doubles;

use std::any::Any;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cred_core::{
    Call, Consistency, Credential, CredentialId, Description, StorageError, StorageErrorKind,
    StorageProvider, Wrapper,
};
use cred_manager::{CredentialManager, ManagerError};
use cred_store_memory::{MemoryStorageConfig, MemoryStorageProvider};
use doubles::backend::Backend;
use doubles::{begun, id, keys, over, text};
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);
const LAG: Duration = Duration::from_secs(3);
const IN_DOUBT: Duration = Duration::from_secs(5);

/// Memory that keeps deleted credentials, without compare-and-set.
struct Soft {
    inner: MemoryStorageProvider,
    description: Description,
    reads: AtomicUsize,
    /// How long a read takes after it has seen the stored value.
    read_takes: Mutex<Duration>,
    /// How long a write takes before it has its effect.
    write_takes: Mutex<Duration>,
    /// Writes take effect and return `Unavailable`.
    loses_answers: AtomicBool,
    running: AtomicUsize,
}

impl Soft {
    fn new(consistency: Consistency) -> Arc<Self> {
        let config = MemoryStorageConfig::default().with_soft_delete(true);
        Arc::new(Self {
            inner: MemoryStorageProvider::new(config).unwrap(),
            description: Description::new("soft", 10 * SECOND)
                .with_consistency(consistency)
                .with_in_doubt(IN_DOUBT),
            reads: AtomicUsize::new(0),
            read_takes: Mutex::default(),
            write_takes: Mutex::default(),
            loses_answers: AtomicBool::new(false),
            running: AtomicUsize::new(0),
        })
    }

    fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }
}

impl Wrapper for Soft {
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
        if !call.operation.is_write() {
            self.reads.fetch_add(1, Ordering::SeqCst);
            let mut answer = answer.await;
            // No order of a list is promised.
            let ids = (&mut answer as &mut dyn Any).downcast_mut::<Result<Vec<CredentialId>, StorageError>>();
            if let Some(Ok(ids)) = ids {
                ids.reverse();
            }
            let takes = *self.read_takes.lock().unwrap();
            sleep(takes).await;
            return answer;
        }
        assert_eq!(self.running.fetch_add(1, Ordering::SeqCst), 0, "two writes at once");
        let takes = *self.write_takes.lock().unwrap();
        sleep(takes).await;
        let answer = answer.await;
        self.running.fetch_sub(1, Ordering::SeqCst);
        match self.loses_answers.load(Ordering::SeqCst) {
            true => Err(StorageError::unavailable("the connection was reset")),
            false => answer,
        }
    }

    fn passes_compare_and_set(&self) -> bool {
        false
    }
}

/// A manager over it that caches for an hour.
fn cached(soft: &Arc<Soft>) -> CredentialManager {
    let ttl = Duration::from_secs(3_600);
    CredentialManager::builder().storage(soft.clone()).keys(keys()).cache_ttl(ttl).build()
}

/// A manager, and `a` with this value deleted through it, long ago.
async fn deleted(consistency: Consistency) -> (Arc<Soft>, CredentialManager) {
    let soft = Soft::new(consistency);
    let manager = cached(&soft);
    manager.store(&id("a"), Credential::text("1")).await.unwrap();
    manager.delete(&id("a")).await.unwrap();
    sleep(60 * SECOND).await;
    (soft, manager)
}

async fn value(manager: &CredentialManager) -> Option<String> {
    let credential = manager.retrieve(&id("a")).await.unwrap()?;
    Some(text(&credential).to_owned())
}

fn kind(error: &ManagerError) -> &StorageErrorKind {
    let ManagerError::Storage(error) = error else { panic!("{error}") };
    error.kind()
}

#[tokio::test(start_paused = true)]
async fn a_recovered_credential_is_unchanged_and_a_purge_is_final() {
    let manager = over(Soft::new(Consistency::Strong), &keys());
    let a = id("a");
    manager.store(&a, Credential::text("1").with_tag("env", "prod").unwrap()).await.unwrap();
    manager.rotate(&a, Credential::text("2").with_tag("env", "prod").unwrap()).await.unwrap();
    let stored = manager.retrieve(&a).await.unwrap().unwrap();
    manager.delete(&a).await.unwrap();
    assert_eq!(manager.list_deleted().await.unwrap(), [id("a")]);
    manager.recover(&a).await.unwrap();
    let back = manager.retrieve(&a).await.unwrap().unwrap();
    assert_eq!((&back, back.lifecycle()), (&stored, stored.lifecycle()));
    assert!(manager.list_deleted().await.unwrap().is_empty());

    for name in ["a", "never-stored"] {
        let error = manager.recover(&id(name)).await.unwrap_err();
        assert_eq!(kind(&error), &StorageErrorKind::NotFound);
    }
    manager.purge(&a).await.unwrap();
    assert!(manager.retrieve(&a).await.unwrap().is_some(), "it was not deleted");
    manager.delete(&a).await.unwrap();
    manager.purge(&a).await.unwrap();
    manager.purge(&a).await.unwrap();
    assert!(manager.list_deleted().await.unwrap().is_empty());
    assert_eq!(kind(&manager.recover(&a).await.unwrap_err()), &StorageErrorKind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn a_handle_reaches_deleted_credentials_of_its_scope() {
    let root = over(Soft::new(Consistency::Strong), &keys());
    let [org, team] = ["org:a", "org:a/team:x"].map(|scope| root.scoped(scope.parse().unwrap()).unwrap());
    for handle in [&root, &org, &team] {
        for name in ["z", "b", "a"] {
            handle.store(&id(name), Credential::text("1")).await.unwrap();
            handle.delete(&id(name)).await.unwrap();
        }
    }
    org.recover(&id("a")).await.unwrap();
    team.purge(&id("b")).await.unwrap();
    let names = |names: &[&str]| names.iter().copied().map(id).collect::<Vec<_>>();
    assert_eq!(root.list_deleted().await.unwrap(), names(&["a", "b", "z"]), "sorted");
    assert_eq!(org.list_deleted().await.unwrap(), names(&["b", "z"]));
    assert_eq!(team.list_deleted().await.unwrap(), names(&["a", "z"]));
    assert!(org.retrieve(&id("a")).await.unwrap().is_some());
    assert!(root.retrieve(&id("a")).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn without_recovery_the_operations_are_unsupported() {
    let backend = Backend::new(Consistency::Strong);
    let manager = over(backend.clone(), &keys());
    manager.store(&id("a"), Credential::text("1")).await.unwrap();
    // Not even the write lock is waited for.
    backend.behave(|behaviour| behaviour.write_takes = 5 * SECOND);
    let a = id("a");
    let store = begun(manager.store(&a, Credential::text("2")));
    let started = Instant::now();
    for error in [
        manager.recover(&a).await.unwrap_err(),
        manager.purge(&a).await.unwrap_err(),
        manager.list_deleted().await.map(drop).unwrap_err(),
    ] {
        assert!(matches!(kind(&error), StorageErrorKind::Unsupported { .. }), "{error}");
        assert!(
            error.to_string().contains("in backend: this is not supported: this backend keeps no deleted")
        );
        assert!(!error.may_have_written());
    }
    assert_eq!(started.elapsed(), Duration::ZERO);
    store.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn after_a_recovery_no_read_returns_an_earlier_result() {
    // Another process has replaced and deleted the cached credential.
    let (soft, manager) = deleted(Consistency::Strong).await;
    manager.store(&id("a"), Credential::text("1")).await.unwrap();
    assert_eq!(value(&manager).await.as_deref(), Some("1"));
    let ctx = cred_core::CredentialContext::unscoped();
    soft.delete(&id("a"), &ctx).await.unwrap();
    assert_eq!(value(&manager).await.as_deref(), Some("1"), "it is cached");
    let before = soft.reads();
    manager.recover(&id("a")).await.unwrap();
    assert_eq!(value(&manager).await.as_deref(), Some("1"));
    assert_eq!(soft.reads(), before + 1);

    // A load that began before it, and has seen the deletion.
    let (soft, manager) = deleted(Consistency::Strong).await;
    *soft.read_takes.lock().unwrap() = 5 * SECOND;
    let a = id("a");
    let early = begun(manager.retrieve(&a));
    sleep(SECOND).await;
    manager.recover(&a).await.unwrap();
    assert_eq!(value(&manager).await.as_deref(), Some("1"));
    assert!(early.await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_read_before_a_recovery_must_be_visible_is_not_cached() {
    let (soft, manager) = deleted(Consistency::Eventual { point: LAG, list: LAG }).await;
    manager.recover(&id("a")).await.unwrap();
    let before = soft.reads();
    for _ in 0..2 {
        assert_eq!(value(&manager).await.as_deref(), Some("1"));
    }
    assert_eq!(soft.reads(), before + 2);
    sleep(LAG + SECOND).await;
    for _ in 0..2 {
        assert_eq!(value(&manager).await.as_deref(), Some("1"));
    }
    assert_eq!(soft.reads(), before + 3);
}

#[tokio::test(start_paused = true)]
async fn a_purge_and_a_recovery_wait_until_earlier_writes_are_visible() {
    for purge in [false, true] {
        let (_, manager) = deleted(Consistency::Eventual { point: LAG, list: LAG }).await;
        let a = id("a");
        manager.store(&a, Credential::text("2")).await.unwrap();
        manager.delete(&a).await.unwrap();
        let started = Instant::now();
        match purge {
            true => manager.purge(&a).await.unwrap(),
            false => manager.recover(&a).await.unwrap(),
        }
        assert!(started.elapsed() + SECOND > LAG, "a lagging look decided: {:?}", started.elapsed());
    }

    // As AWS: longer than any answer may take.
    let point = Duration::from_secs(300);
    let (_, manager) = deleted(Consistency::Eventual { point, list: point }).await;
    let a = id("a");
    for error in [manager.purge(&a).await.unwrap_err(), manager.recover(&a).await.unwrap_err()] {
        assert!(matches!(kind(&error), StorageErrorKind::Busy { .. }), "{error}");
        assert!(error.retry_after().is_some_and(|pause| pause > 200 * SECOND), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_recovery_and_a_purge_without_a_response_are_uncertain_writes() {
    for purge in [false, true] {
        let (soft, manager) = deleted(Consistency::Strong).await;
        let a = id("a");
        if purge {
            manager.store(&a, Credential::text("1")).await.unwrap();
        }
        soft.loses_answers.store(true, Ordering::SeqCst);
        let error = match purge {
            true => manager.purge(&a).await.unwrap_err(),
            false => manager.recover(&a).await.unwrap_err(),
        };
        assert!(error.may_have_written(), "{error}");
        soft.loses_answers.store(false, Ordering::SeqCst);
        let before = soft.reads();
        for _ in 0..2 {
            assert_eq!(value(&manager).await.as_deref(), Some("1"));
        }
        assert_eq!(soft.reads(), before + 2, "it is cached while the write may still take effect");
        let started = Instant::now();
        assert_eq!(manager.rotate(&a, Credential::text("2")).await.unwrap().version, 2);
        assert_eq!(started.elapsed().as_secs(), IN_DOUBT.as_secs(), "it did not wait");
        sleep(SECOND).await;
        let before = soft.reads();
        for _ in 0..2 {
            assert_eq!(value(&manager).await.as_deref(), Some("2"));
        }
        assert_eq!(soft.reads(), before + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_recovery_has_the_write_lock_and_outlives_its_caller() {
    let (soft, manager) = deleted(Consistency::Strong).await;
    *soft.write_takes.lock().unwrap() = SECOND;
    let a = id("a");
    let recover = begun(manager.recover(&a));
    tokio::task::yield_now().await;
    drop(recover);
    let started = Instant::now();
    manager.purge(&a).await.unwrap();
    assert!(started.elapsed() >= 2 * SECOND, "{:?}", started.elapsed());
    assert_eq!(value(&manager).await.as_deref(), Some("1"), "it was recovered first, and not purged then");
    manager.delete(&a).await.unwrap();
    let (recovered, stored) = tokio::join!(manager.recover(&a), manager.store(&a, Credential::text("2")));
    recovered.and(stored).unwrap();
    assert_eq!(value(&manager).await.as_deref(), Some("2"));
}

#[tokio::test(start_paused = true)]
async fn a_manager_that_was_shut_down_recovers_nothing() {
    let (_, manager) = deleted(Consistency::Strong).await;
    manager.shutdown().await.unwrap();
    for error in [
        manager.recover(&id("a")).await.unwrap_err(),
        manager.purge(&id("a")).await.unwrap_err(),
        manager.list_deleted().await.map(drop).unwrap_err(),
    ] {
        assert!(matches!(error, ManagerError::ShutDown), "{error}");
    }
}
