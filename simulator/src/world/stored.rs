//! How keys and stanzas are written in a snapshot: base64 text, a quarter of what JSON's arrays of numbers take.

/// Byte strings and arrays: `#[serde(with = "stored::bytes")]`.
pub mod bytes {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD_NO_PAD;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes bytes.
    pub fn serialize<S: Serializer>(bytes: impl AsRef<[u8]>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD_NO_PAD.encode(bytes))
    }

    /// Reads bytes of the length that the type has.
    pub fn deserialize<'de, D: Deserializer<'de>, T: TryFrom<Vec<u8>>>(from: D) -> Result<T, D::Error> {
        let text = String::deserialize(from)?;
        let bytes = STANDARD_NO_PAD.decode(text).map_err(D::Error::custom)?;
        T::try_from(bytes).map_err(|_| D::Error::custom("bytes of a wrong length"))
    }
}

/// Stanzas: `#[serde(with = "stored::stanza")]`.
pub mod stanza {
    use serde::de::Error as _;
    use serde::ser::Error as _;
    use serde::{Deserializer, Serializer};
    use wacore_binary::Node;

    /// Writes a stanza as binary XML.
    pub fn serialize<S: Serializer>(stanza: &Node, to: S) -> Result<S::Ok, S::Error> {
        let encoded = wacore_binary::marshal(stanza).map_err(S::Error::custom)?;
        super::bytes::serialize(encoded, to)
    }

    /// Reads a stanza.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Node, D::Error> {
        let encoded: Vec<u8> = super::bytes::deserialize(from)?;
        crate::frame::decode_stanza(&encoded).map_err(D::Error::custom)
    }
}
