//! `/` and `/ui`: a plain page that lists sessions, shows a QR code live, sends a text and shows what arrives.
//!
//! Comes in: a file's name. Goes out: the file, from the program itself. No build step, no inline script.

use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse, Redirect, Response};

use crate::error::{ApiError, ApiResult};
use crate::openapi::ErrorAnswer;

const PAGE: &str = include_str!("../ui/index.html");
const FILES: [(&str, &str, &str); 3] = [
    ("app.css", "text/css; charset=utf-8", include_str!("../ui/app.css")),
    ("app.js", "text/javascript; charset=utf-8", include_str!("../ui/app.js")),
    ("socket.io.min.js", "text/javascript; charset=utf-8", include_str!("../ui/socket.io.min.js")),
];

/// Leads to the page.
#[utoipa::path(get, path = "/", tag = "Pages", security(()), responses((status = 303, description = "To `/ui`")))]
pub async fn root() -> Redirect {
    Redirect::to("/ui")
}

/// The page.
#[utoipa::path(get, path = "/ui", tag = "Pages", security(()), responses((status = 200, body = String, content_type = "text/html")))]
pub async fn page() -> Response {
    given("text/html; charset=utf-8", PAGE)
}

/// A file of the page.
#[utoipa::path(
    get, path = "/ui/{file}", tag = "Pages", security(()), params(("file" = String, Path, description = "Its name")),
    responses((status = 200, body = String, content_type = "text/javascript"), (status = 404, body = ErrorAnswer)),
)]
pub async fn file(Path(name): Path<String>) -> ApiResult<Response> {
    let found = FILES.iter().find(|(known, _, _)| *known == name);
    found.map(|(_, kind, text)| given(kind, text)).ok_or(ApiError::RouteNotFound)
}

fn given(kind: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")], text).into_response()
}
