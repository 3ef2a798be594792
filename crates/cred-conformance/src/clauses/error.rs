//! error-1, error-2 and error-4: the context of errors, and the data that must never be printed.

use cred_core::{CredentialFilter, CredentialPath, Operation, Sealed, StorageError, Tags};

use crate::leak::leak;
use crate::rule::fail;
use crate::trial::Trial;
use crate::value::{path, sized, value};

const ADD_CONTEXT: &str =
    "call `StorageError::at(name, operation, path)` in one place, for every error that an operation returns";
const PRINT_NOTHING: &str =
    "write `Debug` by hand and keep values out of errors; reduce an SDK's error to its kind";

/// Fails unless the error names the provider, one of the operations, and the path.
pub(super) fn check_error_context(
    t: &Trial,
    error: &StorageError,
    operations: &[Operation],
    target: &CredentialPath,
) {
    let expected = operations.iter().map(|operation| operation.as_str()).collect::<Vec<_>>().join(" or ");
    let asked = error.operation().filter(|operation| operations.contains(operation));
    let problem = match (error.provider(), asked, error.path()) {
        (Some(provider), Some(_), Some(path)) if *provider == *t.description.name && path == target => return,
        (None, ..) => "names no provider, operation and path".to_owned(),
        (Some(provider), Some(_), _) if *provider == *t.description.name => {
            format!("names {:?} instead of `{target}`", error.target())
        }
        (Some(provider), ..) if *provider == *t.description.name => {
            format!("names the operation {:?} instead of {expected}", error.operation())
        }
        (Some(provider), ..) => {
            format!("names the provider `{provider}` instead of `{}`", t.description.name)
        }
    };
    fail(&format!("error-1: an error of {expected} {problem}: {error}"), ADD_CONTEXT);
}

/// Returns the error of a call that must fail.
pub(super) fn expect_error<T>(result: Result<T, StorageError>, what: &str) -> StorageError {
    match result {
        Err(error) => error,
        Ok(_) => fail(&format!("{what} succeeded, but must fail"), "return an error"),
    }
}

pub(super) async fn error_1_a_not_found_error_names_provider_operation_and_path(t: Trial) {
    for target in ["key", "org:a/key", "org:a/team:x/key"].map(path) {
        let error = expect_error(t.retrieve(&target).await, "a read of an absent credential");
        check_error_context(&t, &error, &[Operation::Retrieve], &target);
        for error in t.retrieve_many(target.scope.as_ref(), std::slice::from_ref(&target.id)).await {
            let error = expect_error(error, "a read of an absent credential");
            check_error_context(&t, &error, &[Operation::Retrieve, Operation::RetrieveMany], &target);
        }
    }
}

pub(super) async fn error_1_a_too_large_error_names_provider_operation_and_path(t: Trial) {
    let target = path("org:a/key");
    let error = expect_error(t.store(&target, &oversize(&t)).await, "a store of an oversize payload");
    check_error_context(&t, &error, &[Operation::Store], &target);
}

pub(super) async fn error_1_a_conflict_names_provider_operation_and_path(t: Trial) {
    let target = path("org:a/key");
    let error = expect_error(t.retrieve_versioned(&target).await, "a read of an absent credential");
    check_error_context(&t, &error, &[Operation::RetrieveVersioned], &target);
    t.put(&target, &value(1)).await;
    t.wait_until_visible().await;
    let error = expect_error(
        t.store_if(&target, &value(2), None).await,
        "a conditional store without a revision over an existing credential",
    );
    check_error_context(&t, &error, &[Operation::StoreIf], &target);
}

pub(super) async fn error_1_a_failed_recovery_names_provider_operation_and_path(t: Trial) {
    let target = path("org:a/key");
    let error = expect_error(t.recover(&target).await, "a recovery of an absent credential");
    check_error_context(&t, &error, &[Operation::Recover], &target);
}

pub(super) async fn error_2_a_refused_store_correctly_reports_that_nothing_was_written(t: Trial) {
    let target = path("org:a/key");
    t.put_and_check(&target, &value(1)).await;
    let mut refusals = vec![t.store(&target, &oversize(&t)).await];
    if t.provider.compare_and_set().is_some() {
        refusals.push(t.store_if(&target, &oversize(&t), None).await.map(drop));
        refusals.push(t.store_if(&target, &value(2), None).await.map(drop));
    }
    for refusal in refusals {
        let error = expect_error(refusal, "a store that must be refused");
        if error.may_have_written() {
            fail(
                &format!(
                    "error-2: a store was refused before anything was sent, but its error reports that it may have \
                     written: {error}"
                ),
                "return the kind of the refusal itself: TooLarge, Conflict, InvalidRequest",
            );
        }
        t.wait_until_visible().await;
        t.holds(&target, &value(1), "an error that reports that nothing was written must be true").await;
    }
}

fn oversize(t: &Trial) -> Sealed {
    sized(9, t.description.limits.max_payload_len.unwrap_or(0) + 64)
}

pub(super) async fn error_4_debug_and_errors_never_print_stored_data(t: Trial) {
    const CANARY: &[u8] = b"sealed-canary-51c07e9d2b";
    let Sealed { mut data, mut metadata } = value(3);
    data.ciphertext = CANARY.repeat(4);
    metadata.tags = Tags::new();
    let target = path("org:a/key");
    t.put(&target, &Sealed::new(data.clone(), metadata.clone())).await;
    let mut printed = vec![format!("{:?}", t.provider), format!("{:#?}", t.provider)];
    printed.extend(errors(&t).await);
    // If there is a limit, the error for a value that exceeds it must not print that value.
    if let Some(limit) = t.description.limits.max_payload_len {
        data.ciphertext = CANARY.repeat(limit / CANARY.len() + 3);
        printed.extend(t.store(&path("org:a/large"), &Sealed { data, metadata }).await.err().map(texts));
    }
    t.remove(&target).await;
    printed.push(format!("{:?}", t.provider));
    for text in printed {
        if let Some(how) = leak(&text, CANARY) {
            fail(&format!("error-4: stored data is printed {how}: {text:.200}"), PRINT_NOTHING);
        }
    }
}

pub(super) async fn error_4_debug_and_errors_never_print_backend_credentials(t: Trial) {
    let secrets = t.harness.backend_secrets();
    let mut printed = vec![format!("{:?}", t.provider), format!("{:#?}", t.description)];
    printed.extend(errors(&t).await);
    t.put(&path("org:a/key"), &value(1)).await;
    if t.harness.outage(true).await {
        printed.extend(errors(&t).await);
        t.harness.outage(false).await;
    }
    printed.push(format!("{:#?}", t.provider));
    for text in printed {
        for secret in &secrets {
            if let Some(how) = leak(&text, secret.as_bytes()) {
                // This message does not print it either: a test's output ends in a log.
                fail(&format!("error-4: a backend credential is printed {how}"), PRINT_NOTHING);
            }
        }
    }
}

/// The text of errors that are easy to provoke.
async fn errors(t: &Trial) -> Vec<String> {
    let target = path("org:a/absent");
    let mut found = Vec::new();
    found.extend(t.retrieve(&target).await.err());
    found.extend(t.exists(&target).await.err());
    found.extend(t.list(None, Some(&CredentialFilter::new().with_tag("a", "b"))).await.err());
    found.extend(
        t.retrieve_many(None, std::slice::from_ref(&target.id)).await.into_iter().filter_map(Result::err),
    );
    if t.provider.compare_and_set().is_some() {
        let taken = path("org:a/key");
        found.extend(t.store_if(&taken, &value(1), None).await.err());
    }
    if t.provider.soft_delete().is_some() {
        found.extend(t.recover(&target).await.err());
    }
    found.into_iter().map(texts).collect()
}

fn texts(error: StorageError) -> String {
    let mut text = format!("{error} {error:?} {error:#?}");
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text.push_str(&format!(" {error} {error:?}"));
        cause = error.source();
    }
    text
}
