//! One session, read from its resource and its pod. Pure.

use crds::conditions::{PAIRED, POD_READY, READY, reason};
use crds::spec::{OperatingMode, UpdateStrategy};
use crds::{WhatsAppSession, names};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::{Change, Health, Pod, Session};
use crate::decide::{self, Rules};
use crate::observe::{PodSeen, SessionKey};

/// States that last until somebody acts, but for those that another program may mend (Outdated, Failed).
const ENDED: [&str; 5] =
    [reason::LOGGED_OUT, reason::REPLACED, reason::BANNED, reason::QR_EXPIRED, reason::PASSKEY_REQUIRED];

/// Reasons for which no pod is on its way until something else happens.
const HELD_UP: [&str; 11] = [
    reason::INVALID_SPEC,
    reason::SECRET_NOT_FOUND,
    reason::NAMESPACE_TERMINATING,
    reason::POD_NAME_CONFLICT,
    reason::MULTIPLE_PODS,
    reason::BACKING_OFF,
    reason::STORAGE_TERMINATING,
    reason::VOLUME_LOST,
    reason::CLAIM_NAME_CONFLICT,
    reason::CLAIM_NOT_FOUND,
    reason::DUPLICATE_VOLUME,
];

/// From the end of what a pod's deletion is waited for to its successor, with all that may slow that down.
const REPLACED_WITHIN: SignedDuration = SignedDuration::from_secs(60);

/// From a session's creation to its first pod, at most. A later one may be a successor.
const FIRST_WITHIN: SignedDuration = SignedDuration::from_secs(5);

impl Session {
    /// Reads a session. `pod` is the one that bears its name; `revision` is the fleet's present one, `rules` say how long a pod
    /// is waited for that was not seen to end. None if it shall have no pod, if nobody is to touch it, or if it never worked and
    /// no pod is on its way.
    pub fn of(
        session: &WhatsAppSession,
        pod: Option<&PodSeen>,
        revision: &str,
        rules: &Rules,
    ) -> Option<Self> {
        let meta = &session.metadata;
        let paused =
            meta.annotations.as_ref().and_then(|all| all.get(names::PAUSED)).is_some_and(|v| v == "true");
        let suspended = session.spec.operating_mode == OperatingMode::Suspended;
        if paused || suspended || meta.deletion_timestamp.is_some() {
            return None;
        }
        let uid = meta.uid.as_deref().unwrap_or_default();
        let pod = pod.filter(|pod| pod.is_of(uid));
        let told = condition(session, READY);
        if pod.is_none() && !is_linked(session) && told.is_some_and(is_held_up) {
            return None;
        }
        let facts = pod.map(|pod| facts(session, pod, (revision, replaced_within(session, rules))));
        let held_back = has_ended(session) && facts.as_ref().is_some_and(|pod| pod.change == Change::Fleet);
        Some(Self {
            key: SessionKey::of(session),
            canary: meta.labels.as_ref().and_then(|all| all.get(names::CANARY)).is_some_and(|v| v == "true"),
            automatic: session.spec.update_strategy == UpdateStrategy::Recreate && !held_back,
            health: health(session, pod),
            pod: facts,
            refused: pod.is_none()
                && told.is_some_and(|ready| {
                    [reason::REFUSED, reason::FORBIDDEN].contains(&ready.reason.as_str())
                }),
        })
    }
}

impl Session {
    /// The same while this operator has not looked at it: what its status tells of changes is its predecessor's word.
    #[must_use]
    pub fn unjudged(mut self) -> Self {
        if let Some(pod) = self.pod.as_mut().filter(|pod| pod.change == Change::None && !pod.current) {
            pod.change = Change::Unknown;
        }
        self
    }
}

/// Whether the session has ended for good, through no fault of its program: a rollout does not restart it.
fn has_ended(session: &WhatsAppSession) -> bool {
    let state = session.status.as_ref().and_then(|status| status.state.as_deref());
    state.is_some_and(|state| ENDED.contains(&state))
}

/// How long a session that worked is away at most before it has its next pod, as far as its pod and the operator go. A pod that
/// vanished is waited for longer than one that is seen to end.
fn replaced_within(session: &WhatsAppSession, rules: &Rules) -> SignedDuration {
    let grace = SignedDuration::from_secs(session.spec.termination_grace_period_seconds);
    grace.max(decide::departure_wait(grace, rules)) + REPLACED_WITHIN
}

fn facts(session: &WhatsAppSession, pod: &PodSeen, (revision, lead): (&str, SignedDuration)) -> Pod {
    // By the operator's clock, as all that it is compared with.
    let created = pod.made.unwrap_or(Timestamp::UNIX_EPOCH);
    let current = pod.revision.as_deref() == Some(revision);
    let outdated = speaks_of(session, pod)
        && session.status.as_ref().and_then(|status| status.pod.as_ref()).is_some_and(|told| told.outdated);
    let change = match (outdated, current) {
        (false, _) => Change::None,
        (true, true) => Change::Own,
        (true, false) => Change::Fleet,
    };
    let worked = down_since(session).is_none_or(|since| created.duration_since(since) <= lead);
    let replaced_working = worked && !is_first(session, pod);
    Pod { uid: pod.uid.clone(), created, ending: pod.deleting.is_some(), current, replaced_working, change }
}

/// Whether a pod is the session's first, by the API server's clock: it replaced nothing.
fn is_first(session: &WhatsAppSession, pod: &PodSeen) -> bool {
    let asked_for = session.metadata.creation_timestamp.as_ref().map(|time| time.0);
    asked_for
        .zip(pod.created)
        .is_some_and(|(asked_for, created)| created.duration_since(asked_for) <= FIRST_WITHIN)
}

fn health(session: &WhatsAppSession, pod: Option<&PodSeen>) -> Health {
    let down = |failing| Health::Down { since: down_since(session), failing };
    let Some(pod) = pod.filter(|pod| speaks_of(session, pod) && pod.deleting.is_none()) else {
        return down(None);
    };
    if condition(session, READY).is_some_and(|ready| ready.status == "True") {
        return Health::Up;
    }
    let state = session.status.as_ref().and_then(|status| status.state.as_deref());
    match state {
        Some(reason::OUTDATED | "Failed") => {
            let why = condition(session, READY).map_or_else(String::new, |ready| ready.message.clone());
            Health::Idle { failing: Some(why) }
        }
        Some(reason::AWAITING_PAIRING) => Health::Idle { failing: None },
        Some(state) if ENDED.contains(&state) => Health::Idle { failing: None },
        Some(_) | None => down(failing(session, pod)),
    }
}

/// Why the pod will hardly come up by itself.
fn failing(session: &WhatsAppSession, pod: &PodSeen) -> Option<String> {
    let told = condition(session, POD_READY)?;
    let broken = [reason::CRASH_LOOP, reason::IMAGE_PULL_FAILED, reason::POD_FAILED, reason::BACKING_OFF];
    (pod.has_ended() || broken.contains(&told.reason.as_str())).then(|| told.message.clone())
}

/// Whether the status was written with this pod in view. One that was not says nothing of it.
fn speaks_of(session: &WhatsAppSession, pod: &PodSeen) -> bool {
    session.status.as_ref().and_then(|status| status.pod.as_ref()).is_some_and(|told| told.uid == pod.uid)
}

/// Since when a linked session is not ready. One that was never linked was never ready: there is no telling.
fn down_since(session: &WhatsAppSession) -> Option<Timestamp> {
    let ready = condition(session, READY).filter(|_| is_linked(session))?;
    (ready.status != "True").then_some(ready.last_transition_time.0)
}

fn is_linked(session: &WhatsAppSession) -> bool {
    condition(session, PAIRED).is_some_and(|paired| paired.status == "True")
}

fn is_held_up(ready: &Condition) -> bool {
    HELD_UP.contains(&ready.reason.as_str())
}

fn condition<'s>(session: &'s WhatsAppSession, kind: &str) -> Option<&'s Condition> {
    session.status.as_ref()?.conditions.iter().find(|condition| condition.type_ == kind)
}

#[cfg(test)]
mod tests;
