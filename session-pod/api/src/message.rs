//! What a session can send, and what it answers. Shapes only; whether a recipient exists is WhatsApp's to say.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Recipient;

/// Longest text of a message, in bytes (WhatsApp's own limit is 65,536 characters).
pub const MAX_TEXT_BYTES: usize = 65_536;

/// Body of `POST /v1/messages`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SendRequest {
    /// The id the message shall have on WhatsApp. Without one the pod makes it. The same id and content again answers
    /// what became of the first and sends nothing; the same id with other content is 422 `duplicate_id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<MessageId>,
    /// Who gets it.
    pub to: Recipient,
    /// What it says.
    pub content: Content,
    /// The message that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quoted: Option<Quoted>,
    /// How long to wait for WhatsApp's acknowledgement, milliseconds (default 20,000, at most 60,000).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Content {
    /// A text, 1 to [`MAX_TEXT_BYTES`] bytes.
    Text {
        /// The text.
        text: String,
        /// Who is mentioned. Each should stand in the text as `@<number>`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        mentions: Vec<Recipient>,
    },
}

/// Names the message that is answered: `"<id>"` or `{"id": …, "participant": …}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "QuotedForm")]
pub struct Quoted {
    /// Its id.
    pub id: MessageId,
    /// Who wrote it. Needed only where the session no longer remembers the message, in groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub participant: Option<Recipient>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum QuotedForm {
    Id(MessageId),
    Full {
        id: MessageId,
        #[serde(default)]
        participant: Option<Recipient>,
    },
}

impl From<QuotedForm> for Quoted {
    fn from(form: QuotedForm) -> Self {
        match form {
            QuotedForm::Id(id) => Self { id, participant: None },
            QuotedForm::Full { id, participant } => Self { id, participant },
        }
    }
}

/// Answer of `POST /v1/messages`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendResponse {
    /// The message's id on WhatsApp.
    pub id: MessageId,
    /// How far it has come.
    pub status: SendStatus,
}

/// How far a send has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SendStatus {
    /// WhatsApp's server has acknowledged it.
    Sent,
    /// It is stored and will be sent; the outcome follows as a `message_status` event.
    Queued,
}

/// A WhatsApp message id: 1 to 64 ASCII letters, digits, `-`, `_` or `.`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MessageId(String);

impl MessageId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for MessageId {
    type Error = String;

    fn try_from(id: String) -> Result<Self, Self::Error> {
        let fits = (1..=64).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        if fits {
            Ok(Self(id))
        } else {
            Err("a message id is 1 to 64 letters, digits, '-', '_' or '.'".to_owned())
        }
    }
}

impl From<MessageId> for String {
    fn from(id: MessageId) -> Self {
        id.0
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_takes_an_id_or_an_object() {
        let plain: Quoted = serde_json::from_str(r#""3EB0AA""#).unwrap();
        assert_eq!(plain.id.as_str(), "3EB0AA");
        let full: Quoted = serde_json::from_str(r#"{"id":"3EB0AA","participant":"628123456789"}"#).unwrap();
        assert_eq!(full.participant.unwrap().to_string(), "628123456789@s.whatsapp.net");
    }

    #[test]
    fn message_ids_are_bounded() {
        for bad in ["", "a b", "ä", &"x".repeat(65)] {
            assert!(MessageId::try_from(bad.to_owned()).is_err(), "{bad:?}");
        }
        assert!(MessageId::try_from("3EB0C767D097E7B8".to_owned()).is_ok());
    }

    #[test]
    fn a_request_reads_as_documented() {
        let text = r#"{"to":"+62 812-3456-789","content":{"type":"text","text":"hi"},"waitMs":5}"#;
        let request: SendRequest = serde_json::from_str(text).unwrap();
        assert_eq!(request.to.to_string(), "628123456789@s.whatsapp.net");
        assert_eq!(request.wait_ms, Some(5));
    }
}
