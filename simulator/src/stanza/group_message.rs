//! `<message>` to a group: every device of every member gets the text under the sender's key, and with it what the sender
//! encrypted for that device alone (its key, or the whole message after a retry request).
//!
//! Source: whatsapp-rust `send/group.rs`, whatsmeow `send.go` (`sendGroup`), Baileys `messages-send.js`.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, NodeContent};

use super::message::{MALFORMED, Parcel, accompanying, hand_out};
use crate::address::{DeviceId, Namespace};
use crate::world::devices::participant_hash;
use crate::world::groups::{GroupError, wire};
use crate::world::{Turn, World};
use crate::xml;

/// Delivers every copy. Returns the hash over the group's devices when the sender hashed others.
pub(super) fn route(
    world: &mut World,
    turn: &mut Turn<'_>,
    from: &DeviceId,
    message: &Node,
    group: &Jid,
) -> Result<Option<String>, u16> {
    let members = world.group_of(&group.user, &from.number).map_err(|error| GroupError::code(&error))?;
    let devices = world.group_devices(members);
    let stale = stale_devices(world, message, &devices);
    let whole: Vec<Node> = message.get_children_by_tag("enc").cloned().collect();
    if whole.is_empty() {
        return Err(MALFORMED);
    }
    let heading = heading(world, turn, from, message, group);
    let parcel = |target: DeviceId, own_part: Vec<Node>| {
        let content = own_part.into_iter().chain(whole.clone()).chain(accompanying(message)).collect();
        let mut stanza = heading.clone();
        stanza.content = Some(NodeContent::Nodes(content));
        Parcel { target, stanza }
    };
    let parcels = if let Some(jid) = xml::jid(message, "participant") {
        // Sent again to the one device that asked for it.
        let (target, _) = world.resolve(&jid).filter(|(id, _)| devices.contains(id)).ok_or(MALFORMED)?;
        vec![parcel(target, Vec::new())]
    } else {
        let others = devices.into_iter().filter(|target| target != from);
        others.map(|to| (own_part(world, message, &to), to)).map(|(own, to)| parcel(to, own)).collect()
    };
    hand_out(world, turn, from, message, parcels)?;
    Ok(stale)
}

/// What the sender encrypted for this device alone.
fn own_part(world: &World, message: &Node, target: &DeviceId) -> Vec<Node> {
    let participants = message.get_optional_child("participants").map(xml::children).unwrap_or_default();
    let named = |to: &&Node| {
        xml::jid(to, "jid").and_then(|jid| world.resolve(&jid)).is_some_and(|(id, _)| id == *target)
    };
    participants.iter().find(named).map(|to| xml::children(to).to_vec()).unwrap_or_default()
}

/// What every copy begins with.
fn heading(world: &World, turn: &Turn<'_>, from: &DeviceId, message: &Node, group: &Jid) -> Node {
    let mut stanza = NodeBuilder::new("message")
        .attr("from", group)
        .attr("participant", world.jid(from, Namespace::Lid))
        .attr("participant_pn", world.user_jid(&from.number, Namespace::Pn))
        .attr("addressing_mode", wire::ADDRESSING_MODE)
        .attr("t", turn.now_secs())
        .attr("notify", world.push_name(from));
    for name in ["id", "type", "edit", "expiration"] {
        if let Some(value) = message.attrs.get(name) {
            stanza = stanza.attr(name, value.clone());
        }
    }
    stanza.build()
}

/// WhatsApp's hash over the devices of the group, when the sender gave another.
fn stale_devices(world: &World, message: &Node, devices: &[DeviceId]) -> Option<String> {
    let given = xml::text(message, "phash")?;
    let hash = participant_hash(devices.iter().map(|id| world.jid(id, Namespace::Lid)));
    (given != hash).then_some(hash)
}
