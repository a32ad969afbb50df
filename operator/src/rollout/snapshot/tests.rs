//! What is read of a session and its pod.

use k8s_openapi::api::core::v1::Pod as KubePod;
use serde_json::{Value, json};

use super::*;
use crate::fixtures::RULES;

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
    Session::of(&serde_json::from_value(session).unwrap(), pod, "r2", &RULES)
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
    let session = serde_json::from_value(toko()).unwrap();
    let own = Session::of(&session, Some(&pod(|_| {})), "r1", &RULES).unwrap();
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
    assert!(!long.pod.unwrap().replaced_working, "five minutes before its pod was made it was down already");
}

#[test]
fn a_pod_that_vanished_is_replaced_later_and_its_session_worked_all_the_same() {
    let worked = |since: &'static str, rules: &Rules| {
        let mut session = toko();
        session["status"]["conditions"] = ready("False", "PodTerminating", since);
        let session = serde_json::from_value(session).unwrap();
        Session::of(&session, Some(&pod(|_| {})), "r2", rules).unwrap().pod.unwrap().replaced_working
    };
    // 60 s for the node to be known as dead, 30 s of grace, 10 s for the kubelet; then a minute.
    assert!(worked("08:57:20", &RULES));
    assert!(!worked("08:57:19", &RULES));
    let not_waited_for = Rules { node_grace: SignedDuration::ZERO, ..RULES };
    assert!(worked("08:58:30", &not_waited_for) && !worked("08:58:29", &not_waited_for));
}

#[test]
fn a_clock_other_than_the_operators_is_no_excuse() {
    let at_eight =
        |pod: &mut Value| pod["metadata"]["annotations"]["warest.io/made-at"] = "2026-01-01T08:00:20Z".into();
    let down = |s: &mut Value| s["status"]["conditions"] = ready("False", "PodTerminating", "08:00:00");
    let facts = read(down, Some(&pod(at_eight))).unwrap().pod.unwrap();
    assert!(facts.replaced_working, "the API server's clock is an hour ahead");
    assert_eq!(facts.created.to_string(), "2026-01-01T08:00:20Z");
    assert!(!read(down, Some(&pod(|_| {}))).unwrap().pod.unwrap().replaced_working);
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
