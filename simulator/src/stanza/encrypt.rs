//! `<iq xmlns="encrypt">` about a device's own keys: upload, signed-prekey rotation, count, digest, and the notice that
//! they run low. (`bundle.rs` hands them out.)
//!
//! Source: whatsapp-rust `iq/prekeys.rs`, `handlers/notification/device.rs`; Baileys `socket.js`.

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use crate::address::{DeviceId, server};
use crate::world::keys::{KeyStore, LOW_COUNT, OneTimeKey, SignedPreKey};
use crate::world::{Turn, World};
use crate::xml;

/// `<count/>`: one-time prekeys left.
pub(crate) fn count(world: &World, from: &DeviceId, iq: &Node) -> Option<Node> {
    let count = world.device(from)?.keys.as_ref().map_or(0, KeyStore::count);
    let count = NodeBuilder::new("count").attr("value", count).build();
    Some(xml::result(iq, vec![count]))
}

/// `<digest/>`: what the server holds, with a hash over it.
pub(crate) fn digest(world: &World, from: &DeviceId, iq: &Node) -> Option<Node> {
    let Some(keys) = &world.device(from)?.keys else {
        return Some(xml::error(iq, 404, "item-not-found"));
    };
    let ids = keys.ids().map(|id| xml::leaf("id", xml::key_id(id)));
    let digest = NodeBuilder::new("digest").children([
        xml::leaf("registration", keys.registration_id.to_be_bytes()),
        xml::leaf("type", [5]),
        xml::leaf("identity", keys.identity),
        signed_prekey(&keys.signed),
        NodeBuilder::new("list").children(ids).build(),
        xml::leaf("hash", keys.digest()),
    ]);
    Some(xml::result(iq, vec![digest.build()]))
}

/// `<skey>`.
pub(crate) fn signed_prekey(key: &SignedPreKey) -> Node {
    NodeBuilder::new("skey")
        .children([
            xml::leaf("id", xml::key_id(key.id)),
            xml::leaf("value", key.public),
            xml::leaf("signature", key.signature),
        ])
        .build()
}

/// A device uploads its identity, signed prekey and one-time prekeys.
pub(crate) fn upload(world: &mut World, turn: &mut Turn<'_>, from: &DeviceId, iq: &Node) {
    let answer = match read_upload(iq) {
        Some((keys, one_time)) => store(world, from, iq, keys, one_time),
        None => xml::error(iq, 406, "not-acceptable"),
    };
    world.send_to(turn, from, answer);
    world.share_app_state_key(turn, from);
}

fn read_upload(iq: &Node) -> Option<(KeyStore, Vec<OneTimeKey>)> {
    let registration_id = xml::number_at(iq, &["registration"])?;
    let identity = xml::array_at(iq, &["identity"])?;
    let signed = read_signed_prekey(iq.get_optional_child("skey")?)?;
    if !signed.is_signed_by(&identity) {
        return None;
    }
    let list = iq.get_optional_child("list")?;
    let one_time = xml::children(list)
        .iter()
        .map(|key| {
            Some(OneTimeKey { id: xml::number_at(key, &["id"])?, public: xml::array_at(key, &["value"])? })
        })
        .collect::<Option<Vec<_>>>()?;
    Some((KeyStore::new(registration_id, identity, signed), one_time))
}

fn read_signed_prekey(node: &Node) -> Option<SignedPreKey> {
    Some(SignedPreKey {
        id: xml::number_at(node, &["id"])?,
        public: xml::array_at(node, &["value"])?,
        signature: xml::array_at(node, &["signature"])?,
    })
}

fn store(world: &mut World, from: &DeviceId, iq: &Node, fresh: KeyStore, one_time: Vec<OneTimeKey>) -> Node {
    let Some(device) = world.device_mut(from) else {
        return xml::error(iq, 404, "item-not-found");
    };
    let keys = match &mut device.keys {
        Some(keys) if keys.identity == fresh.identity => {
            keys.registration_id = fresh.registration_id;
            keys.signed = fresh.signed;
            keys
        }
        // Nothing was there, or the device has another identity now: its old keys are worthless.
        other => other.insert(fresh),
    };
    device.told_low = false;
    if keys.add(one_time) { xml::result(iq, Vec::new()) } else { xml::error(iq, 406, "not-acceptable") }
}

/// `<rotate>`: a new signed prekey.
pub(crate) fn rotate(world: &mut World, from: &DeviceId, iq: &Node) -> Option<Node> {
    let signed = iq.get_optional_child_by_tag(&["rotate", "skey"]).and_then(read_signed_prekey);
    let keys = world.device_mut(from)?.keys.as_mut();
    let (Some(signed), Some(keys)) = (signed, keys) else {
        return Some(xml::error(iq, 406, "not-acceptable"));
    };
    if !signed.is_signed_by(&keys.identity) {
        return Some(xml::error(iq, 406, "not-acceptable"));
    }
    keys.signed = signed;
    Some(xml::result(iq, Vec::new()))
}

/// Tells a device once that its one-time prekeys run low.
pub(crate) fn notice_low(world: &mut World, turn: &mut Turn<'_>, id: &DeviceId) {
    let Some(device) = world.device_mut(id) else {
        return;
    };
    let left = device.keys.as_ref().map_or(0, KeyStore::count);
    if left >= LOW_COUNT || std::mem::replace(&mut device.told_low, true) {
        return;
    }
    let notification = NodeBuilder::new("notification")
        .attr("from", server())
        .attr("type", "encrypt")
        .attr("id", world.next_id())
        .attr("t", turn.now_secs())
        .children([NodeBuilder::new("count").attr("value", left).build()])
        .build();
    world.deliver(turn, None, id, notification);
}
