//! Who hears that an account's list of devices changed: its own devices, and those of everybody it writes with
//! or shares a group with, who would otherwise go on encrypting for the old list. A change in, notifications out.
//!
//! Source: whatsapp-rust `stanza/devices.rs`, whatsmeow `notification.go` (`handleDeviceNotification`).

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use sha2::{Digest, Sha256};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use super::{Turn, World};
use crate::address::{DeviceId, Namespace};

/// What happened to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Linked,
    Unlinked,
}

/// WhatsApp's hash over a set of devices.
pub(crate) fn participant_hash(devices: impl Iterator<Item = Jid>) -> String {
    let mut names: Vec<String> = devices.map(|jid| jid.to_phash_form_string()).collect();
    names.sort_unstable();
    let hash = Sha256::digest(names.concat());
    format!("2:{}", STANDARD_NO_PAD.encode(&hash[..6]))
}

impl World {
    /// Two accounts write with each other: each hears from then on when the other's devices change.
    pub(crate) fn acquaint(&mut self, one: &str, other: &str) {
        for (of, peer) in [(one, other), (other, one)] {
            if let Some(account) = self.accounts.get_mut(of)
                && of != peer
                && !account.peers.contains(peer)
            {
                account.peers.insert(peer.to_owned());
            }
        }
    }

    /// Tells everybody concerned that `id` was linked or unlinked.
    pub(crate) fn announce_devices(&mut self, turn: &mut Turn<'_>, id: &DeviceId, change: Change) {
        let own = self.own_list(&id.number);
        let news = self.news(turn, id, change);
        let others = self.acquaintances(&id.number).into_iter().map(|peer| (peer, &news, "devices"));
        let all: Vec<_> = std::iter::once((id.number.clone(), &own, "account_sync")).chain(others).collect();
        for (number, content, kind) in all {
            for target in self.devices_of(&number) {
                if !target.is_phone() {
                    let notification = self.notification(turn, &id.number, kind, content.clone());
                    self.deliver(turn, None, &target, notification);
                }
            }
        }
    }

    /// Everybody who encrypts for the account: those it writes with and those it shares a group with.
    fn acquaintances(&self, number: &str) -> BTreeSet<String> {
        let mut peers = self.accounts.get(number).map(|account| account.peers.clone()).unwrap_or_default();
        for group in self.groups().filter(|group| group.has(number)) {
            peers.extend(group.members.keys().cloned());
        }
        peers.remove(number);
        peers
    }

    fn notification(&mut self, turn: &Turn<'_>, about: &str, kind: &'static str, content: Node) -> Node {
        NodeBuilder::new("notification")
            .attr("from", self.user_jid(about, Namespace::Pn))
            .attr("lid", self.user_jid(about, Namespace::Lid))
            .attr("type", kind)
            .attr("id", self.next_id())
            .attr("t", turn.now_secs())
            .children([content])
            .build()
    }

    /// The whole list, for the account's own devices.
    fn own_list(&self, number: &str) -> Node {
        let devices: Vec<Node> = self
            .devices_of(number)
            .iter()
            .map(|id| {
                let device = NodeBuilder::new("device").attr("jid", self.jid(id, Namespace::Pn));
                match self.device(id) {
                    Some(known) => device.attr("key-index", known.key_index).build(),
                    None => device.build(),
                }
            })
            .collect();
        NodeBuilder::new("devices")
            .attr("dhash", self.list_hash(number, Namespace::Pn))
            .children(devices)
            .build()
    }

    /// The one change, for others.
    fn news(&self, turn: &Turn<'_>, id: &DeviceId, change: Change) -> Node {
        let mut device = NodeBuilder::new("device")
            .attr("jid", self.jid(id, Namespace::Pn))
            .attr("lid", self.jid(id, Namespace::Lid));
        if let Some(known) = self.device(id) {
            device = device.attr("key-index", known.key_index);
        }
        let now = turn.now_secs();
        let signed = self.accounts.get(&id.number).map(|account| account.phone.key_index_list(now));
        let mut list = NodeBuilder::new("key-index-list").attr("ts", now);
        if let (Change::Linked, Some(signed)) = (change, signed) {
            list = list.bytes(signed);
        }
        let tag = match change {
            Change::Linked => "add",
            Change::Unlinked => "remove",
        };
        NodeBuilder::new(tag)
            .attr("device_hash", self.list_hash(&id.number, Namespace::Pn))
            .attr("device_lid_hash", self.list_hash(&id.number, Namespace::Lid))
            .children([device.build(), list.build()])
            .build()
    }

    fn list_hash(&self, number: &str, namespace: Namespace) -> String {
        let devices = self.devices_of(number);
        participant_hash(devices.iter().map(|id| self.jid(id, namespace)))
    }
}
