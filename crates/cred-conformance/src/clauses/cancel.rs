//! cancel-1: futures that are dropped at every point where they wait.

use std::future::{Future, poll_fn};
use std::task::Poll;

use cred_core::{CredentialPath, Operation, Sealed, StorageError};

use crate::rule::{fail, good};
use crate::trial::Trial;
use crate::value::{context, path, sized};
use crate::wording::moved;

const WHOLE: &str =
    "change what is visible in one step, or finish the change in a task that outlives the caller";
const FREE: &str = "release locks and permits by guards that a dropped future drops as well";

/// After how many polls a future is dropped: 0, 1, 2 and so on, later in growing steps, until it
/// ends by itself. So every future is followed to its end, however many polls that takes.
struct Points {
    next: usize,
    singly: usize,
    ended: bool,
}

impl Points {
    fn new(t: &Trial) -> Self {
        Self { next: 0, singly: t.effort.rounds / 2, ended: false }
    }

    /// The next point, with its own path; `None`: the last future ended before it was to be
    /// dropped.
    fn next(&mut self) -> Option<(usize, CredentialPath)> {
        let point = self.next;
        self.next += if point < self.singly { 1 } else { 1 + point / 4 };
        (!self.ended).then(|| (point, path(&format!("org:a/key-{point}"))))
    }

    /// Notes the answer of a future, if it had one before it was dropped.
    fn after<T>(&mut self, answer: Option<Result<T, StorageError>>, operation: &str) {
        let what = format_args!("{operation} failed, though nothing was in its way");
        self.ended = answer.map(|answer| good(answer, what, "let it work")).is_some();
    }
}

/// Polls `future` so many times and drops it; its answer, if it had one by then.
async fn polled<T>(
    t: &Trial,
    operation: Operation,
    place: &CredentialPath,
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
    t.in_time(operation, format!("of `{place}`"), polls).await
}

/// Any of these is stored at the place.
async fn is_one_of(t: &Trial, place: &CredentialPath, allowed: &[Option<&Sealed>], when: &str) {
    let mut patience = t.patience_for_point();
    loop {
        let found = t.found(place, &format!("cancel-1: {when}"), WHOLE).await;
        let there = t.is_there(place).await;
        let problem = if !allowed.contains(&found.as_ref()) {
            let what = if found.is_some() { "a value that nobody wrote, or an older one" } else { "nothing" };
            format!("cancel-1: {when}, {what} is stored at `{place}`")
        } else if !allowed.iter().any(|value| value.is_some() == there) {
            format!("cancel-1: {when}, exists of `{place}` says {there}")
        } else {
            return;
        };
        patience.or_fail(&problem, WHOLE).await;
    }
}

/// Stores to the place again, in time: a lock that the dropped future held would be in the way. The
/// dropped write may still land after this one; `landed` is what it leaves then, whole. What was
/// there before may not come back.
async fn is_usable(t: &Trial, place: &CredentialPath, landed: &[Option<&Sealed>]) {
    let last = sized(4, 30);
    let what = format!("cancel-1: after a dropped future, a store of `{place}` fails");
    good(t.store(place, &last).await, what, FREE);
    let allowed: Vec<_> = landed.iter().copied().chain([Some(&last)]).collect();
    is_one_of(t, place, &allowed, "after a store that followed a dropped future").await;
}

pub(super) async fn cancel_1_a_dropped_store_leaves_the_old_or_the_new_value(t: Trial) {
    let (old, new) = (sized(1, 7_000), sized(2, 40));
    let mut points = Points::new(&t);
    while let Some((times, place)) = points.next() {
        t.keeps(&place, &old).await;
        let (ctx, Sealed { data, metadata }) = (context(&place), new.clone());
        let store = t.provider.store(&place.id, data, metadata, &ctx);
        let ended = polled(&t, Operation::Store, &place, store, times).await;
        let when = format!("after a store dropped at poll {times}");
        is_one_of(&t, &place, &[Some(&old), Some(&new)], &when).await;
        is_usable(&t, &place, &[Some(&new)]).await;
        points.after(ended, "store");
    }
}

pub(super) async fn cancel_1_a_dropped_first_store_leaves_nothing_or_the_whole_value(t: Trial) {
    let new = sized(2, 7_000);
    let mut points = Points::new(&t);
    let mut used = Vec::new();
    while let Some((times, place)) = points.next() {
        used.push(place.clone());
        let (ctx, Sealed { data, metadata }) = (context(&place), new.clone());
        let store = t.provider.store(&place.id, data, metadata, &ctx);
        let ended = polled(&t, Operation::Store, &place, store, times).await;
        let when = format!("after a first store dropped at poll {times}");
        is_one_of(&t, &place, &[None, Some(&new)], &when).await;
        let what = "cancel-1: after a dropped store the tree cannot be listed";
        let listed = good(t.list_tree(None, None).await, what, WHOLE);
        if let Some((stored, listed)) = moved(&used, &listed) {
            fail(
                &format!("tree-1: `{stored}` is listed as `{listed}`"),
                "give back exactly the scope and the id that were stored",
            );
        }
        if let Some(foreign) = listed.iter().find(|listed| !used.contains(listed)) {
            fail(
                &format!("cancel-1: a dropped store left `{foreign}`, which nobody stored, in the lists"),
                "keep temporary names out of lists",
            );
        }
        is_usable(&t, &place, &[Some(&new)]).await;
        points.after(ended, "store");
    }
}

pub(super) async fn cancel_1_a_dropped_delete_leaves_the_value_or_nothing(t: Trial) {
    let old = sized(1, 7_000);
    let mut points = Points::new(&t);
    while let Some((times, place)) = points.next() {
        t.keeps(&place, &old).await;
        let ctx = context(&place);
        let delete = t.provider.delete(&place.id, &ctx);
        let ended = polled(&t, Operation::Delete, &place, delete, times).await;
        let when = format!("after a delete dropped at poll {times}");
        is_one_of(&t, &place, &[Some(&old), None], &when).await;
        is_usable(&t, &place, &[None]).await;
        points.after(ended, "delete");
    }
}

pub(super) async fn cancel_1_a_dropped_read_leaves_everything_as_it_was(t: Trial) {
    let (place, old) = (path("org:a/key"), sized(1, 7_000));
    t.keeps(&place, &old).await;
    let (ctx, ids) = (context(&place), [place.id.clone()]);
    let mut points = Points::new(&t);
    while let Some((times, _)) = points.next() {
        let read = t.provider.retrieve(&place.id, &ctx);
        let ended = [
            polled(&t, Operation::Retrieve, &place, read, times).await.is_some(),
            polled(&t, Operation::Exists, &place, t.provider.exists(&place.id, &ctx), times).await.is_some(),
            polled(&t, Operation::List, &place, t.provider.list(None, &ctx), times).await.is_some(),
            polled(&t, Operation::ListTree, &place, t.provider.list_tree(None, &ctx), times).await.is_some(),
            polled(&t, Operation::RetrieveMany, &place, t.provider.retrieve_many(&ids, &ctx), times)
                .await
                .is_some(),
        ];
        t.holds(&place, &old, "a dropped read changes nothing").await;
        t.put(&place, &old).await;
        points.ended = ended == [true; 5];
    }
}

pub(super) async fn cancel_1_a_dropped_conditional_store_leaves_the_old_or_the_new_value(t: Trial) {
    let (old, new) = (sized(1, 7_000), sized(2, 40));
    let mut points = Points::new(&t);
    while let Some((times, place)) = points.next() {
        t.keeps(&place, &old).await;
        t.settle().await;
        let what = format!("the revision of `{place}` cannot be read");
        let revision = good(t.retrieve_versioned(&place).await, what, "give it").revision;
        let (ctx, Sealed { data, metadata }) = (context(&place), new.clone());
        let swap = t.compare_and_set().store_if(&place.id, data, metadata, Some(&revision), &ctx);
        let ended = polled(&t, Operation::StoreIf, &place, swap, times).await;
        let when = format!("after a conditional store dropped at poll {times}");
        is_one_of(&t, &place, &[Some(&old), Some(&new)], &when).await;
        // Its revision is no longer stored, so it cannot land any more.
        is_usable(&t, &place, &[]).await;
        points.after(ended, "store_if");
    }
}

pub(super) async fn cancel_1_a_dropped_recovery_leaves_it_recovered_or_recoverable(t: Trial) {
    let old = sized(1, 7_000);
    let mut points = Points::new(&t);
    while let Some((times, place)) = points.next() {
        t.keeps(&place, &old).await;
        t.remove(&place).await;
        t.lacks(&place, "a soft delete hides the credential").await;
        let ctx = context(&place);
        let recovery = t.soft_delete().recover(&place.id, &ctx);
        let ended = polled(&t, Operation::Recover, &place, recovery, times).await;
        let when = format!("after a recovery dropped at poll {times}");
        is_one_of(&t, &place, &[None, Some(&old)], &when).await;
        // Nothing to recover is right as well, where the dropped one has landed.
        match t.recover(&place).await {
            Err(error) if !error.is_not_found() => {
                fail(&format!("cancel-1: {when}, `{place}` cannot be recovered: {error}"), FREE);
            }
            _ => t.holds(&place, &old, WHOLE).await,
        }
        points.after(ended, "recover");
    }
}
