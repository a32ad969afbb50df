//! Counters of one session in Prometheus text format. No number, name or text is ever a label.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use session_api::SessionState;

use crate::session::state::{Outcome, Transmission};
use crate::whatsapp::Figures;

type Level = Gauge<u64, AtomicU64>;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabel {
    state: StateName,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct StateName(SessionState);

impl EncodeLabelValue for StateName {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        let name = serde_json::to_value(self.0).ok();
        EncodeLabelValue::encode(&name.as_ref().and_then(|n| n.as_str()).unwrap_or("unknown"), encoder)
    }
}

/// The counters.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    registry: Registry,
    state: Family<StateLabel, Level>,
    outbox_depth: Level,
    bytes_sent: Level,
    bytes_received: Level,
    engine_reconnects: Level,
    resends_throttled: Level,
    /// Clients started.
    pub connects: Counter,
    /// Sends taken into the outbox.
    pub accepted: Counter,
    /// Inbound messages stored.
    pub received: Counter,
    sent: Counter,
    acked: Counter,
    given_up: Counter,
    write_failures: Counter,
}

impl Metrics {
    /// Registered counters, all zero.
    pub(crate) fn new() -> Self {
        let mut metrics = Self::default();
        let registry = &mut metrics.registry;
        registry.register("warest_session_state", "1 for the state the session is in", metrics.state.clone());
        registry.register(
            "warest_outbox_depth",
            "Sends that WhatsApp has not acknowledged",
            metrics.outbox_depth.clone(),
        );
        registry.register(
            "warest_engine_bytes_sent",
            "Bytes written by the running client",
            metrics.bytes_sent.clone(),
        );
        registry.register(
            "warest_engine_bytes_received",
            "Bytes read by the running client",
            metrics.bytes_received.clone(),
        );
        registry.register(
            "warest_engine_reconnects",
            "Reconnects of the running client",
            metrics.engine_reconnects.clone(),
        );
        registry.register(
            "warest_engine_resends_throttled",
            "Repetitions held back by the running client",
            metrics.resends_throttled.clone(),
        );
        registry.register("warest_clients_started", "Clients started", metrics.connects.clone());
        registry.register("warest_sends_accepted", "Sends taken into the outbox", metrics.accepted.clone());
        registry.register("warest_messages_received", "Inbound messages stored", metrics.received.clone());
        registry.register("warest_sends_written", "Sends written to the wire", metrics.sent.clone());
        registry.register(
            "warest_sends_acknowledged",
            "Sends acknowledged by WhatsApp",
            metrics.acked.clone(),
        );
        registry.register("warest_sends_failed", "Sends given up", metrics.given_up.clone());
        registry.register(
            "warest_write_failures",
            "Sends that could not be written to the wire",
            metrics.write_failures.clone(),
        );
        metrics
    }

    /// Everything as text.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a string cannot fail.
        let _infallible = encode(&mut text, &self.registry);
        text
    }

    /// The session's state and queue.
    pub(crate) fn observe(&self, state: SessionState, depth: usize) {
        self.state.clear();
        self.state.get_or_create(&StateLabel { state: StateName(state) }).set(1);
        self.outbox_depth.set(depth as u64);
    }

    /// The running client's figures.
    pub(crate) fn observe_engine(&self, figures: &Figures) {
        self.bytes_sent.set(figures.bytes_sent);
        self.bytes_received.set(figures.bytes_received);
        self.engine_reconnects.set(figures.reconnects);
        self.resends_throttled.set(figures.resends_throttled);
    }

    /// A send was written, or not.
    pub(crate) fn transmitted(&self, result: &Transmission) {
        match result {
            Transmission::Written => self.sent.inc(),
            Transmission::Held => 0,
            Transmission::Disconnected
            | Transmission::Unreadable
            | Transmission::Failed
            | Transmission::Impossible(_) => self.write_failures.inc(),
        };
    }

    /// A send is settled.
    pub(crate) fn settled(&self, outcome: &Outcome) {
        match outcome {
            Outcome::Sent => self.acked.inc(),
            Outcome::Failed(_) => self.given_up.inc(),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_state_at_a_time_and_counters_that_count() {
        let metrics = Metrics::new();
        metrics.observe(SessionState::Starting, 0);
        metrics.observe(SessionState::AwaitingPairing, 3);
        metrics.settled(&Outcome::Sent);
        let text = metrics.text();
        assert!(text.contains("warest_session_state{state=\"awaiting_pairing\"} 1"), "{text}");
        assert!(!text.contains("starting\""), "{text}");
        assert!(text.contains("warest_outbox_depth 3"), "{text}");
        assert!(text.contains("warest_sends_acknowledged_total 1"), "{text}");
    }
}
