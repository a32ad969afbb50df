//! One session, read from its resource and its pod. Pure.

use crds::conditions::{PAIRED, POD_READY, READY, reason};
use crds::spec::{OperatingMode, UpdateStrategy};
use crds::{WhatsAppSession, names};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::{Change, Health, Pod, Session};
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

/// From a pod's deletion to its successor, beside its grace period.
const REPLACED_WITHIN: i64 = 60;

/// From a session's creation to its first pod, at most. A later one may be a successor.
const FIRST_WITHIN: SignedDuration = SignedDuration::from_secs(5);

impl Session {
    /// Reads a session. `pod` is the one that bears its name; `revision` is the fleet's present one. None if it shall have no
    /// pod, if nobody is to touch it, or if it never worked and no pod is on its way.
    pub fn of(session: &WhatsAppSession, pod: Option<&PodSeen>, revision: &str) -> Option<Self> {
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
        let facts = pod.map(|pod| facts(session, pod, revision));
        let held_back = has_ended(session) && facts.as_ref().is_some_and(|pod| pod.change == Change::Fleet);
        Some(Self {
            key: SessionKey {
                namespace: meta.namespace.clone().unwrap_or_default(),
                name: meta.name.clone().unwrap_or_default(),
            },
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

/// Whether the session has ended for good, through no fault of its program: a rollout does not restart it.
fn has_ended(session: &WhatsAppSession) -> bool {
    let state = session.status.as_ref().and_then(|status| status.state.as_deref());
    state.is_some_and(|state| ENDED.contains(&state))
}

fn facts(session: &WhatsAppSession, pod: &PodSeen, revision: &str) -> Pod {
    let created = pod.created.unwrap_or(Timestamp::UNIX_EPOCH);
    let current = pod.revision.as_deref() == Some(revision);
    let outdated = speaks_of(session, pod)
        && session.status.as_ref().and_then(|status| status.pod.as_ref()).is_some_and(|told| told.outdated);
    let change = match (outdated, current) {
        (false, _) => Change::None,
        (true, true) => Change::Own,
        (true, false) => Change::Fleet,
    };
    let lead = SignedDuration::from_secs(session.spec.termination_grace_period_seconds + REPLACED_WITHIN);
    let worked = down_since(session).is_none_or(|since| created.duration_since(since) <= lead);
    let replaced_working = worked && !is_first(session, created);
    Pod { uid: pod.uid.clone(), created, ending: pod.deleting.is_some(), current, replaced_working, change }
}

/// Whether a pod that was made then is the session's first: it replaced nothing.
fn is_first(session: &WhatsAppSession, pod_created: Timestamp) -> bool {
    let asked_for = session.metadata.creation_timestamp.as_ref();
    asked_for.is_some_and(|time| pod_created.duration_since(time.0) <= FIRST_WITHIN)
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
mod tests {
    use k8s_openapi::api::core::v1::Pod as KubePod;
    use serde_json::{Value, json};

    use super::*;

    /// A linked session `toko`, up, with the pod `p-1` of revision `r1`.
    fn toko() -> Value {
        json!({
            "apiVersion": "warest.io/v1alpha1", "kind": "WhatsAppSession",
            "metadata": {"name": "toko", "namespace": "shop", "uid": "u-1", "labels": {"warest.io/canary": "true"}},
            "spec": {},
            "status": {
                "state": "Open",
                "pod": {"name": "toko", "uid": "p-1", "outdated": true},
                "conditions": [told("Ready", "True", "AsExpected", "08:00:00"), told("Paired", "True", "AsExpected", "07:00:00")],
            },
        })
    }

    fn told(kind: &str, status: &str, reason: &str, time: &str) -> Value {
        let time = format!("2026-01-01T{time}Z");
        json!({"type": kind, "status": status, "reason": reason, "message": "because", "lastTransitionTime": time})
    }

    fn pod(change: impl FnOnce(&mut Value)) -> PodSeen {
        let mut pod = json!({
            "metadata": {
                "name": "toko", "uid": "p-1", "creationTimestamp": "2026-01-01T09:00:00Z",
                "annotations": {"warest.io/revision": "r1"},
                "ownerReferences": [{"apiVersion": "warest.io/v1alpha1", "kind": "WhatsAppSession", "name": "toko", "uid": "u-1", "controller": true}],
            },
            "status": {"phase": "Running"},
        });
        change(&mut pod);
        PodSeen::of(&serde_json::from_value::<KubePod>(pod).unwrap())
    }

    fn read(change: impl FnOnce(&mut Value), pod: Option<&PodSeen>) -> Option<Session> {
        let mut session = toko();
        change(&mut session);
        Session::of(&serde_json::from_value(session).unwrap(), pod, "r2")
    }

    fn ready(status: &str, reason: &str, time: &str) -> Value {
        json!([
            told("Ready", status, reason, time),
            told("Paired", "True", "AsExpected", "07:00:00"),
            told("PodReady", status, reason, time)
        ])
    }

    #[test]
    fn an_outdated_session_that_is_up() {
        let session = read(|_| {}, Some(&pod(|_| {}))).unwrap();
        assert_eq!(
            (session.key.to_string().as_str(), session.canary, session.automatic),
            ("shop/toko", true, true)
        );
        assert_eq!(session.health, Health::Up);
        let facts = session.pod.unwrap();
        assert_eq!((facts.change, facts.current, facts.ending), (Change::Fleet, false, false));
        let own = Session::of(&serde_json::from_value(toko()).unwrap(), Some(&pod(|_| {})), "r1").unwrap();
        assert_eq!(own.pod.unwrap().change, Change::Own);
    }

    #[test]
    fn a_status_about_another_pod_says_nothing_of_this_one() {
        let new = pod(|pod| pod["metadata"]["uid"] = "p-2".into());
        let session = read(|_| {}, Some(&new)).unwrap();
        assert_eq!(session.health, Health::Down { since: None, failing: None });
        assert_eq!(session.pod.unwrap().change, Change::None);
        let stranger = pod(|pod| pod["metadata"]["ownerReferences"][0]["uid"] = "u-0".into());
        assert_eq!(read(|_| {}, Some(&stranger)).unwrap().pod, None);
    }

    #[test]
    fn who_shall_have_no_pod_is_left_out() {
        assert!(read(|s| s["spec"]["operatingMode"] = "Suspended".into(), None).is_none());
        assert!(read(|s| s["metadata"]["annotations"] = json!({"warest.io/paused": "true"}), None).is_none());
        assert!(read(|s| s["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into(), None).is_none());
    }

    #[test]
    fn who_never_worked_and_gets_no_pod_is_left_out() {
        let in_the_way = |reason: &'static str, paired: &'static str| {
            move |s: &mut Value| {
                let all = [("Ready", "False", reason), ("Paired", paired, "AsExpected")];
                let all = all.map(|(kind, status, reason)| told(kind, status, reason, "08:00:00"));
                s["status"]["conditions"] = json!(all);
            }
        };
        for reason in HELD_UP {
            assert_eq!(read(in_the_way(reason, "False"), None), None, "{reason}");
        }
        assert!(read(in_the_way("VolumeLost", "True"), None).is_some(), "one that worked is missed");
        assert!(read(in_the_way("VolumeLost", "False"), Some(&pod(|_| {}))).is_some(), "it has a pod");
        assert!(read(in_the_way("PodMissing", "False"), None).is_some(), "its pod is on its way");
        assert!(read(in_the_way("Refused", "False"), None).unwrap().refused);
    }

    #[test]
    fn a_pod_that_fails_says_why_and_whether_its_session_worked_before() {
        let at = |time| {
            move |s: &mut Value| {
                s["status"]["conditions"] = ready("False", "CrashLoop", time);
                s["status"]["state"] = Value::Null;
            }
        };
        let fresh = read(at("08:59:00"), Some(&pod(|_| {}))).unwrap();
        let Health::Down { since: Some(_), failing } = &fresh.health else { panic!("{fresh:?}") };
        assert_eq!(failing.as_deref(), Some("because"));
        assert!(fresh.pod.unwrap().replaced_working);
        let long = read(at("08:55:00"), Some(&pod(|_| {}))).unwrap();
        assert!(
            !long.pod.unwrap().replaced_working,
            "five minutes before its pod was made it was down already"
        );
    }

    #[test]
    fn a_first_pod_replaced_nothing() {
        let new_since = |time: &'static str| {
            let change = move |s: &mut Value| {
                s["metadata"]["creationTimestamp"] = time.into();
                s["status"]["conditions"] = json!([
                    told("Ready", "False", "ImagePullFailed", "09:00:00"),
                    told("Paired", "False", "AwaitingPairing", "09:00:00"),
                    told("PodReady", "False", "ImagePullFailed", "09:00:00"),
                ]);
            };
            read(change, Some(&pod(|_| {}))).unwrap().pod.unwrap().replaced_working
        };
        assert!(!new_since("2026-01-01T08:59:55Z"));
        assert!(new_since("2026-01-01T08:59:54Z"), "this may be a successor");
    }

    #[test]
    fn sessions_that_wait_for_somebody_are_idle() {
        let in_state = |state: &'static str| {
            let change = |s: &mut Value| {
                s["status"]["conditions"] = ready("False", state, "08:59:00");
                s["status"]["state"] = state.into();
            };
            let session = read(change, Some(&pod(|_| {}))).unwrap();
            (session.health, session.automatic)
        };
        let idle = |failing: Option<&str>| Health::Idle { failing: failing.map(str::to_owned) };
        assert_eq!(in_state("AwaitingPairing"), (idle(None), true));
        for state in ["LoggedOut", "Banned", "QrExpired", "Replaced", "PasskeyRequired"] {
            assert_eq!(in_state(state), (idle(None), false), "{state}: a rollout does not restart it");
        }
        for state in ["Failed", "Outdated"] {
            assert_eq!(in_state(state), (idle(Some("because")), true), "{state}");
        }
        assert!(matches!(in_state("Reconnecting"), (Health::Down { .. }, true)));
    }

    #[test]
    fn a_refused_pod_is_seen_in_the_reason() {
        let refused = |s: &mut Value| s["status"]["conditions"] = ready("False", "Refused", "08:59:00");
        assert!(read(refused, None).unwrap().refused);
        assert!(!read(refused, Some(&pod(|_| {}))).unwrap().refused);
    }
}
