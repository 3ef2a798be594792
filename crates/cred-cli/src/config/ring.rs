//! Key rings, as the files describe them.

mod check;

use cred_core::{KeyId, SecretString, Zeroizing};
use cred_crypto::{Argon2Params, KeyRing, KeyRingError, Passphrase, SealingKey};
use diceware_wordlists::EFF_LONG_WORDLIST;

use self::check::Check;
use super::secret::{self, Source};
use super::value::{Misfit, Node};
use crate::failure::{Exit, Failure};
use crate::{input, terminal};

/// The ring of a profile that names none.
pub(crate) const DEFAULT: &str = "main";

/// The least memory and passes of Argon2id that a file may ask for: half of what RFC 9106 (section
/// 4, the second recommended option) has, which are the defaults.
const LEAST_M_KIB: u32 = 32 * 1_024;
const LEAST_T: u32 = 2;

/// The shortest passphrase of a new key, in characters.
const LEAST_PASSPHRASE: usize = 12;

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
    /// The text form of a key.
    Secret(Source),
    Passphrase {
        from: PassphraseFrom,
        salt: Option<Salt>,
        params: Argon2Params,
    },
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
    Secret(Source),
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
            KeySource::Secret(source) => {
                let text = secret::fetch(source).map_err(|problem| self.refused(ring, problem))?;
                SealingKey::from_base64(&text)
                    .map_err(|error| self.refused(ring, unfit(source, &text, &error)))
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
            PassphraseFrom::Secret(source) => source,
        };
        secret::fetch(source).map_err(|problem| self.refused(ring, problem))
    }

    fn refused(&self, ring: &str, problem: String) -> Failure {
        Failure::new(Exit::Keys, format!("{}: `keys.{}` of ring `{ring}` {problem}", self.place, self.id))
    }
}

/// A new passphrase, typed twice, or made, shown and typed once: its salt and its check, as a file has
/// them. It blocks.
pub(crate) fn ask_new(id: &KeyId, generate: bool) -> Result<(String, String), Failure> {
    let ask = |question: &str| {
        terminal::hidden(question).map_err(|failure| match failure.exit {
            Exit::Usage => failure.hint("a new passphrase is typed, so add its key on a terminal"),
            _ => failure,
        })
    };
    let made = if generate { Some(words()?) } else { None };
    let typed = match &made {
        Some(made) => {
            let shown =
                Zeroizing::new(format!("Passphrase of {id}: {}\nWrite it down, then type it: ", **made));
            ask(&shown)?
        }
        None => ask(&format!("Passphrase of {id}: "))?,
    };
    let passphrase = Passphrase::new(SecretString::from(typed.as_str()))?;
    if typed.chars().count() < LEAST_PASSPHRASE {
        return Err(Failure::usage(format!("a passphrase has at least {LEAST_PASSPHRASE} characters"))
            .hint("use several random words; --generate makes them"));
    }
    let again = match made {
        Some(made) => made,
        None => ask("Once more: ")?,
    };
    if *again != *typed {
        return Err(Failure::usage("the two passphrases differ").hint("nothing was changed; do this again"));
    }
    let kdf_salt = input::random::<16>()?;
    let check = Check::new(id, passphrase.with_kdf_salt(*kdf_salt))?;
    Ok((to_hex(&*kdf_salt), check.encode()))
}

/// Seven random words of the EFF's long list: 90 bits, which no one guesses.
fn words() -> Result<Zeroizing<String>, Failure> {
    const COUNT: usize = 7;
    let list = EFF_LONG_WORDLIST;
    let mut words = Zeroizing::new(String::with_capacity(COUNT * 16));
    for number in 0..COUNT {
        if number > 0 {
            words.push('-');
        }
        words.push_str(loop {
            let drawn = usize::from(u16::from_le_bytes(*input::random::<2>()?));
            // Numbers beyond the last multiple of the list's length would favour its first words.
            if drawn < list.len() * (usize::from(u16::MAX) / list.len()) {
                break list.get(drawn % list.len()).copied().unwrap_or_default();
            }
        });
    }
    Ok(words)
}

/// What is wrong with a key, as [`secret::fetch`] reports it: neither variable nor path is repeated,
/// since the key may have been written in their place.
fn unfit(source: &Source, text: &str, error: &KeyRingError) -> String {
    let what = if matches!(source, Source::File(_)) { "file" } else { "variable" };
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
        if let [(_, only)] = node.entries().as_slice()
            && !only.field().ends_with(".passphrase")
        {
            return secret::source(node).map(Self::Secret).map_err(|_| node.misfit(FORMS));
        }
        let Some(passphrase) = node.get("passphrase") else { return Err(node.misfit(FORMS)) };
        let from = match passphrase.text() {
            Some("prompt") => PassphraseFrom::Prompt,
            _ => match secret::source(&passphrase) {
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

    /// Whether a mistyped passphrase would be taken for the key.
    pub(crate) fn is_unchecked(&self) -> bool {
        matches!(self, Self::Passphrase { salt: None | Some(Salt { check: None, .. }), .. })
    }

    /// For people.
    pub(crate) fn describe(&self) -> String {
        let from = match self {
            Self::Secret(Source::File(file)) => format!("file {}", file.path.display()),
            Self::Secret(Source::Variable(_)) => "variable".to_owned(),
            Self::Passphrase { from: PassphraseFrom::Prompt, .. } => "passphrase, asked for".to_owned(),
            Self::Passphrase { from: PassphraseFrom::Secret(Source::File(_)), .. } => {
                "passphrase in a file".to_owned()
            }
            Self::Passphrase { from: PassphraseFrom::Secret(Source::Variable(_)), .. } => {
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
