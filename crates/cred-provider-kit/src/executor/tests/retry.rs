use std::sync::atomic::{AtomicU32, Ordering};

use cred_core::Operation;

use super::*;

#[tokio::test(start_paused = true)]
async fn five_retries_are_six_attempts() {
    let script = Script::new([unreachable()]);
    let error = executor().run(Operation::Retrieve, &path(), |_| script.call()).await.unwrap_err();
    assert!(matches!(error.kind(), StorageErrorKind::Unreachable { .. }));
    assert_eq!(script.sent_ms(), [0, 100, 300, 700, 1_500, 3_100]);
    assert_eq!(script.elapsed_ms(), 3_100, "no wait follows the last attempt");
}

#[tokio::test(start_paused = true)]
async fn the_random_source_varies_the_waits() {
    let script = Script::new([unreachable(), Reply::Ok]);
    executor().with_random(|| 1.0).run(Operation::Retrieve, &path(), |_| script.call()).await.unwrap();
    assert_eq!(script.sent_ms(), [0, 125]);
}

#[tokio::test(start_paused = true)]
async fn attempts_are_numbered_and_know_of_ambiguous_ones() {
    let script = Script::new([unreachable(), unavailable(None), throttled(None), Reply::Ok]);
    let seen = Mutex::new(Vec::new());
    executor()
        .run(Operation::StoreIf, &path(), |attempt| {
            seen.lock().unwrap().push((attempt.number, attempt.in_doubt));
            script.call()
        })
        .await
        .unwrap();
    assert_eq!(*seen.lock().unwrap(), [(1, false), (2, false), (3, true), (4, true)]);
}

#[tokio::test(start_paused = true)]
async fn a_delay_requested_by_the_backend_is_kept_exactly() {
    for answer in [throttled(Some(1_234 * MS)), unavailable(Some(1_234 * MS))] {
        let script = Script::new([answer, Reply::Ok]);
        executor().run(Operation::Store, &path(), |_| script.call()).await.unwrap();
        assert_eq!(script.sent_ms(), [0, 1_234]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_requested_delay_of_zero_is_ignored() {
    let script = Script::new([throttled(Some(Duration::ZERO)), Reply::Ok]);
    executor().run(Operation::Store, &path(), |_| script.call()).await.unwrap();
    assert_eq!(script.sent_ms(), [0, 100]);
}

#[tokio::test(start_paused = true)]
async fn a_delay_beyond_the_deadline_fails_at_once_and_is_reported() {
    for (asked, operation) in
        [(60 * S, Operation::Retrieve), (61 * S, Operation::Store), (3_600 * S, Operation::List)]
    {
        let script = Script::new([throttled(Some(asked))]);
        let error = executor().run(operation, &path(), |_| script.call()).await.unwrap_err();
        assert_eq!(*error.kind(), StorageErrorKind::Throttled { retry_after: Some(asked) });
        assert_eq!((script.sent_ms(), script.elapsed_ms()), (vec![0], 0));
    }
}

#[tokio::test(start_paused = true)]
async fn only_transient_failures_are_retried() {
    let more = ["Corrupted", "Other", "InDoubt"].map(|name| match name {
        "Corrupted" => StorageErrorKind::Corrupted { reason: "no".into() },
        "Other" => StorageErrorKind::Other { reason: "no".into() },
        _ => StorageErrorKind::InDoubt { reason: "no".into() },
    });
    for kind in definite().into_iter().chain(more) {
        for operation in [Operation::Retrieve, Operation::Store] {
            let script = Script::new([Reply::Fail(kind.clone()), Reply::Ok]);
            executor().run(operation, &path(), |_| script.call()).await.unwrap_err();
            assert_eq!(script.sent_ms(), [0], "{operation} {kind:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_budget_fails_at_once() {
    let executor = executor().with_budget(RetryBudget::new(12));
    let script = Script::new([unreachable()]);
    let error = executor.run(Operation::Retrieve, &path(), |_| script.call()).await.unwrap_err();
    assert!(matches!(error.kind(), StorageErrorKind::Unreachable { .. }));
    assert_eq!((script.sent_ms(), script.elapsed_ms()), (vec![0, 100, 300], 300));
    assert_eq!(executor.budget().available(), 2);
    let script = Script::new([unreachable()]);
    executor.run(Operation::Retrieve, &path(), |_| script.call()).await.unwrap_err();
    assert_eq!(script.sent_ms(), [0], "a first attempt is never held back, a retry is");
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_a_timeout_costs_twice() {
    let executor = executor().with_budget(RetryBudget::new(12));
    let script = Script::new([Reply::Hang]);
    executor.run(Operation::Retrieve, &path(), |_| script.call()).await.unwrap_err();
    assert_eq!((script.sent_ms().len(), executor.budget().available()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn an_answered_retry_returns_its_tokens() {
    let executor = executor().with_budget(RetryBudget::new(100));
    for answer in [Reply::Ok, denied()] {
        let script = Script::new([unreachable(), answer]);
        let _ = executor.run(Operation::Retrieve, &path(), |_| script.call()).await;
        assert_eq!(executor.budget().available(), 100);
    }
    let script = Script::new([unreachable(), Reply::Hang, Reply::Ok]);
    executor.run(Operation::Retrieve, &path(), |_| script.call()).await.unwrap();
    assert_eq!(executor.budget().available(), 95, "the tokens of the retry that hung are not returned");
    for _ in 0..3 {
        executor.run(Operation::Retrieve, &path(), |_| script.call()).await.unwrap();
    }
    assert_eq!(executor.budget().available(), 98, "and each first attempt that is answered adds one");
}

#[tokio::test(start_paused = true)]
async fn an_outage_adds_few_retries_to_the_first_attempts() {
    let executor = executor();
    let sent = AtomicU32::new(0);
    for _ in 0..1_000 {
        let outage = |_| {
            sent.fetch_add(1, Ordering::Relaxed);
            std::future::ready(Err::<(), _>(StorageErrorKind::Unreachable { reason: "down".into() }.into()))
        };
        executor.run(Operation::Retrieve, &path(), outage).await.unwrap_err();
    }
    assert_eq!(sent.into_inner(), 1_100, "6,000 without a budget");
}
