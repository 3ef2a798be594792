//! Where a secret of a configuration is: in a variable or in a file, never in the configuration.

use std::fmt;
use std::path::{Path, PathBuf};

use cred_core::{SecretString, Zeroizing};
use cred_provider_kit::{Env as _, ProcessEnv};
use serde::de::{Deserialize, Deserializer, Error as _};

use crate::error::Error;
use crate::file;
use crate::opened::{self, Exceptions};
use crate::value::Node;

/// Bytes of the longest secret that a configuration has: a long token, a private key.
const MAX_LEN: usize = 64 * 1_024;

/// Where a secret is: `{ env = "NAME" }` or `{ file = "PATH" }`.
///
/// For the configuration of a service that needs secrets of its own. The secret itself is refused
/// in its place, and no error and no `Debug` repeats what the configuration has there. A format's
/// own error may: that of the `toml` crate shows the line of the file, so log its `message()`.
///
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
    /// An environment variable of this name. An empty one counts as not set.
    Env(String),
    /// A file, or a pipe such as `/dev/fd/3`.
    File(PathBuf),
}

impl SecretSource {
    /// Reads the secret. Blocks: it opens a file, and waits up to 30 s for the writer of a pipe.
    ///
    /// A relative path counts from `folder`, usually that of the configuration file; `~/` is the
    /// home folder. Of a file, one line end at the end is removed. It has at most 64 KiB of UTF-8
    /// text, and only this user may have access: mode 0600, or a file of root without access for
    /// all users, which is what systemd and Kubernetes provide. It must not belong to another user
    /// or be in a folder that other users can write.
    ///
    /// # Errors
    /// [`Error::Secret`] if the variable is not set, or if the file cannot be read or breaks one of
    /// these rules. The message repeats neither the name nor the path.
    pub fn read(&self, folder: &Path) -> Result<SecretString, Error> {
        let source = match self {
            Self::Env(name) => Self::Env(name.clone()),
            Self::File(path) => {
                // A `folder` that is empty or relative counts from the working directory.
                let path = file::resolve(path, folder).and_then(|path| {
                    std::path::absolute(path).map_err(|error| format!("cannot be found ({})", error.kind()))
                });
                Self::File(path.map_err(|problem| Error::Secret { problem })?)
            }
        };
        let text = source.fetch(None).map_err(|problem| Error::Secret { problem })?;
        // From the slice: a String would move, and leave a copy behind.
        Ok(SecretString::from(text.as_str()))
    }

    /// What a value of a `cred.toml` says. The error is the end of a sentence that begins with the
    /// field.
    pub(crate) fn of(node: &Node<'_>) -> Result<Self, String> {
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
            Some(name) if is_variable(name) => Ok(Self::Env(name.to_owned())),
            _ => Err("must name a variable, as { env = \"NAME\" }".to_owned()),
        }
    }

    fn path(path: Option<&Path>) -> Result<Self, String> {
        match path {
            Some(path) if !path.as_os_str().is_empty() => Ok(Self::File(path.to_owned())),
            _ => Err("must name a file, as { file = \"PATH\" }".to_owned()),
        }
    }

    /// Reads the secret of a path that is absolute. The error is the end of a sentence that begins
    /// with the field, and repeats neither variable nor path: the secret may have been written
    /// there.
    ///
    /// `exceptions`: those of the `cred.toml`; `None`: there is none, so that none can be made.
    pub(crate) fn fetch(&self, exceptions: Option<&Exceptions>) -> Result<Zeroizing<String>, String> {
        match self {
            Self::Env(name) => match ProcessEnv.get(name) {
                Some(value) => Ok(Zeroizing::new(value)),
                None => Err("names a variable that is not set; set it, or name a file".to_owned()),
            },
            Self::File(path) => {
                text_of(path, exceptions).map_err(|problem| format!("names a file that {problem}"))
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
        // The errors of a format quote what they found, which may be the secret.
        match Form::deserialize(deserializer).map_err(|_| D::Error::custom(FORMS))? {
            Form::Env(name) => Self::variable(Some(&name)),
            Form::File(path) => Self::path(Some(&path)),
        }
        .map_err(D::Error::custom)
    }
}

const FORMS: &str =
    "is secret, so it must be { env = \"NAME\" } or { file = \"PATH\" }; do not write the secret itself";

/// Whether it can be the name of a variable here: 1 to 128 of `A-Z a-z 0-9 _`.
pub(crate) fn is_variable(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=128).contains(&name.len()) && name.bytes().all(allowed)
}

/// The text of a file, without one line end at its end.
fn text_of(path: &Path, exceptions: Option<&Exceptions>) -> Result<Zeroizing<String>, String> {
    let content = opened::secret(path, exceptions, MAX_LEN).map_err(|refusal| refusal.problem)?;
    let content = content.ok_or_else(|| format!("is longer than {MAX_LEN} bytes"))?;
    let text = std::str::from_utf8(&content).map_err(|_| "is not UTF-8 text".to_owned())?;
    let line = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    Ok(Zeroizing::new(line.to_owned()))
}
