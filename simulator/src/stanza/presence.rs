//! `<presence>`: who is there, and who wants to know. Nothing of it is queued.
//!
//! Source: whatsapp-rust `features/presence.rs`, `handlers/presence.rs`.

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use crate::address::{DeviceId, Namespace};
use crate::world::{Peer, Turn, World};
use crate::xml;

/// A name longer than this is cut, as WhatsApp cuts it.
const MAX_NAME: usize = 25;

/// Applies a device's presence.
pub(crate) fn apply(world: &mut World, turn: &mut Turn<'_>, from: &DeviceId, presence: &Node) {
    match xml::text(presence, "type").as_deref().unwrap_or("available") {
        kind @ ("available" | "unavailable") => {
            if let (Some(name), Some(device)) = (xml::text(presence, "name"), world.device_mut(from)) {
                device.push_name = Some(name.chars().take(MAX_NAME).collect());
            }
            if let Some(link) = world.link_mut(from) {
                link.available = kind == "available";
            }
            announce(world, turn, &from.number);
        }
        "subscribe" => {
            let Some((target, namespace)) = xml::jid(presence, "to").and_then(|jid| world.resolve(&jid))
            else {
                return;
            };
            if let Some(link) = world.link_mut(from) {
                link.follows.insert(target.number.clone());
            }
            let current = current(world, turn, &target.number, namespace);
            world.deliver_now(turn, from, current);
        }
        "unsubscribe" => {
            let target = xml::jid(presence, "to").and_then(|jid| world.resolve(&jid));
            if let (Some((target, _)), Some(link)) = (target, world.link_mut(from)) {
                link.follows.remove(&target.number);
            }
        }
        _ => world.unknown.note(Some(from), presence, turn.now_secs()),
    }
}

/// Tells everybody who follows an account how it is now.
pub(crate) fn announce(world: &mut World, turn: &mut Turn<'_>, number: &str) {
    let followers: Vec<DeviceId> = world
        .connections
        .values()
        .filter_map(|peer| match peer {
            Peer::Device(link) if link.follows.contains(number) => Some(link.id.clone()),
            Peer::Device(_) | Peer::Pairing(_) => None,
        })
        .collect();
    for follower in followers {
        let namespace = world.namespace_for(&follower, number);
        let stanza = current(world, turn, number, namespace);
        world.deliver_now(turn, &follower, stanza);
    }
}

fn current(world: &World, turn: &Turn<'_>, number: &str, namespace: Namespace) -> Node {
    let available = world
        .connections
        .values()
        .any(|peer| matches!(peer, Peer::Device(link) if link.available && link.id.number == number));
    let presence = NodeBuilder::new("presence").attr("from", world.user_jid(number, namespace));
    if available {
        presence.build()
    } else {
        presence.attr("type", "unavailable").attr("last", turn.now_secs()).build()
    }
}
