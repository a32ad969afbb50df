//! Bytes of the WebSocket ↔ protocol frames ↔ stanzas. No sockets, no keys.
//!
//! A connection opens with an intro (optionally routing information `ED 00 01` + length + blob, then `WA 06 03`);
//! after it every frame is a three-byte big-endian length and a payload. WebSocket messages and frames need not
//! align. A decrypted payload is a flag byte (bit 1: zlib) and binary XML.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use wacore_binary::Node;
use wacore_binary::marshal::unmarshal_ref;

use crate::noise::PROLOGUE;

/// The longest frame that a client may send: a media-free stanza never comes near it.
pub const MAX_FRAME: usize = 1 << 20;
/// The largest stanza after decompression.
const MAX_STANZA: u64 = 4 << 20;
/// Stanzas from this size on are compressed, as WhatsApp does with large ones.
const COMPRESS_FROM: usize = 2048;
const COMPRESSED: u8 = 2;

/// Why bytes could not be understood.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The first bytes were neither intro.
    #[error("the connection does not open with `WA` or `ED`")]
    Intro,
    /// A frame's length exceeds [`MAX_FRAME`].
    #[error("a frame of {0} bytes is too long")]
    TooLong(usize),
    /// The compressed payload is broken or too large.
    #[error("decompress a stanza: {0}")]
    Decompress(#[from] std::io::Error),
    /// The payload is empty.
    #[error("a stanza without bytes")]
    Empty,
    /// The payload is not binary XML.
    #[error("read binary XML: {0}")]
    Xml(#[from] wacore_binary::BinaryError),
}

/// Collects bytes until whole frames are there.
#[derive(Debug, Default)]
pub struct FrameDecoder {
    buffer: Vec<u8>,
    introduced: bool,
}

impl FrameDecoder {
    /// Adds bytes as they arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Takes the next whole frame, without its length.
    pub fn next_frame(&mut self) -> Result<Option<Vec<u8>>, FrameError> {
        if !self.introduced && !self.take_intro()? {
            return Ok(None);
        }
        let Some(length) = length_at(&self.buffer, 0) else {
            return Ok(None);
        };
        if length > MAX_FRAME {
            return Err(FrameError::TooLong(length));
        }
        if self.buffer.len() < 3 + length {
            return Ok(None);
        }
        let frame = self.buffer[3..3 + length].to_vec();
        self.buffer.drain(..3 + length);
        if self.buffer.is_empty() {
            self.buffer = Vec::new();
        }
        Ok(Some(frame))
    }

    /// Consumes the intro; false while more bytes are needed.
    fn take_intro(&mut self) -> Result<bool, FrameError> {
        let routed = self.buffer.starts_with(b"ED");
        if self.buffer.len() >= 2 && !routed && !self.buffer.starts_with(b"WA") {
            return Err(FrameError::Intro);
        }
        let routing = match (routed, length_at(&self.buffer, 4)) {
            (false, _) => 0,
            (true, Some(length)) if length <= MAX_FRAME => 7 + length,
            (true, Some(length)) => return Err(FrameError::TooLong(length)),
            (true, None) => return Ok(false),
        };
        let end = routing + PROLOGUE.len();
        if self.buffer.len() < end {
            return Ok(false);
        }
        if self.buffer[routing..end] != PROLOGUE {
            return Err(FrameError::Intro);
        }
        self.buffer.drain(..end);
        self.introduced = true;
        Ok(true)
    }
}

fn length_at(bytes: &[u8], offset: usize) -> Option<usize> {
    let length = bytes.get(offset..offset + 3)?;
    Some(usize::from(length[0]) << 16 | usize::from(length[1]) << 8 | usize::from(length[2]))
}

/// Puts the three-byte length before a payload.
pub fn frame(payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    let mut framed = Vec::with_capacity(3 + payload.len());
    framed.extend_from_slice(&length[1..]);
    framed.extend_from_slice(payload);
    framed
}

/// A stanza as a plaintext payload; large ones are compressed.
pub fn encode_stanza(stanza: &Node) -> Result<Vec<u8>, FrameError> {
    let plain = wacore_binary::marshal(stanza)?;
    if plain.len() < COMPRESS_FROM {
        return Ok(plain);
    }
    let mut encoder = ZlibEncoder::new(vec![COMPRESSED], Compression::fast());
    encoder.write_all(&plain[1..])?;
    Ok(encoder.finish()?)
}

/// Reads a plaintext payload.
pub fn decode_stanza(payload: &[u8]) -> Result<Node, FrameError> {
    let (flags, body) = payload.split_first().ok_or(FrameError::Empty)?;
    if flags & COMPRESSED == 0 {
        return Ok(unmarshal_ref(body)?.to_owned());
    }
    let mut plain = Vec::new();
    ZlibDecoder::new(body).take(MAX_STANZA).read_to_end(&mut plain)?;
    Ok(unmarshal_ref(&plain)?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use wacore_binary::builder::NodeBuilder;

    fn frames(decoder: &mut FrameDecoder) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| decoder.next_frame().unwrap()).collect()
    }

    #[test]
    fn frames_come_out_whole_however_the_bytes_arrive() {
        let routing = [b"ED\x00\x01\x00\x00\x02".as_slice(), b"xy"].concat();
        for intro in [Vec::new(), routing] {
            let bytes = [&intro, PROLOGUE.as_slice(), &frame(b"one"), &frame(b""), &frame(b"three")].concat();
            for step in 1..=bytes.len() {
                let mut decoder = FrameDecoder::default();
                let mut found = Vec::new();
                for chunk in bytes.chunks(step) {
                    decoder.push(chunk);
                    found.extend(frames(&mut decoder));
                }
                assert_eq!(found, [b"one".to_vec(), Vec::new(), b"three".to_vec()], "step {step}");
            }
        }
    }

    #[test]
    fn strangers_and_giants_are_refused() {
        for bytes in [b"GET / HTTP/1.1".as_slice(), b"WA\x06\x02", b"WX"] {
            let mut decoder = FrameDecoder::default();
            decoder.push(bytes);
            assert!(matches!(decoder.next_frame(), Err(FrameError::Intro)), "{bytes:?}");
        }
        let mut decoder = FrameDecoder::default();
        decoder.push(&[PROLOGUE.as_slice(), &[0xff, 0xff, 0xff]].concat());
        assert!(matches!(decoder.next_frame(), Err(FrameError::TooLong(0xff_ffff))));
    }

    #[test]
    fn stanzas_survive_the_wire_plain_and_compressed() {
        for size in [1, COMPRESS_FROM * 2] {
            let stanza = NodeBuilder::new("message").attr("id", "A").bytes(vec![7; size]).build();
            let payload = encode_stanza(&stanza).unwrap();
            assert_eq!(payload[0], if size == 1 { 0 } else { COMPRESSED });
            assert_eq!(decode_stanza(&payload).unwrap(), stanza);
        }
    }

    #[test]
    fn broken_payloads_are_errors() {
        for payload in [&[][..], &[0], &[COMPRESSED, 1, 2, 3], &[0, 0xf8, 0x02, 0xff]] {
            assert!(decode_stanza(payload).is_err(), "{payload:?}");
        }
    }
}
