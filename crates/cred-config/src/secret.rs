//! The source of a secret in a configuration: a variable or a file, never the configuration itself.

use std::fmt;
use std::path::{Path, PathBuf};

use cred_core::{SecretString, Zeroizing};
use cred_provider_kit::{Env as _, ProcessEnv};
use serde::de::{Deserialize, Deserializer, Error as _};

use crate::error::Error;
use crate::file;
use crate::opened::{self, Exceptions};
use crate::value::Node;

/// Maximum size of a secret in bytes, enough for a long token or a private key.
const MAX_LEN: usize = 64 * 1_024;

/// The source of a secret: `{ env = "NAME" }` or `{ file = "PATH" }`.
///
/// A service can use it for the secrets in its own configuration. Deserializing rejects a literal
/// secret, and no error and no `Debug` output repeats the rejected value. The error of a format may
/// repeat it: an error of the `toml` crate shows the line of the file, so log its `message()`.
///
/// # Examples
/// ```
/// use cred_config::SecretSource;
///
/// #[derive(serde::Deserialize)]
/// struct Config {
///     signing_key: SecretSource,
/// }
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("signing.key");
/// # std::fs::write(&path, "s3cret\n")?;
/// # #[cfg(unix)]
/// # std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
///
/// let config: Config = serde_json::from_str(r#"{ "signing_key": { "file": "signing.key" } }"#)?;
/// let key = config.signing_key.read(folder.path())?;
/// # assert_eq!(cred_core::ExposeSecret::expose_secret(&key), "s3cret");
///
/// assert!(serde_json::from_str::<Config>(r#"{ "signing_key": "s3cret" }"#).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SecretSource {
    /// The environment variable of this name. An empty variable counts as not set.
    Env(String),
    /// A file, or a pipe such as `/dev/fd/3`.
    File(PathBuf),
}

impl SecretSource {
    /// Reads the secret. Blocks: it opens a file, and waits up to 30 s for the writer of a pipe.
    ///
    /// A relative path is relative to `folder`, usually the folder of the configuration file. `~/`
    /// is the home folder. Rules for a file:
    /// - It contains at most 64 KiB of UTF-8 text. One line ending at the end is removed.
    /// - Only this user may have access: mode 0600. A file of root without access for all users, as
    ///   systemd and Kubernetes provide it, is accepted unless this process runs as root.
    /// - It must not belong to another user, nor be in a folder that other users can write.
    ///
    /// # Errors
    /// [`Error::Secret`] if the variable is not set, or if the file cannot be read or breaks one of
    /// these rules. The message repeats neither the name nor the path.
    pub fn read(&self, folder: &Path) -> Result<SecretString, Error> {
        let source = match self {
            Self::Env(name) => Self::Env(name.clone()),
            Self::File(path) => {
                // An empty or relative `folder` is relative to the working directory.
                let path = file::resolve(path, folder).and_then(|path| {
                    std::path::absolute(path).map_err(|error| {
                        format!("has a path that cannot be made absolute ({})", error.kind())
                    })
                });
                Self::File(path.map_err(|problem| Error::Secret { problem })?)
            }
        };
        let text = source.fetch(None).map_err(|problem| Error::Secret { problem })?;
        // From a slice: converting the `String` would move it and leave a copy behind.
        Ok(SecretString::from(text.as_str()))
    }

    /// Reads the source from a value of a `cred.toml`. The error is the end of a sentence that
    /// begins with the field.
    pub(crate) fn from_node(node: &Node<'_>) -> Result<Self, String> {
        match node.entries().as_slice() {
            [("env", name)] => Self::variable(name.text()),
            [("file", path)] => match Self::path(path.text().map(Path::new))? {
                Self::File(path) => Ok(Self::File(node.file().resolve(path)?)),
                source => Ok(source),
            },
            _ => Err(FORMS.to_owned()),
        }
    }

    fn variable(name: Option<&str>) -> Result<Self, String> {
        match name {
            Some(name) if is_variable_name(name) => Ok(Self::Env(name.to_owned())),
            _ => Err("must name a variable, as { env = \"NAME\" }".to_owned()),
        }
    }

    fn path(path: Option<&Path>) -> Result<Self, String> {
        match path {
            Some(path) if !path.as_os_str().is_empty() => Ok(Self::File(path.to_owned())),
            _ => Err("must name a file, as { file = \"PATH\" }".to_owned()),
        }
    }

    /// Reads the secret. A path must be absolute. The error is the end of a sentence that begins
    /// with the field. It repeats neither variable nor path, since the secret may have been written
    /// there.
    ///
    /// `exceptions` are those of the `cred.toml`, or `None` without a `cred.toml`.
    pub(crate) fn fetch(&self, exceptions: Option<&Exceptions>) -> Result<Zeroizing<String>, String> {
        match self {
            Self::Env(name) => match ProcessEnv.get(name) {
                Some(value) => Ok(Zeroizing::new(value)),
                None => Err("names a variable that is not set; set it, or name a file".to_owned()),
            },
            Self::File(path) => {
                read_text_file(path, exceptions).map_err(|problem| format!("names a file that {problem}"))
            }
        }
    }
}

impl fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Env(_) => "Env([redacted])",
            Self::File(_) => "File([redacted])",
        })
    }
}

impl<'de> Deserialize<'de> for SecretSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "lowercase")]
        enum Form {
            Env(String),
            File(PathBuf),
        }
        // The errors of a format quote the value, which may be the secret.
        match Form::deserialize(deserializer).map_err(|_| D::Error::custom(FORMS))? {
            Form::Env(name) => Self::variable(Some(&name)),
            Form::File(path) => Self::path(Some(&path)),
        }
        .map_err(D::Error::custom)
    }
}

const FORMS: &str =
    "is secret, so it must be { env = \"NAME\" } or { file = \"PATH\" }; do not write the secret itself";

/// Whether this is an accepted name of a variable: 1 to 128 of `A-Z a-z 0-9 _`.
pub(crate) fn is_variable_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=128).contains(&name.len()) && name.bytes().all(allowed)
}

/// Reads the text of a file, and removes one line ending at the end.
fn read_text_file(path: &Path, exceptions: Option<&Exceptions>) -> Result<Zeroizing<String>, String> {
    let content = opened::read_secret(path, exceptions, MAX_LEN).map_err(|refusal| refusal.problem)?;
    let content = content.ok_or_else(|| format!("is longer than {MAX_LEN} bytes"))?;
    let text = std::str::from_utf8(&content).map_err(|_| "is not UTF-8 text".to_owned())?;
    let line = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    Ok(Zeroizing::new(line.to_owned()))
}
