//! A request that is held on its way to the API server, and arrives when a test lets it go.
//!
//! Comes in: which request. Goes out: what the API server answers to it in the end.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};

use super::{ApiProxy, Fault, MAX_BODY, Rule, Shared};
use crate::wait::eventually;

/// Requests that are held, or were.
#[derive(Debug, Default)]
pub(super) struct Held {
    let_go: bool,
    answer: Option<StatusCode>,
}

impl ApiProxy {
    /// Holds the next request of this method whose path and query contain `path`.
    pub fn hold(&self, method: Method, path: &str) {
        self.add(Rule::next(method, path, 1, Fault::Hold));
    }

    /// Waits until the request that is to be held has come.
    pub async fn held(&self) {
        eventually("the request to be under way", || async { (self.pending() == 0).then_some(()) }).await;
    }

    /// Lets go the request that is held, and gives what the API server answers to it.
    ///
    /// # Panics
    /// When the proxy ends.
    pub async fn release(&self) -> StatusCode {
        self.shared.held.send_modify(|held| held.let_go = true);
        let mut held = self.shared.held.subscribe();
        let held = held.wait_for(|held| held.answer.is_some()).await.expect("the proxy goes on");
        held.answer.expect("it is there")
    }
}

/// Forwards a request once it is let go, in a task of its own: its caller may be gone by then.
pub(super) async fn hold(shared: Arc<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, MAX_BODY).await.expect("a request of bounded size");
    let mut held = shared.held.subscribe();
    let forwarded = tokio::spawn(async move {
        held.wait_for(|held| held.let_go).await.expect("the proxy goes on");
        let answer = shared.forward(Request::from_parts(parts, Body::from(body))).await;
        shared.held.send_modify(|held| held.answer = Some(answer.status()));
        answer
    });
    forwarded.await.unwrap_or_else(|_| StatusCode::BAD_GATEWAY.into_response())
}
