//! Errors of the control API: one status and one code each.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::faults::FaultError;
use crate::world::account::AccountError;
use crate::world::groups::GroupError;
use crate::world::link_code::LinkCodeError;
use crate::world::media::MediaError;
use crate::world::pairing::ScanError;
use crate::world::phones::PhoneActionError;
use crate::world::session::UnlinkError;

/// An answer that is no success.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    code: &'static str,
    text: String,
}

impl ApiError {
    pub(super) fn bad_request(text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", text)
    }

    pub(super) fn not_found(text: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", text)
    }

    pub(super) fn conflict(text: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", text)
    }

    pub(super) fn no_method() -> Self {
        let text = "this address does not take that method";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", text)
    }

    /// The device did not answer the phone.
    pub(super) fn device_silent() -> Self {
        let text = "the device did not answer its papers in time";
        Self::new(StatusCode::GATEWAY_TIMEOUT, "device_silent", text)
    }

    /// The device or the phone refused to be linked.
    pub(super) fn not_linked(text: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "not_linked", text)
    }

    pub(super) fn new(status: StatusCode, code: &'static str, text: impl Into<String>) -> Self {
        Self { status, code, text: text.into() }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = json!({ "ok": false, "error": self.text, "code": self.code });
        (self.status, axum::Json(body)).into_response()
    }
}

impl From<AccountError> for ApiError {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::Number(_) => Self::bad_request(error.to_string()),
            AccountError::Taken(_) => Self::conflict(error.to_string()),
            AccountError::NoPhone(_) => Self::not_found(error.to_string()),
        }
    }
}

impl From<ScanError> for ApiError {
    fn from(error: ScanError) -> Self {
        match error {
            ScanError::FindPhone(error) => error.into(),
            ScanError::ReadCode => Self::bad_request(error.to_string()),
            ScanError::FindReference => Self::new(StatusCode::GONE, "qr_expired", error.to_string()),
            ScanError::Passkey => Self::new(StatusCode::CONFLICT, "passkey_required", error.to_string()),
            ScanError::CompareKeys | ScanError::Busy | ScanError::TooMany(_) | ScanError::Link(_) => {
                Self::not_linked(error.to_string())
            }
        }
    }
}

impl From<LinkCodeError> for ApiError {
    fn from(error: LinkCodeError) -> Self {
        match error {
            LinkCodeError::FindPhone(error) => error.into(),
            LinkCodeError::FindDevice(_) => Self::not_found(error.to_string()),
            LinkCodeError::Type(_) => Self::bad_request(error.to_string()),
        }
    }
}

impl From<UnlinkError> for ApiError {
    fn from(error: UnlinkError) -> Self {
        match error {
            UnlinkError::FindPhone(error) => error.into(),
            UnlinkError::NoDevice(..) => Self::not_found(error.to_string()),
        }
    }
}

impl From<PhoneActionError> for ApiError {
    fn from(error: PhoneActionError) -> Self {
        match error {
            PhoneActionError::FindPhone(error) => error.into(),
            PhoneActionError::FindGroup(error) => error.into(),
            PhoneActionError::FindRecipient(_) => Self::not_found(error.to_string()),
            PhoneActionError::Compose(_) => Self::conflict(error.to_string()),
        }
    }
}

impl From<MediaError> for ApiError {
    fn from(error: MediaError) -> Self {
        let (status, code) = match &error {
            MediaError::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
            MediaError::Full => (StatusCode::INSUFFICIENT_STORAGE, "media_full"),
            MediaError::Keep(_) => (StatusCode::INSUFFICIENT_STORAGE, "not_kept"),
            MediaError::Refused(_) => (StatusCode::SERVICE_UNAVAILABLE, "media_refused"),
            MediaError::Gone => (StatusCode::GONE, "gone"),
            MediaError::NotFound => (StatusCode::NOT_FOUND, "not_found"),
            MediaError::Auth
            | MediaError::Token
            | MediaError::Hash
            | MediaError::BrokeOff
            | MediaError::Offset(..) => (StatusCode::BAD_REQUEST, "bad_request"),
        };
        Self::new(status, code, error.to_string())
    }
}

impl From<GroupError> for ApiError {
    fn from(error: GroupError) -> Self {
        let text = error.to_string();
        match error {
            GroupError::FindPhone(error) => error.into(),
            GroupError::NoGroup(_) => Self::not_found(text),
            GroupError::Subject | GroupError::Size => Self::bad_request(text),
            GroupError::NotMember(_) => Self::new(StatusCode::FORBIDDEN, "not_a_member", text),
            GroupError::NotAdmin(_) => Self::new(StatusCode::FORBIDDEN, "not_an_admin", text),
            GroupError::AlreadyMember(_) | GroupError::Creator(_) | GroupError::TooMany => {
                Self::conflict(text)
            }
        }
    }
}

impl From<FaultError> for ApiError {
    fn from(error: FaultError) -> Self {
        Self::bad_request(error.to_string())
    }
}
