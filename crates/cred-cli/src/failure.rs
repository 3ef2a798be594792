//! How a command ends that could not do what it was asked.

use std::error::Error;
use std::fmt;
use std::io;
use std::process::ExitCode;

use cred_core::{
    Credential, CredentialError, CredentialPath, FieldName, ParseError, SealError, StorageError,
    StorageErrorKind,
};
use cred_crypto::KeyRingError;
use cred_manager::ManagerError;

/// The exit codes. They are part of what users build on: none changes its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// In a way that has no code of its own.
    Failed = 1,
    /// Wrong usage, or something has to be said explicitly first.
    Usage = 2,
    /// The configuration.
    Config = 3,
    /// Nothing is stored there.
    NotFound = 4,
    /// The backend refuses.
    Refused = 5,
    /// Try again.
    Unavailable = 6,
    /// A write may have happened.
    InDoubt = 7,
    /// A key is missing or wrong, or what is stored was tampered with.
    Keys = 8,
    /// It looked and found something.
    Found = 9,
    /// Some of many failed.
    Partial = 10,
    /// A command that cannot be executed, as in a shell.
    NotExecutable = 126,
    /// A command that is not there, as in a shell.
    NoSuchCommand = 127,
    /// Ctrl-C.
    Interrupted = 130,
    /// SIGTERM.
    Terminated = 143,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// One sentence, what may be done about it, and the cause. Never a secret.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    message: String,
    hint: Option<String>,
    source: Option<Box<dyn Error + Send + Sync>>,
    /// Of many: which ones failed, and how.
    parts: Vec<(CredentialPath, Failure)>,
    quiet: bool,
    /// What a project's file would do, where it is not trusted.
    effects: Option<Vec<String>>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            hint: None,
            source: None,
            parts: Vec::new(),
            quiet: false,
            effects: None,
        }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    pub(crate) fn config(message: impl Into<String>) -> Self {
        Self::new(Exit::Config, message)
    }

    /// A file that could not be read or written.
    pub(crate) fn file(what: &str, path: &std::path::Path, source: io::Error) -> Self {
        Self::new(Exit::Failed, format!("could not {what} `{}`", path.display())).caused_by(source)
    }

    /// What was found has been printed already; only the exit code is left to say.
    pub(crate) const fn said(exit: Exit) -> Self {
        Self {
            exit,
            message: String::new(),
            hint: None,
            source: None,
            parts: Vec::new(),
            quiet: true,
            effects: None,
        }
    }

    /// Some of many failed, which are told with it.
    pub(crate) fn partial(message: impl Into<String>, parts: Vec<(CredentialPath, Self)>) -> Self {
        Self { parts, ..Self::new(Exit::Partial, message) }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// A project's file is not trusted; this is what it would do.
    pub(crate) fn untrusted(mut self, effects: Vec<String>) -> Self {
        self.effects = Some(effects);
        self
    }

    /// What a project's file would do; `None`: it is about something else.
    pub(crate) fn effects(&self) -> Option<&[String]> {
        self.effects.as_deref()
    }

    pub(crate) fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Whether the others would fail as well, each after its own wait: nothing is wrong with this
    /// one.
    pub(crate) const fn is_outage(&self) -> bool {
        matches!(self.exit, Exit::Unavailable)
    }

    /// Whether a signal ended it.
    pub(crate) const fn is_signal(&self) -> bool {
        matches!(self.exit, Exit::Interrupted | Exit::Terminated)
    }

    /// Whether nothing is left to say.
    pub(crate) const fn is_quiet(&self) -> bool {
        self.quiet
    }

    pub(crate) fn parts(&self) -> &[(CredentialPath, Self)] {
        &self.parts
    }

    pub(crate) fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The causes, the nearest first, each once.
    pub(crate) fn causes(&self) -> Vec<String> {
        let mut causes = Vec::new();
        let mut next = self.source.as_deref().map(|source| source as &dyn Error);
        while let Some(cause) = next {
            let text = cause.to_string();
            if text != self.message && causes.last() != Some(&text) {
                causes.push(text);
            }
            next = cause.source();
        }
        causes
    }

    /// It and its causes in one line.
    pub(crate) fn with_causes(&self) -> String {
        std::iter::once(self.to_string()).chain(self.causes()).collect::<Vec<_>>().join(": ")
    }

    /// Nothing is stored under a path.
    pub(crate) fn nothing_at(path: &CredentialPath, profile: &str) -> Self {
        Self::new(Exit::NotFound, format!("nothing is stored under `{path}` in profile `{profile}`"))
            .hint("`cred list` shows what there is; case counts")
    }

    /// A credential has no such field. Names of fields are not secret.
    pub(crate) fn no_field(path: &CredentialPath, field: &str, credential: &Credential) -> Self {
        let names: Vec<&str> = credential.field_names().map(FieldName::as_str).collect();
        Self::usage(format!("`{path}` has no field `{field}`")).hint(format!("it has {}", names.join(", ")))
    }

    /// One that speaks for an error with a message of its own.
    fn of(exit: Exit, error: &(dyn Error + 'static)) -> Self {
        let mut causes = Vec::new();
        let mut next = error.source();
        while let Some(cause) = next {
            causes.push(cause.to_string());
            next = cause.source();
        }
        let chain = causes.into_iter().rev().fold(None, |inner, text| Some(Box::new(Cause { text, inner })));
        let source = chain.map(|cause| cause as Box<dyn Error + Send + Sync>);
        Self { source, ..Self::new(exit, error.to_string()) }
    }
}

/// What a cause said: the error itself may be borrowed.
#[derive(Debug)]
struct Cause {
    text: String,
    inner: Option<Box<Cause>>,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Cause {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.inner.as_deref().map(|inner| inner as &dyn Error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<ManagerError> for Failure {
    fn from(error: ManagerError) -> Self {
        match &error {
            ManagerError::Storage(storage) => Self::of(exit_of(storage), &error),
            ManagerError::Seal(seal) => Self::of(exit_of_seal(seal), &error),
            _ => Self::of(Exit::Failed, &error),
        }
    }
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        Self::of(exit_of(&error), &error)
    }
}

impl From<SealError> for Failure {
    fn from(error: SealError) -> Self {
        Self::of(exit_of_seal(&error), &error)
    }
}

impl From<KeyRingError> for Failure {
    fn from(error: KeyRingError) -> Self {
        Self::of(Exit::Keys, &error)
    }
}

impl From<CredentialError> for Failure {
    fn from(error: CredentialError) -> Self {
        Self::of(Exit::Failed, &error)
    }
}

impl From<ParseError> for Failure {
    fn from(error: ParseError) -> Self {
        Self::of(Exit::Usage, &error)
    }
}

/// A backend's refusal, as a code.
pub(crate) fn exit_of(error: &StorageError) -> Exit {
    match error.kind() {
        StorageErrorKind::NotFound => Exit::NotFound,
        StorageErrorKind::PermissionDenied { .. }
        | StorageErrorKind::AuthenticationFailed { .. }
        | StorageErrorKind::ReadOnly { .. } => Exit::Refused,
        StorageErrorKind::InDoubt { .. }
        | StorageErrorKind::RecoveredNotWritten { .. }
        | StorageErrorKind::NotDurable { .. } => Exit::InDoubt,
        StorageErrorKind::Corrupted { .. } => Exit::Keys,
        kind if kind.is_transient() && error.may_have_written() => Exit::InDoubt,
        kind if kind.is_transient() => Exit::Unavailable,
        _ => Exit::Failed,
    }
}

fn exit_of_seal(error: &SealError) -> Exit {
    if error.is_transient() { Exit::Unavailable } else { Exit::Keys }
}

#[cfg(test)]
mod tests {
    use cred_core::{Operation, StorageErrorKind};

    use super::*;

    fn path() -> CredentialPath {
        "org:a/id".parse().unwrap()
    }

    #[test]
    fn each_kind_of_failure_has_its_code() {
        let at = |kind: StorageErrorKind, operation| {
            Failure::from(StorageError::from(kind).at("local", operation, path())).exit
        };
        let timeout = || StorageErrorKind::Timeout { limit: std::time::Duration::from_secs(1) };
        assert_eq!(at(StorageErrorKind::NotFound, Operation::Retrieve), Exit::NotFound);
        assert_eq!(at(timeout(), Operation::Retrieve), Exit::Unavailable);
        assert_eq!(at(timeout(), Operation::Store), Exit::InDoubt);
        assert_eq!(at(StorageErrorKind::DiskFull, Operation::Store), Exit::Failed);
        let foreign = || StorageErrorKind::Unavailable { reason: "a page".into(), retry_after: None };
        assert_eq!(at(foreign(), Operation::Retrieve), Exit::Unavailable);
        assert_eq!(at(foreign(), Operation::Store), Exit::InDoubt);
        let read_only = StorageErrorKind::ReadOnly { reason: "a mount".into() };
        assert_eq!(at(read_only, Operation::Store), Exit::Refused);
        let seal = SealError::UnknownKey { path: path(), key_id: "k".parse().unwrap() };
        assert_eq!(Failure::from(seal).exit, Exit::Keys);
        assert_eq!(Failure::from(SealError::KdfBusy { path: path() }).exit, Exit::Unavailable);
    }

    #[test]
    fn causes_are_told_once() {
        let inner = StorageError::other("the inner one").at("local", Operation::Store, path());
        let outer =
            StorageError::other("the outer one").with_source(std::sync::Arc::new(inner) as std::sync::Arc<_>);
        let failure = Failure::from(outer);
        assert!(failure.to_string().contains("the outer one"));
        let causes = failure.causes();
        assert!(causes.len() == 1 && causes[0].contains("the inner one"), "{causes:?}");
    }
}
