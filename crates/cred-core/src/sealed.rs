//! Serde support for secrets in your own types: they serialize only into a
//! [`Credential`](crate::Credential).
//!
//! ```
//! use cred_core::{Credential, ExposeSecret, KindName, SecretString, TypedCredential};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Debug, Serialize, Deserialize)]
//! struct Database {
//!     host: String,
//!     #[serde(with = "cred_core::sealed")]
//!     password: SecretString,
//! }
//!
//! impl TypedCredential for Database {
//!     fn kind() -> KindName {
//!         KindName::from_static("database")
//!     }
//! }
//!
//! let database = Database { host: "db.example.com".into(), password: "hunter2".into() };
//! assert!(serde_json::to_string(&database).is_err(), "a secret does not serialize into a log, a response or a file");
//!
//! let credential = Credential::typed(&database)?;
//! let back: Database = credential.to_typed()?;
//! assert_eq!(back.password.expose_secret(), "hunter2");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::cell::Cell;
use std::fmt;

use serde::de::{Deserializer, Error as _, Visitor};
use serde::ser::{Error as _, Serializer};
use serde::{Deserialize, Serialize};

use crate::{ExposeSecret, SecretString};

thread_local! {
    /// Number of nested `while_sealing` calls on this thread. Serialization is synchronous, so no
    /// other task runs in between.
    static SEALING: Cell<u32> = const { Cell::new(0) };
}

/// Runs `serialize` with the serialization of secrets allowed.
pub(crate) fn while_sealing<T>(serialize: impl FnOnce() -> T) -> T {
    struct DecrementOnDrop;
    impl Drop for DecrementOnDrop {
        fn drop(&mut self) {
            SEALING.with(|depth| depth.set(depth.get().saturating_sub(1)));
        }
    }
    SEALING.with(|depth| depth.set(depth.get().saturating_add(1)));
    let _guard = DecrementOnDrop;
    serialize()
}

/// A secret type that this module supports: [`SecretString`] or an `Option` of it.
pub trait SealedSecret: Sized + private::Sealed {
    /// Serializes the value unencrypted. Only called inside `while_sealing`.
    #[doc(hidden)]
    fn serialize_exposed<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;
    #[doc(hidden)]
    fn deserialize_exposed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;
}

mod private {
    pub trait Sealed {}
    impl Sealed for crate::SecretString {}
    impl Sealed for Option<crate::SecretString> {}
}

impl SealedSecret for SecretString {
    fn serialize_exposed<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.expose_secret())
    }

    fn deserialize_exposed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The format's own error for other types contains the value.
        deserializer.deserialize_str(SecretVisitor).map_err(|_| D::Error::custom(NOT_A_STRING))
    }
}

impl SealedSecret for Option<SecretString> {
    fn serialize_exposed<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.as_ref().map(ExposeSecret::expose_secret).serialize(serializer)
    }

    fn deserialize_exposed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InnerSecret(SecretString);
        impl<'de> Deserialize<'de> for InnerSecret {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                SecretString::deserialize_exposed(deserializer).map(InnerSecret)
            }
        }
        // The error for the option is replaced too: that of some formats contains the value.
        let inner =
            Option::<InnerSecret>::deserialize(deserializer).map_err(|_| D::Error::custom(NOT_A_STRING))?;
        Ok(inner.map(|inner| inner.0))
    }
}

/// Serializes a secret, for `#[serde(with = "cred_core::sealed")]`.
///
/// # Errors
/// Always, except while a [`Credential`](crate::Credential) is created from the value.
pub fn serialize<T: SealedSecret, S: Serializer>(secret: &T, serializer: S) -> Result<S::Ok, S::Error> {
    match SEALING.with(Cell::get) {
        0 => Err(S::Error::custom(
            "a secret can only be serialized into a credential; use `Credential::typed`",
        )),
        _ => secret.serialize_exposed(serializer),
    }
}

/// Deserializes a secret, for `#[serde(with = "cred_core::sealed")]`. This is allowed everywhere,
/// since a secret may come from a user's input.
///
/// # Errors
/// If the input is not a string. The message does not contain the input.
pub fn deserialize<'de, T: SealedSecret, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    T::deserialize_exposed(deserializer)
}

struct SecretVisitor;

impl Visitor<'_> for SecretVisitor {
    type Value = SecretString;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(SecretString::from(text))
    }

    fn visit_string<E: serde::de::Error>(self, text: String) -> Result<Self::Value, E> {
        Ok(SecretString::from(text))
    }
}

const NOT_A_STRING: &str = "a secret must be a string";

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Serialize, serde::Deserialize)]
    struct Login {
        #[serde(with = "super")]
        password: SecretString,
        #[serde(with = "super", default)]
        pin: Option<SecretString>,
    }

    #[test]
    fn a_secret_serializes_only_while_sealing() {
        let login = Login { password: "hunter2".into(), pin: None };
        let refused = serde_json::to_string(&login).unwrap_err();
        assert!(!refused.to_string().contains("hunter2"));
        assert_eq!(
            while_sealing(|| serde_json::to_string(&login)).unwrap(),
            r#"{"password":"hunter2","pin":null}"#
        );
        assert!(serde_json::to_string(&login).is_err(), "serialization is refused again afterwards");
    }

    #[test]
    fn a_panic_while_sealing_does_not_leave_serialization_allowed() {
        let _ = std::panic::catch_unwind(|| while_sealing(|| panic!("as a user's Serialize might")));
        assert!(serde_json::to_string(&Login { password: "x".into(), pin: None }).is_err());
    }

    #[test]
    fn an_error_does_not_contain_the_refused_input() {
        for input in [r#"{"password":8675309}"#, r#"{"password":true}"#, r#"{"password":"x","pin":8675309}"#]
        {
            let error = serde_json::from_str::<Login>(input).unwrap_err().to_string();
            assert!(!error.contains("8675309") && !error.contains("true"), "{error}");
        }
        // A format whose values are strings, such as environment variables.
        let pairs = [("password", "x"), ("pin", "hunter2")].into_iter();
        let pairs = serde::de::value::MapDeserializer::<_, serde::de::value::Error>::new(pairs);
        let error = Login::deserialize(pairs).unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
}
