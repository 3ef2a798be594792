//! Errors of a configuration that never repeat the input.

use std::fmt;

use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, Expected, IgnoredAny, MapAccess, SeqAccess, Unexpected,
    Visitor,
};

/// Deserializes a configuration that contains secrets. An error names the expected value and never
/// repeats the value that was found, which may be a secret in the wrong place. Serde's own message
/// for `auth_method = { token = "s3cret" }` is `invalid type: string "s3cret"`.
///
/// The format must be self-describing, as configuration formats are. If the error of the format
/// itself prints the input next to the message, log only its `message()`: the `Display` of an error
/// of the `toml` crate prints a line of the file.
///
/// ```
/// use cred_provider_kit::config::unquoted;
///
/// #[derive(serde::Deserialize)]
/// struct Login {
///     #[serde(deserialize_with = "unquoted")]
///     attempts: u32,
/// }
///
/// let error = serde_json::from_str::<Login>(r#"{ "attempts": "s3cret" }"#).err().unwrap();
/// assert_eq!(error.to_string(), "invalid type, expected u32 at line 1 column 22");
/// ```
///
/// # Errors
/// Errors of `T`, without the value that was found.
pub fn unquoted<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    if !quotes_input::<D::Error>() {
        // This error type does not quote the input, and its own hints and positions are more
        // useful.
        return T::deserialize(deserializer);
    }
    T::deserialize(Unquoted(deserializer)).map_err(|Error(error)| error)
}

/// Implements `Deserialize` for configurations that contain secrets, through [`unquoted`]: an error
/// names the expected value and never repeats the value that was found.
///
/// `Config as ConfigFields;` deserializes `Config` as `ConfigFields`: a private type that derives
/// `Deserialize` with `#[serde(remote = "Config")]` and repeats the fields of `Config`. The
/// compiler checks that the fields agree. The calling crate must depend on `serde` with the feature
/// `derive`.
///
/// ```
/// use cred_core::SecretString;
///
/// pub struct Config {
///     pub token: SecretString,
/// }
///
/// #[derive(serde::Deserialize)]
/// #[serde(remote = "Config", deny_unknown_fields)]
/// struct ConfigFields {
///     token: SecretString,
/// }
///
/// cred_provider_kit::read_unquoted! {
///     Config as ConfigFields;
/// }
///
/// let error = serde_json::from_str::<Config>(r#"{ "t0ken": "s3cret" }"#).err().unwrap();
/// assert_eq!(error.to_string(), "unknown field, expected one of token at line 1 column 9");
/// ```
#[macro_export]
macro_rules! read_unquoted {
    ($($config:ty as $fields:ty;)+) => {$(
        impl<'de> ::serde::Deserialize<'de> for $config {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Read($config);

                impl<'de> ::serde::Deserialize<'de> for Read {
                    fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                        <$fields>::deserialize(deserializer).map(Read)
                    }
                }

                $crate::config::unquoted(deserializer).map(|Read(config)| config)
            }
        }
    )+};
}

/// Whether the errors of a format repeat the values that they found.
fn quotes_input<E: de::Error>() -> bool {
    const VALUE: &str = "found-value";
    let errors = [
        E::invalid_type(Unexpected::Str(VALUE), &"another"),
        E::invalid_value(Unexpected::Str(VALUE), &"another"),
        E::unknown_variant(VALUE, &["another"]),
        E::unknown_field(VALUE, &["another"]),
    ];
    errors.iter().any(|error| error.to_string().contains(VALUE))
}

/// Wraps a part of serde's machinery so that its errors are [`Error`]s: a deserializer, a visitor,
/// a seed or an access to entries.
struct Unquoted<T>(T);

/// An error of the format, created without the value that was found.
struct Error<E>(E);

impl<E: de::Error> de::Error for Error<E> {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(E::custom(message))
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::custom(format_args!("invalid type, expected {expected}"))
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::custom(format_args!("invalid value, expected {expected}"))
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::custom(format_args!("unknown variant, expected one of {}", expected.join(", ")))
    }

    fn unknown_field(_: &str, expected: &'static [&'static str]) -> Self {
        Self::custom(format_args!("unknown field, expected one of {}", expected.join(", ")))
    }
}

impl<E: fmt::Debug> fmt::Debug for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<E: de::Error> std::error::Error for Error<E> {}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Unquoted<D> {
    type Error = Error<D::Error>;

    /// All types are read here. If a format is asked for one type, it rejects others itself, and
    /// quotes them.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        self.0.deserialize_any(Unquoted(visitor)).map_err(Error)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        self.0.deserialize_option(Unquoted(visitor)).map_err(Error)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.deserialize_any(Variant { visitor, variants })
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

/// Methods for values that contain no other values.
macro_rules! scalars {
    ($($method:ident($($value:ident: $type:ty)?);)*) => {
        $(fn $method<E: de::Error>(self $(, $value: $type)?) -> Result<V::Value, E> {
            self.0.$method($($value)?).map_err(|Error(error)| error)
        })*
    };
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Unquoted<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    scalars! {
        visit_bool(value: bool);
        visit_i64(value: i64);
        visit_i128(value: i128);
        visit_u64(value: u64);
        visit_u128(value: u128);
        visit_f64(value: f64);
        visit_str(value: &str);
        visit_borrowed_str(value: &'de str);
        visit_string(value: String);
        visit_bytes(value: &[u8]);
        visit_borrowed_bytes(value: &'de [u8]);
        visit_byte_buf(value: Vec<u8>);
        visit_none();
        visit_unit();
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        self.0.visit_some(Unquoted(deserializer)).map_err(|Error(error)| error)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        self.0.visit_newtype_struct(Unquoted(deserializer)).map_err(|Error(error)| error)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, elements: A) -> Result<V::Value, A::Error> {
        self.0.visit_seq(Unquoted(elements)).map_err(|Error(error)| error)
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(Unquoted(entries)).map_err(|Error(error)| error)
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Unquoted<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        self.0.deserialize(Unquoted(deserializer)).map_err(|Error(error)| error)
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Unquoted<A> {
    type Error = Error<A::Error>;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Self::Error> {
        self.0.next_element_seed(Unquoted(seed)).map_err(Error)
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Unquoted<A> {
    type Error = Error<A::Error>;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Self::Error> {
        self.0.next_key_seed(Unquoted(seed)).map_err(Error)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Self::Error> {
        self.0.next_value_seed(Unquoted(seed)).map_err(Error)
    }
}

/// An enum, written as `"variant"` or as `{ variant = .. }`.
struct Variant<V> {
    visitor: V,
    variants: &'static [&'static str],
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Variant<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exactly one of {}", self.variants.join(", "))
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<V::Value, E> {
        self.visitor.visit_enum(StrDeserializer::new(name))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<V::Value, A::Error> {
        let value = self.visitor.visit_enum(MapAccessDeserializer::new(&mut entries))?;
        match entries.next_key()? {
            None => Ok(value),
            // Not every format rejects further entries itself.
            Some(IgnoredAny) => {
                let expected = self.variants.join(", ");
                Err(de::Error::custom(format_args!("several variants, expected exactly one of {expected}")))
            }
        }
    }
}

#[cfg(test)]
mod tests;
