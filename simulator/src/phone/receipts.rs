//! Receipts, acks and notifications: what the phone sends for messages, and what it learns from others'.
//!
//! In: envelopes and stanzas. Out: `<receipt>` and `<ack>`, and the status of own messages in the inbox.

use rand::CryptoRng;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use super::inbox::EntryStatus;
use super::receive::Envelope;
use super::stanza::{jid, text};
use super::{DeviceAddress, InboxEntry, Phone};

impl Phone {
    /// The person reads messages: one read receipt per conversation and writer. Own, unknown and
    /// already read ids are left out.
    pub fn read(&mut self, ids: &[String], now_secs: u64) -> Vec<Node> {
        let read = self.inbox.mark_read(ids);
        let mut groups: Vec<Vec<InboxEntry>> = Vec::new();
        for entry in read {
            match groups.iter_mut().find(|group| group[0].from == entry.from && group[0].chat == entry.chat) {
                Some(group) => group.push(entry),
                None => groups.push(vec![entry]),
            }
        }
        groups.iter().filter_map(|group| read_receipt(group, now_secs)).collect()
    }

    pub(super) fn receipt(&mut self, stanza: &Node, rng: &mut impl CryptoRng) -> Vec<Node> {
        let mut answers = vec![acknowledgement(stanza)];
        let status = match text(stanza, "type").as_deref() {
            Some("retry") => {
                answers.extend(self.resend(stanza, rng));
                return answers;
            }
            None | Some("inactive") => EntryStatus::Delivered,
            Some("read") => EntryStatus::Read,
            Some("played") => EntryStatus::Played,
            Some(_) => return answers,
        };
        let who = jid(stanza, "participant").or_else(|| jid(stanza, "from"));
        let own = who.and_then(|jid| DeviceAddress::of(&jid)).is_some_and(|a| self.is_own(&a));
        if !own {
            self.inbox.advance(&receipt_ids(stanza), status);
        }
        answers
    }

    pub(super) fn acknowledged(&mut self, stanza: &Node) {
        let Some(id) = text(stanza, "id") else { return };
        if text(stanza, "class").as_deref() == Some("message") {
            let refused = stanza.attrs.contains_key("error");
            self.inbox.advance(&[id], if refused { EntryStatus::Error } else { EntryStatus::Sent });
        }
    }

    /// A changed identity of somebody: the sessions with that device are of no use any more.
    pub(super) fn notified(&mut self, stanza: &Node) {
        let changed = text(stanza, "type").as_deref() == Some("encrypt")
            && stanza.get_optional_child("identity").is_some();
        let who = jid(stanza, "from").and_then(|jid| DeviceAddress::of(&jid)).filter(|_| changed);
        for address in who.iter().flat_map(|who| self.people.both(who)) {
            self.signal.forget(&address);
        }
    }
}

/// `<ack>` for a receipt, a notification, or a message that is none.
pub(super) fn acknowledgement(stanza: &Node) -> Node {
    let mut ack = NodeBuilder::new("ack").attr("class", stanza.tag.to_string());
    let copied = [("id", "id"), ("from", "to"), ("participant", "participant"), ("type", "type")];
    for (theirs, ours) in copied {
        if let Some(value) = stanza.attrs.get(theirs) {
            ack = ack.attr(ours, value.clone());
        }
    }
    ack.build()
}

/// `<receipt>` for a message that was read by the phone (not yet by the person).
pub(super) fn delivery_receipt(envelope: &Envelope) -> Node {
    let to = envelope.participant.as_ref().map_or_else(|| envelope.sender.jid(), |_| envelope.from.clone());
    let mut receipt = NodeBuilder::new("receipt").attr("to", to).attr("id", envelope.id.as_str());
    if let Some(participant) = &envelope.participant {
        receipt = receipt.attr("participant", participant);
    }
    if envelope.peer {
        receipt = receipt.attr("type", "peer_msg");
    } else if envelope.own {
        receipt = receipt.attr("type", "sender");
        if let Some(recipient) = &envelope.recipient {
            receipt = receipt.attr("recipient", recipient.to_non_ad());
        }
    }
    receipt.build()
}

fn read_receipt(entries: &[InboxEntry], now_secs: u64) -> Option<Node> {
    let (first, others) = entries.split_first()?;
    let sender: Jid = first.sender.parse().ok()?;
    let chat: Jid = first.chat.parse().ok()?;
    let group = DeviceAddress::of(&chat).is_none();
    let to = if group { chat } else { sender.to_non_ad() };
    let mut receipt = NodeBuilder::new("receipt")
        .attr("to", to)
        .attr("id", first.id.as_str())
        .attr("type", "read")
        .attr("t", now_secs);
    if group {
        receipt = receipt.attr("participant", sender.to_non_ad());
    }
    if !others.is_empty() {
        let items = others.iter().map(|e| NodeBuilder::new("item").attr("id", e.id.as_str()).build());
        receipt = receipt.children([NodeBuilder::new("list").children(items).build()]);
    }
    Some(receipt.build())
}

fn receipt_ids(stanza: &Node) -> Vec<String> {
    let list = stanza.get_optional_child("list");
    let items = list.into_iter().flat_map(|list| list.get_children_by_tag("item"));
    text(stanza, "id").into_iter().chain(items.filter_map(|item| text(item, "id"))).collect()
}
