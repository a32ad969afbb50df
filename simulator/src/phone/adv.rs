//! Account device verification (ADV): a phone's signatures over the devices that it has linked.
//!
//! In: key pairs, identities and protobuf bytes. Out: signed protobuf bytes, or a verdict on somebody else's.
//! Pure: no state, no clock, and no randomness either (a signature's nonce is derived from the signed text,
//! to which `XEdDSA` adds the private key). Written from the wire format, not from any client's code.
//!
//! Source: `WAAdv.proto`; prefixes `06 00` account, `06 01` device, `06 02` key index list.

use hmac::{Hmac, KeyInit, Mac};
use rand::SeedableRng;
use rand::rngs::StdRng;
use sha2::{Digest, Sha256};
use wacore_libsignal::protocol::{KeyPair, PublicKey};
use waproto::codec;
use waproto::whatsapp::{
    ADVDeviceIdentity, ADVEncryptionType, ADVKeyIndexList, ADVSignedDeviceIdentity,
    ADVSignedDeviceIdentityHMAC, ADVSignedKeyIndexList,
};

const ACCOUNT_SIGNATURE: [u8; 2] = [6, 0];
const DEVICE_SIGNATURE: [u8; 2] = [6, 1];
const KEY_INDEX_LIST: [u8; 2] = [6, 2];

/// Why a device's papers were refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AdvError {
    /// The bytes are no `ADVSignedDeviceIdentity`, or a required field is missing.
    #[error("the signed device identity cannot be read")]
    Unreadable,
    /// The blob names another account key than the one that is known for this account.
    #[error("the signed device identity names another account key than the account's own")]
    OtherAccount,
    /// Neither the blob nor the caller knows the account's key.
    #[error("the account's key is not known, so its signature cannot be checked")]
    NoAccountKey,
    /// A companion came without a signed device identity.
    #[error("the companion shows no signed device identity")]
    Missing,
    /// The account's signature over the device is wrong.
    #[error("the account's signature over the device is wrong")]
    AccountSignature,
    /// The device's own signature over the account is wrong.
    #[error("the device's signature over the account is wrong")]
    DeviceSignature,
    /// A signature could not be made with the account's key.
    #[error("the account's key cannot sign")]
    Signing,
    /// Protobuf encoding failed.
    #[error("the device identity cannot be encoded")]
    Encoding,
}

/// What goes into `ADVDeviceIdentity` and thus under the account's signature.
#[derive(Debug, Clone, Copy)]
pub(super) struct DeviceDetails {
    pub(super) raw_id: u32,
    /// Unix seconds.
    pub(super) timestamp: u64,
    pub(super) key_index: u32,
}

impl DeviceDetails {
    pub(super) fn encode(self) -> Vec<u8> {
        buffa::Message::encode_to_vec(&ADVDeviceIdentity {
            raw_id: Some(self.raw_id),
            timestamp: Some(self.timestamp),
            key_index: Some(self.key_index),
            account_type: Some(ADVEncryptionType::E2EE),
            device_type: Some(ADVEncryptionType::E2EE),
        })
    }
}

/// Signs `details` for a companion: an `ADVSignedDeviceIdentity` that still lacks the device's signature.
pub(super) fn sign_device(
    account: &KeyPair,
    details: Vec<u8>,
    companion: &[u8; 32],
) -> Result<Vec<u8>, AdvError> {
    let signature = sign(account, &[&ACCOUNT_SIGNATURE, &details, companion])?;
    Ok(codec::adv_signed_device_identity_to_vec(&ADVSignedDeviceIdentity {
        details: Some(details),
        account_signature_key: Some(account.public_key.public_key_bytes().to_vec()),
        account_signature: Some(signature),
        device_signature: None,
    }))
}

/// Wraps a signed identity for `pair-success`: `ADVSignedDeviceIdentityHMAC` under the companion's ADV secret.
pub(super) fn seal(signed_identity: Vec<u8>, adv_secret: &[u8; 32]) -> Result<Vec<u8>, AdvError> {
    let mut mac = Hmac::<Sha256>::new_from_slice(adv_secret).map_err(|_| AdvError::Encoding)?;
    mac.update(&signed_identity);
    Ok(buffa::Message::encode_to_vec(&ADVSignedDeviceIdentityHMAC {
        hmac: Some(mac.finalize().into_bytes().to_vec()),
        details: Some(signed_identity),
        account_type: Some(ADVEncryptionType::E2EE),
    }))
}

/// Checks both signatures of a companion's `ADVSignedDeviceIdentity` and returns it complete, that is with
/// the account's key (which clients may leave out, since it is the account's device 0 identity).
///
/// `account` is the account's key when it is known; without it the key inside the blob is taken.
pub(super) fn verify_device(
    blob: &[u8],
    companion: &[u8; 32],
    account: Option<&[u8; 32]>,
) -> Result<VerifiedDevice, AdvError> {
    let mut signed = codec::adv_signed_device_identity_decode(blob).map_err(|_| AdvError::Unreadable)?;
    let details = signed.details.clone().ok_or(AdvError::Unreadable)?;
    let account_key = account_key(&signed, account)?;
    let account_public = public(&account_key)?;
    let by_account = signed.account_signature.as_deref().ok_or(AdvError::Unreadable)?;
    let parts: [&[u8]; 3] = [&ACCOUNT_SIGNATURE, &details, companion];
    if !account_public.verify_signature_for_multipart_message(&parts, by_account) {
        return Err(AdvError::AccountSignature);
    }
    let by_device = signed.device_signature.as_deref().ok_or(AdvError::Unreadable)?;
    let parts: [&[u8]; 4] = [&DEVICE_SIGNATURE, &details, companion, &account_key];
    if !public(companion)?.verify_signature_for_multipart_message(&parts, by_device) {
        return Err(AdvError::DeviceSignature);
    }
    signed.account_signature_key = Some(account_key.to_vec());
    Ok(VerifiedDevice { details, blob: codec::adv_signed_device_identity_to_vec(&signed) })
}

/// A companion's identity whose two signatures are right.
#[derive(Debug)]
pub(super) struct VerifiedDevice {
    /// The encoded `ADVDeviceIdentity`.
    pub(super) details: Vec<u8>,
    /// The encoded `ADVSignedDeviceIdentity`, account key included.
    pub(super) blob: Vec<u8>,
}

/// The signed list of key indexes that are still linked: `ADVSignedKeyIndexList`, as usync carries it.
pub(super) fn key_index_list(
    account: &KeyPair,
    current: DeviceDetails,
    valid: Vec<u32>,
) -> Result<Vec<u8>, AdvError> {
    let details = codec::adv_key_index_list_to_vec(&ADVKeyIndexList {
        raw_id: Some(current.raw_id),
        timestamp: Some(current.timestamp),
        current_index: Some(current.key_index),
        valid_indexes: valid,
        account_type: Some(ADVEncryptionType::E2EE),
    });
    let signature = sign(account, &[&KEY_INDEX_LIST, &details])?;
    Ok(codec::adv_signed_key_index_list_to_vec(&ADVSignedKeyIndexList {
        details: Some(details),
        account_signature: Some(signature),
        account_signature_key: None,
    }))
}

fn account_key(signed: &ADVSignedDeviceIdentity, known: Option<&[u8; 32]>) -> Result<[u8; 32], AdvError> {
    let named = match signed.account_signature_key.as_deref() {
        None | Some([]) => None,
        Some(key) => Some(<[u8; 32]>::try_from(key).map_err(|_| AdvError::Unreadable)?),
    };
    match (named, known) {
        (Some(named), Some(known)) if named != *known => Err(AdvError::OtherAccount),
        (Some(key), _) => Ok(key),
        (None, Some(key)) => Ok(*key),
        (None, None) => Err(AdvError::NoAccountKey),
    }
}

fn public(key: &[u8; 32]) -> Result<PublicKey, AdvError> {
    PublicKey::from_djb_public_key_bytes(key).map_err(|_| AdvError::Unreadable)
}

fn sign(key: &KeyPair, parts: &[&[u8]]) -> Result<Vec<u8>, AdvError> {
    let text = parts.concat();
    let mut nonce = StdRng::from_seed(Sha256::digest(&text).into());
    key.calculate_signature(&text, &mut nonce).map(|s| s.to_vec()).map_err(|_| AdvError::Signing)
}
