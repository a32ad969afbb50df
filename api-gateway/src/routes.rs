//! Every path of the API, once; the document is made from the same table.
//!
//! Comes in: nothing. Goes out: routers. It must not decide anything.

pub mod admin;
pub mod deletion;
pub mod docs;
pub mod events;
pub mod health;
pub mod knowledge;
pub mod lifecycle;
pub mod messages;
pub mod pairing;
pub mod qr;
pub mod sessions;
pub mod ui;

use axum::Router;
use axum::routing::get;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::AppState;
use crate::openapi;

/// All routes with their description.
pub fn all() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(openapi::head())
        .routes(routes!(sessions::list, sessions::create))
        .routes(routes!(sessions::read, deletion::delete))
        .routes(routes!(lifecycle::start))
        .routes(routes!(lifecycle::stop))
        .routes(routes!(lifecycle::restart))
        .routes(routes!(lifecycle::logout))
        .routes(routes!(qr::session_qr))
        .routes(routes!(pairing::pairing_code))
        .routes(routes!(events::page))
        .routes(routes!(messages::text))
        .routes(routes!(admin::config))
        .routes(routes!(admin::rate_limit))
        .routes(routes!(admin::webhook_default))
        .routes(routes!(qr::any_qr))
        .routes(routes!(health::summary))
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(health::misc))
        .routes(routes!(health::ping))
        .routes(routes!(health::metrics))
        .routes(routes!(ui::root))
        .routes(routes!(ui::page))
        .routes(routes!(ui::file))
}

/// The document itself and the pages that show it.
pub fn documentation(document: &OpenApi) -> Router<AppState> {
    let text = openapi::text(document);
    Router::new()
        .route(docs::DOCUMENT, get(async move || docs::document(text)))
        .route("/docs", get(docs::page))
        .route("/docs/", get(docs::page))
        .route("/docs/{file}", get(docs::file))
}
