//! `<message>`: fan-out to exactly the devices that the sender encrypted for, and the acknowledgement.
//!
//! Each device gets its own `<enc>` under the sender's JID, in the namespace by which it knows the sender. Own devices
//! learn the conversation from `recipient`. A message id that one device sends twice is acknowledged twice and
//! delivered once. (`group_message.rs` has groups.) Source: whatsapp-rust `send/dm.rs`, `messages.rs` (`parse_message_info`); Baileys `messages-send.js`.

use std::collections::BTreeSet;

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, JidExt, Node};

use super::group_message;
use crate::address::{DeviceId, Namespace};
use crate::faults::AckFate;
use crate::world::devices::participant_hash;
use crate::world::{Turn, World};
use crate::xml;

/// Nobody has this number, or it is no person.
const NOT_FOUND: u16 = 404;
/// Bad request: no recipient or nothing encrypted.
pub(super) const MALFORMED: u16 = 400;
/// A recipient's queue is full.
const UNAVAILABLE: u16 = 503;

/// What one device is to get.
struct Copy {
    target: DeviceId,
    /// How the sender named it.
    namespace: Namespace,
    content: Vec<Node>,
}

/// A stanza on its way to one device.
pub(super) struct Parcel {
    pub(super) target: DeviceId,
    pub(super) stanza: Node,
}

/// Routes a message and acknowledges it.
pub(crate) fn apply(world: &mut World, turn: &mut Turn<'_>, from: &DeviceId, message: &Node) {
    let fate = world.faults.ack_fate(from);
    if let AckFate::Refuse(code) = fate {
        return refuse(world, turn, from, message, code);
    }
    if let Some(id) = xml::text(message, "id") {
        world.faults.note_message(from, &id, fate);
    }
    let ack = match route(world, turn, from, message) {
        Ok(phash) => {
            let mut ack = xml::ack(message, "message", turn.now_secs());
            if let Some(phash) = phash {
                ack = ack.attr("phash", phash);
            }
            ack.build()
        }
        Err(code) => return refuse(world, turn, from, message, code),
    };
    if from.is_phone() {
        answer(world, turn, from, ack);
    } else {
        world.send_by_fate(turn, from, ack, fate);
    }
}

fn refuse(world: &mut World, turn: &mut Turn<'_>, from: &DeviceId, message: &Node, code: u16) {
    let ack = xml::ack(message, "message", turn.now_secs()).attr("error", code).build();
    answer(world, turn, from, ack);
}

fn answer(world: &mut World, turn: &mut Turn<'_>, from: &DeviceId, ack: Node) {
    if from.is_phone() {
        turn.for_phones.push_back((from.number.clone(), ack));
    } else {
        world.send_to(turn, from, ack);
    }
}

/// Delivers every copy. Returns the hash of the devices that exist when the sender addressed others.
fn route(
    world: &mut World,
    turn: &mut Turn<'_>,
    from: &DeviceId,
    message: &Node,
) -> Result<Option<String>, u16> {
    let to = xml::jid(message, "to").ok_or(MALFORMED)?;
    if to.is_group() {
        return group_message::route(world, turn, from, message, &to);
    }
    let (recipient, namespace) = world.resolve(&to).ok_or(NOT_FOUND)?;
    let copies = match message.get_optional_child("participants") {
        Some(participants) => fan_out(world, from, &recipient, participants),
        None => direct(message, recipient.clone(), namespace).ok_or(MALFORMED)?,
    };
    let parcels = copies
        .iter()
        .map(|copy| Parcel {
            target: copy.target.clone(),
            stanza: delivered(world, turn, from, message, copy),
        })
        .collect();
    hand_out(world, turn, from, message, parcels)?;
    world.acquaint(&from.number, &recipient.number);
    if let Some(device) = world.device_mut(from) {
        for copy in &copies {
            device.speaks.insert(copy.target.number.clone(), copy.namespace);
        }
    }
    let is_fan_out = message.get_optional_child("participants").is_some();
    Ok(is_fan_out.then(|| stale_devices(world, from, &recipient.number, &copies)).flatten())
}

/// Delivers what was not delivered before; nothing at all when one of the queues is full.
pub(super) fn hand_out(
    world: &mut World,
    turn: &mut Turn<'_>,
    from: &DeviceId,
    message: &Node,
    parcels: Vec<Parcel>,
) -> Result<(), u16> {
    let id = xml::text(message, "id").filter(|id| !id.is_empty()).ok_or(MALFORMED)?;
    let full = |parcel: &Parcel| world.device(&parcel.target).is_some_and(|device| device.queue.is_full());
    if parcels.iter().any(full) {
        return Err(UNAVAILABLE);
    }
    for Parcel { target, stanza } in parcels {
        if world.exists(&target) && world.sent.of(from).record(&id, &target) {
            world.deliver(turn, Some(&from.number), &target, stanza);
        }
    }
    Ok(())
}

/// The copies in `<participants>` that are for the two accounts of the conversation.
fn fan_out(world: &World, from: &DeviceId, to: &DeviceId, participants: &Node) -> Vec<Copy> {
    participants
        .get_children_by_tag("to")
        .filter_map(|node| {
            let (target, namespace) = world.resolve(&xml::jid(node, "jid")?)?;
            let involved = target.number == to.number || target.number == from.number;
            (involved && target != *from).then(|| Copy {
                target,
                namespace,
                content: xml::children(node).to_vec(),
            })
        })
        .collect()
}

/// A message for one device: peer messages, and what was sent again after a retry receipt.
fn direct(message: &Node, target: DeviceId, namespace: Namespace) -> Option<Vec<Copy>> {
    let content: Vec<Node> = message.get_children_by_tag("enc").cloned().collect();
    (!content.is_empty()).then(|| vec![Copy { target, namespace, content }])
}

fn delivered(world: &World, turn: &Turn<'_>, from: &DeviceId, message: &Node, copy: &Copy) -> Node {
    let namespace = world.namespace_for(&copy.target, &from.number);
    let mut stanza = NodeBuilder::new("message")
        .attr("from", world.jid(from, namespace))
        .attr("t", turn.now_secs())
        .attr("notify", world.push_name(from));
    for name in ["id", "type", "category", "edit", "push_priority"] {
        if let Some(value) = message.attrs.get(name) {
            stanza = stanza.attr(name, value.clone());
        }
    }
    let mut stanza = stanza.build();
    let own = copy.target.number == from.number;
    if !own {
        let other = namespace.other();
        let alias = world.user_jid(&from.number, other);
        stanza.attrs.insert(other.attribute("sender"), alias);
    } else if let Some((recipient, name, alias)) = conversation(world, from, message, namespace) {
        stanza.attrs.insert("recipient", recipient);
        stanza.attrs.insert(name, alias);
    }
    let mut content = copy.content.clone();
    content.extend(accompanying(message));
    stanza.content = Some(wacore_binary::NodeContent::Nodes(content));
    stanza
}

/// What goes to every device beside the ciphertexts.
pub(super) fn accompanying(message: &Node) -> impl Iterator<Item = Node> {
    xml::children(message)
        .iter()
        .filter(|child| {
            matches!(child.tag.as_ref(), "device-identity" | "meta" | "biz" | "bot" | "reporting")
        })
        .cloned()
}

/// For a copy to an own device: the chat, and its other name with the attribute for it. Peer messages have none.
fn conversation(
    world: &World,
    from: &DeviceId,
    message: &Node,
    namespace: Namespace,
) -> Option<(Jid, String, Jid)> {
    if xml::is(message, "category", "peer") {
        return None;
    }
    let explicit = xml::jid(message, "recipient");
    let chat = explicit.or_else(|| {
        let to = xml::jid(message, "to")?;
        // A direct copy names an own device; without `recipient` it is a note to oneself.
        let own = world.resolve(&to).is_some_and(|(id, _)| id.number == from.number);
        (!own || to.device == 0).then_some(to)
    })?;
    let (id, _) = world.resolve(&chat)?;
    let chat = world.user_jid(&id.number, namespace);
    let other = namespace.other();
    let name = other.attribute("peer_recipient");
    Some((chat, name, world.user_jid(&id.number, other)))
}

/// WhatsApp's hash over the devices that exist, when the sender addressed a different set.
fn stale_devices(world: &World, from: &DeviceId, to: &str, copies: &[Copy]) -> Option<String> {
    let addressed: BTreeSet<&DeviceId> = copies.iter().map(|copy| &copy.target).collect();
    let existing: BTreeSet<DeviceId> = world
        .devices_of(to)
        .into_iter()
        .chain(world.devices_of(&from.number))
        .filter(|id| id != from)
        .collect();
    if existing.iter().eq(addressed.iter().copied()) {
        return None;
    }
    let namespace = copies.first().map_or(Namespace::Pn, |copy| copy.namespace);
    Some(participant_hash(existing.iter().map(|id| world.jid(id, namespace))))
}
