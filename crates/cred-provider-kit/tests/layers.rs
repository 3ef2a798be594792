//! Wrappers fulfil the contract if they refuse nothing, refuse the documented operations, and
//! neither hide nor invent an ability.
#![cfg(test)]

use std::num::NonZeroUsize;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use cred_conformance::doubles::{Fault, Faulty};
use cred_conformance::{Edit, Harness, Subject};
use cred_core::{
    CredentialContext, CredentialPath, Description, Operation, Sealed, StorageErrorKind, StorageProvider,
    Wrapper, async_trait,
};
use cred_provider_kit::layers::{ConcurrencyLimit, HotSwap, Layered, ReadOnly, ScopeJail, Timeout};
use cred_store_memory::{MemoryStorageConfig, MemoryStorageProvider};
use cred_testing::value::{id, scoped, unscoped, value};
use futures_util::future::join_all;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn memory(soft_delete: bool) -> MemoryStorageProvider {
    MemoryStorageProvider::new(MemoryStorageConfig::default().with_soft_delete(soft_delete)).unwrap()
}

fn limit(most: usize, longest_wait: Duration) -> ConcurrencyLimit {
    ConcurrencyLimit::new(NonZeroUsize::new(most).unwrap(), longest_wait)
}

/// An in-memory store without compare-and-set, with or without recovery.
struct WithoutCompareAndSet(MemoryStorageProvider);

impl Wrapper for WithoutCompareAndSet {
    fn inner(&self) -> impl Deref<Target: StorageProvider> + Send + Sync {
        &self.0
    }

    fn description(&self) -> &Description {
        self.0.describe()
    }

    fn passes_compare_and_set(&self) -> bool {
        false
    }
}

/// An in-memory store behind all wrappers that refuse nothing.
struct Wrapped(MemoryStorageProvider);

#[async_trait]
impl Harness for Wrapped {
    async fn open(&self) -> Arc<dyn Subject> {
        let limited = Layered::new(self.0.clone(), limit(8, MINUTE));
        Arc::new(HotSwap::new(Layered::new(limited, Timeout::new(MINUTE))))
    }

    async fn reopen(&self) -> Option<Arc<dyn Subject>> {
        Some(self.open().await)
    }

    async fn edit_raw(&self, path: &CredentialPath, edit: Edit<'_>) -> bool {
        self.0.edit_payload(path.as_path_ref(), |payload| *payload = edit(std::mem::take(payload)))
    }
}

cred_conformance::suite!(
    Wrapped(memory(true)),
    offers: [compare_and_set, soft_delete, metrics, reopen, raw_edit]
);

async fn store(provider: &dyn StorageProvider, number: u8, ctx: &CredentialContext) {
    let Sealed { data, metadata } = value(number);
    provider.store(&id("a"), data, metadata, ctx).await.unwrap();
}

#[test]
fn a_wrapper_neither_hides_nor_invents_an_ability() {
    let inners: [fn() -> Arc<dyn StorageProvider>; 4] = [
        || Arc::new(memory(false)),
        || Arc::new(memory(true)),
        || Arc::new(WithoutCompareAndSet(memory(false))),
        || Arc::new(WithoutCompareAndSet(memory(true))),
    ];
    let abilities = |provider: &dyn StorageProvider| {
        let (swap, soft) = (provider.compare_and_set(), provider.soft_delete());
        (swap.is_some(), soft.is_some(), provider.metrics().is_some())
    };
    let mut seen = std::collections::BTreeSet::new();
    for inner in inners {
        let wrappers: [(&str, Arc<dyn StorageProvider>); 5] = [
            ("read-only", Arc::new(Layered::new(inner(), ReadOnly))),
            ("scope jail", Arc::new(Layered::new(inner(), ScopeJail::new("org:a".parse().unwrap())))),
            ("timeout", Arc::new(Layered::new(inner(), Timeout::new(MINUTE)))),
            ("concurrency limit", Arc::new(Layered::new(inner(), limit(1, MINUTE)))),
            ("hot swap", Arc::new(HotSwap::new(inner()))),
        ];
        for (name, wrapper) in wrappers {
            assert_eq!(abilities(&*wrapper), abilities(&*inner()), "{name}");
        }
        seen.insert(abilities(&*inner()));
    }
    assert_eq!(seen.len(), 4, "every combination was tested");
}

#[tokio::test]
async fn a_read_only_provider_reads_and_refuses_every_write_with_read_only() {
    let (inner, here) = (memory(true), unscoped());
    store(&inner, 2, &here).await;
    let provider = Layered::new(inner.clone(), ReadOnly);
    assert_eq!(provider.retrieve(&id("a"), &here).await.unwrap(), value(2));
    assert_eq!(provider.list(None, &here).await.unwrap(), [id("a")]);
    let swap = provider.compare_and_set().unwrap();
    let revision = swap.retrieve_versioned(&id("a"), &here).await.unwrap().revision;
    let soft = provider.soft_delete().unwrap();
    assert!(soft.list_deleted(&here).await.unwrap().is_empty());

    let Sealed { data, metadata } = value(3);
    let refusals = [
        provider.store(&id("a"), data.clone(), metadata.clone(), &here).await.unwrap_err(),
        provider.delete(&id("a"), &here).await.unwrap_err(),
        swap.store_if(&id("a"), data, metadata, Some(&revision), &here).await.unwrap_err(),
        soft.recover(&id("a"), &here).await.unwrap_err(),
        soft.purge(&id("a"), &here).await.unwrap_err(),
    ];
    let operations =
        [Operation::Store, Operation::Delete, Operation::StoreIf, Operation::Recover, Operation::Purge];
    for (error, operation) in refusals.iter().zip(operations) {
        assert!(matches!(error.kind(), StorageErrorKind::ReadOnly { .. }), "{error}");
        assert!(!error.may_have_written());
        assert_eq!((error.operation(), error.provider()), (Some(operation), Some("memory")));
        assert_eq!(error.path(), Some(&here.path(&id("a")).to_path()));
    }
    assert_eq!(inner.retrieve(&id("a"), &here).await.unwrap(), value(2));
}

#[tokio::test]
async fn a_scope_jail_refuses_all_other_scopes_and_moves_nothing() {
    let inner = memory(false);
    let provider = Layered::new(inner.clone(), ScopeJail::new("org:a".parse().unwrap()));
    for (number, scope) in (1..).zip(["org:a", "org:a/team:x"]) {
        store(&provider, number, &scoped(scope)).await;
        assert_eq!(inner.retrieve(&id("a"), &scoped(scope)).await.unwrap(), value(number));
    }
    for (number, scope) in (3..).zip(["org:ab", "org:b"]) {
        store(&inner, number, &scoped(scope)).await;
    }
    store(&inner, 9, &unscoped()).await;
    assert_eq!(provider.list_tree(None, &scoped("org:a")).await.unwrap().len(), 2);

    let ids = [id("a"), id("b")];
    for outside in [scoped("org:ab"), scoped("org:b"), scoped("org:never-used"), unscoped()] {
        let Sealed { data, metadata } = value(7);
        let refusals = [
            provider.store(&id("a"), data, metadata, &outside).await.unwrap_err(),
            provider.retrieve(&id("a"), &outside).await.unwrap_err(),
            provider.delete(&id("a"), &outside).await.unwrap_err(),
            provider.exists(&id("a"), &outside).await.unwrap_err(),
            provider.list(None, &outside).await.unwrap_err(),
            provider.list_tree(None, &outside).await.unwrap_err(),
        ];
        for error in &refusals {
            assert!(matches!(error.kind(), StorageErrorKind::PermissionDenied { .. }), "{error}");
            assert!(error.to_string().contains("limited to `org:a`"), "{error}");
        }
        let answers = provider.retrieve_many(&ids, &outside).await;
        assert_eq!(answers.len(), ids.len());
        for (answer, id) in answers.iter().zip(&ids) {
            assert_eq!(answer.as_ref().unwrap_err().path(), Some(&outside.path(id).to_path()));
        }
    }
    assert_eq!(inner.list_tree(None, &unscoped()).await.unwrap().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_ends_a_read_with_timeout_and_a_write_with_an_unknown_outcome() {
    let (inner, here) = (Arc::new(Faulty::new(memory(false))), unscoped());
    store(&*inner, 1, &here).await;
    let provider = Layered::new(Arc::clone(&inner), Timeout::new(SECOND));
    let (described, full) = (provider.describe(), inner.describe());
    assert_eq!(described.operation_timeout, SECOND);
    assert_eq!(described.in_doubt, full.in_doubt.saturating_add(full.operation_timeout - SECOND));
    for operation in [Operation::Store, Operation::Retrieve, Operation::Delete] {
        inner.always(operation, Fault::Hang);
    }
    let started = tokio::time::Instant::now();
    let error = provider.retrieve(&id("a"), &here).await.unwrap_err();
    assert!(matches!(error.kind(), StorageErrorKind::Timeout { .. }) && !error.may_have_written(), "{error}");
    let Sealed { data, metadata } = value(2);
    for error in [
        provider.store(&id("a"), data, metadata, &here).await.unwrap_err(),
        provider.delete(&id("a"), &here).await.unwrap_err(),
    ] {
        assert!(matches!(error.kind(), StorageErrorKind::InDoubt { .. }), "{error}");
        assert!(error.may_have_written() && error.path().is_some(), "{error}");
    }
    let answers = provider.retrieve_many(&[id("a"), id("b")], &here).await;
    assert!(answers.iter().all(Result::is_err));
    assert_eq!(started.elapsed(), 5 * SECOND, "each id has its own limit if the provider has no batch");
}

#[tokio::test(start_paused = true)]
async fn concurrency_is_bounded_and_a_wait_that_times_out_does_nothing() {
    let (inner, here) = (Arc::new(Faulty::new(memory(false))), unscoped());
    store(&*inner, 1, &here).await;
    inner.always(Operation::Retrieve, Fault::Delay(SECOND));
    let longest_wait = 2 * SECOND + SECOND / 2;
    let provider = Layered::new(Arc::clone(&inner), limit(2, longest_wait));
    assert_eq!(
        provider.describe().operation_timeout,
        inner.describe().operation_timeout.saturating_add(longest_wait)
    );
    let id = id("a");
    let started = tokio::time::Instant::now();
    let answers = join_all((0..8).map(|_| provider.retrieve(&id, &here))).await;
    assert_eq!(
        answers.iter().filter(|answer| answer.is_ok()).count(),
        6,
        "three rounds of two start in time"
    );
    for error in answers.into_iter().filter_map(Result::err) {
        assert!(matches!(error.kind(), StorageErrorKind::Busy { .. }) && error.is_transient(), "{error}");
    }
    assert_eq!(started.elapsed(), 3 * SECOND);

    // Two run, one waits, and all three are cancelled.
    let cancelled = join_all((0..3).map(|_| provider.retrieve(&id, &here)));
    assert!(tokio::time::timeout(SECOND / 2, cancelled).await.is_err());
    let started = tokio::time::Instant::now();
    assert!(join_all((0..2).map(|_| provider.retrieve(&id, &here))).await.iter().all(Result::is_ok));
    assert_eq!(started.elapsed(), SECOND, "the cancelled operations released their slots");
}

#[tokio::test(start_paused = true)]
async fn a_swap_affects_later_operations_and_cannot_change_the_description_or_abilities() {
    let here = unscoped();
    let (first, second) = (Arc::new(Faulty::new(memory(false))), Arc::new(Faulty::new(memory(false))));
    store(&*first, 1, &here).await;
    store(&*second, 2, &here).await;
    let provider = Arc::new(HotSwap::new(Arc::clone(&first)));
    first.once(Operation::Retrieve, Fault::Delay(MINUTE));
    let (inner, ctx) = (Arc::clone(&provider), here.clone());
    let slow = tokio::spawn(async move { inner.retrieve(&id("a"), &ctx).await.unwrap() });
    tokio::time::sleep(SECOND).await;

    let before = provider.swap(Arc::clone(&second)).unwrap();
    assert_eq!(before.retrieve(&id("a"), &here).await.unwrap(), value(1));
    assert_eq!(provider.retrieve(&id("a"), &here).await.unwrap(), value(2));
    assert_eq!(slow.await.unwrap(), value(1), "it started before the swap");

    let refused = provider.swap(memory(true)).err().unwrap();
    assert!(refused.to_string().contains("other abilities"), "{refused}");
    let refused = provider.swap(Layered::new(memory(false), Timeout::new(SECOND / 1_000))).err().unwrap();
    assert!(refused.to_string().contains("another description"), "{refused}");
    assert_eq!(provider.retrieve(&id("a"), &here).await.unwrap(), value(2));
}
