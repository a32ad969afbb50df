//! What a stanza is, and which file handles it. A sender and a stanza in, changes of the world and outputs out.
//!
//! One file per kind, each reads its stanza and applies it. What nobody handles is listed under `/unknown`; an iq
//! is answered with an error besides, because clients wait for an answer to every iq.

use wacore_binary::Node;

use crate::address::DeviceId;
use crate::world::{ConnectionId, Turn, World};
use crate::xml;

pub(crate) mod ack;
pub(crate) mod app_state;
pub(crate) mod bundle;
pub(crate) mod chatstate;
pub(crate) mod companion;
pub(crate) mod encrypt;
pub(crate) mod group;
pub(crate) mod group_message;
pub(crate) mod group_receipt;
pub(crate) mod ib;
pub(crate) mod media_conn;
pub(crate) mod message;
pub(crate) mod passive;
pub(crate) mod presence;
pub(crate) mod receipt;
pub(crate) mod settings;
pub(crate) mod usync;

/// A stanza of a device that is not linked yet.
pub(crate) fn from_pairing(world: &mut World, turn: &mut Turn<'_>, connection: ConnectionId, stanza: &Node) {
    match (stanza.tag.as_ref(), xml::text(stanza, "type").as_deref()) {
        ("iq", Some("result" | "error")) => world.pairing_answered(turn, connection, stanza),
        ("iq", _) => {
            let stage = stanza
                .get_optional_child("link_code_companion_reg")
                .and_then(|child| xml::text(child, "stage"));
            match stage.as_deref() {
                Some("companion_hello") => world.link_code_hello(turn, connection, stanza),
                Some("companion_finish") => world.link_code_finish(turn, connection, stanza),
                _ if is_ping(stanza) => world.send(turn, connection, pong(stanza, turn.now_secs())),
                _ => {
                    world.unknown.note(None, stanza, turn.now_secs());
                    let refusal = xml::error(stanza, 501, "feature-not-implemented");
                    world.send(turn, connection, refusal);
                }
            }
        }
        // Answers to the link code's notification, and what Baileys sends as soon as it knows its name.
        ("ack" | "ib" | "presence", _) => {}
        _ => world.unknown.note(None, stanza, turn.now_secs()),
    }
}

/// A stanza of a linked device or a phone.
pub(crate) fn from_device(world: &mut World, turn: &mut Turn<'_>, from: &DeviceId, stanza: &Node) {
    match stanza.tag.as_ref() {
        "iq" => iq(world, turn, from, stanza),
        "message" => message::apply(world, turn, from, stanza),
        "receipt" => receipt::apply(world, turn, from, stanza),
        "ack" => ack::apply(world, from, stanza),
        "presence" => presence::apply(world, turn, from, stanza),
        "chatstate" => chatstate::apply(world, turn, from, stanza),
        "ib" => ib::apply(world, turn, from, stanza),
        _ => world.unknown.note(Some(from), stanza, turn.now_secs()),
    }
}

fn iq(world: &mut World, turn: &mut Turn<'_>, from: &DeviceId, iq: &Node) {
    let kind = xml::text(iq, "type").unwrap_or_default();
    let namespace = xml::text(iq, "xmlns").unwrap_or_default();
    let answer = match (kind.as_ref(), namespace.as_ref(), xml::first_tag(iq)) {
        // Answers to the server's own pings.
        ("result" | "error", ..) => return,
        ("get", "w:p" | "urn:xmpp:ping", _) => Some(pong(iq, turn.now_secs())),
        ("set", "passive", _) => return passive::apply(world, turn, from, iq),
        ("get", "encrypt", "count") => encrypt::count(world, from, iq),
        ("get", "encrypt", "digest") => encrypt::digest(world, from, iq),
        ("get", "encrypt", "key") => bundle::apply(world, turn, iq),
        ("set", "encrypt", "rotate") => encrypt::rotate(world, from, iq),
        ("set", "encrypt", _) => return encrypt::upload(world, turn, from, iq),
        ("get", "usync", _) => usync::apply(world, turn, iq),
        ("set", "w:m", "media_conn") => Some(media_conn::apply(world, turn, from, iq)),
        ("set", "w:sync:app:state", _) => app_state::apply(world, turn, from, iq),
        ("set", "md", "remove-companion-device") => return companion::remove(world, turn, from, iq),
        (_, "w:g2", _) => group::apply(world, turn, from, iq),
        (_, "abt" | "w" | "blocklist" | "privacy" | "urn:xmpp:whatsapp:dirty", _) => settings::apply(iq),
        _ => None,
    };
    let answer = answer.unwrap_or_else(|| {
        world.unknown.note(Some(from), iq, turn.now_secs());
        xml::error(iq, 501, "feature-not-implemented")
    });
    world.send_to(turn, from, answer);
}

fn is_ping(iq: &Node) -> bool {
    xml::is(iq, "xmlns", "w:p") || xml::is(iq, "xmlns", "urn:xmpp:ping")
}

fn pong(iq: &Node, now_secs: u64) -> Node {
    let mut pong = xml::result(iq, Vec::new());
    pong.attrs.insert("t", now_secs);
    pong
}

#[cfg(test)]
mod tests;
