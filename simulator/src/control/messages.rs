//! `/phones/{number}/messages` and `/read`: what a person sees, writes and reads on the phone.

use std::time::Duration;

use axum::extract::State;
use buffa::MessageField;
use serde::Deserialize;
use serde_json::{Value, json};
use waproto::whatsapp as wa;

use super::App;
use super::error::ApiError;
use super::extract::{Json, Path, Query};
use super::media::{self, NewFile};
use crate::phone::{InboxEntry, read_message};
use crate::world::World;
use crate::world::account::AccountError;

/// WhatsApp's limit for a text.
const MAX_TEXT: usize = 65_536;
/// The longest wait of a long poll, in seconds.
const MAX_WAIT: u64 = 60;
/// Message ids in one read request.
const MAX_IDS: usize = 1000;

/// `GET /phones/{number}/messages?since=&wait=`.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    #[serde(default)]
    since: u64,
    /// Seconds to wait for the first entry.
    #[serde(default)]
    wait: u64,
}

/// `POST /phones/{number}/messages`: one of `text`, `media` and `message`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewMessage {
    /// A number, a JID or a group's id.
    to: String,
    text: Option<String>,
    /// The id of the message in this phone's inbox that the text answers.
    quoted: Option<String>,
    media: Option<NewFile>,
    /// WhatsApp's protobuf in JSON: camelCase, bytes as base64.
    message: Option<Value>,
}

/// `POST /phones/{number}/read`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Read {
    ids: Vec<String>,
}

pub(super) async fn list(
    State(app): State<App>,
    Path(number): Path<String>,
    Query(page): Query<Page>,
) -> Result<Json<Value>, ApiError> {
    app.hub.look(|world| world.account(&number).map(|_| ()))?;
    let wait = Duration::from_secs(page.wait.min(MAX_WAIT));
    let entries = app
        .hub
        .wait_for(wait, |world| {
            let entries = inbox(world, &number, page.since).unwrap_or_default();
            (!entries.is_empty()).then_some(entries)
        })
        .await
        .unwrap_or_default();
    let next = entries.last().map_or(page.since, |entry| entry.seq);
    Ok(Json(json!({ "items": entries, "next": next })))
}

fn inbox(world: &World, number: &str, since: u64) -> Result<Vec<InboxEntry>, AccountError> {
    Ok(world.account(number)?.phone.inbox(since).to_vec())
}

pub(super) async fn send(
    State(app): State<App>,
    Path(number): Path<String>,
    Json(new): Json<NewMessage>,
) -> Result<Json<Value>, ApiError> {
    let NewMessage { to, text, quoted, media, message } = new;
    app.hub.look(|world| world.may_write(&number, &to))?;
    let message = match (text, media, message) {
        (Some(text), None, None) => written(&app, &number, text, quoted.as_deref())?,
        (None, Some(file), None) if quoted.is_none() => media::upload(&app, &number, file).await?,
        (None, None, Some(message)) if quoted.is_none() => {
            read_message(&message).map_err(|error| ApiError::bad_request(error.to_string()))?
        }
        _ => {
            let text = "give one of `text` (perhaps with `quoted`), `media` and `message`";
            return Err(ApiError::bad_request(text));
        }
    };
    let id = app.hub.turn(|world, turn| world.phone_writes(turn, &number, &to, message))?;
    Ok(Json(json!({ "id": id })))
}

fn written(app: &App, number: &str, text: String, quoted: Option<&str>) -> Result<wa::Message, ApiError> {
    if text.is_empty() || text.chars().count() > MAX_TEXT {
        return Err(ApiError::bad_request(format!("text has 1 to {MAX_TEXT} characters")));
    }
    match quoted {
        None => Ok(wa::Message { conversation: Some(text), ..Default::default() }),
        Some(quoted) => app.hub.look(|world| answer(world, number, &text, quoted)),
    }
}

/// A text that quotes a message of the phone's inbox.
fn answer(world: &World, number: &str, text: &str, quoted: &str) -> Result<wa::Message, ApiError> {
    let entry = inbox(world, number, 0)?
        .into_iter()
        .find(|entry| entry.id == quoted)
        .ok_or_else(|| ApiError::not_found("the phone has no message with the id in `quoted`"))?;
    let context = wa::ContextInfo {
        stanza_id: Some(entry.id),
        participant: Some(entry.from),
        quoted_message: MessageField::some(wa::Message {
            conversation: Some(entry.text),
            ..Default::default()
        }),
        ..Default::default()
    };
    Ok(wa::Message {
        extended_text_message: MessageField::some(wa::message::ExtendedTextMessage {
            text: Some(text.to_owned()),
            context_info: MessageField::some(context),
            ..Default::default()
        }),
        ..Default::default()
    })
}

pub(super) async fn read(
    State(app): State<App>,
    Path(number): Path<String>,
    Json(read): Json<Read>,
) -> Result<Json<Value>, ApiError> {
    if read.ids.is_empty() || read.ids.len() > MAX_IDS {
        return Err(ApiError::bad_request(format!("ids has 1 to {MAX_IDS} message ids")));
    }
    let receipts = app.hub.turn(|world, turn| world.phone_reads(turn, &number, &read.ids))?;
    Ok(Json(json!({ "ok": true, "receipts": receipts })))
}
