//! What happens while the backend does not answer, and after it.

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

/// How long a future runs before it is dropped, where the provider has time for that: its request
/// is under way by then.
const UNDER_WAY: Duration = Duration::from_millis(500);

/// How long after the stall a late write is looked for.
const LOOK: Duration = Duration::from_secs(1);

/// What an operation said in a stall: whether its answer was true, or why there was none.
type Said = (Operation, Result<bool, StorageError>);

async fn begins(t: &Trial) -> Stall {
    let Description { operation_timeout, in_doubt, .. } = t.description;
    let longest = (UNDER_WAY + 2 * MARGIN).saturating_add(operation_timeout).saturating_add(in_doubt);
    Stall::begin(&t.harness, longest).await.unwrap_or_else(|| cannot())
}

/// Lets the backend go and waits until the provider works again.
async fn ends(t: &Trial, stall: Stall) {
    let ended = stall.end().await;
    if !ended.let_go {
        cannot();
    }
    if ended.stood_still {
        fail(
            "describe-4: while the backend gave no answer, the thread that waited for it ran nothing else",
            "run each call that blocks in `tokio::task::spawn_blocking`",
        );
    }
    recovers(t).await;
}

fn cannot() -> ! {
    fail(
        "offers: `stall` is declared, but `Harness::stall` says that it cannot, or panics",
        "write it, or take the word away",
    )
}

/// The paths that the operations of a stall are about, each holding value 1.
async fn prepared<const N: usize>(t: &Trial, ids: [&str; N]) -> [CredentialPath; N] {
    let places = ids.map(|id| path(&format!("org:a/{id}")));
    for place in &places {
        t.keeps(place, &value(1)).await;
    }
    places
}

/// Begins an operation; its answer says whether it was true.
fn ask<A>(
    tasks: &mut JoinSet<Said>,
    t: &Trial,
    operation: Operation,
    at: &CredentialPath,
    call: impl FnOnce(Trial, CredentialPath) -> A,
) where
    A: Future<Output = Result<bool, StorageError>> + Send + 'static,
{
    let answer = call(t.clone(), at.clone());
    tasks.spawn(async move { (operation, answer.await) });
}

/// Every operation at once, each with its deadline.
async fn one_of_each(t: &Trial) -> Vec<Said> {
    use Operation as Of;
    let [kept, stored, deleted, recovered] = prepared(t, ["kept", "stored", "deleted", "recovered"]).await;
    if t.provider.soft_delete().is_some() {
        t.remove(&recovered).await;
    }
    // Whatever is answered in the stall must be true.
    let consistency = t.description.consistency;
    sleep(consistency.point().max(consistency.list())).await;
    let stall = begins(t).await;
    let tasks = &mut JoinSet::new();
    ask(tasks, t, Of::Retrieve, &kept, |t, at| async move { Ok(t.retrieve(&at).await? == value(1)) });
    ask(tasks, t, Of::Exists, &kept, |t, at| async move { t.exists(&at).await });
    ask(tasks, t, Of::List, &kept, |t, at| async move {
        Ok(t.list(at.scope.as_ref(), None).await?.contains(&at.id))
    });
    ask(
        tasks,
        t,
        Of::ListTree,
        &kept,
        |t, at| async move { Ok(t.list_tree(None, None).await?.contains(&at)) },
    );
    ask(tasks, t, Of::RetrieveMany, &kept, |t, at| async move {
        let answers = t.retrieve_many(at.scope.as_ref(), std::slice::from_ref(&at.id)).await;
        answers.into_iter().try_fold(true, |all, answer| Ok(all && answer? == value(1)))
    });
    ask(tasks, t, Of::Store, &stored, |t, at| async move { t.store(&at, &value(2)).await.map(|()| false) });
    ask(tasks, t, Of::Delete, &deleted, |t, at| async move { t.delete(&at).await.map(|()| false) });
    if t.provider.compare_and_set().is_some() {
        ask(tasks, t, Of::RetrieveVersioned, &kept, |t, at| async move {
            Ok(t.retrieve_versioned(&at).await?.value == value(1))
        });
        ask(tasks, t, Of::StoreIf, &path("org:a/fresh"), |t, at| async move {
            t.store_if(&at, &value(2), None).await.map(|_| false)
        });
    }
    if t.provider.soft_delete().is_some() {
        ask(tasks, t, Of::ListDeleted, &recovered, |t, at| async move {
            Ok(t.list_deleted(at.scope.as_ref()).await?.contains(&at.id))
        });
        ask(tasks, t, Of::Recover, &recovered, |t, at| async move { t.recover(&at).await.map(|()| false) });
    }
    let said = all(std::mem::take(tasks)).await;
    ends(t, stall).await;
    said
}

pub(super) async fn describe_3_in_a_stall_every_operation_ends_in_its_time(t: Trial) {
    for (operation, said) in one_of_each(&t).await {
        match said {
            Ok(true) => {}
            Ok(false) if operation.is_write() => answered(operation),
            Ok(false) => fail(
                &format!("{operation} answers in a stall what is not stored"),
                "where the backend gives no answer, answer a transient error",
            ),
            Err(error) if error.is_transient() => {}
            Err(error) if operation.is_write() && is_in_doubt(&error) => {}
            Err(error) => fail(
                &format!("{operation} ends in a stall with an error that is not transient: {error}"),
                "where the backend gives no answer, answer Timeout, Busy or Unavailable; where a write was sent, InDoubt",
            ),
        }
    }
    let fresh = path("org:a/after");
    t.put(&fresh, &value(3)).await;
    t.holds(&fresh, &value(3), "work again when the backend does").await;
}

fn is_in_doubt(error: &StorageError) -> bool {
    matches!(error.kind(), StorageErrorKind::InDoubt { .. })
}

fn answered(operation: Operation) -> ! {
    fail(
        &format!("error-2: {operation} answers Ok in a stall, in which nothing takes effect"),
        "answer Ok only what the backend confirmed; where it is right, `Harness::stall` holds nothing",
    )
}

/// Who blocks is told by the end of the stall.
pub(super) async fn describe_4_in_a_stall_the_runtime_goes_on(t: Trial) {
    one_of_each(&t).await;
}

/// A write in a stall: where, what was stored there before it, and what was said of it.
struct Written {
    operation: Operation,
    place: CredentialPath,
    before: Option<Sealed>,
    said: Result<(), StorageError>,
}

/// A store, a delete and a conditional store of something new, where there is one, at once.
async fn writes(t: &Trial, [stored, deleted]: [CredentialPath; 2]) -> Vec<Written> {
    let mut tasks = JoinSet::new();
    let (trial, before) = (t.clone(), Some(value(1)));
    tasks.spawn(async move {
        let said = trial.store(&stored, &value(2)).await;
        Written { operation: Operation::Store, place: stored, before, said }
    });
    let (trial, before) = (t.clone(), Some(value(1)));
    tasks.spawn(async move {
        let said = trial.delete(&deleted).await;
        Written { operation: Operation::Delete, place: deleted, before, said }
    });
    if t.provider.compare_and_set().is_some() {
        let (trial, place) = (t.clone(), path("org:a/new"));
        tasks.spawn(async move {
            let said = trial.store_if(&place, &value(2), None).await.map(drop);
            Written { operation: Operation::StoreIf, place, before: None, said }
        });
    }
    all(tasks).await
}

/// As [`writes`], but the futures are dropped when their requests are under way; of one that ended
/// by then, what it said.
async fn dropped(t: &Trial, [stored, deleted]: [CredentialPath; 2]) -> Vec<Written> {
    let under_way = UNDER_WAY.min(t.description.operation_timeout / 2);
    let left = || Err(StorageError::in_doubt("its future was dropped"));
    let mut tasks = JoinSet::new();
    let (trial, before) = (t.clone(), Some(value(1)));
    tasks.spawn(async move {
        let (ctx, Sealed { data, metadata }) = (context(&stored), value(2));
        let store = trial.provider.store(&stored.id, data, metadata, &ctx);
        let said = timeout(under_way, store).await.unwrap_or_else(|_| left());
        Written { operation: Operation::Store, place: stored, before, said }
    });
    let (trial, before) = (t.clone(), Some(value(1)));
    tasks.spawn(async move {
        let ctx = context(&deleted);
        let delete = trial.provider.delete(&deleted.id, &ctx);
        let said = timeout(under_way, delete).await.unwrap_or_else(|_| left());
        Written { operation: Operation::Delete, place: deleted, before, said }
    });
    all(tasks).await
}

/// What was stored before the writes is still there, and remains.
async fn stays(t: &Trial, writes: &[Written]) {
    let until = Instant::now() + LOOK + t.description.consistency.point();
    loop {
        let last = Instant::now() >= until;
        for Written { operation, place, before, said } in writes {
            let found = t.found(place, "after the stall", "work again").await;
            if found != *before {
                let said = said.as_ref().err().map_or_else(|| "Ok".to_owned(), ToString::to_string);
                fail(
                    &format!(
                        "{operation} of `{place}` took effect after the stall, though it had been given up: {said}"
                    ),
                    "let whatever outlives the future, such as a thread that waits for a lock, look before it commits \
                     whether anybody still waits; deny having written only where nothing can be written any more; before a \
                     server, `Harness::stall` drops what it held",
                );
            }
        }
        if last {
            return;
        }
        sleep(Duration::from_millis(20)).await;
    }
}

fn none_is_answered(writes: &[Written]) {
    if let Some(written) = writes.iter().find(|written| written.said.is_ok()) {
        answered(written.operation);
    }
}

pub(super) async fn error_2_what_was_refused_in_a_stall_is_never_written(t: Trial) {
    let places = prepared(&t, ["stored", "deleted"]).await;
    let stall = begins(&t).await;
    let mut writes = writes(&t, places).await;
    ends(&t, stall).await;
    none_is_answered(&writes);
    // What is in doubt may still happen.
    writes.retain(|written| written.said.as_ref().is_err_and(|error| !error.may_have_written()));
    stays(&t, &writes).await;
}

pub(super) async fn cancel_2_what_was_given_up_in_a_stall_is_not_written_later(t: Trial) {
    let [first, second, third, fourth] = prepared(&t, ["left", "left-2", "stored", "deleted"]).await;
    // The futures that are dropped first: what holds a connection or a lock is to be dropped with
    // them. This stall ends early, so that a thread that waits for less than `operation_timeout` is
    // seen too.
    let stall = begins(&t).await;
    let left = dropped(&t, [first, second]).await;
    sleep(t.description.in_doubt).await;
    ends(&t, stall).await;
    none_is_answered(&left);
    stays(&t, &left).await;

    let stall = begins(&t).await;
    let given_up = writes(&t, [third, fourth]).await;
    sleep(t.description.in_doubt).await;
    ends(&t, stall).await;
    none_is_answered(&given_up);
    stays(&t, &given_up).await;
}
