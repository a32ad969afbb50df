//! The responder's half of WhatsApp's Noise handshake. Bytes of handshake messages in, bytes and transport ciphers out.
//!
//! Three patterns: XX (first contact), IK (the client remembers our static key and sends its payload at once) and
//! `XXfallback` (an IK hello that we cannot read is answered as if it had been XX). No sockets, no clock.
//!
//! Source: noiseprotocol.org revision 34; the protobuf envelope is `HandshakeMessage` of WhatsApp's protocol.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use buffa::{Message, MessageField};
use hkdf::Hkdf;
use rand::CryptoRng;
use sha2::{Digest, Sha256};
use wacore_libsignal::protocol::{KeyPair, PrivateKey, PublicKey};
use waproto::whatsapp::handshake_message::ServerHello;
use waproto::whatsapp::{ClientPayload, HandshakeMessage};

/// What both sides mix in first: `WA`, the protocol's version 6, the token dictionary's version 3.
pub const PROLOGUE: [u8; 4] = [b'W', b'A', 6, 3];

const XX: &[u8] = b"Noise_XX_25519_AESGCM_SHA256\0\0\0\0";
const IK: &[u8] = b"Noise_IK_25519_AESGCM_SHA256\0\0\0\0";
const XX_FALLBACK: &[u8] = b"Noise_XXfallback_25519_AESGCM_SHA256";

/// Why a handshake ended early.
#[derive(Debug, thiserror::Error)]
pub enum NoiseError {
    /// A protobuf envelope did not decode.
    #[error("read the handshake message: {0}")]
    ReadEnvelope(#[from] buffa::DecodeError),
    /// A field that the pattern needs was absent or had a wrong length.
    #[error("the handshake message lacks {0}")]
    Missing(&'static str),
    /// AES-GCM refused a ciphertext, or its counter ran out.
    #[error("open or seal a handshake part")]
    Cipher,
    /// A key was not a point on the curve.
    #[error("agree on a key: {0}")]
    Agree(#[from] wacore_libsignal::protocol::CurveError),
}

/// The server's static key and the certificate chain that vouches for it.
pub struct ServerKeys {
    /// The Noise static key pair.
    pub static_key: KeyPair,
    /// Encoded `CertChain` for that key.
    pub certificate: Vec<u8>,
}

/// What a finished handshake leaves behind.
pub struct Established {
    /// The client's static public key: it is the client's login credential.
    pub client_static: [u8; 32],
    /// What the client said about itself.
    pub payload: ClientPayload,
    /// The transport ciphers.
    pub ciphers: Ciphers,
}

/// The answer to a client hello.
pub enum Reply {
    /// IK: the handshake is over once these bytes are sent.
    Finished(Vec<u8>, Box<Established>),
    /// XX or XX fallback: send these bytes and wait for the client's finish.
    Continue(Vec<u8>, Box<AwaitingFinish>),
}

/// Answers the client's first handshake message.
pub fn answer_hello<R: CryptoRng>(
    keys: &ServerKeys,
    message: &[u8],
    rng: &mut R,
) -> Result<Reply, NoiseError> {
    let hello = HandshakeMessage::decode_from_slice(message)?;
    let hello = hello.client_hello.into_option().ok_or(NoiseError::Missing("client hello"))?;
    let client_ephemeral = key(hello.ephemeral.as_deref(), "ephemeral")?;
    match (hello.r#static.as_deref(), hello.payload.as_deref()) {
        (Some(sealed_static), Some(sealed_payload)) => {
            match open_ik(keys, &client_ephemeral, sealed_static, sealed_payload) {
                Ok(opened) => accept_ik(keys, &client_ephemeral, opened, rng),
                Err(_) => answer_xx(keys, XX_FALLBACK, &client_ephemeral, rng),
            }
        }
        _ => answer_xx(keys, XX, &client_ephemeral, rng),
    }
}

struct OpenedIk {
    state: SymmetricState,
    client_static: [u8; 32],
    payload: ClientPayload,
}

fn open_ik(
    keys: &ServerKeys,
    client_ephemeral: &[u8; 32],
    sealed_static: &[u8],
    sealed_payload: &[u8],
) -> Result<OpenedIk, NoiseError> {
    let mut state = SymmetricState::new(IK);
    state.mix_hash(keys.static_key.public_key.public_key_bytes());
    state.mix_hash(client_ephemeral);
    state.mix_agreement(&keys.static_key.private_key, client_ephemeral)?;
    let client_static = key(Some(&state.open(sealed_static)?), "client static")?;
    state.mix_agreement(&keys.static_key.private_key, &client_static)?;
    let payload = ClientPayload::decode_from_slice(&state.open(sealed_payload)?)?;
    Ok(OpenedIk { state, client_static, payload })
}

fn accept_ik<R: CryptoRng>(
    keys: &ServerKeys,
    client_ephemeral: &[u8; 32],
    opened: OpenedIk,
    rng: &mut R,
) -> Result<Reply, NoiseError> {
    let mut state = opened.state;
    let ephemeral = KeyPair::generate(rng);
    state.mix_hash(ephemeral.public_key.public_key_bytes());
    state.mix_agreement(&ephemeral.private_key, client_ephemeral)?;
    state.mix_agreement(&ephemeral.private_key, &opened.client_static)?;
    let sealed_certificate = state.seal(&keys.certificate)?;
    let hello = server_hello(&ephemeral, None, sealed_certificate);
    let established =
        Established { client_static: opened.client_static, payload: opened.payload, ciphers: state.split()? };
    Ok(Reply::Finished(hello, Box::new(established)))
}

fn answer_xx<R: CryptoRng>(
    keys: &ServerKeys,
    pattern: &[u8],
    client_ephemeral: &[u8; 32],
    rng: &mut R,
) -> Result<Reply, NoiseError> {
    let mut state = SymmetricState::new(pattern);
    let ephemeral = KeyPair::generate(rng);
    state.mix_hash(client_ephemeral);
    state.mix_hash(ephemeral.public_key.public_key_bytes());
    state.mix_agreement(&ephemeral.private_key, client_ephemeral)?;
    let sealed_static = state.seal(keys.static_key.public_key.public_key_bytes())?;
    state.mix_agreement(&keys.static_key.private_key, client_ephemeral)?;
    let sealed_certificate = state.seal(&keys.certificate)?;
    let hello = server_hello(&ephemeral, Some(sealed_static), sealed_certificate);
    Ok(Reply::Continue(hello, Box::new(AwaitingFinish { state, ephemeral })))
}

fn server_hello(ephemeral: &KeyPair, r#static: Option<Vec<u8>>, payload: Vec<u8>) -> Vec<u8> {
    HandshakeMessage {
        server_hello: MessageField::some(ServerHello {
            ephemeral: Some(ephemeral.public_key.public_key_bytes().to_vec()),
            r#static,
            payload: Some(payload),
            ..Default::default()
        }),
        ..Default::default()
    }
    .encode_to_vec()
}

/// An XX handshake that waits for the client's last message.
pub struct AwaitingFinish {
    state: SymmetricState,
    ephemeral: KeyPair,
}

impl AwaitingFinish {
    /// Reads the client's static key and payload.
    pub fn finish(mut self, message: &[u8]) -> Result<Established, NoiseError> {
        let envelope = HandshakeMessage::decode_from_slice(message)?;
        let finish = envelope.client_finish.into_option().ok_or(NoiseError::Missing("client finish"))?;
        let sealed_static = finish.r#static.ok_or(NoiseError::Missing("static"))?;
        let sealed_payload = finish.payload.ok_or(NoiseError::Missing("payload"))?;
        let client_static = key(Some(&self.state.open(&sealed_static)?), "client static")?;
        self.state.mix_agreement(&self.ephemeral.private_key, &client_static)?;
        let payload = ClientPayload::decode_from_slice(&self.state.open(&sealed_payload)?)?;
        Ok(Established { client_static, payload, ciphers: self.state.split()? })
    }
}

/// The two transport ciphers, as the server uses them.
pub struct Ciphers {
    /// Opens frames from the client.
    pub incoming: TransportCipher,
    /// Seals frames to the client.
    pub outgoing: TransportCipher,
}

/// AES-256-GCM with a counter as nonce and no associated data.
pub struct TransportCipher {
    cipher: Box<Aes256Gcm>,
    counter: u32,
}

impl TransportCipher {
    fn new(key: &[u8; 32]) -> Self {
        Self { cipher: Box::new(Aes256Gcm::new(key.into())), counter: 0 }
    }

    /// Seals one frame.
    pub fn seal(&mut self, plaintext: &[u8]) -> Result<Vec<u8>, NoiseError> {
        let nonce = self.next_nonce()?;
        self.cipher.encrypt(&Nonce::from(nonce), plaintext).map_err(|_| NoiseError::Cipher)
    }

    /// Opens one frame.
    pub fn open(&mut self, ciphertext: &[u8]) -> Result<Vec<u8>, NoiseError> {
        let nonce = self.next_nonce()?;
        self.cipher.decrypt(&Nonce::from(nonce), ciphertext).map_err(|_| NoiseError::Cipher)
    }

    fn next_nonce(&mut self) -> Result<[u8; 12], NoiseError> {
        let nonce = nonce(self.counter);
        self.counter = self.counter.checked_add(1).ok_or(NoiseError::Cipher)?;
        Ok(nonce)
    }
}

/// Noise's symmetric state: chaining key, handshake hash, cipher key and its counter.
struct SymmetricState {
    chaining_key: [u8; 32],
    hash: [u8; 32],
    key: [u8; 32],
    counter: u32,
}

impl SymmetricState {
    fn new(pattern: &[u8]) -> Self {
        let start: [u8; 32] = pattern.try_into().unwrap_or_else(|_| Sha256::digest(pattern).into());
        let mut state = Self { chaining_key: start, hash: start, key: start, counter: 0 };
        state.mix_hash(&PROLOGUE);
        state
    }

    fn mix_hash(&mut self, data: &[u8]) {
        self.hash = Sha256::new().chain_update(self.hash).chain_update(data).finalize().into();
    }

    fn mix_agreement(&mut self, ours: &PrivateKey, theirs: &[u8; 32]) -> Result<(), NoiseError> {
        let theirs = PublicKey::from_djb_public_key_bytes(theirs)?;
        let shared = ours.calculate_agreement(&theirs)?;
        let (chaining_key, key) = self.derive(&shared)?;
        self.chaining_key = chaining_key;
        self.key = key;
        self.counter = 0;
        Ok(())
    }

    fn derive(&self, material: &[u8]) -> Result<([u8; 32], [u8; 32]), NoiseError> {
        let mut output = [0_u8; 64];
        Hkdf::<Sha256>::new(Some(&self.chaining_key), material)
            .expand(&[], &mut output)
            .map_err(|_| NoiseError::Cipher)?;
        let (mut first, mut second) = ([0_u8; 32], [0_u8; 32]);
        first.copy_from_slice(&output[..32]);
        second.copy_from_slice(&output[32..]);
        Ok((first, second))
    }

    fn seal(&mut self, plaintext: &[u8]) -> Result<Vec<u8>, NoiseError> {
        let payload = Payload { msg: plaintext, aad: &self.hash };
        let sealed = Aes256Gcm::new((&self.key).into())
            .encrypt(&Nonce::from(nonce(self.counter)), payload)
            .map_err(|_| NoiseError::Cipher)?;
        self.counter += 1;
        self.mix_hash(&sealed);
        Ok(sealed)
    }

    fn open(&mut self, sealed: &[u8]) -> Result<Vec<u8>, NoiseError> {
        let payload = Payload { msg: sealed, aad: &self.hash };
        let plaintext = Aes256Gcm::new((&self.key).into())
            .decrypt(&Nonce::from(nonce(self.counter)), payload)
            .map_err(|_| NoiseError::Cipher)?;
        self.counter += 1;
        self.mix_hash(sealed);
        Ok(plaintext)
    }

    /// The first key is the initiator's to write with, so it is ours to read with.
    fn split(self) -> Result<Ciphers, NoiseError> {
        let (incoming, outgoing) = self.derive(&[])?;
        Ok(Ciphers { incoming: TransportCipher::new(&incoming), outgoing: TransportCipher::new(&outgoing) })
    }
}

fn nonce(counter: u32) -> [u8; 12] {
    let mut nonce = [0_u8; 12];
    nonce[8..].copy_from_slice(&counter.to_be_bytes());
    nonce
}

fn key(bytes: Option<&[u8]>, name: &'static str) -> Result<[u8; 32], NoiseError> {
    bytes.and_then(|bytes| bytes.try_into().ok()).ok_or(NoiseError::Missing(name))
}
