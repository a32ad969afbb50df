//! `/api/messages/text`: sends a text.
//!
//! Comes in: the fields of the request. Goes out: the message's id and how far it has come. The rules are in [`crate::message`].

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use session_api::{SendResponse, SendStatus};
use utoipa::ToSchema;

use crate::app::AppState;
use crate::error::ApiResult;
use crate::extract::Json;
use crate::keys::Caller;
use crate::message::{self, QuotedFields, TextFields};
use crate::openapi::ErrorAnswer;

/// A text to send.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TextBody {
    /// Which session sends.
    #[schema(example = "my-session-1")]
    pub session_id: String,
    /// A number with or without `+`, spaces and dashes, or a JID (`…@s.whatsapp.net`, `…@g.us`, `…@lid`, `…@c.us`).
    #[schema(example = "6281234567890")]
    pub to: String,
    /// The text, 1 to 65,536 bytes.
    #[schema(example = "Halo @kamu")]
    pub text: String,
    /// Who is mentioned, in the forms of `to`. `null` is none.
    #[schema(example = json!(["6281234567890"]))]
    pub mentions: Option<Vec<String>>,
    /// The message that is answered: its id, or `{id, participant?}`.
    pub quoted: Option<QuotedBody>,
}

/// Names the message that is answered.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(untagged)]
#[schema(title = "Quoted", example = json!("3EB0C767D097E7B8"))]
pub enum QuotedBody {
    /// Its id.
    Id(String),
    /// Its id, and who wrote it: needed only in groups, where the session no longer remembers the message.
    Full {
        /// Its id.
        id: String,
        /// Who wrote it.
        participant: Option<String>,
    },
}

impl<'de> Deserialize<'de> for QuotedBody {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Full {
            id: String,
            participant: Option<String>,
        }
        let value = serde_json::Value::deserialize(from)?;
        if let Some(id) = value.as_str() {
            return Ok(Self::Id(id.to_owned()));
        }
        if !value.is_object() {
            return Err(serde::de::Error::custom("a message id, or {id, participant?}, is needed"));
        }
        let Full { id, participant } = serde_json::from_value(value).map_err(serde::de::Error::custom)?;
        Ok(Self::Full { id, participant })
    }
}

impl From<QuotedBody> for QuotedFields {
    fn from(quoted: QuotedBody) -> Self {
        match quoted {
            QuotedBody::Id(id) => Self { id, participant: None },
            QuotedBody::Full { id, participant } => Self { id, participant },
        }
    }
}

/// Answer of a send.
#[derive(Debug, Serialize, ToSchema)]
pub struct Sent {
    /// Always true.
    pub ok: bool,
    /// The message's id on WhatsApp.
    #[schema(example = "3EB0C767D097E7B8")]
    pub id: String,
    /// How far it has come.
    pub status: SentStatus,
}

/// How far a send has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SentStatus {
    /// WhatsApp's server has acknowledged it.
    Sent,
    /// It is stored and will be sent; `message_status` follows on Socket.IO and in the session's log.
    Queued,
}

impl From<SendStatus> for SentStatus {
    fn from(status: SendStatus) -> Self {
        match status {
            SendStatus::Sent => Self::Sent,
            SendStatus::Queued => Self::Queued,
        }
    }
}

impl SentStatus {
    const fn http(self) -> StatusCode {
        match self {
            Self::Sent => StatusCode::OK,
            Self::Queued => StatusCode::ACCEPTED,
        }
    }
}

/// Sends a text.
///
/// 200 `sent` means that WhatsApp's server has acknowledged it, 202 `queued` that it is stored and will be
/// sent. An answer that does not come (`outcome_unknown`) may mean either: look at the session's events before sending again.
#[utoipa::path(
    post, path = "/api/messages/text", tag = "Messages", request_body = TextBody,
    responses(
        (status = 200, body = Sent), (status = 202, body = Sent, description = "`queued`"),
        (status = 400, body = ErrorAnswer, description = "`invalid_recipient`, `empty_text`, `text_too_long`, `invalid_body`, `invalid_json`"),
        (status = 404, body = ErrorAnswer, description = "`session_not_found`"),
        (status = 409, body = ErrorAnswer, description = "`session_not_open`, with the session's status"),
        (status = 413, body = ErrorAnswer, description = "`payload_too_large`"),
        (status = 503, body = ErrorAnswer, description = "`session_unavailable` and others, with `retryAfterMs`: not sent"),
        (status = 504, body = ErrorAnswer, description = "`outcome_unknown`"),
    ),
)]
pub async fn text(
    State(state): State<AppState>,
    caller: Caller,
    Json(body): Json<TextBody>,
) -> ApiResult<(StatusCode, axum::Json<Sent>)> {
    let session = state.session(&caller, &body.session_id)?;
    let quoted = body.quoted.map(QuotedFields::from);
    let mentions = body.mentions.unwrap_or_default();
    let request = message::text(TextFields { to: body.to, text: body.text, mentions, quoted })?;
    let pod = state.pod(&session)?;
    let sent = state.pods.send(&pod, &request).await;
    let SendResponse { id, status } = sent.map_err(|error| state.explain(&session, error))?;
    let status = SentStatus::from(status);
    Ok((status.http(), axum::Json(Sent { ok: true, id: id.into(), status })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_message_is_named_in_two_ways() {
        let read = |text: &str| serde_json::from_str::<QuotedBody>(text);
        assert_eq!(read("\"3EB0\"").unwrap(), QuotedBody::Id("3EB0".to_owned()));
        let full = read("{\"id\":\"3EB0\",\"participant\":\"62811111111\"}").unwrap();
        let participant = Some("62811111111".to_owned());
        assert_eq!(full, QuotedBody::Full { id: "3EB0".to_owned(), participant });
        assert!(read("7").unwrap_err().to_string().contains("a message id"));
        assert!(read("{}").unwrap_err().to_string().contains("`id`"));
    }
}
