//! `<iq xmlns="usync">`: which devices a person has, whether a number is on WhatsApp, what its LID is. An iq in, its
//! answer out.
//!
//! Source: whatsapp-rust `iq/usync/query.rs`, Baileys `WAUSync`.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use crate::address::{DeviceId, Namespace};
use crate::world::account::valid_number;
use crate::world::{Turn, World};
use crate::xml;

/// Answers every protocol asked for, for every user.
pub(crate) fn apply(world: &World, turn: &Turn<'_>, iq: &Node) -> Option<Node> {
    let usync = iq.get_optional_child("usync")?;
    let protocols: Vec<String> = xml::children(usync.get_optional_child("query")?)
        .iter()
        .map(|protocol| protocol.tag.to_string())
        .collect();
    let users: Vec<Node> = usync
        .get_optional_child("list")?
        .get_children_by_tag("user")
        .map(|asked| user(world, turn, asked, &protocols))
        .collect();
    let states = protocols
        .iter()
        .filter(|protocol| is_supported(protocol))
        .map(|protocol| NodeBuilder::new_dynamic(protocol.clone()).build());
    let mut answer = NodeBuilder::new("usync");
    for name in ["sid", "mode", "last", "index", "context"] {
        if let Some(value) = usync.attrs.get(name) {
            answer = answer.attr(name, value.clone());
        }
    }
    let answer = answer.children([
        NodeBuilder::new("result").children(states.collect::<Vec<_>>()).build(),
        NodeBuilder::new("list").children(users).build(),
    ]);
    Some(xml::result(iq, vec![answer.build()]))
}

fn is_supported(protocol: &str) -> bool {
    matches!(protocol, "devices" | "contact" | "lid" | "status" | "disappearing_mode" | "business")
}

fn user(world: &World, turn: &Turn<'_>, asked: &Node, protocols: &[String]) -> Node {
    let contact = asked
        .get_optional_child("contact")
        .and_then(xml::bytes)
        .and_then(|bytes| String::from_utf8(bytes).ok());
    let number = contact.as_deref().and_then(|text| valid_number(text).ok());
    let jid = xml::jid(asked, "jid").or_else(|| number.map(Jid::pn));
    let found = jid.as_ref().and_then(|jid| world.resolve(jid));
    let mut user = NodeBuilder::new("user");
    if let Some(jid) = &jid {
        user = user.attr("jid", jid.to_non_ad());
    }
    if let Some((id, Namespace::Lid)) = &found {
        user = user.attr("pn_jid", world.user_jid(&id.number, Namespace::Pn));
    }
    let id = found.map(|(id, _)| id);
    let content = protocols
        .iter()
        .filter_map(|protocol| match protocol.as_str() {
            "devices" => Some(devices(world, turn, id.as_ref())),
            "contact" => Some(contact_result(id.is_some(), contact.as_deref())),
            "lid" => id.as_ref().map(|id| {
                let lid = world.user_jid(&id.number, Namespace::Lid);
                NodeBuilder::new("lid").attr("val", lid).build()
            }),
            _ => None,
        })
        .collect::<Vec<_>>();
    user.children(content).build()
}

fn contact_result(known: bool, asked: Option<&str>) -> Node {
    let contact = NodeBuilder::new("contact").attr("type", if known { "in" } else { "out" });
    match asked {
        Some(text) => contact.bytes(text.as_bytes()).build(),
        None => contact.build(),
    }
}

fn devices(world: &World, turn: &Turn<'_>, id: Option<&DeviceId>) -> Node {
    let account = id.and_then(|id| world.account(&id.number).ok());
    let Some(account) = account else {
        let list = NodeBuilder::new("device-list").children([]).build();
        return NodeBuilder::new("devices").children([list]).build();
    };
    let mut list = vec![NodeBuilder::new("device").attr("id", 0_u8).build()];
    list.extend(account.devices.iter().map(|(id, device)| {
        NodeBuilder::new("device").attr("id", *id).attr("key-index", device.key_index).build()
    }));
    let mut content = vec![NodeBuilder::new("device-list").children(list).build()];
    if !account.devices.is_empty() {
        let now = turn.now_secs();
        let key_index_list =
            NodeBuilder::new("key-index-list").attr("ts", now).bytes(account.phone.key_index_list(now));
        content.push(key_index_list.build());
    }
    NodeBuilder::new("devices").children(content).build()
}
