//! How one backend's names are built.

use cred_core::ConfigError;

use super::alphabet::{Alphabet, Plain};
use super::digest;

/// How one backend's names are built: [`AWS`](super::AWS), [`AZURE`](super::AZURE),
/// [`VAULT`](super::VAULT), [`KUBERNETES`](super::KUBERNETES), or those of another backend, by
/// [`Rules::custom`].
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// The backend in errors.
    pub(super) backend: &'static str,
    pub(super) alphabet: Alphabet,
    /// Bytes of a name with its prefix; `None`: every path has room.
    pub(super) max_len: Option<usize>,
    /// Whether the backend takes two names that differ in case for one.
    pub(super) ignores_case: bool,
    /// Whether the byte of a text at a position must be written in hexadecimal behind this prefix:
    /// a matter of its place.
    pub(super) refused: fn(prefix: &[u8], text: &[u8], at: usize) -> bool,
    /// Whether a whole name is refused none the less, so that it is hashed.
    pub(super) unusable: fn(&str) -> bool,
    /// What is wrong with a prefix, continuing a sentence that begins with it.
    pub(super) prefix_problem: fn(&Rules, &str) -> Option<&'static str>,
}

/// What a backend makes of upper case in names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// `A` and `a` are two letters, and a name may hold both.
    Kept,
    /// A name has no upper case, or the backend takes two names that differ in case alone for one,
    /// or gives a name back in another case: names are written in lower case, and a mark switches.
    Ignored,
}

impl Rules {
    /// The rules of a backend that none of the constants is for. It takes the lower-case letters
    /// and the digits, of upper case what `case` says, and the characters in `punctuation`, each at
    /// any place behind the prefix: leave out what it takes at some places only, or gives a
    /// meaning. `mark` is one more that it takes, and begins what stands for everything else:
    ///
    /// | of a path | in a name, where the mark is `~` |
    /// |---|---|
    /// | `-` `_` `:` `/` `.`, those not in `punctuation` | `~d` `~u` `~c` `~s` `~p` |
    /// | a change between lower and upper case, where it is ignored | `~k` |
    /// | a path that is too long, as a [`digest`](fn@super::digest) | `~h...` |
    ///
    /// A name never ends with the mark. No two paths share a name, whatever is given here: what
    /// would let them is refused. `backend` is its name in errors.
    ///
    /// ```
    /// use cred_core::CredentialPath;
    /// use cred_provider_kit::naming::{Case, Decoded, Names, Rules};
    ///
    /// // Table names of some database: lower case, digits and `_`, at most 128 bytes.
    /// let rules = Rules::custom("tables", Case::Ignored, "", '_')?.with_max_len(128);
    /// let names = Names::new(rules, "prefix", "cred_")?;
    /// let path: CredentialPath = "org:acme/API_KEY".parse()?;
    /// let name = names.encode(path.as_path_ref());
    /// assert_eq!(name.text, "cred_org_cacme_s_kapi_ukey");
    /// assert_eq!(names.decode(&name.text), Decoded::Exact(path));
    ///
    /// // A mark that also stands for itself could be read in two ways.
    /// assert!(Rules::custom("tables", Case::Ignored, "_-", '_').is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ConfigError`] unless `mark` is one of `- _ . : / + = @ ~ % ! $ # ,` and not in
    /// `punctuation`, which is other printable ASCII than letters, digits and the space.
    pub fn custom(
        backend: &'static str,
        case: Case,
        punctuation: &str,
        mark: char,
    ) -> Result<Self, ConfigError> {
        let refuse = |field, problem| ConfigError::invalid(backend, field, problem);
        let marked =
            marked(mark).ok_or_else(|| refuse("mark", "must be one of - _ . : / + = @ ~ % ! $ # ,"))?;
        if punctuation.contains(mark) {
            return Err(refuse(
                "mark",
                "is punctuation too, so that two paths could share a name; use another",
            ));
        }
        if !punctuation.bytes().all(|byte| byte.is_ascii_punctuation()) {
            return Err(refuse(
                "punctuation",
                "has a letter, a digit, a blank or what is not ASCII; leave that out",
            ));
        }
        let (letters, shift) = match case {
            Case::Kept => (Plain::ALPHANUMERIC, None),
            Case::Ignored => (Plain::LOWER_AND_DIGITS, Some(marked.shift)),
        };
        let plain = letters.and(punctuation.as_bytes());
        Ok(Self {
            backend,
            alphabet: Alphabet { plain, codes: marked.codes, shift, hex: marked.hex, hashed: marked.hashed },
            max_len: None,
            ignores_case: case == Case::Ignored,
            refused: |_, _, _| false,
            unusable: |_| false,
            prefix_problem: |rules, prefix| {
                let allowed = |byte: u8| {
                    rules.alphabet.plain.has(byte) || rules.alphabet.hex.as_bytes().first() == Some(&byte)
                };
                (!prefix.bytes().all(allowed))
                    .then_some("has a character that names of this backend may not have")
            },
        })
    }

    /// With names of at most so many bytes, the prefix included: a longer one is hashed. By default
    /// every path has room, and nothing is. [`Names::new`](super::Names::new) refuses a prefix that
    /// leaves no room for a hashed name, which takes 54 bytes.
    #[must_use]
    pub const fn with_max_len(mut self, bytes: usize) -> Self {
        self.max_len = Some(bytes);
        self
    }

    pub(super) fn check_prefix(&self, prefix: &str) -> Result<(), String> {
        if let Some(problem) = (self.prefix_problem)(self, prefix) {
            return Err(problem.to_owned());
        }
        let (length, hashed) = (prefix.len(), self.alphabet.hashed.len() + digest::LEN);
        match self.max_len {
            Some(limit) if limit < hashed => {
                Err(format!("goes before names of at most {limit} bytes, and a hashed one takes {hashed}"))
            }
            Some(limit) if length > limit - hashed => {
                let most = limit - hashed;
                Err(format!("is {length} bytes long and leaves no room for names; use at most {most}"))
            }
            _ => Ok(()),
        }
    }
}

/// What begins with one mark.
struct Marked {
    codes: &'static [(u8, &'static str)],
    shift: &'static str,
    hex: &'static str,
    hashed: &'static str,
}

fn marked(mark: char) -> Option<Marked> {
    macro_rules! table {
        ($($mark:literal)*) => {
            match mark {
                $($mark => Some(Marked {
                    codes: &[
                        (b'-', concat!($mark, 'd')),
                        (b'_', concat!($mark, 'u')),
                        (b':', concat!($mark, 'c')),
                        (b'/', concat!($mark, 's')),
                        (b'.', concat!($mark, 'p')),
                    ],
                    shift: concat!($mark, 'k'),
                    hex: concat!($mark, 'x'),
                    hashed: concat!($mark, 'h'),
                }),)*
                _ => None,
            }
        };
    }
    table!('-' '_' '.' ':' '/' '+' '=' '@' '~' '%' '!' '$' '#' ',')
}
