//! What a resource's conditions and pods say together.

use serde_json::{Value, json};

use super::*;

fn session(change: &[(&str, Value)]) -> SessionFacts {
    let mut json = json!({
        "apiVersion": "warest.io/v1alpha1", "kind": "WhatsAppSession",
        "metadata": {"namespace": "ns", "name": "toko", "uid": "u-1", "resourceVersion": "3", "generation": 2,
            "creationTimestamp": "2026-11-22T16:50:00Z"},
        "spec": {}, "status": {"observedGeneration": 2, "conditions": []},
    });
    for (path, value) in change {
        let (parent, field) = path.rsplit_once('/').unwrap();
        json.pointer_mut(parent).unwrap()[field] = value.clone();
    }
    SessionFacts::read(serde_json::from_value(json).unwrap()).unwrap()
}

fn conditions(kind: &str, status: &str, reason: &str, generation: i64) -> Value {
    json!([{"type": kind, "status": status, "reason": reason, "message": "as it is", "observedGeneration": generation,
        "lastTransitionTime": "2026-11-22T16:50:09Z"}])
}

fn ready(reason: &str) -> SessionFacts {
    session(&[("/status/conditions", conditions("Ready", "False", reason, 2))])
}

fn live() -> PodFacts {
    PodFacts {
        place: ("ns".to_owned(), "toko".to_owned()),
        uid: "p-1".to_owned(),
        version: 1,
        session: Some("u-1".to_owned()),
        created: 5,
        terminating: false,
        finished: false,
        running: Some(("10.0.0.7:8080".to_owned(), 6)),
    }
}

const AT: u64 = 1_795_366_209_000;

#[test]
fn suspended_is_believed_only_with_proof() {
    let suspended = |conditions: Value| {
        session(&[("/spec/operatingMode", json!("Suspended")), ("/status/conditions", conditions)])
    };
    let proven = suspended(conditions("Suspended", "True", "Suspended", 2));
    assert_eq!(runtime(&proven, &[], Some("t")), Runtime::Stopped { since: AT });
    assert_eq!(
        runtime(&proven, &[&live()], Some("t")),
        Runtime::Stopping { since: AT },
        "a pod is still there"
    );
    let ended = PodFacts { finished: true, ..live() };
    assert_eq!(runtime(&proven, &[&ended], Some("t")), Runtime::Stopped { since: AT });
    for doubtful in [
        suspended(json!([])),
        suspended(conditions("Suspended", "False", "Suspending", 2)),
        suspended(conditions("Suspended", "True", "Suspended", 1)),
    ] {
        assert!(matches!(runtime(&doubtful, &[], Some("t")), Runtime::Stopping { .. }), "{doubtful:?}");
    }
}

#[test]
fn a_session_that_is_being_deleted_is_not_routed() {
    let deleting = session(&[("/metadata/deletionTimestamp", json!("2026-11-22T16:50:09Z"))]);
    assert_eq!(runtime(&deleting, &[&live()], Some("t")), Runtime::Stopping { since: AT });
}

#[test]
fn what_stands_in_the_way_is_told() {
    let told = |code: &str| Reason { code: code.to_owned(), message: "as it is".to_owned() };
    assert_eq!(
        runtime(&ready(reason::POD_NAME_CONFLICT), &[], Some("t")),
        Runtime::Failed { since: AT, reason: told("pod_name_conflict") }
    );
    assert_eq!(
        runtime(&ready(reason::UNSCHEDULABLE), &[], Some("t")),
        Runtime::Starting { since: AT, reason: Some(told("unschedulable")) }
    );
    let old = session(&[("/status/conditions", conditions("Ready", "False", reason::SUSPENDED, 1))]);
    assert!(
        matches!(runtime(&old, &[], Some("t")), Runtime::Starting { reason: None, .. }),
        "of another spec"
    );
}

#[test]
fn a_pod_that_can_be_called_is_called_whatever_else_is_said() {
    for said in [reason::AWAITING_PAIRING, reason::LOGGED_OUT, reason::NODE_UNREACHABLE, reason::VOLUME_LOST]
    {
        assert!(runtime(&ready(said), &[&live()], Some("t")).pod().is_some(), "{said}");
    }
    let doubted = runtime(&ready(reason::MULTIPLE_PODS), &[&live()], Some("t"));
    assert!(matches!(doubted, Runtime::Failed { .. }), "the operator sees a second one: {doubted:?}");
}

#[test]
fn reasons_have_the_public_spelling() {
    assert_eq!(snake("PodNameConflict"), "pod_name_conflict");
    assert_eq!(snake("Refused"), "refused");
}
