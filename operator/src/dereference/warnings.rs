//! What the cluster warns of when a pod or a claim does not come up.
//!
//! Comes in: what is seen of a session. Goes out: warnings about what has been missing for a minute. Events are not in the API
//! server's watch cache, and each list reads all of a namespace: one at a time is asked for, with pauses as long as that takes the
//! API server (of thousands of sessions that start at once all are late), and no session's more than once a minute, whether an
//! answer comes or not. In between, what was heard last holds.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::events::v1::Event;
use k8s_openapi::jiff::SignedDuration;
use kube::Api;
use kube::api::ListParams;
use tokio::sync::Semaphore;
use tracing::debug;

use crate::call::{CallError, call};
use crate::context::Context;
use crate::observe::{ClaimPhase, Observed, SessionKey, Warning};

/// What has not come up after this time is asked about.
const SLOW: SignedDuration = SignedDuration::from_secs(60);
/// How long what was heard holds.
const HOLDS: Duration = Duration::from_mins(1);
/// The pause after a question, in terms of the time that its answer took: a twentieth of the time is asked at most.
const PAUSE: u32 = 19;
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What was heard last, and whose turn it is to ask.
#[derive(Debug)]
pub struct Warnings {
    heard: Mutex<HashMap<SessionKey, Heard>>,
    turn: Semaphore,
    /// Nobody asks before.
    next: Mutex<Instant>,
}

/// What was heard last for a session.
#[derive(Debug)]
struct Heard {
    /// UID of the object that it is about. One that comes after it, under the same name, has no part in it.
    uid: String,
    at: Instant,
    warnings: Vec<Warning>,
}

/// An object that does not come up.
#[derive(Debug, PartialEq, Eq)]
struct Overdue {
    kind: &'static str,
    name: String,
    uid: String,
}

impl Default for Warnings {
    fn default() -> Self {
        Self { heard: Mutex::default(), turn: Semaphore::new(1), next: Mutex::new(Instant::now()) }
    }
}

impl Warnings {
    /// All is well with the session, or it is gone.
    pub fn forget(&self, key: &SessionKey) {
        self.heard().remove(key);
    }

    /// For how many sessions something is kept.
    pub fn len(&self) -> usize {
        self.heard().len()
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it is time to ask again.
    fn may_ask(&self, now: Instant) -> bool {
        now >= *self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An answer took so long.
    fn asked(&self, took: Duration, now: Instant) {
        let pause = took.saturating_mul(PAUSE).min(LONGEST_PAUSE);
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = now + pause;
    }

    /// What was heard last of this object, and whether that still holds.
    fn known(&self, key: &SessionKey, uid: &str) -> (Vec<Warning>, bool) {
        let heard = self.heard();
        let known = heard.get(key).filter(|heard| heard.uid == uid);
        known.map_or_else(Default::default, |heard| (heard.warnings.clone(), heard.at.elapsed() < HOLDS))
    }

    /// An answer came, or none: then what was heard last holds for as long as an answer would.
    fn answered(&self, key: &SessionKey, uid: &str, answer: Result<Vec<Warning>, CallError>) -> Vec<Warning> {
        let warnings = answer.unwrap_or_else(|error| {
            debug!(session = %key, "warnings cannot be listed: {error}");
            self.known(key, uid).0
        });
        self.hear(key, uid, &warnings);
        warnings
    }

    fn hear(&self, key: &SessionKey, uid: &str, warnings: &[Warning]) {
        let heard = Heard { uid: uid.to_owned(), at: Instant::now(), warnings: warnings.to_vec() };
        self.heard().insert(key.clone(), heard);
    }

    fn heard(&self) -> MutexGuard<'_, HashMap<SessionKey, Heard>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The warnings about what does not come up.
pub(super) async fn about(context: &Context, key: &SessionKey, seen: &Observed) -> Vec<Warning> {
    let Some(overdue) = overdue(seen) else {
        context.memory.warnings.forget(key);
        return Vec::new();
    };
    let (warnings, start) = (&context.memory.warnings, Instant::now());
    let (known, holds) = warnings.known(key, &overdue.uid);
    if holds || !warnings.may_ask(start) {
        return known;
    }
    let Ok(_turn) = warnings.turn.try_acquire() else { return known };
    let answer = ask(context, key.namespace(), &overdue).await;
    warnings.asked(start.elapsed(), Instant::now());
    warnings.answered(key, &overdue.uid, answer)
}

/// What does not come up for so long that the cluster is asked about it: a pod on its node, or a claim.
fn overdue(seen: &Observed) -> Option<Overdue> {
    let pod = seen.own_pod().filter(|pod| pod.deleting.is_none() && !pod.has_run() && !pod.has_ended())?;
    let old = pod.made.is_some_and(|made| seen.now.duration_since(made) >= SLOW);
    let claim = seen.claim.as_ref().filter(|claim| claim.phase == ClaimPhase::Pending);
    let (kind, name, uid) = match (old, claim, &pod.node) {
        (true, Some(claim), _) => ("PersistentVolumeClaim", &claim.name, &claim.uid),
        (true, None, Some(_)) => ("Pod", &pod.name, &pod.uid),
        _ => return None,
    };
    Some(Overdue { kind, name: name.clone(), uid: uid.clone() })
}

impl Overdue {
    /// Field selector of the warnings about this very object: one before it may have had the same name.
    fn selector(&self) -> String {
        let Self { kind, name, uid } = self;
        format!("regarding.kind={kind},regarding.name={name},regarding.uid={uid},type=Warning")
    }
}

async fn ask(context: &Context, namespace: &str, about: &Overdue) -> Result<Vec<Warning>, CallError> {
    let api: Api<Event> = Api::namespaced(context.world.client.clone(), namespace);
    let events = call(api.list(&ListParams::default().fields(&about.selector()).limit(50))).await?;
    let told =
        |event: Event| Some(Warning { reason: event.reason.unwrap_or_default(), message: event.note? });
    Ok(events.items.into_iter().filter_map(told).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{PAIRED, ago, claim, pod, seen};
    use crate::observe::{ClaimSeen, Container, PodSeen};

    #[test]
    fn what_is_missing_for_a_minute_is_asked_about() {
        let made = |seconds, phase, node: Option<&str>| {
            let mut seen = seen("{}", PAIRED);
            let node = node.map(str::to_owned);
            let made = Some(ago(seconds));
            seen.pods = vec![PodSeen { made, container: Container::Unseen, node, ..pod(&seen) }];
            seen.claim = Some(ClaimSeen { phase, ..claim() });
            overdue(&seen).map(|about| about.selector())
        };
        assert_eq!(made(59, ClaimPhase::Pending, None), None);
        let about = |kind, name, uid| {
            let object = format!("regarding.kind={kind},regarding.name={name},regarding.uid={uid}");
            Some(format!("{object},type=Warning"))
        };
        let claim = about("PersistentVolumeClaim", "toko-session", "c-1");
        assert_eq!(made(60, ClaimPhase::Pending, None), claim);
        assert_eq!(made(60, ClaimPhase::Bound, Some("n")), about("Pod", "toko", "p-1"));
        assert_eq!(made(60, ClaimPhase::Bound, None), None, "the scheduler says why");
    }

    #[test]
    fn the_longer_an_answer_takes_the_longer_is_the_pause() {
        let (warnings, now) = (Warnings::default(), Instant::now());
        let paused = |took, later| {
            warnings.asked(Duration::from_millis(took), now);
            warnings.may_ask(now + Duration::from_millis(later))
        };
        assert!(warnings.may_ask(now + Duration::from_secs(1)));
        assert_eq!([paused(10, 189), paused(10, 190)], [false, true]);
        assert_eq!([paused(200, 3_799), paused(200, 3_800)], [false, true]);
        assert_eq!([paused(15_000, 29_999), paused(15_000, 30_000)], [false, true], "and never for long");
    }

    #[test]
    fn a_failure_is_not_asked_about_again_at_once() {
        let (warnings, key) = (Warnings::default(), SessionKey::new("a", "x"));
        let failed = || Err(CallError::Stale("x".to_owned()));
        let answered = |answer| warnings.answered(&key, "p-1", answer);
        assert_eq!((answered(failed()), warnings.known(&key, "p-1")), (vec![], (vec![], true)));
        let heard = vec![Warning { reason: "FailedMount".to_owned(), message: "no".to_owned() }];
        assert_eq!(answered(Ok(heard.clone())), heard);
        assert_eq!(answered(failed()), heard, "what was heard last");
        assert_eq!(warnings.known(&key, "p-1"), (heard, true));
    }

    #[test]
    fn what_was_heard_holds_until_it_is_forgotten_or_is_about_another_pod() {
        let (warnings, key) = (Warnings::default(), SessionKey::new("a", "x"));
        assert_eq!(warnings.known(&key, "p-1"), (Vec::new(), false));
        let heard = [Warning { reason: "FailedMount".to_owned(), message: "no".to_owned() }];
        warnings.hear(&key, "p-1", &heard);
        assert_eq!(warnings.known(&key, "p-1"), (heard.to_vec(), true));
        assert_eq!(warnings.known(&key, "p-2"), (Vec::new(), false), "its successor's troubles are its own");
        warnings.forget(&key);
        assert!(warnings.is_empty());
    }
}
