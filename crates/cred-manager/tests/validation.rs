//! Validation of many credentials: as few calls as in a batch of reads, and the results of single
//! validations.
#![cfg(test)]

mod doubles;

use std::num::NonZeroUsize;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cred_core::{
    Call, Consistency, Credential, CredentialContext, CredentialId, Description, FormatProblem, Operation,
    RotationPolicy, Sealed, Sealer, StorageError, StorageErrorKind, StorageProvider, Timestamp, Wrapper,
    field,
};
use cred_manager::{CredentialManager, Finding, ManagerError, ValidationResult};
use cred_store_memory::MemoryStorageProvider;
use doubles::backend::Backend;
use doubles::sealer::{Fault, Faulty};
use doubles::{id, keys, memory, results};
use tokio::time::Instant;

const TTL: Duration = Duration::from_secs(60);

/// A manager that validates 4 batches at once, and caches.
fn over(storage: Arc<dyn StorageProvider>, keys: Arc<dyn Sealer>) -> CredentialManager {
    let builder = CredentialManager::builder().storage(storage).keys(keys).cache_ttl(TTL);
    builder.batch_concurrency(NonZeroUsize::new(4).unwrap()).build()
}

fn ids(names: impl IntoIterator<Item = u32>) -> Vec<CredentialId> {
    names.into_iter().map(|name| id(&name.to_string())).collect()
}

/// A manager over a backend that reads 20 credentials by one call and has `count` of them.
async fn filled(count: u32, sealer: Arc<dyn Sealer>) -> (Arc<Backend>, CredentialManager) {
    let backend = Backend::with_batch(Consistency::Strong, 20);
    let manager = over(backend.clone(), sealer);
    let items = ids(0..count).into_iter().map(|id| (id, Credential::text("x"))).collect();
    assert!(results(manager.store_batch(items).await).iter().all(Result::is_ok));
    (backend, manager)
}

fn all_valid(found: &[ValidationResult]) -> bool {
    found.iter().all(|found| matches!(found, ValidationResult::Valid))
}

#[tokio::test(start_paused = true)]
async fn a_thousand_validations_are_fifty_calls() {
    let (backend, manager) = filled(1_000, keys()).await;
    backend.most_in_flight.store(0, Ordering::SeqCst);
    backend.behave(|behaviour| behaviour.read_takes = Duration::from_millis(10));
    let started = Instant::now();
    let found = results(manager.validate_batch(&ids((0..1_000).chain([7, 7]))).await);
    assert_eq!(found.len(), 1_002);
    assert!(all_valid(&found), "{found:?}");
    assert_eq!((backend.batches.load(Ordering::SeqCst), backend.reads()), (50, 0));
    assert_eq!(backend.most_in_flight.load(Ordering::SeqCst), 4);
    assert_eq!(started.elapsed(), Duration::from_millis(13 * 200), "50 calls, 4 at once");
    let stats = manager.cache_stats().unwrap();
    assert_eq!((stats.size, stats.loads, stats.misses), (0, 0, 0), "validation does not use the cache");
}

#[tokio::test(start_paused = true)]
async fn a_tree_is_validated_by_one_list_and_the_calls_of_each_scope() {
    for batch in [1, 20] {
        let backend = Backend::with_batch(Consistency::Strong, batch);
        let root = over(backend.clone(), keys());
        for scope in ["org:a", "org:a/team:x", "org:ab"] {
            let handle = root.scoped(scope.parse().unwrap()).unwrap();
            let items = ids(0..30).into_iter().map(|id| (id, Credential::text("x"))).collect();
            assert!(results(handle.store_batch(items).await).iter().all(Result::is_ok));
        }
        let expired = Credential::text("x").with_expires_at(Timestamp::from_unix_millis(5));
        root.store(&id("free"), expired).await.unwrap();
        backend.behave(|behaviour| behaviour.read_takes = Duration::from_millis(10));
        backend.most_in_flight.store(0, Ordering::SeqCst);

        let org = root.scoped("org:a".parse().unwrap()).unwrap();
        let found = org.validate_tree().await.unwrap();
        let paths: Vec<_> = found.iter().map(|one| one.path.clone()).collect();
        assert_eq!(paths, org.list_tree().await.unwrap());
        assert!(found.iter().all(|one| matches!(one.result, ValidationResult::Valid)), "{found:?}");
        let calls = if batch == 1 { backend.reads() } else { backend.batches.load(Ordering::SeqCst) };
        assert_eq!(calls, if batch == 1 { 60 } else { 4 });
        assert_eq!(backend.most_in_flight.load(Ordering::SeqCst), 4);

        let all = root.validate_tree().await.unwrap();
        assert_eq!(all.len(), 91);
        let expired: Vec<_> = all.iter().filter(|one| !one.result.is_usable()).collect();
        assert!(
            matches!(expired.as_slice(), [one] if one.path.to_string() == "free"
                && matches!(one.result.findings(), [Finding::Expired { .. }])),
            "{expired:?}"
        );
        backend.behave(|behaviour| behaviour.reads_fail = true);
        let failed = root.validate_tree().await.unwrap();
        assert!(failed.iter().all(|one| matches!(one.result, ValidationResult::LookupFailed { .. })));
        root.shutdown().await.unwrap();
        assert!(matches!(root.validate_tree().await, Err(ManagerError::ShutDown)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_without_batches_is_validated_one_by_one() {
    let backend = Backend::new(Consistency::Strong);
    let manager = over(backend.clone(), keys());
    let found = results(manager.validate_batch(&ids(0..10)).await);
    assert!(found.iter().all(|found| matches!(found, ValidationResult::NotFound)), "{found:?}");
    assert_eq!((backend.batches.load(Ordering::SeqCst), backend.reads()), (0, 10));
}

#[tokio::test(start_paused = true)]
async fn cached_credentials_are_validated_from_the_provider() {
    let (backend, manager) = filled(3, keys()).await;
    assert!(results(manager.retrieve_batch(&ids(0..3)).await).iter().all(Result::is_ok));
    assert_eq!(manager.cache_stats().unwrap().size, 3);
    // Another process deletes one.
    backend.delete(&id("1"), &CredentialContext::unscoped()).await.unwrap();
    let found = results(manager.validate_batch(&ids(0..3)).await);
    assert!(
        matches!(
            found.as_slice(),
            [ValidationResult::Valid, ValidationResult::NotFound, ValidationResult::Valid]
        ),
        "{found:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_failed_call_is_a_failed_lookup_for_each_of_its_items() {
    let (backend, manager) = filled(25, keys()).await;
    let failed = |found: &ValidationResult, message: &str| match found {
        ValidationResult::LookupFailed { error } => error.to_string().contains(message),
        _ => false,
    };
    backend.behave(|behaviour| behaviour.read_takes = Duration::from_secs(1));
    let found = results(manager.validate_batch(&ids(0..25)).await);
    let (in_time, late): (Vec<_>, Vec<_>) = found.iter().partition(|found| found.is_usable());
    assert_eq!((late.len(), in_time.len()), (20, 5), "20 s are too long for one call, 5 s are not");
    assert!(late.iter().all(|found| failed(found, "did not respond")), "{late:?}");

    backend.behave(|behaviour| {
        behaviour.read_takes = Duration::ZERO;
        behaviour.one_answer_is_missing = true;
    });
    let found = results(manager.validate_batch(&ids(0..25)).await);
    assert!(found.iter().all(|found| failed(found, "exactly one answer for each id")), "{found:?}");
    let read = results(manager.retrieve_batch(&ids(0..25)).await);
    assert!(read.iter().all(Result::is_err), "an absence may be that of another id: {read:?}");

    manager.shutdown().await.unwrap();
    let found = results(manager.validate_batch(&ids(0..25)).await);
    let closed = |found| matches!(found, &ValidationResult::LookupFailed { error: ManagerError::ShutDown });
    assert!(found.iter().all(closed), "{found:?}");
}

#[tokio::test(start_paused = true)]
async fn credentials_that_the_sealer_is_too_busy_for_are_validated_after_the_others() {
    let (_, manager) = filled(15, Faulty::new(Fault::IsBusyBeyond(8))).await;
    let found = results(manager.validate_batch(&ids(0..15)).await);
    assert!(all_valid(&found), "{found:?}");
}

/// Memory in which the reads of two ids fail. Counts the ids that are read by calls of many.
struct Spoiled {
    inner: MemoryStorageProvider,
    description: Description,
    read_as_many: AtomicUsize,
}

impl Spoiled {
    fn new(inner: MemoryStorageProvider, batch: usize) -> Arc<Self> {
        let description = Description::new("spoiled", Duration::from_secs(10))
            .with_batch(NonZeroUsize::new(batch).unwrap());
        Arc::new(Self { inner, description, read_as_many: AtomicUsize::new(0) })
    }
}

impl Wrapper for Spoiled {
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
        if call.operation == Operation::RetrieveMany {
            self.read_as_many.fetch_add(1, Ordering::SeqCst);
        }
        match call.path().map(|path| path.id.as_str()) {
            Some("corrupted") => Err(StorageErrorKind::Corrupted { reason: "not canonical".into() }.into()),
            Some("down") => Err(StorageError::unavailable("the connection was reset")),
            _ => answer.await,
        }
    }

    fn splits_many(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn a_batch_finds_what_single_validations_find() {
    let (inner, keys) = (memory(), keys());
    let writer = over(Arc::new(inner.clone()), keys.clone());
    let now = Timestamp::now();
    let days = |days: u64| Duration::from_secs(days * 86_400);
    for (name, credential) in [
        ("valid", Credential::text("x")),
        ("soon", Credential::text("x").with_expires_at(now.saturating_add(days(3)))),
        ("expired", Credential::text("x").with_expires_at(now.saturating_sub(days(1)))),
        ("due", Credential::text("x").with_rotation(RotationPolicy::periodic(Duration::ZERO))),
        ("empty", Credential::api_key("")),
    ] {
        writer.store(&id(name), credential).await.unwrap();
    }
    // An envelope that was moved does not open.
    let root = CredentialContext::unscoped();
    let Sealed { data, metadata } = inner.retrieve(&id("valid"), &root).await.unwrap();
    inner.store(&id("moved"), data, metadata, &root).await.unwrap();

    let names = ["valid", "soon", "expired", "due", "empty", "moved", "corrupted", "down", "absent", "valid"];
    for batch in [1, 3, 20] {
        let spoiled = Spoiled::new(inner.clone(), batch);
        let manager = over(spoiled.clone(), keys.clone());
        let found = results(manager.validate_batch(&names.map(id)).await);
        let read_as_many = spoiled.read_as_many.load(Ordering::SeqCst);
        assert_eq!(read_as_many, if batch == 1 { 0 } else { 9 }, "batch {batch}");
        for (name, found) in names.iter().zip(&found) {
            let alone = manager.validate(&id(name)).await;
            let alone = alone.unwrap_or_else(|error| ValidationResult::LookupFailed { error });
            assert_eq!(state(found), state(&alone), "{name}, batch {batch}");
        }
        let findings: Vec<_> = found.iter().map(ValidationResult::findings).collect();
        let problem = FormatProblem::Empty { field: field::VALUE };
        assert!(
            matches!(
                findings.as_slice(),
                [
                    [],
                    [Finding::ExpiringSoon { .. }],
                    [Finding::Expired { .. }],
                    [Finding::RotationDue { .. }],
                    [Finding::Malformed { problem: found }],
                    [],
                    [],
                    [],
                    [],
                    [],
                ] if *found == problem
            ),
            "batch {batch}: {found:#?}"
        );
        assert!(
            matches!(
                found.as_slice(),
                [
                    ValidationResult::Valid,
                    ValidationResult::NeedsAttention { .. },
                    ValidationResult::NeedsAttention { .. },
                    ValidationResult::NeedsAttention { .. },
                    ValidationResult::NeedsAttention { .. },
                    ValidationResult::Unreadable { error: ManagerError::Seal(_) },
                    ValidationResult::Unreadable { error: ManagerError::Storage(_) },
                    ValidationResult::LookupFailed { error: ManagerError::Storage(_) },
                    ValidationResult::NotFound,
                    ValidationResult::Valid,
                ]
            ),
            "batch {batch}: {found:#?}"
        );
    }
    // A key service that refuses is not a fault of the credential.
    let refused = over(Spoiled::new(inner, 20), Faulty::new(Fault::Refuses));
    let found = results(refused.validate_batch(&[id("valid"), id("absent")]).await);
    assert!(
        matches!(found.as_slice(), [ValidationResult::LookupFailed { .. }, ValidationResult::NotFound]),
        "{found:?}"
    );
}

/// A result without the operation that its error names.
fn state(found: &ValidationResult) -> String {
    match found {
        ValidationResult::Unreadable { error: ManagerError::Storage(error) } => {
            format!("unreadable: {:?}", error.kind())
        }
        ValidationResult::LookupFailed { error: ManagerError::Storage(error) } => {
            format!("failed: {:?}", error.kind())
        }
        other => format!("{other:?}"),
    }
}
