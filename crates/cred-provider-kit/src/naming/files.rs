//! The names of local files and directories.

use cred_core::{ConfigError, CredentialId, PathRef, ScopeId};

use super::alphabet::{Alphabet, Plain};
use super::{Decoded, PhysicalName, digest};

/// NAME_MAX of the common file systems, and the longest component on Windows.
const MAX_COMPONENT: usize = 255;
/// Device names of Windows, with any extension ([naming
/// files](https://learn.microsoft.com/windows/win32/fileio/naming-a-file)); `com0` to `com9` and
/// `lpt0` to `lpt9` besides.
const DEVICES: [&[u8]; 4] = [b"aux", b"con", b"nul", b"prn"];

/// Letters of lower case, digits, `_`, `-` and `.`: the same on file systems that ignore case, and
/// on Windows.
const COMPONENT: Alphabet = Alphabet {
    plain: Plain::LOWER_AND_DIGITS.and(b"_-."),
    codes: &[(b':', "=")],
    shift: Some("+"),
    hex: "%",
    hashed: "%h",
};

/// The names of local files: each part of a scope is a directory, an id is a file with an
/// extension.
///
/// They are portable: no two meet on a file system that ignores case, none is a device of Windows,
/// none begins or ends with a dot, none is longer than 255 bytes. A directory's name has a `=` or
/// is hashed, so it is never that of an id's file. What begins with a dot is free for the
/// provider's own files.
#[derive(Debug, Clone)]
pub struct FileNames {
    /// With its dot.
    extension: String,
}

impl FileNames {
    /// The longest extension in bytes.
    pub const MAX_EXTENSION_LEN: usize = 64;

    /// Names with this extension, given without its dot; `field` is what the configuration calls
    /// it.
    ///
    /// # Errors
    /// [`ConfigError`] unless it is 1 to [`FileNames::MAX_EXTENSION_LEN`] bytes of `[A-Za-z0-9._-]`
    /// that neither begin nor end with a dot.
    pub fn new(field: &'static str, extension: &str) -> Result<Self, ConfigError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let fits = (1..=Self::MAX_EXTENSION_LEN).contains(&extension.len());
        let dots = extension.starts_with('.') || extension.ends_with('.');
        match fits && !dots && extension.bytes().all(allowed) {
            true => Ok(Self { extension: format!(".{extension}") }),
            false => Err(ConfigError::invalid(
                "local",
                field,
                "must be 1 to 64 of A-Z a-z 0-9 . _ - without a dot at either end, as in `enc.json`",
            )),
        }
    }

    /// The name of an id's file.
    #[must_use]
    pub fn file(&self, id: &CredentialId) -> PhysicalName {
        let mut name = component(id.as_str(), MAX_COMPONENT - self.extension.len());
        name.text.push_str(&self.extension);
        name
    }

    /// The names of a scope's directories, outermost first.
    pub fn directories(&self, scope: &ScopeId) -> impl Iterator<Item = PhysicalName> {
        scope.as_str().split('/').map(directory)
    }

    /// Whether a name on the way to this path is hashed, so that the file must hold the path.
    #[must_use]
    pub fn is_hashed(&self, path: PathRef<'_>) -> bool {
        self.file(path.id).hashed
            || path.scope.is_some_and(|scope| self.directories(scope).any(|name| name.hashed))
    }

    /// The id of a file's name. Any text is an answer.
    #[must_use]
    pub fn decode_file(&self, name: &str) -> Decoded<CredentialId> {
        let Some(stem) = name.strip_suffix(&self.extension) else { return Decoded::Foreign };
        if is_its_own_name(stem, MAX_COMPONENT - self.extension.len()) {
            return CredentialId::new(stem).map_or(Decoded::Foreign, Decoded::Exact);
        }
        if COMPONENT.is_hashed(stem) {
            return Decoded::Hashed;
        }
        match COMPONENT.decode(stem).and_then(|text| CredentialId::new(text).ok()) {
            Some(id) if self.file(&id).text == name => Decoded::Exact(id),
            _ => Decoded::Foreign,
        }
    }

    /// The scope of one part, `level:value`, that a directory's name stands for; joined with the
    /// names above it, it makes the whole scope. Any text is an answer.
    #[must_use]
    pub fn decode_directory(&self, name: &str) -> Decoded<ScopeId> {
        if COMPONENT.is_hashed(name) {
            return Decoded::Hashed;
        }
        match COMPONENT.decode(name).and_then(|text| text.parse::<ScopeId>().ok()) {
            // A slash is never in a part's name, though it could be spelled.
            Some(part) if part.parent().is_none() && directory(part.as_str()).text == name => {
                Decoded::Exact(part)
            }
            _ => Decoded::Foreign,
        }
    }
}

fn directory(part: &str) -> PhysicalName {
    component(part, MAX_COMPONENT)
}

/// What is said below of nearly all names, without writing them: a list reads very many.
fn is_its_own_name(text: &str, max_len: usize) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-';
    text.len() <= max_len && text.bytes().all(plain) && !is_device(text.as_bytes())
}

fn component(text: &str, max_len: usize) -> PhysicalName {
    if is_its_own_name(text, max_len) {
        return PhysicalName { text: text.to_owned(), hashed: false };
    }
    let readable = COMPONENT.encode(text, |at| is_refused(text.as_bytes(), at));
    match readable.len() > max_len {
        false => PhysicalName { text: readable, hashed: false },
        true => PhysicalName { text: format!("{}{}", COMPONENT.hashed, digest(text)), hashed: true },
    }
}

/// A dot at either end, and the first letter of a device.
fn is_refused(text: &[u8], at: usize) -> bool {
    let dot_at_an_end = text.get(at) == Some(&b'.') && (at == 0 || at + 1 == text.len());
    dot_at_an_end || (at == 0 && is_device(text))
}

/// Upper case has marks in it, and so is none.
fn is_device(text: &[u8]) -> bool {
    let stem = text.split(|byte| *byte == b'.').next().unwrap_or_default();
    let numbered = |digits: &[u8]| matches!(digits, [digit] if digit.is_ascii_digit());
    DEVICES.contains(&stem)
        || stem.strip_prefix(b"com").or_else(|| stem.strip_prefix(b"lpt")).is_some_and(numbered)
}
