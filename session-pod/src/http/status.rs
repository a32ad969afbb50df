//! `GET /v1/status`: the session's state, at once or when it changes.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use session_api::{SessionStatus, StatusQuery};

use super::body::Asked;
use super::{ApiError, App};

/// Longest wait, seconds.
const MAX_WAIT: u64 = 60;

/// Answers the status once its revision is past `since`, or unchanged after `wait`; at once if too many wait already.
pub(super) async fn read(
    State(app): State<App>,
    Asked(query): Asked<StatusQuery>,
) -> Result<Json<SessionStatus>, ApiError> {
    let mut status = app.session.status();
    if let Some(since) = query.since {
        let place = app.polls.try_acquire().ok();
        let wait = place.as_ref().map_or(0, |_| query.wait.unwrap_or(0).min(MAX_WAIT));
        let wait = Duration::from_secs(wait);
        let newer = status.wait_for(|status| status.revision > since);
        // Unchanged, or stopping: the status says so itself.
        let _changed = tokio::time::timeout(wait, newer).await.is_ok();
    }
    let shown = Arc::clone(&status.borrow());
    Ok(Json(SessionStatus::clone(&shown)))
}
