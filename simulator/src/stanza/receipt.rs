//! `<receipt>`: a device got, read or played messages, or could not decrypt one. It is acknowledged, frees the messages
//! from the device's queue, and is relayed: a retry request and the notes between own devices to exactly one
//! device, everything else to all devices of the message's sender. Own devices hear about what was read.
//! (`group_receipt.rs` has groups.)
//!
//! Source: whatsapp-rust `receipt.rs`, `retry.rs`; Baileys `messages-recv.js` (`handleReceipt`).

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, JidExt, Node};

use super::group_receipt;
use crate::address::{DeviceId, Namespace};
use crate::phone::DeviceAddress;
use crate::world::{Turn, World};
use crate::xml;

/// Ids per receipt beyond this are ignored; clients send at most a few hundred.
const MAX_IDS: usize = 1000;

/// Applies, acknowledges and relays.
pub(crate) fn apply(world: &mut World, turn: &mut Turn<'_>, from: &DeviceId, receipt: &Node) {
    let ids = ids(receipt);
    let chat = xml::jid(receipt, "to");
    let to = chat.as_ref().and_then(|jid| world.resolve(jid));
    let peer = peer(world, receipt);
    if let Some(device) = world.device_mut(from) {
        for id in &ids {
            device.queue.acknowledge("message", id, peer.as_deref(), None);
        }
    }
    let ack = xml::ack(receipt, "receipt", turn.now_secs()).build();
    world.send_to(turn, from, ack);
    if let Some(group) = chat.filter(Jid::is_group) {
        return group_receipt::relay(world, turn, from, receipt, &group);
    }
    let Some((to, _)) = to else {
        return;
    };
    let kind = xml::text(receipt, "type").unwrap_or_default();
    match kind.as_ref() {
        "retry" => {
            for id in &ids {
                world.sent.of(&to).forget(id, from);
            }
            renew_phones_session(world, turn, from, &to, receipt);
            relay(world, turn, from, &to, receipt);
        }
        "sender" | "peer_msg" | "hist_sync" => {
            relay(world, turn, from, &to, receipt);
        }
        "read-self" | "played-self" => tell_own_devices(world, turn, from, receipt),
        _ => {
            for target in world.devices_of(&to.number) {
                relay(world, turn, from, &target, receipt);
            }
            if matches!(kind.as_ref(), "read" | "played") {
                tell_own_devices(world, turn, from, receipt);
            }
        }
    }
}

/// The account whose stanza a receipt or an ack answers: in a group it is named as the participant.
pub(super) fn peer(world: &World, answer: &Node) -> Option<String> {
    let to = xml::jid(answer, "to")?;
    let who = if to.is_group() { xml::jid(answer, "participant")? } else { to };
    world.resolve(&who).map(|(id, _)| id.number)
}

/// A first retry request brings no keys: the phone fetches fresh ones, as phones do, or it would encrypt with the
/// session that cannot be read. Source: Baileys `messages-recv.js` (`sendMessagesAgain` asserts the session anew).
pub(super) fn renew_phones_session(
    world: &mut World,
    turn: &mut Turn<'_>,
    from: &DeviceId,
    to: &DeviceId,
    receipt: &Node,
) {
    if !to.is_phone() || from == to || receipt.get_optional_child("keys").is_some() {
        return;
    }
    let Some(address) = DeviceAddress::of(&world.jid(from, Namespace::Lid)) else {
        return;
    };
    let Some(bundle) = world.take_bundle(turn, from) else {
        return;
    };
    if let Some(account) = world.accounts.get_mut(&to.number)
        && let Err(error) = account.phone.renew_session(&address, &bundle, turn.rng)
    {
        tracing::warn!(%error, "a phone could not renew a session");
    }
}

pub(super) fn ids(receipt: &Node) -> Vec<String> {
    let listed = receipt
        .get_optional_child("list")
        .map(xml::children)
        .unwrap_or_default()
        .iter()
        .filter_map(|item| xml::text(item, "id"));
    xml::text(receipt, "id")
        .into_iter()
        .chain(listed)
        .take(MAX_IDS)
        .map(std::borrow::Cow::into_owned)
        .collect()
}

fn relay(world: &mut World, turn: &mut Turn<'_>, from: &DeviceId, target: &DeviceId, receipt: &Node) {
    if target == from {
        return;
    }
    // Between own devices the conversation is named; to others it is the sender.
    let chat = (target.number == from.number)
        .then(|| xml::jid(receipt, "recipient"))
        .flatten()
        .and_then(|jid| world.resolve(&jid))
        .map(|(chat, _)| chat.number);
    let stanza = relayed(world, turn, (from, target), receipt, chat.as_deref());
    world.deliver(turn, Some(&from.number), target, stanza);
}

fn tell_own_devices(world: &mut World, turn: &mut Turn<'_>, from: &DeviceId, receipt: &Node) {
    let Some((chat, _)) = xml::jid(receipt, "to").and_then(|jid| world.resolve(&jid)) else {
        return;
    };
    if chat.number == from.number {
        return;
    }
    for target in world.devices_of(&from.number) {
        if target != *from {
            let stanza = relayed(world, turn, (from, &target), receipt, Some(&chat.number));
            world.deliver(turn, Some(&from.number), &target, stanza);
        }
    }
}

fn relayed(
    world: &World,
    turn: &Turn<'_>,
    (from, target): (&DeviceId, &DeviceId),
    receipt: &Node,
    chat: Option<&str>,
) -> Node {
    let namespace = world.namespace_for(target, &from.number);
    let mut stanza = NodeBuilder::new("receipt").attr("from", world.jid(from, namespace));
    for name in ["id", "type"] {
        if let Some(value) = receipt.attrs.get(name) {
            stanza = stanza.attr(name, value.clone());
        }
    }
    stanza = match receipt.attrs.get("t") {
        Some(time) => stanza.attr("t", time.clone()),
        None => stanza.attr("t", turn.now_secs()),
    };
    let mut stanza = match chat {
        Some(chat) => stanza.attr("recipient", world.user_jid(chat, namespace)),
        None => stanza,
    }
    .apply_content(receipt.content.clone())
    .build();
    let other = namespace.other();
    let alias = world.user_jid(&from.number, other);
    stanza.attrs.insert(other.attribute("sender"), alias);
    stanza
}
