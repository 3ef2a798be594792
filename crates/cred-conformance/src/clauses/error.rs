//! error-1, error-2 and error-4: what an error says, and what nothing may print.

use cred_core::{CredentialFilter, CredentialPath, Operation, Sealed, StorageError, Tags};

use crate::leak::leak;
use crate::rule::fail;
use crate::trial::Trial;
use crate::value::{path, sized, value};

const SAY_WHERE: &str =
    "call `StorageError::at(name, operation, path)` in one place, for whatever an operation answers";
const SILENT: &str = "write `Debug` by hand and keep values out of errors; reduce an SDK's error to its kind";

pub(super) fn says_where(t: &Trial, error: &StorageError, operations: &[Operation], place: &CredentialPath) {
    let expected = operations.iter().map(|operation| operation.as_str()).collect::<Vec<_>>().join(" or ");
    let asked = error.operation().filter(|operation| operations.contains(operation));
    let problem = match (error.provider(), asked, error.path()) {
        (Some(provider), Some(_), Some(path)) if *provider == *t.description.name && path == place => return,
        (None, ..) => "says neither provider nor operation nor path".to_owned(),
        (Some(provider), Some(_), _) if *provider == *t.description.name => {
            format!("names {:?} where it is about `{place}`", error.target())
        }
        (Some(provider), ..) if *provider == *t.description.name => {
            format!("names the operation {:?} where {expected} was asked", error.operation())
        }
        (Some(provider), ..) => {
            format!("names the provider `{provider}`, which calls itself `{}`", t.description.name)
        }
    };
    fail(&format!("error-1: an error of {expected} {problem}: {error}"), SAY_WHERE);
}

/// The refusal of what must fail.
pub(super) fn refused<T>(result: Result<T, StorageError>, what: &str) -> StorageError {
    match result {
        Err(error) => error,
        Ok(_) => fail(&format!("{what} was taken"), "refuse it"),
    }
}

pub(super) async fn error_1_an_absence_names_provider_operation_and_path(t: Trial) {
    for place in ["key", "org:a/key", "org:a/team:x/key"].map(path) {
        let error = refused(t.retrieve(&place).await, "a read of nothing");
        says_where(&t, &error, &[Operation::Retrieve], &place);
        for error in t.retrieve_many(place.scope.as_ref(), std::slice::from_ref(&place.id)).await {
            let error = refused(error, "a read of nothing");
            says_where(&t, &error, &[Operation::Retrieve, Operation::RetrieveMany], &place);
        }
    }
}

pub(super) async fn error_1_a_refusal_of_size_names_provider_operation_and_path(t: Trial) {
    let place = path("org:a/key");
    let error = refused(t.store(&place, &oversize(&t)).await, "an oversize payload");
    says_where(&t, &error, &[Operation::Store], &place);
}

pub(super) async fn error_1_a_conflict_names_provider_operation_and_path(t: Trial) {
    let place = path("org:a/key");
    let error = refused(t.retrieve_versioned(&place).await, "a read of nothing");
    says_where(&t, &error, &[Operation::RetrieveVersioned], &place);
    t.put(&place, &value(1)).await;
    t.settle().await;
    let error = refused(t.store_if(&place, &value(2), None).await, "a store of something new over something");
    says_where(&t, &error, &[Operation::StoreIf], &place);
}

pub(super) async fn error_1_a_failed_recovery_names_provider_operation_and_path(t: Trial) {
    let place = path("org:a/key");
    let error = refused(t.recover(&place).await, "a recovery of nothing");
    says_where(&t, &error, &[Operation::Recover], &place);
}

pub(super) async fn error_2_a_refused_store_says_truly_that_nothing_was_written(t: Trial) {
    let place = path("org:a/key");
    t.keeps(&place, &value(1)).await;
    let mut refusals = vec![t.store(&place, &oversize(&t)).await];
    if t.provider.compare_and_set().is_some() {
        refusals.push(t.store_if(&place, &oversize(&t), None).await.map(drop));
        refusals.push(t.store_if(&place, &value(2), None).await.map(drop));
    }
    for refusal in refusals {
        let error = refused(refusal, "what cannot be stored");
        if error.may_have_written() {
            fail(
                &format!(
                    "error-2: a refusal before anything was sent leaves in doubt whether it was written: {error}"
                ),
                "answer the kind of the refusal itself: TooLarge, Conflict, InvalidRequest",
            );
        }
        t.settle().await;
        t.holds(&place, &value(1), "an error that denies having written must not have written").await;
    }
}

fn oversize(t: &Trial) -> Sealed {
    sized(9, t.description.limits.max_payload_len.unwrap_or(0) + 64)
}

pub(super) async fn error_4_nothing_prints_what_is_kept(t: Trial) {
    const CANARY: &[u8] = b"sealed-canary-51c07e9d2b";
    let Sealed { mut data, mut metadata } = value(3);
    data.ciphertext = CANARY.repeat(4);
    metadata.tags = Tags::new();
    let place = path("org:a/key");
    t.put(&place, &Sealed::new(data.clone(), metadata.clone())).await;
    let mut printed = vec![format!("{:?}", t.provider), format!("{:#?}", t.provider)];
    printed.extend(errors(&t).await);
    // Where there is a limit, the refusal of a value must not print that value.
    if let Some(limit) = t.description.limits.max_payload_len {
        data.ciphertext = CANARY.repeat(limit / CANARY.len() + 3);
        printed.extend(t.store(&path("org:a/large"), &Sealed { data, metadata }).await.err().map(texts));
    }
    t.remove(&place).await;
    printed.push(format!("{:?}", t.provider));
    for text in printed {
        if let Some(how) = leak(&text, CANARY) {
            fail(&format!("error-4: what is kept is printed {how}: {text:.200}"), SILENT);
        }
    }
}

pub(super) async fn error_4_nothing_prints_the_backend_credentials(t: Trial) {
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
                // Not even here is it printed: a test's output ends in a log.
                fail(&format!("error-4: a backend credential is printed {how}"), SILENT);
            }
        }
    }
}

/// What the easily made errors print.
async fn errors(t: &Trial) -> Vec<String> {
    let place = path("org:a/absent");
    let mut found = Vec::new();
    found.extend(t.retrieve(&place).await.err());
    found.extend(t.exists(&place).await.err());
    found.extend(t.list(None, Some(&CredentialFilter::new().with_tag("a", "b"))).await.err());
    found.extend(
        t.retrieve_many(None, std::slice::from_ref(&place.id)).await.into_iter().filter_map(Result::err),
    );
    if t.provider.compare_and_set().is_some() {
        let taken = path("org:a/key");
        found.extend(t.store_if(&taken, &value(1), None).await.err());
    }
    if t.provider.soft_delete().is_some() {
        found.extend(t.recover(&place).await.err());
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
