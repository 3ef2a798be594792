//! The names of local files and directories.

use cred_core::{ConfigError, CredentialId, PathRef, ScopeId};

use super::alphabet::{Alphabet, Plain};
use super::{Decoded, PhysicalName, digest};

/// NAME_MAX of the common file systems, and the longest component on Windows.
const MAX_COMPONENT: usize = 255;
/// Device names of Windows, with any extension ([naming
/// files](https://learn.microsoft.com/windows/win32/fileio/naming-a-file)); `com0` to `com9` and
/// `lpt0` to `lpt9` are reserved too.
const DEVICES: [&[u8]; 4] = [b"aux", b"con", b"nul", b"prn"];

/// Lower-case letters, digits, `_`, `-` and `.`: valid on Windows and on file systems that ignore
/// case.
const COMPONENT: Alphabet = Alphabet {
    plain: Plain::LOWER_AND_DIGITS.with(b"_-."),
    codes: &[(b':', "=")],
    shift: Some("+"),
    hex: "%",
    hashed: "%h",
};

/// The names of local files: each part of a scope is a directory, an id is a file with an
/// extension.
///
/// They are portable:
///
/// - no two are equal on a file system that ignores case;
/// - none is a device name of Windows;
/// - none begins or ends with a dot;
/// - none is longer than 255 bytes.
///
/// The name of a directory contains a `=` or is hashed, so it never equals the file name of an id.
/// Names that begin with a dot are free for the provider's own files.
#[derive(Debug, Clone)]
pub struct FileNames {
    /// Including the leading dot.
    extension: String,
}

impl FileNames {
    /// Maximum length of an extension, in bytes.
    pub const MAX_EXTENSION_LEN: usize = 64;

    /// Creates names with this extension, given without its dot; `field` is its name in the
    /// configuration.
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

    /// Returns the file name of an id.
    #[must_use]
    pub fn file(&self, id: &CredentialId) -> PhysicalName {
        let mut name = component(id.as_str(), MAX_COMPONENT - self.extension.len());
        name.text.push_str(&self.extension);
        name
    }

    /// Returns the directory names of a scope, outermost first.
    pub fn directories(&self, scope: &ScopeId) -> impl Iterator<Item = PhysicalName> {
        scope.as_str().split('/').map(directory)
    }

    /// Reports whether the file name or a directory name of this path is hashed, so that the file
    /// must contain the path.
    #[must_use]
    pub fn is_hashed(&self, path: PathRef<'_>) -> bool {
        self.file(path.id).hashed
            || path.scope.is_some_and(|scope| self.directories(scope).any(|name| name.hashed))
    }

    /// Decodes the file name of an id. Accepts any text.
    #[must_use]
    pub fn decode_file(&self, name: &str) -> Decoded<CredentialId> {
        let Some(stem) = name.strip_suffix(&self.extension) else { return Decoded::Foreign };
        if is_unchanged(stem, MAX_COMPONENT - self.extension.len()) {
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

    /// Decodes a directory name to a scope of one part, `level:value`. Joined with the parts of the
    /// directories above, it is the whole scope. Accepts any text.
    #[must_use]
    pub fn decode_directory(&self, name: &str) -> Decoded<ScopeId> {
        if COMPONENT.is_hashed(name) {
            return Decoded::Hashed;
        }
        match COMPONENT.decode(name).and_then(|text| text.parse::<ScopeId>().ok()) {
            // A part never contains a slash, although one could be encoded.
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

/// Whether the encoding leaves a text unchanged, without encoding it. This is the case for nearly
/// all names, and a list reads very many.
fn is_unchanged(text: &str, max_len: usize) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-';
    text.len() <= max_len && text.bytes().all(plain) && !is_device(text.as_bytes())
}

fn component(text: &str, max_len: usize) -> PhysicalName {
    if is_unchanged(text, max_len) {
        return PhysicalName { text: text.to_owned(), hashed: false };
    }
    let readable = COMPONENT.encode(text, |at| is_refused(text.as_bytes(), at));
    match readable.len() > max_len {
        false => PhysicalName { text: readable, hashed: false },
        true => PhysicalName { text: format!("{}{}", COMPONENT.hashed, digest(text)), hashed: true },
    }
}

/// Whether a byte must be in hexadecimal: a dot at either end, and the first letter of a device
/// name.
fn is_refused(text: &[u8], at: usize) -> bool {
    let dot_at_an_end = text.get(at) == Some(&b'.') && (at == 0 || at + 1 == text.len());
    dot_at_an_end || (at == 0 && is_device(text))
}

/// A name with upper case is encoded with marks, so it is not a device name.
fn is_device(text: &[u8]) -> bool {
    let stem = text.split(|byte| *byte == b'.').next().unwrap_or_default();
    let numbered = |digits: &[u8]| matches!(digits, [digit] if digit.is_ascii_digit());
    DEVICES.contains(&stem)
        || stem.strip_prefix(b"com").or_else(|| stem.strip_prefix(b"lpt")).is_some_and(numbered)
}
