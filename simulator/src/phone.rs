//! A person's phone: device 0 of a WhatsApp account, with a real Signal identity.
//!
//! In: stanzas and bytes as WhatsApp's server would deliver them, with the time and randomness as arguments.
//! Out: stanzas and bytes as a phone would send them, and an inbox of what the person has read.
//! No sockets, no clock, nothing async. It uses libsignal for the ratchet and nothing else of the client
//! under test: ADV, link codes, padding and retries are written from the wire format, so that a bug
//! of the client cannot cancel itself out here.

mod adv;
mod link_code;
mod pairing;
mod signal;

use rand::CryptoRng;
use serde::{Deserialize, Serialize};
use wacore_libsignal::protocol::SignalProtocolError;

pub use self::adv::AdvError;
pub use self::link_code::{LinkCodeError, LinkCodeHello};
pub use self::pairing::DeviceGrant;
pub use self::signal::Bundle as PreKeyBundle;

use self::pairing::Companions;
use self::signal::SignalState;

/// A person's phone.
#[derive(Serialize, Deserialize)]
pub struct Phone {
    number: String,
    lid: String,
    name: String,
    signal: SignalState,
    companions: Companions,
}

/// The two address spaces of a person: by phone number, or by the number-free id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AddressServer {
    /// `number@s.whatsapp.net`.
    Pn,
    /// `lid@lid`.
    Lid,
}

impl AddressServer {
    /// The part after the `@`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pn => "s.whatsapp.net",
            Self::Lid => "lid",
        }
    }
}

/// One device of one account, as sessions are kept: per address on the wire.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DeviceAddress {
    /// Digits.
    pub user: String,
    /// Which address space `user` belongs to.
    pub server: AddressServer,
    /// 0 is the phone itself.
    pub device: u16,
}

/// Why the phone could not do something.
#[derive(Debug, thiserror::Error)]
pub enum PhoneError {
    /// `link` of a device id that is in use (or 0, the phone itself).
    #[error("device {0} is already linked; unlink it first or take another id")]
    DeviceTaken(u16),
    /// `confirm_link` of a device that was never granted.
    #[error("device {0} was not granted; scan its code first")]
    NotLinked(u16),
    /// The countersigned identity is about something else than what was granted.
    #[error("device {0} signed other details than those it was granted")]
    OtherDetails(u16),
    /// A device's papers are wrong.
    #[error("verify a device identity: {0}")]
    DeviceIdentity(#[from] AdvError),
    /// Linking by code failed.
    #[error("link by code: {0}")]
    LinkCode(#[from] LinkCodeError),
    /// libsignal refused.
    #[error("signal: {0}")]
    Signal(#[from] SignalProtocolError),
    /// libsignal wanted to wait, which an in-memory store never makes it do.
    #[error("signal: an operation on the phone's memory did not finish at once")]
    Waiting,
}

impl Phone {
    /// A new phone with a fresh identity. `number` and `lid` are digits.
    pub fn new(number: &str, lid: &str, name: &str, rng: &mut impl CryptoRng) -> Self {
        Self {
            number: number.to_owned(),
            lid: lid.to_owned(),
            name: name.to_owned(),
            signal: SignalState::new(rng),
            companions: Companions::new(rng),
        }
    }

    /// The phone number: digits.
    pub fn number(&self) -> &str {
        &self.number
    }

    /// The account's LID: digits.
    pub fn lid(&self) -> &str {
        &self.lid
    }

    /// The push name that others see.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The account's identity key: device 0's, which signs for all companions.
    pub fn identity_public(&self) -> [u8; 32] {
        signal::raw(&self.signal.identity().public_key)
    }

    /// Device 0's Signal registration id.
    pub fn registration_id(&self) -> u32 {
        self.signal.registration_id()
    }

    /// Device 0's keys for `encrypt get <key>`; the one-time prekey is another one each time.
    pub fn next_bundle(&mut self, rng: &mut impl CryptoRng) -> PreKeyBundle {
        self.signal.next_bundle(rng)
    }

    /// Whether a Signal session with this device exists.
    pub fn has_session(&self, device: &DeviceAddress) -> bool {
        self.signal.has_session(device)
    }

    /// A device of this account, in both address spaces.
    fn own_addresses(&self, device: u16) -> [DeviceAddress; 2] {
        [(&self.number, AddressServer::Pn), (&self.lid, AddressServer::Lid)]
            .map(|(user, server)| DeviceAddress { user: user.clone(), server, device })
    }
}
