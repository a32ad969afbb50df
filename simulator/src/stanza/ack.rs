//! `<ack>` of a client: the stanza that it names leaves the device's queue. Source: whatsmeow `receipt.go` (`sendAck`).

use wacore_binary::Node;

use crate::address::DeviceId;
use crate::world::World;
use crate::xml;

/// Applies it; phones have no queue.
pub(crate) fn apply(world: &mut World, from: &DeviceId, ack: &Node) {
    let (Some(class), Some(id)) = (xml::text(ack, "class"), xml::text(ack, "id")) else {
        return;
    };
    let peer = super::receipt::peer(world, ack);
    let kind = xml::text(ack, "type").filter(|_| class == "receipt");
    if let Some(device) = world.device_mut(from) {
        device.queue.acknowledge(&class, &id, peer.as_deref(), kind.as_deref());
    }
}
