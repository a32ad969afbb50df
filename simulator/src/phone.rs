//! A person's phone: device 0 of a WhatsApp account, with a real Signal identity.
//!
//! In: stanzas and bytes as WhatsApp's server would deliver them, with the time and randomness as arguments.
//! Out: stanzas and bytes as a phone would send them, and an inbox of what the person has read.
//! No sockets, no clock, nothing async. It uses libsignal for the ratchet and nothing else of the client
//! under test: ADV, link codes, padding and retries are written from the wire format, so that a bug
//! of the client cannot cancel itself out here.

mod address;
mod adv;
mod content;
mod group;
mod inbox;
mod json;
mod link_code;
mod media;
mod outbox;
mod pairing;
mod receipts;
mod receive;
mod retry;
mod send;
mod signal;
mod stanza;
#[cfg(test)]
mod tests;

use rand::CryptoRng;
use serde::{Deserialize, Serialize};
use wacore_libsignal::protocol::SignalProtocolError;

pub use self::address::{AddressServer, DeviceAddress};
pub use self::adv::AdvError;
pub use self::group::GroupOutgoing;
pub use self::inbox::{EntryMedia, EntryStatus, InboxEntry};
pub use self::json::{JsonError, read_message};
pub use self::link_code::{LinkCodeError, LinkCodeHello};
pub use self::media::{
    Attachment, FetchFile, MediaKind, NewMedia, OpenError, SealedMedia, seal as seal_media,
};
pub use self::pairing::DeviceGrant;
pub use self::send::Outgoing;
pub use self::signal::Bundle as PreKeyBundle;

use self::address::People;
use self::group::KeyHolders;
use self::inbox::Inbox;
use self::outbox::Outbox;
use self::pairing::Companions;
use self::retry::Failures;
use self::send::AppStateKey;
use self::signal::SignalState;

/// A person's phone.
#[derive(Serialize, Deserialize)]
pub struct Phone {
    number: String,
    lid: String,
    name: String,
    signal: SignalState,
    companions: Companions,
    app_state_key: AppStateKey,
    people: People,
    inbox: Inbox,
    outbox: Outbox,
    failures: Failures,
    #[serde(default)]
    key_holders: KeyHolders,
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
    /// Neither a person nor a group.
    #[error("{0} is no address of a person or a group")]
    Recipient(String),
    /// No session, and no bundle to start one with.
    #[error("no session with {0}; give the device's prekey bundle")]
    NoSession(String),
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
        let mut people = People::default();
        people.learn(number, lid);
        Self {
            number: number.to_owned(),
            lid: lid.to_owned(),
            name: name.to_owned(),
            signal: SignalState::new(rng),
            companions: Companions::new(rng),
            app_state_key: AppStateKey::new(rng),
            people,
            inbox: Inbox::default(),
            outbox: Outbox::default(),
            failures: Failures::default(),
            key_holders: KeyHolders::default(),
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

    /// Whether a Signal session with this device exists, under this address or the person's other one.
    pub fn has_session(&self, device: &DeviceAddress) -> bool {
        self.session_address(device).is_some()
    }

    /// Tells the phone which number and LID belong to the same person. It also learns this from stanzas.
    pub fn meet(&mut self, number: &str, lid: &str) {
        self.people.learn(number, lid);
    }

    /// Inbox entries after `since` (0 for all that are kept), oldest first.
    pub fn inbox(&self, since: u64) -> &[InboxEntry] {
        self.inbox.since(since)
    }

    /// Whether messages wait for their files.
    pub fn waits_for_files(&self) -> bool {
        self.inbox.waits_for_files()
    }

    /// Fetches the files of messages that came in, as phones do by themselves, and decrypts them.
    pub fn open_files(&mut self, fetch: &mut FetchFile<'_>) {
        self.inbox.open_files(fetch);
    }

    /// The file of an inbox entry.
    pub fn attachment(&self, seq: u64) -> Option<&Attachment> {
        self.inbox.attachment(seq)
    }

    fn is_own(&self, address: &DeviceAddress) -> bool {
        address.user
            == *match address.server {
                AddressServer::Pn => &self.number,
                AddressServer::Lid => &self.lid,
            }
    }

    /// A device of this account, in both address spaces.
    fn own_addresses(&self, device: u16) -> [DeviceAddress; 2] {
        [(&self.number, AddressServer::Pn), (&self.lid, AddressServer::Lid)]
            .map(|(user, server)| DeviceAddress { user: user.clone(), server, device })
    }
}
