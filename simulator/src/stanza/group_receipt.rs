//! `<receipt>` for messages in a group: to the group, with the message's sender as `participant`. A retry request goes to
//! exactly that device, everything else to all devices of the sender; what was read, to one's own devices, too.
//!
//! Source: whatsapp-rust `receipt.rs`, `retry.rs`; whatsmeow `receipt.go`; Baileys `messages-recv.js`.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use super::receipt::{ids, renew_phones_session};
use crate::address::{DeviceId, Namespace};
use crate::world::{Turn, World};
use crate::xml;

/// Relays it, if both are in the group.
pub(super) fn relay(world: &mut World, turn: &mut Turn<'_>, from: &DeviceId, receipt: &Node, group: &Jid) {
    let sender = xml::jid(receipt, "participant").and_then(|jid| world.resolve(&jid));
    let (Some((sender, _)), Ok(_)) = (sender, world.group_of(&group.user, &from.number)) else {
        return;
    };
    let kind = xml::text(receipt, "type").unwrap_or_default();
    match kind.as_ref() {
        "retry" => {
            for id in &ids(receipt) {
                world.sent.of(&sender).forget(id, from);
            }
            renew_phones_session(world, turn, from, &sender, receipt);
            pass(world, turn, from, &sender, (receipt, group, None));
        }
        "sender" => pass(world, turn, from, &sender, (receipt, group, None)),
        "read-self" | "played-self" => tell_own_devices(world, turn, from, &sender, (receipt, group)),
        _ => {
            for target in world.devices_of(&sender.number) {
                pass(world, turn, from, &target, (receipt, group, None));
            }
            if matches!(kind.as_ref(), "read" | "played") && sender.number != from.number {
                tell_own_devices(world, turn, from, &sender, (receipt, group));
            }
        }
    }
}

fn tell_own_devices(
    world: &mut World,
    turn: &mut Turn<'_>,
    from: &DeviceId,
    sender: &DeviceId,
    (receipt, group): (&Node, &Jid),
) {
    for target in world.devices_of(&from.number) {
        pass(world, turn, from, &target, (receipt, group, Some(&sender.number)));
    }
}

/// Own devices are told whose message it was: they have more than one sender in a group.
fn pass(
    world: &mut World,
    turn: &mut Turn<'_>,
    from: &DeviceId,
    target: &DeviceId,
    (receipt, group, sender): (&Node, &Jid, Option<&str>),
) {
    if target == from {
        return;
    }
    let mut stanza = NodeBuilder::new("receipt")
        .attr("from", group)
        .attr("participant", world.jid(from, Namespace::Lid))
        .attr("participant_pn", world.user_jid(&from.number, Namespace::Pn));
    for name in ["id", "type"] {
        if let Some(value) = receipt.attrs.get(name) {
            stanza = stanza.attr(name, value.clone());
        }
    }
    stanza = match receipt.attrs.get("t") {
        Some(time) => stanza.attr("t", time.clone()),
        None => stanza.attr("t", turn.now_secs()),
    };
    if let Some(sender) = sender {
        stanza = stanza.attr("recipient", world.user_jid(sender, Namespace::Lid));
    }
    let stanza = stanza.apply_content(receipt.content.clone()).build();
    world.deliver(turn, Some(&from.number), target, stanza);
}
