//! Errors of credentials. No message contains a value.

use std::fmt;

use crate::CredentialKind;

/// The error when a credential cannot be created or read. It never contains a secret: messages of
/// serde, which contain values, are left out.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// The credential does not have the field.
    #[error("the {kind} credential has no field `{field}`; `field_names` lists its fields")]
    NoSuchField {
        /// The credential's kind.
        kind: CredentialKind,
        /// The requested field.
        field: String,
    },
    /// The field is not UTF-8 text.
    #[error("field `{field}` of the {kind} credential is not UTF-8 text; read it as bytes")]
    NotText {
        /// The credential's kind.
        kind: CredentialKind,
        /// The requested field.
        field: String,
    },
    /// The credential was read as another kind, by
    /// [`to_typed`](crate::Credential::to_typed) or
    /// [`expose_login`](crate::Credential::expose_login).
    #[error(
        "the credential has the kind `{kind}` but was read as the kind `{expected}`; check its id, or read \
         it as `{kind}`"
    )]
    WrongKind {
        /// The credential's kind.
        kind: CredentialKind,
        /// The kind as which it was read.
        expected: CredentialKind,
    },
    /// The `Serialize` implementation of the type failed.
    #[error("the value cannot be serialized; check its type's `Serialize` implementation")]
    Unserializable,
    /// The value does not fit the requested type.
    #[error(
        "the {kind} credential does not have the shape of `{expected}`; read it as the type from which it was created"
    )]
    WrongShape {
        /// The credential's kind.
        kind: CredentialKind,
        /// The requested type.
        expected: &'static str,
    },
    /// A field is longer than the format allows, or there are more than 65,535 fields.
    #[error("the credential is too large to encode; a field has at most 4 GiB")]
    TooLarge,
    /// The bytes are not an encoded credential.
    #[error(
        "the opened content is not a credential: {what}; it was written by other software or a newer version"
    )]
    Malformed {
        /// The fault in the bytes.
        what: &'static str,
    },
}

impl fmt::Debug for CredentialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::fmt_report(self, f)
    }
}
