use std::task::{Context, Poll, Waker};

use cred_core::Operation;
use proptest::prelude::*;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_read_that_hangs_ends_at_the_timeout() {
    let script = Script::new([Reply::Hang]);
    let error =
        no_retries(executor()).run(Operation::Retrieve, &path(), |_| script.call()).await.unwrap_err();
    assert_eq!(*error.kind(), StorageErrorKind::Timeout { limit: 5 * S });
    assert_eq!(script.elapsed_ms(), 5_000);
}

#[tokio::test(start_paused = true)]
async fn a_write_has_twice_the_time() {
    let slow = || Script::new([Reply::After(10 * S - MS, Box::new(Reply::Ok))]);
    let executor = no_retries(executor());
    let script = slow();
    executor.run(Operation::Store, &path(), |_| script.call()).await.unwrap();
    let script = slow();
    executor.run(Operation::Exists, &path(), |_| script.call()).await.unwrap_err();
    let script = Script::new([Reply::Hang]);
    executor.run(Operation::Delete, &path(), |_| script.call()).await.unwrap_err();
    assert_eq!(script.elapsed_ms(), 10_000);
}

#[tokio::test(start_paused = true)]
async fn each_attempt_has_the_whole_timeout() {
    let script = Script::new([Reply::Hang, Reply::After(4_900 * MS, Box::new(Reply::Ok))]);
    executor().run(Operation::Retrieve, &path(), |_| script.call()).await.unwrap();
    assert_eq!((script.sent_ms(), script.elapsed_ms()), (vec![0, 5_100], 10_000));
}

#[tokio::test(start_paused = true)]
async fn the_deadline_cuts_a_running_attempt() {
    let script = Script::new([Reply::Hang]);
    let error = bounded(12 * S).run(Operation::Retrieve, &path(), |_| script.call()).await.unwrap_err();
    assert_eq!(*error.kind(), StorageErrorKind::Timeout { limit: 12 * S });
    assert_eq!((script.sent_ms(), script.elapsed_ms()), (vec![0, 5_100, 10_300], 12_000));
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_would_pass_the_deadline_is_not_started() {
    let script = Script::new([unreachable()]);
    let error = bounded(300 * MS).run(Operation::Retrieve, &path(), |_| script.call()).await.unwrap_err();
    assert!(matches!(error.kind(), StorageErrorKind::Unreachable { .. }), "{error}");
    assert_eq!(
        (script.sent_ms(), script.elapsed_ms()),
        (vec![0, 100], 100),
        "300 ms leave no time for another attempt"
    );
}

#[tokio::test(start_paused = true)]
async fn waking_after_the_deadline_sends_nothing_and_returns_the_last_error() {
    let (executor, script) = (executor(), Script::new([unreachable(), Reply::Ok]));
    let mut operation = Box::pin(executor.run(Operation::Store, TargetRef::Backend, |_| script.call()));
    let mut context = Context::from_waker(Waker::noop());
    assert!(operation.as_mut().poll(&mut context).is_pending());
    tokio::time::advance(61 * S).await;
    let Poll::Ready(Err(error)) = operation.as_mut().poll(&mut context) else { panic!("it ends at once") };
    assert!(matches!(error.kind(), StorageErrorKind::Unreachable { .. }), "{error}");
    assert_eq!((script.sent_ms(), executor.budget().available()), (vec![0], 500));
}

#[tokio::test(start_paused = true)]
async fn the_longest_durations_are_accepted() {
    let executor = Executor::new(Description::new("double", Duration::MAX), Duration::MAX);
    let script = Script::new([throttled(Some(Duration::MAX))]);
    let error = executor.run(Operation::Store, &path(), |_| script.call()).await.unwrap_err();
    assert_eq!(*error.kind(), StorageErrorKind::Throttled { retry_after: Some(Duration::MAX) });
    let script = Script::new([Reply::Ok]);
    executor.run(Operation::Store, &path(), |_| script.call()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_with_a_timeout_of_zero() {
    let script = Script::new([Reply::Ok]);
    let error = bounded(Duration::ZERO).run(Operation::Store, &path(), |_| script.call()).await.unwrap_err();
    assert_eq!(*error.kind(), StorageErrorKind::Timeout { limit: Duration::ZERO });
    assert!(script.sent_ms().is_empty());
}

fn replies() -> impl Strategy<Value = Vec<Reply>> {
    let wait = || prop::option::of((0_u64..20_000).prop_map(Duration::from_millis));
    let reply = prop_oneof![
        Just(Reply::Hang),
        Just(unreachable()),
        wait().prop_map(throttled),
        wait().prop_map(unavailable),
        Just(denied()),
        Just(Reply::Ok),
    ];
    let slow = (0_u64..15_000, reply).prop_map(|(ms, reply)| match ms % 3 {
        0 => reply,
        _ => Reply::After(Duration::from_millis(ms), Box::new(reply)),
    });
    prop::collection::vec(slow, 1..12)
}

proptest! {
    /// The runtime's timer rounds up to the next millisecond.
    #[test]
    fn no_operation_passes_its_deadline(
        replies in replies(), timeout in 1_u64..8_000, operation_timeout in 1_u64..40_000,
        write: bool, calls in 1_usize..4, pause in 0_u64..5_000, reserve in 0_u64..5_000, random in 0.0_f64..1.0,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let operation_timeout = Duration::from_millis(operation_timeout);
        let (result, sent, elapsed) = runtime.block_on(async {
            let executor = Executor::new(Description::new("double", operation_timeout), Duration::from_millis(timeout))
                .with_random(move || random);
            let script = Script::new(replies);
            let operation = if write { Operation::Store } else { Operation::Retrieve };
            let result = executor.sequence(operation, &path(), async |wire| {
                for _ in 0..calls {
                    wire.hold_back(Duration::from_millis(reserve));
                    match write {
                        true => wire.write(|_| script.call()).await?,
                        false => wire.read(|_| script.call()).await?,
                    }
                    wire.pause(Duration::from_millis(pause)).await?;
                }
                Ok(())
            }).await;
            (result, script.sent_ms(), script.started.elapsed())
        });
        prop_assert!(elapsed <= operation_timeout + MS, "{elapsed:?} > {operation_timeout:?}: {result:?}");
        prop_assert!(sent.len() <= 6 * calls);
        prop_assert!(sent.iter().all(|ms| *ms <= operation_timeout.as_millis()));
        if let (true, Err(error)) = (write, &result) {
            prop_assert!(error.is_transient() <= !error.may_have_written() || sent.is_empty(), "{error:?}");
        }
    }
}
