//! `/api/sessions/{id}/events`: the session's own log.
//!
//! Comes in: where to read on. Goes out: the page as the session gives it.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use session_api::EventsQuery;
use utoipa::{IntoParams, ToSchema};

use crate::app::AppState;
use crate::error::ApiResult;
use crate::extract::{OwnSession, Query};
use crate::openapi::ErrorAnswer;

/// Query of a page.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// Only events after this one (`next` of the page before). Without it: from the oldest that is kept.
    pub after: Option<u64>,
    /// At most so many (default 100, at most 1,000).
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<usize>,
}

/// One event of a session's log.
#[derive(Serialize, ToSchema)]
pub struct EventItem {
    /// Its place in the log.
    pub seq: u64,
    /// When, Unix milliseconds.
    pub ts: u64,
    /// `message_received`, `message_status`, `session_open`, `session_closed`, …
    #[schema(example = "message_received")]
    pub event: String,
    /// What happened.
    #[schema(example = json!({"id": "3EB0C767D097E7B8", "from": "6281234567890@s.whatsapp.net",
        "chat": "6281234567890@s.whatsapp.net", "text": "Terima kasih", "isGroup": false, "timestamp": 1_795_366_192_000_u64,
        "message": {"conversation": "Terima kasih"}}))]
    pub data: serde_json::Value,
}

/// A page of a session's log, oldest first.
#[derive(Serialize, ToSchema)]
pub struct EventPage {
    /// The events.
    pub items: Vec<EventItem>,
    /// Ask with `after` = this for the next page. Less than the `after` of this call when the log does not reach so far: the
    /// session's volume was wiped, and what was read before belongs to another log.
    pub next: u64,
    /// The oldest event that is kept. More than `after` + 1 means that the events in between are gone.
    pub oldest: u64,
}

/// Reads a session's log.
///
/// Received messages, what became of sent ones, when it opened and closed. A client that was away reads on from where it was:
/// the newest 50,000 events are kept, at most 64 MiB of them, and `oldest` tells whether some are gone. (The seed has no such call.)
#[utoipa::path(
    get, path = "/api/sessions/{id}/events", tag = "Sessions",
    params(("id" = String, Path, description = "Session id"), PageQuery),
    responses(
        (status = 200, body = EventPage),
        (status = 400, body = ErrorAnswer, description = "`invalid_query`"),
        (status = 404, body = ErrorAnswer, description = "`session_not_found`"),
        (status = 409, body = ErrorAnswer, description = "`session_not_open`: a session without a process (suspended, failed, starting) cannot read its log: \
            start it and ask again; nothing in the log is lost"),
        (status = 503, body = ErrorAnswer, description = "`session_unavailable`"),
    ),
)]
pub async fn page(
    State(state): State<AppState>,
    OwnSession(session): OwnSession,
    Query(PageQuery { after, limit }): Query<PageQuery>,
) -> ApiResult<Json<serde_json::Value>> {
    let pod = state.pod(&session)?;
    let page = state.pods.events(&pod, EventsQuery { after, limit }).await;
    page.map(Json).map_err(|error| state.explain_read(&session, error))
}
