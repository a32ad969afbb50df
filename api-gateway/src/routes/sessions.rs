//! `/api/sessions` and `/api/sessions/{id}`: list, make, look at.
//!
//! Comes in: a caller and the session's name. Goes out: what the caller may see. The directory and the process do the work.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use session_api::{Account, Reason};
use utoipa::ToSchema;

use super::lifecycle;
use crate::app::AppState;
use crate::directory::{DirectoryError, NewSession, SessionRecord, Webhook};
use crate::error::{ApiError, ApiResult};
use crate::extract::{Json, OwnSession};
use crate::keys::{Caller, Role};
use crate::openapi::ErrorAnswer;
use crate::session_name::{MAX_LENGTH, SessionName};
use crate::status::PublicStatus;

/// Longest label, characters: the custom resource takes no longer one.
const MAX_LABEL: usize = 100;
const MAX_URL: usize = 2048;
const MAX_SECRET: usize = 512;

/// The account that a session is linked to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Me {
    /// `<number>@s.whatsapp.net`.
    #[schema(example = "6281200000001@s.whatsapp.net")]
    pub id: String,
    /// The account's hidden id, when known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "100000012345678@lid")]
    pub lid: Option<String>,
    /// The push name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl From<Account> for Me {
    fn from(account: Account) -> Self {
        Self { id: account.id, lid: account.lid, name: account.name }
    }
}

/// A cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Cause {
    /// Stable name.
    #[schema(example = "replaced")]
    pub code: String,
    /// What happened and what to do.
    pub message: String,
}

impl From<Reason> for Cause {
    fn from(reason: Reason) -> Self {
        Self { code: reason.code, message: reason.message }
    }
}

/// A session in the list.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionItem {
    /// Its id.
    #[schema(value_type = String, example = "my-session-1")]
    pub id: SessionName,
    /// Its status.
    pub status: PublicStatus,
    /// The account, once paired.
    pub me: Option<Me>,
    /// What people call it.
    pub label: Option<String>,
    /// Name of the key that made it.
    #[schema(example = "admin")]
    pub owner: String,
    /// Since when it has this status, Unix milliseconds.
    pub since: Option<u64>,
    /// When it was made.
    #[schema(example = "2026-11-22T16:50:00Z")]
    pub created_at: Option<String>,
    /// Why it is not open, or what went wrong last.
    pub last_error: Option<Cause>,
}

impl SessionItem {
    /// How a session looks now.
    pub fn of(state: &AppState, session: &SessionRecord) -> Self {
        let view = state.monitor.view(session);
        Self {
            id: session.id.clone(),
            status: view.status,
            me: view.me.map(Me::from),
            label: session.label.clone(),
            owner: session.owner.clone(),
            since: view.since,
            created_at: session.created_at.clone(),
            last_error: view.last_error.map(Cause::from),
        }
    }
}

/// The caller's sessions.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionList {
    /// By id.
    pub items: Vec<SessionItem>,
}

/// Lists the sessions.
///
/// All for the admin key, a user key's own otherwise.
#[utoipa::path(
    get, path = "/api/sessions", tag = "Sessions",
    responses((status = 200, body = SessionList)),
)]
pub async fn list(State(state): State<AppState>, caller: Caller) -> axum::Json<SessionList> {
    let sessions = state.directory.list();
    let seen = sessions.iter().filter(|session| caller.may_see(&session.owner, &session.labels));
    axum::Json(SessionList { items: seen.map(|session| SessionItem::of(&state, session)).collect() })
}

/// What a session is made with.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateSession {
    /// A DNS label: 1 to 63 lower-case letters, digits and hyphens. Without one, an id is made.
    #[schema(example = "my-session-1", max_length = 63, pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
    pub id: Option<String>,
    /// What people call it. Empty is as if it were not given.
    #[schema(example = "Shop", max_length = 100)]
    pub label: Option<String>,
    /// Where the session's events shall be posted. It is stored now; delivery comes with a later version.
    #[schema(example = "https://example.com/wa/webhook")]
    pub webhook_url: Option<String>,
    /// Key of the signature of those posts.
    #[schema(example = "supersecret")]
    pub webhook_secret: Option<String>,
}

/// A session's id and status.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SessionState {
    /// Its id.
    #[schema(value_type = String, example = "my-session-1")]
    pub id: SessionName,
    /// Its status.
    pub status: PublicStatus,
}

impl SessionState {
    /// How a session is now.
    pub fn of(state: &AppState, id: &SessionName) -> ApiResult<axum::Json<Self>> {
        let session = state.directory.get(id).ok_or(ApiError::SessionNotFound)?;
        Ok(axum::Json(Self { id: session.id.clone(), status: state.monitor.view(&session).status }))
    }
}

/// Makes a session and starts it.
///
/// The same id again, by its owner, starts it if it has ended and changes the fields that
/// are given. The id of a deleted session whose volume was kept resumes it without a new QR code; it stays its owner's.
#[utoipa::path(
    post, path = "/api/sessions", tag = "Sessions", request_body = CreateSession,
    responses(
        (status = 200, body = SessionState),
        (status = 400, body = ErrorAnswer, description = "`invalid_session_id`, `invalid_json`, or `invalid_body` with the `field`: in a cluster also for a rule that only the API server knows, in its words"),
        (status = 409, body = ErrorAnswer, description = "`session_id_taken`: another key has it; `too_many_sessions`; `refused_by_cluster`: a quota or a policy is against it, in its own words"),
        (status = 413, body = ErrorAnswer, description = "`payload_too_large`"),
        (status = 503, body = ErrorAnswer, description = "`session_unavailable`: it is there, and could not be told to pair"),
        (status = 507, body = ErrorAnswer, description = "`storage_failed`: nothing was changed"),
    ),
)]
pub async fn create(
    State(state): State<AppState>,
    caller: Caller,
    Json(wanted): Json<CreateSession>,
) -> ApiResult<axum::Json<SessionState>> {
    let new = checked(wanted, &caller)?;
    let session = state.directory.create(new).await.map_err(directory_error)?;
    lifecycle::begin(&state, &session).await?;
    SessionState::of(&state, &session.id)
}

fn checked(wanted: CreateSession, caller: &Caller) -> ApiResult<NewSession> {
    let id = match wanted.id {
        Some(id) => id.parse().map_err(|_| ApiError::InvalidSessionId)?,
        None => SessionName::generated(rand::random()),
    };
    let label = label(wanted.label)?;
    let secret =
        bounded("webhookSecret", wanted.webhook_secret.filter(|secret| !secret.is_empty()), MAX_SECRET)?;
    let url = bounded("webhookUrl", wanted.webhook_url.filter(|url| !url.is_empty()), MAX_URL)?;
    let webhook = url.map(web_url).transpose()?.map(|url| Webhook { url, secret });
    Ok(NewSession {
        id,
        owner: caller.name.to_string(),
        any_owner: caller.role == Role::Admin,
        label,
        webhook,
    })
}

fn label(text: Option<String>) -> ApiResult<Option<String>> {
    let text = text.filter(|text| !text.is_empty());
    if text.as_ref().is_some_and(|text| text.chars().count() > MAX_LABEL) {
        let problem = format!("at most {MAX_LABEL} characters");
        return Err(ApiError::InvalidBody { field: "label".to_owned(), problem });
    }
    Ok(text)
}

fn bounded(field: &str, text: Option<String>, limit: usize) -> ApiResult<Option<String>> {
    if text.as_ref().is_some_and(|text| text.len() > limit) {
        let problem = format!("at most {limit} bytes");
        return Err(ApiError::InvalidBody { field: field.to_owned(), problem });
    }
    Ok(text)
}

fn web_url(text: String) -> ApiResult<String> {
    let fits =
        url::Url::parse(&text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let problem = || "an http:// or https:// URL is needed".to_owned();
    if fits {
        Ok(text)
    } else {
        Err(ApiError::InvalidBody { field: "webhookUrl".to_owned(), problem: problem() })
    }
}

/// Where a session's events shall be posted. The secret is never shown.
#[derive(Debug, Serialize, ToSchema)]
pub struct WebhookItem {
    /// The receiver.
    pub url: String,
}

/// A session as its owner sees it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionDetail {
    /// What the list says.
    #[serde(flatten)]
    pub item: SessionItem,
    /// The text of the QR code that waits for a phone.
    pub qr: Option<String>,
    /// The code that waits to be typed into the phone.
    pub pairing_code: Option<String>,
    /// Where its events shall be posted.
    pub webhook: Option<WebhookItem>,
}

/// Shows a session, with the QR code that waits for a phone.
#[utoipa::path(
    get, path = "/api/sessions/{id}", tag = "Sessions", params(("id" = String, Path, description = "Session id")),
    responses((status = 200, body = SessionDetail), (status = 404, body = ErrorAnswer, description = "`session_not_found`")),
)]
pub async fn read(
    State(state): State<AppState>,
    OwnSession(session): OwnSession,
) -> axum::Json<SessionDetail> {
    let item = SessionItem::of(&state, &session);
    let qr = match session.runtime.pod().filter(|_| item.status == PublicStatus::Qr) {
        Some(pod) => state.pods.qr(pod).await.ok().map(|qr| qr.qr),
        None => None,
    };
    axum::Json(SessionDetail {
        qr,
        pairing_code: state.monitor.pairing_code(&session.uid).map(|code| code.code),
        webhook: session.webhook.map(|webhook| WebhookItem { url: webhook.url }),
        item,
    })
}

/// Why the directory did not do something, in the public's words.
pub fn directory_error(error: DirectoryError) -> ApiError {
    match error {
        DirectoryError::NotFound => ApiError::SessionNotFound,
        DirectoryError::Taken => ApiError::SessionIdTaken,
        DirectoryError::Full { limit } => ApiError::TooManySessions { limit },
        DirectoryError::Storage(why) => {
            tracing::error!(%why, "the data directory could not be changed");
            ApiError::StorageFailed("the gateway's log says why".to_owned())
        }
        DirectoryError::Deleting => ApiError::BeingDeleted,
        DirectoryError::UnderWay(what) => ApiError::StillUnderWay(what),
        DirectoryError::Unavailable(why) => ApiError::KeeperUnavailable(why),
        DirectoryError::Forbidden(why) => ApiError::GatewayForbidden(why),
        DirectoryError::Invalid { field, problem } => ApiError::InvalidBody { field, problem },
        DirectoryError::Refused(why) => ApiError::RefusedByCluster(why),
    }
}

const _: () = assert!(MAX_LENGTH == 63, "the document says so");
