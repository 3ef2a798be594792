//! Where a secret stands that a configuration needs: in a variable or in a file, never in `cred.toml`.

use std::path::PathBuf;

use cred_core::Zeroizing;
use cred_provider_kit::{Env as _, ProcessEnv};

use super::opened::{self, Exceptions};
use super::value::Node;

/// Bytes of the longest secret that a configuration has: a long token, a private key.
const MAX_LEN: usize = 64 * 1_024;

/// Where it stands.
pub(crate) enum Source {
    Variable(String),
    File(SecretFile),
}

/// A file that holds a secret.
pub(crate) struct SecretFile {
    pub(crate) path: PathBuf,
    pub(crate) exceptions: Exceptions,
}

/// `{ env = "NAME" }` or `{ file = "PATH" }`.
pub(crate) fn source(node: &Node<'_>) -> Result<Source, String> {
    let wrong =
        "is secret, so it must be { env = \"NAME\" } or { file = \"PATH\" }; do not write the secret itself";
    match node.entries().as_slice() {
        [("env", name)] => match name.text() {
            Some(name) if is_variable(name) => Ok(Source::Variable(name.to_owned())),
            _ => Err("must name a variable, as { env = \"NAME\" }".to_owned()),
        },
        [("file", path)] => match path.text() {
            Some(path) if !path.is_empty() => {
                let exceptions = node.file().exceptions.clone();
                Ok(Source::File(SecretFile { path: node.file().resolve(path)?, exceptions }))
            }
            _ => Err("must name a file, as { file = \"PATH\" }".to_owned()),
        },
        _ => Err(wrong.to_owned()),
    }
}

/// The secret that a value points to. The error is what is wrong with the field.
pub(crate) fn read(node: &Node<'_>) -> Result<Zeroizing<String>, String> {
    fetch(&source(node)?)
}

/// Reads a secret. What goes wrong continues a sentence that begins with the field, and repeats neither variable nor
/// path: who mistook the one for the other wrote the secret there.
pub(crate) fn fetch(source: &Source) -> Result<Zeroizing<String>, String> {
    match source {
        Source::Variable(name) => match ProcessEnv.get(name) {
            Some(value) => Ok(Zeroizing::new(value)),
            None => Err("names a variable that is not set; set it, or name a file".to_owned()),
        },
        Source::File(file) => file.read().map_err(|problem| format!("names a file that {problem}")),
    }
}

/// Whether it can be the name of a variable here.
pub(crate) fn is_variable(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=128).contains(&name.len()) && name.bytes().all(allowed)
}

impl SecretFile {
    /// The text of the file, without one line end at its end.
    fn read(&self) -> Result<Zeroizing<String>, String> {
        let content =
            opened::secret(&self.path, &self.exceptions, MAX_LEN).map_err(|refusal| refusal.problem)?;
        let content = content.ok_or_else(|| format!("is longer than {MAX_LEN} bytes"))?;
        let text = std::str::from_utf8(&content).map_err(|_| "is not UTF-8 text".to_owned())?;
        let line = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
        Ok(Zeroizing::new(line.to_owned()))
    }
}
