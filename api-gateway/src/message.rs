//! The rules of a message that can be sent.
//!
//! Comes in: the fields of a request, as written. Goes out: a [`SendRequest`] for the session, or the rule that is broken. Pure.

use session_api::message::MAX_TEXT_BYTES;
use session_api::{Content, MessageId, Quoted, Recipient, SendRequest};

use crate::error::ApiError;

/// Most people that one message can mention (as many as a group holds).
pub const MAX_MENTIONS: usize = 1024;

/// The fields of a text as their sender wrote them.
#[derive(Debug, Clone, Default)]
pub struct TextFields {
    /// Number or JID.
    pub to: String,
    /// The text.
    pub text: String,
    /// Numbers or JIDs.
    pub mentions: Vec<String>,
    /// The message that is answered.
    pub quoted: Option<QuotedFields>,
}

/// Names the message that is answered.
#[derive(Debug, Clone)]
pub struct QuotedFields {
    /// Its id.
    pub id: String,
    /// Who wrote it.
    pub participant: Option<String>,
}

/// The request to the session, or what is wrong.
pub fn text(fields: TextFields) -> Result<SendRequest, ApiError> {
    let to = recipient("to", &fields.to)?;
    if fields.text.trim().is_empty() {
        return Err(ApiError::EmptyText);
    }
    if fields.text.len() > MAX_TEXT_BYTES {
        return Err(ApiError::TextTooLong { limit: MAX_TEXT_BYTES });
    }
    if fields.mentions.len() > MAX_MENTIONS {
        let problem = format!("at most {MAX_MENTIONS} people can be mentioned");
        return Err(ApiError::InvalidBody { field: "mentions".to_owned(), problem });
    }
    let mentions = fields.mentions.iter().enumerate();
    let mentions =
        mentions.map(|(at, who)| recipient(&format!("mentions[{at}]"), who)).collect::<Result<_, _>>()?;
    let quoted = fields.quoted.map(quoted).transpose()?;
    Ok(SendRequest {
        id: None,
        to,
        content: Content::Text { text: fields.text, mentions },
        quoted,
        wait_ms: None,
    })
}

fn quoted(fields: QuotedFields) -> Result<Quoted, ApiError> {
    let id = MessageId::try_from(fields.id)
        .map_err(|problem| ApiError::InvalidBody { field: "quoted.id".to_owned(), problem })?;
    let participant = fields.participant.map(|who| recipient("quoted.participant", &who)).transpose()?;
    Ok(Quoted { id, participant })
}

fn recipient(field: &str, text: &str) -> Result<Recipient, ApiError> {
    text.parse().map_err(|_| ApiError::InvalidRecipient { field: field.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> TextFields {
        TextFields {
            to: "+62 812-3456-7890".to_owned(),
            text: "Halo @kamu".to_owned(),
            ..TextFields::default()
        }
    }

    #[test]
    fn a_text_reads_as_its_sender_meant() {
        let request = text(TextFields {
            mentions: vec!["6281234567890".to_owned()],
            quoted: Some(QuotedFields {
                id: "3EB0AA".to_owned(),
                participant: Some("62811111111".to_owned()),
            }),
            ..fields()
        })
        .unwrap();
        assert_eq!(
            serde_json::to_value(request).unwrap(),
            serde_json::json!({
                "to": "6281234567890@s.whatsapp.net",
                "content": {"type": "text", "text": "Halo @kamu", "mentions": ["6281234567890@s.whatsapp.net"]},
                "quoted": {"id": "3EB0AA", "participant": "62811111111@s.whatsapp.net"},
            })
        );
    }

    #[track_caller]
    fn refused(fields: TextFields, code: &str, field: &str) {
        let body = text(fields).unwrap_err().body();
        assert_eq!((body.code.as_str(), &body.details["field"]), (code, &serde_json::json!(field)));
    }

    #[test]
    fn what_cannot_be_sent_is_named() {
        refused(TextFields { to: "nobody".to_owned(), ..fields() }, "invalid_recipient", "to");
        refused(TextFields { text: " \n".to_owned(), ..fields() }, "empty_text", "text");
        refused(TextFields { text: "x".repeat(MAX_TEXT_BYTES + 1), ..fields() }, "text_too_long", "text");
        let mentions = vec!["6281234567890".to_owned(), "@".to_owned()];
        refused(TextFields { mentions, ..fields() }, "invalid_recipient", "mentions[1]");
        let mentions = vec!["6281234567890".to_owned(); MAX_MENTIONS + 1];
        refused(TextFields { mentions, ..fields() }, "invalid_body", "mentions");
        let quoted = |id: &str, participant: Option<&str>| {
            let quoted = QuotedFields { id: id.to_owned(), participant: participant.map(str::to_owned) };
            TextFields { quoted: Some(quoted), ..fields() }
        };
        refused(quoted("no id", None), "invalid_body", "quoted.id");
        refused(quoted("3EB0", Some("x")), "invalid_recipient", "quoted.participant");
        assert!(text(TextFields { text: "x".repeat(MAX_TEXT_BYTES), ..fields() }).is_ok());
    }
}
