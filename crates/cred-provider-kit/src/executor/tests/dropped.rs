use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use cred_core::Operation;

use super::*;

/// Counts the attempts that are running.
struct RunningAttempt<'a>(&'a AtomicUsize);

impl<'a> RunningAttempt<'a> {
    fn enter(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for RunningAttempt<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[tokio::test(start_paused = true)]
async fn an_operation_dropped_at_any_poll_leaves_nothing_behind() {
    let (mut finished, mut dropped) = (false, 0);
    while !finished {
        let executor = executor();
        let running = AtomicUsize::new(0);
        let script = Script::new([unreachable(), Reply::After(MS, Box::new(unavailable(None))), Reply::Ok]);
        {
            let mut operation = pin!(executor.sequence(Operation::Store, TargetRef::Backend, async |wire| {
                for _ in 0..2 {
                    wire.write(async |_| {
                        let _guard = RunningAttempt::enter(&running);
                        tokio::task::yield_now().await;
                        script.call().await
                    })
                    .await?;
                    wire.pause(MS).await?;
                }
                Ok(())
            }));
            let mut context = Context::from_waker(Waker::noop());
            for _ in 0..=dropped {
                finished = operation.as_mut().poll(&mut context).is_ready();
                // Time passes between polls, so that each wait is over at the next.
                tokio::time::advance(300 * MS).await;
            }
        }
        assert_eq!(running.load(Ordering::Relaxed), 0);
        let metrics = executor.metrics();
        assert_eq!(metrics.store_count.load(Ordering::Relaxed), u64::from(finished), "after {dropped} polls");
        assert_eq!(metrics.error_count.load(Ordering::Relaxed), 0);
        let sent = script.sent_ms().len() as u64;
        assert!(metrics.retry_count.load(Ordering::Relaxed) <= sent.max(1));
        dropped += 1;
    }
    assert!(dropped > 8, "every await was reached: {dropped}");
}

#[tokio::test(start_paused = true)]
async fn an_operation_dropped_while_waiting_returns_its_tokens() {
    let executor = executor();
    let script = Script::new([unreachable()]);
    let mut operation = Box::pin(executor.run(Operation::Retrieve, TargetRef::Backend, |_| script.call()));
    let poll = operation.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(poll, Poll::Pending));
    assert_eq!(executor.budget().available(), 495);
    drop(operation);
    assert_eq!(executor.budget().available(), 500);
    assert_eq!(executor.metrics().retry_count.load(Ordering::Relaxed), 0, "the retry was never sent");
}

#[tokio::test(start_paused = true)]
async fn a_panic_propagates_and_is_not_counted() {
    let executor = Arc::new(executor());
    let shared = Arc::clone(&executor);
    let task = tokio::spawn(async move {
        shared
            .run(Operation::Store, TargetRef::Backend, async |_| -> StorageResult<()> {
                panic!("a defect of the provider")
            })
            .await
    });
    assert!(task.await.unwrap_err().is_panic());
    assert_eq!(executor.metrics().store_count.load(Ordering::Relaxed), 0);
    executor.run(Operation::Store, TargetRef::Backend, async |_| Ok(())).await.unwrap();
    assert_eq!(executor.metrics().store_count.load(Ordering::Relaxed), 1);
}
