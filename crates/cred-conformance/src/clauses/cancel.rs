//! cancel-1: futures that are dropped at every await point.

use std::future::{Future, poll_fn};
use std::task::Poll;

use cred_core::{CredentialPath, Operation, Sealed, StorageError};

use crate::rule::{expect_ok, fail};
use crate::trial::Trial;
use crate::value::{context, path, sized};
use crate::wording::moved;

const ATOMIC: &str = "make the change visible in one step, or finish it in a task that outlives the caller";
const RELEASE: &str = "hold locks and permits in guards, which a dropped future also drops";

/// The numbers of polls after which a future is dropped: 0, 1, 2 and so on, later in growing steps,
/// until the future completes. So every future is followed to its end, however many polls it takes.
struct DropPoints {
    next: usize,
    /// Up to this number of polls, no number is skipped.
    dense: usize,
    completed: bool,
}

impl DropPoints {
    fn new(t: &Trial) -> Self {
        Self { next: 0, dense: t.effort.rounds / 2, completed: false }
    }

    /// The next number of polls, with its own path. `None` once a future has completed before it
    /// was dropped.
    fn next(&mut self) -> Option<(usize, CredentialPath)> {
        let point = self.next;
        self.next += if point < self.dense { 1 } else { 1 + point / 4 };
        (!self.completed).then(|| (point, path(&format!("org:a/key-{point}"))))
    }

    /// Records the result of a future, if it completed before it was dropped.
    fn record<T>(&mut self, result: Option<Result<T, StorageError>>, operation: &str) {
        let problem = format_args!("{operation} failed without interference");
        self.completed = result.map(|result| expect_ok(result, problem, "return Ok")).is_some();
    }
}

/// Polls `future` this number of times and drops it. Returns its result, if it has completed.
async fn poll_and_drop<T>(
    t: &Trial,
    operation: Operation,
    target: &CredentialPath,
    future: impl Future<Output = T>,
    mut times: usize,
) -> Option<T> {
    if times == 0 {
        return None;
    }
    let mut future = Box::pin(future);
    let polls = poll_fn(|context| {
        times -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            Poll::Pending if times == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    });
    t.in_time(operation, format!("of `{target}`"), polls).await
}

/// Fails unless one of these is stored at the path.
async fn holds_one_of(t: &Trial, target: &CredentialPath, allowed: &[Option<&Sealed>], when: &str) {
    let mut patience = t.patience_for_point();
    loop {
        let found = t.read_once(target, &format!("cancel-1: {when}"), ATOMIC).await;
        let exists = t.exists_now(target).await;
        let problem = if !allowed.contains(&found.as_ref()) {
            let what =
                if found.is_some() { "a value that was never written, or an older one" } else { "nothing" };
            format!("cancel-1: {when}, {what} is stored at `{target}`")
        } else if !allowed.iter().any(|value| value.is_some() == exists) {
            format!("cancel-1: {when}, exists of `{target}` returns {exists}")
        } else {
            return;
        };
        patience.or_fail(&problem, ATOMIC).await;
    }
}

/// Stores to the path again within the deadline, which a lock that the dropped future still held
/// would prevent. The dropped write may still take effect after this one, but only completely:
/// `late` is the state that it leaves then. The state before both writes may not come back.
async fn can_be_stored_again(t: &Trial, target: &CredentialPath, late: &[Option<&Sealed>]) {
    let last = sized(4, 30);
    let problem = format!("cancel-1: after a dropped future, a store of `{target}` fails");
    expect_ok(t.store(target, &last).await, problem, RELEASE);
    let allowed: Vec<_> = late.iter().copied().chain([Some(&last)]).collect();
    holds_one_of(t, target, &allowed, "after a store that followed a dropped future").await;
}

pub(super) async fn cancel_1_a_dropped_store_leaves_the_old_or_the_new_value(t: Trial) {
    let (old, new) = (sized(1, 7_000), sized(2, 40));
    let mut points = DropPoints::new(&t);
    while let Some((times, target)) = points.next() {
        t.put_and_check(&target, &old).await;
        let (ctx, Sealed { data, metadata }) = (context(&target), new.clone());
        let store = t.provider.store(&target.id, data, metadata, &ctx);
        let completed = poll_and_drop(&t, Operation::Store, &target, store, times).await;
        let when = format!("after a store dropped at poll {times}");
        holds_one_of(&t, &target, &[Some(&old), Some(&new)], &when).await;
        can_be_stored_again(&t, &target, &[Some(&new)]).await;
        points.record(completed, "store");
    }
}

pub(super) async fn cancel_1_a_dropped_first_store_leaves_nothing_or_the_whole_value(t: Trial) {
    let new = sized(2, 7_000);
    let mut points = DropPoints::new(&t);
    let mut used = Vec::new();
    while let Some((times, target)) = points.next() {
        used.push(target.clone());
        let (ctx, Sealed { data, metadata }) = (context(&target), new.clone());
        let store = t.provider.store(&target.id, data, metadata, &ctx);
        let completed = poll_and_drop(&t, Operation::Store, &target, store, times).await;
        let when = format!("after a first store dropped at poll {times}");
        holds_one_of(&t, &target, &[None, Some(&new)], &when).await;
        let problem = "cancel-1: after a dropped store the tree cannot be listed";
        let listed = expect_ok(t.list_tree(None, None).await, problem, ATOMIC);
        if let Some((stored, listed)) = moved(&used, &listed) {
            fail(
                &format!("tree-1: `{stored}` is listed as `{listed}`"),
                "return exactly the scope and the id that were stored",
            );
        }
        if let Some(foreign) = listed.iter().find(|listed| !used.contains(listed)) {
            fail(
                &format!("cancel-1: a dropped store left `{foreign}` in the lists, which was never stored"),
                "keep temporary names out of lists",
            );
        }
        can_be_stored_again(&t, &target, &[Some(&new)]).await;
        points.record(completed, "store");
    }
}

pub(super) async fn cancel_1_a_dropped_delete_leaves_the_value_or_nothing(t: Trial) {
    let old = sized(1, 7_000);
    let mut points = DropPoints::new(&t);
    while let Some((times, target)) = points.next() {
        t.put_and_check(&target, &old).await;
        let ctx = context(&target);
        let delete = t.provider.delete(&target.id, &ctx);
        let completed = poll_and_drop(&t, Operation::Delete, &target, delete, times).await;
        let when = format!("after a delete dropped at poll {times}");
        holds_one_of(&t, &target, &[Some(&old), None], &when).await;
        can_be_stored_again(&t, &target, &[None]).await;
        points.record(completed, "delete");
    }
}

pub(super) async fn cancel_1_a_dropped_read_changes_nothing(t: Trial) {
    let (target, old) = (path("org:a/key"), sized(1, 7_000));
    t.put_and_check(&target, &old).await;
    let (ctx, ids) = (context(&target), [target.id.clone()]);
    let mut points = DropPoints::new(&t);
    while let Some((times, _)) = points.next() {
        let read = t.provider.retrieve(&target.id, &ctx);
        let completed = [
            poll_and_drop(&t, Operation::Retrieve, &target, read, times).await.is_some(),
            poll_and_drop(&t, Operation::Exists, &target, t.provider.exists(&target.id, &ctx), times)
                .await
                .is_some(),
            poll_and_drop(&t, Operation::List, &target, t.provider.list(None, &ctx), times).await.is_some(),
            poll_and_drop(&t, Operation::ListTree, &target, t.provider.list_tree(None, &ctx), times)
                .await
                .is_some(),
            poll_and_drop(&t, Operation::RetrieveMany, &target, t.provider.retrieve_many(&ids, &ctx), times)
                .await
                .is_some(),
        ];
        t.holds(&target, &old, "a dropped read must change nothing").await;
        t.put(&target, &old).await;
        points.completed = completed == [true; 5];
    }
}

pub(super) async fn cancel_1_a_dropped_conditional_store_leaves_the_old_or_the_new_value(t: Trial) {
    let (old, new) = (sized(1, 7_000), sized(2, 40));
    let mut points = DropPoints::new(&t);
    while let Some((times, target)) = points.next() {
        t.put_and_check(&target, &old).await;
        t.wait_until_visible().await;
        let problem = format!("the revision of `{target}` cannot be read");
        let revision = expect_ok(t.retrieve_versioned(&target).await, problem, "return it").revision;
        let (ctx, Sealed { data, metadata }) = (context(&target), new.clone());
        let swap = t.compare_and_set().store_if(&target.id, data, metadata, Some(&revision), &ctx);
        let completed = poll_and_drop(&t, Operation::StoreIf, &target, swap, times).await;
        let when = format!("after a conditional store dropped at poll {times}");
        holds_one_of(&t, &target, &[Some(&old), Some(&new)], &when).await;
        // Its revision is outdated, so it can no longer take effect.
        can_be_stored_again(&t, &target, &[]).await;
        points.record(completed, "store_if");
    }
}

pub(super) async fn cancel_1_a_dropped_recovery_leaves_the_credential_recovered_or_recoverable(t: Trial) {
    let old = sized(1, 7_000);
    let mut points = DropPoints::new(&t);
    while let Some((times, target)) = points.next() {
        t.put_and_check(&target, &old).await;
        t.remove(&target).await;
        t.lacks(&target, "a soft delete must hide the credential").await;
        let ctx = context(&target);
        let recovery = t.soft_delete().recover(&target.id, &ctx);
        let completed = poll_and_drop(&t, Operation::Recover, &target, recovery, times).await;
        let when = format!("after a recovery dropped at poll {times}");
        holds_one_of(&t, &target, &[None, Some(&old)], &when).await;
        // NotFound is also correct: the dropped recovery may have taken effect.
        match t.recover(&target).await {
            Err(error) if !error.is_not_found() => {
                fail(&format!("cancel-1: {when}, `{target}` cannot be recovered: {error}"), RELEASE);
            }
            _ => t.holds(&target, &old, ATOMIC).await,
        }
        points.record(completed, "recover");
    }
}
