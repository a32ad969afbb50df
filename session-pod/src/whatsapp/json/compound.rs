//! Lists and objects of a message, one part after another. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::ser::{self, Serialize};
use serde_json::{Map, Value};

use super::{Piece, Unwritable, Writer, Written, camel_case};

/// A list; one of bytes becomes base64, an empty one is as good as unset.
pub(super) struct List {
    pub(super) bytes: Vec<u8>,
    pub(super) values: Vec<Value>,
}

impl List {
    fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unwritable> {
        match value.serialize(Writer)? {
            Piece::Byte(byte) => self.bytes.push(byte),
            other @ (Piece::Nothing | Piece::Value(_) | Piece::Member(..)) => {
                self.values.push(other.into_value());
            }
        }
        Ok(())
    }

    fn finish(self) -> Piece {
        if !self.bytes.is_empty() {
            Piece::Value(STANDARD.encode(self.bytes).into())
        } else if self.values.is_empty() {
            Piece::Nothing
        } else {
            Piece::Value(Value::Array(self.values))
        }
    }
}

macro_rules! list {
    ($($list:ident :: $method:ident),*) => {$(
        impl ser::$list for List {
            type Ok = Piece;
            type Error = Unwritable;
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unwritable> {
                self.push(value)
            }
            fn end(self) -> Written {
                Ok(self.finish())
            }
        }
    )*};
}
list!(SerializeSeq::serialize_element, SerializeTuple::serialize_element);
list!(SerializeTupleStruct::serialize_field, SerializeTupleVariant::serialize_field);

/// An object.
#[derive(Default)]
pub(super) struct Fields {
    member: Option<String>,
    key: String,
    object: Map<String, Value>,
}

impl Fields {
    /// The object of a `oneof`'s member.
    pub(super) fn of_member(name: String) -> Self {
        Self { member: Some(name), ..Self::default() }
    }

    fn insert<T: Serialize + ?Sized>(&mut self, name: String, value: &T) -> Result<(), Unwritable> {
        match value.serialize(Writer)? {
            Piece::Nothing => {}
            Piece::Member(member, value) => {
                self.object.insert(member, value);
            }
            other @ (Piece::Byte(_) | Piece::Value(_)) => {
                self.object.insert(name, other.into_value());
            }
        }
        Ok(())
    }

    fn finish(self) -> Piece {
        let object = Value::Object(self.object);
        match self.member {
            Some(member) => Piece::Member(member, object),
            None => Piece::Value(object),
        }
    }
}

macro_rules! fields {
    ($($fields:ident),*) => {$(
        impl ser::$fields for Fields {
            type Ok = Piece;
            type Error = Unwritable;
            fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Unwritable> {
                self.insert(camel_case(name), value)
            }
            fn end(self) -> Written {
                Ok(self.finish())
            }
        }
    )*};
}
fields!(SerializeStruct, SerializeStructVariant);

impl ser::SerializeMap for Fields {
    type Ok = Piece;
    type Error = Unwritable;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Unwritable> {
        let key = key.serialize(Writer)?.into_value();
        self.key = key.as_str().map_or_else(|| key.to_string(), str::to_owned);
        // JavaScript moves keys that look like numbers to the front.
        if self.key.bytes().all(|b| b.is_ascii_digit()) {
            self.key.insert(0, '#');
        }
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unwritable> {
        let key = std::mem::take(&mut self.key);
        self.insert(key, value)
    }

    fn end(self) -> Written {
        Ok(self.finish())
    }
}
