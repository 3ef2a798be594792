//! Batches: bounded and ordered, with one result for each item.
#![cfg(test)]

mod doubles;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use cred_core::{Consistency, Credential, CredentialId, field};
use cred_manager::{BatchItem, CredentialManager, ListOptions, ManagerError, ValidationResult};
use doubles::backend::Backend;
use doubles::sealer::{Fault, Faulty};
use doubles::{begun, id, keys, results};
use futures_util::FutureExt as _;
use tokio::time::{Instant, sleep, timeout};

const TTL: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

/// A backend that reads up to `batch` ids in one call, and its manager.
fn batching(batch: usize, ttl: Duration) -> (Arc<Backend>, CredentialManager) {
    let backend = Backend::with_batch(Consistency::Strong, batch);
    let builder = CredentialManager::builder().storage(backend.clone()).keys(keys()).cache_ttl(ttl);
    let manager = builder.batch_concurrency(NonZeroUsize::new(4).unwrap()).build();
    (backend, manager)
}

fn ids(names: impl IntoIterator<Item = u32>) -> Vec<CredentialId> {
    names.into_iter().map(|name| id(&name.to_string())).collect()
}

fn named(names: impl IntoIterator<Item = u32>) -> Vec<(CredentialId, Credential)> {
    ids(names).into_iter().map(|id| (id.clone(), Credential::text(id.as_str()))).collect()
}

fn texts(items: Vec<BatchItem<Result<Option<Credential>, ManagerError>>>) -> Vec<Option<String>> {
    let text = |credential: Credential| credential.expose_text(field::VALUE).unwrap().to_owned();
    items.into_iter().map(|item| item.result.unwrap().map(text)).collect()
}

#[tokio::test(start_paused = true)]
async fn results_are_in_input_order_and_duplicates_have_results() {
    for (batch, ttl) in [(1, TTL), (1, Duration::ZERO), (3, TTL), (3, Duration::ZERO)] {
        let (backend, manager) = batching(batch, ttl);
        assert!(results(manager.store_batch(named(0..10)).await).iter().all(Result::is_ok));
        let asked = [3, 9, 3, 77, 0, 9, 77];
        let items = manager.retrieve_batch(&ids(asked)).await;
        assert_eq!(items.iter().map(|item| item.id.clone()).collect::<Vec<_>>(), ids(asked));
        let answers = texts(items);
        let expected = asked.map(|name| (name < 10).then(|| name.to_string()));
        assert_eq!(answers, expected, "batch {batch}, ttl {ttl:?}");
        let calls = if batch == 1 { backend.reads() } else { backend.batches.load(Ordering::SeqCst) };
        assert_eq!(
            calls,
            if batch == 1 { 4 } else { 2 },
            "each different id once, by as few calls as can be"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_batch_has_no_results() {
    let (_, manager) = batching(1, TTL);
    assert!(manager.store_batch(vec![]).await.is_empty());
    assert!(manager.retrieve_batch(&[]).await.is_empty());
    assert!(manager.delete_batch(&[]).await.is_empty());
    assert!(manager.validate_batch(&[]).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn batch_concurrency_is_bounded() {
    let (backend, manager) = batching(1, TTL);
    backend.behave(|behaviour| {
        behaviour.write_takes = SECOND;
        behaviour.read_takes = SECOND;
    });
    let started = Instant::now();
    manager.store_batch(named(0..20)).await;
    assert_eq!(backend.most_in_flight.load(Ordering::SeqCst), 4);
    assert_eq!(started.elapsed(), 5 * SECOND);
    let started = Instant::now();
    manager.retrieve_batch(&ids(0..20)).await;
    assert_eq!(started.elapsed(), 5 * SECOND);
    let started = Instant::now();
    manager.delete_batch(&ids(0..20)).await;
    assert_eq!(started.elapsed(), 5 * SECOND);
    assert_eq!(backend.most_in_flight.load(Ordering::SeqCst), 4);
}

#[tokio::test(start_paused = true)]
async fn the_last_duplicate_in_input_order_is_stored() {
    let (_, manager) = batching(1, TTL);
    let values = (0..30).map(|value| (id("a"), Credential::text(value.to_string()))).collect();
    assert!(results(manager.store_batch(values).await).iter().all(Result::is_ok));
    assert_eq!(texts(manager.retrieve_batch(&[id("a")]).await), [Some("29".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn one_failure_affects_only_its_own_item() {
    for batch in [1, 3] {
        let (backend, manager) = batching(batch, TTL);
        manager.store_batch(named(0..6)).await;
        // Sealed under a key that this manager does not have.
        let stranger = CredentialManager::builder()
            .storage(backend.clone())
            .keys(Arc::new(cred_manager::crypto::KeyRing::generate("other".parse().unwrap()).unwrap()))
            .build();
        stranger.store(&id("3"), Credential::text("x")).await.unwrap();
        let answers = results(manager.retrieve_batch(&ids(0..6)).await);
        for (number, answer) in answers.iter().enumerate() {
            assert_eq!(answer.is_err(), number == 3, "{number}: {answer:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_batch_starts_no_further_items() {
    let (backend, manager) = batching(1, TTL);
    backend.behave(|behaviour| behaviour.write_takes = SECOND);
    let batch = begun(manager.store_batch(named(0..20)));
    sleep(SECOND / 2).await;
    drop(batch);
    sleep(10 * SECOND).await;
    assert_eq!(manager.list().await.unwrap().len(), 4, "those that had begun, and no other");
}

#[tokio::test(start_paused = true)]
async fn overlapping_batches_in_opposite_order_and_with_duplicates_finish() {
    for batch in [1, 2] {
        let (backend, manager) = batching(batch, TTL);
        backend.behave(|behaviour| {
            behaviour.write_takes = SECOND;
            behaviour.read_takes = SECOND;
        });
        let (read, reversed) = (ids((0..10).chain(0..10)), ids((0..10).rev()));
        let deleted = ids((0..10).rev().chain(0..10));
        let work = async {
            tokio::join!(
                manager.store_batch(named((0..10).chain(0..10))),
                manager.store_batch(named((0..10).rev().chain(0..10))),
                manager.retrieve_batch(&read),
                manager.retrieve_batch(&reversed),
                manager.delete_batch(&deleted),
            )
        };
        let (stored, again, read, reversed, deleted) = timeout(600 * SECOND, work).await.unwrap();
        assert_eq!(
            [stored.len(), again.len(), read.len(), reversed.len(), deleted.len()],
            [20, 20, 20, 10, 20]
        );
    }
}

fn faulty(backend: &Arc<Backend>, ttl: Duration, fault: Fault) -> CredentialManager {
    CredentialManager::builder().storage(backend.clone()).keys(Faulty::new(fault)).cache_ttl(ttl).build()
}

#[tokio::test(start_paused = true)]
async fn items_whose_sealer_stalls_do_not_delay_the_others() {
    let backend = Backend::with_batch(Consistency::Strong, 20);
    for ttl in [Duration::ZERO, TTL] {
        let manager = faulty(&backend, ttl, Fault::StallsAtShortIds);
        manager.store_batch(named(0..15)).await;
        let begun = Instant::now();
        let answers = results(manager.retrieve_batch(&ids(0..15)).await);
        for (number, answer) in answers.iter().enumerate() {
            assert_eq!(answer.is_ok(), number > 9, "{number}: {answer:?}");
        }
        assert!(begun.elapsed() < 15 * SECOND, "one after another: {:?}", begun.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_load_does_not_wait_for_its_neighbours_in_a_batch() {
    let backend = Backend::with_batch(Consistency::Strong, 20);
    let manager = faulty(&backend, TTL, Fault::StallsAtShortIds);
    manager.store_batch(named(0..15)).await;
    let ids = [id("9"), id("12")];
    let batch = begun(manager.retrieve_batch(&ids));
    let started = Instant::now();
    assert!(manager.retrieve(&id("12")).await.unwrap().is_some());
    assert_eq!(started.elapsed(), Duration::ZERO, "it waited for the one at which the sealer stalls");
    drop(batch);
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_sealer_affects_only_its_own_item() {
    for batch in [1, 20] {
        let backend = Backend::with_batch(Consistency::Strong, batch);
        let manager = faulty(&backend, TTL, Fault::PanicsAtShortIds);
        manager.store_batch(named(0..15)).await;
        let answers = results(manager.retrieve_batch(&ids(0..15)).await);
        for (number, answer) in answers.iter().enumerate() {
            assert_eq!(answer.is_ok(), number > 9, "batch {batch}, {number}: {answer:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn credentials_that_the_sealer_is_too_busy_for_are_opened_after_the_others() {
    for batch in [1, 20] {
        let backend = Backend::with_batch(Consistency::Strong, batch);
        for ttl in [Duration::ZERO, TTL] {
            let manager = faulty(&backend, ttl, Fault::IsBusyBeyond(8));
            manager.store_batch(named(0..15)).await;
            let answers = results(manager.retrieve_batch(&ids(0..15)).await);
            assert!(answers.iter().all(Result::is_ok), "batch {batch}: {answers:?}");
            let found = results(manager.validate_batch(&ids(0..15)).await);
            assert!(found.iter().all(ValidationResult::is_usable), "batch {batch}: {found:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_shares_in_flight_loads_and_uses_cached_values() {
    for batch in [1, 8] {
        let (backend, manager) = batching(batch, TTL);
        manager.store_batch(named(0..4)).await;
        backend.behave(|behaviour| behaviour.read_takes = SECOND);
        manager.retrieve(&id("0")).await.unwrap();
        let one = id("1");
        let all = ids(0..4);
        let (single, answers) = tokio::join!(manager.retrieve(&one), manager.retrieve_batch(&all));
        single.unwrap();
        assert_eq!(texts(answers).len(), 4);
        assert_eq!(manager.cache_stats().unwrap().loads, 4, "batch {batch}: one load for each");
    }
}

/// How long a batch waits for loads of its twenty ids which began on a runtime that stopped.
fn waited_for_a_stopped_runtime(batch: usize) -> Duration {
    let (_, manager) = batching(batch, TTL);
    let stopped = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    stopped.block_on(async {
        for id in ids(0..20) {
            assert!(manager.retrieve(&id).now_or_never().is_none());
        }
    });
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let (answers, waited) = runtime.block_on(async {
        let started = Instant::now();
        (results(manager.retrieve_batch(&ids(0..20)).await), started.elapsed())
    });
    assert_eq!(answers.len(), 20);
    assert!(answers.iter().all(|answer| answer.as_ref().err().is_none_or(ManagerError::is_transient)));
    waited
}

/// The longest that one load runs: a call of the provider and one of the sealer, each with the
/// provider's 10 s and 1 s, and 1 s more. The other second is room for the granularity of timers.
const ONE_LOAD: Duration = Duration::from_secs(2 * 11 + 1 + 1);

#[test]
fn a_batch_waits_for_its_loads_together() {
    let waited = waited_for_a_stopped_runtime(20);
    assert!(waited < ONE_LOAD, "one after another: {waited:?}");
}

#[test]
fn single_reads_of_a_batch_wait_no_longer_than_one_load_runs() {
    let waited = waited_for_a_stopped_runtime(1);
    assert!(waited < ONE_LOAD, "once for each group of reads: {waited:?}");
}

#[tokio::test]
async fn ten_thousand_concurrent_operations_complete() {
    let (_, manager) = batching(5, TTL);
    let work = (0..10_000_u32).map(|number| {
        let manager = manager.clone();
        tokio::spawn(async move {
            let name = id(&(number % 100).to_string());
            match number % 5 {
                0 => manager.store(&name, Credential::text("x")).await.is_ok(),
                1 => manager.delete(&name).await.is_ok(),
                2 => manager.retrieve_batch(&ids(0..20)).await.len() == 20,
                3 => manager.refresh(&name).await.is_ok(),
                _ => manager.retrieve(&name).await.is_ok(),
            }
        })
    });
    let answers = timeout(120 * SECOND, futures_util::future::join_all(work)).await.unwrap();
    assert!(answers.into_iter().all(|answer| answer.unwrap()));
}

#[test]
fn every_future_can_be_spawned() {
    fn is_send<T: Send>(_: T) {}
    fn check(manager: &CredentialManager, id: &CredentialId) {
        is_send(manager.store(id, Credential::text("x")));
        is_send(manager.store_if_absent(id, Credential::text("x")));
        is_send(manager.retrieve(id));
        is_send(manager.store_batch(vec![]));
        is_send(manager.retrieve_batch(&[]));
        is_send(manager.delete_batch(&[]));
        is_send(manager.validate_batch(&[]));
        is_send(manager.rotate(id, Credential::text("x")));
        is_send(manager.rotate_with(id, Credential::clone));
        is_send(manager.rotate_if_due(id, Credential::clone));
        is_send(manager.store_if(id, None, Credential::text("x")));
        is_send(manager.check_ready());
        is_send(manager.exists(id));
        is_send(manager.list_with(&ListOptions::default()));
        is_send(manager.list_tree_with(&ListOptions::default()));
        is_send(manager.metadata(id));
        is_send(manager.validate_tree());
        is_send(manager.rekey().into_future());
        is_send(manager.set_keys(keys()));
        is_send(manager.shutdown());
    }
    let _ = check;
}
