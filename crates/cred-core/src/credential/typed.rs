//! Credentials created from the user's own types.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Credential, CredentialError, CredentialKind, KindName, field, secret_copy};
use crate::Zeroizing;
use crate::sealed::while_sealing;

/// A type whose values are stored as credentials of a custom kind, with [`Credential::typed`] and
/// [`Credential::to_typed`].
///
/// A new version of the type that can read values of the old one must have the same kind. For a
/// type of another crate, write a newtype.
///
/// ```
/// use cred_core::{Credential, CredentialError, KindName, SecretString, TypedCredential};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, Serialize, Deserialize)]
/// struct Database {
///     host: String,
///     #[serde(with = "cred_core::sealed")]
///     password: SecretString,
/// }
///
/// impl TypedCredential for Database {
///     fn kind() -> KindName {
///         KindName::from_static("database")
///     }
/// }
///
/// let database = Database { host: "db.example.com".into(), password: "hunter2".into() };
/// let credential = Credential::typed(&database)?;
/// assert_eq!(credential.kind().to_string(), "database");
/// assert_eq!(credential.to_typed::<Database>()?.host, "db.example.com");
///
/// let error = Credential::api_key("sk_live_example").to_typed::<Database>().unwrap_err();
/// assert!(matches!(error, CredentialError::WrongKind { .. }));
/// assert!(error.to_string().contains("`api-key`") && error.to_string().contains("`database`"));
/// # Ok::<(), CredentialError>(())
/// ```
pub trait TypedCredential {
    /// Returns the kind of credentials of this type. It cannot be a built-in kind:
    /// [`KindName::from_static`] panics for the names of those, at the first use of this type.
    ///
    /// The kind is stored with each credential. If you change it, already stored credentials can no
    /// longer be read as this type.
    fn kind() -> KindName;
}

impl Credential {
    /// Creates a credential of the type's [kind](TypedCredential::kind) from a value. Read it back
    /// with [`Credential::to_typed`]. Fields with the attribute
    /// `#[serde(with = "cred_core::sealed")]` serialize only here.
    ///
    /// The value is stored in the field [`field::VALUE`] as MessagePack with field names, so fields
    /// of the type can be added and removed later.
    ///
    /// # Errors
    /// [`CredentialError::Unserializable`] if the `Serialize` implementation of the type fails.
    pub fn typed<T: TypedCredential + Serialize + ?Sized>(value: &T) -> Result<Self, CredentialError> {
        let packed = while_sealing(|| {
            // A growing buffer leaves copies of the secret behind. Count the bytes first, then
            // write into a buffer of that size.
            let mut counter = ByteCounter(0);
            rmp_serde::encode::write_named(&mut counter, value)?;
            let mut packed = Zeroizing::new(Vec::with_capacity(counter.0));
            rmp_serde::encode::write_named(&mut *packed, value)?;
            Ok(packed)
        })
        .map_err(|_: rmp_serde::encode::Error| CredentialError::Unserializable)?;
        Ok(Self::custom(T::kind()).set(field::VALUE, secret_copy(&packed)))
    }

    /// Reads the value from which [`Credential::typed`] created the credential.
    ///
    /// # Errors
    /// - [`CredentialError::WrongKind`] if the kind of the credential is not that of the type.
    /// - [`CredentialError::NoSuchField`] if the kinds match, but the credential has no field
    ///   [`field::VALUE`], because it was not created with [`Credential::typed`].
    /// - [`CredentialError::WrongShape`] if the stored value does not fit the type. Unlike serde's
    ///   own message, this one does not contain the value.
    pub fn to_typed<T: TypedCredential + DeserializeOwned>(&self) -> Result<T, CredentialError> {
        self.check_kind(CredentialKind::Custom(T::kind()))?;
        let packed = self.expose_bytes(field::VALUE)?;
        rmp_serde::from_slice(packed).map_err(|_| CredentialError::WrongShape {
            kind: self.0.kind.clone(),
            expected: std::any::type_name::<T>(),
        })
    }
}

/// Counts the bytes that a serializer writes.
struct ByteCounter(usize);

impl std::io::Write for ByteCounter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 = self.0.saturating_add(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Old {
        host: String,
        port: u16,
        gone: Option<f64>,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct New {
        host: String,
        port: u16,
        #[serde(default)]
        added: Vec<String>,
    }

    /// Has a text where `Old` has a number.
    #[derive(Serialize)]
    struct TextPort {
        port: String,
    }

    /// Fits every stored value without a `name`, such as one of `Old`.
    #[derive(Debug, Deserialize)]
    struct Webhook {
        #[allow(dead_code, reason = "every read of it fails")]
        name: Option<String>,
    }

    macro_rules! kinds {
        ($($type:ty: $kind:literal),*) => {
            $(impl TypedCredential for $type {
                fn kind() -> KindName {
                    KindName::from_static($kind)
                }
            })*
        };
    }
    kinds!(Old: "database", New: "database", TextPort: "database", Webhook: "webhook");

    fn old() -> Old {
        Old { host: "db".into(), port: 5432, gone: Some(0.5) }
    }

    #[test]
    fn a_type_can_gain_and_lose_fields() {
        let credential = Credential::typed(&old()).unwrap();
        assert_eq!(credential.kind(), &CredentialKind::Custom(KindName::from_static("database")));
        assert_eq!(credential.to_typed::<Old>().unwrap(), old());
        assert_eq!(
            credential.to_typed::<New>().unwrap(),
            New { host: "db".into(), port: 5432, added: vec![] }
        );
    }

    #[test]
    fn reading_as_another_kind_fails_and_names_both_kinds() {
        let database = Credential::typed(&old()).unwrap();
        for (found, kind, expected) in [
            (database.to_typed::<Webhook>().unwrap_err(), "`database`", "`webhook`"),
            (Credential::api_key("k").to_typed::<Webhook>().unwrap_err(), "`api-key`", "`webhook`"),
            (
                Credential::key_pair(vec![1], vec![2]).to_typed::<Old>().unwrap_err(),
                "`key-pair`",
                "`database`",
            ),
            (Credential::api_key("k").expose_login().unwrap_err(), "`api-key`", "`username-password`"),
            (database.expose_login().unwrap_err(), "`database`", "`username-password`"),
        ] {
            assert!(matches!(found, CredentialError::WrongKind { .. }), "{found:?}");
            let message = found.to_string();
            assert!(message.contains(kind) && message.contains(expected), "{message}");
        }
    }

    #[test]
    fn a_wrong_shape_error_does_not_contain_the_secret() {
        let credential = Credential::typed(&TextPort { port: "hunter2".into() }).unwrap();
        let error = credential.to_typed::<Old>().unwrap_err();
        assert!(matches!(error, CredentialError::WrongShape { .. }), "{error:?}");
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        let printed = format!("{error} {error:?} {cause:?} {credential:?}");
        assert!(!printed.contains("hunter2"), "{printed}");
    }
}
