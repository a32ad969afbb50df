//! Sending as device 0: one ciphertext per device, in one `<message>`.
//!
//! In: a message, the devices it goes to and bundles for those without a session. Out: the stanza.

use buffa::MessageField;
use rand::{CryptoRng, RngExt};
use serde::{Deserialize, Serialize};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, Server};
use wacore_libsignal::protocol::CiphertextMessageType;
use waproto::codec;
use waproto::whatsapp as wa;
use waproto::whatsapp::message::protocol_message::Type as ProtocolType;

use super::content::{self, Kind};
use super::inbox::{Arrival, EntryStatus};
use super::{DeviceAddress, Phone, PhoneError, PreKeyBundle, adv};

/// A message to send.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// The message id.
    pub id: String,
    /// A person (by number or LID) without a device.
    pub to: Jid,
    /// What is sent.
    pub message: wa::Message,
    /// Every device of the other side and every companion of this account, each with a bundle unless the
    /// phone has a session with it. Device 0 of this account is skipped.
    pub devices: Vec<(Jid, Option<PreKeyBundle>)>,
    /// Unix seconds.
    pub now_secs: u64,
}

/// The key that the account's devices encrypt their app state with.
#[derive(Serialize, Deserialize)]
pub(super) struct AppStateKey {
    id: Vec<u8>,
    key: [u8; 32],
    raw_id: u32,
}

impl AppStateKey {
    pub(super) fn new(rng: &mut impl CryptoRng) -> Self {
        // Two bytes for the device that made it (0) and four for the epoch.
        let epoch: u32 = rng.random_range(1..=0xffff);
        let id = [&[0, 0], epoch.to_be_bytes().as_slice()].concat();
        Self { id, key: rng.random(), raw_id: rng.next_u32() >> 1 }
    }

    fn share(&self, now_secs: u64) -> wa::Message {
        use wa::message::{
            AppStateSyncKey, AppStateSyncKeyData, AppStateSyncKeyFingerprint, AppStateSyncKeyId,
            AppStateSyncKeyShare, ProtocolMessage,
        };
        let fingerprint = AppStateSyncKeyFingerprint {
            raw_id: Some(self.raw_id),
            current_index: Some(0),
            device_indexes: vec![0],
        };
        let data = AppStateSyncKeyData {
            key_data: Some(self.key.to_vec()),
            fingerprint: MessageField::some(fingerprint),
            timestamp: Some(i64::try_from(now_secs.saturating_mul(1000)).unwrap_or(i64::MAX)),
        };
        let key = AppStateSyncKey {
            key_id: MessageField::some(AppStateSyncKeyId { key_id: Some(self.id.clone()) }),
            key_data: MessageField::some(data),
        };
        let protocol = ProtocolMessage {
            r#type: Some(ProtocolType::APP_STATE_SYNC_KEY_SHARE),
            app_state_sync_key_share: MessageField::some(AppStateSyncKeyShare { keys: vec![key] }),
            ..ProtocolMessage::default()
        };
        wa::Message { protocol_message: MessageField::some(protocol), ..wa::Message::default() }
    }
}

impl Phone {
    /// Encrypts a message for every device and shows it in the inbox as `fromMe`. The stanza is complete;
    /// the server fans `<participants>` out. Sessions that were started stay, even if it is never sent.
    pub fn compose(&mut self, outgoing: Outgoing, rng: &mut impl CryptoRng) -> Result<Node, PhoneError> {
        let Outgoing { id, to, message, devices, now_secs } = outgoing;
        if !matches!(to.server, Server::Pn | Server::Lid) {
            return Err(PhoneError::Recipient(to.to_string()));
        }
        let kind = content::kind(&message);
        let plain = codec::message_to_vec(&message);
        let wrapped = content::for_own_devices(&message, to.to_non_ad_string());
        let mut participants = Vec::with_capacity(devices.len());
        for (jid, bundle) in devices {
            let address = DeviceAddress::of(&jid).ok_or_else(|| PhoneError::Recipient(jid.to_string()))?;
            let own = self.is_own(&address);
            if own && address.device == 0 {
                continue;
            }
            self.ensure_session(&address, bundle.as_ref(), rng)?;
            let enc = self.seal(&address, if own { &wrapped } else { &plain }, kind, rng)?;
            participants.push(NodeBuilder::new("to").attr("jid", jid).children([enc.build()]).build());
        }
        self.outbox.keep(&id, to.to_non_ad_string(), plain, false);
        self.show_own(&id, &to, &message, now_secs);
        let builder = NodeBuilder::new("message").attr("to", to.to_non_ad()).attr("id", id);
        let participants = NodeBuilder::new("participants").children(participants).build();
        Ok(builder.attr("type", kind.stanza).children([participants]).build())
    }

    /// Gives a companion the account's app state key: a peer message, which nobody sees in a chat.
    #[expect(
        clippy::too_many_arguments,
        clippy::needless_pass_by_value,
        reason = "agreed with the server, which owns these values and has no other use for them"
    )]
    pub fn share_app_state_key(
        &mut self,
        device: Jid,
        bundle: Option<PreKeyBundle>,
        id: String,
        now_secs: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<Node, PhoneError> {
        let address = DeviceAddress::of(&device).ok_or_else(|| PhoneError::Recipient(device.to_string()))?;
        if !self.is_own(&address) || self.companions.identity(address.device).is_none() {
            return Err(PhoneError::NotLinked(address.device));
        }
        self.ensure_session(&address, bundle.as_ref(), rng)?;
        let encoded = codec::message_to_vec(&self.app_state_key.share(now_secs));
        let enc = self.seal(&address, &encoded, content::HOUSEKEEPING, rng)?.build();
        self.outbox.keep(&id, device.to_string(), encoded, true);
        let builder = NodeBuilder::new("message").attr("to", device).attr("id", id);
        Ok(builder.attr("type", "text").attr("category", "peer").children([enc]).build())
    }

    /// Starts a new session with a device from this bundle. What was sent under the one before can still be read, unless
    /// the device is another now.
    pub fn renew_session(
        &mut self,
        device: &DeviceAddress,
        bundle: &PreKeyBundle,
        rng: &mut impl CryptoRng,
    ) -> Result<(), PhoneError> {
        self.check_papers(device, &bundle.identity, bundle.device_identity.as_deref())?;
        let current = self.session_address(device);
        let same = |at: &DeviceAddress| self.signal.known_identity(at) == Some(bundle.identity);
        if let Some(address) = current.filter(same) {
            return self.signal.start_session(&address, bundle, rng);
        }
        for address in self.people.both(device) {
            self.signal.forget(&address);
        }
        self.signal.start_session(device, bundle, rng)
    }

    /// A session for sending: the one that exists, unless the bundle shows that the device is another now.
    pub(super) fn ensure_session(
        &mut self,
        device: &DeviceAddress,
        bundle: Option<&PreKeyBundle>,
        rng: &mut impl CryptoRng,
    ) -> Result<(), PhoneError> {
        let current = self.session_address(device);
        let identity = current.as_ref().and_then(|address| self.signal.known_identity(address));
        match (current, bundle) {
            (Some(_), None) => Ok(()),
            (Some(_), Some(bundle)) if identity == Some(bundle.identity) => Ok(()),
            (_, Some(bundle)) => self.renew_session(device, bundle, rng),
            (None, None) => Err(PhoneError::NoSession(device.jid().to_string())),
        }
    }

    /// Where the session with a device is: under its address, else under its alias.
    pub(super) fn session_address(&self, device: &DeviceAddress) -> Option<DeviceAddress> {
        self.people.both(device).into_iter().find(|address| self.signal.has_session(address))
    }

    /// Pads and encrypts an encoded message for one device: an `<enc>` to be finished.
    pub(super) fn seal(
        &mut self,
        device: &DeviceAddress,
        encoded: &[u8],
        kind: Kind,
        rng: &mut impl CryptoRng,
    ) -> Result<NodeBuilder, PhoneError> {
        let address = self.session_address(device).unwrap_or_else(|| device.clone());
        let ciphertext = self.signal.encrypt(&address, &content::pad(encoded.to_vec(), rng))?;
        let first = ciphertext.message_type() == CiphertextMessageType::PreKey;
        let mut enc =
            NodeBuilder::new("enc").attr("v", "2").attr("type", if first { "pkmsg" } else { "msg" });
        if let Some(media) = kind.media {
            enc = enc.attr("mediatype", media);
        }
        Ok(enc.bytes(ciphertext.serialize()))
    }

    /// Refuses a device whose identity its account did not sign.
    pub(super) fn check_papers(
        &self,
        device: &DeviceAddress,
        identity: &[u8; 32],
        papers: Option<&[u8]>,
    ) -> Result<(), PhoneError> {
        if device.device == 0 {
            return Ok(());
        }
        if self.is_own(device) {
            let linked = self.companions.identity(device.device) == Some(identity);
            return if linked { Ok(()) } else { Err(PhoneError::NotLinked(device.device)) };
        }
        let account = self.people.both(&device.primary()).iter().find_map(|a| self.signal.known_identity(a));
        let papers = papers.ok_or(adv::AdvError::Missing)?;
        adv::verify_device(papers, identity, account.as_ref())?;
        Ok(())
    }

    pub(super) fn show_own(&mut self, id: &str, to: &Jid, message: &wa::Message, now_secs: u64) {
        let own = Jid::pn(self.number.as_str());
        let arrival = Arrival {
            id: id.to_owned(),
            from: own.to_string(),
            lid: self.people.lid(&own),
            chat: self.people.shown(to),
            sender: own.to_string(),
            from_me: true,
            timestamp: now_secs,
            status: EntryStatus::Pending,
        };
        self.inbox.show(arrival, message);
    }
}
