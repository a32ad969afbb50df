//! The control API: what tests and people do to phones, as JSON over HTTP, and a page on `/`. Requests in, turns of
//! the world, answers out. Errors are `{"ok":false,"error","code"}`.

use std::fmt::Write;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{Html, IntoResponse};
use axum::routing::{delete, get, post};
use serde_json::{Value, json};

use crate::hub::Hub;
use crate::mms::Shelf;
use crate::world::media::MAX_FILE;

mod error;
mod extract;
mod faults;
mod groups;
mod media;
mod messages;
mod phones;
mod scan;

use error::ApiError;
use extract::Json;

/// The largest request body.
const MAX_BODY: usize = 1 << 20;
/// The same with a file in base64.
const MAX_BODY_WITH_FILE: usize = MAX_FILE / 3 * 4 + MAX_BODY;

/// What the API says about the server itself.
#[derive(Debug)]
pub(crate) struct About {
    /// Hex.
    pub(crate) root_public_key: String,
    /// PEM.
    pub(crate) ca_pem: String,
    /// Plain WebSocket.
    pub(crate) ws_url: String,
    /// WebSocket over TLS.
    pub(crate) wss_url: String,
    /// The media server.
    pub(crate) media_url: String,
}

/// What every handler gets.
#[derive(Clone)]
struct App {
    hub: Arc<Hub>,
    shelf: Shelf,
    about: Arc<About>,
}

/// The API's routes.
pub(crate) fn app(hub: Arc<Hub>, shelf: Shelf, about: About) -> Router {
    let with_files = DefaultBodyLimit::max(MAX_BODY_WITH_FILE);
    Router::new()
        .route("/", get(page))
        .route("/root", get(root))
        .route("/phones", get(phones::list).post(phones::create))
        .route("/phones/scan", post(scan::scan_by_any))
        .route("/phones/{number}/scan", post(scan::scan))
        .route("/phones/{number}/link-code", post(scan::link_code))
        .route("/phones/{number}/messages", get(messages::list).post(messages::send).layer(with_files))
        .route("/phones/{number}/media/{seq}", get(media::show))
        .route("/media", delete(media::clear))
        .route("/phones/{number}/read", post(messages::read))
        .route("/phones/{number}/devices/{device}", delete(phones::unlink))
        .route("/groups", get(groups::list).post(groups::create))
        .route("/groups/{id}", get(groups::show).patch(groups::rename))
        .route("/groups/{id}/members", post(groups::change))
        .route("/faults", get(faults::list).post(faults::set).delete(faults::clear))
        .route("/unknown", get(unknown))
        .route("/metrics", get(metrics))
        .fallback(nothing)
        .method_not_allowed_fallback(no_method)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(App { hub, shelf, about: Arc::new(about) })
}

async fn page() -> Html<&'static str> {
    Html(include_str!("control/page.html"))
}

async fn root(State(app): State<App>) -> Json<Value> {
    let about = &app.about;
    Json(json!({
        "rootPublicKey": about.root_public_key,
        "caPem": about.ca_pem,
        "ws": about.ws_url,
        "wss": about.wss_url,
        "media": about.media_url,
    }))
}

async fn unknown(State(app): State<App>) -> Json<Value> {
    let items = app.hub.look(|world| world.unknown.items().cloned().collect::<Vec<_>>());
    Json(json!({ "items": items }))
}

async fn metrics(State(app): State<App>) -> impl IntoResponse {
    let mut text = app.hub.look(crate::world::World::metrics);
    let sockets = app.hub.open_connections();
    let _ = write!(
        text,
        "# HELP simulator_sockets Open sockets after the handshake.\n# TYPE simulator_sockets gauge\nsimulator_sockets {sockets}\n"
    );
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text)
}

async fn nothing() -> ApiError {
    ApiError::not_found("there is nothing at this address; see / for what there is")
}

async fn no_method() -> ApiError {
    ApiError::no_method()
}
