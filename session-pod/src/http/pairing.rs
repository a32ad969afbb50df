//! Linking a phone and unlinking: `/v1/qr`, `/v1/pairing`, `/v1/pairing-code`, `/v1/logout`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use session_api::{PairingCode, PairingCodeRequest, QrCode, SessionStatus};

use super::body::Body;
use super::error::invalid_phone;
use super::{ApiError, App};
use crate::session::{Reply, Request, Secret};

/// The QR code on show.
pub(super) async fn qr(State(app): State<App>) -> Result<Json<QrCode>, ApiError> {
    app.session.qr().map(Json).ok_or_else(|| nothing_waits(&app, "no_qr", "no QR code waits for a phone"))
}

/// The pairing code on show.
pub(super) async fn shown_code(State(app): State<App>) -> Result<Json<PairingCode>, ApiError> {
    let none = || nothing_waits(&app, "no_pairing_code", "no pairing code waits to be typed into a phone");
    app.session.pairing_code().map(Json).ok_or_else(none)
}

fn nothing_waits(app: &App, code: &'static str, message: &'static str) -> ApiError {
    let state = serde_json::to_value(app.session.status().borrow().state).unwrap_or_default();
    ApiError::new(StatusCode::NOT_FOUND, code, message).with("status", state)
}

/// Starts pairing anew, or takes a lost connection back with the credentials that are there.
pub(super) async fn start(State(app): State<App>) -> Result<Json<SessionStatus>, ApiError> {
    status(app.session.request(Request::StartPairing).await?)
}

/// Stops pairing.
pub(super) async fn stop(State(app): State<App>) -> Result<Json<SessionStatus>, ApiError> {
    status(app.session.request(Request::StopPairing).await?)
}

/// Removes the device from the account.
pub(super) async fn log_out(State(app): State<App>) -> Result<Json<SessionStatus>, ApiError> {
    status(app.session.request(Request::Logout).await?)
}

/// A code to type into the phone.
pub(super) async fn code(
    State(app): State<App>,
    Body(request): Body<PairingCodeRequest>,
) -> Result<Json<PairingCode>, ApiError> {
    let phone = digits(&request.phone).ok_or_else(|| {
        invalid_phone(
            "phone: not an international number: 7 to 15 digits with the country code, such as 6281234567890",
        )
    })?;
    match app.session.request(Request::PairingCode(phone)).await? {
        Reply::Code(Secret(code)) => Ok(Json(code)),
        Reply::NoCode(error) => Err(error.into()),
        Reply::Refused(refusal) => Err(refusal.into()),
        Reply::Status(_) => {
            Err(ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "no code was made"))
        }
    }
}

fn digits(phone: &str) -> Option<String> {
    let bare = phone.trim();
    let bare = bare.strip_prefix('+').unwrap_or(bare);
    let kept: String = bare.chars().filter(|c| !matches!(c, ' ' | '-' | '.' | '(' | ')')).collect();
    let fits =
        (7..=15).contains(&kept.len()) && kept.bytes().all(|b| b.is_ascii_digit()) && !kept.starts_with('0');
    fits.then_some(kept)
}

/// The status that a request is answered with.
pub(super) fn status(reply: Reply) -> Result<Json<SessionStatus>, ApiError> {
    match reply {
        Reply::Status(status) => Ok(Json(SessionStatus::clone(&status))),
        Reply::Refused(refusal) => Err(refusal.into()),
        Reply::NoCode(error) => Err(error.into()),
        Reply::Code(_) => {
            Err(ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "a code was not asked for"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_people_write_them() {
        assert_eq!(digits(" +62 812-3456.7890 ").as_deref(), Some("6281234567890"));
        for bad in ["", "123456", "0812345678", "abc", "62812345678901234", "+62x8123456"] {
            assert_eq!(digits(bad), None, "{bad:?}");
        }
    }
}
