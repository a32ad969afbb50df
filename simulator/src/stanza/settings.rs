//! `<iq>` for server settings: experiments (`abt`, `w`), blocklist, privacy and dirty marks. An iq in, its answer out;
//! nothing is kept, every account has the defaults.
//!
//! Source: whatsapp-rust `iq/{props,blocklist,privacy}.rs`, Baileys `chats.js`.

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use crate::xml;

/// WhatsApp's privacy categories with the values of a new account.
const PRIVACY: [(&str, &str); 8] = [
    ("last", "all"),
    ("online", "all"),
    ("profile", "all"),
    ("status", "contacts"),
    ("readreceipts", "all"),
    ("groupadd", "all"),
    ("calladd", "all"),
    ("messages", "all"),
];

/// The answer, or nothing for what is not known.
pub(crate) fn apply(iq: &Node) -> Option<Node> {
    let kind = xml::text(iq, "type")?;
    let namespace = xml::text(iq, "xmlns")?;
    let content = match (kind.as_ref(), namespace.as_ref(), xml::first_tag(iq)) {
        ("get", "abt" | "w", "props") => vec![props(iq)],
        ("get", "blocklist", _) => vec![NodeBuilder::new("list").attr("dhash", "none").build()],
        ("get", "privacy", "privacy") => vec![privacy()],
        ("set", "privacy", "tokens") | ("set", "urn:xmpp:whatsapp:dirty", "clean") => Vec::new(),
        _ => return None,
    };
    Some(xml::result(iq, content))
}

fn props(iq: &Node) -> Node {
    let protocol =
        iq.get_optional_child("props").and_then(|props| xml::text(props, "protocol")).unwrap_or_default();
    NodeBuilder::new("props")
        .attr("protocol", protocol.as_ref())
        .attr("ab_key", "simulator")
        .attr("hash", "simulator")
        .attr("refresh", "86400")
        .attr("refresh_id", "1")
        .children([])
        .build()
}

fn privacy() -> Node {
    let categories = PRIVACY
        .iter()
        .map(|(name, value)| NodeBuilder::new("category").attr("name", *name).attr("value", *value).build());
    NodeBuilder::new("privacy").children(categories).build()
}
