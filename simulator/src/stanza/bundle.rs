//! `<iq xmlns="encrypt" type="get"><key>`: somebody wants to write to devices for the first time. Each gets the
//! device's bundle with a one-time prekey that nobody else gets, or an error.
//!
//! Source: whatsapp-rust `iq/prekeys.rs`, `prekeys.rs`.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use super::encrypt;
use crate::address::DeviceId;
use crate::phone::PreKeyBundle;
use crate::world::keys::SignedPreKey;
use crate::world::{Turn, World};
use crate::xml;

/// WhatsApp's code for a device without keys or that does not exist.
const UNREGISTERED: u16 = 406;

/// Answers with one `<user>` per device asked for.
pub(crate) fn apply(world: &mut World, turn: &mut Turn<'_>, iq: &Node) -> Option<Node> {
    let wanted: Vec<Jid> = iq
        .get_optional_child("key")?
        .get_children_by_tag("user")
        .filter_map(|user| xml::jid(user, "jid"))
        .collect();
    let users = wanted.into_iter().map(|jid| {
        let bundle = world.resolve(&jid).and_then(|(id, _)| world.take_bundle(turn, &id));
        user(jid, bundle)
    });
    let list = NodeBuilder::new("list").children(users.collect::<Vec<_>>()).build();
    Some(xml::result(iq, vec![list]))
}

fn user(jid: Jid, bundle: Option<PreKeyBundle>) -> Node {
    let user = NodeBuilder::new("user").attr("jid", jid);
    let Some(bundle) = bundle else {
        let error =
            NodeBuilder::new("error").attr("code", UNREGISTERED).attr("text", "not-acceptable").build();
        return user.children([error]).build();
    };
    let (id, public, signature) = bundle.signed_prekey;
    let mut content = vec![
        xml::leaf("registration", bundle.registration_id.to_be_bytes()),
        xml::leaf("type", [5]),
        xml::leaf("identity", bundle.identity),
        encrypt::signed_prekey(&SignedPreKey { id, public, signature }),
    ];
    if let Some((id, public)) = bundle.prekey {
        let key =
            NodeBuilder::new("key").children([xml::leaf("id", xml::key_id(id)), xml::leaf("value", public)]);
        content.push(key.build());
    }
    if let Some(identity) = bundle.device_identity {
        content.push(xml::leaf("device-identity", identity));
    }
    user.attr("type", "result").children(content).build()
}

impl World {
    /// A device's bundle; uses up one of its one-time prekeys.
    pub(crate) fn take_bundle(&mut self, turn: &mut Turn<'_>, id: &DeviceId) -> Option<PreKeyBundle> {
        let account = self.accounts.get_mut(&id.number)?;
        if id.is_phone() {
            return Some(account.phone.next_bundle(turn.rng));
        }
        let identity = account.phone.device_identity(id.device).map(<[u8]>::to_vec);
        let keys = account.devices.get_mut(&id.device)?.keys.as_mut()?;
        let bundle = keys.take_bundle(identity);
        encrypt::notice_low(self, turn, id);
        Some(bundle)
    }
}
