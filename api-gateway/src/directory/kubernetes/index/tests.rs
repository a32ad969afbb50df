//! Which sessions there are, and where each is routed to.

use crds::WhatsAppSession;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::*;
use crate::directory::Runtime;

const SESSION: &str = "WhatsAppSession";

fn session_json(namespace: &str, name: &str, uid: &str, version: u64) -> Value {
    json!({
        "apiVersion": "warest.io/v1alpha1", "kind": SESSION,
        "metadata": {"namespace": namespace, "name": name, "uid": uid, "resourceVersion": version.to_string(),
            "generation": 1, "creationTimestamp": "2026-11-22T16:50:00Z",
            "annotations": {"warest.io/owner": "shop"}, "labels": {"team": "sales"}},
        "spec": {"displayName": "Toko"},
    })
}

fn session(value: Value) -> SessionFacts {
    SessionFacts::read(serde_json::from_value::<WhatsAppSession>(value).unwrap()).unwrap()
}

fn toko(version: u64) -> SessionFacts {
    session(session_json("ns", "toko", "u-1", version))
}

fn pod_json(name: &str, uid: &str, owner: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"namespace": "ns", "name": name, "uid": uid, "resourceVersion": "5",
            "creationTimestamp": "2026-11-22T16:50:01Z",
            "ownerReferences": [{"apiVersion": "warest.io/v1alpha1", "kind": SESSION, "name": "toko", "uid": owner, "controller": true}]},
        "spec": {"containers": [{"name": "session", "ports": [{"name": "http", "containerPort": 8080}]}]},
        "status": {"phase": "Running", "podIP": "10.0.0.7",
            "containerStatuses": [{"name": "session", "image": "x", "imageID": "x", "ready": false, "restartCount": 0,
                "state": {"running": {"startedAt": "2026-11-22T16:50:02Z"}}}]},
    })
}

fn pod(value: Value) -> PodFacts {
    PodFacts::read(serde_json::from_value::<Pod>(value).unwrap())
}

fn own() -> PodFacts {
    pod(pod_json("toko", "p-1", "u-1"))
}

/// A pod with one thing changed.
fn odd(path: &str, value: Value) -> PodFacts {
    let mut json = pod_json("toko", "p-1", "u-1");
    *json.pointer_mut(path).unwrap_or_else(|| panic!("{path}")) = value;
    pod(json)
}

fn index() -> Index {
    let mut index = Index::new("ns");
    index.set_key([7; 32]);
    index
}

fn id(name: &str) -> SessionName {
    name.parse().unwrap()
}

fn runtime_of(index: &Index) -> Runtime {
    index.get(&id("toko")).unwrap().runtime.clone()
}

fn is_routed(index: &Index) -> bool {
    runtime_of(index).pod().is_some()
}

#[test]
fn a_session_with_its_pod_is_routed() {
    let mut index = index();
    index.put_session(Ok(toko(1)));
    assert!(matches!(runtime_of(&index), Runtime::Starting { reason: None, .. }));
    index.put_pod(own());
    let record = index.get(&id("toko")).unwrap();
    let Runtime::Running { since, pod } = &record.runtime else { panic!("{record:?}") };
    assert_eq!((*since, pod.address.as_str(), pod.uid.as_str()), (1_795_366_202_000, "10.0.0.7:8080", "u-1"));
    assert_eq!(pod.token, token::derive(&[7; 32], "u-1"));
    assert_eq!((record.owner.as_str(), record.label.as_deref()), ("shop", Some("Toko")));
    assert_eq!(record.labels["team"], "sales");
    assert_eq!(record.created_at.as_deref(), Some("2026-11-22T16:50:00Z"));
    index.remove_pod(&own());
    assert!(!is_routed(&index));
}

#[test]
fn the_order_of_the_watches_does_not_matter() {
    let mut index = Index::new("ns");
    index.put_pod(own());
    index.put_session(Ok(toko(1)));
    let Runtime::Starting { reason: Some(reason), .. } = runtime_of(&index) else { panic!("no key yet") };
    assert_eq!(reason.code, "cluster_key_missing");
    index.set_key([7; 32]);
    assert!(is_routed(&index));
}

#[test]
fn nothing_but_the_sessions_own_pod_is_routed() {
    for (what, stranger) in [
        ("another session's", pod(pod_json("toko", "p-1", "u-2"))),
        ("of another name", pod(pod_json("toko-2", "p-1", "u-1"))),
        ("owned but not controlled", odd("/metadata/ownerReferences/0/controller", json!(false))),
        ("owned by another kind", odd("/metadata/ownerReferences/0/kind", json!("ReplicaSet"))),
        ("not running yet", odd("/status/phase", json!("Pending"))),
        ("ended", odd("/status/phase", json!("Failed"))),
        ("without an address", odd("/status/podIP", json!(""))),
        ("with a name for an address", odd("/status/podIP", json!("evil.example"))),
        (
            "crashed",
            odd("/status/containerStatuses/0/state", json!({"waiting": {"reason": "CrashLoopBackOff"}})),
        ),
        ("of another container", odd("/status/containerStatuses/0/name", json!("sidecar"))),
    ] {
        let mut index = index();
        index.put_session(Ok(toko(1)));
        index.put_pod(stranger);
        assert!(!is_routed(&index), "a pod {what}");
    }
    let mut index = index();
    index.put_session(Ok(toko(1)));
    index.put_pod(own());
    assert!(is_routed(&index), "the check above looks at the right thing");
    let mut ending = pod_json("toko", "p-1", "u-1");
    ending["metadata"]["deletionTimestamp"] = json!("2026-11-22T17:00:00Z");
    index.put_pod(pod(ending));
    assert!(!is_routed(&index), "a pod that is ending");
}

#[test]
fn of_two_pods_none_is_routed() {
    let mut index = index();
    index.put_session(Ok(toko(1)));
    index.put_pod(own());
    index.put_pod(pod(pod_json("toko-by-hand", "p-2", "u-1")));
    let Runtime::Failed { reason, .. } = runtime_of(&index) else { panic!("two pods") };
    assert_eq!(reason.code, "multiple_pods");
    assert!(reason.message.starts_with("2 pods"), "{}", reason.message);
    let mut ended = pod_json("toko-by-hand", "p-2", "u-1");
    ended["status"]["phase"] = json!("Succeeded");
    index.put_pod(pod(ended));
    assert!(is_routed(&index), "one of them has ended");
}

#[test]
fn an_ipv6_address_is_written_in_brackets() {
    let mut index = index();
    index.put_session(Ok(toko(1)));
    index.put_pod(odd("/status/podIP", json!("fd00::7")));
    assert_eq!(runtime_of(&index).pod().unwrap().address, "[fd00::7]:8080");
}

#[test]
fn old_news_changes_nothing() {
    let mut index = index();
    let renamed = |version, label: &str| {
        let mut json = session_json("ns", "toko", "u-1", version);
        json["spec"]["displayName"] = json!(label);
        Ok(session(json))
    };
    index.put_session(renamed(7, "new"));
    index.put_session(renamed(6, "old"));
    assert_eq!(index.get(&id("toko")).unwrap().label.as_deref(), Some("new"));
    let again = Ok(session(session_json("ns", "toko", "u-2", 9)));
    index.put_session(again);
    index.remove_session(&Ok(toko(8)));
    assert_eq!(index.get(&id("toko")).unwrap().uid, "u-2", "the one before is gone, not this one");
    index.put_pod(pod(pod_json("toko", "p-2", "u-2")));
    index.remove_pod(&own());
    assert!(is_routed(&index), "the pod before is gone, not this one");
}

#[test]
fn a_session_made_anew_is_not_routed_to_the_old_ones_pod() {
    let mut index = index();
    index.put_session(Ok(toko(1)));
    index.put_pod(own());
    index.put_session(Ok(session(session_json("ns", "toko", "u-2", 3))));
    assert!(!is_routed(&index));
    index.remove_pod(&own());
    index.put_pod(pod(pod_json("toko", "p-2", "u-2")));
    assert_eq!(runtime_of(&index).pod().unwrap().uid, "u-2");
}

#[test]
fn a_list_is_all_there_is_in_its_namespace() {
    let mut index = index();
    index.put_session(Ok(toko(1)));
    index.put_session(Ok(session(session_json("other", "away", "u-9", 1))));
    index.put_pod(own());
    index.all_sessions(Some("ns"), vec![Ok(session(session_json("ns", "new", "u-3", 4)))]);
    assert!(index.get(&id("toko")).is_none() && index.get(&id("new")).is_some());
    assert!(index.get(&id("away")).is_some(), "of another namespace");
    index.all_pods(Some("ns"), Vec::new());
    assert_eq!(index.live_pods("u-1").count(), 0);
    index.all_sessions(None, Vec::new());
    assert!(index.list().is_empty());
}

#[test]
fn a_name_in_two_namespaces_is_the_home_ones_and_told() {
    let mut index = index();
    index.put_session(Ok(session(session_json("a", "toko", "u-a", 1))));
    assert_eq!(index.get(&id("toko")).unwrap().uid, "u-a");
    index.put_session(Ok(toko(1)));
    assert_eq!(index.get(&id("toko")).unwrap().uid, "u-1");
    let [problem] = &index.problems()[..] else { panic!("one") };
    assert_eq!(problem.what, "whatsappsessions a/toko");
    assert!(problem.why.contains("namespace ns"), "{}", problem.why);
    index.remove_session(&Ok(toko(1)));
    assert_eq!(index.get(&id("toko")).unwrap().uid, "u-a");
    assert!(index.problems().is_empty());
}

#[test]
fn a_resource_that_cannot_be_read_is_told_and_harms_nobody() {
    let mut index = index();
    index.put_session(Ok(toko(1)));
    let bad = |name: &str| Err((("ns".to_owned(), name.to_owned()), "no field x".to_owned()));
    index.all_sessions(Some("ns"), vec![bad("toko"), bad("other")]);
    assert!(index.get(&id("toko")).is_some(), "what was known of it stays");
    assert_eq!(index.problems().len(), 2);
    index.put_session(Ok(toko(2)));
    index.remove_session(&bad("other"));
    assert!(index.problems().is_empty());
}

#[test]
fn of_sessions_of_one_name_the_one_at_home_has_the_id_else_the_oldest() {
    let mut index = index();
    let of = |namespace: &str, uid: &str, created: &str| {
        let mut json = session_json(namespace, "toko", uid, 1);
        json["metadata"]["creationTimestamp"] = json!(created);
        Ok(session(json))
    };
    let uid = |index: &Index| index.get(&id("toko")).unwrap().uid.clone();
    index.put_session(of("shops", "u-old", "2026-01-01T00:00:00Z"));
    index.put_session(of("aaa", "u-new", "2026-02-01T00:00:00Z"));
    assert_eq!(uid(&index), "u-old", "whatever its namespace is called");
    assert_eq!(index.problems().len(), 1);
    index.put_session(of("ns", "u-home", "2026-03-01T00:00:00Z"));
    assert_eq!(uid(&index), "u-home");
}
