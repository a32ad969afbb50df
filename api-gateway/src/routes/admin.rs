//! `/api/admin/*`: settings that hold on every gateway and survive a restart.
//!
//! Comes in: an admin's changes. Goes out: the settings that hold. The key of a signature is stored and never shown.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoResponses, ToSchema};

use super::sessions::directory_error;
use crate::app::AppState;
use crate::error::{ApiError, ApiResult};
use crate::extract::{Admin, Json};
use crate::openapi::ErrorAnswer;
use crate::settings::Stored;

/// How many requests a key may make.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RateLimit {
    /// Window, milliseconds.
    #[schema(example = 60_000)]
    pub window_ms: u64,
    /// Requests in it.
    #[schema(example = 120)]
    pub max: u64,
    /// Whether requests are counted. Always false in this version: the values are kept, and hold once it counts.
    pub in_force: bool,
}

/// Where events of sessions without a webhook of their own shall be posted.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookDefault {
    /// The receiver.
    #[schema(example = "https://example.com/wa/webhook")]
    pub url: Option<String>,
    /// Whether a key for the signature is stored. It is never shown.
    pub secret_set: bool,
    /// Whether events are posted there. Always false in this version: the values are kept, and hold once it posts.
    pub in_force: bool,
}

/// The settings that hold.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdminConfig {
    /// Always true.
    pub ok: bool,
    /// How many requests a key may make.
    pub rate_limit: RateLimit,
    /// Where events of sessions without a webhook of their own shall be posted.
    pub webhook_default: WebhookDefault,
}

impl AdminConfig {
    fn of(state: &AppState) -> axum::Json<Self> {
        let now = state.settings.current();
        axum::Json(Self {
            ok: true,
            rate_limit: RateLimit { window_ms: now.window_ms, max: now.max, in_force: false },
            webhook_default: WebhookDefault {
                url: now.webhook_url,
                secret_set: now.webhook_secret.is_some(),
                in_force: false,
            },
        })
    }
}

/// Shows the settings that hold.
///
/// Those of the environment, and over them what was changed here. Every gateway of a cluster shows the same within 2 s.
#[utoipa::path(
    get, path = "/api/admin/config", tag = "Admin",
    responses((status = 200, body = AdminConfig), (status = 403, body = ErrorAnswer, description = "`forbidden`: a user key")),
)]
pub async fn config(State(state): State<AppState>, _: Admin) -> axum::Json<AdminConfig> {
    AdminConfig::of(&state)
}

/// Why settings stay as they are.
#[derive(IntoResponses)]
pub enum NotChanged {
    /// `invalid_body` or `invalid_json`
    #[response(status = 400)]
    Bad(ErrorAnswer),
    /// `forbidden`: a user key
    #[response(status = 403)]
    Forbidden(ErrorAnswer),
    /// `cluster_unavailable`: nothing was changed, or the part that the error names
    #[response(status = 503)]
    Unavailable(ErrorAnswer),
    /// `storage_failed`: nothing was changed
    #[response(status = 507)]
    NotStored(ErrorAnswer),
}

/// A new rate limit. What is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RateLimitBody {
    /// Window, milliseconds.
    #[schema(minimum = 1000, maximum = 86_400_000, example = 60_000)]
    pub window_ms: Option<u64>,
    /// Requests in it.
    #[schema(minimum = 1, maximum = 1_000_000, example = 120)]
    pub max: Option<u64>,
}

/// Changes the rate limit.
///
/// The values are stored and shown. This version does not count requests yet (`inForce` is false).
#[utoipa::path(
    post, path = "/api/admin/ratelimit", tag = "Admin", request_body = RateLimitBody,
    responses((status = 200, body = AdminConfig), NotChanged),
)]
pub async fn rate_limit(
    State(state): State<AppState>,
    _: Admin,
    Json(RateLimitBody { window_ms, max }): Json<RateLimitBody>,
) -> ApiResult<axum::Json<AdminConfig>> {
    if window_ms.is_none() && max.is_none() {
        return Err(invalid("windowMs", "give windowMs, max, or both"));
    }
    change(&state, Stored { rate_limit_window_ms: window_ms, rate_limit_max: max, ..Stored::default() }).await
}

/// A new default receiver. What is left out stays; an empty text is none.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookDefaultBody {
    /// The receiver: http:// or https://.
    #[schema(example = "https://example.com/wa/webhook")]
    pub url: Option<String>,
    /// Key of the signature.
    #[schema(example = "supersecret")]
    pub secret: Option<String>,
}

/// Changes where events of sessions without a webhook of their own shall be posted.
///
/// The values are stored and the URL is shown. This version does not post there yet (`inForce` is false).
#[utoipa::path(
    post, path = "/api/admin/webhook-default", tag = "Admin", request_body = WebhookDefaultBody,
    responses((status = 200, body = AdminConfig), NotChanged),
)]
pub async fn webhook_default(
    State(state): State<AppState>,
    _: Admin,
    Json(WebhookDefaultBody { url, secret }): Json<WebhookDefaultBody>,
) -> ApiResult<axum::Json<AdminConfig>> {
    if url.is_none() && secret.is_none() {
        return Err(invalid("url", "give url, secret, or both; an empty text removes"));
    }
    change(&state, Stored { webhook_default_url: url, webhook_default_secret: secret, ..Stored::default() })
        .await
}

async fn change(state: &AppState, change: Stored) -> ApiResult<axum::Json<AdminConfig>> {
    let change = change.checked().map_err(|error| invalid(asked(error.field), &error.problem))?;
    state.settings.change(change).await.map_err(directory_error)?;
    Ok(AdminConfig::of(state))
}

/// What a request calls a stored field.
fn asked(field: &str) -> &str {
    match field {
        "rateLimitWindowMs" => "windowMs",
        "rateLimitMax" => "max",
        "webhookDefaultUrl" => "url",
        "webhookDefaultSecret" => "secret",
        other => other,
    }
}

fn invalid(field: &str, problem: &str) -> ApiError {
    ApiError::InvalidBody { field: field.to_owned(), problem: problem.to_owned() }
}
