//! The error type of the crate.

use std::fmt;
use std::io;
use std::path::PathBuf;

use cred_core::KeyId;
use cred_crypto::KeyRingError;

/// An error in a `cred.toml`, or in a file or variable that it names.
///
/// A message names the file, the line and the field if they are known, and the fix. It may contain
/// names of fields, profiles, key rings and keys that the file defines. It never contains a value
/// of the file, not even the name of a variable or of a file with a secret, since a user may have
/// written the secret there by mistake. `Debug` prints the message and its causes.
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
        /// The error of the operating system.
        source: io::Error,
    },
    /// The configuration file is rejected: other users can write it, it is too long, or it is not
    /// UTF-8 text.
    #[error("the configuration file `{path}` {problem}", path = .path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// The problem and the fix, as the end of a sentence that begins with the file.
        problem: String,
    },
    /// The configuration file is not valid TOML.
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
        /// The field, as a dotted name: `profiles.dev.base_path`.
        field: String,
        /// The problem and the fix, as the end of a sentence that begins with the field.
        problem: String,
    },
    /// The backend rejected its configuration.
    #[error("{at}: `{field}` of profile `{profile}` {problem}")]
    Settings {
        /// The line of the field, or of the profile if the field is not set.
        at: Place,
        /// The profile.
        profile: String,
        /// The field of the backend's configuration.
        field: String,
        /// The problem and the fix, as the end of a sentence that begins with the field.
        problem: String,
    },
    /// The feature of the profile's backend is off.
    #[error(
        "{at}: `{field}` names a backend that is not built in; enable the feature `{backend}` of `cred-rs` or \
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
        /// The first file; empty if no file was read.
        path: PathBuf,
    },
    /// The file has several profiles, and none is selected.
    #[error(
        "{path} has several profiles: {}; name one, set CRED_PROFILE, or add a line `profile = \"NAME\"`",
        .names.join(", "),
        path = .path.display()
    )]
    SeveralProfiles {
        /// The first file.
        path: PathBuf,
        /// The profiles.
        names: Vec<String>,
    },
    /// The selected profile does not exist.
    #[error(
        "{at}: the profile that {chosen_by} names does not exist; add it, or choose another one: {}",
        listed(.known)
    )]
    UnknownProfile {
        /// The line `profile` if it selected the profile, otherwise the first line.
        at: Place,
        /// The name of the missing profile.
        name: String,
        /// The source of the name, such as "the variable CRED_PROFILE".
        chosen_by: &'static str,
        /// The profiles that exist.
        known: Vec<String>,
    },
    /// The profile's key ring does not exist.
    #[error(
        "{at}: `ring` of profile `{profile}` names a key ring that does not exist; add it below `rings`, or name \
         another one (the default is `main`)"
    )]
    NoRing {
        /// The line `ring` of the profile, or the line of the profile if `ring` is not set.
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
        /// The problem and the fix, as the end of a sentence that begins with the key.
        problem: String,
    },
    /// A passphrase differs from the one that its key was added with.
    #[error(
        "{at}: the passphrase is not the one that key `{key}` of ring `{ring}` was added with; use that one, or \
         add the new passphrase as a key with another id"
    )]
    WrongPassphrase {
        /// The line of the key.
        at: Place,
        /// The key ring.
        ring: String,
        /// The key.
        key: KeyId,
    },
    /// The keys do not form a valid key ring.
    #[error("{at}: the key ring `{ring}` cannot be built from its keys")]
    Ring {
        /// The line of the ring, or of the key that caused the error.
        at: Place,
        /// The key ring.
        ring: String,
        /// The cause, which contains the fix.
        source: KeyRingError,
    },
    /// The check of a passphrase could not run.
    #[error("the passphrase could not be checked")]
    Check {
        /// The cause: a [`SealError`](cred_core::SealError), or the error of starting a thread.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A [`SecretSource`](crate::SecretSource) could not be read.
    #[error("the secret cannot be read: its configuration {problem}")]
    Secret {
        /// The problem and the fix, as the end of a sentence that begins with the configuration.
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

/// The names, separated by commas, for the end of a sentence.
fn listed<T: AsRef<str>>(names: &[T]) -> String {
    match names {
        [] => "none".to_owned(),
        names => names.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", "),
    }
}
