//! The key rings of the files.

mod check;

use cred_core::{KeyId, SecretString, Zeroizing};
use cred_crypto::{Argon2Params, KeyRing, KeyRingError, Passphrase, SealingKey};

pub use self::check::PassphraseCheck;
use crate::error::{Error, Place};
use crate::opened::Exceptions;
use crate::secret::SecretSource;
use crate::value::{Node, ValueError};

/// The minimum memory and passes of Argon2id in a file: half of RFC 9106's second recommended
/// option (section 4), rounded up. That option is the default.
const MIN_M_KIB: u32 = 32 * 1_024;
const MIN_T: u32 = 2;

/// A key ring whose keys are not read yet.
#[derive(Debug)]
pub struct Ring {
    name: String,
    at: Place,
    active: KeyId,
    keys: Vec<Key>,
}

/// A key of a ring that is not read yet.
#[derive(Debug)]
pub struct Key {
    id: KeyId,
    ring: String,
    at: Place,
    source: KeySource,
    /// The exceptions to the file checks, for the file that it names.
    exceptions: Exceptions,
}

/// The source of a key.
#[derive(Debug)]
enum KeySource {
    /// The base64 text of a key.
    Secret(SecretSource),
    Passphrase {
        from: PassphraseFrom,
        salt: Option<Salt>,
        params: Argon2Params,
    },
}

/// The salt of a passphrase, and the check that detects a mistyped one. Older files have no check.
#[derive(Debug, Clone, Copy)]
struct Salt {
    kdf_salt: [u8; 16],
    check: Option<PassphraseCheck>,
}

/// The source of a passphrase.
#[derive(Debug)]
enum PassphraseFrom {
    Prompt,
    Secret(SecretSource),
}

impl Ring {
    /// The ring of a profile without the field `ring`: `main`.
    pub const DEFAULT: &'static str = "main";

    pub(crate) fn read(name: &str, node: &Node<'_>) -> Result<Self, ValueError> {
        let mut active = None;
        let mut keys = Vec::new();
        for (field, value) in node.entries() {
            match field {
                "active" => active = Some(value.read::<KeyId>(&[])?),
                "keys" => {
                    for (id, key) in value.entries() {
                        keys.push(Key::read(id, name, &key)?);
                    }
                }
                _ => return Err(value.invalid("is not a field of a ring, which has `active` and `keys`")),
            }
        }
        let active: KeyId =
            active.ok_or_else(|| node.invalid("needs the field `active`: the id of the key that seals"))?;
        if !keys.iter().any(|key| key.id == active) {
            return Err(node
                .nearest("active")
                .invalid("names a key that this ring does not have; add it below `keys`"));
        }
        Ok(Self { name: name.to_owned(), at: node.place(), active, keys })
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the id of the key that seals.
    #[must_use]
    pub fn active(&self) -> &KeyId {
        &self.active
    }

    /// Returns the keys in the order of the file.
    #[must_use]
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// Reads all keys and builds the key ring. Blocks: it reads files, and derives the key of each
    /// passphrase that has a check, which takes as long as Argon2id needs with its parameters.
    ///
    /// `ask` returns the passphrase of a key that [is prompted for](Key::is_asked_for).
    ///
    /// # Errors
    /// If a key cannot be read, a passphrase is wrong, or `ask` fails.
    pub fn load<E: From<Error>>(
        &self,
        mut ask: impl FnMut(&Key) -> Result<Zeroizing<String>, E>,
    ) -> Result<KeyRing, E> {
        let mut builder = KeyRing::builder(self.active.clone());
        for key in &self.keys {
            builder = builder.key(key.id.clone(), key.load(&mut ask)?);
        }
        let failed = |source| Error::Ring { at: self.at.clone(), ring: self.name.clone(), source };
        let ring = builder.build().map_err(failed)?;
        for key in &self.keys {
            let KeySource::Passphrase { salt: Some(Salt { kdf_salt, check: Some(check) }), .. } = &key.source
            else {
                continue;
            };
            if !check.matches_key(&ring, &key.id, *kdf_salt)? {
                // A mistyped passphrase would seal too, and only the same mistake could open the
                // data.
                let (at, ring) = (key.at.clone(), self.name.clone());
                return Err(Error::WrongPassphrase { at, ring, key: key.id.clone() }.into());
            }
        }
        Ok(ring)
    }
}

impl Key {
    fn read(id: &str, ring: &str, node: &Node<'_>) -> Result<Self, ValueError> {
        let id = id.parse().map_err(|error: cred_core::ParseError| node.invalid(error.to_string()))?;
        let source = KeySource::read(node)?;
        let exceptions = node.file().exceptions().clone();
        Ok(Self { id, ring: ring.to_owned(), at: node.place(), source, exceptions })
    }

    /// Returns the id.
    #[must_use]
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// Reads the key. Blocks: it may read a file. Does not check a passphrase; [`Ring::load`] does.
    ///
    /// # Errors
    /// If the key cannot be read, or `ask` fails.
    pub fn load<E: From<Error>>(
        &self,
        ask: impl FnOnce(&Self) -> Result<Zeroizing<String>, E>,
    ) -> Result<SealingKey, E> {
        match &self.source {
            KeySource::Secret(source) => {
                let text = self.fetch(source)?;
                let key_problem = |error| self.refused(key_problem(source, &text, &error));
                Ok(SealingKey::from_base64(&text).map_err(key_problem)?)
            }
            KeySource::Passphrase { from, salt, params } => {
                let text = match from {
                    PassphraseFrom::Prompt => ask(self)?,
                    PassphraseFrom::Secret(source) => self.fetch(source)?,
                };
                let failed = |source| Error::Ring { at: self.at.clone(), ring: self.ring.clone(), source };
                let passphrase = Passphrase::new(SecretString::from(text.as_str())).map_err(failed)?;
                let passphrase = passphrase.with_params(*params);
                Ok(match salt {
                    Some(Salt { kdf_salt, .. }) => passphrase.with_kdf_salt(*kdf_salt).into(),
                    None => passphrase.into(),
                })
            }
        }
    }

    /// Whether its passphrase comes from a prompt each time.
    #[must_use]
    pub fn is_asked_for(&self) -> bool {
        matches!(self.source, KeySource::Passphrase { from: PassphraseFrom::Prompt, .. })
    }

    /// Whether a mistyped passphrase would be accepted, because the key has no check.
    #[must_use]
    pub fn is_unchecked(&self) -> bool {
        matches!(self.source, KeySource::Passphrase { salt: None | Some(Salt { check: None, .. }), .. })
    }

    /// Describes the source of the key. Contains the path of a key file, but no name of a variable.
    #[must_use]
    pub fn describe(&self) -> String {
        let from = match &self.source {
            KeySource::Secret(SecretSource::File(path)) => format!("file {}", path.display()),
            KeySource::Secret(SecretSource::Env(_)) => "variable".to_owned(),
            KeySource::Passphrase { from: PassphraseFrom::Prompt, .. } => {
                "passphrase from a prompt".to_owned()
            }
            KeySource::Passphrase { from: PassphraseFrom::Secret(SecretSource::File(_)), .. } => {
                "passphrase in a file".to_owned()
            }
            KeySource::Passphrase { from: PassphraseFrom::Secret(SecretSource::Env(_)), .. } => {
                "passphrase in a variable".to_owned()
            }
        };
        if self.is_unchecked() { format!("{from}, no check") } else { from }
    }

    fn fetch(&self, source: &SecretSource) -> Result<Zeroizing<String>, Error> {
        source.fetch(Some(&self.exceptions)).map_err(|problem| self.refused(problem))
    }

    pub(crate) fn refused(&self, problem: String) -> Error {
        Error::Key { at: self.at.clone(), ring: self.ring.clone(), key: self.id.clone(), problem }
    }
}

/// The problem with a key. Repeats neither variable nor path, since the key may have been written
/// in their place.
fn key_problem(source: &SecretSource, text: &str, error: &KeyRingError) -> String {
    let what = if matches!(source, SecretSource::File(_)) { "file" } else { "variable" };
    match error {
        KeyRingError::Malformed { .. } if text.trim().len() < text.len() => {
            format!("names a {what} with white space around the key, such as a line end; remove it")
        }
        KeyRingError::Malformed { problem, .. } => {
            format!("names a {what} that does not hold a key: {problem}")
        }
        _ => format!("names a {what} whose key cannot be used"),
    }
}

impl KeySource {
    fn read(node: &Node<'_>) -> Result<Self, ValueError> {
        const FORMS: &str =
            "must be { file = \"PATH\" }, { env = \"NAME\" } or { passphrase = .. }; never the key itself";
        let entries = node.entries();
        let Some(passphrase) = node.get("passphrase") else {
            return match entries.len() {
                1 => SecretSource::from_node(node).map(Self::Secret).map_err(|_| node.invalid(FORMS)),
                _ => Err(node.invalid(FORMS)),
            };
        };
        let from = match passphrase.text() {
            Some("prompt") => PassphraseFrom::Prompt,
            _ => match SecretSource::from_node(&passphrase) {
                Ok(source) => PassphraseFrom::Secret(source),
                Err(_) => {
                    let forms = "must be \"prompt\", { env = \"NAME\" } or { file = \"PATH\" }; never the passphrase itself";
                    return Err(passphrase.invalid(forms));
                }
            },
        };
        let default = Argon2Params::default();
        let (mut m_kib, mut t, mut p) = (default.m_kib(), default.t(), default.p());
        let (mut kdf_salt, mut check) = (None, None);
        for (field, value) in entries {
            match field {
                "passphrase" => {}
                "kdf_salt" => {
                    let salt = value.text().and_then(from_hex);
                    kdf_salt = Some(salt.ok_or_else(|| value.invalid("must be 32 hex digits in quotes"))?);
                }
                "check" => {
                    let found = value.text().and_then(PassphraseCheck::decode);
                    let problem =
                        "must be the 88 characters in quotes that `cred key add --passphrase` wrote";
                    check = Some(found.ok_or_else(|| value.invalid(problem))?);
                }
                "m_kib" => m_kib = value.read(&[])?,
                "t" => t = value.read(&[])?,
                "p" => p = value.read(&[])?,
                _ => {
                    let fields = "is not a field of a passphrase, which has `kdf_salt`, `check`, `m_kib`, `t` and `p` beside it";
                    return Err(value.invalid(fields));
                }
            }
        }
        let params = Argon2Params::new(m_kib, t, p).map_err(|error| match error {
            KeyRingError::Argon2Parameter { name, least, most, .. } => {
                node.nearest(name).invalid(format!("must be {least} to {most}"))
            }
            _ => node.invalid("has invalid Argon2id parameters"),
        })?;
        if m_kib < MIN_M_KIB || t < MIN_T {
            return Err(node.invalid(format!(
                "has Argon2id parameters that make guessing cheap; `m_kib` must be at least {MIN_M_KIB} and \
                 `t` at least {MIN_T}"
            )));
        }
        if check.is_some() && kdf_salt.is_none() {
            return Err(node.invalid(
                "has a `check` but no `kdf_salt`; restore the `kdf_salt` that was written with it",
            ));
        }
        let salt = kdf_salt.map(|kdf_salt| Salt { kdf_salt, check });
        Ok(Self::Passphrase { from, salt, params })
    }
}

fn from_hex(text: &str) -> Option<[u8; 16]> {
    if !text.is_ascii() || text.len() != 32 {
        return None;
    }
    let mut bytes = [0; 16];
    for (byte, at) in bytes.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    Some(bytes)
}
