//! What a person sees on the phone: messages in order of arrival, each shown once, however often it came.
//!
//! In: decoded messages with their envelope. Out: entries of the control API. Bounded to the newest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use waproto::codec;
use waproto::whatsapp as wa;

use super::media::{Attachment, FetchFile, MediaKind};
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
    /// The file that the message carries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media: Option<EntryMedia>,
    /// Written by this account: on this phone or on a linked device.
    pub from_me: bool,
    /// Unix seconds from the stanza.
    pub timestamp: u64,
    /// How far the message has come.
    pub status: EntryStatus,
    /// How often the message arrived. A person sees it once; more than 1 means that a sender sent it again.
    pub deliveries: u32,
}

/// A file as a person has it on the phone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EntryMedia {
    /// What it is.
    pub kind: MediaKind,
    /// As the sender says.
    pub mime_type: String,
    /// As the sender says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_name: Option<String>,
    /// What is written under it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caption: Option<String>,
    /// Bytes: decrypted, or as the sender says as long as they are not.
    pub size: Option<u64>,
    /// SHA-256 of the decrypted bytes, hex; null as long as they are not.
    pub sha256: Option<String>,
    /// Why the file could not be fetched or decrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
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

impl EntryMedia {
    /// What the sender says about a file that is not here yet.
    fn promised(attachment: &Attachment) -> Self {
        Self {
            kind: attachment.kind,
            mime_type: attachment.mime_type.clone(),
            file_name: attachment.file_name.clone(),
            caption: attachment.caption.clone(),
            size: attachment.size,
            sha256: None,
            error: None,
        }
    }
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
    /// The files that entries carry, by seq.
    #[serde(default)]
    attachments: BTreeMap<u64, Attachment>,
    /// Entries whose files have not been fetched yet.
    #[serde(default)]
    to_fetch: Vec<u64>,
}

impl Inbox {
    /// Shows a message, or counts it when it was shown before.
    pub(super) fn show(&mut self, arrival: Arrival, message: &wa::Message) {
        if self.count_again(&arrival.chat, &arrival.from, &arrival.id) {
            return;
        }
        self.last_seq += 1;
        self.index.insert(arrival.key(), self.last_seq);
        let attachment = Attachment::of(message);
        let media = attachment.as_ref().map(EntryMedia::promised);
        if let Some(attachment) = attachment {
            self.attachments.insert(self.last_seq, attachment);
            self.to_fetch.push(self.last_seq);
        }
        self.entries.push(InboxEntry {
            seq: self.last_seq,
            kind: content::kind(message).name.to_owned(),
            text: content::text(message),
            message: describe(message),
            media,
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
                self.attachments.remove(&old.seq);
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

    /// The file of an entry.
    pub(super) fn attachment(&self, seq: u64) -> Option<&Attachment> {
        self.attachments.get(&seq)
    }

    /// Whether entries wait for their files.
    pub(super) fn waits_for_files(&self) -> bool {
        !self.to_fetch.is_empty()
    }

    /// Fetches and opens the files that entries wait for.
    pub(super) fn open_files(&mut self, fetch: &mut FetchFile<'_>) {
        for seq in std::mem::take(&mut self.to_fetch) {
            let opened = self.attachments.get(&seq).map(|attachment| attachment.fetch(fetch));
            let media = self.by_seq(seq).and_then(|entry| entry.media.as_mut());
            match (opened, media) {
                (Some(Ok(plain)), Some(media)) => {
                    media.size = u64::try_from(plain.len()).ok();
                    media.sha256 = Some(hex::encode(Sha256::digest(&plain)));
                }
                (Some(Err(error)), Some(media)) => media.error = Some(error.to_string()),
                (None, _) | (_, None) => {}
            }
        }
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
