//! `<chatstate>`: somebody types, records or stopped. It goes to the other side's connected devices and is not kept.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, JidExt, Node};

use crate::address::{DeviceId, Namespace};
use crate::world::{Turn, World};
use crate::xml;

/// Relays it.
pub(crate) fn apply(world: &mut World, turn: &mut Turn<'_>, from: &DeviceId, chatstate: &Node) {
    if let Some(group) = xml::jid(chatstate, "to").filter(Jid::is_group) {
        return in_group(world, turn, from, chatstate, &group);
    }
    let Some((to, _)) = xml::jid(chatstate, "to").and_then(|jid| world.resolve(&jid)) else {
        return;
    };
    for target in world.devices_of(&to.number) {
        if target != *from {
            let namespace = world.namespace_for(&target, &from.number);
            let relayed = NodeBuilder::new("chatstate")
                .attr("from", world.user_jid(&from.number, namespace))
                .apply_content(chatstate.content.clone())
                .build();
            world.deliver_now(turn, &target, relayed);
        }
    }
}

fn in_group(world: &mut World, turn: &mut Turn<'_>, from: &DeviceId, chatstate: &Node, group: &Jid) {
    let Ok(members) = world.group_of(&group.user, &from.number) else {
        return;
    };
    for target in world.group_devices(members) {
        if target.number != from.number {
            let relayed = NodeBuilder::new("chatstate")
                .attr("from", group)
                .attr("participant", world.user_jid(&from.number, Namespace::Lid))
                .apply_content(chatstate.content.clone())
                .build();
            world.deliver_now(turn, &target, relayed);
        }
    }
}
