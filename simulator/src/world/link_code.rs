//! Linking with an eight-character code instead of a camera. The server only relays: device and phone agree on a
//! secret with the code as password, then the pairing goes on as after a scan. Stanzas in, outputs out.
//!
//! Source: whatsapp-rust `pair_code.rs`, Baileys `socket.js` (`requestPairingCode`).

use rand::Rng;
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::account::{AccountError, valid_number};
use super::pairing::{Offered, Pairing, ScanError};
use super::{ConnectionId, Peer, Turn, World};
use crate::address::{DeviceId, server};
use crate::phone::PhoneError;
use crate::xml;

/// A link code that a device shows. The server does not know the code itself.
#[derive(Debug)]
pub struct LinkCode {
    number: String,
    wrapped_ephemeral: Vec<u8>,
    reference: Vec<u8>,
    pub(super) started_ms: u64,
    /// What the typed code has led to, once the device has finished its part.
    offered: Option<Offered>,
}

/// Why a typed code did not reach a device.
#[derive(Debug, thiserror::Error)]
pub enum LinkCodeError {
    /// Nothing waits for that number.
    #[error("no device shows a link code for {0}")]
    FindDevice(String),
    /// The phone does not exist.
    #[error(transparent)]
    FindPhone(#[from] AccountError),
    /// The phone could not use the code.
    #[error("type the code: {0}")]
    Type(#[from] PhoneError),
}

impl World {
    /// The device shows a code for a number.
    pub(crate) fn link_code_hello(&mut self, turn: &mut Turn<'_>, connection: ConnectionId, iq: &Node) {
        let request = iq.get_optional_child("link_code_companion_reg");
        let number =
            request.and_then(|node| xml::jid(node, "jid")).and_then(|jid| valid_number(&jid.user).ok());
        let wrapped = request
            .and_then(|node| xml::bytes_at(node, &["link_code_pairing_wrapped_companion_ephemeral_pub"]));
        let (Some(number), Some(wrapped_ephemeral)) = (number, wrapped) else {
            let refusal = xml::error(iq, 400, "bad-request");
            self.send(turn, connection, refusal);
            return;
        };
        let mut reference = vec![0_u8; 16];
        turn.rng.fill_bytes(&mut reference);
        if let Some(pairing) = self.pairing_mut(connection) {
            pairing.failure = None;
            pairing.link_code = Some(LinkCode {
                number,
                wrapped_ephemeral,
                reference: reference.clone(),
                started_ms: turn.now_ms,
                offered: None,
            });
        }
        let answer = NodeBuilder::new("link_code_companion_reg")
            .attr("stage", "companion_hello")
            .children([xml::leaf("link_code_pairing_ref", reference)])
            .build();
        self.send(turn, connection, xml::result(iq, vec![answer]));
    }

    /// A person types the code into the phone. Returns the connection that showed one for this number.
    pub fn type_link_code(
        &mut self,
        turn: &mut Turn<'_>,
        number: &str,
        code: &str,
    ) -> Result<ConnectionId, LinkCodeError> {
        self.account(number)?;
        let (connection, wrapped, reference) = self
            .pairings()
            .filter_map(|(connection, pairing)| Some((connection, pairing.link_code.as_ref()?)))
            .filter(|(_, shown)| shown.number == number)
            .max_by_key(|(_, shown)| shown.started_ms)
            .map(|(connection, shown)| (connection, shown.wrapped_ephemeral.clone(), shown.reference.clone()))
            .ok_or_else(|| LinkCodeError::FindDevice(number.to_owned()))?;
        let phone = &mut self.account_mut(number)?.phone;
        let hello = phone.link_code_hello(code, &wrapped, turn.rng)?;
        let reg = NodeBuilder::new("link_code_companion_reg")
            .attr("stage", "primary_hello")
            .children([
                xml::leaf("link_code_pairing_wrapped_primary_ephemeral_pub", hello.wrapped_primary_ephemeral),
                xml::leaf("primary_identity_pub", hello.primary_identity),
                xml::leaf("link_code_pairing_ref", reference),
            ])
            .build();
        let notification = NodeBuilder::new("notification")
            .attr("from", server())
            .attr("type", "link_code_companion_reg")
            .attr("id", self.next_id())
            .attr("t", turn.now_secs())
            .children([reg])
            .build();
        if let Some(pairing) = self.pairing_mut(connection) {
            pairing.failure = None;
        }
        self.send(turn, connection, notification);
        Ok(connection)
    }

    /// The device has sent its half; the phone opens it and, if the code was right, grants access.
    pub(crate) fn link_code_finish(&mut self, turn: &mut Turn<'_>, connection: ConnectionId, iq: &Node) {
        self.send(turn, connection, xml::result(iq, Vec::new()));
        let outcome = self.open_key_bundle(turn, connection, iq);
        let Some(pairing) = self.pairing_mut(connection) else {
            return;
        };
        match outcome {
            Ok(offered) => {
                if let Some(code) = &mut pairing.link_code {
                    code.offered = Some(offered);
                }
            }
            Err(error) => pairing.failure = Some(error.to_string()),
        }
    }

    fn open_key_bundle(
        &mut self,
        turn: &mut Turn<'_>,
        connection: ConnectionId,
        iq: &Node,
    ) -> Result<Offered, ScanError> {
        let path = |leaf| ["link_code_companion_reg", leaf];
        let identity = xml::array_at::<32>(iq, &path("companion_identity_public"));
        let bundle = xml::bytes_at(iq, &path("link_code_pairing_wrapped_key_bundle"));
        let reference = xml::bytes_at(iq, &path("link_code_pairing_ref"));
        let shown = self
            .pairing_mut(connection)
            .and_then(|pairing| pairing.link_code.as_ref())
            .filter(|shown| Some(&shown.reference) == reference.as_ref());
        let (Some(identity), Some(bundle), Some(shown)) = (identity, bundle, shown) else {
            return Err(ScanError::FindReference);
        };
        let number = shown.number.clone();
        let phone = &mut self.account_mut(&number)?.phone;
        let adv_secret = phone.link_code_finish(&identity, &bundle)?;
        self.offer(turn, connection, &number, &adv_secret)
    }

    /// What a typed code has led to so far: the device, or why it failed. Linking ends the connection, maybe before
    /// whoever waits has looked, so the account is asked about a connection that is gone.
    pub fn link_code_outcome(
        &self,
        number: &str,
        connection: ConnectionId,
    ) -> Result<Option<Offered>, String> {
        match self.connections.get(&connection) {
            Some(Peer::Pairing(pairing)) => match (&pairing.failure, &pairing.link_code) {
                (Some(failure), _) => Err(failure.clone()),
                (None, Some(code)) => Ok(code.offered.clone()),
                (None, None) => Ok(None),
            },
            Some(Peer::Device(_)) | None => match self.linked_on(number, connection) {
                Some(id) => Ok(Some(Offered { connection, id })),
                None => Err("the device hung up".to_owned()),
            },
        }
    }

    fn linked_on(&self, number: &str, connection: ConnectionId) -> Option<DeviceId> {
        let devices = &self.accounts.get(number)?.devices;
        let (&device, _) = devices.iter().find(|(_, device)| device.linked_on == Some(connection))?;
        Some(DeviceId::new(number, device))
    }

    fn pairing_mut(&mut self, connection: ConnectionId) -> Option<&mut Pairing> {
        match self.connections.get_mut(&connection)? {
            Peer::Pairing(pairing) => Some(pairing),
            Peer::Device(_) => None,
        }
    }
}
