//! Operations on a stalled backend, which does not answer, and their effects after the stall.

use std::future::Future;
use std::time::Duration;

use cred_core::{CredentialPath, Description, Operation, Sealed, StorageError, StorageErrorKind};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::outage::recovers;
use crate::pulse::Stall;
use crate::rule::fail;
use crate::trial::{MARGIN, Trial, all};
use crate::value::{context, path, value};

/// How long a future runs before it is dropped, so that its request has been sent by then. Half of
/// the `operation_timeout`, if that is shorter.
const SEND_TIME: Duration = Duration::from_millis(500);

/// How long after the stall the clauses look for a late write.
const LATE_WRITE_WINDOW: Duration = Duration::from_secs(1);

/// An operation in a stall with its result: whether the returned value was correct, or the error.
type Outcome = (Operation, Result<bool, StorageError>);

async fn begins(t: &Trial) -> Stall {
    let Description { operation_timeout, in_doubt, .. } = t.description;
    let longest = (SEND_TIME + 2 * MARGIN).saturating_add(operation_timeout).saturating_add(in_doubt);
    Stall::begin(&t.harness, longest).await.unwrap_or_else(|| fail_unsupported())
}

/// Ends the stall and waits until the provider works again.
async fn ends(t: &Trial, stall: Stall) {
    let report = stall.end().await;
    if !report.resumed {
        fail_unsupported();
    }
    if report.was_blocked {
        fail(
            "describe-4: while the backend did not answer, the thread that waited for it could not run other tasks",
            "run each call that blocks in `tokio::task::spawn_blocking`",
        );
    }
    recovers(t).await;
}

fn fail_unsupported() -> ! {
    fail(
        "offers: `stall` is declared, but `Harness::stall` returns false or panics",
        "implement it, or remove the word from `offers`",
    )
}

/// Stores value 1 at each path that the operations of a stall use.
async fn prepared<const N: usize>(t: &Trial, ids: [&str; N]) -> [CredentialPath; N] {
    let targets = ids.map(|id| path(&format!("org:a/{id}")));
    for target in &targets {
        t.put_and_check(target, &value(1)).await;
    }
    targets
}

/// Spawns an operation that resolves to whether its returned value was correct.
fn spawn_operation<A>(
    tasks: &mut JoinSet<Outcome>,
    t: &Trial,
    operation: Operation,
    at: &CredentialPath,
    call: impl FnOnce(Trial, CredentialPath) -> A,
) where
    A: Future<Output = Result<bool, StorageError>> + Send + 'static,
{
    let result = call(t.clone(), at.clone());
    tasks.spawn(async move { (operation, result.await) });
}

/// Runs every operation concurrently during a stall, each with its deadline.
async fn one_of_each(t: &Trial) -> Vec<Outcome> {
    use Operation as Of;
    let [kept, stored, deleted, recovered] = prepared(t, ["kept", "stored", "deleted", "recovered"]).await;
    if t.provider.soft_delete().is_some() {
        t.remove(&recovered).await;
    }
    // Every value that is returned during the stall must be correct.
    let consistency = t.description.consistency;
    sleep(consistency.point().max(consistency.list())).await;
    let stall = begins(t).await;
    let tasks = &mut JoinSet::new();
    spawn_operation(
        tasks,
        t,
        Of::Retrieve,
        &kept,
        |t, at| async move { Ok(t.retrieve(&at).await? == value(1)) },
    );
    spawn_operation(tasks, t, Of::Exists, &kept, |t, at| async move { t.exists(&at).await });
    spawn_operation(tasks, t, Of::List, &kept, |t, at| async move {
        Ok(t.list(at.scope.as_ref(), None).await?.contains(&at.id))
    });
    spawn_operation(tasks, t, Of::ListTree, &kept, |t, at| async move {
        Ok(t.list_tree(None, None).await?.contains(&at))
    });
    spawn_operation(tasks, t, Of::RetrieveMany, &kept, |t, at| async move {
        let answers = t.retrieve_many(at.scope.as_ref(), std::slice::from_ref(&at.id)).await;
        answers.into_iter().try_fold(true, |all, answer| Ok(all && answer? == value(1)))
    });
    spawn_operation(tasks, t, Of::Store, &stored, |t, at| async move {
        t.store(&at, &value(2)).await.map(|()| false)
    });
    spawn_operation(
        tasks,
        t,
        Of::Delete,
        &deleted,
        |t, at| async move { t.delete(&at).await.map(|()| false) },
    );
    if t.provider.compare_and_set().is_some() {
        spawn_operation(tasks, t, Of::RetrieveVersioned, &kept, |t, at| async move {
            Ok(t.retrieve_versioned(&at).await?.value == value(1))
        });
        spawn_operation(tasks, t, Of::StoreIf, &path("org:a/fresh"), |t, at| async move {
            t.store_if(&at, &value(2), None).await.map(|_| false)
        });
    }
    if t.provider.soft_delete().is_some() {
        spawn_operation(tasks, t, Of::ListDeleted, &recovered, |t, at| async move {
            Ok(t.list_deleted(at.scope.as_ref()).await?.contains(&at.id))
        });
        spawn_operation(tasks, t, Of::Recover, &recovered, |t, at| async move {
            t.recover(&at).await.map(|()| false)
        });
    }
    let outcomes = all(std::mem::take(tasks)).await;
    ends(t, stall).await;
    outcomes
}

pub(super) async fn describe_3_operations_on_a_stalled_backend_end_within_the_operation_timeout(t: Trial) {
    for (operation, result) in one_of_each(&t).await {
        match result {
            Ok(true) => {}
            Ok(false) if operation.is_write() => fail_succeeded(operation),
            Ok(false) => fail(
                &format!("{operation} on a stalled backend returns data that is not stored"),
                "return a transient error if the backend does not answer",
            ),
            Err(error) if error.is_transient() => {}
            Err(error) if operation.is_write() && is_in_doubt(&error) => {}
            Err(error) => fail(
                &format!(
                    "{operation} on a stalled backend fails with an error that is not transient: {error}"
                ),
                "if the backend does not answer, return Timeout, Busy or Unavailable, or InDoubt if a write was sent",
            ),
        }
    }
    let fresh = path("org:a/after");
    t.put(&fresh, &value(3)).await;
    t.holds(&fresh, &value(3), "work again once the backend does").await;
}

fn is_in_doubt(error: &StorageError) -> bool {
    matches!(error.kind(), StorageErrorKind::InDoubt { .. })
}

fn fail_succeeded(operation: Operation) -> ! {
    fail(
        &format!("error-2: {operation} returns Ok on a stalled backend, where no write takes effect"),
        "return Ok only for a write that the backend confirmed; if it did, `Harness::stall` does not stall the backend",
    )
}

/// A provider that blocks its thread is detected at the end of the stall.
pub(super) async fn describe_4_a_stalled_backend_does_not_block_the_runtime(t: Trial) {
    one_of_each(&t).await;
}

/// A write in a stall: its path, the value stored there before it, and its result.
struct Write {
    operation: Operation,
    target: CredentialPath,
    before: Option<Sealed>,
    result: Result<(), StorageError>,
}

/// Runs a store, a delete and, if the provider has compare-and-set, a conditional store of a new
/// credential concurrently.
async fn writes(t: &Trial, [stored, deleted]: [CredentialPath; 2]) -> Vec<Write> {
    let mut tasks = JoinSet::new();
    let (trial, before) = (t.clone(), Some(value(1)));
    tasks.spawn(async move {
        let result = trial.store(&stored, &value(2)).await;
        Write { operation: Operation::Store, target: stored, before, result }
    });
    let (trial, before) = (t.clone(), Some(value(1)));
    tasks.spawn(async move {
        let result = trial.delete(&deleted).await;
        Write { operation: Operation::Delete, target: deleted, before, result }
    });
    if t.provider.compare_and_set().is_some() {
        let (trial, target) = (t.clone(), path("org:a/new"));
        tasks.spawn(async move {
            let result = trial.store_if(&target, &value(2), None).await.map(drop);
            Write { operation: Operation::StoreIf, target, before: None, result }
        });
    }
    all(tasks).await
}

/// Like [`writes`], but drops each future once its request has been sent. A future that completed
/// by then gives its own result.
async fn dropped_writes(t: &Trial, [stored, deleted]: [CredentialPath; 2]) -> Vec<Write> {
    let send_time = SEND_TIME.min(t.description.operation_timeout / 2);
    let dropped = || Err(StorageError::in_doubt("its future was dropped"));
    let mut tasks = JoinSet::new();
    let (trial, before) = (t.clone(), Some(value(1)));
    tasks.spawn(async move {
        let (ctx, Sealed { data, metadata }) = (context(&stored), value(2));
        let store = trial.provider.store(&stored.id, data, metadata, &ctx);
        let result = timeout(send_time, store).await.unwrap_or_else(|_| dropped());
        Write { operation: Operation::Store, target: stored, before, result }
    });
    let (trial, before) = (t.clone(), Some(value(1)));
    tasks.spawn(async move {
        let ctx = context(&deleted);
        let delete = trial.provider.delete(&deleted.id, &ctx);
        let result = timeout(send_time, delete).await.unwrap_or_else(|_| dropped());
        Write { operation: Operation::Delete, target: deleted, before, result }
    });
    all(tasks).await
}

/// Checks that the values stored before the writes stay unchanged after the stall.
async fn have_no_effect(t: &Trial, writes: &[Write]) {
    let until = Instant::now() + LATE_WRITE_WINDOW + t.description.consistency.point();
    loop {
        let last = Instant::now() >= until;
        for Write { operation, target, before, result } in writes {
            let found = t.read_once(target, "after the stall", "work again").await;
            if found != *before {
                let reported = result.as_ref().err().map_or_else(|| "Ok".to_owned(), ToString::to_string);
                fail(
                    &format!(
                        "{operation} of `{target}` took effect after the stall, though the caller no longer waited for \
                         it: {reported}"
                    ),
                    "let any work that outlives the future, such as a thread that waits for a lock, check before it \
                     commits whether the caller still waits; report that nothing was written only if nothing can be \
                     written later; in front of a server, `Harness::stall` must drop the requests that it held",
                );
            }
        }
        if last {
            return;
        }
        sleep(Duration::from_millis(20)).await;
    }
}

fn none_succeeded(writes: &[Write]) {
    if let Some(write) = writes.iter().find(|write| write.result.is_ok()) {
        fail_succeeded(write.operation);
    }
}

pub(super) async fn error_2_a_write_refused_in_a_stall_never_takes_effect(t: Trial) {
    let targets = prepared(&t, ["stored", "deleted"]).await;
    let stall = begins(&t).await;
    let mut writes = writes(&t, targets).await;
    ends(&t, stall).await;
    none_succeeded(&writes);
    // A write with an unknown outcome may still take effect.
    writes.retain(|write| write.result.as_ref().is_err_and(|error| !error.may_have_written()));
    have_no_effect(&t, &writes).await;
}

pub(super) async fn cancel_2_a_write_abandoned_in_a_stall_does_not_take_effect_later(t: Trial) {
    let [first, second, third, fourth] = prepared(&t, ["left", "left-2", "stored", "deleted"]).await;
    // First the dropped futures: connections and locks must be released with them. This stall ends
    // early, so that a thread that waits for less than `operation_timeout` is detected too.
    let stall = begins(&t).await;
    let dropped = dropped_writes(&t, [first, second]).await;
    sleep(t.description.in_doubt).await;
    ends(&t, stall).await;
    none_succeeded(&dropped);
    have_no_effect(&t, &dropped).await;

    let stall = begins(&t).await;
    let timed_out = writes(&t, [third, fourth]).await;
    sleep(t.description.in_doubt).await;
    ends(&t, stall).await;
    none_succeeded(&timed_out);
    have_no_effect(&t, &timed_out).await;
}
