//! The client's half of the Noise handshake, for tests: written apart from `noise.rs`, so that a mistake there shows.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use buffa::{Message, MessageField};
use hkdf::Hkdf;
use rand::rngs::StdRng;
use sha2::{Digest, Sha256};
use wacore_libsignal::protocol::{KeyPair, PublicKey};
use waproto::whatsapp::handshake_message::{ClientFinish, ClientHello, ServerHello};
use waproto::whatsapp::{CertChain, HandshakeMessage, cert_chain};

use super::public;
use crate::noise::PROLOGUE;

/// A handshake in progress.
pub(crate) struct Initiator {
    hash: Vec<u8>,
    chain: Vec<u8>,
    key: Vec<u8>,
    counter: u8,
    ephemeral: KeyPair,
    noise: KeyPair,
    payload: Vec<u8>,
    is_ik: bool,
}

/// What came of it.
pub(crate) struct Outcome {
    /// To be sent, if the pattern needs a third message.
    pub(crate) finish: Option<Vec<u8>>,
    /// Key to write with, key to read with.
    pub(crate) keys: (Vec<u8>, Vec<u8>),
    /// The server's static key, as its certificate and the handshake agree on it.
    pub(crate) server_static: [u8; 32],
    /// The pattern was IK to the end.
    pub(crate) accepted_ik: bool,
}

impl Initiator {
    /// With a server key it starts IK, otherwise XX. Returns the client hello too.
    pub(crate) fn start(
        noise: &KeyPair,
        payload: Vec<u8>,
        server: Option<[u8; 32]>,
        rng: &mut StdRng,
    ) -> (Self, Vec<u8>) {
        let ephemeral = KeyPair::generate(rng);
        let mut this = Self {
            hash: Vec::new(),
            chain: Vec::new(),
            key: Vec::new(),
            counter: 0,
            ephemeral,
            noise: noise.clone(),
            payload,
            is_ik: server.is_some(),
        };
        let mut hello =
            ClientHello { ephemeral: Some(public(&this.ephemeral).to_vec()), ..Default::default() };
        if let Some(server) = server {
            this.begin(b"Noise_IK_25519_AESGCM_SHA256\0\0\0\0");
            this.absorb(&server);
            this.absorb(&public(&this.ephemeral));
            this.agree(&this.ephemeral.clone(), &server);
            hello.r#static = Some(this.seal(&public(&this.noise)));
            this.agree(&this.noise.clone(), &server);
            hello.payload = Some(this.seal(&this.payload.clone()));
        } else {
            this.begin(b"Noise_XX_25519_AESGCM_SHA256\0\0\0\0");
            this.absorb(&public(&this.ephemeral));
        }
        let envelope = HandshakeMessage { client_hello: MessageField::some(hello), ..Default::default() };
        (this, envelope.encode_to_vec())
    }

    /// Reads the server hello and checks everything a strict client checks, the signatures against `root`.
    pub(crate) fn read(mut self, answer: &[u8], root: &[u8; 32]) -> Outcome {
        let envelope = HandshakeMessage::decode_from_slice(answer).unwrap();
        let ServerHello { ephemeral, r#static, payload, .. } = envelope.server_hello.into_option().unwrap();
        let server_ephemeral: [u8; 32] = ephemeral.unwrap().try_into().unwrap();
        let Some(sealed_static) = r#static else {
            assert!(self.is_ik);
            self.absorb(&server_ephemeral);
            self.agree(&self.ephemeral.clone(), &server_ephemeral);
            self.agree(&self.noise.clone(), &server_ephemeral);
            let chain = self.open(&payload.unwrap());
            let server_static = verify(&chain, root);
            return Outcome { finish: None, keys: self.derive(&[]), server_static, accepted_ik: true };
        };
        if self.is_ik {
            self.begin(&Sha256::digest(b"Noise_XXfallback_25519_AESGCM_SHA256"));
            self.absorb(&public(&self.ephemeral));
        }
        self.absorb(&server_ephemeral);
        self.agree(&self.ephemeral.clone(), &server_ephemeral);
        let opened: [u8; 32] = self.open(&sealed_static).try_into().unwrap();
        self.agree(&self.ephemeral.clone(), &opened);
        let server_static = verify(&self.open(&payload.unwrap()), root);
        assert_eq!(server_static, opened, "the leaf is for another key");
        let sealed_noise = self.seal(&public(&self.noise));
        self.agree(&self.noise.clone(), &server_ephemeral);
        let finish = ClientFinish {
            r#static: Some(sealed_noise),
            payload: Some(self.seal(&self.payload.clone())),
            ..Default::default()
        };
        let finish = HandshakeMessage { client_finish: MessageField::some(finish), ..Default::default() };
        Outcome {
            finish: Some(finish.encode_to_vec()),
            keys: self.derive(&[]),
            server_static,
            accepted_ik: false,
        }
    }

    fn begin(&mut self, start: &[u8]) {
        self.hash = start.to_vec();
        self.chain = start.to_vec();
        self.absorb(&PROLOGUE);
    }

    fn absorb(&mut self, bytes: &[u8]) {
        self.hash = Sha256::digest([&self.hash, bytes].concat()).to_vec();
    }

    fn agree(&mut self, ours: &KeyPair, theirs: &[u8; 32]) {
        let theirs = PublicKey::from_djb_public_key_bytes(theirs).unwrap();
        let shared = ours.private_key.calculate_agreement(&theirs).unwrap();
        (self.chain, self.key) = self.derive(&shared);
        self.counter = 0;
    }

    fn derive(&self, material: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let mut output = [0; 64];
        Hkdf::<Sha256>::new(Some(&self.chain), material).expand(&[], &mut output).unwrap();
        (output[..32].to_vec(), output[32..].to_vec())
    }

    fn seal(&mut self, plain: &[u8]) -> Vec<u8> {
        let (cipher, nonce) = self.cipher();
        let sealed = cipher.encrypt(&nonce, Payload { msg: plain, aad: &self.hash }).unwrap();
        self.absorb(&sealed);
        sealed
    }

    fn open(&mut self, sealed: &[u8]) -> Vec<u8> {
        let (cipher, nonce) = self.cipher();
        let plain = cipher.decrypt(&nonce, Payload { msg: sealed, aad: &self.hash }).unwrap();
        self.absorb(sealed);
        plain
    }

    fn cipher(&mut self) -> (Aes256Gcm, Nonce<aes_gcm::aead::consts::U12>) {
        let mut nonce = [0; 12];
        nonce[11] = self.counter;
        self.counter += 1;
        (Aes256Gcm::new_from_slice(&self.key).unwrap(), nonce.into())
    }
}

/// Checks a certificate chain up to `root`; returns the key it vouches for.
fn verify(chain: &[u8], root: &[u8; 32]) -> [u8; 32] {
    let chain = CertChain::decode_from_slice(chain).unwrap();
    let intermediate = step(&chain.intermediate.into_option().unwrap(), root);
    assert_eq!(intermediate.issuer_serial, Some(0));
    let key: [u8; 32] = intermediate.key.unwrap().try_into().unwrap();
    let leaf = step(&chain.leaf.into_option().unwrap(), &key);
    assert_eq!(leaf.issuer_serial, intermediate.serial);
    leaf.key.unwrap().try_into().unwrap()
}

fn step(
    certificate: &cert_chain::NoiseCertificate,
    issuer: &[u8; 32],
) -> cert_chain::noise_certificate::Details {
    let details = certificate.details.as_deref().unwrap();
    let issuer = PublicKey::from_djb_public_key_bytes(issuer).unwrap();
    assert!(issuer.verify_signature(details, certificate.signature.as_deref().unwrap()));
    cert_chain::noise_certificate::Details::decode_from_slice(details).unwrap()
}
