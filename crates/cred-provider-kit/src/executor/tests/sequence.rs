use cred_core::Operation;

use super::*;

#[tokio::test(start_paused = true)]
async fn the_calls_of_a_sequence_share_one_deadline() {
    let script = Script::new([
        Reply::After(4 * S, Box::new(Reply::Ok)),
        Reply::After(4 * S, Box::new(Reply::Ok)),
        Reply::Hang,
    ]);
    let error = bounded(10 * S)
        .sequence(Operation::List, TargetRef::Scope(None), async |wire| {
            loop {
                wire.read(|_| script.call()).await?;
            }
            #[expect(unreachable_code, reason = "it names the type")]
            Ok(())
        })
        .await
        .unwrap_err();
    assert_eq!(*error.kind(), StorageErrorKind::Timeout { limit: 10 * S });
    assert_eq!((script.sent_ms(), script.elapsed_ms()), (vec![0, 4_000, 8_000], 10_000));
}

#[tokio::test(start_paused = true)]
async fn each_call_has_its_own_retries() {
    let failing_five_times = [unreachable(), unreachable(), unreachable(), unreachable(), unreachable()];
    let script = Script::new(
        failing_five_times
            .clone()
            .into_iter()
            .chain([Reply::Ok])
            .chain(failing_five_times)
            .chain([Reply::Ok]),
    );
    executor()
        .sequence(Operation::List, TargetRef::Scope(None), async |wire| {
            wire.read(|_| script.call()).await?;
            wire.read(|_| script.call()).await
        })
        .await
        .unwrap();
    assert_eq!((script.sent_ms().len(), script.elapsed_ms()), (12, 6_200));
}

#[tokio::test(start_paused = true)]
async fn the_deadline_applies_to_other_awaits_too() {
    for operation in [Operation::Store, Operation::Retrieve] {
        let script = Script::new([Reply::Ok]);
        let error = bounded(10 * S)
            .sequence(operation, &path(), async |_| std::future::pending::<Result<(), _>>().await)
            .await
            .unwrap_err();
        assert_eq!(*error.kind(), StorageErrorKind::Timeout { limit: 10 * S }, "no write was sent");
        assert_eq!(script.elapsed_ms(), 10_000);
    }
}

#[tokio::test(start_paused = true)]
async fn a_sequence_can_pause_between_calls() {
    let script = Script::new([denied(), denied(), Reply::Ok]);
    bounded(10 * S)
        .sequence(Operation::Purge, &path(), async |wire| {
            while wire.write(|_| script.call()).await.is_err() {
                wire.pause(2 * S).await?;
            }
            assert_eq!(wire.remaining(), 6 * S);
            Ok(())
        })
        .await
        .unwrap();
    assert_eq!(script.sent_ms(), [0, 2_000, 4_000]);
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_would_pass_the_deadline_is_not_started() {
    let script = Script::new([denied()]);
    let error = bounded(10 * S)
        .sequence(Operation::Purge, &path(), async |wire| {
            while wire.write(|_| script.call()).await.is_err() {
                wire.pause(4 * S).await?;
            }
            Ok(())
        })
        .await
        .unwrap_err();
    assert_eq!(*error.kind(), StorageErrorKind::Timeout { limit: 10 * S });
    assert_eq!((script.sent_ms(), script.elapsed_ms()), (vec![0, 4_000, 8_000], 8_000));
}

#[tokio::test(start_paused = true)]
async fn time_held_back_is_left_for_the_cleanup() {
    let (script, cleanup) =
        (Script::new([Reply::Hang]), Script::new([Reply::After(2 * S, Box::new(Reply::Ok))]));
    let error = bounded(10 * S)
        .sequence(Operation::Store, &path(), async |wire| {
            wire.hold_back(3 * S);
            assert_eq!(wire.remaining(), 7 * S);
            let Err(error) = wire.write(|_| script.call()).await else { return Ok(()) };
            wire.hold_back(Duration::ZERO);
            wire.write(|_| cleanup.call()).await?;
            Err(StorageErrorKind::RecoveredNotWritten { reason: error.to_string().into() }.into())
        })
        .await
        .unwrap_err();
    assert!(matches!(error.kind(), StorageErrorKind::RecoveredNotWritten { .. }), "{error}");
    assert_eq!((cleanup.sent_ms(), cleanup.elapsed_ms()), (vec![7_000], 9_000));
}

#[tokio::test(start_paused = true)]
async fn at_least_half_of_the_time_is_left_to_the_calls() {
    let script = Script::new([Reply::Hang]);
    bounded(4 * S)
        .sequence(Operation::Store, &path(), async |wire| {
            wire.hold_back(Duration::MAX);
            wire.write(|_| script.call()).await
        })
        .await
        .unwrap_err();
    assert_eq!(script.elapsed_ms(), 2_000);
}

#[tokio::test(start_paused = true)]
async fn a_failed_read_does_not_make_the_outcome_unknown() {
    for read in [Reply::Hang, unavailable(None)] {
        let (read, script) = (Script::new([read, Reply::Ok]), Script::new([denied()]));
        let error = executor()
            .sequence(Operation::Store, &path(), async |wire| {
                wire.read(|_| read.call()).await?;
                assert!(!wire.outcome_unknown());
                wire.write(|_| script.call()).await
            })
            .await
            .unwrap_err();
        assert!(matches!(error.kind(), StorageErrorKind::PermissionDenied { .. }), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_after_a_successful_write_has_an_unknown_outcome() {
    let (first, second) = (Script::new([Reply::Ok]), Script::new([denied()]));
    let error = executor()
        .sequence(Operation::Store, &path(), async |wire| {
            wire.write(|_| first.call()).await?;
            wire.write(|_| second.call()).await
        })
        .await
        .unwrap_err();
    assert!(is_in_doubt(&error), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_later_success_does_not_end_the_ambiguity_of_the_sequence() {
    let (first, second) = (Script::new([Reply::Hang, Reply::Ok]), Script::new([denied()]));
    let error = executor()
        .sequence(Operation::Store, &path(), async |wire| {
            wire.write(|_| first.call()).await?;
            wire.write(|_| second.call()).await
        })
        .await
        .unwrap_err();
    assert!(error.to_string().contains("attempt 1 got no answer"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_has_read_back_may_return_conflict() {
    let conflict = || Reply::Fail(StorageErrorKind::Conflict { reason: "newer".into() });
    for (settles, in_doubt) in [(true, false), (false, true)] {
        let (put, read) =
            (Script::new([Reply::Hang, conflict()]), Script::new([unavailable(None), Reply::Ok]));
        let error = executor()
            .sequence(Operation::StoreIf, &path(), async |wire| {
                let answer = wire.write(|_| put.call()).await;
                assert!(wire.outcome_unknown());
                wire.read(|_| read.call()).await?;
                if settles {
                    wire.mark_not_written();
                }
                answer
            })
            .await
            .unwrap_err();
        assert_eq!(is_in_doubt(&error), in_doubt, "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_call_that_the_body_drops_has_an_unknown_outcome() {
    let script = Script::new([Reply::Hang]);
    let error = executor()
        .sequence(Operation::Store, &path(), async |wire| {
            let _dropped = tokio::time::timeout(S, wire.write(|_| script.call())).await;
            Err::<(), _>(StorageErrorKind::PermissionDenied { reason: "no".into() }.into())
        })
        .await
        .unwrap_err();
    assert!(is_in_doubt(&error), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_operation_that_is_not_a_write_never_has_an_unknown_outcome() {
    let login = Script::new([Reply::Hang, denied()]);
    let error = executor()
        .sequence(Operation::Connect, TargetRef::Backend, async |wire| wire.write(|_| login.call()).await)
        .await
        .unwrap_err();
    assert!(matches!(error.kind(), StorageErrorKind::PermissionDenied { .. }), "{error}");
}
