//! `DELETE /api/sessions/{id}`: a session, or parts of it.
//!
//! Comes in: the caller's session and how much of it. Goes out: what was done. Credentials that are removed are logged out
//! first, so that the phone forgets the device too.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::lifecycle;
use super::sessions::directory_error;
use crate::app::AppState;
use crate::directory::{SessionRecord, Volume};
use crate::error::{ApiError, ApiResult};
use crate::extract::{OwnSession, Query};
use crate::openapi::ErrorAnswer;
use crate::session_name::SessionName;

/// How much of a session is deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeleteMode {
    /// It is stopped and stays in the list (`suspended`).
    Runtime,
    /// The device is logged out and its credentials are removed; the session stays in the list (`suspended`).
    Creds,
    /// It leaves the list; its volume is kept (unless its retention policy says `Delete`), so the same id resumes it.
    #[default]
    Meta,
    /// The device is logged out; the session and its volume are removed.
    All,
}

/// Query of a deletion.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DeleteQuery {
    /// How much is deleted.
    #[serde(default)]
    #[param(inline)]
    pub mode: DeleteMode,
}

/// What a deletion did, after the session's process has ended.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeleteSteps {
    /// The device was removed from the account. False if it was not asked for or the session was not connected: then the
    /// phone still lists the device.
    pub logged_out: bool,
    /// The credentials were removed.
    pub credentials_removed: bool,
    /// The session left the list.
    pub resource_removed: bool,
}

/// Answer of a deletion.
#[derive(Debug, Serialize, ToSchema)]
pub struct Deleted {
    /// Always true.
    pub ok: bool,
    /// The session.
    #[schema(value_type = String, example = "my-session-1")]
    pub id: SessionName,
    /// How much was deleted.
    pub mode: DeleteMode,
    /// What was done.
    pub steps: DeleteSteps,
}

/// Deletes a session, or parts of it.
#[utoipa::path(
    delete, path = "/api/sessions/{id}", tag = "Sessions",
    params(("id" = String, Path, description = "Session id"), DeleteQuery),
    responses(
        (status = 200, body = Deleted),
        (status = 400, body = ErrorAnswer, description = "`invalid_query`"),
        (status = 404, body = ErrorAnswer, description = "`session_not_found`"),
        (status = 507, body = ErrorAnswer, description = "`storage_failed`"),
    ),
)]
pub async fn delete(
    State(state): State<AppState>,
    OwnSession(session): OwnSession,
    Query(DeleteQuery { mode }): Query<DeleteQuery>,
) -> ApiResult<axum::Json<Deleted>> {
    // Once begun it is carried out, whether or not the caller still waits.
    let done = tokio::spawn(async move { remove(&state, &session, mode).await });
    done.await.map_err(|_| ApiError::Internal)?.map(axum::Json)
}

async fn remove(state: &AppState, session: &SessionRecord, mode: DeleteMode) -> ApiResult<Deleted> {
    let (id, directory) = (session.id.clone(), &state.directory);
    let leaves = matches!(mode, DeleteMode::Meta | DeleteMode::All);
    if leaves {
        state.monitor.part(&session.uid);
    }
    let wipes = matches!(mode, DeleteMode::Creds | DeleteMode::All);
    let logged_out = wipes && lifecycle::log_out_if_possible(state, session).await;
    let done = match mode {
        DeleteMode::Runtime => directory.suspend(&id).await.map(drop),
        DeleteMode::Creds => directory.wipe(&id).await.map(drop),
        DeleteMode::Meta => directory.delete(&id, Volume::ByPolicy).await,
        DeleteMode::All => directory.delete(&id, Volume::Remove).await,
    };
    if let Err(error) = done {
        if let Some(session) = directory.get(&id).filter(|_| leaves) {
            state.monitor.stay(&session).await;
        }
        return Err(directory_error(error));
    }
    let steps = DeleteSteps { logged_out, credentials_removed: wipes, resource_removed: leaves };
    Ok(Deleted { ok: true, id, mode, steps })
}
