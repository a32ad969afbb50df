//! `/livez`, `/readyz` and `/metrics`: without a token, and without anything that is secret.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde_json::{Value, json};
use session_api::SessionState;

use super::App;

/// The session task beats every few seconds; after this long without, it is stuck.
const STUCK_MS: u64 = 60_000;

/// Whether the process should go on living. Being logged out, banned or unpaired is no reason to restart it.
pub(super) async fn livez(State(app): State<App>) -> (StatusCode, Json<Value>) {
    let health = app.session.health();
    let silent_ms = health.silent_ms();
    let problem = if silent_ms > STUCK_MS {
        Some(("session_stuck", format!("the session task has not moved for {silent_ms} ms")))
    } else if health.saver_halted() {
        Some(("saver_halted", "the client has given up saving its keys after repeated failures".to_owned()))
    } else {
        None
    };
    match problem {
        None => (StatusCode::OK, Json(json!({ "ok": true }))),
        Some((code, message)) => {
            let body = json!({ "ok": false, "reason": { "code": code, "message": message } });
            (StatusCode::SERVICE_UNAVAILABLE, Json(body))
        }
    }
}

/// Whether the session can send right now.
pub(super) async fn readyz(State(app): State<App>) -> (StatusCode, Json<Value>) {
    let status = app.session.status().borrow().clone();
    let ready = status.state == SessionState::Open;
    let code = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(json!({ "ok": ready, "state": status.state, "reason": status.reason })))
}

/// Prometheus text.
pub(super) async fn metrics(State(app): State<App>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], app.metrics.text())
}
