//! The phone's Signal state: identity, prekeys, sessions and the identities of others, all in memory.
//!
//! In and out: the types of `wacore-libsignal`, whose store traits are implemented in `signal/stores.rs`.
//! The traits are async but nothing here ever waits. Serialises with its sessions; a session that is loaded
//! again skips the counters that may have been used since (libsignal's lease), so none is used twice.

mod sender_keys;
mod stores;

use futures_util::FutureExt;
use rand::{CryptoRng, RngExt};
use serde::{Deserialize, Serialize};
use wacore_libsignal::protocol::{
    CiphertextMessage, DecryptionResult, DeviceId, IdentityKey, KeyPair, PreKeyBundle, PublicKey,
    SignalProtocolError, UsePQRatchet, message_decrypt, message_encrypt, process_prekey_bundle,
};

use self::stores::{Identities, PreKeys, SenderKeys, Sessions, SignedPreKeys};
use super::{DeviceAddress, PhoneError};

/// Unused one-time prekeys are kept up to this many; the oldest go first.
const MAX_PREKEYS: usize = 2_000;
/// Prekey ids are 24 bits wide on the wire.
const MAX_PREKEY_ID: u32 = 0x00ff_ffff;
const SIGNED_PREKEY_ID: u32 = 1;

/// Everything that Signal needs to know about one phone.
#[derive(Serialize, Deserialize)]
pub(super) struct SignalState {
    identities: Identities,
    prekeys: PreKeys,
    signed_prekeys: SignedPreKeys,
    sessions: Sessions,
    #[serde(default)]
    sender_keys: SenderKeys,
    next_prekey_id: u32,
}

/// A phone's public keys for somebody who wants to write to it for the first time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// The owner's registration id.
    pub registration_id: u32,
    /// The owner's identity key.
    pub identity: [u8; 32],
    /// Id, key and the identity's signature over the key (with its type byte).
    pub signed_prekey: (u32, [u8; 32], [u8; 64]),
    /// A one-time prekey, if there was one left.
    pub prekey: Option<(u32, [u8; 32])>,
    /// A companion's `ADVSignedDeviceIdentity`.
    pub device_identity: Option<Vec<u8>>,
}

impl SignalState {
    pub(super) fn new(rng: &mut impl CryptoRng) -> Self {
        let identity = KeyPair::generate(rng);
        let key = KeyPair::generate(rng);
        // A key that was just made can sign; if it could not, everyone would refuse its bundles.
        let signature = identity.calculate_signature(&key.public_key.serialize(), rng).unwrap_or([0; 64]);
        Self {
            identities: Identities::new(identity, rng.random_range(1..=16_380)),
            prekeys: PreKeys::default(),
            signed_prekeys: SignedPreKeys { id: SIGNED_PREKEY_ID, key, signature: signature.to_vec() },
            sessions: Sessions::default(),
            sender_keys: SenderKeys::default(),
            next_prekey_id: rng.random_range(1..=10_000),
        }
    }

    pub(super) fn identity(&self) -> &KeyPair {
        &self.identities.own
    }

    pub(super) fn registration_id(&self) -> u32 {
        self.identities.registration_id
    }

    /// Makes a bundle with a fresh one-time prekey.
    pub(super) fn next_bundle(&mut self, rng: &mut impl CryptoRng) -> Bundle {
        let id = self.next_prekey_id;
        self.next_prekey_id = if id >= MAX_PREKEY_ID { 1 } else { id + 1 };
        let key = KeyPair::generate(rng);
        let prekey = Some((id, raw(&key.public_key)));
        self.prekeys.insert(id, key, MAX_PREKEYS);
        let signed = &self.signed_prekeys;
        Bundle {
            registration_id: self.registration_id(),
            identity: raw(&self.identity().public_key),
            signed_prekey: (signed.id, raw(&signed.key.public_key), fixed(&signed.signature)),
            prekey,
            device_identity: None,
        }
    }

    pub(super) fn has_session(&self, address: &DeviceAddress) -> bool {
        self.sessions.contains(&address.protocol())
    }

    /// The identity that the device at `address` last proved.
    pub(super) fn known_identity(&self, address: &DeviceAddress) -> Option<[u8; 32]> {
        self.identities.get(&address.protocol()).copied()
    }

    /// Drops the session with a device and its identity: the next message starts afresh.
    pub(super) fn forget(&mut self, address: &DeviceAddress) {
        self.sessions.remove(&address.protocol());
        self.identities.remove(&address.protocol());
    }

    /// Starts a session from a bundle; any other is for reading only from now on.
    pub(super) fn start_session(
        &mut self,
        address: &DeviceAddress,
        bundle: &Bundle,
        rng: &mut impl CryptoRng,
    ) -> Result<(), PhoneError> {
        let remote = address.protocol();
        let bundle = libsignal_bundle(bundle, address.device)?;
        let (sessions, identities) = (&mut self.sessions, &mut self.identities);
        let started = process_prekey_bundle(&remote, sessions, identities, &bundle, rng, UsePQRatchet::No);
        at_once(started).map(drop)
    }

    pub(super) fn encrypt(
        &mut self,
        address: &DeviceAddress,
        plaintext: &[u8],
    ) -> Result<CiphertextMessage, PhoneError> {
        let remote = address.protocol();
        at_once(message_encrypt(plaintext, &remote, &mut self.sessions, &mut self.identities))
    }

    /// Decrypts and forgets the one-time prekey that was consumed.
    pub(super) fn decrypt(
        &mut self,
        address: &DeviceAddress,
        ciphertext: &CiphertextMessage,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<u8>, PhoneError> {
        let remote = address.protocol();
        let decrypted = message_decrypt(
            ciphertext,
            &remote,
            &mut self.sessions,
            &mut self.identities,
            &mut self.prekeys,
            &self.signed_prekeys,
            rng,
            UsePQRatchet::No,
        );
        let DecryptionResult { plaintext, consumed_prekey_id, .. } = at_once(decrypted)?;
        if let Some(id) = consumed_prekey_id {
            self.prekeys.remove(id.into());
        }
        Ok(plaintext)
    }
}

impl DeviceAddress {
    fn protocol(&self) -> wacore_libsignal::protocol::ProtocolAddress {
        let name = format!("{}@{}", self.user, self.server.as_str());
        wacore_libsignal::protocol::ProtocolAddress::new(&name, DeviceId::new(self.device.into()))
    }
}

/// Runs a future that never waits.
fn at_once<T>(future: impl Future<Output = Result<T, SignalProtocolError>>) -> Result<T, PhoneError> {
    match future.now_or_never() {
        Some(result) => Ok(result?),
        None => Err(PhoneError::Waiting),
    }
}

fn libsignal_bundle(bundle: &Bundle, device: u16) -> Result<PreKeyBundle, PhoneError> {
    let key =
        |bytes: &[u8; 32]| PublicKey::from_djb_public_key_bytes(bytes).map_err(SignalProtocolError::from);
    let (id, signed, signature) = &bundle.signed_prekey;
    let prekey = match &bundle.prekey {
        Some((id, public)) => Some(((*id).into(), key(public)?)),
        None => None,
    };
    Ok(PreKeyBundle::new(
        bundle.registration_id,
        DeviceId::new(device.into()),
        prekey,
        (*id).into(),
        key(signed)?,
        signature.to_vec(),
        IdentityKey::new(key(&bundle.identity)?),
    )?)
}

/// A public key without its type byte.
pub(super) fn raw(key: &PublicKey) -> [u8; 32] {
    fixed(key.public_key_bytes())
}

fn fixed<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    for (to, from) in out.iter_mut().zip(bytes) {
        *to = *from;
    }
    out
}
