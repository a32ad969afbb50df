//! `/api/sessions/{id}/start`, `stop`, `restart`, `logout`.
//!
//! Comes in: the caller's session. Goes out: its id and status afterwards.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use utoipa::IntoResponses;

use super::sessions::{SessionState, directory_error};
use crate::app::AppState;
use crate::directory::SessionRecord;
use crate::error::{ApiError, ApiResult};
use crate::extract::OwnSession;
use crate::openapi::ErrorAnswer;
use crate::status::{StartAction, start_action};

/// How long a restarted session's process is waited for.
const PROCESS_PATIENCE: Duration = Duration::from_secs(20);

type Answer = ApiResult<Json<SessionState>>;

/// Why a session does not begin, or not anew.
#[derive(IntoResponses)]
pub enum NotBegun {
    /// `session_not_found`
    #[response(status = 404)]
    NotFound(ErrorAnswer),
    /// `session_not_open`: its process is just ending
    #[response(status = 409)]
    Ending(ErrorAnswer),
    /// `session_unavailable`: try again
    #[response(status = 503)]
    Unavailable(ErrorAnswer),
    /// `outcome_unknown`: it was told to pair and did not answer
    #[response(status = 504)]
    OutcomeUnknown(ErrorAnswer),
    /// `storage_failed`: nothing was changed
    #[response(status = 507)]
    NotStored(ErrorAnswer),
}

/// Starts a session.
///
/// Runs it if it is suspended, pairs it anew if it was logged out or nobody scanned, and connects once more if it ended
/// otherwise. A session that runs is left alone.
#[utoipa::path(
    post, path = "/api/sessions/{id}/start", tag = "Sessions", params(("id" = String, Path, description = "Session id")),
    responses((status = 200, body = SessionState), NotBegun),
)]
pub async fn start(State(state): State<AppState>, OwnSession(session): OwnSession) -> Answer {
    begin(&state, &session).await?;
    SessionState::of(&state, &session.id)
}

/// Does what starting this session means now.
pub async fn begin(state: &AppState, session: &SessionRecord) -> ApiResult<()> {
    let action = start_action(&session.runtime, state.monitor.heard(&session.uid).as_ref());
    match action {
        StartAction::Nothing => {}
        StartAction::Resume => drop(state.directory.resume(&session.id).await.map_err(directory_error)?),
        StartAction::Restart => drop(state.directory.restart(&session.id).await.map_err(directory_error)?),
        StartAction::Pair => pair(state, session).await?,
    }
    Ok(())
}

/// Asks a session that ended for good to connect once more, or to pair anew.
async fn pair(state: &AppState, session: &SessionRecord) -> ApiResult<()> {
    let pod = state.pod(session)?;
    let status = state.pods.pair(&pod).await.map_err(|error| state.explain(session, error))?;
    state.monitor.hear(&session.id, status).await;
    Ok(())
}

/// Waits until a session's process can be called, for a bounded time.
async fn with_process(state: &AppState, session: SessionRecord) -> SessionRecord {
    let mut changes = state.directory.changes();
    let wait = async {
        let mut now = session.clone();
        while now.runtime.pod().is_none() && changes.changed().await.is_ok() {
            now = state.directory.get(&session.id).unwrap_or(now);
        }
        now
    };
    tokio::time::timeout(PROCESS_PATIENCE, wait).await.unwrap_or(session)
}

/// Stops a session and keeps everything.
///
/// Its status is `suspended` then. Answers when its process has ended.
#[utoipa::path(
    post, path = "/api/sessions/{id}/stop", tag = "Sessions", params(("id" = String, Path, description = "Session id")),
    responses(
        (status = 200, body = SessionState),
        (status = 404, body = ErrorAnswer, description = "`session_not_found`"),
        (status = 507, body = ErrorAnswer, description = "`storage_failed`: nothing was changed"),
    ),
)]
pub async fn stop(State(state): State<AppState>, OwnSession(session): OwnSession) -> Answer {
    state.directory.suspend(&session.id).await.map_err(directory_error)?;
    SessionState::of(&state, &session.id)
}

/// Ends a session's process and starts a new one.
///
/// A suspended session runs afterwards. One that had ended for good (logged out, replaced, nobody scanned) connects once
/// more, or pairs anew.
#[utoipa::path(
    post, path = "/api/sessions/{id}/restart", tag = "Sessions", params(("id" = String, Path, description = "Session id")),
    responses((status = 200, body = SessionState), NotBegun),
)]
pub async fn restart(State(state): State<AppState>, OwnSession(session): OwnSession) -> Answer {
    let ended =
        start_action(&session.runtime, state.monitor.heard(&session.uid).as_ref()) == StartAction::Pair;
    let restarted = state.directory.restart(&session.id).await.map_err(directory_error)?;
    if ended {
        pair(&state, &with_process(&state, restarted).await).await?;
    }
    SessionState::of(&state, &session.id)
}

/// Removes the device from the account.
///
/// The session stays (`logged_out`); starting it pairs anew.
#[utoipa::path(
    post, path = "/api/sessions/{id}/logout", tag = "Sessions", params(("id" = String, Path, description = "Session id")),
    responses(
        (status = 200, body = SessionState),
        (status = 404, body = ErrorAnswer, description = "`session_not_found`"),
        (status = 409, body = ErrorAnswer, description = "`session_not_open`"),
        (status = 503, body = ErrorAnswer, description = "`session_unavailable`"),
        (status = 504, body = ErrorAnswer, description = "`outcome_unknown`"),
    ),
)]
pub async fn logout(State(state): State<AppState>, OwnSession(session): OwnSession) -> Answer {
    log_out(&state, &session).await?;
    SessionState::of(&state, &session.id)
}

async fn log_out(state: &AppState, session: &SessionRecord) -> Result<(), ApiError> {
    let pod = state.pod(session)?;
    let status = state.pods.logout(&pod).await.map_err(|error| state.explain(session, error))?;
    state.monitor.hear(&session.id, status).await;
    Ok(())
}

/// Removes the device from the account if the session is connected; tells whether it did.
pub async fn log_out_if_possible(state: &AppState, session: &SessionRecord) -> bool {
    let done = log_out(state, session).await;
    if let Err(error) = &done {
        tracing::info!(session = %session.id, %error, "the device could not be logged out before its removal");
    }
    done.is_ok()
}
