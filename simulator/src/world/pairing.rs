//! Linking a device: a phone scans, the device countersigns its papers, and `515`. Inputs in, outputs out.
//!
//! `showing.rs` comes before it, `link_code.rs` is the way without a camera. Source: whatsapp-rust `pair.rs`.

use std::collections::BTreeMap;

use buffa::Message;
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;
use waproto::whatsapp::ClientPairingProps;

use super::account::{AccountError, Device};
use super::devices::Change;
use super::link_code::LinkCode;
use super::queue::Queue;
use super::{ConnectionId, Peer, Turn, World};
use crate::address::{DeviceId, Namespace, server};
use crate::phone::PhoneError;
use crate::xml;

/// Device numbers are one byte in a typed JID.
const MAX_DEVICE: u16 = 255;

/// A connection that wants to be linked.
#[derive(Debug)]
pub struct Pairing {
    pub(super) noise: [u8; 32],
    pub(super) identity: [u8; 32],
    pub(super) name: String,
    pub(super) platform: String,
    /// The name that the device announces for its person, if any.
    pub(super) push_name: Option<String>,
    pub(super) references: Vec<String>,
    pub(super) started_ms: u64,
    pub(super) link_code: Option<LinkCode>,
    pub(super) offer: Option<Offer>,
    /// Why the last offer came to nothing.
    pub(super) failure: Option<String>,
}

#[derive(Debug)]
pub(super) struct Offer {
    iq: String,
    pub(super) id: DeviceId,
    key_index: u32,
    /// Unix milliseconds.
    pub(super) made_ms: u64,
}

/// A device that was offered its papers; it exists once it has signed them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offered {
    /// The connection that it pairs on.
    pub connection: ConnectionId,
    /// The device.
    pub id: DeviceId,
}

/// Why a scan did not lead to an offer.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// The text is no QR code of WhatsApp's.
    #[error("this is not the text of a linking QR code: it needs ref,noise,identity,secret")]
    ReadCode,
    /// The reference is not, or no longer, valid.
    #[error("the QR code has run out or belongs to another server; show a fresh one")]
    FindReference,
    /// The keys in the code are not those of the connection.
    #[error("the QR code's keys are not those of the device that showed it")]
    CompareKeys,
    /// Another phone has scanned the code and the device is answering.
    #[error("the device is being linked already")]
    Busy,
    /// The phone does not exist.
    #[error(transparent)]
    FindPhone(#[from] AccountError),
    /// The phone cannot take more devices.
    #[error("the phone {0} has given out all device numbers")]
    TooMany(String),
    /// The account wants a passkey first; the device was told.
    #[error("the account demands a passkey: the device was told so and got no papers")]
    Passkey,
    /// The phone refused.
    #[error("link the device: {0}")]
    Link(#[from] PhoneError),
}

impl World {
    /// A phone scans a QR code.
    pub fn scan(&mut self, turn: &mut Turn<'_>, number: &str, code: &str) -> Result<Offered, ScanError> {
        let (connection, adv_secret) = self.find_code(turn.now_ms, code)?;
        if self.faults.demands_passkey(&DeviceId::new(number, 0)) {
            let demand = self.passkey_request();
            self.send(turn, connection, demand);
            return Err(ScanError::Passkey);
        }
        self.offer(turn, connection, number, &adv_secret)
    }

    /// Sends a device its papers.
    pub(super) fn offer(
        &mut self,
        turn: &mut Turn<'_>,
        connection: ConnectionId,
        number: &str,
        adv_secret: &[u8; 32],
    ) -> Result<Offered, ScanError> {
        let Some(Peer::Pairing(pairing)) = self.connections.get(&connection) else {
            return Err(ScanError::FindReference);
        };
        if pairing.offer.is_some() {
            return Err(ScanError::Busy);
        }
        let identity = pairing.identity;
        let (now, made_ms) = (turn.now_secs(), turn.now_ms);
        let account = self.account_mut(number)?;
        let last = account.last_device;
        let device = (last + 1..=MAX_DEVICE)
            .chain(1..=last)
            .find(|id| !account.devices.contains_key(id))
            .ok_or_else(|| ScanError::TooMany(number.to_owned()))?;
        let grant = account.phone.link(device, &identity, adv_secret, now)?;
        account.last_device = device;
        let id = DeviceId::new(number, device);
        let iq = self.next_id();
        let success = self.pair_success(&id, &iq, grant.device_identity);
        if let Some(Peer::Pairing(pairing)) = self.connections.get_mut(&connection) {
            pairing.failure = None;
            pairing.offer = Some(Offer { iq, id: id.clone(), key_index: grant.key_index, made_ms });
        }
        self.send(turn, connection, success);
        Ok(Offered { connection, id })
    }

    /// Source: whatsapp-rust `passkey/flow.rs`.
    fn passkey_request(&mut self) -> Node {
        let options = r#"{"challenge":"c2ltdWxhdG9y","rpId":"whatsapp.com","userVerification":"required"}"#;
        NodeBuilder::new("notification")
            .attr("from", server())
            .attr("type", "passkey_prologue_request")
            .attr("id", self.next_id())
            .children([xml::leaf("passkey_request_options", options)])
            .build()
    }

    fn pair_success(&self, id: &DeviceId, iq: &str, device_identity: Vec<u8>) -> Node {
        let name = self.push_name(&DeviceId::new(id.number.as_str(), 0));
        let props = ClientPairingProps { is_chat_db_lid_migrated: Some(true), ..Default::default() };
        let device = NodeBuilder::new("device")
            .attr("jid", self.jid(id, Namespace::Pn))
            .attr("lid", self.jid(id, Namespace::Lid))
            .build();
        let success = NodeBuilder::new("pair-success").children([
            xml::leaf("device-identity", device_identity),
            NodeBuilder::new("biz").attr("name", name).build(),
            NodeBuilder::new("platform").attr("name", "android").build(),
            device,
            xml::leaf("client-props", props.encode_to_vec()),
        ]);
        NodeBuilder::new("iq")
            .attr("from", server())
            .attr("type", "set")
            .attr("id", iq)
            .children([success.build()])
            .build()
    }

    /// The device answered the server's iq: with its signature, with an error, or just with "seen".
    pub(crate) fn pairing_answered(&mut self, turn: &mut Turn<'_>, connection: ConnectionId, answer: &Node) {
        let Some(Peer::Pairing(pairing)) = self.connections.get_mut(&connection) else {
            return;
        };
        let Some(offer) = pairing.offer.take_if(|offer| xml::is(answer, "id", &offer.iq)) else {
            return;
        };
        let signed = xml::bytes_at(answer, &["pair-device-sign", "device-identity"]);
        let Some(signed) = signed.filter(|_| xml::is(answer, "type", "result")) else {
            pairing.failure = Some("the device refused its papers".to_owned());
            self.remove_device(&offer.id);
            return;
        };
        match self.accept_signature(connection, &offer, &signed) {
            Ok(()) => self.finish_pairing(turn, connection, &offer.id),
            Err(error) => {
                self.remove_device(&offer.id);
                if let Some(Peer::Pairing(pairing)) = self.connections.get_mut(&connection) {
                    pairing.failure = Some(error.to_string());
                }
            }
        }
    }

    fn accept_signature(
        &mut self,
        connection: ConnectionId,
        offer: &Offer,
        signed: &[u8],
    ) -> Result<(), ScanError> {
        let Some(Peer::Pairing(pairing)) = self.connections.get(&connection) else {
            return Err(ScanError::FindReference);
        };
        let device = Device {
            name: pairing.name.clone(),
            platform: pairing.platform.clone(),
            noise: pairing.noise,
            key_index: offer.key_index,
            keys: None,
            queue: Queue::default(),
            push_name: pairing.push_name.clone(),
            told_low: false,
            has_app_state_key: false,
            knows_lids: false,
            speaks: BTreeMap::new(),
            linked_on: Some(connection),
        };
        let account = self.account_mut(&offer.id.number)?;
        account.phone.confirm_link(offer.id.device, signed)?;
        account.devices.insert(offer.id.device, device);
        Ok(())
    }

    /// The client must come back with a login: WhatsApp says so with `515` and hangs up.
    fn finish_pairing(&mut self, turn: &mut Turn<'_>, connection: ConnectionId, id: &DeviceId) {
        let restart = NodeBuilder::new("stream:error").attr("code", "515").build();
        self.send(turn, connection, restart);
        self.hang_up(turn, connection);
        self.announce_devices(turn, id, Change::Linked);
    }

    /// Why an offer came to nothing; `None` while it is open.
    pub fn offer_failure(&self, offered: &Offered) -> Option<String> {
        match self.connections.get(&offered.connection) {
            Some(Peer::Pairing(pairing)) => pairing.failure.clone(),
            Some(Peer::Device(_)) | None => Some("the device hung up".to_owned()),
        }
    }

    pub(super) fn pairings(&self) -> impl Iterator<Item = (ConnectionId, &Pairing)> {
        self.connections.iter().filter_map(|(connection, peer)| match peer {
            Peer::Pairing(pairing) => Some((*connection, pairing.as_ref())),
            Peer::Device(_) => None,
        })
    }

    /// An iq of the server's own.
    pub(crate) fn server_iq(&mut self, kind: &'static str) -> NodeBuilder {
        NodeBuilder::new("iq").attr("from", server()).attr("type", kind).attr("id", self.next_id())
    }
}
