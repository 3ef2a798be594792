//! Key rings, as the files describe them.

mod check;

use std::path::PathBuf;

use cred_core::{KeyId, SecretString, Zeroizing};
use cred_crypto::{Argon2Params, KeyOrigin, KeyRing, KeyRingError, Passphrase, SealingKey};

use self::check::Check;
use super::secret::{self, Source};
use super::value::{Misfit, Node};
use crate::failure::{Exit, Failure};
use crate::{input, terminal};

/// The ring of a profile that names none.
pub(crate) const DEFAULT: &str = "main";

/// A ring, before its keys are read.
pub(crate) struct Ring {
    pub(crate) name: String,
    pub(crate) active: KeyId,
    /// In the order of the file.
    pub(crate) keys: Vec<Key>,
}

/// A key of a ring.
pub(crate) struct Key {
    pub(crate) id: KeyId,
    pub(crate) source: KeySource,
    /// File and line that it is written in.
    place: String,
}

/// Where a key comes from.
pub(crate) enum KeySource {
    File(PathBuf),
    Variable(String),
    Passphrase { from: PassphraseFrom, salt: Option<Salt>, params: Argon2Params },
}

/// The salt of a passphrase, and what tells a mistyped one; files of before there was such a check have none.
#[derive(Clone, Copy)]
pub(crate) struct Salt {
    kdf_salt: [u8; 16],
    check: Option<Check>,
}

/// Where a passphrase comes from.
pub(crate) enum PassphraseFrom {
    Prompt,
    File(PathBuf),
    Variable(String),
}

impl Ring {
    pub(super) fn read(name: &str, node: &Node<'_>) -> Result<Self, Misfit> {
        let mut active = None;
        let mut keys = Vec::new();
        for (field, value) in node.entries() {
            match field {
                "active" => active = Some(value.read::<KeyId>(&[])?),
                "keys" => {
                    for (id, key) in value.entries() {
                        let id = id
                            .parse()
                            .map_err(|error: cred_core::ParseError| key.misfit(error.to_string()))?;
                        let place = super::place(key.file(), key.misfit("").line());
                        keys.push(Key { id, source: KeySource::read(&key)?, place });
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
        Ok(Self { name: name.to_owned(), active, keys })
    }

    /// Reads all keys and makes the ring; may ask for passphrases. It blocks.
    pub(crate) fn load(&self) -> Result<KeyRing, Failure> {
        let mut builder = KeyRing::builder(self.active.clone());
        for key in &self.keys {
            builder = builder.key(key.id.clone(), key.load(&self.name)?);
        }
        let ring = builder.build()?;
        for key in &self.keys {
            let KeySource::Passphrase { salt: Some(Salt { kdf_salt, check: Some(check) }), .. } = &key.source
            else {
                continue;
            };
            if !check.is_of(&ring, &key.id, *kdf_salt)? {
                // Any other passphrase would seal, too, and then only the typing error would open.
                return Err(Failure::new(
                    Exit::Keys,
                    format!(
                        "the passphrase is not the one that key `{}` of ring `{}` was added with",
                        key.id, self.name
                    ),
                )
                .hint("give that one again; a new passphrase is a key of its own, with an id of its own: `cred key add`"));
            }
        }
        Ok(ring)
    }
}

impl Key {
    /// Reads it; may ask for a passphrase. It blocks.
    pub(crate) fn load(&self, ring: &str) -> Result<SealingKey, Failure> {
        match &self.source {
            KeySource::File(path) => {
                SealingKey::from_file(path).map_err(|error| self.refused(ring, unfit(error)))
            }
            KeySource::Variable(name) => {
                use cred_provider_kit::Env as _;
                SealingKey::from_env(name, |name| cred_provider_kit::ProcessEnv.get(name))
                    .map_err(|error| self.refused(ring, unfit(error)))
            }
            KeySource::Passphrase { from, salt, params } => {
                let text = self.passphrase(from, ring)?;
                let mut passphrase = Passphrase::new(SecretString::from(text.as_str()))?.with_params(*params);
                if let Some(Salt { kdf_salt, .. }) = salt {
                    passphrase = passphrase.with_kdf_salt(*kdf_salt);
                }
                Ok(passphrase.into())
            }
        }
    }

    fn passphrase(&self, from: &PassphraseFrom, ring: &str) -> Result<Zeroizing<String>, Failure> {
        let source = match from {
            PassphraseFrom::Prompt => return terminal::hidden(&format!("Passphrase of key {}: ", self.id)),
            PassphraseFrom::File(path) => Source::File(path.clone()),
            PassphraseFrom::Variable(name) => Source::Variable(name.clone()),
        };
        secret::fetch(&source).map_err(|problem| self.refused(ring, problem))
    }

    fn refused(&self, ring: &str, problem: String) -> Failure {
        Failure::new(Exit::Keys, format!("{}: `keys.{}` of ring `{ring}` {problem}", self.place, self.id))
    }
}

/// A new passphrase, typed twice: its salt and its check, as a file has them. It blocks.
pub(crate) fn ask_new(id: &KeyId) -> Result<(String, String), Failure> {
    let ask = |question: &str| {
        terminal::hidden(question).map_err(|failure| match failure.exit {
            Exit::Usage => failure.hint("a new passphrase is typed, so add its key on a terminal"),
            _ => failure,
        })
    };
    let typed = ask(&format!("Passphrase of {id}: "))?;
    let passphrase = Passphrase::new(SecretString::from(typed.as_str()))?;
    if *ask("Once more: ")? != *typed {
        return Err(Failure::usage("the two passphrases differ").hint("nothing was changed; do this again"));
    }
    let kdf_salt = input::random::<16>()?;
    let check = Check::new(id, passphrase.with_kdf_salt(*kdf_salt))?;
    Ok((to_hex(&*kdf_salt), check.encode()))
}

/// What is wrong with a key, as [`secret::fetch`] says it: neither variable nor path is repeated, since who mistook the
/// one for the other wrote the key there.
fn unfit(error: KeyRingError) -> String {
    match error {
        KeyRingError::Malformed { origin, problem } => {
            let what = if matches!(origin, KeyOrigin::File(_)) { "file" } else { "variable" };
            format!("names a {what} that does not hold a key: {problem}")
        }
        KeyRingError::MissingVariable { .. } | KeyRingError::VariableName => {
            "names a variable that is not set; set it to the base64 of 32 random bytes".to_owned()
        }
        KeyRingError::UnreadableFile { source, .. } => {
            format!(
                "names a file that could not be read ({}); check that it exists and belongs to this user",
                source.kind()
            )
        }
        KeyRingError::NotAFile { .. } => "names a file that is not a regular one".to_owned(),
        KeyRingError::ExposedFile { mode, .. } => format!(
            "names a file that is open to others than its owner (mode {mode:04o}); run `chmod 600` on it, and replace \
             the key if somebody may have read it"
        ),
        _ => "names no key that can be used".to_owned(),
    }
}

impl KeySource {
    fn read(node: &Node<'_>) -> Result<Self, Misfit> {
        const FORMS: &str =
            "must be { file = \"PATH\" }, { env = \"NAME\" } or { passphrase = .. }; never the key itself";
        if let [(_, only)] = node.entries().as_slice()
            && !only.field().ends_with(".passphrase")
        {
            return Ok(match secret::source(node).map_err(|_| node.misfit(FORMS))? {
                Source::File(path) => Self::File(path),
                Source::Variable(name) => Self::Variable(name),
            });
        }
        let Some(passphrase) = node.get("passphrase") else { return Err(node.misfit(FORMS)) };
        let from = match passphrase.text() {
            Some("prompt") => PassphraseFrom::Prompt,
            _ => match secret::source(&passphrase) {
                Ok(Source::File(path)) => PassphraseFrom::File(path),
                Ok(Source::Variable(name)) => PassphraseFrom::Variable(name),
                Err(_) => {
                    let forms = "must be \"prompt\", { env = \"NAME\" } or { file = \"PATH\" }; never the passphrase itself";
                    return Err(passphrase.misfit(forms));
                }
            },
        };
        let default = Argon2Params::default();
        let (mut m_kib, mut t, mut p) = (default.m_kib(), default.t(), default.p());
        let (mut kdf_salt, mut check) = (None, None);
        for (field, value) in node.entries() {
            match field {
                "passphrase" => {}
                "kdf_salt" => {
                    let salt = value.text().and_then(from_hex);
                    kdf_salt = Some(salt.ok_or_else(|| value.misfit("must be 32 hex digits in quotes"))?);
                }
                "check" => {
                    let found = value.text().and_then(Check::decode);
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
        let params = Argon2Params::new(m_kib, t, p)
            .map_err(|error| node.misfit(format!("cannot be used: {error}")))?;
        if check.is_some() && kdf_salt.is_none() {
            return Err(node.misfit("has a `check`, which needs the `kdf_salt` that was beside it"));
        }
        let salt = kdf_salt.map(|kdf_salt| Salt { kdf_salt, check });
        Ok(Self::Passphrase { from, salt, params })
    }

    /// Whether a mistyped passphrase would be taken for the key.
    pub(crate) fn is_unchecked(&self) -> bool {
        matches!(self, Self::Passphrase { salt: None | Some(Salt { check: None, .. }), .. })
    }

    /// For people.
    pub(crate) fn describe(&self) -> String {
        let from = match self {
            Self::File(path) => format!("file {}", path.display()),
            Self::Variable(_) => "variable".to_owned(),
            Self::Passphrase { from: PassphraseFrom::Prompt, .. } => "passphrase, asked for".to_owned(),
            Self::Passphrase { from: PassphraseFrom::File(_), .. } => "passphrase in a file".to_owned(),
            Self::Passphrase { from: PassphraseFrom::Variable(_), .. } => {
                "passphrase in a variable".to_owned()
            }
        };
        if self.is_unchecked() { format!("{from}, no check") } else { from }
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

pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
