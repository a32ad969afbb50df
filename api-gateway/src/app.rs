//! The application: what handlers share, and the router with its middleware in one order.
//!
//! Comes in: [`AppState`]. Goes out: a `Router` that `serve` and tests use alike. It must not open a port.

use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::middleware::from_fn_with_state;
use tower_http::cors::CorsLayer;

use crate::clock::now_ms;
use crate::closing::Closing;
use crate::cluster::board::Board;
use crate::config::Origins;
use crate::directory::{PodEndpoint, Runtime, SessionDirectory, SessionRecord};
use crate::error::{ApiError, ApiResult, RETRY_AFTER_MS};
use crate::health::Probe;
use crate::keys::ring::KeyRing;
use crate::metrics::Metrics;
use crate::monitor::Monitor;
use crate::pod_client::{PodClient, PodError};
use crate::settings::SettingsStore;
use crate::{middleware, openapi, routes, socketio};

/// What handlers share.
#[derive(Clone)]
pub struct AppState(Arc<Shared>);

/// The parts of [`AppState`].
pub struct Shared {
    /// Who may call.
    pub keys: KeyRing,
    /// Settings that an admin changes.
    pub settings: Arc<dyn SettingsStore>,
    /// Which sources of truth can be relied on.
    pub board: Arc<Board>,
    /// Which sessions there are.
    pub directory: Arc<dyn SessionDirectory>,
    /// Calls to their processes.
    pub pods: PodClient,
    /// What they say.
    pub monitor: Arc<Monitor>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Figures of the machine.
    pub probe: Probe,
    /// Web pages that may call from another origin.
    pub origins: Origins,
    /// When the gateway started.
    pub started: Instant,
    /// Whether it is about to end.
    pub closing: Closing,
}

impl AppState {
    /// Shares the parts.
    pub fn new(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }

    /// Where a session's process can be asked to do something.
    pub fn pod(&self, session: &SessionRecord) -> ApiResult<PodEndpoint> {
        if let Some(pod) = session.runtime.pod() {
            return Ok(pod.clone());
        }
        let status = self.monitor.view(session).status;
        let retry_after_ms = match &session.runtime {
            Runtime::Waiting { until, .. } => until.saturating_sub(now_ms()).max(1),
            Runtime::Starting { .. } => RETRY_AFTER_MS,
            Runtime::Stopped { .. }
            | Runtime::Stopping { .. }
            | Runtime::Failed { .. }
            | Runtime::Running { .. } => {
                return Err(ApiError::SessionNotOpen { id: session.id.clone(), status });
            }
        };
        // A session that was never heard of is not open yet; one that was comes back.
        if self.monitor.heard(&session.uid).is_some() {
            Err(ApiError::SessionUnavailable { id: session.id.clone(), retry_after_ms })
        } else {
            Err(ApiError::SessionNotOpen { id: session.id.clone(), status })
        }
    }

    /// Why a call to a session's process failed, in the public's words.
    pub fn explain(&self, session: &SessionRecord, error: PodError) -> ApiError {
        let id = session.id.clone();
        match error {
            PodError::Refused { status, body } => {
                let mut body = body.with("sessionId", id.as_str());
                if body.details.contains_key("status") {
                    body = body.with("status", self.monitor.view(session).status.as_str());
                }
                ApiError::Refused { status, body: Box::new(body) }
            }
            PodError::Unreachable(_) | PodError::Evicted => {
                ApiError::SessionUnavailable { id, retry_after_ms: RETRY_AFTER_MS }
            }
            PodError::WrongSession | PodError::NotUnderstood(_) => {
                tracing::error!(session = %id, %error, "a session's process gave no usable answer");
                ApiError::SessionUnavailable { id, retry_after_ms: RETRY_AFTER_MS }
            }
            PodError::NoAnswer(_) => ApiError::OutcomeUnknown { id },
        }
    }

    /// Why reading from a session's process failed: it can be read again, whatever became of the first try.
    pub fn explain_read(&self, session: &SessionRecord, error: PodError) -> ApiError {
        if matches!(error, PodError::NoAnswer(_)) {
            return ApiError::SessionUnavailable { id: session.id.clone(), retry_after_ms: RETRY_AFTER_MS };
        }
        self.explain(session, error)
    }
}

impl Deref for AppState {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

/// The router: routes innermost, then from the inside out time limit, Socket.IO, headers, CORS, panics, farewell, log.
pub fn app(state: AppState) -> (Router, socketioxide::SocketIo) {
    let (paths, document) = routes::all().split_for_parts();
    let (sockets, io) = socketio::layer(&state);
    let router = paths
        .merge(routes::documentation(&openapi::finish(document)))
        .method_not_allowed_fallback(async || ApiError::MethodNotAllowed)
        .fallback(async || ApiError::RouteNotFound)
        .layer(axum::middleware::from_fn(middleware::time_limit))
        .layer(sockets)
        .layer(from_fn_with_state(state.clone(), middleware::headers))
        .layer(cors(&state.origins))
        .layer(axum::middleware::from_fn(middleware::panics))
        .layer(from_fn_with_state(state.clone(), middleware::farewell))
        .layer(from_fn_with_state(state.clone(), middleware::observe))
        .with_state(state);
    (router, io)
}

fn cors(origins: &Origins) -> CorsLayer {
    use axum::http::{HeaderName, Method, header};
    let layer = CorsLayer::new()
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers([header::CONTENT_TYPE, header::ACCEPT, HeaderName::from_static("x-api-key")])
        .expose_headers([header::RETRY_AFTER, HeaderName::from_static("x-request-id")])
        .max_age(Duration::from_hours(1));
    match origins {
        Origins::Any => layer.allow_origin(tower_http::cors::Any),
        Origins::Listed(list) => layer.allow_origin(list.clone()),
    }
}
