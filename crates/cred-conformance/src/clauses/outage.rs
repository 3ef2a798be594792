//! The errors of a provider while the backend is down.

use std::time::Duration;

use cred_core::{CredentialFilter, CredentialPath, Operation, Sealed, StorageError};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::error::{check_error_context, expect_error};
use crate::rule::fail;
use crate::trial::Trial;
use crate::value::{path, scope, value};

const NOT_ABSENT: &str = "report a credential as absent only if the backend itself reported that";

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
                "drop broken connections, and connect again at the next operation",
            );
        }
        sleep(Duration::from_millis(20)).await;
    }
}

async fn set(t: &Trial, down: bool) {
    if !t.harness.outage(down).await {
        fail(
            "offers: `outage` is declared, but `Harness::outage` returns false",
            "implement it, or remove the word from `offers`",
        );
    }
}

/// The provider is built while the backend is down and used once it is back.
pub(super) async fn describe_1_the_constructor_does_no_network_io(t: Trial) {
    let target = path("org:a/key");
    t.put_and_check(&target, &value(1)).await;
    begins(&t).await;
    let (built, mut tasks) = (t.clone(), JoinSet::new());
    tasks.spawn(async move { built.reopen().await });
    let Some(Ok(late)) = tasks.join_next().await else {
        fail(
            "describe-1: no second client could be built while the backend was down",
            "validate in the constructor and connect at the first use; `Harness::reopen` must only call the constructor",
        );
    };
    ends(&t).await;
    late.holds(&target, &value(1), "connect at the first use, and again after a failure").await;
}

fn no_absence<T>(result: Result<T, StorageError>, what: &str) {
    let error = expect_error(result, &format!("{what} in an outage"));
    if error.is_not_found() {
        fail(&format!("{what} reports an outage as absence: {error}"), NOT_ABSENT);
    }
}

pub(super) async fn retrieve_1_an_outage_is_not_reported_as_absence(t: Trial) {
    let target = path("org:a/key");
    t.put_and_check(&target, &value(1)).await;
    begins(&t).await;
    no_absence(t.retrieve(&target).await, "retrieve");
    no_absence(t.exists(&target).await, "exists");
    for answer in t.retrieve_many(target.scope.as_ref(), std::slice::from_ref(&target.id)).await {
        no_absence(answer, "retrieve_many");
    }
    if t.provider.compare_and_set().is_some() {
        no_absence(t.retrieve_versioned(&target).await, "retrieve_versioned");
    }
    ends(&t).await;
    t.holds(&target, &value(1), "work again once the backend does").await;
}

pub(super) async fn list_3_an_outage_is_not_reported_as_an_empty_list(t: Trial) {
    let target = path("org:a/key");
    t.put(&target, &value(1)).await;
    let here = Some(scope("org:a"));
    t.lists(here.as_ref(), None, std::slice::from_ref(&target.id), "list all stored credentials").await;
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
    t.lists(here.as_ref(), None, std::slice::from_ref(&target.id), "work again once the backend does").await;
}

pub(super) async fn error_1_an_error_in_an_outage_names_provider_operation_and_path(t: Trial) {
    let target = path("org:a/key");
    begins(&t).await;
    let failures = [
        (t.store(&target, &value(1)).await.err(), Operation::Store),
        (t.retrieve(&target).await.err(), Operation::Retrieve),
        (t.delete(&target).await.err(), Operation::Delete),
        (t.exists(&target).await.err(), Operation::Exists),
    ];
    for (error, operation) in failures {
        match error {
            Some(error) => check_error_context(&t, &error, &[operation], &target),
            None => fail(
                &format!("{operation} returns Ok in an outage"),
                "return Ok only for an operation that the backend confirmed",
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
                &format!("error-1: a failed {operation} does not name the provider and the operation"),
                "call `StorageError::at` in one place, for every error that an operation returns",
            );
        }
    }
    ends(&t).await;
}

pub(super) async fn error_2_writes_in_an_outage_correctly_report_whether_they_took_effect(t: Trial) {
    let targets = ["org:a/stored", "org:a/deleted", "org:a/swapped"].map(path);
    for target in &targets {
        t.put_and_check(target, &value(1)).await;
    }
    let [stored, deleted, swapped] = targets;
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
    report_is_correct(&t, &stored, store, Some(value(2))).await;
    report_is_correct(&t, &deleted, delete, None).await;
    if let Some(swap) = swap {
        report_is_correct(&t, &swapped, swap.map(drop), Some(value(2))).await;
    }
    // At another path, since a store with an unknown outcome may still take effect at its own.
    let fresh = path("org:a/fresh");
    t.put(&fresh, &value(3)).await;
    t.holds(&fresh, &value(3), "work again once the backend does").await;
}

/// Checks the result of a write of `wanted` over value 1 against the stored value.
async fn report_is_correct(
    t: &Trial,
    target: &CredentialPath,
    result: Result<(), StorageError>,
    wanted: Option<Sealed>,
) {
    t.wait_until_visible().await;
    let found = t.read_once(target, "after the outage", "work again").await;
    let old = Some(value(1));
    let is_correct = match &result {
        Ok(()) => found == wanted,
        Err(error) if error.may_have_written() => found == wanted || found == old,
        Err(_) => found == old,
    };
    if !is_correct {
        let reported = result.err().map_or_else(|| "Ok".to_owned(), |error| error.to_string());
        fail(
            &format!(
                "error-2: the value stored at `{target}` after the outage contradicts the result of the write: {reported}"
            ),
            "return Ok only for a write that the backend confirmed, and a definite kind only if nothing can have been \
             written; else Unavailable, Timeout or InDoubt",
        );
    }
}
