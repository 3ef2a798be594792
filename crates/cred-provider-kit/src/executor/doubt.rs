//! What the writes of an operation may have done so far, and what may therefore be said of it.

use std::borrow::Cow;
use std::sync::Arc;

use cred_core::{StorageError, StorageErrorKind};

use super::{AttemptError, Wrote};

/// What the write calls of one operation have done.
#[derive(Debug)]
pub(super) enum Written {
    /// Nothing, provably.
    Nothing,
    /// Something: a write call was answered `Ok`.
    Something,
    /// Not known, and why.
    Unknown(Cow<'static, str>),
}

impl Written {
    pub(super) fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown(_))
    }

    /// A write attempt is sent: until its result is [noted](Written::note), whatever drops it
    /// leaves doubt. Gives the state before it.
    pub(super) fn send(&mut self) -> Self {
        std::mem::replace(self, Self::Unknown(Cow::Borrowed("the time ran out while it was being written")))
    }

    /// Notes the result of the write attempt number `attempt`, sent in the state `before`. The
    /// first ambiguity is the one that is told, and it stays: a later success of the same call is
    /// followed by an error only when another call fails.
    pub(super) fn note<T, E: AttemptError>(&mut self, before: Self, attempt: u32, result: &Result<T, E>) {
        *self = match (before, result) {
            (before @ Self::Unknown(_), _) => before,
            (_, Ok(_)) => Self::Something,
            (before, Err(error)) => match error.wrote() {
                Wrote::No => before,
                Wrote::Perhaps => Self::Unknown(Cow::Owned(ambiguity(attempt, error.storage_error().kind()))),
            },
        };
    }

    /// The error of a write operation that ends in this state: not a definite refusal unless
    /// nothing was written.
    pub(super) fn judge(&self, error: StorageError) -> StorageError {
        let reason = match self {
            _ if is_precise(error.kind()) => return error,
            Self::Nothing => return error,
            Self::Something => Cow::Borrowed("a step of it was done before another failed"),
            Self::Unknown(reason) => reason.clone(),
        };
        StorageError::in_doubt(reason).with_source(Arc::new(error) as Arc<_>)
    }
}

/// Kinds that say of a write something as cautious as "in doubt", and more of what happened.
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
        _ => format!("attempt {attempt} broke off"),
    }
}
