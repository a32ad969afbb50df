//! `<iq xmlns="passive">`: a device asks for its stanzas (`<active/>`) or to be left alone. On `<active/>` it gets a
//! preview, everything that waited (marked `offline`) and an end marker; from then on stanzas come as they arrive.
//!
//! Source: whatsapp-rust `handlers/ib.rs`, `client/offline_resume.rs`.

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use crate::address::{DeviceId, server};
use crate::world::{Turn, World};
use crate::xml;

/// Applies it and answers.
pub(crate) fn apply(world: &mut World, turn: &mut Turn<'_>, from: &DeviceId, iq: &Node) {
    let active = match xml::first_tag(iq) {
        "active" => true,
        "passive" => false,
        _ => {
            world.unknown.note(Some(from), iq, turn.now_secs());
            return world.send_to(turn, from, xml::error(iq, 501, "feature-not-implemented"));
        }
    };
    world.send_to(turn, from, xml::result(iq, Vec::new()));
    let Some(link) = world.link_mut(from) else {
        return;
    };
    let was_active = std::mem::replace(&mut link.active, active);
    if active && !was_active {
        drain(world, turn, from);
        world.share_app_state_key(turn, from);
    }
}

fn drain(world: &mut World, turn: &mut Turn<'_>, to: &DeviceId) {
    let Some(device) = world.device(to) else {
        return;
    };
    let preview = device.queue.preview();
    let waiting: Vec<Node> = device.queue.stanzas().cloned().collect();
    let counted = NodeBuilder::new("offline_preview")
        .attr("count", waiting.len())
        .attr("message", preview.messages)
        .attr("receipt", preview.receipts)
        .attr("notification", preview.notifications)
        .attr("appdata", 0_u8)
        .attr("call", 0_u8)
        .build();
    let end = NodeBuilder::new("offline").attr("count", waiting.len()).build();
    world.send_to(turn, to, informational(counted));
    for mut stanza in waiting {
        stanza.attrs.insert("offline", "1");
        world.send_to(turn, to, stanza);
    }
    world.send_to(turn, to, informational(end));
}

fn informational(child: Node) -> Node {
    NodeBuilder::new("ib").attr("from", server()).children([child]).build()
}
