//! Physical names: the names that paths have in a backend.
//!
//! No two paths share a name on any backend, whatever its rules for case and length, and a listing
//! returns the exact path. Names are as readable as the alphabet of the backend allows:
//!
//! | path | [local file](FileNames) | [AWS] | [Azure](AZURE), [Kubernetes](KUBERNETES) | [Vault](VAULT) |
//! |---|---|---|---|---|
//! | `stripe-api-key` | the same | the same | `stripe--api--key` | the same |
//! | `STRIPE_API_KEY` | `+stripe_api_key` | the same | `-kstripe-uapi-ukey` | the same |
//! | `org:acme/db` | `org=acme/db` | `org=acme/db` | `org-cacme-sdb` | `org:acme/db` |
//! | longer than the name can be | `%h...` | `@h...` | `-h...` | does not happen |
//!
//! If a backend does not distinguish upper case from lower case, a mark (`+`, `-k`) switches
//! between them. `%xx`, `@xx` and `-xxx` are bytes in hexadecimal, for bytes that a backend refuses
//! only at that position. Each path has exactly one name: a name in any other form is
//! [foreign](Decoded::Foreign).
//!
//! For any other backend, [`Rules::custom`] creates rules from its characters and its treatment of
//! case.
//!
//! `h` is not a hexadecimal digit, so a hashed name never equals a readable one. It contains the
//! SHA-256 of the path in base32. The provider stores the path beside it, as
//! [`CredentialFile::path`](crate::CredentialFile::path) or where one listing call returns it.

mod alphabet;
mod digest;
mod files;
mod presets;
mod rules;

#[cfg(test)]
mod tests;

use cred_core::{ConfigError, CredentialPath, PathRef, ScopeId};

pub use self::digest::digest;
pub use self::files::FileNames;
pub use self::presets::{AWS, AZURE, KUBERNETES, VAULT};
pub use self::rules::{Case, Rules};

/// The name of a path in a backend.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct PhysicalName {
    /// The name, including the prefix.
    pub text: String,
    /// Whether the name is hashed. If so, the path must be stored beside it.
    pub hashed: bool,
}

/// The result of decoding a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoded<T> {
    /// The name of exactly this value.
    Exact(T),
    /// A hashed name of this provider. The path is stored beside it, and must encode to this
    /// same name.
    Hashed,
    /// Not a name of this provider.
    Foreign,
}

impl<T> Decoded<T> {
    /// Returns the decoded value; `None` if the name is hashed or foreign.
    #[must_use]
    pub fn exact(self) -> Option<T> {
        match self {
            Self::Exact(value) => Some(value),
            Self::Hashed | Self::Foreign => None,
        }
    }
}

/// The names of one backend in which a whole path is one name, under a prefix.
///
/// If one prefix is the beginning of another (`app` and `app-prod`), their names can collide in one
/// backend. End each prefix with a separator. If the separator is also a letter of the names (`-`
/// in [`AZURE`]), no prefix may be the beginning of another.
#[derive(Debug, Clone)]
pub struct Names {
    rules: Rules,
    prefix: String,
}

impl Names {
    /// Creates names by these rules. Every name begins with `prefix`; `field` is its name in the
    /// configuration.
    ///
    /// # Errors
    /// [`ConfigError`] if the backend does not accept names that begin with `prefix`, or if it
    /// leaves no room for a hashed name.
    pub fn new(rules: Rules, field: &'static str, prefix: impl Into<String>) -> Result<Self, ConfigError> {
        let prefix = prefix.into();
        rules.check_prefix(&prefix).map_err(|problem| ConfigError::invalid(rules.backend, field, problem))?;
        Ok(Self { rules, prefix })
    }

    /// Returns the prefix of all names.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Returns the name of a path.
    #[must_use]
    pub fn encode(&self, path: PathRef<'_>) -> PhysicalName {
        let text = path.to_string();
        let readable = self.readable(&text);
        let too_long = self.rules.max_len.is_some_and(|limit| readable.len() > limit);
        match too_long || (self.rules.unusable)(&readable) {
            false => PhysicalName { text: readable, hashed: false },
            true => {
                let text = format!("{}{}", self.hashed_prefix(), digest(&text));
                PhysicalName { text, hashed: true }
            }
        }
    }

    /// Decodes a name. Accepts any text.
    #[must_use]
    pub fn decode(&self, name: &str) -> Decoded<CredentialPath> {
        let Some(rest) = self.without_prefix(name) else { return Decoded::Foreign };
        let folded = rest.to_ascii_lowercase();
        let rest = if self.rules.ignores_case { &folded } else { rest };
        if self.rules.alphabet.is_hashed(rest) {
            return Decoded::Hashed;
        }
        let path = self.rules.alphabet.decode(rest).and_then(|text| text.parse::<CredentialPath>().ok());
        match path {
            Some(path) if self.is_same_name(&self.encode(path.as_path_ref()).text, name) => {
                Decoded::Exact(path)
            }
            _ => Decoded::Foreign,
        }
    }

    /// Returns the prefix of every readable name in or below this scope; hashed names do not begin
    /// with it. If names are folders ([`VAULT`]), it is the folder of the scope.
    #[must_use]
    pub fn scope_prefix(&self, scope: Option<&ScopeId>) -> String {
        match scope {
            Some(scope) => {
                let text = format!("{scope}/");
                format!("{}{}", self.prefix, self.rules.alphabet.encode(&text, |_| false))
            }
            None => self.prefix.clone(),
        }
    }

    /// Returns the prefix of every hashed name, in any scope.
    #[must_use]
    pub fn hashed_prefix(&self) -> String {
        format!("{}{}", self.prefix, self.rules.alphabet.hashed)
    }

    fn readable(&self, text: &str) -> String {
        let refused = |at| (self.rules.refused)(self.prefix.as_bytes(), text.as_bytes(), at);
        let mut name = self.rules.alphabet.encode(text, refused);
        name.insert_str(0, &self.prefix);
        name
    }

    fn without_prefix<'a>(&self, name: &'a str) -> Option<&'a str> {
        let (prefix, rest) = name.split_at_checked(self.prefix.len())?;
        self.is_same_name(prefix, &self.prefix).then_some(rest)
    }

    fn is_same_name(&self, one: &str, other: &str) -> bool {
        match self.rules.ignores_case {
            true => one.eq_ignore_ascii_case(other),
            false => one == other,
        }
    }
}
