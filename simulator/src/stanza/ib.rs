//! `<ib>`: WhatsApp's informational stanzas. They ask for nothing that the simulator does not do anyway.

use wacore_binary::Node;

use crate::address::DeviceId;
use crate::world::{Turn, World};
use crate::xml;

/// Accepts the known ones, lists the others.
pub(crate) fn apply(world: &mut World, turn: &mut Turn<'_>, from: &DeviceId, ib: &Node) {
    // The offline queue is sent as a whole, so a request for the next batch has nothing to add.
    if !matches!(xml::first_tag(ib), "unified_session" | "offline_batch") {
        world.unknown.note(Some(from), ib, turn.now_secs());
    }
}
