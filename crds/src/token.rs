//! The bearer token of a session's process.
//!
//! Comes in: the key that all tokens are derived from, a session's UID. Goes out: the token. Pure.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// Key that tokens are derived from.
pub type TokenKey = [u8; 32];

/// Lower-case hex of HMAC-SHA256(key, UID): whoever has the key can derive every token, and a process knows only its own.
pub fn derive(key: &TokenKey, uid: &str) -> String {
    // HMAC fills a key up with zeros to SHA-256's block of 64 bytes; given so, it cannot be of a wrong length.
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(key);
    let mac = Hmac::<Sha256>::new(&block.into()).chain_update(uid.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    #[test]
    fn tokens_are_hmac_sha256() {
        // printf u-1 | openssl dgst -sha256 -mac HMAC -macopt hexkey:0707…07
        let expected = "d20dd6b25e22999521d4e776b1b4dab252b419afa69a068294a07e66d7d91d8e";
        assert_eq!(super::derive(&[7; 32], "u-1"), expected);
    }
}
