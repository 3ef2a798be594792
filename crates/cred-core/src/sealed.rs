//! Lets a type of yours hold secrets that serialize only inside sealing.
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
//! assert!(serde_json::to_string(&database).is_err(), "not into a log, a response or a file");
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
    /// How many sealings are under way on this thread. Serializing is synchronous, so no other task
    /// can come between.
    static SEALING: Cell<u32> = const { Cell::new(0) };
}

/// Runs `serialize` where secrets may be serialized.
pub(crate) fn while_sealing<T>(serialize: impl FnOnce() -> T) -> T {
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            SEALING.with(|depth| depth.set(depth.get().saturating_sub(1)));
        }
    }
    SEALING.with(|depth| depth.set(depth.get().saturating_add(1)));
    let _leave = Leave;
    serialize()
}

/// A secret that this module can carry: [`SecretString`], or an `Option` of it.
pub trait SealedSecret: Sized + private::Sealed {
    /// Serializes the value in clear. Called inside sealing only.
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
        // The format's own answer for other types prints the value that it met.
        deserializer.deserialize_str(SecretVisitor).map_err(|_| D::Error::custom(NO_STRING))
    }
}

impl SealedSecret for Option<SecretString> {
    fn serialize_exposed<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.as_ref().map(ExposeSecret::expose_secret).serialize(serializer)
    }

    fn deserialize_exposed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Inner(SecretString);
        impl<'de> Deserialize<'de> for Inner {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                SecretString::deserialize_exposed(deserializer).map(Inner)
            }
        }
        // Nor does the one for an option pass by: some formats answer it with the value.
        let inner = Option::<Inner>::deserialize(deserializer).map_err(|_| D::Error::custom(NO_STRING))?;
        Ok(inner.map(|inner| inner.0))
    }
}

/// For `#[serde(with = "cred_core::sealed")]`.
///
/// # Errors
/// Refuses everywhere but on the way into a [`Credential`](crate::Credential).
pub fn serialize<T: SealedSecret, S: Serializer>(secret: &T, serializer: S) -> Result<S::Ok, S::Error> {
    match SEALING.with(Cell::get) {
        0 => Err(S::Error::custom(
            "a secret is serialized only while it is being sealed; store it as a credential",
        )),
        _ => secret.serialize_exposed(serializer),
    }
}

/// For `#[serde(with = "cred_core::sealed")]`. Reading is allowed everywhere: a secret may come
/// from a user's input.
///
/// # Errors
/// If the input is no string; the message does not repeat it.
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

const NO_STRING: &str = "a secret must be written as a string";

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
    fn serializes_inside_sealing_alone() {
        let login = Login { password: "hunter2".into(), pin: None };
        let refused = serde_json::to_string(&login).unwrap_err();
        assert!(!refused.to_string().contains("hunter2"));
        assert_eq!(
            while_sealing(|| serde_json::to_string(&login)).unwrap(),
            r#"{"password":"hunter2","pin":null}"#
        );
        assert!(serde_json::to_string(&login).is_err(), "the permission ends with the sealing");
    }

    #[test]
    fn a_panic_while_sealing_does_not_leave_the_door_open() {
        let _ = std::panic::catch_unwind(|| while_sealing(|| panic!("as a user's Serialize might")));
        assert!(serde_json::to_string(&Login { password: "x".into(), pin: None }).is_err());
    }

    #[test]
    fn a_refused_input_is_not_repeated() {
        for input in [r#"{"password":8675309}"#, r#"{"password":true}"#, r#"{"password":"x","pin":8675309}"#]
        {
            let error = serde_json::from_str::<Login>(input).unwrap_err().to_string();
            assert!(!error.contains("8675309") && !error.contains("true"), "{error}");
        }
        // As from variables of an environment.
        let pairs = [("password", "x"), ("pin", "hunter2")].into_iter();
        let pairs = serde::de::value::MapDeserializer::<_, serde::de::value::Error>::new(pairs);
        let error = Login::deserialize(pairs).unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
}
