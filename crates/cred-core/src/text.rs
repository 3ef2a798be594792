//! The common code of all validated text types. Each type only defines its rule.

use crate::ParseError;

/// Defines an immutable text type that is cheap to clone. A value exists only if `$rule` accepted
/// its text. Serde uses the same constructor.
macro_rules! text_type {
    ($(#[$doc:meta])* $name:ident, $rule:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(into = "String", try_from = "String")]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// Creates a value from a literal.
            ///
            /// # Panics
            /// If the text breaks the rules of the type. For a text from outside, use `parse`.
            #[must_use]
            #[track_caller]
            pub fn from_static(text: &'static str) -> Self {
                match text.parse() {
                    Ok(parsed) => parsed,
                    Err(error) => panic!(concat!("not a ", stringify!($name), ": {}"), error),
                }
            }

            /// Returns the text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = crate::ParseError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                $rule(text)?;
                Ok(Self(text.into()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = crate::ParseError;
            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl TryFrom<&str> for $name {
            type Error = crate::ParseError;
            fn try_from(text: &str) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.as_str().to_owned()
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                self.as_str()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($name), "({:?})"), self.as_str())
            }
        }
    };
}
pub(crate) use text_type;

/// Defines the constructor of a text type that consists of one name.
macro_rules! name_type {
    ($name:ident) => {
        impl $name {
            /// Parses the text.
            ///
            /// # Errors
            /// [`ParseError`](crate::ParseError) names the first broken rule, and never contains
            /// the text.
            pub fn new(text: impl AsRef<str>) -> Result<Self, crate::ParseError> {
                text.as_ref().parse()
            }
        }
    };
}
pub(crate) use name_type;

/// Accepts 1 to `limit` bytes that are all in `alphabet`.
pub(crate) fn check(
    what: &'static str,
    text: &str,
    limit: usize,
    alphabet: fn(u8) -> bool,
    allowed: &'static str,
) -> Result<(), ParseError> {
    if text.is_empty() {
        return Err(ParseError::Empty { what });
    }
    if text.len() > limit {
        return Err(ParseError::TooLong { what, length: text.len(), limit });
    }
    match text.bytes().position(|byte| !alphabet(byte)) {
        Some(position) => Err(ParseError::Character { what, position, allowed }),
        None => Ok(()),
    }
}

/// `[A-Za-z0-9_-]`, the alphabet of credential ids.
pub(crate) const fn is_id_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// `[A-Za-z0-9._-]`, the alphabet of scope parts, key ids, kinds and field names.
pub(crate) const fn is_name_byte(byte: u8) -> bool {
    is_id_byte(byte) || byte == b'.'
}

/// The alphabet of [`is_name_byte`] as text, for messages.
pub(crate) const NAME_ALPHABET: &str = "A-Z a-z 0-9 . _ -";
