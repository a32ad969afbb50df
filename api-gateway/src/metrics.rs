//! Counters in Prometheus' text format: requests by route, sessions by status, processes that ended by themselves.
//!
//! Comes in: what happened. Goes out: text. Labels hold route templates and status names, never a path, a session or a number.

use std::sync::Mutex;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text::encode};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::cluster::board::{Board, Standing};
use crate::status::PublicStatus;

/// Upper bounds of the duration histogram, in seconds.
const BUCKETS: [f64; 10] = [0.001, 0.005, 0.02, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 75.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    method: String,
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Asked {
    method: String,
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Watched {
    watch: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InStatus {
    status: &'static str,
}

/// All counters.
pub struct Metrics {
    registry: Mutex<Registry>,
    requests: Family<Answered, Counter>,
    durations: Family<Asked, Histogram>,
    sessions: Family<InStatus, Gauge>,
    exits: Counter,
    sockets: Gauge,
    watches: Family<Watched, Gauge>,
    stale: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("warest_gateway");
        let metrics = Self {
            registry: Mutex::default(),
            requests: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            sessions: Family::default(),
            exits: Counter::default(),
            sockets: Gauge::default(),
            watches: Family::default(),
            stale: Gauge::default(),
        };
        registry.register("http_requests", "Requests answered", metrics.requests.clone());
        registry.register("http_request_duration_seconds", "Time to answer", metrics.durations.clone());
        registry.register("sessions", "Sessions by status", metrics.sessions.clone());
        registry.register(
            "session_exits",
            "Session processes that ended by themselves",
            metrics.exits.clone(),
        );
        registry.register("socketio_connections", "Socket.IO connections", metrics.sockets.clone());
        registry.register("watch_up", "Whether a source in the cluster is current", metrics.watches.clone());
        registry.register("knowledge_stale", "Whether what was last known is served", metrics.stale.clone());
        Self { registry: Mutex::new(registry), ..metrics }
    }
}

impl Metrics {
    /// A request was answered.
    pub fn request(&self, method: &str, route: &str, status: u16, took: Duration) {
        let method = known_method(method).to_owned();
        let asked = Asked { method: method.clone(), route: route.to_owned() };
        self.requests.get_or_create(&Answered { method, route: route.to_owned(), status }).inc();
        self.durations.get_or_create(&asked).observe(took.as_secs_f64());
    }

    /// A session's process ended by itself.
    pub fn session_exit(&self) {
        self.exits.inc();
    }

    /// A Socket.IO client came (`true`) or went.
    pub fn socket(&self, came: bool) {
        if came {
            self.sockets.inc()
        } else {
            self.sockets.dec()
        };
    }

    /// The text, with the sessions and the sources as they are now.
    pub fn text(&self, statuses: impl Iterator<Item = PublicStatus>, board: &Board) -> String {
        for (watch, up) in board.sources() {
            self.watches.get_or_create(&Watched { watch }).set(i64::from(up));
        }
        self.stale.set(i64::from(matches!(board.standing(), Standing::Stale { .. })));
        let statuses: Vec<_> = statuses.collect();
        for status in PublicStatus::ALL {
            let count = statuses.iter().filter(|one| **one == status).count();
            let gauge = self.sessions.get_or_create(&InStatus { status: status.as_str() });
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // Writing into a `String` cannot fail.
        let _written = encode(&mut text, &registry);
        text
    }
}

/// A method's name, if it is one of HTTP's own: others would let callers make labels.
fn known_method(method: &str) -> &str {
    match method {
        "GET" | "POST" | "PUT" | "PATCH" | "DELETE" | "HEAD" | "OPTIONS" => method,
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn what_happened_is_counted() {
        let metrics = Metrics::default();
        metrics.request("GET", "/api/sessions/{id}", 404, Duration::from_millis(2));
        metrics.request("BREW", "/ping", 405, Duration::ZERO);
        metrics.session_exit();
        metrics.socket(true);
        metrics.socket(false);
        let board = Arc::new(Board::default());
        board.line("pods").up();
        board.line("sessions").down("away");
        let text = metrics.text([PublicStatus::Open, PublicStatus::Open].into_iter(), &board);
        for line in [
            "warest_gateway_http_requests_total{method=\"GET\",route=\"/api/sessions/{id}\",status=\"404\"} 1",
            "warest_gateway_http_requests_total{method=\"other\",route=\"/ping\",status=\"405\"} 1",
            "warest_gateway_http_request_duration_seconds_bucket{le=\"0.005\",method=\"GET\",route=\"/api/sessions/{id}\"} 1",
            "warest_gateway_sessions{status=\"open\"} 2",
            "warest_gateway_sessions{status=\"failed\"} 0",
            "warest_gateway_session_exits_total 1",
            "warest_gateway_socketio_connections 0",
            "warest_gateway_watch_up{watch=\"pods\"} 1",
            "warest_gateway_watch_up{watch=\"sessions\"} 0",
            "warest_gateway_knowledge_stale 0",
        ] {
            assert!(text.contains(line), "{line}\nin\n{text}");
        }
    }
}
