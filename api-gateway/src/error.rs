//! The table from cause to HTTP status and JSON envelope. Every error of the gateway leaves through here.
//!
//! Comes in: an [`ApiError`]. Goes out: `{"ok": false, "error": "<one sentence>", "code": "<snake_case>", …}`.
//! It must not repeat what a caller sent beyond the name of a field: it may be a phone number or a text.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use session_api::ErrorBody;

use crate::session_name::{InvalidSessionName, SessionName};
use crate::status::PublicStatus;

/// What is worth another try is tried again after so many milliseconds, when nobody says better.
pub const RETRY_AFTER_MS: u64 = 1000;

/// Result of a handler.
pub type ApiResult<T> = Result<T, ApiError>;

/// Why a request is not answered as its sender hoped.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ApiError {
    /// No `X-API-Key`.
    #[error("send your API key in the X-API-Key header")]
    MissingKey,
    /// A key that nobody has.
    #[error("this API key is not known: check the X-API-Key header")]
    UnknownKey,
    /// A key that is not allowed to.
    #[error("only a key of role admin may do this")]
    AdminOnly,
    /// The gateway does not know yet which keys and sessions there are.
    #[error("the gateway is not ready: {0}")]
    NotReady(String),
    /// The gateway is about to end.
    #[error("the gateway is stopping: ask another one")]
    Stopping,
    /// No such path.
    #[error("there is nothing at this path; /docs lists what there is")]
    RouteNotFound,
    /// A path, but not with this method.
    #[error("this path does not take this method; the Allow header lists those that it takes")]
    MethodNotAllowed,
    /// Never made, deleted, or another key's.
    #[error("Session not found")]
    SessionNotFound,
    /// No DNS label.
    #[error("{InvalidSessionName}")]
    InvalidSessionId,
    /// The id belongs to another key.
    #[error("this session id is taken: choose another one")]
    SessionIdTaken,
    /// As many sessions as this gateway takes.
    #[error("this gateway takes {limit} sessions and has as many: delete one, or raise SESSIONS_MAX")]
    TooManySessions {
        /// How many it takes.
        limit: usize,
    },
    /// The body is no JSON.
    #[error("the body is not valid JSON: {0}")]
    InvalidJson(String),
    /// The body is JSON of another shape.
    #[error("{field}: {problem}")]
    InvalidBody {
        /// Path of the field.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A query parameter cannot be used.
    #[error("query parameter: {0}")]
    InvalidQuery(String),
    /// Not a JSON body.
    #[error("send the body as JSON with Content-Type: application/json")]
    UnsupportedMediaType,
    /// The body is too large.
    #[error("the body is larger than {limit} bytes")]
    PayloadTooLarge {
        /// What is taken.
        limit: usize,
    },
    /// The body came too slowly, or broke off.
    #[error("the body did not arrive: {0}")]
    BodyNotReceived(&'static str),
    /// No number and no JID.
    #[error("{field}: {}", session_api::InvalidRecipient)]
    InvalidRecipient {
        /// Path of the field.
        field: String,
    },
    /// Nothing to say.
    #[error("text: write something")]
    EmptyText,
    /// Too much to say.
    #[error("text: a message holds at most {limit} bytes")]
    TextTooLong {
        /// What is taken.
        limit: usize,
    },
    /// The session is known and not connected.
    #[error("session {id} is not open (its status is {status}): see GET /api/sessions/{id}")]
    SessionNotOpen {
        /// The session.
        id: SessionName,
        /// Its status.
        status: PublicStatus,
    },
    /// No QR code waits for a phone.
    #[error("no QR code waits for a phone: the session's status is {status}")]
    NoQr {
        /// The session's status.
        status: PublicStatus,
    },
    /// The session's process cannot be reached.
    #[error("session {id} cannot be reached just now: try again")]
    SessionUnavailable {
        /// The session.
        id: SessionName,
        /// When to try again, milliseconds.
        retry_after_ms: u64,
    },
    /// The session got the request and its answer did not come.
    #[error(
        "session {id} took the request and did not answer in time: it may have been carried out; look at \
         GET /api/sessions/{id}/events before sending it again"
    )]
    OutcomeUnknown {
        /// The session.
        id: SessionName,
    },
    /// The session itself refused.
    #[error("{}", body.error)]
    Refused {
        /// The session's HTTP status.
        status: u16,
        /// The session's own words.
        body: Box<ErrorBody>,
    },
    /// The session is just being deleted.
    #[error("the session is being deleted: try again once it is gone")]
    BeingDeleted,
    /// It is stored and will be done.
    #[error("it will be done, but was not done in time: {0}")]
    StillUnderWay(String),
    /// Whoever keeps sessions and settings does not answer.
    #[error("{0}: try again")]
    KeeperUnavailable(String),
    /// The gateway's own role is too small.
    #[error("{0}")]
    GatewayForbidden(String),
    /// A quota or a policy, or a rule of the resource that no field of the request breaks, is against it.
    #[error("the cluster refused it: {0}")]
    RefusedByCluster(String),
    /// What should be kept could not be written.
    #[error("the change could not be stored, so nothing was changed: {0}")]
    StorageFailed(String),
    /// It took too long.
    #[error("the request took too long")]
    TimedOut,
    /// A defect.
    #[error("an internal error; the gateway's log says more under this answer's x-request-id")]
    Internal,
}

impl ApiError {
    /// The cause's place in the table: status and code.
    fn place(&self) -> (StatusCode, &str) {
        match self {
            Self::MissingKey | Self::UnknownKey => (StatusCode::UNAUTHORIZED, "unauthorized"),
            Self::AdminOnly => (StatusCode::FORBIDDEN, "forbidden"),
            Self::NotReady(_) => (StatusCode::SERVICE_UNAVAILABLE, "not_ready"),
            Self::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
            Self::RouteNotFound => (StatusCode::NOT_FOUND, "not_found"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::SessionNotFound => (StatusCode::NOT_FOUND, "session_not_found"),
            Self::InvalidSessionId => (StatusCode::BAD_REQUEST, "invalid_session_id"),
            Self::SessionIdTaken => (StatusCode::CONFLICT, "session_id_taken"),
            Self::TooManySessions { .. } => (StatusCode::CONFLICT, "too_many_sessions"),
            Self::InvalidJson(_) => (StatusCode::BAD_REQUEST, "invalid_json"),
            Self::InvalidBody { .. } => (StatusCode::BAD_REQUEST, "invalid_body"),
            Self::InvalidQuery(_) => (StatusCode::BAD_REQUEST, "invalid_query"),
            Self::UnsupportedMediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type"),
            Self::PayloadTooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large"),
            Self::BodyNotReceived(_) => (StatusCode::REQUEST_TIMEOUT, "body_not_received"),
            Self::InvalidRecipient { .. } => (StatusCode::BAD_REQUEST, "invalid_recipient"),
            Self::EmptyText => (StatusCode::BAD_REQUEST, "empty_text"),
            Self::TextTooLong { .. } => (StatusCode::BAD_REQUEST, "text_too_long"),
            Self::SessionNotOpen { .. } => (StatusCode::CONFLICT, "session_not_open"),
            Self::NoQr { .. } => (StatusCode::NOT_FOUND, "no_qr"),
            Self::SessionUnavailable { .. } => (StatusCode::SERVICE_UNAVAILABLE, "session_unavailable"),
            Self::OutcomeUnknown { .. } => (StatusCode::GATEWAY_TIMEOUT, "outcome_unknown"),
            Self::Refused { status, body } => {
                (StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_GATEWAY), &body.code)
            }
            Self::BeingDeleted => (StatusCode::CONFLICT, "session_being_deleted"),
            Self::StillUnderWay(_) => (StatusCode::GATEWAY_TIMEOUT, "still_under_way"),
            Self::KeeperUnavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "cluster_unavailable"),
            Self::GatewayForbidden(_) => (StatusCode::INTERNAL_SERVER_ERROR, "gateway_forbidden"),
            Self::RefusedByCluster(_) => (StatusCode::CONFLICT, "refused_by_cluster"),
            Self::StorageFailed(_) => (StatusCode::INSUFFICIENT_STORAGE, "storage_failed"),
            Self::TimedOut => (StatusCode::GATEWAY_TIMEOUT, "timeout"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal_error"),
        }
    }

    /// The answer's HTTP status.
    pub fn status(&self) -> StatusCode {
        self.place().0
    }

    /// The answer's body.
    pub fn body(&self) -> ErrorBody {
        let body = ErrorBody::new(self.place().1, self.to_string());
        match self {
            Self::InvalidBody { field, .. } | Self::InvalidRecipient { field } => {
                body.with("field", field.as_str())
            }
            Self::EmptyText => body.with("field", "text"),
            Self::TextTooLong { limit } => body.with("field", "text").with("limit", *limit),
            Self::PayloadTooLarge { limit } | Self::TooManySessions { limit } => body.with("limit", *limit),
            Self::SessionNotOpen { id, status } => {
                body.with("sessionId", id.as_str()).with("status", status.as_str())
            }
            Self::NoQr { status } => body.with("status", status.as_str()),
            Self::SessionUnavailable { id, retry_after_ms } => {
                body.with("sessionId", id.as_str()).with("retryAfterMs", *retry_after_ms)
            }
            Self::OutcomeUnknown { id } => body.with("sessionId", id.as_str()),
            Self::Refused { body, .. } => (**body).clone(),
            Self::NotReady(_) | Self::Stopping | Self::BeingDeleted | Self::KeeperUnavailable(_) => {
                body.with("retryAfterMs", RETRY_AFTER_MS)
            }
            Self::MissingKey
            | Self::UnknownKey
            | Self::AdminOnly
            | Self::StillUnderWay(_)
            | Self::GatewayForbidden(_)
            | Self::RefusedByCluster(_)
            | Self::RouteNotFound
            | Self::MethodNotAllowed
            | Self::SessionNotFound
            | Self::InvalidSessionId
            | Self::SessionIdTaken
            | Self::InvalidJson(_)
            | Self::InvalidQuery(_)
            | Self::UnsupportedMediaType
            | Self::BodyNotReceived(_)
            | Self::StorageFailed(_)
            | Self::TimedOut
            | Self::Internal => body,
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, body) = (self.status(), self.body());
        if status.is_server_error() {
            tracing::warn!(code = %body.code, error = %body.error, "a request failed");
        }
        let wait = body.details.get("retryAfterMs").and_then(serde_json::Value::as_u64);
        let mut response = (status, Json(body)).into_response();
        if let Some(ms) = wait {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(ms.div_ceil(1000)));
        }
        response
    }
}

#[cfg(test)]
mod tests;
