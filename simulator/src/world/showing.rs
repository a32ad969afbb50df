//! A device that shows a code: the references of its QR code, which one is valid now, and what happens when they run
//! out. Inputs in, outputs out. Source: whatsapp-rust `pair.rs`, Baileys `socket.js`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use buffa::Message;
use rand::Rng;
use wacore_binary::builder::NodeBuilder;
use waproto::whatsapp::{ClientPayload, DeviceProps};

use super::pairing::{Pairing, ScanError};
use super::{ConnectionId, Output, Peer, Timing, Turn, World, qr};
use crate::xml;

const REFERENCES: u64 = 6;
/// A code is accepted a little longer than it is shown, so that whoever scans at the last moment succeeds: half of one
/// reference's time, which is WhatsApp's 10 s at WhatsApp's timing.
const GRACE_SHARE: u64 = 2;
/// A link code is valid this long, so a connection that shows one stays open.
const LINK_CODE_MS: u64 = 180_000;
/// A device that was offered its papers signs them at once or never.
const OFFER_MS: u64 = 20_000;

impl World {
    pub(super) fn start_pairing(
        &mut self,
        turn: &mut Turn<'_>,
        connection: ConnectionId,
        noise: [u8; 32],
        payload: &ClientPayload,
    ) {
        let references: Vec<String> = (0..REFERENCES).map(|_| reference(turn)).collect();
        let shown: Vec<_> = references.iter().map(|text| xml::leaf("ref", text.as_bytes())).collect();
        let Some(pairing) = Pairing::read(noise, payload, references, turn.now_ms) else {
            return self.hang_up(turn, connection);
        };
        self.connections.insert(connection, Peer::Pairing(Box::new(pairing)));
        let iq = self
            .server_iq("set")
            .attr("xmlns", "md")
            .children([NodeBuilder::new("pair-device").children(shown).build()])
            .build();
        self.send(turn, connection, iq);
    }

    /// The name that the device behind a QR code announces for its person.
    pub fn announced_name(&self, code: &str) -> Option<String> {
        let code = qr::read(code)?;
        self.pairings()
            .find(|(_, pairing)| pairing.references.contains(&code.reference))
            .and_then(|(_, pairing)| pairing.push_name.clone())
    }

    /// The connection that shows a QR code now, and the secret in the code.
    pub fn find_code(&self, now_ms: u64, code: &str) -> Result<(ConnectionId, [u8; 32]), ScanError> {
        let code = qr::read(code).ok_or(ScanError::ReadCode)?;
        let timing = self.timing;
        let (connection, pairing) = self
            .pairings()
            .find(|(_, pairing)| {
                pairing.references.iter().zip(0..).any(|(text, index)| {
                    *text == code.reference && now_ms <= pairing.started_ms + shown_until(timing, index)
                })
            })
            .ok_or(ScanError::FindReference)?;
        if pairing.noise != code.noise || pairing.identity != code.identity {
            return Err(ScanError::CompareKeys);
        }
        Ok((connection, code.adv_secret))
    }

    /// Takes back offers that were not answered and hangs up on devices whose codes have run out.
    pub(super) fn expire_pairings(&mut self, turn: &mut Turn<'_>) {
        let (timing, now_ms) = (self.timing, turn.now_ms);
        let mut refused = Vec::new();
        let mut expired = Vec::new();
        for (connection, peer) in &mut self.connections {
            let Peer::Pairing(pairing) = peer else { continue };
            if let Some(offer) = pairing.offer.take_if(|offer| now_ms > offer.made_ms + OFFER_MS) {
                pairing.failure = Some("the device did not sign its papers".to_owned());
                refused.push(offer.id);
            }
            if pairing.offer.is_none() && now_ms > pairing.until_ms(timing) {
                expired.push(*connection);
            }
        }
        for id in refused {
            self.remove_device(&id);
        }
        for connection in expired {
            self.disconnected(turn, connection);
            turn.outputs.push(Output::Close { connection, linger: false });
        }
    }
}

impl Pairing {
    /// What a device says about itself; nothing without an identity key.
    fn read(
        noise: [u8; 32],
        payload: &ClientPayload,
        references: Vec<String>,
        started_ms: u64,
    ) -> Option<Self> {
        let data = payload.device_pairing_data.as_option()?;
        let props = data
            .device_props
            .as_deref()
            .and_then(|props| DeviceProps::decode_from_slice(props).ok())
            .unwrap_or_default();
        Some(Self {
            noise,
            identity: data.e_ident.as_deref()?.try_into().ok()?,
            name: props.os.unwrap_or_else(|| "Unknown device".to_owned()),
            platform: props.platform_type.map_or_else(|| "UNKNOWN".to_owned(), |kind| format!("{kind:?}")),
            push_name: payload.push_name.clone(),
            references,
            started_ms,
            link_code: None,
            offer: None,
            failure: None,
        })
    }

    /// When nothing that it shows is valid any more.
    fn until_ms(&self, timing: Timing) -> u64 {
        let codes = self.started_ms + shown_until(timing, REFERENCES - 1);
        let link_code = self.link_code.as_ref().map_or(0, |code| code.started_ms + LINK_CODE_MS);
        codes.max(link_code)
    }
}

fn shown_until(timing: Timing, index: u64) -> u64 {
    timing.qr_first_ms + index * timing.qr_next_ms + timing.qr_next_ms / GRACE_SHARE
}

fn reference(turn: &mut Turn<'_>) -> String {
    let mut bytes = [0_u8; 24];
    turn.rng.fill_bytes(&mut bytes);
    format!("2@{}", URL_SAFE_NO_PAD.encode(bytes))
}
