//! The `tracing` span and events of an operation. They contain names and numbers, never values or
//! text of the backend.

use std::time::Duration;

use cred_core::{Operation, StorageError, StorageErrorKind, StorageResult};
use tracing::Span;
use tracing::field::Empty;

use super::TargetRef;

const TARGET: &str = "cred::storage";

/// Opens the span of one operation. Without a subscriber for it, this costs one relaxed load.
pub(super) fn open(provider: &str, operation: Operation, target: TargetRef<'_>) -> Span {
    tracing::debug_span!(
        target: TARGET,
        "operation",
        provider,
        operation = operation.as_str(),
        scope = target.scope().map(tracing::field::display),
        id = target.id().map(tracing::field::display),
        attempts = Empty,
        outcome = Empty,
    )
}

pub(super) fn attempts(span: &Span, attempts: u32) {
    span.record("attempts", attempts);
}

pub(super) fn retry(error: &StorageError, delay: Duration) {
    tracing::debug!(target: TARGET, error = error_name(error.kind()), ?delay, "retry");
}

pub(super) fn close<T>(span: &Span, result: &StorageResult<T>) {
    span.record("outcome", result.as_ref().map_or_else(|error| error_name(error.kind()), |_| "ok"));
}

fn error_name(kind: &StorageErrorKind) -> &'static str {
    match kind {
        StorageErrorKind::NotFound => "not_found",
        StorageErrorKind::TooLarge { .. } => "too_large",
        StorageErrorKind::PermissionDenied { .. } => "permission_denied",
        StorageErrorKind::AuthenticationFailed { .. } => "authentication_failed",
        StorageErrorKind::Throttled { .. } => "throttled",
        StorageErrorKind::Unavailable { .. } => "unavailable",
        StorageErrorKind::Unreachable { .. } => "unreachable",
        StorageErrorKind::Timeout { .. } => "timeout",
        StorageErrorKind::InDoubt { .. } => "in_doubt",
        StorageErrorKind::Conflict { .. } => "conflict",
        StorageErrorKind::Corrupted { .. } => "corrupted",
        StorageErrorKind::DiskFull => "disk_full",
        StorageErrorKind::ReadOnly { .. } => "read_only",
        StorageErrorKind::InvalidRequest { .. } => "invalid_request",
        StorageErrorKind::RecoveredNotWritten { .. } => "recovered_not_written",
        StorageErrorKind::NotDurable { .. } => "not_durable",
        StorageErrorKind::Unsupported { .. } => "unsupported",
        StorageErrorKind::ShutDown => "shut_down",
        _ => "other",
    }
}
