//! Why a configuration cannot be used.

use std::fmt;
use std::io;
use std::path::PathBuf;

use cred_core::KeyId;
use cred_crypto::KeyRingError;

/// Why a `cred.toml`, or something that it names, cannot be used.
///
/// A message names the file, and the line and the field where there is one, and says what to do. It
/// has names of fields, profiles, key rings and keys that the file defines, and never a value of
/// the file, such as the name of a variable or of a file with a secret: the secret may have been
/// written in its place. `Debug` is the message with its causes.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration file could not be read.
    #[error(
        "the configuration file `{path}` cannot be read; check that it exists and that this user can read it",
        path = .path.display()
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system reported.
        source: io::Error,
    },
    /// The configuration file must not be used: other users can write it, it is too long, or it is
    /// not UTF-8 text.
    #[error("the configuration file `{path}` {problem}", path = .path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do: the end of a sentence that begins with the file.
        problem: String,
    },
    /// The configuration file is not TOML.
    #[error("{at}: this is not valid TOML; strings need quotes, and each name may occur once")]
    Syntax {
        /// Where the parser stopped.
        at: Place,
    },
    /// A value does not fit its field, or a field is unknown or missing.
    #[error("{at}: `{field}` {problem}")]
    Value {
        /// The line of the field, or of the table that lacks it.
        at: Place,
        /// The field, with dots between its parts: `profiles.dev.base_path`.
        field: String,
        /// What is wrong and what would be right: the end of a sentence that begins with the field.
        problem: String,
    },
    /// The backend refused its configuration.
    #[error("{at}: `{field}` of profile `{profile}` {problem}")]
    Settings {
        /// The line of the field, or of the profile if the field is not set.
        at: Place,
        /// The profile.
        profile: String,
        /// The field of the backend's configuration.
        field: String,
        /// What is wrong and what would be right: the end of a sentence that begins with the field.
        problem: String,
    },
    /// The profile's backend exists, and its feature is off.
    #[error(
        "{at}: `{field}` is a backend that is not built in; turn on the feature `{backend}` of `cred-rs` or \
         `cred-config`, or use one of {}",
        listed(.built)
    )]
    NotBuilt {
        /// The line of the field.
        at: Place,
        /// The field, such as `profiles.dev.backend`.
        field: String,
        /// The backend, which is also the name of the feature.
        backend: &'static str,
        /// The backends that are built in.
        built: Vec<&'static str>,
    },
    /// The file has no profile.
    #[error("{path} has no profile; add a table `[profiles.NAME]` with the line `backend`", path = .path.display())]
    NoProfile {
        /// The file that is read first; empty if no file was read.
        path: PathBuf,
    },
    /// The file has several profiles, and nothing chooses one.
    #[error(
        "{path} has several profiles: {}; name one, set CRED_PROFILE, or add a line `profile = \"NAME\"`",
        .names.join(", "),
        path = .path.display()
    )]
    SeveralProfiles {
        /// The file that is read first.
        path: PathBuf,
        /// The profiles.
        names: Vec<String>,
    },
    /// The profile that was chosen does not exist.
    #[error(
        "{at}: there is no profile of the name that {chosen_by} gives; add it, or choose another one: {}",
        listed(.known)
    )]
    UnknownProfile {
        /// The line `profile` if that chose it, and else the first line.
        at: Place,
        /// The name that was asked for.
        name: String,
        /// What asked for it, such as "the variable CRED_PROFILE".
        chosen_by: &'static str,
        /// The profiles that exist.
        known: Vec<String>,
    },
    /// The profile's key ring does not exist.
    #[error(
        "{at}: `ring` of profile `{profile}` is the name of no key ring; add it below `rings`, or name another \
         one (`ring` is `main` where it is not set)"
    )]
    NoRing {
        /// The line `ring` of the profile, or that of the profile.
        at: Place,
        /// The profile.
        profile: String,
        /// The key ring.
        ring: String,
    },
    /// A key of the ring cannot be read.
    #[error("{at}: `keys.{key}` of ring `{ring}` {problem}")]
    Key {
        /// The line of the key.
        at: Place,
        /// The key ring.
        ring: String,
        /// The key.
        key: KeyId,
        /// What is wrong and what to do: the end of a sentence that begins with the key.
        problem: String,
    },
    /// A passphrase is another one than that with which its key was added.
    #[error(
        "{at}: the passphrase is not the one that key `{key}` of ring `{ring}` was added with; give that one, \
         and add another passphrase as a key with an id of its own"
    )]
    WrongPassphrase {
        /// The line of the key.
        at: Place,
        /// The key ring.
        ring: String,
        /// The key.
        key: KeyId,
    },
    /// The keys make no key ring.
    #[error("{at}: the key ring `{ring}` cannot be made of its keys")]
    Ring {
        /// The line of the ring, or of the key that is the cause.
        at: Place,
        /// The key ring.
        ring: String,
        /// The cause, which says what to do.
        source: KeyRingError,
    },
    /// It cannot be found out whether a passphrase is the right one.
    #[error("the passphrase could not be checked")]
    Check {
        /// The cause: a [`SealError`](cred_core::SealError), or why no thread could be started.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A [`SecretSource`](crate::SecretSource) could not be read.
    #[error("the secret cannot be read: its configuration {problem}")]
    Secret {
        /// What is wrong and what to do: the end of a sentence that begins with the configuration.
        problem: String,
    },
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        cred_core::fmt_report(self, f)
    }
}

/// A line of a file, shown as `cred.toml:12`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// The file.
    pub path: PathBuf,
    /// The line, from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.path.display(), self.line)
    }
}

/// The names with commas between, for the end of a sentence.
fn listed<T: AsRef<str>>(names: &[T]) -> String {
    match names {
        [] => "none".to_owned(),
        names => names.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", "),
    }
}
