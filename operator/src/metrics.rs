//! What the operator counts, as Prometheus text. No session's name, number or reason in words is ever a label.
//!
//! Comes in: what happened (counters), and at every scrape how things stand ([`Metrics::set`]). Goes out: text. It must not look
//! anything up itself.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use crds::WhatsAppSession;
use crds::conditions;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::rollout::{Phase, Plan, Waiting};

type Level = Gauge<u64, AtomicU64>;

/// Bounds of the reconciles' durations, seconds.
const DURATIONS: [f64; 10] = [0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Cause {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Write {
    verb: &'static str,
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct What {
    what: &'static str,
}

/// A condition as it stands: all three words are from a fixed set.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Standing {
    condition: &'static str,
    status: String,
    reason: String,
}

/// How things stand when somebody asks.
#[derive(Debug)]
pub struct Figures<'f, I> {
    /// Whether this operator leads.
    pub leads: bool,
    /// How many sessions are polled.
    pub polls: usize,
    /// The rollout's plan.
    pub plan: &'f Plan,
    /// Objects in the caches, by kind.
    pub cached: &'f [(&'static str, usize)],
    /// What is remembered beside that, by what it is.
    pub remembered: &'f [(&'static str, usize)],
    /// All sessions.
    pub sessions: I,
}

/// The operator's metrics.
#[derive(Debug, Default)]
pub struct Metrics {
    registry: Registry,
    reconciles: Family<Outcome, Counter>,
    durations: Option<Histogram>,
    stale_skips: Counter,
    events_dropped: Counter,
    api_errors: Family<Cause, Counter>,
    writes: Family<Write, Counter>,
    watches_broken: Family<Kind, Counter>,
    leader: Level,
    polls: Level,
    cached: Family<Kind, Level>,
    remembered: Family<What, Level>,
    sessions: Family<Standing, Level>,
    rollout_outdated: Level,
    rollout_unavailable: Level,
    rollout_stopped: Level,
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Self {
        let mut metrics = Self { durations: Some(Histogram::new(DURATIONS)), ..Self::default() };
        metrics.register_counters();
        metrics.register_levels();
        metrics
    }

    fn register_counters(&mut self) {
        let registry = self.registry.sub_registry_with_prefix("warest_operator");
        registry.register("reconciles", "Reconciles by result (ok, error)", self.reconciles.clone());
        if let Some(durations) = &self.durations {
            let help = "Time that a reconcile took";
            registry.register_with_unit("reconcile_duration", help, Unit::Seconds, durations.clone());
        }
        let help = "Reconciles put off because the cache had not caught up with the operator's own writes";
        registry.register("stale_skips", help, self.stale_skips.clone());
        let help = "Events that were not written: too many waited, or they had waited for too long";
        registry.register("events_dropped", help, self.events_dropped.clone());
        registry.register("api_errors", "Reconciles that failed, by reason", self.api_errors.clone());
        registry.register("writes", "Writes to the API server, by verb and kind", self.writes.clone());
        let help = "Watches that broke and were begun anew, by kind";
        registry.register("watches_broken", help, self.watches_broken.clone());
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The operator's version", build);
    }

    fn register_levels(&mut self) {
        let registry = self.registry.sub_registry_with_prefix("warest_operator");
        registry.register("leader", "1 if this operator leads", self.leader.clone());
        registry.register("polls", "Session pods that are polled", self.polls.clone());
        registry.register("cached_objects", "Objects in the caches, by kind", self.cached.clone());
        registry.register("remembered", "What is remembered beside the caches", self.remembered.clone());
        let help = "Sessions by condition, its status and its reason (of the leader alone)";
        registry.register("sessions", help, self.sessions.clone());
        let help = "Sessions that lack a change and wait for their turn";
        registry.register("rollout_outdated", help, self.rollout_outdated.clone());
        let help = "Sessions that are on their way down or up";
        registry.register("rollout_unavailable", help, self.rollout_unavailable.clone());
        let help = "1 if the fleet's rollout has stopped by itself";
        registry.register("rollout_stopped", help, self.rollout_stopped.clone());
    }

    /// A reconcile has ended; an error is one of a fixed set of words: `conflict`, `forbidden`, `late`, …
    pub fn reconciled(&self, took: Duration, result: Result<(), &'static str>) {
        if let Some(durations) = &self.durations {
            durations.observe(took.as_secs_f64());
        }
        if let Err(reason) = result {
            self.api_errors.get_or_create(&Cause { reason }).inc();
        }
        let result = if result.is_ok() { "ok" } else { "error" };
        self.reconciles.get_or_create(&Outcome { result }).inc();
    }

    /// A reconcile was put off: the cache is older than what the operator itself has written.
    pub fn stale_skip(&self) {
        self.stale_skips.inc();
    }

    /// An Event was not written.
    pub fn event_dropped(&self) {
        self.events_dropped.inc();
    }

    /// Something was written to the API server: `create`, `Pod`.
    pub fn write(&self, verb: &'static str, kind: &'static str) {
        self.writes.get_or_create(&Write { verb, kind }).inc();
    }

    /// A watch broke and is begun anew.
    pub fn watch_broken(&self, kind: &'static str) {
        self.watches_broken.get_or_create(&Kind { kind }).inc();
    }

    /// Takes down how things stand.
    pub fn set<S>(&self, figures: Figures<'_, impl Iterator<Item = S>>)
    where
        S: AsRef<WhatsAppSession>,
    {
        let Figures { leads, polls, plan, cached, remembered, sessions } = figures;
        for (kind, count) in cached {
            self.cached.get_or_create(&Kind { kind }).set(*count as u64);
        }
        for (what, count) in remembered {
            self.remembered.get_or_create(&What { what }).set(*count as u64);
        }
        self.leader.set(u64::from(leads));
        self.polls.set(polls as u64);
        let waits = |waiting: &&Waiting| **waiting != Waiting::Somebody;
        let outdated = plan.go.len() + plan.waiting.values().filter(waits).count();
        self.rollout_outdated.set(outdated as u64);
        self.rollout_unavailable.set(plan.restarting as u64);
        self.rollout_stopped.set(u64::from(matches!(plan.phase, Phase::Stopped(_))));
        self.sessions.clear();
        if leads {
            for (standing, count) in standings(sessions) {
                self.sessions.get_or_create(&standing).set(count);
            }
        }
    }

    /// Everything as text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a string cannot fail.
        let _infallible = encode(&mut text, &self.registry);
        text
    }
}

/// Counts the conditions of all sessions. One that a session does not have yet is Unknown.
fn standings<S: AsRef<WhatsAppSession>>(sessions: impl Iterator<Item = S>) -> HashMap<Standing, u64> {
    let mut counts = HashMap::new();
    for session in sessions {
        let told = session.as_ref().status.as_ref().map_or(&[][..], |status| &status.conditions);
        for condition in conditions::ALL {
            let found = told.iter().find(|one| one.type_ == condition);
            let (status, reason) = found.map_or(("Unknown", conditions::reason::UNKNOWN), |one| {
                (one.status.as_str(), one.reason.as_str())
            });
            let standing = Standing { condition, status: status.to_owned(), reason: reason.to_owned() };
            *counts.entry(standing).or_default() += 1;
        }
    }
    counts
}

#[cfg(test)]
mod tests;
