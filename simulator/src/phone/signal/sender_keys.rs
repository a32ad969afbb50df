//! Sender keys: with one of them a device writes to a whole group, and everybody who was given it reads. libsignal's store
//! trait over a plain map, and the four things that a phone does with it.
//!
//! Keys of the map are `group:device`. Nothing here waits, and the table serialises; a key that is loaded again skips the
//! steps that may have been taken since (libsignal's lease), so none is taken twice.

use std::collections::BTreeMap;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rand::CryptoRng;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use wacore_libsignal::protocol::error::Result;
use wacore_libsignal::protocol::{
    SenderKeyDistributionMessage, SenderKeyName, SenderKeyRecord, SenderKeyStore,
    create_sender_key_distribution_message, group_decrypt, group_encrypt,
    process_sender_key_distribution_message,
};

use super::{DeviceAddress, PhoneError, SignalState, at_once};

/// Keys of more devices in groups are not kept.
const MAX_KEYS: usize = 50_000;

/// Sender keys by group and device.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct SenderKeys(BTreeMap<String, Stored>);

fn name(group: &str, device: &DeviceAddress) -> SenderKeyName {
    SenderKeyName::from_parts(group, device.protocol().as_str())
}

#[async_trait]
impl SenderKeyStore for SenderKeys {
    async fn store_sender_key(&mut self, name: &SenderKeyName, record: SenderKeyRecord) -> Result<()> {
        let key = format!("{}:{}", name.group_id(), name.sender_id());
        if self.0.len() < MAX_KEYS || self.0.contains_key(&key) {
            self.0.insert(key, Stored(record));
        }
        Ok(())
    }

    async fn load_sender_key(&self, name: &SenderKeyName) -> Result<Option<SenderKeyRecord>> {
        let key = format!("{}:{}", name.group_id(), name.sender_id());
        Ok(self.0.get(&key).map(|stored| stored.0.clone()))
    }
}

impl SignalState {
    /// The phone's own key for a group as others need it; made when there is none.
    pub(in crate::phone) fn sender_key(
        &mut self,
        group: &str,
        own: &DeviceAddress,
        rng: &mut impl CryptoRng,
    ) -> std::result::Result<Vec<u8>, PhoneError> {
        let name = name(group, own);
        let made = at_once(create_sender_key_distribution_message(&name, &mut self.sender_keys, rng))?;
        Ok(made.serialized().to_vec())
    }

    /// Drops a key: the next message is written with another one.
    pub(in crate::phone) fn forget_sender_key(&mut self, group: &str, device: &DeviceAddress) {
        let name = name(group, device);
        self.sender_keys.0.remove(&format!("{}:{}", name.group_id(), name.sender_id()));
    }

    /// Takes somebody's key for a group.
    pub(in crate::phone) fn learn_sender_key(
        &mut self,
        group: &str,
        device: &DeviceAddress,
        key: &[u8],
    ) -> std::result::Result<(), PhoneError> {
        let key = SenderKeyDistributionMessage::try_from(key)?;
        at_once(process_sender_key_distribution_message(&name(group, device), &key, &mut self.sender_keys))
    }

    /// Encrypts for a group.
    pub(in crate::phone) fn encrypt_for_group(
        &mut self,
        group: &str,
        own: &DeviceAddress,
        plaintext: &[u8],
        rng: &mut impl CryptoRng,
    ) -> std::result::Result<Vec<u8>, PhoneError> {
        let sealed = at_once(group_encrypt(&mut self.sender_keys, &name(group, own), plaintext, rng))?;
        Ok(sealed.serialized().to_vec())
    }

    /// Decrypts what a device wrote to a group.
    pub(in crate::phone) fn decrypt_from_group(
        &mut self,
        group: &str,
        device: &DeviceAddress,
        ciphertext: &[u8],
    ) -> std::result::Result<Vec<u8>, PhoneError> {
        at_once(group_decrypt(ciphertext, &mut self.sender_keys, &name(group, device)))
    }
}

/// A key that serialises as base64 of libsignal's own record format.
struct Stored(SenderKeyRecord);

impl Serialize for Stored {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let bytes = self.0.serialize().map_err(serde::ser::Error::custom)?;
        serializer.serialize_str(&STANDARD.encode(bytes))
    }
}

impl<'de> Deserialize<'de> for Stored {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD.decode(text).map_err(serde::de::Error::custom)?;
        SenderKeyRecord::deserialize(&bytes).map(Self).map_err(serde::de::Error::custom)
    }
}
