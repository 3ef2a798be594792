//! Errors of creating keys and key rings.

use std::fmt;
use std::io;
use std::path::PathBuf;

use cred_core::KeyId;

/// The error when a key or a key ring cannot be created. It never contains key or passphrase bytes.
///
/// Failures of sealing and opening are a [`SealError`](cred_core::SealError) instead.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum KeyRingError {
    /// Two keys have the same id.
    #[error("two keys have the id `{key_id}`; give each key a separate id, and never reuse an id")]
    DuplicateKey {
        /// The duplicate id.
        key_id: KeyId,
    },
    /// The ring does not contain the active key.
    #[error("the active key `{key_id}` is not in the key ring; add it, or make another key active")]
    MissingActiveKey {
        /// The id of the active key.
        key_id: KeyId,
    },
    /// The text is not a key.
    #[error("{origin} does not hold a key: {problem}; create one with `head -c 32 /dev/urandom | base64`")]
    Malformed {
        /// The source of the text.
        origin: KeyOrigin,
        /// The fault. It never contains the text.
        problem: &'static str,
    },
    /// The environment variable is not set.
    #[error("environment variable `{variable}` is not set; set it to a 32-byte key in base64")]
    MissingVariable {
        /// The name of the variable.
        variable: String,
    },
    /// The name of an environment variable is not valid. The error does not contain it, since it
    /// may be a key.
    #[error(
        "the name of the environment variable is invalid; use 1 to 128 characters of A-Z a-z 0-9 _, and pass the \
         name, not the key"
    )]
    VariableName,
    /// The key file could not be read.
    #[error(
        "key file `{path}` could not be read; check that it exists and that this user owns it",
        path = .path.display()
    )]
    UnreadableFile {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        #[source]
        source: io::Error,
    },
    /// The path of the key file is a directory, a pipe or a device.
    #[error("key file `{path}` is not a regular file; give the path of the file itself", path = .path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// The group or others have a permission for the key file.
    #[error(
        "key file `{path}` is accessible to users other than its owner (mode {mode:04o}); run `chmod 600` on it, \
         and replace the key if another user may have read it",
        path = .path.display()
    )]
    ExposedFile {
        /// The file.
        path: PathBuf,
        /// The permission bits of the file.
        mode: u32,
    },
    /// The key file could not be created. An existing file is unchanged.
    #[error(
        "key file `{path}` could not be created; use the path of a new file, an existing one is never replaced",
        path = .path.display()
    )]
    UncreatedFile {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        #[source]
        source: io::Error,
    },
    /// The passphrase is empty.
    #[error("the passphrase is empty; use a longer one, or a 32-byte key")]
    EmptyPassphrase,
    /// An Argon2id parameter is out of bounds.
    #[error("Argon2id parameter `{name}` is {value}; use {least} to {most}")]
    Argon2Parameter {
        /// `m_kib`, `t` or `p`.
        name: &'static str,
        /// The given value.
        value: u32,
        /// The minimum.
        least: u32,
        /// The maximum.
        most: u32,
    },
    /// The system's random source failed.
    #[error("the system's random source failed, so no key was created; check the system")]
    Random,
    /// The thread for passphrase derivations could not be started.
    #[error("the thread for passphrase derivations could not be started; check the limits of the process")]
    Thread {
        /// The error of the operating system.
        #[source]
        source: io::Error,
    },
}

impl fmt::Debug for KeyRingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        cred_core::fmt_report(self, f)
    }
}

/// The source of a key's text form.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyOrigin {
    /// A text from the caller.
    Text,
    /// The environment variable with this name.
    Variable(String),
    /// This file.
    File(PathBuf),
}

impl std::fmt::Display for KeyOrigin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text => f.write_str("the given text"),
            Self::Variable(name) => write!(f, "environment variable `{name}`"),
            Self::File(path) => write!(f, "key file `{}`", path.display()),
        }
    }
}
