//! Messages that the phone has sent, kept for devices that could not read them and ask again.
//!
//! In: what was sent. Out: the same, as often as a device may ask. Bounded to the newest.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::DeviceAddress;

const MAX_SENT: usize = 1_000;
/// A device gets a message again at most this often.
pub(super) const MAX_RESENDS: u8 = 5;

/// One sent message.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Sent {
    pub(super) id: String,
    /// Where it went: a person's or a group's JID without a device, or a companion's JID for peer messages.
    pub(super) to: String,
    /// The encoded `wa::Message`, not padded.
    pub(super) message: Vec<u8>,
    /// `category="peer"`: housekeeping between own devices.
    pub(super) peer: bool,
    /// How often each device got it again.
    resent: BTreeMap<String, u8>,
}

impl Sent {
    /// Whether it went to a group.
    pub(super) fn is_for_group(&self) -> bool {
        self.to.ends_with("@g.us")
    }
}

/// Sent messages, oldest first.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Outbox(VecDeque<Sent>);

impl Outbox {
    pub(super) fn keep(&mut self, id: &str, to: String, message: Vec<u8>, peer: bool) {
        if self.0.len() >= MAX_SENT {
            self.0.pop_front();
        }
        self.0.push_back(Sent { id: id.to_owned(), to, message, peer, resent: BTreeMap::new() });
    }

    pub(super) fn get(&self, id: &str) -> Option<&Sent> {
        self.0.iter().rev().find(|sent| sent.id == id)
    }

    /// Counts a resend to a device; `None` when the message is gone or was sent often enough.
    pub(super) fn again(&mut self, id: &str, device: &DeviceAddress) -> Option<Sent> {
        let sent = self.0.iter_mut().rev().find(|sent| sent.id == id)?;
        let count = sent.resent.entry(device.jid().to_string()).or_default();
        if *count >= MAX_RESENDS {
            return None;
        }
        *count += 1;
        Some(sent.clone())
    }
}
