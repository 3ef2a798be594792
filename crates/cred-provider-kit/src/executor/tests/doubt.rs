use std::error::Error;

use cred_core::Operation;

use super::*;

const WRITES: [Operation; 5] =
    [Operation::Store, Operation::Delete, Operation::StoreIf, Operation::Recover, Operation::Purge];

#[tokio::test(start_paused = true)]
async fn an_ambiguous_write_that_then_succeeds_is_ok() {
    for ambiguous in [Reply::Hang, unavailable(None)] {
        let script = Script::new([ambiguous, Reply::Ok]);
        executor().run(Operation::Store, &path(), |_| script.call()).await.unwrap();
        assert_eq!(script.sent_ms().len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn an_ambiguous_write_never_ends_in_a_definite_refusal() {
    for operation in WRITES {
        for refusal in definite() {
            for ambiguous in [Reply::Hang, unavailable(None)] {
                let script = Script::new([ambiguous, Reply::Fail(refusal.clone())]);
                let error = executor().run(operation, &path(), |_| script.call()).await.unwrap_err();
                assert!(is_in_doubt(&error), "{operation} {refusal:?}: {error}");
                let source = error.source().unwrap().downcast_ref::<StorageError>().unwrap();
                assert_eq!(*source.kind(), refusal, "the source is the last error");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_ambiguous_write_that_is_then_throttled_has_an_unknown_outcome() {
    let script = Script::new([unavailable(None), throttled(Some(3_600 * S))]);
    let error = executor().run(Operation::Store, &path(), |_| script.call()).await.unwrap_err();
    assert!(is_in_doubt(&error), "{error}");
    assert!(!error.is_transient());
}

#[tokio::test(start_paused = true)]
async fn the_error_names_the_reason_of_the_ambiguity() {
    let message = async |replies: Vec<Reply>| {
        let script = Script::new(replies);
        executor().run(Operation::Store, &path(), |_| script.call()).await.unwrap_err().to_string()
    };
    let sentence = "could not store credential `org:acme/stripe` in double: \
         the outcome of the write is unknown (";
    let timeout = message(vec![unreachable(), Reply::Hang, unavailable(None), denied()]).await;
    assert!(timeout.starts_with(&format!("{sentence}attempt 2 got no answer within 10s)")), "{timeout}");
    let unavailable = message(vec![unavailable(None), Reply::Hang, denied()]).await;
    assert!(unavailable.starts_with(&format!("{sentence}attempt 1 failed: 503)")), "{unavailable}");
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_proves_nothing_has_an_unknown_outcome() {
    let reason = || "?".into();
    for kind in [
        StorageErrorKind::Other { reason: reason() },
        StorageErrorKind::Corrupted { reason: reason() },
        StorageErrorKind::Timeout { limit: S },
    ] {
        let script = Script::new([Reply::Fail(kind.clone())]);
        let error = executor().run(Operation::Store, &path(), |_| script.call()).await.unwrap_err();
        assert!(is_in_doubt(&error), "{error}");
        let script = Script::new([Reply::Fail(kind.clone())]);
        let error = executor().run(Operation::Retrieve, &path(), |_| script.call()).await.unwrap_err();
        assert_eq!(*error.kind(), kind, "a read has no unknown outcome");
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_attempts_all_hang_has_an_unknown_outcome() {
    let script = Script::new([Reply::Hang]);
    let error = executor().run(Operation::Store, &path(), |_| script.call()).await.unwrap_err();
    assert!(is_in_doubt(&error));
    assert_eq!(script.elapsed_ms(), 60_000, "cut by the deadline");
    let script = Script::new([Reply::Hang]);
    let error = bounded(S).run(Operation::Store, &path(), |_| script.call()).await.unwrap_err();
    assert!(error.to_string().contains("attempt 1 got no answer within 1s"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_write_that_provably_never_happened_ends_in_a_definite_refusal() {
    for refusal in definite() {
        let script = Script::new([unreachable(), throttled(None), Reply::Fail(refusal.clone())]);
        let error = executor().run(Operation::Store, &path(), |_| script.call()).await.unwrap_err();
        assert_eq!((error.kind(), error.may_have_written()), (&refusal, false));
    }
    let script = Script::new([unreachable()]);
    let error = executor().run(Operation::Store, &path(), |_| script.call()).await.unwrap_err();
    assert!(!error.may_have_written());
}

#[tokio::test(start_paused = true)]
async fn a_read_never_has_an_unknown_outcome() {
    for ambiguous in [Reply::Hang, unavailable(None)] {
        for refusal in definite() {
            let script = Script::new([ambiguous.clone(), Reply::Fail(refusal.clone())]);
            let error = executor().run(Operation::Retrieve, &path(), |_| script.call()).await.unwrap_err();
            assert_eq!(*error.kind(), refusal);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn more_precise_kinds_are_returned_unchanged() {
    for kind in [
        StorageErrorKind::NotDurable { reason: "fsync".into() },
        StorageErrorKind::RecoveredNotWritten { reason: "403".into() },
        StorageErrorKind::InDoubt { reason: "the backend reported it".into() },
    ] {
        for script in [
            Script::new([Reply::Fail(kind.clone())]),
            Script::new([unavailable(None), Reply::Fail(kind.clone())]),
        ] {
            let error = executor().run(Operation::Store, &path(), |_| script.call()).await.unwrap_err();
            assert_eq!(*error.kind(), kind);
        }
    }
}
