//! Stanzas that nobody here understood: a list that tests read, so that a gap in the simulator is seen.

use std::collections::VecDeque;

use serde::Serialize;
use wacore_binary::Node;

use crate::address::DeviceId;
use crate::xml;

/// The list keeps the newest.
const KEPT: usize = 1000;

/// One stanza that was not understood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UnknownStanza {
    /// Unix seconds.
    pub at: u64,
    /// The sending account's number; none while pairing.
    pub number: Option<String>,
    /// The sending device.
    pub device: Option<u16>,
    /// The stanza as XML; bytes are shown as their count.
    pub stanza: String,
}

/// The newest stanzas that were not understood.
#[derive(Debug, Default)]
pub struct Unknown {
    items: VecDeque<UnknownStanza>,
}

impl Unknown {
    /// Notes a stanza.
    pub fn note(&mut self, from: Option<&DeviceId>, stanza: &Node, now_secs: u64) {
        if self.items.len() == KEPT {
            self.items.pop_front();
        }
        self.items.push_back(UnknownStanza {
            at: now_secs,
            number: from.map(|id| id.number.clone()),
            device: from.map(|id| id.device),
            stanza: xml::describe(stanza),
        });
    }

    /// Oldest first.
    pub fn items(&self) -> impl Iterator<Item = &UnknownStanza> {
        self.items.iter()
    }
}
