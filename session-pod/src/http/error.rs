//! The one table from what went wrong to HTTP status and [`ErrorBody`].

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use session_api::{ErrorBody, Reason, SessionState};

use crate::session::state::Refusal;
use crate::session::{CodeError, Stopped};
use crate::store::StoreError;
use crate::whatsapp::ComposeError;

/// An error answer.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    body: ErrorBody,
}

impl ApiError {
    /// An error answer without further fields.
    pub(crate) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self { status, body: ErrorBody::new(code, message) }
    }

    /// The same with one more field.
    pub(crate) fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.body = self.body.with(field, value);
        self
    }

    /// The same, worth trying again after a pause.
    pub(super) fn retry_after(self, ms: u64) -> Self {
        self.with("retryAfterMs", ms)
    }

    /// WhatsApp (or the client) did not take a message.
    pub(super) fn rejected(id: &str, reason: &Reason) -> Self {
        let code = reason.code.strip_prefix("nack_");
        let message = if code.is_some() {
            format!("WhatsApp did not take the message: {}", reason.message)
        } else {
            format!("the message was given up: {}", reason.message)
        };
        let server_side = code.is_none_or(|code| code.starts_with('5'));
        let status = if server_side { StatusCode::BAD_GATEWAY } else { StatusCode::UNPROCESSABLE_ENTITY };
        Self::new(status, "rejected_by_whatsapp", message).with("id", id).with("reason", reason.code.as_str())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let retry = self.body.details.get("retryAfterMs").and_then(Value::as_u64);
        let mut response = (self.status, Json(self.body)).into_response();
        if let Some(ms) = retry {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(ms.div_ceil(1_000)));
        }
        response
    }
}

fn name(state: SessionState) -> Value {
    serde_json::to_value(state).unwrap_or_default()
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotOpen(state) => Self::new(
                StatusCode::CONFLICT,
                "session_not_open",
                "the session is not connected to WhatsApp, and will not be until somebody acts",
            )
            .with("status", name(state)),
            Refusal::Stopping => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the session is stopping")
                    .retry_after(2_000)
            }
            Refusal::QueueFull => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "queue_full",
                "too many messages of this session wait for WhatsApp",
            )
            .retry_after(5_000),
            Refusal::Cooldown(ms) => Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "recipient_cooldown",
                "this recipient was written to a moment ago: the session's policy asks for a pause",
            )
            .retry_after(ms),
            Refusal::AlreadyPaired => Self::new(
                StatusCode::CONFLICT,
                "already_paired",
                "the session is linked to an account: log it out first",
            ),
            Refusal::NotPairing => {
                Self::new(StatusCode::CONFLICT, "not_pairing", "the session is not waiting to be linked")
            }
            Refusal::NotReady => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "not_ready",
                "the session has no connection that can carry this yet",
            )
            .retry_after(1_000),
            Refusal::Store(reason) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, &reason.code, reason.message).retry_after(5_000)
            }
        }
    }
}

impl From<CodeError> for ApiError {
    fn from(error: CodeError) -> Self {
        match error {
            CodeError::InvalidPhone(why) => invalid_phone(&why),
            CodeError::Outstanding(ms) => Self::new(
                StatusCode::CONFLICT,
                "pairing_code_outstanding",
                "a pairing code is on show already: use it, or wait until it has run out",
            )
            .retry_after(ms),
            CodeError::Throttled(ms) => Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "pairing_code_throttled",
                "WhatsApp refuses a pairing code for now: too many were asked for, or the number has no WhatsApp account",
            )
            .retry_after(ms),
            CodeError::Unavailable => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "pairing_code_unavailable",
                "this account cannot be linked by code: use the QR code",
            ),
            CodeError::Failed(why) => {
                Self::new(StatusCode::BAD_GATEWAY, "pairing_code_failed", format!("WhatsApp gave no pairing code: {why}"))
            }
        }
    }
}

/// The number of a pairing code cannot be one.
pub(super) fn invalid_phone(why: &str) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "invalid_phone", why).with("field", "phone")
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "a request failed at the store");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "store_unwritable", error.to_string())
    }
}

impl From<tokio::task::JoinError> for ApiError {
    fn from(_: tokio::task::JoinError) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the request was broken off")
    }
}

impl From<Stopped> for ApiError {
    fn from(_: Stopped) -> Self {
        Refusal::Stopping.into()
    }
}

impl From<ComposeError> for ApiError {
    fn from(error: ComposeError) -> Self {
        let (code, field) = match error {
            ComposeError::UnknownQuote => ("unknown_quote", "quoted.participant"),
            ComposeError::Unsupported => ("unsupported_content", "content.type"),
        };
        Self::new(StatusCode::BAD_REQUEST, code, error.to_string()).with("field", field)
    }
}
