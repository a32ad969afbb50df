//! Looking into stanzas: attributes and contents, whatever form they came in.

use wacore_binary::{Jid, Node, NodeContent, NodeValue};

/// An attribute as text.
pub(super) fn text(node: &Node, name: &str) -> Option<String> {
    node.attrs.get(name).map(|value| value.as_str().into_owned())
}

/// An attribute as a JID.
pub(super) fn jid(node: &Node, name: &str) -> Option<Jid> {
    node.attrs.get(name).and_then(NodeValue::to_jid)
}

/// The content of a leaf.
pub(super) fn bytes(node: &Node) -> Option<&[u8]> {
    match node.content.as_ref()? {
        NodeContent::Bytes(bytes) => Some(bytes),
        NodeContent::String(text) => Some(text.as_bytes()),
        NodeContent::Nodes(_) => None,
    }
}
