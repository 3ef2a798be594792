//! A span and, with the feature `metrics`, counters for every operation; never a value.

use cred_core::{CredentialId, ScopeId};
use tracing::field::{Empty, display};
use tracing::{Instrument as _, Level, Span, debug_span, enabled};

use crate::ManagerError;

/// Whether somebody looks, so that a cache hit is worth a span.
#[inline]
pub(crate) fn is_watched() -> bool {
    enabled!(Level::DEBUG)
}

/// Counts a cache hit that nobody watches: such a hit is not worth a look at the clock.
#[inline]
pub(crate) fn hit_unwatched() {
    #[cfg(feature = "metrics")]
    {
        metrics::counter!("cred_operations_total", "operation" => "retrieve", "outcome" => "ok").increment(1);
        metrics::counter!("cred_cache_total", "result" => "hit").increment(1);
    }
}

/// How an operation ended, in a word, and the error that says more.
type Outcome<'a> = (&'static str, Option<&'a ManagerError>);

/// Runs an operation in a span with its scope, id and outcome.
pub(crate) async fn observe<T>(
    operation: &'static str,
    scope: Option<&ScopeId>,
    id: Option<&CredentialId>,
    work: impl Future<Output = Result<T, ManagerError>>,
) -> Result<T, ManagerError> {
    observe_as(operation, scope, id, work, outcome).await
}

pub(crate) fn outcome<T>(result: &Result<T, ManagerError>) -> Outcome<'_> {
    match result {
        Ok(_) => ("ok", None),
        Err(error) => (outcome_of(error), Some(error)),
    }
}

fn outcome_of(error: &ManagerError) -> &'static str {
    if error.may_have_written() { "in_doubt" } else { "failed" }
}

/// The outcome of what has so many parts, each with an answer of its own, and these failures among them.
pub(crate) fn outcome_of_parts<'a>(
    all: usize,
    failures: impl Iterator<Item = &'a ManagerError>,
) -> &'static str {
    let (mut failed, mut in_doubt) = (0, false);
    for error in failures {
        failed += 1;
        in_doubt |= error.may_have_written();
    }
    match failed {
        0 => "ok",
        failed if failed < all => "partial",
        _ if in_doubt => "in_doubt",
        _ => "failed",
    }
}

/// As [`observe`], for what is no plain result.
pub(crate) async fn observe_as<T>(
    operation: &'static str,
    scope: Option<&ScopeId>,
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
    if let Some(scope) = scope {
        span.record("scope", scope.as_str());
    }
    if let Some(id) = id {
        span.record("id", id.as_str());
    }
    #[cfg(feature = "metrics")]
    let started = tokio::time::Instant::now();
    let result = work.instrument(span.clone()).await;
    let (outcome, error) = outcome(&result);
    span.record("outcome", outcome);
    if let Some(error) = error {
        span.record("error", display(error));
    }
    #[cfg(feature = "metrics")]
    {
        metrics::counter!("cred_operations_total", "operation" => operation, "outcome" => outcome)
            .increment(1);
        metrics::histogram!("cred_operation_seconds", "operation" => operation)
            .record(started.elapsed().as_secs_f64());
    }
    result
}

/// Counts an operation that failed after its caller left.
#[cfg_attr(not(feature = "metrics"), expect(unused_variables, reason = "nobody counts"))]
pub(crate) fn failure_counted(operation: &'static str, error: &ManagerError) {
    #[cfg(feature = "metrics")]
    {
        let outcome = outcome_of(error);
        metrics::counter!("cred_operations_total", "operation" => operation, "outcome" => outcome)
            .increment(1);
    }
}

/// Says in the current operation's span what the cache did.
pub(crate) fn cache_said(what: &'static str) {
    Span::current().record("cache", what);
    cache_counted(what);
}

/// Counts what the cache did for one of many.
#[cfg_attr(not(feature = "metrics"), expect(unused_variables, reason = "nobody counts"))]
pub(crate) fn cache_counted(what: &'static str) {
    #[cfg(feature = "metrics")]
    metrics::counter!("cred_cache_total", "result" => what).increment(1);
}
