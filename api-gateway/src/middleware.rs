//! What every request passes: its id and log line, a net under panics, the headers of every answer, a time limit.
//!
//! Comes in: requests. Goes out: answers. It must not log what callers send: no query, no body, no key.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt as _;
use tracing::Instrument as _;

use crate::app::AppState;
use crate::config::Origins;
use crate::error::ApiError;

/// Longest time that a request may take: the longest waits of the API are 60 s.
const TIME_LIMIT: Duration = Duration::from_secs(75);
/// Header with the request's id.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Gives the request an id (or keeps the one it brings), logs and counts it.
pub async fn observe(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = request_id(&request);
    let method = request.method().clone();
    let route = route(&request);
    let span = tracing::info_span!("request", id = %id.to_str().unwrap_or_default(), %method, %route);
    let mut response = next.run(request).instrument(span.clone()).await;
    response.headers_mut().insert(REQUEST_ID, id);
    let (status, took) = (response.status().as_u16(), started.elapsed());
    state.metrics.request(method.as_str(), &route, status, took);
    span.in_scope(|| tracing::debug!(status, ms = took.as_millis(), "answered"));
    response
}

/// The caller's id if it is short and plain, else a new one.
fn request_id(request: &Request) -> HeaderValue {
    let plain = |id: &&HeaderValue| {
        let fits = (1..=64).contains(&id.len());
        fits && id.as_bytes().iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
    };
    let fresh = || HeaderValue::from_str(&uuid::Uuid::new_v4().to_string());
    let brought = request.headers().get(REQUEST_ID).filter(plain).cloned();
    brought.or_else(|| fresh().ok()).unwrap_or_else(|| HeaderValue::from_static("unknown"))
}

/// The route's template: never the path itself, which may hold anything.
fn route(request: &Request) -> String {
    if let Some(matched) = request.extensions().get::<MatchedPath>() {
        return matched.as_str().to_owned();
    }
    if request.uri().path().starts_with("/socket.io") { "/socket.io" } else { "(none)" }.to_owned()
}

/// A handler that panics answers as a defect; others are not touched.
pub async fn panics(request: Request, next: Next) -> Response {
    AssertUnwindSafe(next.run(request)).catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!("a handler panicked: this is a defect, please report it");
        ApiError::Internal.into_response()
    })
}

/// A request ends in time.
pub async fn time_limit(request: Request, next: Next) -> Response {
    let answer = tokio::time::timeout(TIME_LIMIT, next.run(request)).await;
    answer.unwrap_or_else(|_| ApiError::TimedOut.into_response())
}

/// A gateway that is about to end asks whoever it answers for another connection next time: that one leads elsewhere.
pub async fn farewell(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if state.closing.has_begun() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Headers that keep browsers from doing more with an answer than it is for.
pub async fn headers(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let place = Place::of(path);
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("x-dns-prefetch-control"), "off"),
        (HeaderName::from_static("x-permitted-cross-domain-policies"), "none"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(policy) = HeaderValue::from_str(&content_policy(place, &state.origins)) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    if place == Place::Api {
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    }
    response
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Ui,
    Docs,
    Api,
}

impl Place {
    fn of(path: &str) -> Self {
        match path.split('/').nth(1) {
            Some("ui") => Self::Ui,
            Some("docs") => Self::Docs,
            _ => Self::Api,
        }
    }
}

/// The content security policy. The UI may be put into pages of the allowed origins, and may call another gateway (its
/// base URL field); nothing but its own scripts ever runs in it.
fn content_policy(place: Place, origins: &Origins) -> String {
    match place {
        Place::Ui => {
            let frames = match origins {
                Origins::Any => "*".to_owned(),
                Origins::Listed(list) => {
                    let listed = list.iter().filter_map(|origin| origin.to_str().ok());
                    std::iter::once("'self'").chain(listed).collect::<Vec<_>>().join(" ")
                }
            };
            format!(
                "default-src 'self'; img-src 'self' data:; connect-src 'self' http: https: ws: wss:; object-src 'none'; \
                 base-uri 'none'; form-action 'self'; frame-ancestors {frames}"
            )
        }
        Place::Docs => {
            "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; object-src 'none'; \
                        base-uri 'none'; frame-ancestors 'none'"
                .to_owned()
        }
        Place::Api => "default-src 'none'; frame-ancestors 'none'".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    #[test]
    fn an_id_is_kept_if_it_is_plain() {
        let id = |brought: &str| {
            let request = Request::builder().header(REQUEST_ID, brought).body(Body::empty()).unwrap();
            request_id(&request).to_str().unwrap().to_owned()
        };
        assert_eq!(id("abc-1"), "abc-1");
        for odd in ["", "a b", &"x".repeat(65)] {
            assert_eq!(id(odd).len(), 36, "{odd:?}");
        }
    }

    #[test]
    fn pages_are_told_what_they_may_do() {
        let listed = Origins::Listed(vec![HeaderValue::from_static("https://shop.example")]);
        let ui = content_policy(Place::of("/ui"), &listed);
        assert!(ui.contains("frame-ancestors 'self' https://shop.example") && !ui.contains("unsafe"));
        assert!(content_policy(Place::of("/api/sessions"), &listed).starts_with("default-src 'none'"));
        assert_eq!(Place::of("/ui/app.js"), Place::Ui);
        assert_eq!(Place::of("/docs/"), Place::Docs);
    }
}
