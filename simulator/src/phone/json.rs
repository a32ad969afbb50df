//! A decoded message as JSON: camelCase names, bytes as base64, nothing that is unset. Bounded in depth.
//!
//! In: any generated protobuf value (they serialise with `snake_case` names, and their bytes as sequences
//! of `u8`, which tells them from repeated numbers). Out: `serde_json::Value`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::ser::{Impossible, SerializeSeq, SerializeStruct};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

mod reading;

pub use reading::read_message;

/// Deeper values are replaced by null. A quoted message that quotes a message needs about ten.
const MAX_DEPTH: usize = 32;

/// Why a value has no JSON form here, or a JSON value is no message.
#[derive(Debug, thiserror::Error)]
#[error("a message as JSON: {0}")]
pub struct JsonError(String);

impl serde::ser::Error for JsonError {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

impl serde::de::Error for JsonError {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

/// The JSON form of a protobuf message.
pub(super) fn of(value: &impl Serialize) -> Result<Value, JsonError> {
    Ok(match value.serialize(Writer { depth: 0 })? {
        Part::Value(value) => value,
        Part::Byte(byte) => byte.into(),
        Part::Nothing => Value::Null,
    })
}

/// What one protobuf value becomes.
enum Part {
    Value(Value),
    /// Perhaps part of a byte string.
    Byte(u8),
    /// Unset: its name is left out.
    Nothing,
}

#[derive(Clone, Copy)]
struct Writer {
    depth: usize,
}

impl Writer {
    fn deeper(self) -> Self {
        Self { depth: self.depth + 1 }
    }

    fn nested(self, name: &str, value: &(impl Serialize + ?Sized)) -> Result<Part, JsonError> {
        let mut map = Map::new();
        insert(&mut map, name, value.serialize(self.deeper())?);
        Ok(Part::Value(Value::Object(map)))
    }
}

macro_rules! values {
    ($($method:ident: $type:ty),* $(,)?) => {$(
        fn $method(self, value: $type) -> Result<Part, JsonError> {
            Ok(Part::Value(Value::from(value)))
        }
    )*};
}

impl Serializer for Writer {
    type Ok = Part;
    type Error = JsonError;
    type SerializeSeq = List;
    type SerializeTuple = Impossible<Part, JsonError>;
    type SerializeTupleStruct = Impossible<Part, JsonError>;
    type SerializeTupleVariant = Impossible<Part, JsonError>;
    type SerializeMap = Impossible<Part, JsonError>;
    type SerializeStruct = Object;
    type SerializeStructVariant = Impossible<Part, JsonError>;

    values! {
        serialize_bool: bool, serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_u16: u16, serialize_u32: u32, serialize_u64: u64, serialize_f32: f32, serialize_f64: f64,
        serialize_str: &str,
    }

    fn serialize_u8(self, value: u8) -> Result<Part, JsonError> {
        Ok(Part::Byte(value))
    }

    fn serialize_char(self, value: char) -> Result<Part, JsonError> {
        Ok(Part::Value(value.to_string().into()))
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<Part, JsonError> {
        Ok(Part::Value(STANDARD.encode(value).into()))
    }

    fn serialize_none(self) -> Result<Part, JsonError> {
        Ok(Part::Nothing)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Part, JsonError> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<Part, JsonError> {
        Ok(Part::Nothing)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Part, JsonError> {
        Ok(Part::Nothing)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, name: &'static str) -> Result<Part, JsonError> {
        Ok(Part::Value(name.into()))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<Part, JsonError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        value: &T,
    ) -> Result<Part, JsonError> {
        self.nested(name, value)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<List, JsonError> {
        Ok(List { writer: self.deeper(), bytes: Vec::new(), values: Vec::new() })
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Object, JsonError> {
        Ok(Object { writer: self.deeper(), map: Map::new() })
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, JsonError> {
        Err(JsonError("a tuple".into()))
    }

    fn serialize_tuple_struct(self, _: &str, _: usize) -> Result<Self::SerializeTupleStruct, JsonError> {
        Err(JsonError("a tuple".into()))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, JsonError> {
        Err(JsonError("a tuple".into()))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, JsonError> {
        Err(JsonError("a map".into()))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, JsonError> {
        Err(JsonError("a struct variant".into()))
    }
}

/// A repeated field, or bytes.
struct List {
    writer: Writer,
    bytes: Vec<u8>,
    values: Vec<Value>,
}

impl SerializeSeq for List {
    type Ok = Part;
    type Error = JsonError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), JsonError> {
        match value.serialize(self.writer)? {
            Part::Byte(byte) => self.bytes.push(byte),
            Part::Value(value) => self.values.push(value),
            Part::Nothing => self.values.push(Value::Null),
        }
        Ok(())
    }

    fn end(self) -> Result<Part, JsonError> {
        Ok(match (self.bytes.is_empty(), self.values.is_empty()) {
            (false, _) => Part::Value(STANDARD.encode(self.bytes).into()),
            (true, false) => Part::Value(Value::Array(self.values)),
            (true, true) => Part::Nothing,
        })
    }
}

/// A message.
struct Object {
    writer: Writer,
    map: Map<String, Value>,
}

impl SerializeStruct for Object {
    type Ok = Part;
    type Error = JsonError;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), JsonError> {
        if self.writer.depth <= MAX_DEPTH {
            insert(&mut self.map, name, value.serialize(self.writer)?);
        }
        Ok(())
    }

    fn end(self) -> Result<Part, JsonError> {
        Ok(Part::Value(Value::Object(self.map)))
    }
}

fn insert(map: &mut Map<String, Value>, name: &str, part: Part) {
    let value = match part {
        Part::Value(value) => value,
        Part::Byte(byte) => byte.into(),
        Part::Nothing => return,
    };
    map.insert(camel_case(name), value);
}

/// `extended_text_message` and `ExtendedTextMessage` → `extendedTextMessage`.
fn camel_case(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut upper = false;
    for c in name.chars() {
        match c {
            '_' => upper = !out.is_empty(),
            c if out.is_empty() => out.push(c.to_ascii_lowercase()),
            c if upper => {
                out.push(c.to_ascii_uppercase());
                upper = false;
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use buffa::MessageField;
    use waproto::whatsapp as wa;

    #[test]
    fn a_message_is_camel_case_with_base64_and_without_unset_fields() {
        let message = wa::Message {
            image_message: MessageField::some(wa::message::ImageMessage {
                media_key: Some(vec![1, 2, 3]),
                scan_lengths: vec![1, 2, 3],
                caption: Some("hello".into()),
                ..Default::default()
            }),
            ..Default::default()
        };
        let json = super::of(&message).unwrap();
        let expected = serde_json::json!({
            "imageMessage": {"caption": "hello", "mediaKey": "AQID", "scanLengths": [1, 2, 3]}
        });
        assert_eq!(json, expected);
    }
}
