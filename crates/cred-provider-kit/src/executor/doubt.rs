//! The possible effects of the writes of an operation, and the errors that the operation may
//! therefore end with.

use std::borrow::Cow;
use std::sync::Arc;

use cred_core::{StorageError, StorageErrorKind};

use super::{AttemptError, WriteEffect};

/// The effect of the write calls of one operation so far.
#[derive(Debug)]
pub(super) enum WriteState {
    /// Nothing was written, provably.
    Nothing,
    /// Something was written: a write call returned `Ok`.
    Something,
    /// It is unknown whether something was written, with the reason.
    Unknown(Cow<'static, str>),
}

impl WriteState {
    pub(super) fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown(_))
    }

    /// Marks a write attempt as sent. Until its result is [recorded](WriteState::record), the
    /// outcome is unknown, even if the attempt is dropped. Returns the previous state.
    pub(super) fn begin_attempt(&mut self) -> Self {
        std::mem::replace(
            self,
            Self::Unknown(Cow::Borrowed("the write was interrupted before the backend answered")),
        )
    }

    /// Records the result of the write attempt number `attempt`, which was sent in the state
    /// `before`. The first ambiguity is the reported one, and it stays: after a later success of
    /// the same call, the operation only fails if another call fails.
    pub(super) fn record<T, E: AttemptError>(&mut self, before: Self, attempt: u32, result: &Result<T, E>) {
        *self = match (before, result) {
            (before @ Self::Unknown(_), _) => before,
            (_, Ok(_)) => Self::Something,
            (before, Err(error)) => match error.write_effect() {
                WriteEffect::NotWritten => before,
                WriteEffect::MayHaveWritten => {
                    Self::Unknown(Cow::Owned(ambiguity(attempt, error.storage_error().kind())))
                }
            },
        };
    }

    /// Returns the error of a write operation that ends in this state: never a definite refusal,
    /// unless nothing was written.
    pub(super) fn classify(&self, error: StorageError) -> StorageError {
        let reason = match self {
            _ if is_precise(error.kind()) => return error,
            Self::Nothing => return error,
            Self::Something => Cow::Borrowed("one step succeeded before another failed"),
            Self::Unknown(reason) => reason.clone(),
        };
        StorageError::in_doubt(reason).with_source(Arc::new(error) as Arc<_>)
    }
}

/// Kinds that are as cautious as `InDoubt`, and more precise.
fn is_precise(kind: &StorageErrorKind) -> bool {
    matches!(
        kind,
        StorageErrorKind::InDoubt { .. }
            | StorageErrorKind::NotDurable { .. }
            | StorageErrorKind::RecoveredNotWritten { .. }
    )
}

fn ambiguity(attempt: u32, kind: &StorageErrorKind) -> String {
    match kind {
        StorageErrorKind::Timeout { limit } => format!("attempt {attempt} got no answer within {limit:?}"),
        StorageErrorKind::Unavailable { reason, .. }
        | StorageErrorKind::InDoubt { reason }
        | StorageErrorKind::Corrupted { reason }
        | StorageErrorKind::Other { reason } => format!("attempt {attempt} failed: {reason}"),
        _ => format!("attempt {attempt} failed"),
    }
}
