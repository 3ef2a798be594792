//! Key rings, as the files describe them.

mod check;

use cred_core::{KeyId, SecretString, Zeroizing};
use cred_crypto::{Argon2Params, KeyRing, KeyRingError, Passphrase, SealingKey};

pub use self::check::PassphraseCheck;
use crate::error::{Error, Place};
use crate::opened::Exceptions;
use crate::secret::SecretSource;
use crate::value::{Misfit, Node};

/// The least memory and passes of Argon2id that a file may ask for: half of what RFC 9106 (section
/// 4, the second recommended option) has, which are the defaults.
const LEAST_M_KIB: u32 = 32 * 1_024;
const LEAST_T: u32 = 2;

/// A key ring, before its keys are read.
#[derive(Debug)]
pub struct Ring {
    name: String,
    at: Place,
    active: KeyId,
    keys: Vec<Key>,
}

/// A key of a ring, before it is read.
#[derive(Debug)]
pub struct Key {
    id: KeyId,
    ring: String,
    at: Place,
    source: KeySource,
    /// For the file that it names.
    exceptions: Exceptions,
}

/// Where a key comes from.
#[derive(Debug)]
enum KeySource {
    /// The text form of a key.
    Secret(SecretSource),
    Passphrase {
        from: PassphraseFrom,
        salt: Option<Salt>,
        params: Argon2Params,
    },
}

/// The salt of a passphrase, and what finds a mistyped one; files of before there was such a check
/// have none.
#[derive(Debug, Clone, Copy)]
struct Salt {
    kdf_salt: [u8; 16],
    check: Option<PassphraseCheck>,
}

/// Where a passphrase comes from.
#[derive(Debug)]
enum PassphraseFrom {
    Prompt,
    Secret(SecretSource),
}

impl Ring {
    /// The ring of a profile that names none: `main`.
    pub const DEFAULT: &'static str = "main";

    pub(crate) fn read(name: &str, node: &Node<'_>) -> Result<Self, Misfit> {
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
                _ => return Err(value.misfit("is not a field of a ring, which has `active` and `keys`")),
            }
        }
        let active: KeyId =
            active.ok_or_else(|| node.misfit("needs the field `active`: the id of the key that seals"))?;
        if !keys.iter().any(|key| key.id == active) {
            return Err(node
                .nearest("active")
                .misfit("is the id of no key of this ring; add it below `keys`"));
        }
        Ok(Self { name: name.to_owned(), at: node.place(), active, keys })
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The id of the key that seals.
    #[must_use]
    pub fn active(&self) -> &KeyId {
        &self.active
    }

    /// The keys, in the order of the file.
    #[must_use]
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// Reads all keys and makes the key ring. Blocks: it reads files, and derives each passphrase
    /// that has a check, which is as slow as Argon2id's parameters say.
    ///
    /// `ask` returns the passphrase of a key that [asks for one](Key::is_asked_for).
    ///
    /// # Errors
    /// If a key cannot be read, a passphrase is the wrong one, or `ask` fails.
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
            if !check.is_of(&ring, &key.id, *kdf_salt)? {
                // Any other passphrase would seal, too, and then only the typing error would open.
                let (at, ring) = (key.at.clone(), self.name.clone());
                return Err(Error::WrongPassphrase { at, ring, key: key.id.clone() }.into());
            }
        }
        Ok(ring)
    }
}

impl Key {
    fn read(id: &str, ring: &str, node: &Node<'_>) -> Result<Self, Misfit> {
        let id = id.parse().map_err(|error: cred_core::ParseError| node.misfit(error.to_string()))?;
        let source = KeySource::read(node)?;
        let exceptions = node.file().exceptions().clone();
        Ok(Self { id, ring: ring.to_owned(), at: node.place(), source, exceptions })
    }

    /// The id.
    #[must_use]
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// Reads the key. Blocks: it may read a file. A passphrase is not checked yet; [`Ring::load`]
    /// does that.
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
                let unfit = |error| self.refused(unfit(source, &text, &error));
                Ok(SealingKey::from_base64(&text).map_err(unfit)?)
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

    /// Whether its passphrase is asked for each time.
    #[must_use]
    pub fn is_asked_for(&self) -> bool {
        matches!(self.source, KeySource::Passphrase { from: PassphraseFrom::Prompt, .. })
    }

    /// Whether a mistyped passphrase would be taken for the key.
    #[must_use]
    pub fn is_unchecked(&self) -> bool {
        matches!(self.source, KeySource::Passphrase { salt: None | Some(Salt { check: None, .. }), .. })
    }

    /// Where it comes from, for people. Has the path of a key file, and no name of a variable.
    #[must_use]
    pub fn describe(&self) -> String {
        let from = match &self.source {
            KeySource::Secret(SecretSource::File(path)) => format!("file {}", path.display()),
            KeySource::Secret(SecretSource::Env(_)) => "variable".to_owned(),
            KeySource::Passphrase { from: PassphraseFrom::Prompt, .. } => "passphrase, asked for".to_owned(),
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

/// What is wrong with a key. Neither variable nor path is repeated, since the key may have been
/// written in their place.
fn unfit(source: &SecretSource, text: &str, error: &KeyRingError) -> String {
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
    fn read(node: &Node<'_>) -> Result<Self, Misfit> {
        const FORMS: &str =
            "must be { file = \"PATH\" }, { env = \"NAME\" } or { passphrase = .. }; never the key itself";
        let entries = node.entries();
        let Some(passphrase) = node.get("passphrase") else {
            return match entries.len() {
                1 => SecretSource::of(node).map(Self::Secret).map_err(|_| node.misfit(FORMS)),
                _ => Err(node.misfit(FORMS)),
            };
        };
        let from = match passphrase.text() {
            Some("prompt") => PassphraseFrom::Prompt,
            _ => match SecretSource::of(&passphrase) {
                Ok(source) => PassphraseFrom::Secret(source),
                Err(_) => {
                    let forms = "must be \"prompt\", { env = \"NAME\" } or { file = \"PATH\" }; never the passphrase itself";
                    return Err(passphrase.misfit(forms));
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
                    kdf_salt = Some(salt.ok_or_else(|| value.misfit("must be 32 hex digits in quotes"))?);
                }
                "check" => {
                    let found = value.text().and_then(PassphraseCheck::decode);
                    let problem = "must be as `cred key add --passphrase` wrote it: 88 characters in quotes";
                    check = Some(found.ok_or_else(|| value.misfit(problem))?);
                }
                "m_kib" => m_kib = value.read(&[])?,
                "t" => t = value.read(&[])?,
                "p" => p = value.read(&[])?,
                _ => {
                    let fields = "is not a field of a passphrase, which has `kdf_salt`, `check`, `m_kib`, `t` and `p` beside it";
                    return Err(value.misfit(fields));
                }
            }
        }
        let params = Argon2Params::new(m_kib, t, p).map_err(|error| match error {
            KeyRingError::Argon2Parameter { name, least, most, .. } => {
                node.nearest(name).misfit(format!("must be {least} to {most}"))
            }
            _ => node.misfit("has parameters of Argon2id that cannot be used"),
        })?;
        if m_kib < LEAST_M_KIB || t < LEAST_T {
            return Err(node.misfit(format!(
                "has Argon2id parameters that make guessing cheap; `m_kib` must be at least {LEAST_M_KIB} and \
                 `t` at least {LEAST_T}"
            )));
        }
        if check.is_some() && kdf_salt.is_none() {
            return Err(node.misfit("has a `check`, which needs the `kdf_salt` that was beside it"));
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
