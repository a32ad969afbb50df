//! `/api/sessions/{id}/qr` and `/utils/qr.png`: QR codes as text and pictures.
//!
//! Comes in: a session, or a text. Goes out: JSON, PNG or SVG, as `Accept` asks. A session's QR code is a secret: it is not logged.

use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use session_api::QrCode;
use tokio::time::Instant;
use utoipa::{IntoParams, ToSchema};

use crate::app::AppState;
use crate::directory::SessionRecord;
use crate::error::{ApiError, ApiResult};
use crate::extract::{OwnSession, Query};
use crate::openapi::{ErrorAnswer, Picture as PictureBytes};
use crate::qr::{self, QrError};
use crate::status::PublicStatus;

/// Longest wait for a QR code, in seconds.
const MAX_WAIT: u64 = 60;
/// How often a session that awaits its phone is asked for the code that is not there yet.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// Query of a session's QR code.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct QrQuery {
    /// Wait so many seconds for a QR code (at most 60) instead of answering 404 at once.
    #[serde(default)]
    #[param(minimum = 0, maximum = 60)]
    pub wait: u64,
}

/// A session's QR code.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct QrAnswer {
    /// The text that the QR code encodes.
    #[schema(example = "2@Jf0…,…,…,…")]
    pub qr: String,
    /// The same as a picture: `data:image/png;base64,…`.
    pub data_url: String,
    /// When the next one replaces it, Unix milliseconds.
    pub expires_at: u64,
}

/// The QR code that waits for a phone.
///
/// JSON, or a picture with `Accept: image/png` or `image/svg+xml`.
#[utoipa::path(
    get, path = "/api/sessions/{id}/qr", tag = "Sessions",
    params(("id" = String, Path, description = "Session id"), QrQuery),
    responses(
        (status = 200, description = "The QR code", content(
            (QrAnswer = "application/json"), (PictureBytes = "image/png"), (String = "image/svg+xml"))),
        (status = 404, body = ErrorAnswer, description = "`session_not_found`, or `no_qr` with the session's status"),
    ),
)]
pub async fn session_qr(
    State(state): State<AppState>,
    OwnSession(session): OwnSession,
    Query(QrQuery { wait }): Query<QrQuery>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let deadline = Instant::now() + Duration::from_secs(wait.min(MAX_WAIT));
    let code = waited_for(&state, session, deadline).await?;
    match Picture::accepted(&headers) {
        Picture::Png => {
            Ok(([(header::CONTENT_TYPE, "image/png")], qr::png(&code.qr).map_err(|error| drawing(&error))?)
                .into_response())
        }
        Picture::Svg => Ok((
            [(header::CONTENT_TYPE, "image/svg+xml")],
            qr::svg(&code.qr).map_err(|error| drawing(&error))?,
        )
            .into_response()),
        Picture::None => {
            let data_url = qr::data_url(&code.qr).map_err(|error| drawing(&error))?;
            Ok(axum::Json(QrAnswer { qr: code.qr, data_url, expires_at: code.expires_at }).into_response())
        }
    }
}

/// The session's QR code, as soon as there is one and before the deadline.
async fn waited_for(state: &AppState, mut session: SessionRecord, deadline: Instant) -> ApiResult<QrCode> {
    let mut changes = state.monitor.changes();
    loop {
        changes.borrow_and_update();
        let status = state.monitor.view(&session).status;
        if let Some(pod) = session.runtime.pod().filter(|_| status == PublicStatus::Qr)
            && let Ok(code) = state.pods.qr(pod).await
        {
            return Ok(code);
        }
        let over = Instant::now() >= deadline;
        if state.closing.has_begun() && !over {
            return Err(ApiError::Stopping);
        }
        if status.is_ended() || status == PublicStatus::Open || over {
            return Err(ApiError::NoQr { status });
        }
        let next = if status == PublicStatus::Qr { Instant::now() + ASK_AGAIN } else { deadline };
        tokio::select! {
            _ = changes.changed() => {}
            () = tokio::time::sleep_until(next.min(deadline)) => {}
            () = state.closing.begun() => {}
        }
        session = state.directory.get(&session.id).ok_or(ApiError::SessionNotFound)?;
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Picture {
    None,
    Png,
    Svg,
}

impl Picture {
    /// The first kind that `Accept` names.
    fn accepted(headers: &HeaderMap) -> Self {
        let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let kinds = accept.split(',').map(|kind| kind.split(';').next().unwrap_or_default().trim());
        let known = |kind| match kind {
            "image/png" | "image/*" => Some(Self::Png),
            "image/svg+xml" => Some(Self::Svg),
            "application/json" | "*/*" => Some(Self::None),
            _ => None,
        };
        kinds.into_iter().find_map(known).unwrap_or(Self::None)
    }
}

/// Query of a picture.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PictureQuery {
    /// The text, 1 to 1,024 bytes.
    #[param(example = "https://example.com")]
    pub data: String,
}

/// Any text as a QR code.
#[utoipa::path(
    get, path = "/utils/qr.png", tag = "Tools", security(()), params(PictureQuery),
    responses(
        (status = 200, body = PictureBytes, content_type = "image/png"),
        (status = 400, body = ErrorAnswer, description = "`invalid_query`"),
    ),
)]
pub async fn any_qr(Query(PictureQuery { data }): Query<PictureQuery>) -> ApiResult<Response> {
    let png = qr::png(&data).map_err(|error| ApiError::InvalidQuery(format!("data: {error}")))?;
    Ok(([(header::CONTENT_TYPE, "image/png")], png).into_response())
}

fn drawing(error: &QrError) -> ApiError {
    tracing::error!(%error, "a QR code cannot be drawn");
    ApiError::Internal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_kind_that_is_accepted_is_given() {
        let accepted = |accept: &str| {
            Picture::accepted(&HeaderMap::from_iter([(header::ACCEPT, accept.parse().unwrap())]))
        };
        assert_eq!(accepted("image/svg+xml, image/png"), Picture::Svg);
        assert_eq!(accepted("image/avif,image/webp,image/png;q=0.8,*/*"), Picture::Png);
        assert_eq!(accepted("*/*"), Picture::None);
        assert_eq!(accepted("application/json"), Picture::None);
        assert_eq!(Picture::accepted(&HeaderMap::new()), Picture::None);
    }
}
