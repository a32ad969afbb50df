//! Getting stanzas to devices: to a linked device through its queue, to a phone at once. Stanzas in, outputs out.

use wacore_binary::Node;

use super::{Output, Peer, Turn, World};
use crate::address::DeviceId;
use crate::faults::AckFate;
use crate::xml;

impl World {
    /// Delivers a stanza that must be acknowledged: it stays in the device's queue until it is.
    pub(crate) fn deliver(
        &mut self,
        turn: &mut Turn<'_>,
        sender: Option<&str>,
        target: &DeviceId,
        stanza: Node,
    ) {
        if target.is_phone() {
            turn.for_phones.push_back((target.number.clone(), stanza));
            return;
        }
        let Some(device) = self.device_mut(target) else {
            return;
        };
        device.queue.push(sender, stanza.clone());
        if !self.is_active(target) {
            return;
        }
        let fate = match xml::text(&stanza, "id") {
            Some(id) if stanza.tag == "receipt" => self.faults.hears(target, &id),
            Some(_) | None => AckFate::Send,
        };
        self.send_by_fate(turn, target, stanza, fate);
    }

    /// Sends now, late or not at all.
    pub(crate) fn send_by_fate(
        &mut self,
        turn: &mut Turn<'_>,
        target: &DeviceId,
        stanza: Node,
        fate: AckFate,
    ) {
        match (fate, self.online.get(target)) {
            (AckFate::Delay(delay_ms), Some(&connection)) => {
                turn.outputs.push(Output::SendLater { connection, stanza, delay_ms });
            }
            (AckFate::Send, _) => self.send_to(turn, target, stanza),
            (AckFate::Drop | AckFate::Refuse(_) | AckFate::Delay(_), _) => {}
        }
    }

    /// Delivers a stanza that is worth something only now (presence, typing).
    pub(crate) fn deliver_now(&mut self, turn: &mut Turn<'_>, target: &DeviceId, stanza: Node) {
        if !target.is_phone() && self.is_active(target) {
            self.send_to(turn, target, stanza);
        }
    }

    /// Whether a device takes stanzas as they come.
    pub(crate) fn is_active(&self, id: &DeviceId) -> bool {
        self.link(id).is_some_and(|link| link.active)
    }

    pub(crate) fn link(&self, id: &DeviceId) -> Option<&super::Link> {
        match self.connections.get(self.online.get(id)?)? {
            Peer::Device(link) => Some(link),
            Peer::Pairing(_) => None,
        }
    }

    pub(crate) fn link_mut(&mut self, id: &DeviceId) -> Option<&mut super::Link> {
        match self.connections.get_mut(self.online.get(id)?)? {
            Peer::Device(link) => Some(link),
            Peer::Pairing(_) => None,
        }
    }

    /// The name that a device's person chose, or the phone's.
    pub(crate) fn push_name(&self, id: &DeviceId) -> String {
        let chosen = self.device(id).and_then(|device| device.push_name.clone());
        chosen.unwrap_or_else(|| {
            self.accounts.get(&id.number).map(|account| account.phone.name().to_owned()).unwrap_or_default()
        })
    }
}
