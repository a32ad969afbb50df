//! `<iq xmlns="w:sync:app:state">`: the account's encrypted settings. New accounts have none; patches that a device
//! pushes are kept in order and handed to the account's other devices.
//!
//! Source: whatsapp-rust `wacore-appstate` `patch_decode.rs`, Baileys `chat-utils.js`.

use buffa::{Message, MessageField};
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;
use waproto::whatsapp::{SyncdPatch, SyncdVersion};

use crate::address::{DeviceId, server};
use crate::world::account::StoredPatch;
use crate::world::{Turn, World};
use crate::xml;

/// WhatsApp's collections.
const COLLECTIONS: [&str; 5] =
    ["critical_block", "critical_unblock_low", "regular_high", "regular_low", "regular"];
/// Patches kept per collection, and bytes per patch.
const MAX_PATCHES: usize = 10_000;
const MAX_PATCH: usize = 256 * 1024;

/// Answers for every collection and tells the other devices about pushes.
pub(crate) fn apply(world: &mut World, turn: &mut Turn<'_>, from: &DeviceId, iq: &Node) -> Option<Node> {
    let sync = iq.get_optional_child("sync")?;
    let mut changed = Vec::new();
    let mut answers = Vec::new();
    for asked in sync.get_children_by_tag("collection") {
        let name = xml::text(asked, "name").unwrap_or_default();
        let Some(name) = COLLECTIONS.into_iter().find(|known| name == *known) else {
            return Some(xml::error(iq, 400, "bad-request"));
        };
        let patches = world.accounts.get_mut(&from.number)?.collections.entry(name.to_owned()).or_default();
        let (answer, pushed) = collection(name, asked, patches);
        answers.push(answer);
        if pushed {
            changed.push((name, patches.len()));
        }
    }
    for (name, version) in changed {
        notify(world, turn, from, name, version);
    }
    let sync = NodeBuilder::new("sync").children(answers).build();
    Some(xml::result(iq, vec![sync]))
}

fn collection(name: &'static str, asked: &Node, patches: &mut Vec<StoredPatch>) -> (Node, bool) {
    let version: usize = xml::text(asked, "version").and_then(|version| version.parse().ok()).unwrap_or(0);
    let answer = NodeBuilder::new("collection").attr("name", name);
    let missing: Vec<Node> =
        patches.iter().skip(version).map(|patch| xml::leaf("patch", patch.0.as_slice())).collect();
    let pushed = xml::bytes_at(asked, &["patch"]);
    if pushed.is_some() && version != patches.len() {
        let error = NodeBuilder::new("error").attr("code", "409").attr("text", "conflict").build();
        let answer = answer.attr("type", "error").attr("version", patches.len());
        let old = NodeBuilder::new("patches").children(missing).build();
        return (answer.children([error, old]).build(), false);
    }
    let stored = pushed.and_then(|bytes| numbered(&bytes, patches.len() + 1));
    let accepted = stored.is_some() && patches.len() < MAX_PATCHES;
    if let (true, Some(patch)) = (accepted, stored) {
        patches.push(StoredPatch(patch));
    }
    let answer = answer.attr("version", patches.len());
    if missing.is_empty() {
        return (answer.build(), accepted);
    }
    let missing = NodeBuilder::new("patches").children(missing).build();
    (answer.children([missing]).build(), accepted)
}

/// The patch with the version that the server gives it.
fn numbered(bytes: &[u8], version: usize) -> Option<Vec<u8>> {
    if bytes.len() > MAX_PATCH {
        return None;
    }
    let mut patch = SyncdPatch::decode_from_slice(bytes).ok()?;
    patch.version = MessageField::some(SyncdVersion { version: u64::try_from(version).ok() });
    Some(patch.encode_to_vec())
}

fn notify(world: &mut World, turn: &mut Turn<'_>, from: &DeviceId, name: &str, version: usize) {
    for target in world.devices_of(&from.number) {
        if target.is_phone() || target == *from {
            continue;
        }
        let collection = NodeBuilder::new("collection").attr("name", name).attr("version", version).build();
        let notification = NodeBuilder::new("notification")
            .attr("from", server())
            .attr("type", "server_sync")
            .attr("id", world.next_id())
            .attr("t", turn.now_secs())
            .children([collection])
            .build();
        world.deliver(turn, None, &target, notification);
    }
}
