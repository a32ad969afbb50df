//! What happens in a session, as a log: durable events have a sequence number and can be read again; QR codes and states pass by.

use serde::{Deserialize, Serialize};

use crate::{Account, MessageId, Reason, SessionState};

/// Query of `GET /v1/events`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventsQuery {
    /// Only events after this sequence number. A stream without it starts with what happens next; a page without it at the oldest kept.
    /// A stream's `Last-Event-ID` header wins over it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// At most so many on a page (default 100, at most 1,000).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// A page of the log, oldest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventPage {
    /// The events.
    pub items: Vec<Event>,
    /// Ask with `after` = this for the next page. Less than the `after` that was asked for when the log does not reach so far
    /// (the volume was replaced): what was read before belongs to another log.
    pub next: u64,
    /// The oldest event that is kept (of an empty log: the first that will be). More than `after` + 1 means that the events in
    /// between are gone.
    #[serde(default)]
    pub oldest: u64,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Place in the log; none for events that are not kept (`qr`, `pairing_code`, `status`, `gap`). Also the SSE id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// When, Unix milliseconds.
    pub ts: u64,
    /// What; its name is the SSE event name too.
    #[serde(flatten)]
    pub data: EventData,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", content = "data", rename_all = "snake_case")]
#[non_exhaustive]
pub enum EventData {
    /// A new QR code waits for a phone. Not kept.
    Qr {
        /// The text that the QR code encodes.
        qr: String,
        /// When the next one replaces it, Unix milliseconds.
        #[serde(rename = "expiresAt")]
        expires_at: u64,
    },
    /// A pairing code waits to be typed into the phone. Not kept.
    PairingCode {
        /// The code.
        code: String,
        /// Until when it can be used, Unix milliseconds.
        #[serde(rename = "expiresAt")]
        expires_at: u64,
    },
    /// The state changed. Not kept.
    Status {
        /// The new state.
        state: SessionState,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Reason>,
    },
    /// On a stream only: the log does not begin where the reader wanted to go on. Not kept.
    Gap {
        /// The reader knows the log up to here.
        after: u64,
        /// The stream goes on with this event. Up to `after`, the log is another one: the volume was replaced.
        oldest: u64,
    },
    /// The session is open.
    SessionOpen {
        /// The account.
        me: Account,
    },
    /// The session was open and ended in a terminal state.
    SessionClosed {
        /// Which.
        state: SessionState,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Reason>,
    },
    /// Somebody wrote to the session's account.
    MessageReceived(InboundMessage),
    /// A sent message came further.
    MessageStatus(MessageStatus),
}

/// A message that somebody wrote to the session's account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InboundMessage {
    /// Its id; unique with `chat` and `from`.
    pub id: MessageId,
    /// Who wrote it: a phone-number JID whenever the number is known, else a LID.
    pub from: String,
    /// Where: `from` in a one-to-one chat, the group otherwise.
    pub chat: String,
    /// The sender's LID, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_lid: Option<String>,
    /// The sender's push name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push_name: Option<String>,
    /// Its text or caption.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Whether it was written in a group.
    pub is_group: bool,
    /// When it was written, Unix milliseconds.
    pub timestamp: u64,
    /// The id of the message that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quoted: Option<String>,
    /// The whole message as WhatsApp's protobuf in JSON (camelCase, bytes as base64, unset fields left out).
    pub message: serde_json::Value,
}

/// How far a sent message has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageStatus {
    /// Who it went to.
    pub to: String,
    /// Its id.
    pub message_id: MessageId,
    /// `SERVER_ACK`, `DELIVERY_ACK`, `READ`, `PLAYED` or `ERROR`.
    pub status: String,
    /// Why it failed, with `ERROR`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
}
