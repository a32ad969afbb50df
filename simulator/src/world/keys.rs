//! A linked device's public keys, as it uploaded them. Keys in, bundles out; each one-time prekey leaves once.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};
use wacore_libsignal::protocol::PublicKey;

use super::stored;
use crate::phone::PreKeyBundle;

/// More one-time prekeys than this are refused; clients upload at most 812.
const MAX_PREKEYS: usize = 10_000;
/// At this many the device is told to upload more. Source: whatsapp-rust `prekeys.rs`, whatsmeow `MinPreKeyCount`.
pub const LOW_COUNT: usize = 10;

/// A signed prekey.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedPreKey {
    /// Its id, three bytes on the wire.
    pub id: u32,
    /// The public key.
    #[serde(with = "stored::bytes")]
    pub public: [u8; 32],
    /// The identity key's signature over `05 ‖ public`.
    #[serde(with = "stored::bytes")]
    pub signature: [u8; 64],
}

/// A one-time prekey.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneTimeKey {
    /// Its id.
    pub id: u32,
    /// The public key.
    #[serde(with = "stored::bytes")]
    pub public: [u8; 32],
}

/// What a device has uploaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyStore {
    /// The device's Signal registration id.
    pub registration_id: u32,
    /// The device's identity key.
    #[serde(with = "stored::bytes")]
    pub identity: [u8; 32],
    /// The current signed prekey.
    pub signed: SignedPreKey,
    one_time: VecDeque<OneTimeKey>,
}

impl KeyStore {
    /// A store without one-time prekeys.
    pub fn new(registration_id: u32, identity: [u8; 32], signed: SignedPreKey) -> Self {
        Self { registration_id, identity, signed, one_time: VecDeque::new() }
    }

    /// Adds one-time prekeys; a key with a known id takes its place. False when there would be too many.
    pub fn add(&mut self, keys: Vec<OneTimeKey>) -> bool {
        if self.one_time.len() + keys.len() > MAX_PREKEYS {
            return false;
        }
        let fresh: std::collections::BTreeSet<u32> = keys.iter().map(|key| key.id).collect();
        self.one_time.retain(|known| !fresh.contains(&known.id));
        self.one_time.extend(keys);
        true
    }

    /// One-time prekeys left.
    pub fn count(&self) -> usize {
        self.one_time.len()
    }

    /// Their ids, in the order in which they will be handed out.
    pub fn ids(&self) -> impl Iterator<Item = u32> {
        self.one_time.iter().map(|key| key.id)
    }

    /// A bundle for somebody who wants to write to the device. It uses up a one-time prekey if one is left.
    pub fn take_bundle(&mut self, device_identity: Option<Vec<u8>>) -> PreKeyBundle {
        let one_time = self.one_time.pop_front();
        PreKeyBundle {
            registration_id: self.registration_id,
            identity: self.identity,
            signed_prekey: (self.signed.id, self.signed.public, self.signed.signature),
            prekey: one_time.map(|key| (key.id, key.public)),
            device_identity,
        }
    }

    /// SHA-1 over identity, signed prekey, its signature and the one-time prekeys in order.
    /// Source: whatsapp-rust `compute_key_bundle_digest`.
    pub fn digest(&self) -> [u8; 20] {
        let mut hash = Sha1::new();
        hash.update(self.identity);
        hash.update(self.signed.public);
        hash.update(self.signed.signature);
        for key in &self.one_time {
            hash.update(key.public);
        }
        hash.finalize().into()
    }
}

impl SignedPreKey {
    /// Whether `identity` really signed it.
    pub fn is_signed_by(&self, identity: &[u8; 32]) -> bool {
        let mut message = [5_u8; 33];
        message[1..].copy_from_slice(&self.public);
        PublicKey::from_djb_public_key_bytes(identity)
            .is_ok_and(|key| key.verify_signature(&message, &self.signature))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> KeyStore {
        let signed = SignedPreKey { id: 1, public: [2; 32], signature: [3; 64] };
        KeyStore::new(7, [1; 32], signed)
    }

    fn keys(ids: std::ops::Range<u32>) -> Vec<OneTimeKey> {
        ids.map(|id| OneTimeKey { id, public: [9; 32] }).collect()
    }

    #[test]
    fn every_one_time_prekey_is_handed_out_once() {
        let mut store = store();
        assert!(store.add(keys(1..4)));
        let handed: Vec<_> = (0..4).map(|_| store.take_bundle(None).prekey.map(|(id, _)| id)).collect();
        assert_eq!(handed, [Some(1), Some(2), Some(3), None]);
    }

    #[test]
    fn an_upload_of_known_ids_does_not_duplicate_them() {
        let mut store = store();
        store.add(keys(1..4));
        store.add(keys(2..6));
        assert_eq!(store.ids().collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
        assert!(!store.add(keys(0..20_000)));
        assert_eq!(store.count(), 5);
    }

    #[test]
    fn the_digest_follows_the_keys() {
        let mut store = store();
        let before = store.digest();
        store.add(keys(1..2));
        assert_ne!(store.digest(), before);
        store.take_bundle(None);
        assert_eq!(store.digest(), before);
    }
}
