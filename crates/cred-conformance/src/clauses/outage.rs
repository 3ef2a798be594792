//! What is told while the backend is down.

use std::time::Duration;

use cred_core::{CredentialFilter, CredentialPath, Operation, Sealed, StorageError};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::error::{refused, says_where};
use crate::rule::fail;
use crate::trial::Trial;
use crate::value::{path, scope, value};

const NOT_ABSENT: &str = "say that something is absent only where the backend itself said so";

async fn begins(t: &Trial) {
    set(t, true).await;
}

/// Brings the backend back and waits until the provider has noticed.
async fn ends(t: &Trial) {
    set(t, false).await;
    recovers(t).await;
}

/// Waits until the provider works again, for as long as one operation may take.
pub(super) async fn recovers(t: &Trial) {
    let deadline = Instant::now() + t.description.operation_timeout;
    while let Err(error) = t.exists(&path("org:a/key")).await {
        if Instant::now() >= deadline {
            fail(
                &format!("the backend is back, and the provider still fails: {error}"),
                "drop connections that broke, and try anew with the next operation",
            );
        }
        sleep(Duration::from_millis(20)).await;
    }
}

async fn set(t: &Trial, down: bool) {
    if !t.harness.outage(down).await {
        fail(
            "offers: `outage` is declared, but `Harness::outage` says that it cannot",
            "write it, or take the word away",
        );
    }
}

/// Built while the backend is down, used when it is back.
pub(super) async fn describe_1_a_constructor_touches_no_network(t: Trial) {
    let place = path("org:a/key");
    t.keeps(&place, &value(1)).await;
    begins(&t).await;
    let (built, mut tasks) = (t.clone(), JoinSet::new());
    tasks.spawn(async move { built.reopen().await });
    let Some(Ok(late)) = tasks.join_next().await else {
        fail(
            "describe-1: no second client could be built while the backend was down",
            "validate in the constructor and connect at the first use; `Harness::reopen` calls the constructor alone",
        );
    };
    ends(&t).await;
    late.holds(&place, &value(1), "connect at the first use, and again after a failure").await;
}

fn no_absence<T>(result: Result<T, StorageError>, what: &str) {
    let error = refused(result, &format!("{what} in an outage"));
    if error.is_not_found() {
        fail(&format!("an outage is told as absence by {what}: {error}"), NOT_ABSENT);
    }
}

pub(super) async fn retrieve_1_an_outage_is_not_told_as_absence(t: Trial) {
    let place = path("org:a/key");
    t.keeps(&place, &value(1)).await;
    begins(&t).await;
    no_absence(t.retrieve(&place).await, "retrieve");
    no_absence(t.exists(&place).await, "exists");
    for answer in t.retrieve_many(place.scope.as_ref(), std::slice::from_ref(&place.id)).await {
        no_absence(answer, "retrieve_many");
    }
    if t.provider.compare_and_set().is_some() {
        no_absence(t.retrieve_versioned(&place).await, "retrieve_versioned");
    }
    ends(&t).await;
    t.holds(&place, &value(1), "work again when the backend does").await;
}

pub(super) async fn list_3_an_outage_is_not_told_as_an_empty_list(t: Trial) {
    let place = path("org:a/key");
    t.put(&place, &value(1)).await;
    let here = Some(scope("org:a"));
    t.lists(here.as_ref(), None, std::slice::from_ref(&place.id), "list what is stored").await;
    begins(&t).await;
    let filter = CredentialFilter::new().with_tag("number", "1");
    for filter in [None, Some(&filter)] {
        no_absence(t.list(here.as_ref(), filter).await, "list");
        no_absence(t.list_tree(None, filter).await, "list_tree");
    }
    if t.provider.soft_delete().is_some() {
        no_absence(t.list_deleted(here.as_ref()).await, "list_deleted");
    }
    ends(&t).await;
    t.lists(here.as_ref(), None, std::slice::from_ref(&place.id), "work again when the backend does").await;
}

pub(super) async fn error_1_an_outage_names_provider_operation_and_path(t: Trial) {
    let place = path("org:a/key");
    begins(&t).await;
    let failures = [
        (t.store(&place, &value(1)).await.err(), Operation::Store),
        (t.retrieve(&place).await.err(), Operation::Retrieve),
        (t.delete(&place).await.err(), Operation::Delete),
        (t.exists(&place).await.err(), Operation::Exists),
    ];
    for (error, operation) in failures {
        match error {
            Some(error) => says_where(&t, &error, &[operation], &place),
            None => fail(
                &format!("{operation} answers Ok in an outage"),
                "answer Ok only what the backend confirmed",
            ),
        }
    }
    for (error, operation) in [
        (t.list(None, None).await.err(), Operation::List),
        (t.list_tree(None, None).await.err(), Operation::ListTree),
    ] {
        let named = error.as_ref().is_some_and(|error| {
            error.provider() == Some(&t.description.name) && error.operation() == Some(operation)
        });
        if !named {
            fail(
                &format!("error-1: a failed {operation} does not name provider and operation"),
                "call `StorageError::at` in one place, for whatever an operation answers",
            );
        }
    }
    ends(&t).await;
}

pub(super) async fn error_2_what_fails_in_an_outage_tells_truly_whether_it_wrote(t: Trial) {
    let places = ["org:a/stored", "org:a/deleted", "org:a/swapped"].map(path);
    for place in &places {
        t.keeps(place, &value(1)).await;
    }
    let [stored, deleted, swapped] = places;
    let revision = match t.provider.compare_and_set() {
        Some(_) => t.retrieve_versioned(&swapped).await.ok().map(|found| found.revision),
        None => None,
    };
    begins(&t).await;
    let store = t.store(&stored, &value(2)).await;
    let delete = t.delete(&deleted).await;
    let swap = match &revision {
        Some(revision) => Some(t.store_if(&swapped, &value(2), Some(revision)).await),
        None => None,
    };
    ends(&t).await;
    told_truly(&t, &stored, store, Some(value(2))).await;
    told_truly(&t, &deleted, delete, None).await;
    if let Some(swap) = swap {
        told_truly(&t, &swapped, swap.map(drop), Some(value(2))).await;
    }
    // Elsewhere: a store that was left in doubt may still land where it was meant for.
    let fresh = path("org:a/fresh");
    t.put(&fresh, &value(3)).await;
    t.holds(&fresh, &value(3), "work again when the backend does").await;
}

/// The write of `wanted` over value 1 was answered so: what is stored must agree.
async fn told_truly(
    t: &Trial,
    place: &CredentialPath,
    answer: Result<(), StorageError>,
    wanted: Option<Sealed>,
) {
    t.settle().await;
    let found = t.found(place, "after the outage", "work again").await;
    let old = Some(value(1));
    let truth = match &answer {
        Ok(()) => found == wanted,
        Err(error) if error.may_have_written() => found == wanted || found == old,
        Err(_) => found == old,
    };
    if !truth {
        let said = answer.err().map_or_else(|| "Ok".to_owned(), |error| error.to_string());
        fail(
            &format!(
                "error-2: what is stored at `{place}` after the outage is not what the answer said: {said}"
            ),
            "answer Ok only what the backend confirmed, and a definite kind only where nothing can have been written; \
             else Unavailable, Timeout or InDoubt",
        );
    }
}
