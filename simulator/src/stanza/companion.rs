//! `<iq xmlns="md"><remove-companion-device/>`: a device logs itself (or another one of its account) out.
//!
//! Source: whatsapp-rust `iq/devices.rs`, Baileys `socket.js` (`logout`).

use wacore_binary::Node;

use crate::address::DeviceId;
use crate::world::devices::Change;
use crate::world::{Turn, World};
use crate::xml;

/// Removes the device, answers, and hangs up.
pub(crate) fn remove(world: &mut World, turn: &mut Turn<'_>, from: &DeviceId, iq: &Node) {
    let target = iq
        .get_optional_child("remove-companion-device")
        .and_then(|child| xml::jid(child, "jid"))
        .and_then(|jid| world.resolve(&jid))
        .map(|(id, _)| id)
        .filter(|id| id.number == from.number && world.device(id).is_some());
    let Some(target) = target else {
        return world.send_to(turn, from, xml::error(iq, 404, "item-not-found"));
    };
    world.send_to(turn, from, xml::result(iq, Vec::new()));
    if target != *from {
        // The account is known and the device was found, so this cannot fail.
        let _ = world.unlink(turn, &target);
        return;
    }
    if let Some(&connection) = world.online.get(from) {
        world.hang_up(turn, connection);
    }
    world.remove_device(from);
    world.announce_devices(turn, from, Change::Unlinked);
}
