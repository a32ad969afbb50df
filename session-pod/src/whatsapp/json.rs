//! A protobuf message as JSON for people and programs: camelCase names, bytes as base64, unset fields left out. Pure.
//!
//! The text must survive `JSON.parse` and `JSON.stringify` in JavaScript: integers beyond 2^53 and floats that JavaScript would
//! write differently become strings.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::ser::{self, Serialize, Serializer};
use serde_json::{Map, Value};

mod compound;

use compound::{Fields, List};

/// The JSON of a message; null if it cannot be written.
pub(super) fn to_json(message: &impl Serialize) -> Value {
    message.serialize(Writer).map_or(Value::Null, Piece::into_value)
}

/// What a part of a message becomes.
enum Piece {
    /// An unset field.
    Nothing,
    /// One byte: in a list, part of a byte string.
    Byte(u8),
    /// A value.
    Value(Value),
    /// The chosen member of a `oneof`: takes the place of its field.
    Member(String, Value),
}

impl Piece {
    fn into_value(self) -> Value {
        match self {
            Self::Nothing => Value::Null,
            Self::Byte(byte) => byte.into(),
            Self::Value(value) => value,
            Self::Member(name, value) => Value::Object(Map::from_iter([(name, value)])),
        }
    }
}

fn camel_case(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut raise = false;
    for c in name.trim_start_matches("r#").chars() {
        if c == '_' {
            raise = !out.is_empty();
        } else if raise {
            out.extend(c.to_uppercase());
            raise = false;
        } else {
            out.push(c);
        }
    }
    out
}

fn lower_first(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

/// Largest integer that JavaScript keeps exactly.
const MAX_SAFE: u64 = (1 << 53) - 1;

fn unsigned(n: u64) -> Piece {
    Piece::Value(if n <= MAX_SAFE { n.into() } else { n.to_string().into() })
}

fn signed(n: i64) -> Piece {
    Piece::Value(if n.unsigned_abs() <= MAX_SAFE { n.into() } else { n.to_string().into() })
}

fn float(x: f64) -> Piece {
    if !x.is_finite() {
        return Piece::Nothing;
    }
    let text = if x == 0.0 { "0".to_owned() } else { format!("{x}") };
    if x.fract() == 0.0 {
        return text.parse().map_or_else(|_| Piece::Value(text.clone().into()), signed);
    }
    // JavaScript and Rust agree on the digits, not on when to write an exponent.
    let plain = x.abs() >= 1e-4;
    Piece::Value(if plain { x.into() } else { text.into() })
}

struct Writer;

#[derive(Debug)]
struct Unwritable;

impl std::fmt::Display for Unwritable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the message cannot be written as JSON")
    }
}

impl std::error::Error for Unwritable {}

impl ser::Error for Unwritable {
    fn custom<T: std::fmt::Display>(_: T) -> Self {
        Self
    }
}

type Written = Result<Piece, Unwritable>;

impl Serializer for Writer {
    type Ok = Piece;
    type Error = Unwritable;
    type SerializeSeq = List;
    type SerializeTuple = List;
    type SerializeTupleStruct = List;
    type SerializeTupleVariant = List;
    type SerializeMap = Fields;
    type SerializeStruct = Fields;
    type SerializeStructVariant = Fields;

    fn serialize_bool(self, v: bool) -> Written {
        Ok(Piece::Value(v.into()))
    }
    fn serialize_i8(self, v: i8) -> Written {
        Ok(signed(v.into()))
    }
    fn serialize_i16(self, v: i16) -> Written {
        Ok(signed(v.into()))
    }
    fn serialize_i32(self, v: i32) -> Written {
        Ok(signed(v.into()))
    }
    fn serialize_i64(self, v: i64) -> Written {
        Ok(signed(v))
    }
    fn serialize_u8(self, v: u8) -> Written {
        Ok(Piece::Byte(v))
    }
    fn serialize_u16(self, v: u16) -> Written {
        Ok(unsigned(v.into()))
    }
    fn serialize_u32(self, v: u32) -> Written {
        Ok(unsigned(v.into()))
    }
    fn serialize_u64(self, v: u64) -> Written {
        Ok(unsigned(v))
    }
    fn serialize_f32(self, v: f32) -> Written {
        Ok(float(v.to_string().parse().unwrap_or_else(|_| v.into())))
    }
    fn serialize_f64(self, v: f64) -> Written {
        Ok(float(v))
    }
    fn serialize_char(self, v: char) -> Written {
        Ok(Piece::Value(v.to_string().into()))
    }
    fn serialize_str(self, v: &str) -> Written {
        Ok(Piece::Value(v.into()))
    }
    fn serialize_bytes(self, v: &[u8]) -> Written {
        Ok(Piece::Value(STANDARD.encode(v).into()))
    }
    fn serialize_none(self) -> Written {
        Ok(Piece::Nothing)
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Written {
        value.serialize(self)
    }
    fn serialize_unit(self) -> Written {
        Ok(Piece::Nothing)
    }
    fn serialize_unit_struct(self, _: &'static str) -> Written {
        Ok(Piece::Nothing)
    }
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Written {
        Ok(Piece::Value(variant.into()))
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Written {
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Written {
        Ok(Piece::Member(lower_first(variant), value.serialize(self)?.into_value()))
    }
    fn serialize_seq(self, len: Option<usize>) -> Result<List, Unwritable> {
        Ok(List { bytes: Vec::new(), values: Vec::with_capacity(len.unwrap_or(0).min(64)) })
    }
    fn serialize_tuple(self, len: usize) -> Result<List, Unwritable> {
        self.serialize_seq(Some(len))
    }
    fn serialize_tuple_struct(self, _: &'static str, len: usize) -> Result<List, Unwritable> {
        self.serialize_seq(Some(len))
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        len: usize,
    ) -> Result<List, Unwritable> {
        self.serialize_seq(Some(len))
    }
    fn serialize_map(self, _: Option<usize>) -> Result<Fields, Unwritable> {
        Ok(Fields::default())
    }
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Fields, Unwritable> {
        Ok(Fields::default())
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Fields, Unwritable> {
        Ok(Fields::of_member(lower_first(variant)))
    }
}

#[cfg(test)]
mod tests;
