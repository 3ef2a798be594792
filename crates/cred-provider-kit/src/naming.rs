//! Physical names: what a backend calls a path.
//!
//! No two paths share a name on any backend, whatever it thinks of case and of lengths, and a
//! listing gives the exact path back. Names are as readable as the backend's alphabet allows:
//!
//! | path | [local file](FileNames) | [AWS] | [Azure](AZURE), [Kubernetes](KUBERNETES) | [Vault](VAULT) |
//! |---|---|---|---|---|
//! | `stripe-api-key` | the same | the same | `stripe--api--key` | the same |
//! | `STRIPE_API_KEY` | `+stripe_api_key` | the same | `-kstripe-uapi-ukey` | the same |
//! | `org:acme/db` | `org=acme/db` | `org=acme/db` | `org-cacme-sdb` | `org:acme/db` |
//! | longer than the name can be | `%h...` | `@h...` | `-h...` | does not happen |
//!
//! Where upper case cannot be told from lower, a mark (`+`, `-k`) switches between them. `%xx`,
//! `@xx` and `-xxx` are bytes in hexadecimal, for what a backend refuses at that place only. There
//! is one way to write a path: a name that is written otherwise is [foreign](Decoded::Foreign).
//!
//! A backend that is none of these has [`Rules`] of its own: [`Rules::custom`] takes its characters
//! and what it makes of case.
//!
//! `h` is no hexadecimal digit, so a hashed name is never a readable one. It holds SHA-256 of the
//! path in base32; the provider keeps the path beside it, as
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

/// A name that a path has in a backend.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct PhysicalName {
    /// The name, with the prefix.
    pub text: String,
    /// Whether it is hashed, so that the path must be kept beside it.
    pub hashed: bool,
}

/// What a backend's name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoded<T> {
    /// Exactly this.
    Exact(T),
    /// Something of ours whose name was too long: what is kept beside the name tells, and must be
    /// given this very name again when it is encoded.
    Hashed,
    /// Nothing of ours.
    Foreign,
}

impl<T> Decoded<T> {
    /// What the name tells by itself: `None` where it is hashed or foreign.
    #[must_use]
    pub fn exact(self) -> Option<T> {
        match self {
            Self::Exact(named) => Some(named),
            Self::Hashed | Self::Foreign => None,
        }
    }
}

/// The names of one backend in which a whole path is one name, under a prefix.
///
/// Two prefixes of which one begins the other (`app` and `app-prod`) can meet in one backend. End a
/// prefix with a separator, and where that is also a letter of the names (`-` in [`AZURE`]), let
/// none begin another.
#[derive(Debug, Clone)]
pub struct Names {
    rules: Rules,
    prefix: String,
}

impl Names {
    /// Names by these rules. Every name begins with `prefix`; `field` is what the configuration
    /// calls it.
    ///
    /// # Errors
    /// [`ConfigError`] where the backend does not take names that begin so, or no hashed name has
    /// room behind it.
    pub fn new(rules: Rules, field: &'static str, prefix: impl Into<String>) -> Result<Self, ConfigError> {
        let prefix = prefix.into();
        rules.check_prefix(&prefix).map_err(|problem| ConfigError::invalid(rules.backend, field, problem))?;
        Ok(Self { rules, prefix })
    }

    /// The prefix of all names.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The name of a path.
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

    /// What a name stands for. Any text is an answer.
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
            Some(path) if self.same(&self.encode(path.as_path_ref()).text, name) => Decoded::Exact(path),
            _ => Decoded::Foreign,
        }
    }

    /// What every readable name in or below this scope begins with; hashed names don't. Where names
    /// are folders ([`VAULT`]), it is the scope's folder.
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

    /// What every hashed name begins with, whatever its scope.
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
        self.same(prefix, &self.prefix).then_some(rest)
    }

    fn same(&self, one: &str, other: &str) -> bool {
        match self.rules.ignores_case {
            true => one.eq_ignore_ascii_case(other),
            false => one == other,
        }
    }
}
