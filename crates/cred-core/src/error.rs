//! What can go wrong between the caller and the backend.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::{CredentialPath, ErrorClass, Operation, ScopeId};

/// Why an operation on a backend failed: [what happened](StorageErrorKind), which
/// [operation](Operation) failed on which [target](Target) of which provider, and the cause as
/// [`source`](Error::source).
///
/// Cheap to clone, so that one failure can answer many callers. Its `Display` is one sentence;
/// neither it nor its `Debug` holds a secret. The provider, the operation and the target are added
/// once, by [`StorageError::at`]: a provider's inner code only says what happened.
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
pub struct StorageError(Box<Inner>);

/// The result of an operation on a backend.
pub type StorageResult<T> = Result<T, StorageError>;

#[derive(Clone)]
struct Inner {
    kind: StorageErrorKind,
    context: Option<Context>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

#[derive(Clone)]
struct Context {
    provider: Cow<'static, str>,
    operation: Operation,
    target: Target,
}

/// What an operation was about.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target {
    /// One credential.
    Credential(CredentialPath),
    /// All credentials of a scope, or of a tree of scopes; `None`: the unscoped ones, or
    /// everything.
    Scope(Option<ScopeId>),
    /// The backend as such.
    Backend,
}

impl From<CredentialPath> for Target {
    fn from(path: CredentialPath) -> Self {
        Self::Credential(path)
    }
}

/// What happened. Its `Display` says so and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StorageErrorKind {
    /// Nothing is stored under that path.
    #[error("nothing is stored under that path; check the id and the scope, or store it first")]
    NotFound,
    /// The encoded payload is larger than the backend takes. Nothing was sent.
    #[error(
        "its encoded payload of {size} bytes exceeds the limit of {limit}; store less, or use another backend"
    )]
    TooLarge {
        /// Bytes of the encoded payload.
        size: usize,
        /// The most bytes that the backend takes.
        limit: usize,
    },
    /// The backend knows who asks and refuses.
    #[error("permission was denied: {reason}; grant this identity the permission and try again")]
    PermissionDenied {
        /// What was refused, and to whom where that is known. No text of the backend's that may
        /// repeat what was sent.
        reason: Cow<'static, str>,
    },
    /// The backend does not accept who asks.
    #[error("authentication failed: {reason}; renew or correct the backend credentials")]
    AuthenticationFailed {
        /// Why; a code of the backend's is enough. No text of its that may repeat what was sent.
        reason: Cow<'static, str>,
    },
    /// Too many requests; nothing was done. Transient.
    #[error("the backend throttles requests{}; slow down and try again", after(.retry_after))]
    Throttled {
        /// How long the backend asks to wait; `None`: it did not say.
        retry_after: Option<Duration>,
    },
    /// The backend answered that it cannot serve now, or broke off the answer. A write may have
    /// happened. Transient.
    #[error("the backend is unavailable: {reason}; try again, and check its health if this lasts")]
    Unavailable {
        /// What was seen.
        reason: Cow<'static, str>,
        /// How long the backend asks to wait; `None`: it did not say.
        retry_after: Option<Duration>,
    },
    /// Its turn did not come in time, as for a lock that another writer holds; nothing was done.
    /// Transient.
    #[error("it was not its turn in time: {reason}; nothing was done, try again {}", in_time(.retry_after))]
    Busy {
        /// What it waited for.
        reason: Cow<'static, str>,
        /// How long until its turn may come; `None`: a moment, as a rule.
        retry_after: Option<Duration>,
    },
    /// No connection was made, so nothing was sent. Transient.
    #[error("the backend could not be reached: {reason}; check the address and the network")]
    Unreachable {
        /// What was seen.
        reason: Cow<'static, str>,
    },
    /// No answer in time. A write may have happened. Transient.
    #[error("no answer came within {limit:?}; try again, or raise the timeout")]
    Timeout {
        /// The time that was given.
        limit: Duration,
    },
    /// Whether the write happened is not known, and it may still happen for a while
    /// ([`Description::in_doubt`](crate::Description)).
    #[error("it is not known whether the write happened ({reason}); read it back before you rely on either")]
    InDoubt {
        /// What made it ambiguous.
        reason: Cow<'static, str>,
    },
    /// The condition of the write does not hold, such as after a write of another process. Nothing
    /// was written.
    #[error("the condition of the write does not hold: {reason}; nothing was written, read it again")]
    Conflict {
        /// What was found instead.
        reason: Cow<'static, str>,
    },
    /// What the backend gave is not what was stored there. Never holds the bytes.
    #[error("the stored data is corrupted: {reason}; restore it from a backup or store it anew")]
    Corrupted {
        /// What is wrong with it.
        reason: Cow<'static, str>,
    },
    /// No room is left; the old value is untouched.
    #[error("no space is left on the disk; free some and store it again, the old value is untouched")]
    DiskFull,
    /// The place does not take writes; nothing was written.
    #[error("the storage is read-only: {reason}; make it writable or write elsewhere")]
    ReadOnly {
        /// What forbids writing.
        reason: Cow<'static, str>,
    },
    /// The request itself is wrong and would fail again; nothing was written.
    #[error("the request is invalid: {reason}")]
    InvalidRequest {
        /// What is wrong and what would be right.
        reason: Cow<'static, str>,
    },
    /// A soft-deleted credential was recovered to be overwritten, and the write then failed: the
    /// **old** value may be readable again.
    #[error(
        "the deleted credential was recovered but the new value was not written ({reason}); \
         the old value may be readable again: store or delete it once more"
    )]
    RecoveredNotWritten {
        /// Why the write failed.
        reason: Cow<'static, str>,
    },
    /// The new value is visible, but whether it would survive a power cut is not known.
    #[error(
        "the write is visible but could not be made durable ({reason}); check the disk and store it again"
    )]
    NotDurable {
        /// What failed.
        reason: Cow<'static, str>,
    },
    /// The provider cannot do this at all.
    #[error("this is not supported: {what}")]
    Unsupported {
        /// What was asked for, and what to use instead.
        what: Cow<'static, str>,
    },
    /// The provider was shut down; nothing was done.
    #[error("the provider was shut down; make a new one")]
    ShutDown,
    /// A defect of the provider or of the environment that fits no other kind, such as an I/O
    /// error.
    #[error("an unexpected failure: {reason}")]
    Other {
        /// What was seen.
        reason: Cow<'static, str>,
    },
}

fn in_time(delay: &Option<Duration>) -> String {
    delay.map_or_else(|| "in a moment".to_owned(), |delay| format!("in {delay:?}"))
}

fn after(delay: &Option<Duration>) -> String {
    delay.map_or_else(String::new, |delay| format!(" and asks for a pause of {delay:?}"))
}

impl StorageErrorKind {
    /// Whether the same call may succeed a little later, without anybody doing anything.
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

    /// Whether a failed write may have changed what is stored: true unless the kind proves that it
    /// has not.
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
    /// Says on which target of which provider the operation failed. Only the first call counts, so
    /// the layer nearest to the backend names it; the target tells where the caller looked.
    #[must_use]
    pub fn at(
        mut self,
        provider: impl Into<Cow<'static, str>>,
        operation: Operation,
        target: impl Into<Target>,
    ) -> Self {
        if self.0.context.is_none() {
            self.0.context = Some(Context { provider: provider.into(), operation, target: target.into() });
        }
        self
    }

    /// Adds the cause. Neither it nor its own causes must print a secret: an SDK's error is reduced
    /// to one that does not.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Arc<dyn Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The same error, cause and context with another kind: an ambiguous attempt becomes in doubt.
    #[must_use]
    pub fn with_kind(mut self, kind: StorageErrorKind) -> Self {
        self.0.kind = kind;
        self
    }

    /// What happened.
    #[must_use]
    pub fn kind(&self) -> &StorageErrorKind {
        &self.0.kind
    }

    /// The provider's name; `None` before [`StorageError::at`].
    #[must_use]
    pub fn provider(&self) -> Option<&str> {
        self.0.context.as_ref().map(|context| context.provider.as_ref())
    }

    /// What was asked; `None` before [`StorageError::at`].
    #[must_use]
    pub fn operation(&self) -> Option<Operation> {
        self.0.context.as_ref().map(|context| context.operation)
    }

    /// What it was about; `None` before [`StorageError::at`].
    #[must_use]
    pub fn target(&self) -> Option<&Target> {
        self.0.context.as_ref().map(|context| &context.target)
    }

    /// The credential's path; `None` where the operation was not about one.
    #[must_use]
    pub fn path(&self) -> Option<&CredentialPath> {
        match self.target() {
            Some(Target::Credential(path)) => Some(path),
            _ => None,
        }
    }

    /// [`StorageErrorKind::is_transient`].
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.0.kind.is_transient()
    }

    /// Whether the failed operation may have changed what is stored: never, if it only reads; else
    /// what [`StorageErrorKind::may_have_written`] says. Before [`StorageError::at`] any operation
    /// is taken for a write.
    #[must_use]
    pub fn may_have_written(&self) -> bool {
        self.operation().is_none_or(Operation::is_write) && self.0.kind.may_have_written()
    }

    /// What a caller can do about it.
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

    /// How long to wait before the next try, where that is known.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self.kind() {
            StorageErrorKind::Throttled { retry_after }
            | StorageErrorKind::Unavailable { retry_after, .. }
            | StorageErrorKind::Busy { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The status that an HTTP handler may answer with: that of the
    /// [class](ErrorClass::http_status_hint), and more precisely 409 where it was not its turn, 413
    /// for a value that is too large, 501 for what is not supported, 503 after a shutdown.
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

    /// Whether it says that nothing is stored there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.0.kind == StorageErrorKind::NotFound
    }

    /// Whether what is stored cannot be read: [`StorageErrorKind::Corrupted`].
    #[must_use]
    pub fn is_corrupted(&self) -> bool {
        matches!(self.0.kind, StorageErrorKind::Corrupted { .. })
    }
}

impl From<StorageErrorKind> for StorageError {
    fn from(kind: StorageErrorKind) -> Self {
        Self(Box::new(Inner { kind, context: None, source: None }))
    }
}

/// The constructors that carry a reason.
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

    /// [`StorageErrorKind::Busy`], whose turn may come after a known time.
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
        let Some(Context { provider, operation, target }) = &self.0.context else {
            return self.0.kind.fmt(f);
        };
        let phrase = operation.phrase();
        match target {
            Target::Credential(path) => write!(f, "could not {phrase} credential `{path}` in {provider}: ")?,
            Target::Scope(Some(scope)) => write!(f, "could not {phrase} scope `{scope}` in {provider}: ")?,
            Target::Scope(None) => write!(f, "could not {phrase} the root in {provider}: ")?,
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
mod tests {
    use super::*;

    fn path() -> CredentialPath {
        "org:a/id".parse().unwrap()
    }

    #[test]
    fn the_first_context_stands() {
        let error = StorageError::corrupted("not JSON").at("vault", Operation::Retrieve, path()).at(
            "wrapper",
            Operation::List,
            Target::Backend,
        );
        assert_eq!(error.provider(), Some("vault"));
        assert_eq!(error.operation(), Some(Operation::Retrieve));
        assert_eq!(error.path(), Some(&path()));
    }

    #[test]
    fn every_target_reads_as_a_sentence() {
        let error = || StorageError::from(StorageErrorKind::DiskFull);
        let says = |error: StorageError| error.to_string();
        assert!(
            says(error().at("local", Operation::Store, path()))
                .starts_with("could not store credential `org:a/id` in local: no space")
        );
        let scope = Target::Scope(Some("org:a".parse().unwrap()));
        assert!(
            says(error().at("local", Operation::List, scope))
                .starts_with("could not list the credentials of scope `org:a` in local: ")
        );
        assert!(
            says(error().at("local", Operation::ListTree, Target::Scope(None)))
                .starts_with("could not list the tree of the root in local: ")
        );
        assert!(
            says(error().at("local", Operation::Connect, Target::Backend))
                .starts_with("could not connect to local: ")
        );
    }

    #[test]
    fn the_cause_is_kept_apart_from_the_sentence() {
        let error = StorageError::other("rename failed")
            .with_source(Arc::new(std::io::Error::other("EXDEV")) as Arc<_>);
        assert!(!error.to_string().contains("EXDEV"));
        assert_eq!(error.source().unwrap().to_string(), "EXDEV");
        assert!(format!("{error:?}").contains("EXDEV"));
    }

    #[test]
    fn a_read_has_written_nothing_however_it_failed() {
        let error = || StorageError::from(StorageErrorKind::Timeout { limit: Duration::ZERO });
        assert!(error().may_have_written(), "nobody has said what it was");
        assert!(error().at("vault", Operation::Store, path()).may_have_written());
        assert!(!error().at("vault", Operation::Retrieve, path()).may_have_written());
    }

    #[test]
    fn each_kind_says_what_it_means_for_a_caller() {
        let reason = || Cow::Borrowed("");
        let table = [
            (StorageErrorKind::NotFound, false, false, 404),
            (StorageErrorKind::TooLarge { size: 2, limit: 1 }, false, false, 413),
            (StorageErrorKind::PermissionDenied { reason: reason() }, false, false, 502),
            (StorageErrorKind::AuthenticationFailed { reason: reason() }, false, false, 502),
            (StorageErrorKind::Throttled { retry_after: None }, true, false, 503),
            (StorageErrorKind::Unavailable { reason: reason(), retry_after: None }, true, true, 503),
            (StorageErrorKind::Busy { reason: reason(), retry_after: None }, true, false, 409),
            (StorageErrorKind::Unreachable { reason: reason() }, true, false, 503),
            (StorageErrorKind::Timeout { limit: Duration::ZERO }, true, true, 503),
            (StorageErrorKind::InDoubt { reason: reason() }, false, true, 504),
            (StorageErrorKind::Conflict { reason: reason() }, false, false, 409),
            (StorageErrorKind::Corrupted { reason: reason() }, false, true, 500),
            (StorageErrorKind::DiskFull, false, false, 500),
            (StorageErrorKind::ReadOnly { reason: reason() }, false, false, 500),
            (StorageErrorKind::InvalidRequest { reason: reason() }, false, false, 400),
            (StorageErrorKind::RecoveredNotWritten { reason: reason() }, false, true, 504),
            (StorageErrorKind::NotDurable { reason: reason() }, false, true, 504),
            (StorageErrorKind::Unsupported { what: reason() }, false, false, 501),
            (StorageErrorKind::ShutDown, false, false, 503),
            (StorageErrorKind::Other { reason: reason() }, false, true, 500),
        ];
        for (kind, transient, wrote, status) in table {
            assert_eq!((kind.is_transient(), kind.may_have_written()), (transient, wrote), "{kind:?}");
            let error = StorageError::from(kind);
            assert_eq!(error.http_status_hint(), status, "{error:?}");
            assert_eq!(error.class() == ErrorClass::Transient, transient, "{error:?}");
            assert_eq!(error.is_corrupted(), error.to_string().contains("corrupted"), "{error:?}");
        }
        let busy = StorageError::busy_for("a write may still take effect", Duration::from_secs(300));
        assert_eq!(busy.retry_after(), Some(Duration::from_secs(300)));
        assert!(busy.to_string().ends_with("nothing was done, try again in 300s"), "{busy}");
    }
}
