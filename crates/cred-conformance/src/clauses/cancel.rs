//! cancel-1: futures that are dropped at every point where they wait.

use std::future::{Future, poll_fn};
use std::task::Poll;

use cred_core::{CredentialPath, StorageError, Stored};

use crate::trial::{Trial, fail};
use crate::value::{context, path, sized};

const WHOLE: &str =
    "change what is visible in one step, or finish the change in a task that outlives the caller";
const FREE: &str = "release locks and permits by guards that a dropped future drops as well";

/// Polls `future` so many times and drops it; its answer, if it had one by then.
async fn polled<T>(future: impl Future<Output = T>, mut times: usize) -> Option<T> {
    if times == 0 {
        return None;
    }
    let mut future = Box::pin(future);
    poll_fn(|context| {
        times -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            Poll::Pending if times == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// What the clause found stored at a place: any of these may be.
async fn is_one_of(t: &Trial, place: &CredentialPath, allowed: &[Option<&Stored>], when: &str) {
    let found = match t.retrieve(place).await {
        Ok(found) => Some(found),
        Err(error) if error.is_not_found() => None,
        Err(error) => fail(&format!("cancel-1: {when}, `{place}` cannot be read: {error}"), WHOLE),
    };
    if !allowed.contains(&found.as_ref()) {
        let what = if found.is_some() { "a value that nobody wrote, or an older one" } else { "nothing" };
        fail(&format!("cancel-1: {when}, {what} is stored at `{place}`"), WHOLE);
    }
    let there = t.is_there(place).await;
    if !allowed.iter().any(|value| value.is_some() == there) {
        fail(&format!("cancel-1: {when}, exists says {there}"), WHOLE);
    }
}

/// Stores and deletes the place again, in time: a lock that the dropped future held would be in the way.
async fn is_usable(t: &Trial, place: &CredentialPath, allowed: &[Option<&Stored>]) {
    let last = sized(4, 30);
    if let Err(error) = t.store(place, &last).await {
        fail(&format!("cancel-1: after a dropped future, a store of `{place}` fails: {error}"), FREE);
    }
    // The dropped write may still land after this one; then it landed whole.
    t.settle().await;
    let allowed: Vec<_> = allowed.iter().copied().chain([Some(&last)]).collect();
    is_one_of(t, place, &allowed, "after a later store").await;
}

pub(super) async fn cancel_1_a_dropped_store_leaves_the_old_or_the_new_value(t: Trial) {
    let (old, new) = (sized(1, 7_000), sized(2, 40));
    for times in 0..t.effort.rounds {
        let place = path(&format!("org:a/key-{times}"));
        t.put(&place, &old).await;
        t.holds(&place, &old, "give back what was stored").await;
        let (ctx, (data, metadata)) = (context(&place), new.clone());
        let ended = polled(t.provider.store(&place.id, data, metadata, &ctx), times).await;
        let allowed = [Some(&old), Some(&new)];
        is_one_of(&t, &place, &allowed, &format!("after a store dropped at poll {times}")).await;
        is_usable(&t, &place, &allowed).await;
        if done(ended, "store") {
            return;
        }
    }
}

pub(super) async fn cancel_1_a_dropped_first_store_leaves_nothing_or_the_whole_value(t: Trial) {
    let new = sized(2, 7_000);
    for times in 0..t.effort.rounds {
        let place = path(&format!("org:a/key-{times}"));
        let (ctx, (data, metadata)) = (context(&place), new.clone());
        let ended = polled(t.provider.store(&place.id, data, metadata, &ctx), times).await;
        let allowed = [None, Some(&new)];
        is_one_of(&t, &place, &allowed, &format!("after a first store dropped at poll {times}")).await;
        let listed = t.list_tree(None, None).await.unwrap_or_else(|error| {
            fail(&format!("cancel-1: after a dropped store the tree cannot be listed: {error}"), WHOLE)
        });
        if let Some(foreign) = listed.iter().find(|listed| !listed.id.as_str().starts_with("key-")) {
            fail(
                &format!("cancel-1: a dropped store left `{foreign}` in the lists"),
                "keep temporary names out of lists",
            );
        }
        is_usable(&t, &place, &allowed).await;
        if done(ended, "store") {
            return;
        }
    }
}

pub(super) async fn cancel_1_a_dropped_delete_leaves_the_value_or_nothing(t: Trial) {
    let old = sized(1, 7_000);
    for times in 0..t.effort.rounds {
        let place = path(&format!("org:a/key-{times}"));
        t.put(&place, &old).await;
        t.holds(&place, &old, "give back what was stored").await;
        let ctx = context(&place);
        let ended = polled(t.provider.delete(&place.id, &ctx), times).await;
        let allowed = [Some(&old), None];
        is_one_of(&t, &place, &allowed, &format!("after a delete dropped at poll {times}")).await;
        is_usable(&t, &place, &allowed).await;
        if done(ended, "delete") {
            return;
        }
    }
}

pub(super) async fn cancel_1_a_dropped_read_leaves_everything_as_it_was(t: Trial) {
    let (place, old) = (path("org:a/key"), sized(1, 7_000));
    t.put(&place, &old).await;
    t.holds(&place, &old, "give back what was stored").await;
    let ctx = context(&place);
    for times in 0..t.effort.rounds {
        let ended = [
            polled(t.provider.retrieve(&place.id, &ctx), times).await.is_some(),
            polled(t.provider.exists(&place.id, &ctx), times).await.is_some(),
            polled(t.provider.list(None, &ctx), times).await.is_some(),
            polled(t.provider.list_tree(None, &ctx), times).await.is_some(),
        ];
        t.holds(&place, &old, "a dropped read changes nothing").await;
        t.put(&place, &old).await;
        if ended == [true; 4] {
            return;
        }
    }
}

pub(super) async fn cancel_1_a_dropped_conditional_store_leaves_the_old_or_the_new_value(t: Trial) {
    let (old, new) = (sized(1, 7_000), sized(2, 40));
    for times in 0..t.effort.rounds {
        let place = path(&format!("org:a/key-{times}"));
        t.put(&place, &old).await;
        t.holds(&place, &old, "give back what was stored").await;
        t.settle().await;
        let revision = match t.retrieve_with_revision(&place).await {
            Ok((_, revision)) => revision,
            Err(error) => fail(&format!("the revision of `{place}` cannot be read: {error}"), "give it"),
        };
        let (ctx, (data, metadata)) = (context(&place), new.clone());
        let swap = t.compare_and_set().store_if(&place.id, data, metadata, Some(&revision), &ctx);
        let ended = polled(swap, times).await;
        let allowed = [Some(&old), Some(&new)];
        is_one_of(&t, &place, &allowed, &format!("after a conditional store dropped at poll {times}")).await;
        is_usable(&t, &place, &allowed).await;
        if done(ended, "store_if") {
            return;
        }
    }
}

/// Whether the future ended before it was to be dropped: then there are no more points to drop it at.
fn done<T>(ended: Option<Result<T, StorageError>>, operation: &str) -> bool {
    match ended {
        None => false,
        Some(Ok(_)) => true,
        Some(Err(error)) => {
            fail(&format!("{operation} failed, though nothing was in its way: {error}"), "let it work")
        }
    }
}
