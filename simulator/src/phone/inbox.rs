//! What a person sees on the phone: messages in order of arrival, each shown once, however often it came.
//!
//! In: decoded messages with their envelope. Out: entries of the control API. Bounded to the newest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use waproto::codec;
use waproto::whatsapp as wa;

use super::{content, json};

/// At least this many entries are kept; older ones go in batches.
const KEEP: usize = 10_000;
const BATCH: usize = 1_000;
/// A message whose encoding is larger is not described in JSON.
const MAX_DESCRIBED: usize = 256 * 1024;

/// One message in the control API's shape.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InboxEntry {
    /// Counts up from 1 and is never used twice on one phone.
    pub seq: u64,
    /// The message id on the wire.
    pub id: String,
    /// Who wrote it: a JID, by number where the number is known.
    pub from: String,
    /// The writer's LID as a JID, where it is known.
    pub lid: Option<String>,
    /// The conversation: a JID, by number where the number is known.
    pub chat: String,
    /// The writer's device address exactly as on the wire.
    pub sender: String,
    /// `text`, `image`, `poll`, `revoke`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// The text or caption; empty if there is none.
    pub text: String,
    /// The whole decoded message: camelCase, bytes as base64; null if it is too large to describe.
    pub message: Value,
    /// Written by this account: on this phone or on a linked device.
    pub from_me: bool,
    /// Unix seconds from the stanza.
    pub timestamp: u64,
    /// How far the message has come.
    pub status: EntryStatus,
    /// How often the message arrived. A person sees it once; more than 1 means that a sender sent it again.
    pub deliveries: u32,
}

/// How far a message has come. Later ones are greater, except [`EntryStatus::Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryStatus {
    /// Composed here, not yet acknowledged by the server.
    Pending,
    /// Refused by the server.
    Error,
    /// Acknowledged by the server.
    Sent,
    /// Arrived: on the other side, or here.
    Delivered,
    /// Read: by the other side, or here.
    Read,
    /// Voice or video that was played by the other side.
    Played,
}

/// The envelope of a message that was understood.
pub(super) struct Arrival {
    pub(super) id: String,
    pub(super) from: String,
    pub(super) lid: Option<String>,
    pub(super) chat: String,
    pub(super) sender: String,
    pub(super) from_me: bool,
    pub(super) timestamp: u64,
    pub(super) status: EntryStatus,
}

impl Arrival {
    fn key(&self) -> String {
        key(&self.chat, &self.from, &self.id)
    }
}

/// The phone's messages.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Inbox {
    entries: Vec<InboxEntry>,
    /// (chat, sender, id) → seq.
    index: BTreeMap<String, u64>,
    last_seq: u64,
}

impl Inbox {
    /// Shows a message, or counts it when it was shown before.
    pub(super) fn show(&mut self, arrival: Arrival, message: &wa::Message) {
        if self.count_again(&arrival.chat, &arrival.from, &arrival.id) {
            return;
        }
        self.last_seq += 1;
        self.index.insert(arrival.key(), self.last_seq);
        self.entries.push(InboxEntry {
            seq: self.last_seq,
            kind: content::kind(message).name.to_owned(),
            text: content::text(message),
            message: describe(message),
            id: arrival.id,
            from: arrival.from,
            lid: arrival.lid,
            chat: arrival.chat,
            sender: arrival.sender,
            from_me: arrival.from_me,
            timestamp: arrival.timestamp,
            status: arrival.status,
            deliveries: 1,
        });
        if self.entries.len() >= KEEP + BATCH {
            for old in self.entries.drain(..BATCH) {
                self.index.remove(&key(&old.chat, &old.from, &old.id));
            }
        }
    }

    /// Counts another delivery of a message; false if it was never shown.
    pub(super) fn count_again(&mut self, chat: &str, from: &str, id: &str) -> bool {
        let Some(seq) = self.index.get(&key(chat, from, id)).copied() else { return false };
        if let Some(entry) = self.by_seq(seq) {
            entry.deliveries += 1;
        }
        true
    }

    /// Entries after `since`, oldest first.
    pub(super) fn since(&self, since: u64) -> &[InboxEntry] {
        &self.entries[self.entries.partition_point(|entry| entry.seq <= since)..]
    }

    /// Moves own messages with these ids forward, never back.
    pub(super) fn advance(&mut self, ids: &[String], status: EntryStatus) {
        for entry in self.entries.iter_mut().rev().filter(|e| e.from_me && ids.contains(&e.id)) {
            entry.status = entry.status.max(status);
        }
    }

    /// Marks other people's messages as read here; returns those that were not read before.
    pub(super) fn mark_read(&mut self, ids: &[String]) -> Vec<InboxEntry> {
        let unread = |e: &&mut InboxEntry| !e.from_me && e.status < EntryStatus::Read && ids.contains(&e.id);
        let marked = self.entries.iter_mut().filter(unread).map(|entry| {
            entry.status = EntryStatus::Read;
            entry.clone()
        });
        marked.collect()
    }

    fn by_seq(&mut self, seq: u64) -> Option<&mut InboxEntry> {
        let at = self.entries.binary_search_by_key(&seq, |entry| entry.seq).ok()?;
        self.entries.get_mut(at)
    }
}

fn key(chat: &str, from: &str, id: &str) -> String {
    format!("{chat} {from} {id}")
}

fn describe(message: &wa::Message) -> Value {
    if codec::message_encoded_len(message) > MAX_DESCRIBED {
        return Value::Null;
    }
    json::of(message).unwrap_or_default()
}
