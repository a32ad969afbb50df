//! `/openapi.json` and `/docs`: the API's description, and a page that shows it. All of it is embedded: nothing is loaded from elsewhere.
//!
//! Comes in: a file's name. Goes out: the file.

use std::sync::{Arc, LazyLock};

use axum::extract::Path;
use axum::http::{Uri, header};
use axum::response::{IntoResponse, Redirect, Response};
use utoipa_swagger_ui::Config;

use crate::error::ApiError;

/// Where the document is.
pub const DOCUMENT: &str = "/openapi.json";

static CONFIG: LazyLock<Arc<Config<'static>>> =
    LazyLock::new(|| Arc::new(Config::new([DOCUMENT]).try_it_out_enabled(true).validator_url("none")));

/// The document.
pub fn document(text: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

/// The page. Its files are beside it, so its address ends with a slash.
pub async fn page(uri: Uri) -> Response {
    if uri.path().ends_with('/') {
        serve("index.html")
    } else {
        Redirect::permanent("/docs/").into_response()
    }
}

/// A file of the page.
pub async fn file(Path(name): Path<String>) -> Response {
    serve(&name)
}

fn serve(name: &str) -> Response {
    match utoipa_swagger_ui::serve(name, Arc::clone(&CONFIG)) {
        Ok(Some(file)) => {
            ([(header::CONTENT_TYPE, file.content_type)], file.bytes.into_owned()).into_response()
        }
        Ok(None) => ApiError::RouteNotFound.into_response(),
        Err(error) => {
            tracing::error!(%error, "a file of the documentation cannot be served");
            ApiError::Internal.into_response()
        }
    }
}
