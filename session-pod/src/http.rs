//! The HTTP contract of crate `session-api`: requests in, answers out. It asks the session task and reads the store; it decides
//! nothing about the session.
//!
//! Every answer carries the session's UID; everything but the probes wants the bearer token.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post, put};
use session_api::{UID_HEADER, routes};
use tokio::sync::Semaphore;

use crate::metrics::Metrics;
use crate::session::SessionHandle;
use crate::session::state::reason;
use crate::store::Store;

mod auth;
mod body;
mod config;
mod error;
mod events;
mod messages;
mod pairing;
mod probes;
mod serve;
mod status;

pub(crate) use auth::Token;
pub(crate) use error::ApiError;
pub(crate) use serve::{Bounds, serve};

/// Largest body: the longest text, every character escaped, and room for the rest.
const MAX_BODY: usize = 512 * 1024;

/// Event streams that may be open at a time: one per gateway, operator and curious person.
const MAX_STREAMS: usize = 16;

/// Sends whose outcome may be waited for at a time. With the polls and the streams, that leaves 48 of the 256 connections to the
/// probes, and to whoever is answered at once.
const MAX_WAITS: usize = 128;

/// Status polls that may wait for a change at a time: one per gateway and operator, and many more.
const MAX_POLLS: usize = 64;

/// What the handlers need. Cheap to clone.
#[derive(Clone)]
pub(crate) struct App {
    session: SessionHandle,
    store: Option<Arc<Store>>,
    metrics: Arc<Metrics>,
    token: Arc<Token>,
    uid: HeaderValue,
    /// Room for event streams.
    streams: Arc<Semaphore>,
    /// Room for sends that wait for their outcome.
    waits: Arc<Semaphore>,
    /// Room for status polls that wait for a change.
    polls: Arc<Semaphore>,
}

impl App {
    /// What the handlers need. `uid` must be printable ASCII, as the configuration ensures.
    pub(crate) fn new(
        session: SessionHandle,
        store: Option<Arc<Store>>,
        metrics: Arc<Metrics>,
        token: Token,
        uid: &str,
    ) -> Self {
        let uid = HeaderValue::from_str(uid).unwrap_or(HeaderValue::from_static(""));
        let streams = Arc::new(Semaphore::new(MAX_STREAMS));
        let waits = Arc::new(Semaphore::new(MAX_WAITS));
        let polls = Arc::new(Semaphore::new(MAX_POLLS));
        Self { session, store, metrics, token: Arc::new(token), uid, streams, waits, polls }
    }

    /// The store, or why there is none.
    fn store(&self) -> Result<Arc<Store>, ApiError> {
        self.store.clone().ok_or_else(|| {
            let unknown = || reason("store_unwritable", "the store could not be opened");
            let why = self.session.status().borrow().reason.clone().unwrap_or_else(unknown);
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, &why.code, why.message)
        })
    }
}

/// Every route.
pub(crate) fn router(app: App) -> Router {
    let guarded = Router::new()
        .route(routes::STATUS, get(status::read))
        .route(routes::EVENTS, get(events::read))
        .route(routes::QR, get(pairing::qr))
        .route(routes::PAIRING, post(pairing::start).delete(pairing::stop))
        .route(routes::PAIRING_CODE, get(pairing::shown_code).post(pairing::code))
        .route(routes::LOGOUT, post(pairing::log_out))
        .route(routes::MESSAGES, post(messages::send))
        .route(routes::CONFIG, put(config::push))
        .route_layer(middleware::from_fn_with_state(app.clone(), auth::check));
    guarded
        .route(routes::LIVEZ, get(probes::livez))
        .route(routes::READYZ, get(probes::readyz))
        .route(routes::METRICS, get(probes::metrics))
        .fallback(async || ApiError::new(StatusCode::NOT_FOUND, "not_found", "there is nothing at this path"))
        .method_not_allowed_fallback(async || {
            ApiError::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "this path does not take this method",
            )
        })
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn_with_state(app.clone(), sign))
        .with_state(app)
}

/// Writes the session's UID on every answer.
async fn sign(State(app): State<App>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await.into_response();
    response.headers_mut().insert(HeaderName::from_static(UID_HEADER), app.uid);
    response
}

#[cfg(test)]
mod tests;
