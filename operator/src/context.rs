//! What every reconcile shares: the world, the sessions that are polled, the fleet, and what is remembered between two looks.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crds::token::TokenKey;
use k8s_openapi::jiff::SignedDuration;

use crate::build::Settings;
use crate::decide::Rules;
use crate::deferral::Deferrals;
use crate::dereference::Warnings;
use crate::errands::Errands;
use crate::events::Events;
use crate::growth::Growth;
use crate::leader::Guard;
use crate::metrics::Metrics;
use crate::nodes::Nodes;
use crate::observe::SessionKey;
use crate::poll::Sessions;
use crate::rollout::Fleet;
use crate::world::World;

/// How long it is believed that a namespace is not being deleted.
const NAMESPACE_FOR: Duration = Duration::from_secs(5);

/// What every reconcile shares.
pub struct Context {
    /// What is known, and the API server.
    pub world: Arc<World>,
    /// The sessions that are listened to.
    pub polls: Sessions,
    /// What sessions were asked for that takes long.
    pub errands: Errands,
    /// The rollout across all of them.
    pub fleet: Arc<Fleet>,
    /// Whether this process leads.
    pub guard: Guard,
    /// The key that tokens are derived from.
    pub key: TokenKey,
    /// What the operator adds to every session.
    pub settings: Settings,
    /// What it was told for all of them.
    pub rules: Rules,
    /// After how long a session is looked at again.
    pub resync: Duration,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What is told as Events.
    pub events: Events,
    /// What is remembered between two looks.
    pub memory: Arc<Memory>,
}

/// What is remembered between two looks; all of it may be forgotten.
#[derive(Debug, Default)]
pub struct Memory {
    /// Statuses that are written a little later.
    pub deferrals: Deferrals,
    /// The nodes that had to be looked at.
    pub nodes: Nodes,
    /// Larger volumes that were refused.
    pub growth: Growth,
    /// What the cluster has warned of.
    pub warnings: Warnings,
    uids: Mutex<HashMap<SessionKey, String>>,
    looked_at: Mutex<HashSet<SessionKey>>,
    failures: Mutex<HashMap<SessionKey, Failures>>,
    calls: Mutex<HashMap<SessionKey, (&'static str, u32)>>,
    codes: Mutex<HashMap<SessionKey, (String, u64)>>,
    deleted: Mutex<HashMap<SessionKey, (String, Instant)>>,
    namespaces: Mutex<HashMap<String, (bool, Instant)>>,
    nodes_forbidden: AtomicBool,
}

impl Memory {
    /// A look has failed once more: how long to wait before the next try.
    pub fn failed(&self, key: &SessionKey, now: Instant) -> Duration {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let row = failures.entry(key.clone()).or_insert(Failures { count: 0, over: now });
        row.one_more(now)
    }

    /// This call has failed once more: how often in a row by now.
    pub fn call_failed(&self, key: &SessionKey, step: &'static str) -> u32 {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let call = calls.entry(key.clone()).or_insert((step, 0));
        let count = if call.0 == step { call.1.saturating_add(1) } else { 1 };
        *call = (step, count);
        count
    }

    /// It went well.
    pub fn succeeded(&self, key: &SessionKey) {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    /// The session of this name has this UID. Goes out: the UID of a former one.
    pub fn is_now(&self, key: &SessionKey, uid: &str) -> Option<String> {
        let mut uids = self.uids.lock().unwrap_or_else(PoisonError::into_inner);
        if uids.get(key).is_some_and(|known| known == uid) {
            return None;
        }
        uids.insert(key.clone(), uid.to_owned())
    }

    /// The session is gone. Goes out: its UID.
    pub fn forget(&self, key: &SessionKey) -> Option<String> {
        self.succeeded(key);
        self.deferrals.forget(key);
        self.growth.forget(key);
        self.warnings.forget(key);
        self.codes.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        self.looked_at.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        self.deleted.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        self.uids.lock().unwrap_or_else(PoisonError::into_inner).remove(key)
    }

    /// The session of this UID is being deleted: for how long that has been seen.
    pub fn deleted_for(&self, key: &SessionKey, uid: &str) -> SignedDuration {
        let mut deleted = self.deleted.lock().unwrap_or_else(PoisonError::into_inner);
        let first = deleted.entry(key.clone()).or_insert_with(|| (uid.to_owned(), Instant::now()));
        if first.0 != uid {
            *first = (uid.to_owned(), Instant::now());
        }
        SignedDuration::try_from(first.1.elapsed()).unwrap_or(SignedDuration::MAX)
    }

    /// A look at the session has come to its end, well or not.
    pub fn look_ended(&self, key: &SessionKey) {
        let mut looked_at = self.looked_at.lock().unwrap_or_else(PoisonError::into_inner);
        if !looked_at.contains(key) {
            looked_at.insert(key.clone());
        }
    }

    /// Whether that has been since this process began.
    pub fn was_looked_at(&self, key: &SessionKey) -> bool {
        self.looked_at.lock().unwrap_or_else(PoisonError::into_inner).contains(key)
    }

    /// Whether a pairing code was asked for since this pod came to wait for one.
    pub fn code_asked(&self, key: &SessionKey, phase: &(String, u64)) -> bool {
        self.codes.lock().unwrap_or_else(PoisonError::into_inner).get(key) == Some(phase)
    }

    /// A pairing code is asked for.
    pub fn ask_code(&self, key: &SessionKey, phase: (String, u64)) {
        self.codes.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), phase);
    }

    /// A pairing code was asked for in vain.
    pub fn forget_code(&self, key: &SessionKey) {
        self.codes.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    /// How much is remembered of each kind. Nothing of it may grow with what is gone; of nodes that is those of the last hour.
    pub fn sizes(&self) -> [(&'static str, usize); 10] {
        let looked_at = self.looked_at.lock().unwrap_or_else(PoisonError::into_inner).len();
        [
            ("looked_at", looked_at),
            ("deleted", size(&self.deleted)),
            ("uids", size(&self.uids)),
            ("failures", size(&self.failures)),
            ("calls", size(&self.calls)),
            ("codes", size(&self.codes)),
            ("deferrals", self.deferrals.len()),
            ("growth", self.growth.count()),
            ("warnings", self.warnings.len()),
            ("nodes", self.nodes.count()),
        ]
    }

    /// Nodes may not be read. Goes out: whether that is found for the first time.
    pub fn nodes_are_forbidden(&self) -> bool {
        !self.nodes_forbidden.swap(true, Ordering::Relaxed)
    }

    /// Whether a namespace is being deleted, if that was looked at a moment ago.
    pub fn terminating(&self, namespace: &str) -> Option<bool> {
        let namespaces = self.namespaces.lock().unwrap_or_else(PoisonError::into_inner);
        let (terminating, at) = namespaces.get(namespace)?;
        (at.elapsed() < NAMESPACE_FOR).then_some(*terminating)
    }

    /// Whether a namespace is being deleted.
    pub fn saw_namespace(&self, namespace: &str, terminating: bool) {
        let mut namespaces = self.namespaces.lock().unwrap_or_else(PoisonError::into_inner);
        namespaces.retain(|_, (_, at)| at.elapsed() < NAMESPACE_FOR);
        namespaces.insert(namespace.to_owned(), (terminating, Instant::now()));
    }
}

/// Looks at a session that failed, in a row.
#[derive(Debug)]
struct Failures {
    count: u32,
    /// When the wait after the last one of them is over.
    over: Instant,
}

impl Failures {
    /// Goes out: how long to wait. Only a try that was waited for makes the waits longer: the others are made because something
    /// has happened to the session, as when the failure itself is told in its status.
    fn one_more(&mut self, now: Instant) -> Duration {
        if now >= self.over {
            self.count = self.count.saturating_add(1);
            self.over = now + backoff(self.count);
        }
        self.over.saturating_duration_since(now)
    }
}

fn size<V>(map: &Mutex<HashMap<SessionKey, V>>) -> usize {
    map.lock().unwrap_or_else(PoisonError::into_inner).len()
}

/// Half a second, doubling, at most a minute.
fn backoff(failures: u32) -> Duration {
    Duration::from_millis(500_u64 << failures.saturating_sub(1).min(7)).min(Duration::from_mins(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_minute_and_start_anew_after_success() {
        let (memory, key, mut now) = (Memory::default(), SessionKey::new("a", "x"), Instant::now());
        let mut failed = || {
            let wait = memory.failed(&key, now);
            now += wait;
            wait.as_millis()
        };
        let waits: Vec<u128> = (0..9).map(|_| failed()).collect();
        assert_eq!(waits, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
        memory.succeeded(&key);
        assert_eq!(memory.failed(&key, now).as_millis(), 500);
    }

    #[test]
    fn a_try_that_was_not_waited_for_makes_no_wait_longer() {
        let (memory, key, start) = (Memory::default(), SessionKey::new("a", "x"), Instant::now());
        let failed = |at| memory.failed(&key, start + Duration::from_millis(at)).as_millis();
        assert_eq!([0, 100, 499, 500, 510, 1_499, 1_500].map(failed), [500, 400, 1, 1_000, 990, 1, 2_000]);
    }

    #[test]
    fn failures_of_the_same_call_are_counted_until_something_else_happens() {
        let (memory, key) = (Memory::default(), SessionKey::new("a", "x"));
        let fail = |step: &'static str| memory.call_failed(&key, step);
        assert_eq!([fail("pod"), fail("pod"), fail("claim"), fail("pod"), fail("pod")], [1, 2, 1, 1, 2]);
        memory.succeeded(&key);
        assert_eq!(fail("pod"), 1);
    }

    #[test]
    fn a_code_is_asked_for_once_a_phase() {
        let (memory, key) = (Memory::default(), SessionKey::new("a", "x"));
        let phase = ("pod".to_owned(), 1);
        memory.ask_code(&key, phase.clone());
        assert!(memory.code_asked(&key, &phase));
        assert!(!memory.code_asked(&key, &("pod".to_owned(), 2)));
    }
}
