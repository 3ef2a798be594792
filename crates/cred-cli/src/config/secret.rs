//! Where a secret stands that a configuration needs: in a variable or in a file, never in `cred.toml`.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use cred_core::Zeroizing;
use cred_provider_kit::{Env as _, ProcessEnv};

use super::value::Node;

/// Bytes of the longest secret that a configuration has: a long token, a private key.
const MAX_LEN: usize = 64 * 1_024;

/// Where it stands.
pub(crate) enum Source {
    Variable(String),
    File(PathBuf),
}

/// `{ env = "NAME" }` or `{ file = "PATH" }`, where the path may count from the folder of the file.
pub(crate) fn source(node: &Node<'_>) -> Result<Source, String> {
    let wrong =
        "is secret, so it must be { env = \"NAME\" } or { file = \"PATH\" }; do not write the secret itself";
    match node.entries().as_slice() {
        [("env", name)] => match name.text() {
            Some(name) if is_variable(name) => Ok(Source::Variable(name.to_owned())),
            _ => Err("must name a variable, as { env = \"NAME\" }".to_owned()),
        },
        [("file", path)] => match path.text() {
            Some(path) if !path.is_empty() => Ok(Source::File(node.file().beside(path))),
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
        Source::File(path) => from_file(path).map_err(|problem| format!("names a file that {problem}")),
    }
}

/// Whether it can be the name of a variable here.
pub(crate) fn is_variable(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=128).contains(&name.len()) && name.bytes().all(allowed)
}

fn from_file(path: &Path) -> Result<Zeroizing<String>, String> {
    let unreadable = |error: std::io::Error| format!("cannot be read ({})", error.kind());
    let found = std::fs::metadata(path).map_err(unreadable)?;
    if !found.is_file() {
        return Err("is not a regular file".to_owned());
    }
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::MetadataExt::mode(&found) & 0o7777;
        if mode & 0o077 != 0 {
            return Err(format!("is open to others than its owner (mode {mode:04o}); run `chmod 600` on it"));
        }
    }
    let mut content = Zeroizing::new(Vec::with_capacity(MAX_LEN + 1));
    let limit = u64::try_from(MAX_LEN).unwrap_or(u64::MAX).saturating_add(1);
    File::open(path).map_err(unreadable)?.take(limit).read_to_end(&mut content).map_err(unreadable)?;
    if content.len() > MAX_LEN {
        return Err(format!("is longer than {MAX_LEN} bytes"));
    }
    let text = std::str::from_utf8(&content).map_err(|_| "is not UTF-8 text".to_owned())?;
    let line = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    Ok(Zeroizing::new(line.to_owned()))
}
