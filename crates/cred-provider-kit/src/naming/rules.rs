//! The rules for the names of one backend.

use cred_core::ConfigError;

use super::alphabet::{Alphabet, Plain};
use super::digest;

/// The rules for the names of one backend: [`AWS`](super::AWS), [`AZURE`](super::AZURE),
/// [`VAULT`](super::VAULT), [`KUBERNETES`](super::KUBERNETES), or those of another backend, by
/// [`Rules::custom`].
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Name of the backend in errors.
    pub(super) backend: &'static str,
    pub(super) alphabet: Alphabet,
    /// Maximum length of a name with its prefix, in bytes; `None`: every path fits.
    pub(super) max_len: Option<usize>,
    /// Whether the backend treats names that differ only in case as equal.
    pub(super) ignores_case: bool,
    /// Whether the byte at a position of a text must be in hexadecimal behind this prefix, because
    /// the backend refuses it at that position.
    pub(super) refused: fn(prefix: &[u8], text: &[u8], at: usize) -> bool,
    /// Whether the backend still refuses the whole name, so that it must be hashed.
    pub(super) unusable: fn(&str) -> bool,
    /// The problem with a prefix, which continues a sentence that begins with the prefix.
    pub(super) prefix_problem: fn(&Rules, &str) -> Option<&'static str>,
}

/// The treatment of upper case in the names of a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// `A` and `a` are different letters, and a name may contain both.
    Kept,
    /// Names have no upper case, or the backend treats names that differ only in case as equal, or
    /// it returns a name in another case. Names are written in lower case, and a mark switches the
    /// case.
    Ignored,
}

impl Rules {
    /// Creates the rules of a backend without a constant.
    ///
    /// - `backend` is its name in errors.
    /// - `case` is its treatment of upper case. The backend must allow lower-case letters and
    ///   digits.
    /// - `punctuation` has the other characters that it allows at any position behind the prefix.
    ///   Leave out those that it allows only at some positions, or that have a special meaning.
    /// - `mark` is one more character that it allows. It begins the codes of everything else:
    ///
    /// | in a path | in a name with the mark `~` |
    /// |---|---|
    /// | `-` `_` `:` `/` `.`, those not in `punctuation` | `~d` `~u` `~c` `~s` `~p` |
    /// | a change between lower and upper case, if case is ignored | `~k` |
    /// | a path that is too long, as a [`digest`](fn@super::digest) | `~h...` |
    ///
    /// A name never ends with the mark. No two paths share a name: arguments that would allow it
    /// are rejected.
    ///
    /// ```
    /// use cred_core::CredentialPath;
    /// use cred_provider_kit::naming::{Case, Decoded, Names, Rules};
    ///
    /// // Table names of a database: lower case, digits and `_`, at most 128 bytes.
    /// let rules = Rules::custom("tables", Case::Ignored, "", '_')?.with_max_len(128);
    /// let names = Names::new(rules, "prefix", "cred_")?;
    /// let path: CredentialPath = "org:acme/API_KEY".parse()?;
    /// let name = names.encode(path.as_path_ref());
    /// assert_eq!(name.text, "cred_org_cacme_s_kapi_ukey");
    /// assert_eq!(names.decode(&name.text), Decoded::Exact(path));
    ///
    /// // A mark that also stands for itself would be ambiguous.
    /// assert!(Rules::custom("tables", Case::Ignored, "_-", '_').is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ConfigError`] unless `mark` is one of `- _ . : / + = @ ~ % ! $ # ,` and not in
    /// `punctuation`, and `punctuation` is printable ASCII without letters, digits and the space.
    pub fn custom(
        backend: &'static str,
        case: Case,
        punctuation: &str,
        mark: char,
    ) -> Result<Self, ConfigError> {
        let refuse = |field, problem| ConfigError::invalid(backend, field, problem);
        let mark_codes =
            mark_codes(mark).ok_or_else(|| refuse("mark", "must be one of - _ . : / + = @ ~ % ! $ # ,"))?;
        if punctuation.contains(mark) {
            return Err(refuse(
                "mark",
                "is also in `punctuation`, so two paths could share a name; use another",
            ));
        }
        if !punctuation.bytes().all(|byte| byte.is_ascii_punctuation()) {
            return Err(refuse(
                "punctuation",
                "contains a letter, a digit, a space or a non-ASCII character; remove it",
            ));
        }
        let (letters, shift) = match case {
            Case::Kept => (Plain::ALPHANUMERIC, None),
            Case::Ignored => (Plain::LOWER_AND_DIGITS, Some(mark_codes.shift)),
        };
        let plain = letters.with(punctuation.as_bytes());
        Ok(Self {
            backend,
            alphabet: Alphabet {
                plain,
                codes: mark_codes.codes,
                shift,
                hex: mark_codes.hex,
                hashed: mark_codes.hashed,
            },
            max_len: None,
            ignores_case: case == Case::Ignored,
            refused: |_, _, _| false,
            unusable: |_| false,
            prefix_problem: |rules, prefix| {
                let allowed = |byte: u8| {
                    rules.alphabet.plain.contains(byte)
                        || rules.alphabet.hex.as_bytes().first() == Some(&byte)
                };
                (!prefix.bytes().all(allowed))
                    .then_some("contains a character that names of this backend cannot have")
            },
        })
    }

    /// Sets the maximum length of a name in bytes, including the prefix: a longer name is hashed.
    /// By default every path fits, and nothing is hashed. [`Names::new`](super::Names::new) rejects
    /// a prefix that leaves no room for a hashed name, which takes 54 bytes.
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
                Err(format!("precedes names of at most {limit} bytes, but a hashed name takes {hashed}"))
            }
            Some(limit) if length > limit - hashed => {
                let most = limit - hashed;
                Err(format!("is {length} bytes long and leaves no room for names; use at most {most}"))
            }
            _ => Ok(()),
        }
    }
}

/// The codes that begin with one mark.
struct MarkCodes {
    codes: &'static [(u8, &'static str)],
    shift: &'static str,
    hex: &'static str,
    hashed: &'static str,
}

fn mark_codes(mark: char) -> Option<MarkCodes> {
    macro_rules! table {
        ($($mark:literal)*) => {
            match mark {
                $($mark => Some(MarkCodes {
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
