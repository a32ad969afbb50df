//! Sender keys: with one of them a device writes to a whole group, and everybody who was given it reads. What a phone does
//! with them, over the store in `stores.rs`. Keys and bytes in, bytes out.

use rand::CryptoRng;
use wacore_libsignal::protocol::{
    SenderKeyDistributionMessage, SenderKeyName, create_sender_key_distribution_message, group_decrypt,
    group_encrypt, process_sender_key_distribution_message,
};

use super::{DeviceAddress, PhoneError, SignalState, at_once};

fn name(group: &str, device: &DeviceAddress) -> SenderKeyName {
    SenderKeyName::from_parts(group, device.protocol().as_str())
}

impl SignalState {
    /// The phone's own key for a group as others need it; made when there is none.
    pub(in crate::phone) fn sender_key(
        &mut self,
        group: &str,
        own: &DeviceAddress,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<u8>, PhoneError> {
        let name = name(group, own);
        let made = at_once(create_sender_key_distribution_message(&name, &mut self.sender_keys, rng))?;
        Ok(made.serialized().to_vec())
    }

    /// Drops a key: the next message is written with another one.
    pub(in crate::phone) fn forget_sender_key(&mut self, group: &str, device: &DeviceAddress) {
        let name = name(group, device);
        self.sender_keys.remove(&name);
    }

    /// Takes somebody's key for a group.
    pub(in crate::phone) fn learn_sender_key(
        &mut self,
        group: &str,
        device: &DeviceAddress,
        key: &[u8],
    ) -> Result<(), PhoneError> {
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
    ) -> Result<Vec<u8>, PhoneError> {
        let sealed = at_once(group_encrypt(&mut self.sender_keys, &name(group, own), plaintext, rng))?;
        Ok(sealed.serialized().to_vec())
    }

    /// Decrypts what a device wrote to a group.
    pub(in crate::phone) fn decrypt_from_group(
        &mut self,
        group: &str,
        device: &DeviceAddress,
        ciphertext: &[u8],
    ) -> Result<Vec<u8>, PhoneError> {
        at_once(group_decrypt(ciphertext, &mut self.sender_keys, &name(group, device)))
    }
}
