//! libsignal's store traits over plain maps. Nothing here waits, and every table serialises.
//!
//! Keys of the maps are protocol addresses (`user@server.device`), with the group before it for sender keys. A changed identity is accepted: the
//! person on the phone would see a notice, not an error.

use std::collections::BTreeMap;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use wacore_libsignal::protocol::error::Result;
use wacore_libsignal::protocol::{
    Direction, GenericSignedPreKey, IdentityChange, IdentityKey, IdentityKeyPair, IdentityKeyStore, KeyPair,
    PreKeyId, PreKeyRecord, PreKeyStore, ProtocolAddress, SenderKeyName, SenderKeyRecord, SenderKeyStore,
    SessionRecord, SessionStore, SignalProtocolError, SignedPreKeyId, SignedPreKeyRecord, SignedPreKeyStore,
    Timestamp,
};

/// The phone's own identity and those of the devices it knows.
#[derive(Serialize, Deserialize)]
pub(super) struct Identities {
    pub(super) own: KeyPair,
    pub(super) registration_id: u32,
    others: BTreeMap<String, [u8; 32]>,
}

impl Identities {
    pub(super) fn new(own: KeyPair, registration_id: u32) -> Self {
        Self { own, registration_id, others: BTreeMap::new() }
    }

    pub(super) fn get(&self, address: &ProtocolAddress) -> Option<&[u8; 32]> {
        self.others.get(address.as_str())
    }

    pub(super) fn remove(&mut self, address: &ProtocolAddress) {
        self.others.remove(address.as_str());
    }
}

#[async_trait]
impl IdentityKeyStore for Identities {
    async fn get_identity_key_pair(&self) -> Result<IdentityKeyPair> {
        Ok(IdentityKeyPair::new(IdentityKey::new(self.own.public_key), self.own.private_key.clone()))
    }

    async fn get_local_registration_id(&self) -> Result<u32> {
        Ok(self.registration_id)
    }

    async fn save_identity(
        &mut self,
        address: &ProtocolAddress,
        identity: &IdentityKey,
    ) -> Result<IdentityChange> {
        let key = super::raw(identity.public_key());
        let before = self.others.insert(address.as_str().to_owned(), key);
        Ok(IdentityChange::from_changed(before.is_some_and(|before| before != key)))
    }

    async fn is_trusted_identity(&self, _: &ProtocolAddress, _: &IdentityKey, _: Direction) -> Result<bool> {
        Ok(true)
    }

    async fn get_identity(&self, address: &ProtocolAddress) -> Result<Option<IdentityKey>> {
        self.get(address).map(|key| IdentityKey::try_from(tagged(key).as_slice())).transpose()
    }
}

/// One-time prekeys that were handed out and not used yet.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct PreKeys(BTreeMap<u32, KeyPair>);

impl PreKeys {
    /// Adds a key and drops the oldest beyond `max`.
    pub(super) fn insert(&mut self, id: u32, key: KeyPair, max: usize) {
        self.0.insert(id, key);
        while self.0.len() > max {
            self.0.pop_first();
        }
    }

    pub(super) fn remove(&mut self, id: u32) {
        self.0.remove(&id);
    }
}

#[async_trait]
impl PreKeyStore for PreKeys {
    async fn get_pre_key(&self, id: PreKeyId) -> Result<PreKeyRecord> {
        let key = self.0.get(&id.into()).ok_or(SignalProtocolError::InvalidPreKeyId)?;
        Ok(PreKeyRecord::new(id, key))
    }

    async fn save_pre_key(&mut self, id: PreKeyId, record: &PreKeyRecord) -> Result<()> {
        self.0.insert(id.into(), record.key_pair()?);
        Ok(())
    }

    async fn remove_pre_key(&mut self, id: PreKeyId) -> Result<()> {
        self.remove(id.into());
        Ok(())
    }
}

/// The phone's one signed prekey. It never rotates: a simulated phone lives for hours.
#[derive(Serialize, Deserialize)]
pub(super) struct SignedPreKeys {
    pub(super) id: u32,
    pub(super) key: KeyPair,
    pub(super) signature: Vec<u8>,
}

#[async_trait]
impl SignedPreKeyStore for SignedPreKeys {
    async fn get_signed_pre_key(&self, id: SignedPreKeyId) -> Result<SignedPreKeyRecord> {
        if u32::from(id) != self.id {
            return Err(SignalProtocolError::InvalidSignedPreKeyId);
        }
        Ok(SignedPreKeyRecord::new(id, Timestamp::from_epoch_millis(0), &self.key, &self.signature))
    }

    async fn save_signed_pre_key(&mut self, id: SignedPreKeyId, record: &SignedPreKeyRecord) -> Result<()> {
        (self.id, self.key, self.signature) = (id.into(), record.key_pair()?, record.signature()?);
        Ok(())
    }
}

/// Sessions by device.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Sessions(BTreeMap<String, Stored>);

impl Sessions {
    pub(super) fn contains(&self, address: &ProtocolAddress) -> bool {
        self.0.contains_key(address.as_str())
    }

    pub(super) fn remove(&mut self, address: &ProtocolAddress) {
        self.0.remove(address.as_str());
    }
}

#[async_trait]
impl SessionStore for Sessions {
    async fn load_session(&self, address: &ProtocolAddress) -> Result<Option<SessionRecord>> {
        Ok(self.0.get(address.as_str()).map(|stored| stored.0.clone()))
    }

    async fn has_session(&self, address: &ProtocolAddress) -> Result<bool> {
        Ok(self.contains(address))
    }

    async fn store_session(&mut self, address: &ProtocolAddress, record: SessionRecord) -> Result<()> {
        self.0.insert(address.as_str().to_owned(), Stored(record));
        Ok(())
    }
}

/// A session that serialises as base64 of libsignal's own record format.
struct Stored(SessionRecord);

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
        SessionRecord::deserialize(&bytes).map(Self).map_err(serde::de::Error::custom)
    }
}

/// Keys of more devices in groups are not kept.
const MAX_KEYS: usize = 50_000;

/// Sender keys by group and device. A key that is loaded again skips the steps that may have been taken since (libsignal's
/// lease), so none is taken twice.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct SenderKeys(BTreeMap<String, StoredKey>);

impl SenderKeys {
    pub(super) fn remove(&mut self, name: &SenderKeyName) {
        self.0.remove(&key(name));
    }
}

fn key(name: &SenderKeyName) -> String {
    format!("{}:{}", name.group_id(), name.sender_id())
}

#[async_trait]
impl SenderKeyStore for SenderKeys {
    async fn store_sender_key(&mut self, name: &SenderKeyName, record: SenderKeyRecord) -> Result<()> {
        let key = key(name);
        if self.0.len() < MAX_KEYS || self.0.contains_key(&key) {
            self.0.insert(key, StoredKey(record));
        }
        Ok(())
    }

    async fn load_sender_key(&self, name: &SenderKeyName) -> Result<Option<SenderKeyRecord>> {
        Ok(self.0.get(&key(name)).map(|stored| stored.0.clone()))
    }
}

/// A sender key that serialises as base64 of libsignal's own record format.
struct StoredKey(SenderKeyRecord);

impl Serialize for StoredKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let bytes = self.0.serialize().map_err(serde::ser::Error::custom)?;
        serializer.serialize_str(&STANDARD.encode(bytes))
    }
}

impl<'de> Deserialize<'de> for StoredKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD.decode(text).map_err(serde::de::Error::custom)?;
        SenderKeyRecord::deserialize(&bytes).map(Self).map_err(serde::de::Error::custom)
    }
}

fn tagged(key: &[u8; 32]) -> Vec<u8> {
    [&[5u8][..], key].concat()
}
