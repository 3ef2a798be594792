//! The error type of all commands, and the exit codes.

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

/// The exit codes. They are a public interface: none changes its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Any other failure.
    Failed = 1,
    /// Wrong usage, or an explicit option such as `--yes` is required.
    Usage = 2,
    /// A configuration error.
    Config = 3,
    /// Nothing is stored under the path or in the scope.
    NotFound = 4,
    /// The backend refuses the login or the permission.
    Refused = 5,
    /// The backend cannot be reached or is busy: try again.
    Unavailable = 6,
    /// The outcome of a write is unknown: it may have happened.
    InDoubt = 7,
    /// A key is missing or wrong, or stored data was tampered with.
    Keys = 8,
    /// A check found something.
    Found = 9,
    /// Some of several credentials failed.
    Partial = 10,
    /// The command cannot be executed; the code of a shell.
    NotExecutable = 126,
    /// The command was not found; the code of a shell.
    NoSuchCommand = 127,
    /// Ctrl-C: 128 + SIGINT.
    Interrupted = 130,
    /// The reader closed the output: 128 + SIGPIPE.
    BrokenPipe = 141,
    /// 128 + SIGTERM.
    Terminated = 143,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A failure: one sentence, a hint about what to do, and the cause. Never contains a secret.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    message: String,
    hint: Option<String>,
    source: Option<Box<dyn Error + Send + Sync>>,
    /// The failed credentials of several, each with its failure.
    parts: Vec<(CredentialPath, Failure)>,
    silent: bool,
    /// The effects that an untrusted project file would have.
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
            silent: false,
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
    pub(crate) fn file(verb: &str, path: &std::path::Path, source: io::Error) -> Self {
        let hint = match source.kind() {
            io::ErrorKind::NotFound => Some("check the path"),
            io::ErrorKind::PermissionDenied => Some("check the permissions of the file and of its folder"),
            io::ErrorKind::AlreadyExists => {
                Some("choose another name; an existing file is never overwritten")
            }
            _ => None,
        };
        let failure = Self::new(Exit::Failed, format!("could not {verb} `{}`", path.display()));
        Self { hint: hint.map(str::to_owned), ..failure.caused_by(source) }
    }

    /// A failure that prints nothing and only sets the exit code.
    pub(crate) const fn silent(exit: Exit) -> Self {
        Self {
            exit,
            message: String::new(),
            hint: None,
            source: None,
            parts: Vec::new(),
            silent: true,
            effects: None,
        }
    }

    /// Some of several credentials failed. Their failures are printed first.
    pub(crate) fn partial(message: impl Into<String>, parts: Vec<(CredentialPath, Self)>) -> Self {
        Self { parts, ..Self::new(Exit::Partial, message) }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds what an untrusted project file would do.
    pub(crate) fn untrusted(mut self, effects: Vec<String>) -> Self {
        self.effects = Some(effects);
        self
    }

    /// The effects that an untrusted project file would have; `None` for every other failure.
    pub(crate) fn effects(&self) -> Option<&[String]> {
        self.effects.as_deref()
    }

    pub(crate) fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Whether other credentials would fail in the same way, each after its own wait.
    pub(crate) const fn is_outage(&self) -> bool {
        matches!(self.exit, Exit::Unavailable)
    }

    /// Whether a signal ended the command.
    pub(crate) const fn is_signal(&self) -> bool {
        matches!(self.exit, Exit::Interrupted | Exit::Terminated)
    }

    /// Whether nothing is printed.
    pub(crate) const fn is_silent(&self) -> bool {
        self.silent
    }

    pub(crate) fn parts(&self) -> &[(CredentialPath, Self)] {
        &self.parts
    }

    pub(crate) fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The causes, the nearest first, each one once.
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

    /// The message and its causes in one line.
    pub(crate) fn with_causes(&self) -> String {
        std::iter::once(self.to_string()).chain(self.causes()).collect::<Vec<_>>().join(": ")
    }

    /// Nothing is stored under a path.
    pub(crate) fn nothing_at(path: &CredentialPath, profile: &str) -> Self {
        Self::new(Exit::NotFound, format!("nothing is stored under `{path}` in profile `{profile}`"))
            .hint("`cred list` shows the stored paths, which are case-sensitive")
    }

    /// A credential has no such field. Field names are not secret.
    pub(crate) fn no_field(path: &CredentialPath, field: &str, credential: &Credential) -> Self {
        let names: Vec<&str> = credential.field_names().map(FieldName::as_str).collect();
        Self::usage(format!("the credential `{path}` has no field `{field}`"))
            .hint(format!("available fields: {}", names.join(", ")))
    }

    /// A failure with the message and the causes of an error.
    fn from_error(exit: Exit, error: &(dyn Error + 'static)) -> Self {
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

/// The message of a cause. It is copied, because the error may be borrowed.
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
            ManagerError::Storage(storage) => Self::from_error(exit_of(storage), &error),
            ManagerError::Seal(seal) => Self::from_error(exit_of_seal(seal), &error),
            _ => Self::from_error(Exit::Failed, &error),
        }
    }
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        Self::from_error(exit_of(&error), &error)
    }
}

impl From<SealError> for Failure {
    fn from(error: SealError) -> Self {
        Self::from_error(exit_of_seal(&error), &error)
    }
}

impl From<KeyRingError> for Failure {
    fn from(error: KeyRingError) -> Self {
        Self::from_error(Exit::Keys, &error)
    }
}

impl From<CredentialError> for Failure {
    fn from(error: CredentialError) -> Self {
        Self::from_error(Exit::Failed, &error)
    }
}

impl From<ParseError> for Failure {
    fn from(error: ParseError) -> Self {
        Self::from_error(Exit::Usage, &error)
    }
}

/// The exit code for a storage error.
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
    fn each_cause_is_reported_once() {
        let inner = StorageError::other("the inner one").at("local", Operation::Store, path());
        let outer =
            StorageError::other("the outer one").with_source(std::sync::Arc::new(inner) as std::sync::Arc<_>);
        let failure = Failure::from(outer);
        assert!(failure.to_string().contains("the outer one"));
        let causes = failure.causes();
        assert!(causes.len() == 1 && causes[0].contains("the inner one"), "{causes:?}");
    }
}
