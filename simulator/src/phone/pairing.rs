//! Linking and unlinking companions: what a person's phone does when it scans a QR code or a code is typed.
//!
//! In: a companion's identity and ADV secret. Out: the papers for `pair-success`, and afterwards the signed
//! list of linked devices. It talks to nobody: the server carries the stanzas.

use std::collections::BTreeMap;

use rand::CryptoRng;
use serde::{Deserialize, Serialize};

use super::adv::{self, DeviceDetails};
use super::link_code::{self, LinkCodeAttempt};
use super::{LinkCodeError, LinkCodeHello, Phone, PhoneError};

/// The account's companions, as the phone keeps them.
#[derive(Serialize, Deserialize)]
pub(super) struct Companions {
    raw_id: u32,
    current_index: u32,
    linked: BTreeMap<u16, Companion>,
    link_code: Option<LinkCodeAttempt>,
}

#[derive(Serialize, Deserialize)]
struct Companion {
    key_index: u32,
    identity: [u8; 32],
    /// The encoded `ADVDeviceIdentity` that was signed.
    details: Vec<u8>,
    /// The whole `ADVSignedDeviceIdentity`; absent until the companion has signed too.
    signed: Option<Vec<u8>>,
}

/// The papers for a new companion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceGrant {
    /// The device's index in the account's key index list.
    pub key_index: u32,
    /// An encoded `ADVSignedDeviceIdentityHMAC` for `<device-identity>` of `pair-success`.
    pub device_identity: Vec<u8>,
}

impl Companions {
    pub(super) fn new(rng: &mut impl CryptoRng) -> Self {
        Self { raw_id: rng.next_u32() >> 1, current_index: 0, linked: BTreeMap::new(), link_code: None }
    }

    /// The identity of a companion that is linked (its signature was seen), if it is.
    pub(super) fn identity(&self, device_id: u16) -> Option<&[u8; 32]> {
        self.linked.get(&device_id).filter(|c| c.signed.is_some()).map(|c| &c.identity)
    }
}

impl Phone {
    /// Grants a companion access to the account. It counts as linked after [`Self::confirm_link`].
    pub fn link(
        &mut self,
        device_id: u16,
        companion_identity: &[u8; 32],
        adv_secret: &[u8; 32],
        now_secs: u64,
    ) -> Result<DeviceGrant, PhoneError> {
        if device_id == 0 || self.companions.identity(device_id).is_some() {
            return Err(PhoneError::DeviceTaken(device_id));
        }
        let key_index = self.companions.current_index + 1;
        let raw_id = self.companions.raw_id;
        let details = DeviceDetails { raw_id, timestamp: now_secs, key_index }.encode();
        let signed = adv::sign_device(self.signal.identity(), details.clone(), companion_identity)?;
        let device_identity = adv::seal(signed, adv_secret)?;
        self.companions.current_index = key_index;
        let companion = Companion { key_index, identity: *companion_identity, details, signed: None };
        self.companions.linked.insert(device_id, companion);
        Ok(DeviceGrant { key_index, device_identity })
    }

    /// Takes the companion's countersigned identity out of `pair-device-sign` and checks it.
    pub fn confirm_link(&mut self, device_id: u16, signed_identity: &[u8]) -> Result<(), PhoneError> {
        let account = self.identity_public();
        let companion = self.companions.linked.get_mut(&device_id).ok_or(PhoneError::NotLinked(device_id))?;
        let device = adv::verify_device(signed_identity, &companion.identity, Some(&account))?;
        if device.details != companion.details {
            return Err(PhoneError::OtherDetails(device_id));
        }
        companion.signed = Some(device.blob);
        Ok(())
    }

    /// Forgets a companion and the sessions with it. Unknown devices are ignored.
    pub fn unlink(&mut self, device_id: u16) {
        self.companions.linked.remove(&device_id);
        for address in self.own_addresses(device_id) {
            self.signal.forget(&address);
        }
    }

    /// The companion's complete `ADVSignedDeviceIdentity`, once it has been confirmed.
    pub fn device_identity(&self, device_id: u16) -> Option<&[u8]> {
        self.companions.linked.get(&device_id)?.signed.as_deref()
    }

    /// The account's `ADVSignedKeyIndexList` for usync: the key indexes of all linked companions.
    /// Empty if the account's key cannot sign, which no key made by [`Phone::new`] does.
    pub fn key_index_list(&self, now_secs: u64) -> Vec<u8> {
        let Companions { raw_id, current_index, .. } = self.companions;
        let valid =
            self.companions.linked.values().filter(|c| c.signed.is_some()).map(|c| c.key_index).collect();
        let current = DeviceDetails { raw_id, timestamp: now_secs, key_index: current_index };
        adv::key_index_list(self.signal.identity(), current, valid).unwrap_or_default()
    }

    /// The person types a link code: opens the companion's key (80 bytes) and answers with the phone's.
    /// A wrong code cannot be noticed here; [`Self::link_code_finish`] does.
    pub fn link_code_hello(
        &mut self,
        code: &str,
        wrapped_companion_ephemeral: &[u8],
        rng: &mut impl CryptoRng,
    ) -> Result<LinkCodeHello, PhoneError> {
        let (attempt, wrapped_primary_ephemeral) = link_code::hello(code, wrapped_companion_ephemeral, rng)?;
        self.companions.link_code = Some(attempt);
        Ok(LinkCodeHello { wrapped_primary_ephemeral, primary_identity: self.identity_public() })
    }

    /// Opens the companion's key bundle; the ADV secret that comes out goes into [`Self::link`].
    /// The attempt is over afterwards, whether it succeeded or not.
    pub fn link_code_finish(
        &mut self,
        companion_identity: &[u8; 32],
        wrapped_key_bundle: &[u8],
    ) -> Result<[u8; 32], PhoneError> {
        let attempt = self.companions.link_code.take().ok_or(LinkCodeError::NotStarted)?;
        let identity = self.signal.identity();
        Ok(link_code::finish(&attempt, identity, companion_identity, wrapped_key_bundle)?)
    }
}
