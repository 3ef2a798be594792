//! Errors of storage backends.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::{CredentialPath, ErrorClass, Operation, ScopeId};

/// The error of an operation on a backend.
///
/// It contains the [kind](StorageErrorKind) of failure, the provider, the failed
/// [operation](Operation) and its [target](Target), and the cause as [`source`](Error::source). The
/// provider, the operation and the target are added once, by [`StorageError::at`], so most code of
/// a provider only creates the kind.
///
/// It is cheap to clone, so one failure can be returned to many callers. `Display` prints one
/// sentence. Neither `Display` nor `Debug` prints a secret.
///
/// ```
/// use cred_core::{CredentialPath, Operation, StorageError, StorageErrorKind};
///
/// let path: CredentialPath = "org:acme/stripe".parse()?;
/// let error = StorageError::from(StorageErrorKind::NotFound).at("local", Operation::Retrieve, path);
/// assert_eq!(
///     error.to_string(),
///     "could not retrieve credential `org:acme/stripe` in local: nothing is stored under that path; \
///      check the id and the scope, or store it first",
/// );
/// assert!(!error.is_transient() && !error.may_have_written());
/// # Ok::<(), cred_core::ParseError>(())
/// ```
#[derive(Clone)]
pub struct StorageError(Box<ErrorData>);

/// The result of an operation on a backend.
pub type StorageResult<T> = Result<T, StorageError>;

#[derive(Clone)]
struct ErrorData {
    kind: StorageErrorKind,
    context: Option<ErrorContext>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

#[derive(Clone)]
struct ErrorContext {
    provider: Cow<'static, str>,
    operation: Operation,
    target: Target,
}

/// The target of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target {
    /// One credential.
    Credential(CredentialPath),
    /// All credentials of a scope or, for a tree operation, of a scope and those below it. `None`:
    /// the unscoped credentials or, for a tree operation, all credentials.
    Scope(Option<ScopeId>),
    /// The backend as a whole.
    Backend,
}

impl From<CredentialPath> for Target {
    fn from(path: CredentialPath) -> Self {
        Self::Credential(path)
    }
}

/// The kind of a [`StorageError`]. Its `Display` explains what happened and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StorageErrorKind {
    /// No credential is stored under this path.
    #[error("nothing is stored under that path; check the id and the scope, or store it first")]
    NotFound,
    /// The encoded payload is larger than the backend accepts. Nothing was sent.
    #[error(
        "the encoded payload of {size} bytes exceeds the backend's limit of {limit} bytes; store a smaller \
         value or use another backend"
    )]
    TooLarge {
        /// Size of the encoded payload in bytes.
        size: usize,
        /// Maximum size in bytes that the backend accepts.
        limit: usize,
    },
    /// The backend authenticated this service but does not allow the operation.
    #[error("permission was denied: {reason}; grant the permission to this service and try again")]
    PermissionDenied {
        /// The refused permission, and the identity if it is known. It must not contain text from
        /// the backend that could repeat the request.
        reason: Cow<'static, str>,
    },
    /// The backend does not accept the identity of this service.
    #[error("authentication failed: {reason}; renew or correct the backend credentials")]
    AuthenticationFailed {
        /// The reason; an error code of the backend is enough. It must not contain text from the
        /// backend that could repeat the request.
        reason: Cow<'static, str>,
    },
    /// The backend limits the request rate; nothing was done. Transient.
    #[error("the backend limits the request rate{}; send fewer requests and try again", requested_wait(.retry_after))]
    Throttled {
        /// How long the backend asks to wait; `None`: not specified.
        retry_after: Option<Duration>,
    },
    /// The backend responded that it is currently unavailable, or its response was incomplete. A
    /// write may have happened. Transient.
    #[error("the backend is unavailable: {reason}; try again, and check its health if the problem persists")]
    Unavailable {
        /// The observed failure.
        reason: Cow<'static, str>,
        /// How long the backend asks to wait; `None`: not specified.
        retry_after: Option<Duration>,
    },
    /// The operation cannot run now, for example because another writer holds a lock, or because an
    /// earlier write is not resolved or not visible yet; nothing was done. Transient.
    #[error("the operation cannot run now: {reason}; nothing was written, try again {}", retry_time(.retry_after))]
    Busy {
        /// The reason why the operation was not started.
        reason: Cow<'static, str>,
        /// How long to wait before the next try; `None`: usually a moment is enough.
        retry_after: Option<Duration>,
    },
    /// No connection was established, so nothing was sent. Transient.
    #[error("the backend could not be reached: {reason}; check the address and the network")]
    Unreachable {
        /// The observed failure.
        reason: Cow<'static, str>,
    },
    /// The backend did not respond in time. A write may have happened. Transient.
    #[error("the backend did not respond within {limit:?}; try again, or raise the timeout")]
    Timeout {
        /// The exceeded time limit.
        limit: Duration,
    },
    /// The outcome of a write is unknown. It may have happened, and it may still take effect within
    /// [`Description::in_doubt`](crate::Description).
    #[error("the outcome of the write is unknown ({reason}); read the credential back before you rely on it")]
    InDoubt {
        /// Why the outcome is unknown.
        reason: Cow<'static, str>,
    },
    /// The condition of the write does not hold, for example because another process has written
    /// the credential. Nothing was written.
    #[error(
        "the condition of the write does not hold: {reason}; nothing was written, read the credential again"
    )]
    Conflict {
        /// The state that was found instead.
        reason: Cow<'static, str>,
    },
    /// The data in the backend is not the credential that was stored: it is damaged or was
    /// overwritten. The error never contains the data.
    #[error(
        "the stored data is corrupted: {reason}; restore it from a backup, or store the credential again if \
         you still have its value"
    )]
    Corrupted {
        /// The fault in the data.
        reason: Cow<'static, str>,
    },
    /// The disk is full; the old value is unchanged.
    #[error("no space is left on the disk; the old value is unchanged, free some space and try again")]
    DiskFull,
    /// The storage does not accept writes; nothing was written.
    #[error("the storage is read-only: {reason}; make it writable or use another storage location")]
    ReadOnly {
        /// Why writing is not possible.
        reason: Cow<'static, str>,
    },
    /// The request is invalid and would fail again; nothing was written.
    #[error("the request is invalid: {reason}")]
    InvalidRequest {
        /// The fault and how to correct it.
        reason: Cow<'static, str>,
    },
    /// A soft-deleted credential was recovered in order to overwrite it, and then the write failed:
    /// the **old** value may be readable again.
    #[error(
        "the deleted credential was recovered but the new value was not written ({reason}); \
         the old value may be readable again, store or delete the credential again"
    )]
    RecoveredNotWritten {
        /// Why the write failed.
        reason: Cow<'static, str>,
    },
    /// The new value is visible, but it may not survive a power failure.
    #[error(
        "the write is visible but may be lost in a power failure ({reason}); check the disk and store the \
         credential again"
    )]
    NotDurable {
        /// The failed step.
        reason: Cow<'static, str>,
    },
    /// The provider does not support the operation.
    #[error("this is not supported: {what}")]
    Unsupported {
        /// The unsupported operation, and what to use instead.
        what: Cow<'static, str>,
    },
    /// The provider was shut down; nothing was done.
    #[error("the provider was shut down; create a new one")]
    ShutDown,
    /// A failure of the provider or of the environment that fits no other kind, such as an I/O
    /// error.
    #[error("an unexpected failure: {reason}")]
    Other {
        /// The observed failure.
        reason: Cow<'static, str>,
    },
}

fn retry_time(delay: &Option<Duration>) -> String {
    delay.map_or_else(|| "in a moment".to_owned(), |delay| format!("in {delay:?}"))
}

fn requested_wait(delay: &Option<Duration>) -> String {
    delay.map_or_else(String::new, |delay| format!(" and asks to wait {delay:?}"))
}

impl StorageErrorKind {
    /// Returns whether the same call may succeed a little later without any intervention.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Throttled { .. }
                | Self::Unavailable { .. }
                | Self::Busy { .. }
                | Self::Unreachable { .. }
                | Self::Timeout { .. }
        )
    }

    /// Returns whether a failed write may have changed the stored data: true unless the kind proves
    /// that it did not.
    #[must_use]
    pub const fn may_have_written(&self) -> bool {
        !matches!(
            self,
            Self::NotFound
                | Self::TooLarge { .. }
                | Self::PermissionDenied { .. }
                | Self::AuthenticationFailed { .. }
                | Self::Throttled { .. }
                | Self::Busy { .. }
                | Self::Unreachable { .. }
                | Self::Conflict { .. }
                | Self::DiskFull
                | Self::ReadOnly { .. }
                | Self::InvalidRequest { .. }
                | Self::Unsupported { .. }
                | Self::ShutDown
        )
    }
}

impl StorageError {
    /// Adds the provider, the operation and the target. Only the first call has an effect, so the
    /// layer closest to the backend decides.
    #[must_use]
    pub fn at(
        mut self,
        provider: impl Into<Cow<'static, str>>,
        operation: Operation,
        target: impl Into<Target>,
    ) -> Self {
        if self.0.context.is_none() {
            self.0.context =
                Some(ErrorContext { provider: provider.into(), operation, target: target.into() });
        }
        self
    }

    /// Adds the cause. Neither the cause nor its own causes may print a secret: convert an SDK
    /// error to one that does not.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Arc<dyn Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Replaces the kind and keeps the cause and the context, for example to report a failed write
    /// as [`InDoubt`](StorageErrorKind::InDoubt).
    #[must_use]
    pub fn with_kind(mut self, kind: StorageErrorKind) -> Self {
        self.0.kind = kind;
        self
    }

    /// Returns the kind.
    #[must_use]
    pub fn kind(&self) -> &StorageErrorKind {
        &self.0.kind
    }

    /// Returns the provider's name; `None` before [`StorageError::at`].
    #[must_use]
    pub fn provider(&self) -> Option<&str> {
        self.0.context.as_ref().map(|context| context.provider.as_ref())
    }

    /// Returns the failed operation; `None` before [`StorageError::at`].
    #[must_use]
    pub fn operation(&self) -> Option<Operation> {
        self.0.context.as_ref().map(|context| context.operation)
    }

    /// Returns the target of the operation; `None` before [`StorageError::at`].
    #[must_use]
    pub fn target(&self) -> Option<&Target> {
        self.0.context.as_ref().map(|context| &context.target)
    }

    /// Returns the credential's path; `None` if the target is not one credential.
    #[must_use]
    pub fn path(&self) -> Option<&CredentialPath> {
        match self.target() {
            Some(Target::Credential(path)) => Some(path),
            _ => None,
        }
    }

    /// Returns [`StorageErrorKind::is_transient`] of the kind.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.0.kind.is_transient()
    }

    /// Returns whether the failed operation may have changed the stored data: false if it only
    /// reads, otherwise [`StorageErrorKind::may_have_written`] of the kind. Before
    /// [`StorageError::at`], the operation is assumed to be a write.
    #[must_use]
    pub fn may_have_written(&self) -> bool {
        self.operation().is_none_or(Operation::is_write) && self.0.kind.may_have_written()
    }

    /// Returns what the caller can do about the error.
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        use StorageErrorKind as Kind;
        match self.kind() {
            Kind::NotFound => ErrorClass::NotFound,
            Kind::Conflict { .. } => ErrorClass::Conflict,
            Kind::PermissionDenied { .. } | Kind::AuthenticationFailed { .. } => ErrorClass::Denied,
            Kind::TooLarge { .. } | Kind::InvalidRequest { .. } | Kind::Unsupported { .. } => {
                ErrorClass::InvalidRequest
            }
            Kind::InDoubt { .. } | Kind::NotDurable { .. } | Kind::RecoveredNotWritten { .. } => {
                ErrorClass::UnknownOutcome
            }
            kind if kind.is_transient() => ErrorClass::Transient,
            _ => ErrorClass::Broken,
        }
    }

    /// Returns how long to wait before the next try; `None`: unknown.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self.kind() {
            StorageErrorKind::Throttled { retry_after }
            | StorageErrorKind::Unavailable { retry_after, .. }
            | StorageErrorKind::Busy { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Returns a suitable HTTP response status: that of the [class](ErrorClass::http_status_hint),
    /// except 409 for [`Busy`](StorageErrorKind::Busy), 413 for a value that is too large, 501 for
    /// an unsupported operation and 503 after a shutdown.
    #[must_use]
    pub fn http_status_hint(&self) -> u16 {
        match self.kind() {
            StorageErrorKind::Busy { .. } => 409,
            StorageErrorKind::TooLarge { .. } => 413,
            StorageErrorKind::Unsupported { .. } => 501,
            StorageErrorKind::ShutDown => 503,
            _ => self.class().http_status_hint(),
        }
    }

    /// Returns whether the kind is [`StorageErrorKind::NotFound`].
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.0.kind == StorageErrorKind::NotFound
    }

    /// Returns whether the kind is [`StorageErrorKind::Corrupted`].
    #[must_use]
    pub fn is_corrupted(&self) -> bool {
        matches!(self.0.kind, StorageErrorKind::Corrupted { .. })
    }
}

impl From<StorageErrorKind> for StorageError {
    fn from(kind: StorageErrorKind) -> Self {
        Self(Box::new(ErrorData { kind, context: None, source: None }))
    }
}

/// Constructors of the kinds that have a reason.
impl StorageError {
    /// [`StorageErrorKind::Corrupted`].
    #[must_use]
    pub fn corrupted(reason: impl Into<Cow<'static, str>>) -> Self {
        StorageErrorKind::Corrupted { reason: reason.into() }.into()
    }

    /// [`StorageErrorKind::InvalidRequest`].
    #[must_use]
    pub fn invalid_request(reason: impl Into<Cow<'static, str>>) -> Self {
        StorageErrorKind::InvalidRequest { reason: reason.into() }.into()
    }

    /// [`StorageErrorKind::Conflict`].
    #[must_use]
    pub fn conflict(reason: impl Into<Cow<'static, str>>) -> Self {
        StorageErrorKind::Conflict { reason: reason.into() }.into()
    }

    /// [`StorageErrorKind::InDoubt`].
    #[must_use]
    pub fn in_doubt(reason: impl Into<Cow<'static, str>>) -> Self {
        StorageErrorKind::InDoubt { reason: reason.into() }.into()
    }

    /// [`StorageErrorKind::Busy`].
    #[must_use]
    pub fn busy(reason: impl Into<Cow<'static, str>>) -> Self {
        StorageErrorKind::Busy { reason: reason.into(), retry_after: None }.into()
    }

    /// [`StorageErrorKind::Busy`] with a time to wait before the next try.
    #[must_use]
    pub fn busy_for(reason: impl Into<Cow<'static, str>>, retry_after: Duration) -> Self {
        StorageErrorKind::Busy { reason: reason.into(), retry_after: Some(retry_after) }.into()
    }

    /// [`StorageErrorKind::Unavailable`].
    #[must_use]
    pub fn unavailable(reason: impl Into<Cow<'static, str>>) -> Self {
        StorageErrorKind::Unavailable { reason: reason.into(), retry_after: None }.into()
    }

    /// [`StorageErrorKind::Unreachable`].
    #[must_use]
    pub fn unreachable(reason: impl Into<Cow<'static, str>>) -> Self {
        StorageErrorKind::Unreachable { reason: reason.into() }.into()
    }

    /// [`StorageErrorKind::ReadOnly`].
    #[must_use]
    pub fn read_only(reason: impl Into<Cow<'static, str>>) -> Self {
        StorageErrorKind::ReadOnly { reason: reason.into() }.into()
    }

    /// [`StorageErrorKind::PermissionDenied`].
    #[must_use]
    pub fn permission_denied(reason: impl Into<Cow<'static, str>>) -> Self {
        StorageErrorKind::PermissionDenied { reason: reason.into() }.into()
    }

    /// [`StorageErrorKind::AuthenticationFailed`].
    #[must_use]
    pub fn authentication_failed(reason: impl Into<Cow<'static, str>>) -> Self {
        StorageErrorKind::AuthenticationFailed { reason: reason.into() }.into()
    }

    /// [`StorageErrorKind::Other`].
    #[must_use]
    pub fn other(reason: impl Into<Cow<'static, str>>) -> Self {
        StorageErrorKind::Other { reason: reason.into() }.into()
    }
}

impl fmt::Display for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(ErrorContext { provider, operation, target }) = &self.0.context else {
            return self.0.kind.fmt(f);
        };
        let phrase = operation.phrase();
        // A batch of reads names their scope.
        let of = if matches!(operation, Operation::Retrieve | Operation::RetrieveMany) {
            "credentials of "
        } else {
            ""
        };
        match target {
            Target::Credential(path) => write!(f, "could not {phrase} credential `{path}` in {provider}: ")?,
            Target::Scope(Some(scope)) => {
                write!(f, "could not {phrase} {of}scope `{scope}` in {provider}: ")?
            }
            Target::Scope(None) => write!(f, "could not {phrase} {of}the root scope in {provider}: ")?,
            Target::Backend => write!(f, "could not {phrase} {provider}: ")?,
        }
        self.0.kind.fmt(f)
    }
}

impl fmt::Debug for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::fmt_report(self, f)
    }
}

impl Error for StorageError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

#[cfg(test)]
mod tests;
