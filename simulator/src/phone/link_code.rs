//! Linking by an eight-character code: the phone's half of the key exchange.
//!
//! In: the code that the person typed and what the server relays from the companion. Out: what the server
//! relays back, and in the end the ADV secret that both sides share. Pure; the server never learns the code.
//!
//! Source: the wire format. Ephemeral keys travel as `salt 32 | iv 16 | AES-256-CTR(key) 32` under
//! `PBKDF2-HMAC-SHA256(code, salt, 131072)`; the bundle as `salt 32 | iv 12 | AES-256-GCM(96) 112`.

use aes_gcm::aead::Aead;
use aes_gcm::{Aes256Gcm, KeyInit};
use ctr::cipher::{KeyIvInit, StreamCipher};
use hkdf::Hkdf;
use rand::CryptoRng;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use wacore_libsignal::protocol::{KeyPair, PublicKey};

const ALPHABET: &str = "123456789ABCDEFGHJKLMNPQRSTVWXYZ";
const CODE_LENGTH: usize = 8;
const ROUNDS: u32 = 131_072;
const WRAPPED_KEY: usize = 80;
const WRAPPED_BUNDLE: usize = 32 + 12 + 96 + 16;
const BUNDLE_INFO: &[u8] = b"link_code_pairing_key_bundle_encryption_key";
const ADV_SECRET_INFO: &[u8] = b"adv_secret";

/// Why linking by code failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinkCodeError {
    /// Not eight characters of the code alphabet.
    #[error("a link code has 8 characters out of {ALPHABET} (a dash in the middle is allowed)")]
    Malformed,
    /// The wrapped ephemeral key is not 80 bytes.
    #[error("the companion's wrapped key has {0} bytes, expected 80")]
    WrappedKeyLength(usize),
    /// The wrapped bundle is not 156 bytes.
    #[error("the companion's key bundle has {0} bytes, expected 156")]
    BundleLength(usize),
    /// `link_code_finish` without a `link_code_hello` before it.
    #[error("no link code was entered on this phone")]
    NotStarted,
    /// A public key is no Curve25519 key that can be agreed with.
    #[error("a key of the companion cannot be used")]
    BadKey,
    /// The bundle does not open: the code that was typed is not the companion's.
    #[error("the key bundle does not open: the link code is wrong")]
    WrongCode,
    /// The bundle opens but names other identities than those on the wire.
    #[error("the key bundle names another companion or another phone")]
    OtherIdentity,
}

/// What the phone sends in `primary_hello`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkCodeHello {
    /// `link_code_pairing_wrapped_primary_ephemeral_pub`, 80 bytes.
    pub wrapped_primary_ephemeral: Vec<u8>,
    /// `primary_identity_pub`.
    pub primary_identity: [u8; 32],
}

/// The phone's memory between hello and finish.
#[derive(Serialize, Deserialize)]
pub(super) struct LinkCodeAttempt {
    ephemeral: KeyPair,
    companion_ephemeral: [u8; 32],
}

/// Opens the companion's ephemeral key with the code and answers with the phone's own, wrapped afresh.
pub(super) fn hello(
    code: &str,
    wrapped: &[u8],
    rng: &mut impl CryptoRng,
) -> Result<(LinkCodeAttempt, Vec<u8>), LinkCodeError> {
    let code = normalise(code)?;
    if wrapped.len() != WRAPPED_KEY {
        return Err(LinkCodeError::WrappedKeyLength(wrapped.len()));
    }
    let companion_ephemeral = apply_code(&code, &wrapped[..48], array(&wrapped[48..])?)?;
    let ephemeral = KeyPair::generate(rng);
    let mut answer = vec![0u8; 48];
    rng.fill_bytes(&mut answer);
    let hidden = apply_code(&code, &answer, array(ephemeral.public_key.public_key_bytes())?)?;
    answer.extend_from_slice(&hidden);
    Ok((LinkCodeAttempt { ephemeral, companion_ephemeral }, answer))
}

/// Opens the companion's key bundle and derives the ADV secret.
pub(super) fn finish(
    attempt: &LinkCodeAttempt,
    identity: &KeyPair,
    companion_identity: &[u8; 32],
    wrapped: &[u8],
) -> Result<[u8; 32], LinkCodeError> {
    if wrapped.len() != WRAPPED_BUNDLE {
        return Err(LinkCodeError::BundleLength(wrapped.len()));
    }
    let by_ephemeral = agree(&attempt.ephemeral, &attempt.companion_ephemeral)?;
    let key = expand(Some(&wrapped[..32]), &by_ephemeral, BUNDLE_INFO)?;
    let nonce: [u8; 12] = array(&wrapped[32..44])?;
    let bundle = Aes256Gcm::new(&key.into())
        .decrypt(&nonce.into(), &wrapped[44..])
        .map_err(|_| LinkCodeError::WrongCode)?;
    let identities = [companion_identity.as_slice(), identity.public_key.public_key_bytes()].concat();
    if bundle.get(..64) != Some(identities.as_slice()) {
        return Err(LinkCodeError::OtherIdentity);
    }
    let by_identity = agree(identity, companion_identity)?;
    let secret = [by_ephemeral.as_slice(), &by_identity, &bundle[64..]].concat();
    expand(None, &secret, ADV_SECRET_INFO)
}

/// The code as the companion showed it: upper case, without the dash that people type.
fn normalise(code: &str) -> Result<String, LinkCodeError> {
    let plain: String =
        code.chars().filter(|c| !matches!(c, '-' | ' ')).map(|c| c.to_ascii_uppercase()).collect();
    let valid = plain.len() == CODE_LENGTH && plain.chars().all(|c| ALPHABET.contains(c));
    if valid { Ok(plain) } else { Err(LinkCodeError::Malformed) }
}

/// Hides or shows a key under the code; `salt_and_iv` is the 48-byte head of the wrapped form.
fn apply_code(code: &str, salt_and_iv: &[u8], mut key: [u8; 32]) -> Result<[u8; 32], LinkCodeError> {
    let mut secret = [0u8; 32];
    pbkdf2::pbkdf2_hmac::<Sha256>(code.as_bytes(), &salt_and_iv[..32], ROUNDS, &mut secret);
    let iv: [u8; 16] = array(&salt_and_iv[32..48])?;
    ctr::Ctr128BE::<aes::Aes256>::new(&secret.into(), &iv.into()).apply_keystream(&mut key);
    Ok(key)
}

fn agree(ours: &KeyPair, theirs: &[u8; 32]) -> Result<[u8; 32], LinkCodeError> {
    let theirs = PublicKey::from_djb_public_key_bytes(theirs).map_err(|_| LinkCodeError::BadKey)?;
    ours.calculate_agreement(&theirs).map_err(|_| LinkCodeError::BadKey)
}

fn expand(salt: Option<&[u8]>, secret: &[u8], info: &[u8]) -> Result<[u8; 32], LinkCodeError> {
    let mut out = [0u8; 32];
    Hkdf::<Sha256>::new(salt, secret).expand(info, &mut out).map_err(|_| LinkCodeError::BadKey)?;
    Ok(out)
}

fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N], LinkCodeError> {
    bytes.try_into().map_err(|_| LinkCodeError::BadKey)
}
