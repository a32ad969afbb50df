//! What waits for one device until the device acknowledges it. Stanzas in, stanzas out; no sending.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use wacore_binary::Node;

use crate::xml;

/// A device that never comes back must not fill the memory: a full queue refuses messages.
const CAPACITY: usize = 50_000;

/// One device's unacknowledged stanzas, oldest first.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Queue {
    waiting: VecDeque<Queued>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Queued {
    /// The number of the account that it came from; none for the server's own.
    peer: Option<String>,
    #[serde(with = "super::stored::stanza")]
    stanza: Node,
}

/// How many of each kind wait.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Preview {
    /// `<message>` stanzas.
    pub messages: usize,
    /// `<receipt>` stanzas.
    pub receipts: usize,
    /// `<notification>` stanzas.
    pub notifications: usize,
}

impl Queue {
    /// Whether nothing more is taken.
    pub fn is_full(&self) -> bool {
        self.waiting.len() >= CAPACITY
    }

    /// How many stanzas wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Keeps a stanza until it is acknowledged.
    pub fn push(&mut self, peer: Option<&str>, stanza: Node) {
        self.waiting.push_back(Queued { peer: peer.map(str::to_owned), stanza });
    }

    /// What waits, oldest first.
    pub fn stanzas(&self) -> impl Iterator<Item = &Node> {
        self.waiting.iter().map(|queued| &queued.stanza)
    }

    /// Counts what waits.
    pub fn preview(&self) -> Preview {
        let mut preview = Preview::default();
        for stanza in self.stanzas() {
            match stanza.tag.as_ref() {
                "message" => preview.messages += 1,
                "receipt" => preview.receipts += 1,
                _ => preview.notifications += 1,
            }
        }
        preview
    }

    /// Drops the oldest stanza that `ack` answers: its class, id and, where known, peer and type agree.
    pub fn acknowledge(&mut self, class: &str, id: &str, peer: Option<&str>, kind: Option<&str>) {
        let found = self.waiting.iter().position(|queued| {
            queued.stanza.tag == class
                && xml::is(&queued.stanza, "id", id)
                && (peer.is_none() || queued.peer.is_none() || queued.peer.as_deref() == peer)
                && (kind.is_none() || xml::text(&queued.stanza, "type").as_deref() == kind)
        });
        if let Some(position) = found {
            self.waiting.remove(position);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wacore_binary::builder::NodeBuilder;

    fn stanza(tag: &'static str, id: &str, kind: &str) -> Node {
        NodeBuilder::new(tag).attr("id", id).attr("type", kind).build()
    }

    fn ids(queue: &Queue) -> Vec<String> {
        queue.stanzas().map(|stanza| format!("{}:{}", stanza.tag, xml::text(stanza, "id").unwrap())).collect()
    }

    #[test]
    fn only_what_is_acknowledged_leaves_the_queue() {
        let mut queue = Queue::default();
        queue.push(Some("1"), stanza("message", "A", "text"));
        queue.push(Some("2"), stanza("message", "A", "text"));
        queue.push(Some("1"), stanza("receipt", "A", "read"));
        queue.acknowledge("message", "B", Some("1"), None);
        queue.acknowledge("receipt", "A", Some("1"), Some("played"));
        assert_eq!(queue.len(), 3);
        queue.acknowledge("message", "A", Some("2"), None);
        queue.acknowledge("receipt", "A", Some("1"), Some("read"));
        assert_eq!(ids(&queue), ["message:A"]);
        assert_eq!(queue.preview(), Preview { messages: 1, ..Preview::default() });
    }

    #[test]
    fn a_snapshot_keeps_the_order() {
        let mut queue = Queue::default();
        queue.push(None, stanza("notification", "N", "encrypt"));
        queue.push(Some("1"), stanza("message", "M", "text"));
        let text = serde_json::to_string(&queue).unwrap();
        let again: Queue = serde_json::from_str(&text).unwrap();
        assert_eq!(ids(&again), ["notification:N", "message:M"]);
    }
}
