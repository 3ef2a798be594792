//! The wrappers fulfil the contract as long as no fault is set, and each fault works as documented.

#![cfg(test)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cred_conformance::doubles::{Fault, Faulty, Recording, Reference};
use cred_conformance::{Clause, Effort, Harness, Offers, Subject};
use cred_core::{CredentialContext, Operation, Sealed, StorageErrorKind, StorageProvider, async_trait};
use cred_testing::value::{id, unscoped, value};
use tokio::time::timeout;

/// Opens providers with the function, and counts the calls of `close`.
struct CountingHarness<F>(F, Arc<AtomicUsize>);

#[async_trait]
impl<F: Fn() -> Arc<dyn Subject> + Send + Sync> Harness for CountingHarness<F> {
    async fn open(&self) -> Arc<dyn Subject> {
        (self.0)()
    }

    fn effort(&self) -> Effort {
        Effort::default().with_list_entries(60).with_rounds(20)
    }

    async fn close(&self) {
        self.1.fetch_add(1, Ordering::SeqCst);
    }
}

fn offers() -> Offers {
    let mut offers = Offers::NONE;
    offers.compare_and_set = true;
    offers.soft_delete = true;
    offers.metrics = true;
    offers
}

async fn fulfils_the_contract<F: Fn() -> Arc<dyn Subject> + Clone + Send + Sync + 'static>(open: F) {
    let closed = Arc::new(AtomicUsize::new(0));
    let clauses: Vec<_> = Clause::all().iter().filter(|clause| offers().cover(clause.needs())).collect();
    for clause in &clauses {
        clause.check(Arc::new(CountingHarness(open.clone(), Arc::clone(&closed))), offers()).await;
    }
    assert_eq!(closed.load(Ordering::SeqCst), clauses.len());
}

#[tokio::test(start_paused = true)]
async fn a_faulty_provider_without_faults_fulfils_the_contract() {
    fulfils_the_contract(|| Arc::new(Faulty::new(Reference::new()))).await;
}

#[tokio::test(start_paused = true)]
async fn a_recording_provider_fulfils_the_contract() {
    fulfils_the_contract(|| Arc::new(Recording::new(Reference::new()))).await;
}

#[tokio::test]
async fn a_harness_that_panics_in_open_is_reported_and_closed() {
    let closed = Arc::new(AtomicUsize::new(0));
    let open = || -> Arc<dyn Subject> { panic!("no disk") };
    let harness = Arc::new(CountingHarness(open, Arc::clone(&closed)));
    let failed = tokio::spawn(async move { Clause::all()[0].check(harness, Offers::NONE).await }).await;
    let message = *failed.unwrap_err().into_panic().downcast::<String>().unwrap();
    assert!(message.contains("panicked: ") && message.contains("no disk"), "{message}");
    assert_eq!(closed.load(Ordering::SeqCst), 1);
}

async fn with_a_stored_value() -> (Faulty<Reference>, CredentialContext) {
    let (provider, here) = (Faulty::new(Reference::new()), unscoped());
    let Sealed { data, metadata } = value(1);
    provider.store(&id("key"), data, metadata, &here).await.unwrap();
    (provider, here)
}

#[tokio::test]
async fn a_refusal_has_no_effect_and_happens_once() {
    let (provider, here) = with_a_stored_value().await;
    provider.once(Operation::Delete, Fault::Refuse(StorageErrorKind::Throttled { retry_after: None }));
    let error = provider.delete(&id("key"), &here).await.unwrap_err();
    assert_eq!(error.operation(), Some(Operation::Delete));
    assert!(provider.exists(&id("key"), &here).await.unwrap());
    provider.delete(&id("key"), &here).await.unwrap();
    assert!(!provider.exists(&id("key"), &here).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_delay_delays_and_a_hang_never_ends() {
    let (provider, here) = with_a_stored_value().await;
    let second = Duration::from_secs(1);
    provider.once(Operation::Exists, Fault::Delay(second));
    let started = tokio::time::Instant::now();
    assert!(provider.exists(&id("key"), &here).await.unwrap());
    assert_eq!(started.elapsed(), second);

    provider.always(Operation::Exists, Fault::Hang);
    assert!(timeout(3_600 * second, provider.exists(&id("key"), &here)).await.is_err());
    provider.clear();
    assert!(provider.exists(&id("key"), &here).await.unwrap());
}

#[tokio::test]
async fn an_altered_read_does_not_change_the_stored_value() {
    let (provider, here) = with_a_stored_value().await;
    provider.once(Operation::Retrieve, Fault::alter(|data, _| data.ciphertext = vec![9]));
    assert_eq!(provider.retrieve(&id("key"), &here).await.unwrap().data.ciphertext, [9]);
    assert_eq!(provider.retrieve(&id("key"), &here).await.unwrap(), value(1));
}
