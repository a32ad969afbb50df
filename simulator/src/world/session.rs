//! Logging in, being replaced, and being unlinked. A client's payload or a command in, outputs out.

use std::collections::BTreeSet;

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;
use waproto::whatsapp::ClientPayload;

use super::account::AccountError;
use super::devices::Change;
use super::{ConnectionId, Link, Peer, Turn, World};
use crate::address::{DeviceId, Namespace};
use crate::faults::LoginRefusal;

/// WhatsApp's reason for "you are not linked any more".
const UNAUTHORIZED: u16 = 401;
/// How often the server pings a device.
const PING_EVERY_MS: u64 = 60_000;
/// WhatsApp's reason for a banned account, and what it is told about it unless the fault says: sent to too many people.
const BANNED: u16 = 402;
const BAN_CAUSE: u16 = 101;
const BAN_SECS: u32 = 3_600;
/// WhatsApp's reason for a payload that names no device.
const BAD_PAYLOAD: u16 = 400;

/// Why a device could not be unlinked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnlinkError {
    /// No such phone.
    #[error(transparent)]
    FindPhone(#[from] AccountError),
    /// The phone has no such device.
    #[error("the phone {0} has no linked device {1}")]
    NoDevice(String, u16),
}

impl World {
    /// A client has finished the handshake: it wants to pair or to log in.
    pub fn connected(
        &mut self,
        turn: &mut Turn<'_>,
        connection: ConnectionId,
        client_static: [u8; 32],
        payload: &ClientPayload,
    ) {
        if payload.device_pairing_data.is_set() {
            self.start_pairing(turn, connection, client_static, payload);
            return;
        }
        match self.admit(client_static, payload) {
            Ok(id) => self.log_in(turn, connection, id, payload),
            Err(refusal) => self.refuse(turn, connection, refusal),
        }
    }

    /// Decides whether a login is accepted: the static key must be the device's.
    fn admit(&mut self, client_static: [u8; 32], payload: &ClientPayload) -> Result<DeviceId, LoginRefusal> {
        let (Some(username), Some(device)) = (payload.username, payload.device) else {
            return Err(BAD_PAYLOAD.into());
        };
        let device = u16::try_from(device).map_err(|_| BAD_PAYLOAD)?;
        let id = DeviceId::new(username.to_string(), device);
        if let Some(refusal) = self.faults.refuse_login(&id) {
            return Err(refusal);
        }
        match self.device(&id) {
            Some(device) if device.noise == client_static => Ok(id),
            Some(_) | None => Err(UNAUTHORIZED.into()),
        }
    }

    fn refuse(&mut self, turn: &mut Turn<'_>, connection: ConnectionId, refusal: LoginRefusal) {
        let mut failure = NodeBuilder::new("failure")
            .attr("reason", refusal.reason)
            .attr("location", "sim")
            .attr("t", turn.now_secs());
        if refusal.reason == BANNED {
            failure = failure
                .attr("code", refusal.code.unwrap_or(BAN_CAUSE))
                .attr("expire", refusal.expire.unwrap_or(BAN_SECS));
        }
        self.counters.refused_login();
        self.send(turn, connection, failure.build());
        self.hang_up(turn, connection);
    }

    fn log_in(
        &mut self,
        turn: &mut Turn<'_>,
        connection: ConnectionId,
        id: DeviceId,
        payload: &ClientPayload,
    ) {
        if let Some(&older) = self.online.get(&id) {
            self.send(turn, older, conflict("replaced", None));
            self.hang_up(turn, older);
        }
        if let Some(device) = self.device_mut(&id) {
            device.knows_lids = payload.lid_db_migrated.is_some();
            if let Some(name) = &payload.push_name {
                device.push_name = Some(name.clone());
            }
        }
        let success = NodeBuilder::new("success")
            .attr("t", turn.now_secs())
            .attr("lid", self.jid(&id, Namespace::Lid))
            .attr("location", "sim")
            .attr("props", "27")
            .attr("abprops", "1")
            .attr("creation", turn.now_secs())
            .build();
        let link = Link {
            id: id.clone(),
            active: false,
            available: false,
            pinged_ms: turn.now_ms,
            follows: BTreeSet::new(),
        };
        self.connections.insert(connection, Peer::Device(link));
        self.online.insert(id, connection);
        self.send(turn, connection, success);
    }

    /// Pings the devices whose turn it is; what they answer is accepted and not waited for.
    pub(super) fn ping(&mut self, turn: &mut Turn<'_>) {
        let due: Vec<ConnectionId> = self
            .connections
            .iter_mut()
            .filter_map(|(connection, peer)| match peer {
                Peer::Device(link) if turn.now_ms >= link.pinged_ms + PING_EVERY_MS => {
                    link.pinged_ms = turn.now_ms;
                    Some(*connection)
                }
                Peer::Device(_) | Peer::Pairing(_) => None,
            })
            .collect();
        for connection in due {
            let ping = self.server_iq("get").attr("xmlns", "urn:xmpp:ping").build();
            self.send(turn, connection, ping);
        }
    }

    /// The phone removes a device from its list.
    pub fn unlink(&mut self, turn: &mut Turn<'_>, id: &DeviceId) -> Result<(), UnlinkError> {
        self.account(&id.number)?;
        if self.device(id).is_none() {
            return Err(UnlinkError::NoDevice(id.number.clone(), id.device));
        }
        if let Some(&connection) = self.online.get(id) {
            let removed = conflict("device_removed", Some(UNAUTHORIZED));
            self.send(turn, connection, removed);
            self.hang_up(turn, connection);
        }
        self.remove_device(id);
        self.announce_devices(turn, id, Change::Unlinked);
        Ok(())
    }

    /// Forgets a device and what waited for it.
    pub(crate) fn remove_device(&mut self, id: &DeviceId) {
        if let Some(account) = self.accounts.get_mut(&id.number) {
            account.phone.unlink(id.device);
            account.devices.remove(&id.device);
        }
        self.sent.remove(id);
    }
}

/// The stream error that says who took the stream.
pub(crate) fn conflict(kind: &'static str, code: Option<u16>) -> Node {
    let mut error = NodeBuilder::new("stream:error");
    if let Some(code) = code {
        error = error.attr("code", code);
    }
    error.children([NodeBuilder::new("conflict").attr("type", kind).build()]).build()
}
