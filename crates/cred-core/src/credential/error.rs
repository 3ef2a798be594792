//! Why a credential cannot be made or read. No message repeats a value.

use std::fmt;

use crate::CredentialKind;

/// Why a credential cannot be made or read. Never holds a secret: serde's own messages, which do,
/// are left out.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// There is no such field.
    #[error("the {kind} credential has no field `{field}`; `field_names` tells which it has")]
    NoSuchField {
        /// The credential's kind.
        kind: CredentialKind,
        /// The field that was asked for.
        field: String,
    },
    /// The field holds bytes that are no text.
    #[error("field `{field}` of the {kind} credential is no UTF-8 text; read it as bytes")]
    NotText {
        /// The credential's kind.
        kind: CredentialKind,
        /// The field that was asked for.
        field: String,
    },
    /// The credential is read as another kind than it has, by
    /// [`to_typed`](crate::Credential::to_typed) or
    /// [`expose_login`](crate::Credential::expose_login).
    #[error(
        "the credential has the kind `{kind}` and was read as the kind `{expected}`; check its id, or read \
         it as its own kind"
    )]
    WrongKind {
        /// The credential's kind.
        kind: CredentialKind,
        /// The kind that it was read as.
        expected: CredentialKind,
    },
    /// The type's own `Serialize` failed.
    #[error("the value cannot be serialized; check its type's `Serialize` implementation")]
    Unserializable,
    /// The value does not fit the type that was asked for.
    #[error(
        "the {kind} credential does not have the shape of `{expected}`; read it as the type that it was made from"
    )]
    WrongShape {
        /// The credential's kind.
        kind: CredentialKind,
        /// The type that was asked for.
        expected: &'static str,
    },
    /// The fields do not fit the format's lengths.
    #[error("the credential is too large to be encoded; a field has at most 4 GiB")]
    TooLarge,
    /// The bytes are no credential.
    #[error(
        "the opened bytes are no credential: {what}; it was written by other software or by a newer version"
    )]
    Malformed {
        /// What is wrong with them.
        what: &'static str,
    },
}

impl fmt::Debug for CredentialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::fmt_report(self, f)
    }
}
