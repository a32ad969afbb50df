//! Reading and building stanzas with few words. Nodes in, nodes out.

use std::fmt::Write;

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, NodeContent, NodeValue};

use crate::address::server;

/// An attribute as text.
pub(crate) fn text<'a>(node: &'a Node, name: &str) -> Option<std::borrow::Cow<'a, str>> {
    node.attrs.get(name).map(NodeValue::as_str)
}

/// Whether an attribute has exactly this value.
pub(crate) fn is(node: &Node, name: &str, value: &str) -> bool {
    text(node, name).is_some_and(|found| found == value)
}

/// An attribute as a JID.
pub(crate) fn jid(node: &Node, name: &str) -> Option<Jid> {
    node.attrs.get(name).and_then(NodeValue::to_jid)
}

/// The children, none when there is other content.
pub(crate) fn children(node: &Node) -> &[Node] {
    node.children().unwrap_or_default()
}

/// The first child's tag, or nothing.
pub(crate) fn first_tag(node: &Node) -> &str {
    children(node).first().map_or("", |child| child.tag.as_ref())
}

/// A node's content as bytes, whichever way it was encoded.
pub(crate) fn bytes(node: &Node) -> Option<Vec<u8>> {
    match &node.content {
        Some(NodeContent::Bytes(bytes)) => Some(bytes.clone()),
        Some(NodeContent::String(text)) => Some(text.as_bytes().to_vec()),
        Some(NodeContent::Nodes(_)) | None => None,
    }
}

/// The bytes of the child at `path`.
pub(crate) fn bytes_at(node: &Node, path: &[&str]) -> Option<Vec<u8>> {
    node.get_optional_child_by_tag(path).and_then(bytes)
}

/// The bytes of the child at `path`, when they have exactly `N` of them.
pub(crate) fn array_at<const N: usize>(node: &Node, path: &[&str]) -> Option<[u8; N]> {
    bytes_at(node, path)?.try_into().ok()
}

/// A big-endian number of up to four bytes at `path`.
pub(crate) fn number_at(node: &Node, path: &[&str]) -> Option<u32> {
    let bytes = bytes_at(node, path)?;
    (1..=4)
        .contains(&bytes.len())
        .then(|| bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
}

/// A key id as WhatsApp writes it: three bytes, big-endian.
pub(crate) fn key_id(id: u32) -> Vec<u8> {
    id.to_be_bytes()[1..].to_vec()
}

/// A child that holds bytes.
pub(crate) fn leaf(tag: &'static str, content: impl Into<Vec<u8>>) -> Node {
    NodeBuilder::new(tag).bytes(content).build()
}

/// A successful answer to an iq.
pub(crate) fn result(iq: &Node, content: Vec<Node>) -> Node {
    let answer = NodeBuilder::new("iq")
        .attr("from", server())
        .attr("type", "result")
        .attr("id", text(iq, "id").unwrap_or_default().as_ref());
    if content.is_empty() { answer.build() } else { answer.children(content).build() }
}

/// A refusal of an iq.
pub(crate) fn error(iq: &Node, code: u16, reason: &str) -> Node {
    let error = NodeBuilder::new("error").attr("code", code).attr("text", reason).build();
    NodeBuilder::new("iq")
        .attr("from", server())
        .attr("type", "error")
        .attr("id", text(iq, "id").unwrap_or_default().as_ref())
        .children([error])
        .build()
}

/// The server's acknowledgement of a client's stanza.
pub(crate) fn ack(stanza: &Node, class: &'static str, now_secs: u64) -> NodeBuilder {
    let mut ack = NodeBuilder::new("ack")
        .attr("class", class)
        .attr("id", text(stanza, "id").unwrap_or_default().as_ref())
        .attr("t", now_secs);
    if let Some(to) = stanza.attrs.get("to") {
        ack = ack.attr("from", to.clone());
    }
    for name in ["type", "participant"] {
        if class == "receipt"
            && let Some(value) = stanza.attrs.get(name)
        {
            ack = ack.attr(name, value.clone());
        }
    }
    ack
}

/// A stanza as one line of XML for people. Bytes appear as their count, long texts are cut.
pub(crate) fn describe(node: &Node) -> String {
    let mut text = String::new();
    write_node(node, &mut text, 0);
    text
}

/// Deeper or wider than this is not worth reading.
const SHOWN_DEPTH: usize = 8;
const SHOWN_CHILDREN: usize = 16;
const SHOWN_TEXT: usize = 64;

fn write_node(node: &Node, text: &mut String, depth: usize) {
    text.push('<');
    text.push_str(&node.tag);
    for (name, value) in node.attrs.iter() {
        let _ = write!(text, " {name}=\"{}\"", cut(&value.as_str()));
    }
    if node.content.is_none() {
        text.push_str("/>");
        return;
    }
    text.push('>');
    match &node.content {
        Some(NodeContent::Nodes(nodes)) if depth < SHOWN_DEPTH => {
            for child in nodes.iter().take(SHOWN_CHILDREN) {
                write_node(child, text, depth + 1);
            }
            if nodes.len() > SHOWN_CHILDREN {
                text.push('…');
            }
        }
        Some(NodeContent::Nodes(_)) => text.push('…'),
        Some(NodeContent::Bytes(bytes)) => {
            let _ = write!(text, "({} bytes)", bytes.len());
        }
        Some(NodeContent::String(content)) => text.push_str(&cut(content)),
        None => {}
    }
    let _ = write!(text, "</{}>", node.tag);
}

fn cut(text: &str) -> String {
    text.chars().take(SHOWN_TEXT).collect()
}
