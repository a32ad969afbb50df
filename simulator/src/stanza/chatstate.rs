//! `<chatstate>`: somebody types, records or stopped. It goes to the other side's connected devices and is not kept.

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use crate::address::DeviceId;
use crate::world::{Turn, World};
use crate::xml;

/// Relays it.
pub(crate) fn apply(world: &mut World, turn: &mut Turn<'_>, from: &DeviceId, chatstate: &Node) {
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
