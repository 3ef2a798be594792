//! Why a key ring could not be made.

use std::fmt;
use std::io;
use std::path::PathBuf;

use cred_core::KeyId;

/// Why a key or a key ring could not be made. Never holds key or passphrase bytes.
///
/// What fails later, at sealing and opening, is a [`SealError`](cred_core::SealError).
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum KeyRingError {
    /// Two keys were given under one id.
    #[error(
        "two keys were given the id `{key_id}`; an id names one key for ever, give the other one its own"
    )]
    DuplicateKey {
        /// The id.
        key_id: KeyId,
    },
    /// The key to seal under was not given.
    #[error("the active key `{key_id}` is not among the keys of the ring; add it, or name another as active")]
    MissingActiveKey {
        /// The id that was named as active.
        key_id: KeyId,
    },
    /// The text is no key.
    #[error("{origin} does not hold a key: {problem}; make one with `head -c 32 /dev/urandom | base64`")]
    Malformed {
        /// Where the text came from.
        origin: KeyOrigin,
        /// What is wrong with it, never the text itself.
        problem: &'static str,
    },
    /// The environment variable is not set, or not Unicode.
    #[error("environment variable `{variable}` is not set; put the base64 of a 32-byte key there")]
    MissingVariable {
        /// Its name.
        variable: String,
    },
    /// What was given is no name of an environment variable. It is not repeated: it may be a key.
    #[error(
        "a name of an environment variable here has 1 to 128 characters of A-Z a-z 0-9 _; give the name, not the key"
    )]
    VariableName,
    /// The key file could not be read.
    #[error(
        "key file `{path}` could not be read; check that it exists and belongs to this user",
        path = .path.display()
    )]
    UnreadableFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A directory, a pipe or a device stands where the key file should.
    #[error("key file `{path}` is not a regular file; name the file itself", path = .path.display())]
    NotAFile {
        /// What was named.
        path: PathBuf,
    },
    /// Others than the owner may read, write or run the key file.
    #[error(
        "key file `{path}` is open to others than its owner (mode {mode:04o}); run `chmod 600` on it, and replace \
         the key if somebody may have read it",
        path = .path.display()
    )]
    ExposedFile {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The key file could not be made. A file that existed is untouched.
    #[error(
        "key file `{path}` could not be created; name a new file, as an existing one is never replaced",
        path = .path.display()
    )]
    UncreatedFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The passphrase has no characters.
    #[error("the passphrase is empty; give one, or a 32-byte key")]
    EmptyPassphrase,
    /// An Argon2id parameter is out of its bounds.
    #[error("Argon2id parameter `{name}` is {value}; use {least} to {most}")]
    Argon2Parameter {
        /// `m_kib`, `t` or `p`.
        name: &'static str,
        /// What was given.
        value: u32,
        /// The least that is allowed.
        least: u32,
        /// The most that is allowed.
        most: u32,
    },
    /// The system's random source failed.
    #[error("the system's random source failed, so no key was made; check the system")]
    Random,
    /// The thread that derives keys from passphrases could not be started.
    #[error("the thread for passphrase derivations could not be started; check the process's limits")]
    Thread {
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl fmt::Debug for KeyRingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        cred_core::fmt_report(self, f)
    }
}

/// Where the text of a key came from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyOrigin {
    /// Given by the caller.
    Text,
    /// The environment variable of this name.
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
