//! Linking a device: the references of its QR code, the scan by a phone, the device's signature, and `515`. Inputs
//! in, outputs out.
//!
//! Source: whatsapp-rust `pair.rs`, Baileys `socket.js`; see `link_code.rs` for the way without a camera.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use buffa::Message;
use rand::Rng;
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;
use waproto::whatsapp::{ClientPairingProps, ClientPayload, DeviceProps};

use super::account::{AccountError, Device};
use super::devices::Change;
use super::link_code::LinkCode;
use super::qr;
use super::queue::Queue;
use super::{ConnectionId, Peer, Turn, World};
use crate::address::{DeviceId, Namespace, server};
use crate::phone::PhoneError;
use crate::xml;

const REFERENCES: u64 = 6;
/// After the last reference the client may still be answering.
const GRACE_MS: u64 = 10_000;
/// A link code is valid this long, so a connection that shows one stays open.
const LINK_CODE_MS: u64 = 180_000;
/// Device numbers are one byte in a typed JID.
const MAX_DEVICE: u16 = 255;

/// A connection that wants to be linked.
#[derive(Debug)]
pub struct Pairing {
    noise: [u8; 32],
    identity: [u8; 32],
    name: String,
    platform: String,
    /// The name that the device announces for its person, if any.
    pub(super) push_name: Option<String>,
    references: Vec<String>,
    started_ms: u64,
    pub(super) link_code: Option<LinkCode>,
    offer: Option<Offer>,
    /// Why the last offer came to nothing.
    pub(super) failure: Option<String>,
}

#[derive(Debug)]
struct Offer {
    iq: String,
    id: DeviceId,
    key_index: u32,
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
    /// The phone refused.
    #[error("link the device: {0}")]
    Link(#[from] PhoneError),
}

impl World {
    pub(super) fn start_pairing(
        &mut self,
        turn: &mut Turn<'_>,
        connection: ConnectionId,
        noise: [u8; 32],
        payload: &ClientPayload,
    ) {
        let data = payload.device_pairing_data.as_option();
        let identity = data.and_then(|data| data.e_ident.as_deref()).and_then(|key| key.try_into().ok());
        let Some(identity) = identity else {
            self.hang_up(turn, connection);
            return;
        };
        let props = data
            .and_then(|data| data.device_props.as_deref())
            .and_then(|props| DeviceProps::decode_from_slice(props).ok())
            .unwrap_or_default();
        let references: Vec<String> = (0..REFERENCES).map(|_| reference(turn)).collect();
        let shown = references.iter().map(|text| xml::leaf("ref", text.as_bytes()));
        let iq = self
            .server_iq("set")
            .attr("xmlns", "md")
            .children([NodeBuilder::new("pair-device").children(shown).build()])
            .build();
        let pairing = Pairing {
            noise,
            identity,
            name: props.os.unwrap_or_else(|| "Unknown device".to_owned()),
            platform: props.platform_type.map_or_else(|| "UNKNOWN".to_owned(), |kind| format!("{kind:?}")),
            push_name: payload.push_name.clone(),
            references,
            started_ms: turn.now_ms,
            link_code: None,
            offer: None,
            failure: None,
        };
        self.connections.insert(connection, Peer::Pairing(Box::new(pairing)));
        self.send(turn, connection, iq);
    }

    /// The name that the device behind a QR code announces for its person.
    pub fn announced_name(&self, code: &str) -> Option<String> {
        let code = qr::read(code)?;
        self.pairings()
            .find(|(_, pairing)| pairing.references.contains(&code.reference))
            .and_then(|(_, pairing)| pairing.push_name.clone())
    }

    /// A phone scans a QR code.
    pub fn scan(&mut self, turn: &mut Turn<'_>, number: &str, code: &str) -> Result<Offered, ScanError> {
        let (connection, adv_secret) = self.find_code(turn.now_ms, code)?;
        self.offer(turn, connection, number, &adv_secret)
    }

    /// The connection that shows a QR code now, and the secret in the code.
    pub fn find_code(&self, now_ms: u64, code: &str) -> Result<(ConnectionId, [u8; 32]), ScanError> {
        let code = qr::read(code).ok_or(ScanError::ReadCode)?;
        let timing = self.timing;
        let (connection, pairing) = self
            .pairings()
            .find(|(_, pairing)| {
                pairing.references.iter().enumerate().any(|(index, text)| {
                    *text == code.reference && now_ms <= pairing.started_ms + shown_until(timing, index)
                })
            })
            .ok_or(ScanError::FindReference)?;
        if pairing.noise != code.noise || pairing.identity != code.identity {
            return Err(ScanError::CompareKeys);
        }
        Ok((connection, code.adv_secret))
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
        let now = turn.now_secs();
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
            pairing.offer = Some(Offer { iq, id: id.clone(), key_index: grant.key_index });
        }
        self.send(turn, connection, success);
        Ok(Offered { connection, id })
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

    pub(super) fn expire_pairings(&mut self, turn: &mut Turn<'_>) {
        let timing = self.timing;
        let last = usize::try_from(REFERENCES - 1).unwrap_or_default();
        let expired: Vec<ConnectionId> = self
            .pairings()
            .filter(|(_, pairing)| {
                let mut until = pairing.started_ms + shown_until(timing, last);
                if let Some(code) = &pairing.link_code {
                    until = until.max(code.started_ms + LINK_CODE_MS);
                }
                pairing.offer.is_none() && turn.now_ms > until
            })
            .map(|(connection, _)| connection)
            .collect();
        for connection in expired {
            self.hang_up(turn, connection);
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

fn shown_until(timing: super::Timing, index: usize) -> u64 {
    let index = u64::try_from(index).unwrap_or(REFERENCES);
    timing.qr_first_ms + index * timing.qr_next_ms + GRACE_MS
}

fn reference(turn: &mut Turn<'_>) -> String {
    let mut bytes = [0_u8; 24];
    turn.rng.fill_bytes(&mut bytes);
    format!("2@{}", URL_SAFE_NO_PAD.encode(bytes))
}
