//! `PUT /v1/config`: configuration that takes effect at once and stays over restarts.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use session_api::{ConfigPush, SessionStatus};

use super::body::Body;
use super::pairing::status;
use super::{ApiError, App};
use crate::session::{MAX_PACE_MS, Request};

/// Longest hash, bytes.
const MAX_HASH: usize = 128;

/// Takes the configuration. The same hash again changes nothing.
pub(super) async fn push(
    State(app): State<App>,
    Body(push): Body<ConfigPush>,
) -> Result<Json<SessionStatus>, ApiError> {
    let invalid = |field: &str, message: String| {
        ApiError::new(StatusCode::BAD_REQUEST, "invalid_policy", message).with("field", field)
    };
    if push.hash.is_empty() || push.hash.len() > MAX_HASH {
        return Err(invalid("hash", format!("hash must be 1 to {MAX_HASH} bytes")));
    }
    for (field, value) in [("policy.paceMs", push.policy.pace_ms), ("policy.jitterMs", push.policy.jitter_ms)]
    {
        if value.is_some_and(|ms| ms > MAX_PACE_MS) {
            return Err(invalid(field, format!("{field} must be at most {MAX_PACE_MS}")));
        }
    }
    status(app.session.request(Request::Configure(push)).await?)
}
