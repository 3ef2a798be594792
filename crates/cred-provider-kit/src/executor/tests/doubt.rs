use std::error::Error;

use cred_core::Operation;

use super::*;

const WRITES: [Operation; 5] =
    [Operation::Store, Operation::Delete, Operation::StoreIf, Operation::Recover, Operation::Purge];

#[tokio::test(start_paused = true)]
async fn an_ambiguous_write_that_then_succeeds_is_ok() {
    for ambiguous in [Answer::Hang, unavailable(None)] {
        let script = Script::new([ambiguous, Answer::Ok]);
        executor().run(Operation::Store, &path(), |_| script.call()).await.unwrap();
        assert_eq!(script.sent_ms().len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn an_ambiguous_write_never_ends_in_a_definite_refusal() {
    for operation in WRITES {
        for refusal in definite() {
            for ambiguous in [Answer::Hang, unavailable(None)] {
                let script = Script::new([ambiguous, Answer::Fail(refusal.clone())]);
                let error = executor().run(operation, &path(), |_| script.call()).await.unwrap_err();
                assert!(is_in_doubt(&error), "{operation} {refusal:?}: {error}");
                let source = error.source().unwrap().downcast_ref::<StorageError>().unwrap();
                assert_eq!(*source.kind(), refusal, "the source is the last error");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_ambiguous_write_that_is_then_throttled_is_in_doubt() {
    let script = Script::new([unavailable(None), throttled(Some(3_600 * S))]);
    let error = executor().run(Operation::Store, &path(), |_| script.call()).await.unwrap_err();
    assert!(is_in_doubt(&error), "{error}");
    assert!(!error.is_transient());
}

#[tokio::test(start_paused = true)]
async fn the_error_says_what_made_it_ambiguous() {
    let says = async |answers: Vec<Answer>| {
        let script = Script::new(answers);
        executor().run(Operation::Store, &path(), |_| script.call()).await.unwrap_err().to_string()
    };
    let sentence = "could not store credential `org:acme/stripe` in double: \
         the outcome of the write is unknown (";
    let timeout = says(vec![unreachable(), Answer::Hang, unavailable(None), denied()]).await;
    assert!(timeout.starts_with(&format!("{sentence}attempt 2 got no answer within 10s)")), "{timeout}");
    let unavailable = says(vec![unavailable(None), Answer::Hang, denied()]).await;
    assert!(unavailable.starts_with(&format!("{sentence}attempt 1 failed: 503)")), "{unavailable}");
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_proves_nothing_is_in_doubt_by_itself() {
    let reason = || "?".into();
    for kind in [
        StorageErrorKind::Other { reason: reason() },
        StorageErrorKind::Corrupted { reason: reason() },
        StorageErrorKind::Timeout { limit: S },
    ] {
        let script = Script::new([Answer::Fail(kind.clone())]);
        let error = executor().run(Operation::Store, &path(), |_| script.call()).await.unwrap_err();
        assert!(is_in_doubt(&error), "{error}");
        let script = Script::new([Answer::Fail(kind.clone())]);
        let error = executor().run(Operation::Retrieve, &path(), |_| script.call()).await.unwrap_err();
        assert_eq!(*error.kind(), kind, "a read is never in doubt");
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_every_attempt_hangs_is_in_doubt() {
    let script = Script::new([Answer::Hang]);
    let error = executor().run(Operation::Store, &path(), |_| script.call()).await.unwrap_err();
    assert!(is_in_doubt(&error));
    assert_eq!(script.elapsed_ms(), 60_000, "cut by the deadline");
    let script = Script::new([Answer::Hang]);
    let error = bounded(S).run(Operation::Store, &path(), |_| script.call()).await.unwrap_err();
    assert!(error.to_string().contains("attempt 1 got no answer within 1s"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_write_that_provably_never_happened_is_refused_definitely() {
    for refusal in definite() {
        let script = Script::new([unreachable(), throttled(None), Answer::Fail(refusal.clone())]);
        let error = executor().run(Operation::Store, &path(), |_| script.call()).await.unwrap_err();
        assert_eq!((error.kind(), error.may_have_written()), (&refusal, false));
    }
    let script = Script::new([unreachable()]);
    let error = executor().run(Operation::Store, &path(), |_| script.call()).await.unwrap_err();
    assert!(!error.may_have_written());
}

#[tokio::test(start_paused = true)]
async fn a_read_is_never_in_doubt() {
    for ambiguous in [Answer::Hang, unavailable(None)] {
        for refusal in definite() {
            let script = Script::new([ambiguous.clone(), Answer::Fail(refusal.clone())]);
            let error = executor().run(Operation::Retrieve, &path(), |_| script.call()).await.unwrap_err();
            assert_eq!(*error.kind(), refusal);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn kinds_that_say_more_than_doubt_stand() {
    for kind in [
        StorageErrorKind::NotDurable { reason: "fsync".into() },
        StorageErrorKind::RecoveredNotWritten { reason: "403".into() },
        StorageErrorKind::InDoubt { reason: "the backend says so".into() },
    ] {
        for script in [
            Script::new([Answer::Fail(kind.clone())]),
            Script::new([unavailable(None), Answer::Fail(kind.clone())]),
        ] {
            let error = executor().run(Operation::Store, &path(), |_| script.call()).await.unwrap_err();
            assert_eq!(*error.kind(), kind);
        }
    }
}
