//! `/livez`, `/readyz` and `/metrics`.
//!
//! Live: every loop has moved lately. Ready: every cache has been filled, whoever leads; a follower keeps its caches warm, so that
//! it takes over within seconds. Comes in: heartbeats, and which caches are filled. Goes out: HTTP, with what is missing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// A loop that has not moved for so long is stuck.
const STUCK_AFTER: Duration = Duration::from_mins(1);

/// What the probes are answered from. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Health {
    facts: Arc<Mutex<Facts>>,
}

#[derive(Debug, Default)]
struct Facts {
    /// When each loop has moved last.
    beats: BTreeMap<&'static str, Instant>,
    /// What has to be there, and whether it is.
    needs: BTreeMap<String, bool>,
}

impl Health {
    /// Live and ready: nothing has begun, and nothing is needed.
    pub fn new() -> Self {
        Self::default()
    }

    /// Not ready before this is there.
    pub fn require(&self, need: &str) {
        self.set(need, false);
    }

    /// This loop moves. From the first time on it has to, at least every minute.
    pub fn beat(&self, name: &'static str) {
        self.facts().beats.insert(name, Instant::now());
    }

    /// This loop has ended as it should: no more beats are expected.
    pub fn rest(&self, name: &'static str) {
        self.facts().beats.remove(name);
    }

    /// This is there now.
    pub fn ready(&self, need: &str) {
        self.set(need, true);
    }

    /// Loops that are stuck.
    pub fn stuck(&self, now: Instant) -> Vec<&'static str> {
        let facts = self.facts();
        let late = |(_, at): &(&&str, &Instant)| now.saturating_duration_since(**at) > STUCK_AFTER;
        facts.beats.iter().filter(late).map(|(name, _)| *name).collect()
    }

    /// What is not there.
    pub fn missing(&self) -> Vec<String> {
        self.facts().needs.iter().filter(|(_, there)| !**there).map(|(need, _)| need.clone()).collect()
    }

    fn set(&self, need: &str, there: bool) {
        self.facts().needs.insert(need.to_owned(), there);
    }

    fn facts(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves the probes and what `text` says are the metrics, until `stop` resolves.
pub async fn serve(
    listener: TcpListener,
    health: Health,
    text: impl Fn() -> String + Send + Sync + 'static,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    axum::serve(listener, router(health, text)).with_graceful_shutdown(stop).await
}

fn router(health: Health, text: impl Fn() -> String + Send + Sync + 'static) -> Router {
    let text = Arc::new(text);
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let metrics = async move || ([(header::CONTENT_TYPE, kind)], text()).into_response();
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(health)
}

async fn livez(State(health): State<Health>) -> (StatusCode, Json<Value>) {
    answer("stuck", &health.stuck(Instant::now()))
}

async fn readyz(State(health): State<Health>) -> (StatusCode, Json<Value>) {
    answer("missing", &health.missing())
}

fn answer<S: Serialize>(what: &str, amiss: &[S]) -> (StatusCode, Json<Value>) {
    if amiss.is_empty() {
        (StatusCode::OK, Json(json!({ "ok": true })))
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "ok": false, what: amiss })))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tokio::sync::oneshot;

    use super::*;

    #[test]
    fn a_loop_that_has_begun_has_to_go_on() {
        let health = Health::default();
        let start = Instant::now();
        assert!(health.stuck(start + Duration::from_hours(1)).is_empty());
        health.beat("controller");
        assert!(health.stuck(Instant::now() + Duration::from_secs(59)).is_empty());
        assert_eq!(health.stuck(Instant::now() + Duration::from_secs(62)), ["controller"]);
        health.rest("controller");
        assert!(health.stuck(start + Duration::from_hours(1)).is_empty());
    }

    async fn ask(address: std::net::SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn the_probes_say_what_is_missing() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let health = Health::new();
        health.require("sessions");
        health.require("pods");
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async move { drop(stopped.await) };
        let serving = tokio::spawn(serve(listener, health.clone(), || "# EOF\n".to_owned(), stopped));

        health.ready("sessions");
        let answer = ask(address, "/readyz").await;
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        assert!(answer.ends_with(r#"{"missing":["pods"],"ok":false}"#), "{answer}");
        health.ready("pods");
        assert!(ask(address, "/readyz").await.ends_with(r#"{"ok":true}"#));
        health.require("pods");
        assert!(ask(address, "/readyz").await.starts_with("HTTP/1.1 503"));
        assert!(ask(address, "/livez").await.starts_with("HTTP/1.1 200"));
        let metrics = ask(address, "/metrics").await;
        assert!(metrics.contains("openmetrics-text") && metrics.ends_with("# EOF\n"), "{metrics}");

        stop.send(()).unwrap();
        serving.await.unwrap().unwrap();
    }
}
