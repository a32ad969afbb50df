//! `/api/sessions/{id}/pairing-code`: links a device by a code that is typed into the phone.
//!
//! Comes in: the phone's number. Goes out: the code. Both are secrets: neither is logged.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use session_api::{PairingCode, PairingCodeRequest, Recipient};
use utoipa::ToSchema;

use crate::app::AppState;
use crate::error::{ApiError, ApiResult};
use crate::extract::{Json, OwnSession};
use crate::openapi::ErrorAnswer;

/// Whom the code is for.
#[derive(Debug, Deserialize, ToSchema)]
pub struct PairingCodeBody {
    /// The phone's number, international, with or without `+`, spaces and dashes.
    #[schema(example = "6281200000001")]
    pub phone: String,
}

/// A code to type into the phone.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PairingCodeAnswer {
    /// Always true.
    pub ok: bool,
    /// Eight characters: Linked devices → Link a device → Link with phone number instead.
    #[schema(example = "ABCD1234")]
    pub code: String,
    /// Until when it can be used, Unix milliseconds.
    pub expires_at: u64,
}

/// Asks for a pairing code, as an alternative to the QR code.
#[utoipa::path(
    post, path = "/api/sessions/{id}/pairing-code", tag = "Sessions", request_body = PairingCodeBody,
    params(("id" = String, Path, description = "Session id")),
    responses(
        (status = 200, body = PairingCodeAnswer),
        (status = 400, body = ErrorAnswer, description = "`invalid_recipient`: `phone` is no phone number"),
        (status = 404, body = ErrorAnswer, description = "`session_not_found`"),
        (status = 409, body = ErrorAnswer, description = "The session does not wait to be paired"),
        (status = 503, body = ErrorAnswer, description = "`session_unavailable`"),
    ),
)]
pub async fn pairing_code(
    State(state): State<AppState>,
    OwnSession(session): OwnSession,
    Json(body): Json<PairingCodeBody>,
) -> ApiResult<axum::Json<PairingCodeAnswer>> {
    let wrong = || ApiError::InvalidRecipient { field: "phone".to_owned() };
    let number: Recipient = body.phone.parse().map_err(|_| wrong())?;
    if !number.is_phone() {
        return Err(wrong());
    }
    let pod = state.pod(&session)?;
    let request = PairingCodeRequest { phone: number.user().to_owned() };
    let answer = state.pods.pairing_code(&pod, &request).await;
    let PairingCode { code, expires_at } = answer.map_err(|error| state.explain(&session, error))?;
    state.monitor.keep_pairing_code(&session.uid, PairingCode { code: code.clone(), expires_at });
    Ok(axum::Json(PairingCodeAnswer { ok: true, code, expires_at }))
}
