//! A span for every operation, and its outcome for the metrics; never a value.

use cred_core::{CredentialId, ErrorClass};
use tracing::field::{Empty, display};
use tracing::{Instrument as _, Level, debug_span, enabled};

use crate::{CredentialManager, ManagerError};

/// Whether a subscriber listens at DEBUG, so that a cache hit is worth a span.
#[inline]
pub(crate) fn is_traced() -> bool {
    enabled!(Level::DEBUG)
}

/// The outcome of an operation in one word, and its error.
pub(crate) type Outcome<'a> = (&'static str, Option<&'a ManagerError>);

/// Runs an operation of a handle in a span with its scope, id and outcome.
pub(crate) async fn observe<T>(
    operation: &'static str,
    handle: &CredentialManager,
    id: Option<&CredentialId>,
    work: impl Future<Output = Result<T, ManagerError>>,
) -> Result<T, ManagerError> {
    observe_as(operation, handle, id, work, outcome).await
}

pub(crate) fn outcome<T>(result: &Result<T, ManagerError>) -> Outcome<'_> {
    match result {
        Ok(_) => ("ok", None),
        Err(error) => (outcome_of(error), Some(error)),
    }
}

/// The outcome of a failed operation in one word.
pub(crate) fn outcome_of(error: &ManagerError) -> &'static str {
    match error.class() {
        _ if error.may_have_written() => "in_doubt",
        ErrorClass::NotFound => "not_found",
        _ => "failed",
    }
}

/// The outcome of an operation on `all` items, of which those with an error are in `failures`, and
/// the first of these errors.
pub(crate) fn outcome_of_parts<'a>(
    all: usize,
    failures: impl Iterator<Item = &'a ManagerError>,
) -> Outcome<'a> {
    let (mut failed, mut in_doubt, mut first) = (0, false, None);
    for error in failures {
        failed += 1;
        in_doubt |= error.may_have_written();
        first = first.or(Some(error));
    }
    let outcome = match failed {
        0 => "ok",
        failed if failed < all => "partial",
        _ if in_doubt => "in_doubt",
        _ => "failed",
    };
    (outcome, first)
}

/// As [`observe`], for work whose output is not a plain result.
pub(crate) async fn observe_as<T>(
    operation: &'static str,
    handle: &CredentialManager,
    id: Option<&CredentialId>,
    work: impl Future<Output = T>,
    outcome: impl FnOnce(&T) -> Outcome<'_>,
) -> T {
    let span = debug_span!(
        "cred",
        operation,
        scope = Empty,
        id = Empty,
        cache = Empty,
        outcome = Empty,
        error = Empty
    );
    if let Some(scope) = handle.scope() {
        span.record("scope", scope.as_str());
    }
    if let Some(id) = id {
        span.record("id", id.as_str());
    }
    let meter = &handle.shared.meter;
    let started = meter.start();
    let result = work.instrument(span.clone()).await;
    let (outcome, error) = outcome(&result);
    span.record("outcome", outcome);
    if let Some(error) = error {
        span.record("error", display(error));
    }
    meter.ended(operation, outcome, error, started);
    result
}
