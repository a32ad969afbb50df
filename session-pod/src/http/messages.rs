//! `POST /v1/messages`: takes a send into the outbox, then waits for WhatsApp's acknowledgement. Who hangs up does not cancel it.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use session_api::message::MAX_TEXT_BYTES;
use session_api::{Content, MessageId, SendRequest, SendResponse, SendStatus};
use sha2::{Digest as _, Sha256};
use tokio::sync::{Semaphore, oneshot};

use super::body::Body;
use super::{ApiError, App};
use crate::random;
use crate::session::Sending;
use crate::session::state::Outcome;
use crate::store::{Draft, OutboxRow, Progress};
use crate::whatsapp::{Quote, compose};

/// How long to wait for the acknowledgement unless the caller says.
const DEFAULT_WAIT_MS: u64 = 20_000;
/// Longest wait.
const MAX_WAIT_MS: u64 = 60_000;

type Answer = Result<(StatusCode, Json<SendResponse>), ApiError>;

/// Takes a send.
pub(super) async fn send(State(app): State<App>, Body(request): Body<SendRequest>) -> Answer {
    check(&request.content)?;
    let wait = Duration::from_millis(request.wait_ms.unwrap_or(DEFAULT_WAIT_MS).min(MAX_WAIT_MS));
    let fingerprint = fingerprint(&request);
    if let Some(row) = known(&app, &request).await?.filter(|row| row.progress != Progress::Queued) {
        return settled(row, &fingerprint);
    }
    let draft = draft(&app, request, fingerprint.clone()).await?;
    let id = MessageId::try_from(draft.id.clone())
        .map_err(|why| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", why))?;
    match app.session.send(draft).await? {
        Sending::Queued(outcome) => wait_for(id, outcome, wait, &app.waits).await,
        Sending::Known(row, Some(outcome)) if row.fingerprint == fingerprint => {
            wait_for(id, outcome, wait, &app.waits).await
        }
        Sending::Known(row, _) => settled(row, &fingerprint),
        Sending::Refused(refusal) => Err(refusal.into()),
    }
}

fn check(content: &Content) -> Result<(), ApiError> {
    let Content::Text { text, mentions } = content else { return Ok(()) };
    let bad = |code: &str, message: String| {
        Err(ApiError::new(StatusCode::BAD_REQUEST, code, message).with("field", "content.text"))
    };
    if text.trim().is_empty() {
        return bad("empty_text", "the text is empty".to_owned());
    }
    if text.len() > MAX_TEXT_BYTES {
        return bad(
            "text_too_long",
            format!("the text is {} bytes long, at most {MAX_TEXT_BYTES} fit", text.len()),
        );
    }
    if mentions.len() > 1_024 {
        return bad("too_many_mentions", "a text can mention at most 1024".to_owned());
    }
    Ok(())
}

/// Digest of what is asked for, apart from the id and the wait.
fn fingerprint(request: &SendRequest) -> Vec<u8> {
    let asked = serde_json::to_vec(&(&request.to, &request.content, &request.quoted)).unwrap_or_default();
    Sha256::digest(asked).to_vec()
}

async fn known(app: &App, request: &SendRequest) -> Result<Option<OutboxRow>, ApiError> {
    let (Some(id), Some(store)) = (request.id.clone(), app.store.clone()) else { return Ok(None) };
    Ok(tokio::task::spawn_blocking(move || store.outgoing(id.as_str())).await??)
}

async fn draft(app: &App, request: SendRequest, fingerprint: Vec<u8>) -> Result<Draft, ApiError> {
    let mut quote = Quote { remembered: None, me: None };
    if let (Some(quoted), Some(store)) = (&request.quoted, app.store.clone()) {
        let id = quoted.id.clone();
        quote.remembered = tokio::task::spawn_blocking(move || store.remembered(id.as_str())).await??;
        quote.me = app.session.status().borrow().me.as_ref().map(|me| me.id.clone());
    }
    let message = compose(&request, &quote)?;
    let id = request.id.map_or_else(random::message_id, String::from);
    Ok(Draft { id, to: request.to.to_string(), fingerprint, message })
}

/// Waits for the outcome. Without `room` for one more who waits, only an outcome that is there already is told.
async fn wait_for(
    id: MessageId,
    outcome: oneshot::Receiver<Outcome>,
    wait: Duration,
    room: &Semaphore,
) -> Answer {
    let place = room.try_acquire().ok();
    let wait = if place.is_some() { wait } else { Duration::ZERO };
    match tokio::time::timeout(wait, outcome).await {
        Ok(Ok(Outcome::Sent)) => Ok((StatusCode::OK, Json(SendResponse { id, status: SendStatus::Sent }))),
        Ok(Ok(Outcome::Failed(reason))) => Err(ApiError::rejected(id.as_str(), &reason)),
        Ok(Err(_)) | Err(_) => {
            Ok((StatusCode::ACCEPTED, Json(SendResponse { id, status: SendStatus::Queued })))
        }
    }
}

/// The answer to an id that was used before.
fn settled(row: OutboxRow, fingerprint: &[u8]) -> Answer {
    if row.fingerprint != fingerprint {
        return Err(ApiError::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "duplicate_id",
            "a message with this id and other content was sent before: use a new id",
        )
        .with("id", row.id));
    }
    let id = MessageId::try_from(row.id.clone())
        .map_err(|why| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", why))?;
    match (row.progress, row.reason) {
        (Progress::Error, reason) => {
            let unknown = || crate::session::state::reason("unknown", "no cause was kept");
            Err(ApiError::rejected(&row.id, &reason.unwrap_or_else(unknown)))
        }
        (Progress::Queued, _) => {
            Ok((StatusCode::ACCEPTED, Json(SendResponse { id, status: SendStatus::Queued })))
        }
        (Progress::ServerAck | Progress::Delivered | Progress::Read | Progress::Played, _) => {
            Ok((StatusCode::OK, Json(SendResponse { id, status: SendStatus::Sent })))
        }
    }
}
