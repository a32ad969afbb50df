//! Media as phones encrypt it, and as messages speak of it. Bytes and keys in, bytes and messages out; the file itself is
//! the server's (`world/media.rs`).
//!
//! Source: the wire format. HKDF-SHA256 of the media key with the kind's name gives 16 bytes of IV, 32 of AES-256-CBC key
//! and 32 of MAC key; a file is the ciphertext and the first ten bytes of HMAC-SHA256 over IV and ciphertext.

use aes::Aes256;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

mod message;

pub use message::{Attachment, FetchFile, NewMedia};

const BLOCK: usize = 16;
const MAC: usize = 10;

/// What kind of media a message carries, as the inbox calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MediaKind {
    /// A picture.
    Image,
    /// A short video without sound that plays by itself.
    Gif,
    /// A video.
    Video,
    /// A voice message.
    Ptt,
    /// Music and the like.
    Audio,
    /// Any file.
    Document,
    /// A sticker.
    Sticker,
}

impl MediaKind {
    /// The name that goes into its keys.
    fn info(self) -> &'static str {
        match self {
            Self::Image | Self::Sticker => "WhatsApp Image Keys",
            Self::Gif | Self::Video => "WhatsApp Video Keys",
            Self::Ptt | Self::Audio => "WhatsApp Audio Keys",
            Self::Document => "WhatsApp Document Keys",
        }
    }

    /// The media server's name for it.
    pub fn path(self) -> &'static str {
        match self {
            Self::Image | Self::Sticker => "image",
            Self::Gif | Self::Video => "video",
            Self::Ptt | Self::Audio => "audio",
            Self::Document => "document",
        }
    }

    /// Whether a person can write something under it.
    pub fn takes_caption(self) -> bool {
        matches!(self, Self::Image | Self::Gif | Self::Video | Self::Document)
    }
}

/// Why a file could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The server did not give it.
    #[error("the file could not be fetched: {0}")]
    Fetch(String),
    /// The message does not say how.
    #[error("the message lacks the file's key or hashes")]
    Incomplete,
    /// Not what was sent.
    #[error("the file has another SHA-256 than the message says")]
    EncryptedHash,
    /// The key is another, or the file was changed.
    #[error("the file's MAC is wrong")]
    Authenticate,
    /// The padding is wrong.
    #[error("the file cannot be decrypted")]
    Decrypt,
    /// The sender lied about it.
    #[error("the decrypted file has another SHA-256 than the message says")]
    Hash,
    /// The sender lied about it.
    #[error("the decrypted file has {0} bytes, the message says {1}")]
    Length(u64, u64),
}

/// An encrypted file and what its message must say about it.
#[derive(Debug, Clone)]
pub struct SealedMedia {
    /// What the server keeps: ciphertext and MAC.
    pub file: Vec<u8>,
    /// SHA-256 of that.
    pub file_sha256: [u8; 32],
    /// SHA-256 of the decrypted bytes.
    pub sha256: [u8; 32],
    /// How many decrypted bytes there are.
    pub size: u64,
    key: [u8; 32],
}

struct Keys {
    iv: [u8; BLOCK],
    cipher: [u8; 32],
    mac: [u8; 32],
}

impl Keys {
    fn of(kind: MediaKind, key: &[u8]) -> Option<Self> {
        let mut expanded = [0; 112];
        Hkdf::<Sha256>::new(None, key).expand(kind.info().as_bytes(), &mut expanded).ok()?;
        let (iv, rest) = expanded.split_first_chunk()?;
        let (cipher, rest) = rest.split_first_chunk()?;
        let (mac, _) = rest.split_first_chunk()?;
        Some(Self { iv: *iv, cipher: *cipher, mac: *mac })
    }

    fn mac(&self, ciphertext: &[u8]) -> Option<[u8; MAC]> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.mac).ok()?;
        mac.update(&self.iv);
        mac.update(ciphertext);
        mac.finalize().into_bytes().first_chunk().copied()
    }
}

/// Encrypts a file under a fresh media key. Nothing comes out only if the cryptography refuses its own sizes.
pub fn seal(kind: MediaKind, plain: &[u8], key: [u8; 32]) -> Option<SealedMedia> {
    let keys = Keys::of(kind, &key)?;
    let mut file = plain.to_vec();
    file.resize(plain.len() / BLOCK * BLOCK + BLOCK, 0);
    let cipher = cbc::Encryptor::<Aes256>::new(&keys.cipher.into(), &keys.iv.into());
    cipher.encrypt_padded::<Pkcs7>(&mut file, plain.len()).ok()?;
    file.extend_from_slice(&keys.mac(&file)?);
    Some(SealedMedia {
        file_sha256: Sha256::digest(&file).into(),
        sha256: Sha256::digest(plain).into(),
        size: u64::try_from(plain.len()).ok()?,
        file,
        key,
    })
}

/// Decrypts a file after checking its MAC.
fn open(kind: MediaKind, file: &[u8], key: &[u8]) -> Result<Vec<u8>, OpenError> {
    let keys = Keys::of(kind, key).ok_or(OpenError::Incomplete)?;
    let (ciphertext, mac) =
        file.split_at_checked(file.len().saturating_sub(MAC)).ok_or(OpenError::Authenticate)?;
    if keys.mac(ciphertext).is_none_or(|expected| expected.as_slice() != mac) {
        return Err(OpenError::Authenticate);
    }
    let mut plain = ciphertext.to_vec();
    let cipher = cbc::Decryptor::<Aes256>::new(&keys.cipher.into(), &keys.iv.into());
    let length = cipher.decrypt_padded::<Pkcs7>(&mut plain).map_err(|_| OpenError::Decrypt)?.len();
    plain.truncate(length);
    Ok(plain)
}

#[cfg(test)]
mod tests;
