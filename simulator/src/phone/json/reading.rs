//! The way back: WhatsApp's protobuf messages out of JSON as [`super::of`] writes it. Strict: what is not understood is an
//! error that says where, and nothing is dropped.
//!
//! The generated types ask for `snake_case` names and take bytes as sequences of `u8`; here the names are camelCase and the
//! bytes base64. 64-bit numbers may be texts, as protobuf's own JSON has them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, VariantAccess, Visitor,
};
use serde::{Deserialize, forward_to_deserialize_any};
use serde_json::Value;
use waproto::whatsapp as wa;

use super::{JsonError, camel_case};

/// A message out of its JSON form. An empty one is an error: nobody sends it on purpose.
pub fn read_message(json: &Value) -> Result<wa::Message, JsonError> {
    let message = wa::Message::deserialize(Reader(json))?;
    if message == wa::Message::default() {
        return Err(JsonError("`message` is empty".into()));
    }
    Ok(message)
}

/// One value.
#[derive(Clone, Copy)]
struct Reader<'a>(&'a Value);

impl<'a> IntoDeserializer<'a, JsonError> for Reader<'a> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl Reader<'_> {
    fn wrong(self, expected: &str) -> JsonError {
        let shown: String = self.0.to_string().chars().take(40).collect();
        JsonError(format!("expected {expected}, found {shown}"))
    }
}

macro_rules! numbers {
    ($($method:ident: $visit:ident as $type:ty),* $(,)?) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
            let number: Option<$type> = match self.0 {
                Value::String(text) => text.parse().ok(),
                other => <$type>::deserialize(other).ok(),
            };
            visitor.$visit(number.ok_or_else(|| self.wrong(concat!("a number (", stringify!($type), ")")))?)
        }
    )*};
}

impl<'de> Deserializer<'de> for Reader<'de> {
    type Error = JsonError;

    numbers! {
        deserialize_i32: visit_i32 as i32, deserialize_i64: visit_i64 as i64,
        deserialize_u32: visit_u32 as u32, deserialize_u64: visit_u64 as u64,
        deserialize_f32: visit_f32 as f32, deserialize_f64: visit_f64 as f64,
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        match self.0 {
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                Err(self.wrong("a text, true or false"))
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, JsonError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        match self.0 {
            Value::Array(items) => visitor.visit_seq(SeqDeserializer::new(items.iter().map(Reader))),
            Value::String(text) => {
                let bytes = STANDARD.decode(text).map_err(|_| self.wrong("base64"))?;
                visitor.visit_seq(SeqDeserializer::new(bytes.into_iter()))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
                Err(self.wrong("a list, or bytes as base64"))
            }
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, JsonError> {
        let Value::Object(map) = self.0 else { return Err(self.wrong("an object")) };
        let named = map
            .iter()
            .map(|(key, value)| {
                let field = fields.iter().find(|field| camel_case(field) == *key);
                let field = field.ok_or_else(|| JsonError(format!("`{}` is not known", cut(key))))?;
                Ok((*field, Member(key, value)))
            })
            .collect::<Result<Vec<_>, JsonError>>()?;
        visitor.visit_map(MapDeserializer::new(named.into_iter()))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, JsonError> {
        let only = self.0.as_object().filter(|map| map.len() == 1).and_then(|map| map.iter().next());
        let (name, content) = match (self.0.as_str(), only) {
            (Some(name), _) => (name, None),
            (None, Some((name, content))) => (name.as_str(), Some(content)),
            (None, None) => return Err(self.wrong("a name, or an object with one name")),
        };
        let known = variants.iter().find(|known| ***known == *name || camel_case(known) == name);
        let known = known.ok_or_else(|| JsonError(format!("`{}` is not known", cut(name))))?;
        visitor.visit_enum(Variant { name: known, content })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i128 u8 u16 u128 char str string bytes byte_buf unit unit_struct tuple
        tuple_struct map identifier ignored_any
    }
}

/// A member of an object: its errors say where they are.
struct Member<'a>(&'a str, &'a Value);

impl<'a> IntoDeserializer<'a, JsonError> for Member<'a> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

macro_rules! located {
    ($($method:ident($($name:ident: $type:ty),*)),* $(,)?) => {$(
        fn $method<V: Visitor<'de>>(self, $($name: $type,)* visitor: V) -> Result<V::Value, JsonError> {
            Reader(self.1)
                .$method($($name,)* visitor)
                .map_err(|JsonError(text)| JsonError(format!("{}: {text}", cut(self.0))))
        }
    )*};
}

impl<'de> Deserializer<'de> for Member<'de> {
    type Error = JsonError;

    located! {
        deserialize_any(), deserialize_bool(), deserialize_i8(), deserialize_i16(), deserialize_i32(),
        deserialize_i64(), deserialize_u8(), deserialize_u16(), deserialize_u32(), deserialize_u64(),
        deserialize_f32(), deserialize_f64(), deserialize_char(), deserialize_str(), deserialize_string(),
        deserialize_bytes(), deserialize_byte_buf(), deserialize_option(), deserialize_unit(),
        deserialize_unit_struct(name: &'static str), deserialize_newtype_struct(name: &'static str),
        deserialize_seq(), deserialize_tuple(len: usize),
        deserialize_tuple_struct(name: &'static str, len: usize), deserialize_map(),
        deserialize_struct(name: &'static str, fields: &'static [&'static str]),
        deserialize_enum(name: &'static str, variants: &'static [&'static str]),
        deserialize_identifier(), deserialize_ignored_any(),
    }
}

/// An enum's value, or the one set member of a oneof.
struct Variant<'a> {
    name: &'static str,
    content: Option<&'a Value>,
}

impl<'de> EnumAccess<'de> for Variant<'de> {
    type Error = JsonError;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), JsonError> {
        let name = seed.deserialize(self.name.into_deserializer())?;
        Ok((name, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'de> {
    type Error = JsonError;

    fn unit_variant(self) -> Result<(), JsonError> {
        match self.content {
            None => Ok(()),
            Some(_) => Err(JsonError(format!("`{}` has no content", self.name))),
        }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, JsonError> {
        let content = self.content.ok_or_else(|| JsonError(format!("`{}` needs content", self.name)))?;
        seed.deserialize(Member(self.name, content))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, JsonError> {
        Err(JsonError::custom("a tuple"))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, JsonError> {
        Err(JsonError::custom("a struct variant"))
    }
}

fn cut(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests;
