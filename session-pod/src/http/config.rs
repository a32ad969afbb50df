//! `PUT /v1/config`: configuration that takes effect at once and stays over restarts.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use session_api::{ConfigPush, SessionStatus};

use super::body::Body;
use super::pairing::status;
use super::{ApiError, App};
use crate::config::push::check;
use crate::session::Request;

/// Takes the configuration. The same hash again changes nothing.
pub(super) async fn push(
    State(app): State<App>,
    Body(push): Body<ConfigPush>,
) -> Result<Json<SessionStatus>, ApiError> {
    check(&push).map_err(|broken| {
        let code = if broken.field.starts_with("policy") { "invalid_policy" } else { "invalid_config" };
        ApiError::new(StatusCode::BAD_REQUEST, code, broken.to_string()).with("field", broken.field)
    })?;
    status(app.session.request(Request::Configure(push)).await?)
}
