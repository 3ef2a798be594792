//! The serde deserializer of a value of a file.

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};
use toml_edit::Value;

use super::{Data, Node, ValueError};

/// Implements the methods of several simple types with one function.
macro_rules! simple_types {
    ($($method:ident)* => $serves:ident) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
            self.0.$serves(visitor)
        })*
    };
}

impl<'a> Node<'a> {
    fn visit<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, ValueError> {
        if self.is_secret() {
            let secret = self.secret()?;
            return visitor.visit_str(&secret).map_err(|error: ValueError| self.located(error));
        }
        let here = self.clone();
        let result = match self.data {
            Data::Table(_) => visitor.visit_map(Entries::new(&self, &[])),
            Data::List(elements) => visitor.visit_seq(Elements(elements.into_iter())),
            Data::Scalar(Value::String(_)) => return here.visit_plain(visitor),
            Data::Scalar(Value::Integer(number)) => visitor.visit_i64(*number.value()),
            Data::Scalar(Value::Float(number)) => visitor.visit_f64(*number.value()),
            Data::Scalar(Value::Boolean(truth)) => visitor.visit_bool(*truth.value()),
            Data::Scalar(_) => Err(ValueError::custom("is a date; put it in quotes")),
        };
        result.map_err(|error| here.located(error))
    }
}

impl<'a> Node<'a> {
    /// Visits a text, which may come from a variable.
    fn visit_plain<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, ValueError> {
        if self.is_secret() {
            return self.visit(visitor);
        }
        match self.plain_text()? {
            Some(text) => {
                visitor.visit_str(&text).map_err(|error: ValueError| self.invalid_text(&text, error))
            }
            None => self.visit(visitor),
        }
    }

    /// Visits a number or a boolean, which may come from a variable.
    fn visit_parsed<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, ValueError> {
        if !self.is_table() || self.is_secret() {
            return self.visit(visitor);
        }
        let Some(text) = self.plain_text()? else { return self.visit(visitor) };
        let result = if let Ok(truth) = text.parse() {
            visitor.visit_bool(truth)
        } else if let Ok(number) = text.parse() {
            visitor.visit_i64(number)
        } else if let Ok(number) = text.parse() {
            visitor.visit_f64(number)
        } else {
            visitor.visit_str(&text)
        };
        result.map_err(|error: ValueError| self.invalid_text(&text, error))
    }
}

/// A value as a serde deserializer. A separate type, so that the public [`Node`] does not implement
/// `Deserializer`.
pub(super) struct Reader<'a>(pub(super) Node<'a>);

impl<'de> Deserializer<'de> for Reader<'de> {
    type Error = ValueError;

    simple_types! { deserialize_any deserialize_str deserialize_string deserialize_char => visit_plain }
    simple_types! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8
        deserialize_u16 deserialize_u32 deserialize_u64 deserialize_f32 deserialize_f64 => visit_parsed
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        self.0.visit(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        self.0.visit(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        visitor.visit_newtype_struct(self)
    }

    /// `"variant"`, or `{ variant = { .. } }`.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        let here = self.0;
        let is_of_variable = |(name, value): &(&str, Node<'_>)| {
            *name == "env" && value.text().is_some() && !variants.contains(&"env")
        };
        let result = match (here.text(), here.entries().as_slice()) {
            (None, [entry]) if is_of_variable(entry) => {
                let text = here.plain_text()?.unwrap_or_default();
                let content = IntoDeserializer::<ValueError>::into_deserializer(text.as_ref());
                return visitor.visit_enum(content).map_err(|error| here.invalid_text(&text, error));
            }
            (Some(text), _) => visitor.visit_enum(IntoDeserializer::<ValueError>::into_deserializer(text)),
            (None, [(name, content)]) => visitor.visit_enum(Variant { name, content: content.clone() }),
            _ => Err(ValueError::custom(format_args!("must be exactly one of {}", variants.join(", ")))),
        };
        result.map_err(|error| here.located(error))
    }

    serde::forward_to_deserialize_any! {
        i128 u128 bytes byte_buf unit unit_struct seq tuple tuple_struct identifier ignored_any
    }
}

/// The deserializer of a table without some of its entries.
pub(super) struct TableOf<'n, 'a> {
    pub(super) node: &'n Node<'a>,
    pub(super) without: &'n [&'n str],
}

impl<'de> Deserializer<'de> for TableOf<'_, 'de> {
    type Error = ValueError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        visitor.visit_map(Entries::new(self.node, self.without))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct Entries<'a> {
    entries: std::vec::IntoIter<(&'a str, Node<'a>)>,
    value: Option<Node<'a>>,
}

impl<'a> Entries<'a> {
    fn new(node: &Node<'a>, without: &[&str]) -> Self {
        let mut entries = node.entries();
        entries.retain(|(name, _)| !without.contains(name));
        Self { entries: entries.into_iter(), value: None }
    }
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = ValueError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ValueError> {
        let Some((name, node)) = self.entries.next() else { return Ok(None) };
        let key = seed
            .deserialize(StrDeserializer::<ValueError>::new(name))
            .map_err(|error| node.invalid_name(name, error))?;
        self.value = Some(node);
        Ok(Some(key))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, ValueError> {
        let node = self.value.take().ok_or_else(|| ValueError::custom("was read before its name"))?;
        let here = node.clone();
        seed.deserialize(Reader(node)).map_err(|error| here.located(error))
    }
}

struct Elements<'a>(std::vec::IntoIter<Node<'a>>);

impl<'de> SeqAccess<'de> for Elements<'de> {
    type Error = ValueError;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, ValueError> {
        self.0.next().map(|node| seed.deserialize(Reader(node))).transpose()
    }
}

struct Variant<'a> {
    name: &'a str,
    content: Node<'a>,
}

impl<'de> EnumAccess<'de> for Variant<'de> {
    type Error = ValueError;
    type Variant = Reader<'de>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Reader<'de>), ValueError> {
        let variant = seed.deserialize(StrDeserializer::<ValueError>::new(self.name));
        Ok((variant.map_err(|error| self.content.invalid_name(self.name, error))?, Reader(self.content)))
    }
}

impl<'de> VariantAccess<'de> for Reader<'de> {
    type Error = ValueError;

    fn unit_variant(self) -> Result<(), ValueError> {
        if self.0.entries().is_empty() { Ok(()) } else { Err(self.0.invalid("takes no fields")) }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, ValueError> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, ValueError> {
        self.0.visit(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        if self.0.is_table() { self.0.visit(visitor) } else { Err(self.0.invalid("must be a table")) }
    }
}
