//! `/health`, `/health/live`, `/health/ready`, `/health/misc`, `/ping`, `/metrics`: for probes, dashboards and people.
//!
//! Comes in: nothing, or an admin's key. Goes out: figures. Without a key no session's id is told.

use axum::Json;
use axum::extract::{FromRequestParts as _, Request, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::knowledge::Knowledge;
use super::sessions::SessionItem;
use crate::app::AppState;
use crate::clock::now_ms;
use crate::cluster::board::Standing;
use crate::error::{ApiError, ApiResult};
use crate::extract::Query;
use crate::health::{Figures, Memory, loadavg};
use crate::keys::{Caller, Role};
use crate::openapi::ErrorAnswer;
use crate::status::PublicStatus;

/// How many sessions have which status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// All.
    pub total: usize,
    /// `open`.
    pub open: usize,
    /// `qr`.
    pub qr: usize,
    /// `starting`.
    pub starting: usize,
    /// `reconnecting`.
    pub reconnecting: usize,
    /// `suspended`.
    pub suspended: usize,
    /// `logged_out`.
    pub logged_out: usize,
    /// `closed` and `passkey_required`.
    pub closed: usize,
    /// `failed`.
    pub failed: usize,
}

impl Counts {
    /// Counts.
    pub fn of(statuses: impl Iterator<Item = PublicStatus>) -> Self {
        statuses.fold(Self::default(), |mut counts, status| {
            counts.total += 1;
            *match status {
                PublicStatus::Open => &mut counts.open,
                PublicStatus::Qr => &mut counts.qr,
                PublicStatus::Starting => &mut counts.starting,
                PublicStatus::Reconnecting => &mut counts.reconnecting,
                PublicStatus::Suspended => &mut counts.suspended,
                PublicStatus::LoggedOut => &mut counts.logged_out,
                PublicStatus::Closed | PublicStatus::PasskeyRequired => &mut counts.closed,
                PublicStatus::Failed => &mut counts.failed,
            } += 1;
            counts
        })
    }

    /// `degraded` when a session that should work does not, or the gateway cannot rely on what it knows.
    fn status(self, standing: &Standing) -> HealthStatus {
        let well = self.failed == 0 && self.reconnecting == 0 && *standing == Standing::Current;
        if well { HealthStatus::Ok } else { HealthStatus::Degraded }
    }
}

/// Whether all is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HealthStatus {
    /// It is.
    Ok,
    /// A session has failed or tries to reconnect, or the gateway cannot rely on what it knows; it works all the same.
    Degraded,
}

/// The state of things in short.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// Whether all is well.
    pub status: HealthStatus,
    /// Whether what the gateway knows can be relied on.
    pub knowledge: Knowledge,
    /// How many sessions have which status.
    pub sessions: Counts,
    /// Seconds since the gateway started.
    pub uptime: u64,
    /// Memory, in bytes.
    pub memory: Memory,
    /// Load over 1, 5 and 15 minutes.
    pub loadavg: [f64; 3],
}

fn counts(state: &AppState) -> Counts {
    Counts::of(state.directory.list().iter().map(|session| state.monitor.view(session).status))
}

/// The state of things in short.
#[utoipa::path(get, path = "/health", tag = "Health", security(()), responses((status = 200, body = Health)))]
pub async fn summary(State(state): State<AppState>) -> ApiResult<Json<Health>> {
    let (sessions, standing) = (counts(&state), state.board.standing());
    let uptime = state.started.elapsed().as_secs();
    let memory = off_runtime({
        let state = state.clone();
        move || state.probe.memory()
    });
    Ok(Json(Health {
        status: sessions.status(&standing),
        knowledge: standing.into(),
        sessions,
        uptime,
        memory: memory.await?,
        loadavg: loadavg(),
    }))
}

/// A plain yes.
#[derive(Debug, Serialize, ToSchema)]
pub struct Yes {
    /// Always true.
    pub ok: bool,
}

/// The process lives.
#[utoipa::path(get, path = "/health/live", tag = "Health", security(()), responses((status = 200, body = Yes)))]
pub async fn live() -> Json<Yes> {
    Json(Yes { ok: true })
}

/// The gateway takes requests.
///
/// Not before it knows all sessions, pods and keys; from then on also while what it knows is stale, until it is told to stop.
#[utoipa::path(
    get, path = "/health/ready", tag = "Health", security(()),
    responses(
        (status = 200, body = Yes),
        (status = 503, body = ErrorAnswer, description = "`not_ready`: what is missing and what to do; `stopping`: ask another one"),
    ),
)]
pub async fn ready(State(state): State<AppState>) -> ApiResult<Json<Yes>> {
    if state.closing.has_begun() {
        return Err(ApiError::Stopping);
    }
    match state.board.standing() {
        Standing::Current | Standing::Stale { .. } => Ok(Json(Yes { ok: true })),
        Standing::NotReady { why } => Err(ApiError::NotReady(why)),
    }
}

/// Answer of `/ping`.
#[derive(Debug, Serialize, ToSchema)]
pub struct Pong {
    /// Always true.
    pub pong: bool,
    /// Now, Unix milliseconds.
    pub ts: u64,
}

/// Is anybody there?
#[utoipa::path(get, path = "/ping", tag = "Health", security(()), responses((status = 200, body = Pong)))]
pub async fn ping() -> Json<Pong> {
    Json(Pong { pong: true, ts: now_ms() })
}

/// Query of `/health/misc`.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct MiscQuery {
    /// `1` tells each network interface too.
    #[serde(default)]
    #[param(example = "1")]
    pub full: String,
}

/// A file or resource that is no session.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProblemItem {
    /// Which.
    pub what: String,
    /// Why it is left alone.
    pub why: String,
}

/// The state of things at length.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Misc {
    /// Whether all is well.
    pub status: HealthStatus,
    /// Whether what the gateway knows can be relied on.
    pub knowledge: Knowledge,
    /// Now, Unix milliseconds.
    pub ts: u64,
    /// Seconds since the gateway started.
    pub uptime: u64,
    /// How many sessions have which status.
    pub sessions: Counts,
    /// How many files or resources are left alone because they are no sessions.
    pub problem_count: usize,
    /// Figures of the machine.
    #[serde(flatten)]
    pub figures: Figures,
    /// For the admin key: each session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_list: Option<Vec<SessionItem>>,
    /// For the admin key: each file or resource that is left alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problems: Option<Vec<ProblemItem>>,
}

/// The state of things at length.
///
/// Processors, memory, disk, load, network, process, sessions. With the admin key in `X-API-Key` it names sessions and
/// files; without a key it names none.
#[utoipa::path(
    get, path = "/health/misc", tag = "Health", params(MiscQuery), security((), ("apiKey" = [])),
    responses((status = 200, body = Misc), (status = 401, body = ErrorAnswer, description = "A key was sent that is not known")),
)]
pub async fn misc(State(state): State<AppState>, request: Request) -> ApiResult<Json<Misc>> {
    let (mut parts, _) = request.into_parts();
    let Query(MiscQuery { full }) = Query::from_request_parts(&mut parts, &state).await?;
    let admin = match Caller::from_request_parts(&mut parts, &state).await {
        Ok(caller) => caller.role == Role::Admin,
        Err(ApiError::MissingKey) => false,
        Err(error) => return Err(error),
    };
    let figures = off_runtime({
        let state = state.clone();
        move || state.probe.figures(matches!(full.as_str(), "1" | "true"))
    })
    .await?;
    let (sessions, problems) = (counts(&state), state.directory.problems());
    let list = || state.directory.list().iter().map(|session| SessionItem::of(&state, session)).collect();
    let standing = state.board.standing();
    Ok(Json(Misc {
        status: sessions.status(&standing),
        knowledge: standing.into(),
        ts: now_ms(),
        uptime: state.started.elapsed().as_secs(),
        sessions,
        problem_count: problems.len(),
        figures,
        session_list: admin.then(list),
        problems: admin
            .then(|| problems.into_iter().map(|one| ProblemItem { what: one.what, why: one.why }).collect()),
    }))
}

/// Counters in Prometheus' text format.
///
/// Requests by route, sessions by status, session processes that ended by themselves. No session is named.
#[utoipa::path(
    get, path = "/metrics", tag = "Health", security(()),
    responses((status = 200, body = String, content_type = "application/openmetrics-text")),
)]
pub async fn metrics(State(state): State<AppState>) -> impl IntoResponse {
    let sessions = state.directory.list();
    let statuses = sessions.iter().map(|session| state.monitor.view(session).status);
    let text = state.metrics.text(statuses, &state.board);
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    (StatusCode::OK, [(header::CONTENT_TYPE, kind)], text)
}

async fn off_runtime<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> ApiResult<T> {
    tokio::task::spawn_blocking(work).await.map_err(|_| ApiError::Internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_counted() {
        let counts = Counts::of(PublicStatus::ALL.into_iter().chain([PublicStatus::Open]));
        assert_eq!((counts.total, counts.open, counts.closed, counts.failed), (10, 2, 2, 1));
        assert_eq!(counts.status(&Standing::Current), HealthStatus::Degraded);
        let well = Counts::of([PublicStatus::Qr].into_iter());
        assert_eq!(well.status(&Standing::Current), HealthStatus::Ok);
        assert_eq!(well.status(&Standing::Stale { since: 1, why: String::new() }), HealthStatus::Degraded);
    }
}
