//! Kinds of credentials and names of their fields.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ParseError;
use crate::text::{self, name_type, text_type};

/// The kind of a credential. It is written, parsed and serialized as `opaque`, `api-key`,
/// `username-password`, `token`, `key-pair`, or the name of a custom kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
#[non_exhaustive]
pub enum CredentialKind {
    /// A single value of any format.
    Opaque,
    /// An API key.
    ApiKey,
    /// A login.
    UsernamePassword,
    /// A bearer or OAuth 2.0 token.
    Token,
    /// A private key with its public key or certificate chain.
    KeyPair,
    /// A custom kind.
    Custom(KindName),
}

impl fmt::Display for CredentialKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Opaque => "opaque",
            Self::ApiKey => "api-key",
            Self::UsernamePassword => "username-password",
            Self::Token => "token",
            Self::KeyPair => "key-pair",
            Self::Custom(name) => name.as_str(),
        })
    }
}

impl FromStr for CredentialKind {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match BUILT_IN.into_iter().find(|kind| kind.to_string() == text) {
            Some(kind) => Ok(kind),
            None => text.parse().map(Self::Custom),
        }
    }
}

impl TryFrom<String> for CredentialKind {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<CredentialKind> for String {
    fn from(kind: CredentialKind) -> Self {
        kind.to_string()
    }
}

const BUILT_IN: [CredentialKind; 5] = [
    CredentialKind::Opaque,
    CredentialKind::ApiKey,
    CredentialKind::UsernamePassword,
    CredentialKind::Token,
    CredentialKind::KeyPair,
];

text_type! {
    /// The name of a custom kind: 1 to [`KindName::MAX_LEN`] bytes of `[A-Za-z0-9._-]`, and not the
    /// name of a built-in [`CredentialKind`].
    KindName, check_kind_name
}
name_type!(KindName);

impl KindName {
    /// The maximum length in bytes.
    pub const MAX_LEN: usize = 64;
}

fn check_kind_name(text: &str) -> Result<(), ParseError> {
    const WHAT: &str = "the credential kind";
    if BUILT_IN.iter().any(|kind| kind.to_string() == text) {
        let problem = "a custom kind cannot have the name of a built-in one; use another name";
        return Err(ParseError::Malformed { what: WHAT, problem });
    }
    text::check(WHAT, text, KindName::MAX_LEN, text::is_name_byte, text::NAME_ALPHABET)
}

text_type! {
    /// The name of a secret field: 1 to [`FieldName::MAX_LEN`] bytes of `[A-Za-z0-9._-]`. Names are
    /// not secret.
    FieldName, check_field_name
}
name_type!(FieldName);

impl FieldName {
    /// The maximum length in bytes.
    pub const MAX_LEN: usize = 64;

    /// Creates a name without a check, for the names in [`field`]. A test checks that they are
    /// valid.
    pub(super) fn known(name: &str) -> Self {
        Self(name.into())
    }
}

fn check_field_name(text: &str) -> Result<(), ParseError> {
    text::check("the field name", text, FieldName::MAX_LEN, text::is_name_byte, text::NAME_ALPHABET)
}

/// The names of the fields that the constructors of [`Credential`](crate::Credential) set.
pub mod field {
    /// The only field of opaque, API key and typed credentials.
    pub const VALUE: &str = "value";
    /// A login's user name.
    pub const USERNAME: &str = "username";
    /// A login's password.
    pub const PASSWORD: &str = "password";
    /// A bearer or OAuth 2.0 access token.
    pub const ACCESS_TOKEN: &str = "access_token";
    /// An OAuth 2.0 refresh token.
    pub const REFRESH_TOKEN: &str = "refresh_token";
    /// A private key, PEM or DER.
    pub const PRIVATE_KEY: &str = "private_key";
    /// A public key or certificate chain, PEM or DER.
    pub const PUBLIC_KEY: &str = "public_key";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_round_trip_through_text_and_serde() {
        let own = CredentialKind::Custom(KindName::new("webhook.v2").unwrap());
        for kind in BUILT_IN.into_iter().chain([own]) {
            assert_eq!(kind.to_string().parse::<CredentialKind>().unwrap(), kind);
            let json = serde_json::to_string(&kind).unwrap();
            assert_eq!(json, format!("\"{kind}\""));
            assert_eq!(serde_json::from_str::<CredentialKind>(&json).unwrap(), kind);
        }
        assert!(KindName::new("token").is_err(), "it would be parsed as the built-in kind");
        assert!("a b".parse::<CredentialKind>().is_err());
    }

    #[test]
    fn known_field_names_are_valid() {
        for name in [
            field::VALUE,
            field::USERNAME,
            field::PASSWORD,
            field::ACCESS_TOKEN,
            field::REFRESH_TOKEN,
            field::PRIVATE_KEY,
            field::PUBLIC_KEY,
        ] {
            assert_eq!(FieldName::new(name).unwrap(), FieldName::known(name));
        }
    }
}
