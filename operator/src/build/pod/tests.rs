//! The pod as JSON, and what moves its hash.

use k8s_openapi::api::core::v1::PodStatus;
use serde_json::{Value, json};

use super::*;
use crate::build::claim;
use crate::build::tests::{settings, valid};
use crate::observe::PodSeen;

fn pod(spec: &str, flags: &[&str]) -> (Value, String) {
    let flags = settings(flags).session;
    let (pod, hash) = build(&valid(spec), &flags, &revision(&flags));
    (serde_json::to_value(with_writer_epoch(pod, Some(3))).unwrap(), hash)
}

fn env(pod: &Value, name: &str) -> Option<Value> {
    let all = pod["spec"]["containers"][0]["env"].as_array().unwrap();
    all.iter().find(|env| env["name"] == name).map(|env| env["value"].clone())
}

#[test]
fn a_pod_is_restricted_and_has_what_the_program_needs() {
    let (pod, hash) = pod(
        "{}",
        &["--whatsapp-url", "wss://sim/ws/chat", "--extra-ca-configmap", "ca", "--session-env", "A=b"],
    );
    let spec = &pod["spec"];
    let container = &spec["containers"][0];
    assert_eq!(pod["metadata"]["name"], "toko");
    assert_eq!(pod["metadata"]["annotations"][names::TEMPLATE_HASH], Value::String(hash));
    assert_eq!(container["image"], "warest/session-pod:1");
    assert_eq!(spec["automountServiceAccountToken"], false);
    assert_eq!(spec["securityContext"]["runAsNonRoot"], true);
    assert_eq!(spec["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    assert_eq!(container["securityContext"]["capabilities"]["drop"], json!(["ALL"]));
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    for (name, value) in [
        ("WAREST_SESSION_ID", "toko"),
        ("WAREST_SESSION_UID", "u-1"),
        ("WAREST_LISTEN", "$(POD_IP):8080"),
        ("WAREST_WHATSAPP_URL", "wss://sim/ws/chat"),
        ("WAREST_EXTRA_CA", "/etc/warest-ca/ca.crt"),
        ("WAREST_MIN_WRITER_EPOCH", "3"),
        ("A", "b"),
    ] {
        assert_eq!(env(&pod, name), Some(json!(value)), "{name}");
    }
    assert_eq!(container["resources"]["limits"], json!({"memory": "128Mi"}));
}

#[test]
fn what_a_session_asks_for_is_in_its_pod() {
    let (pod, _) = pod(
        r#"{"image":"own:2","imagePullPolicy":"Never","imagePullSecrets":["b"],
            "resources":{"requests":{"memory":"256Mi"}},
            "scheduling":{"nodeSelector":{"zone":"a"},"tolerations":[{"key":"k","operator":"Exists","effect":"NoExecute"}]},
            "podMetadata":{"labels":{"team":"x","warest.io/session":"another"},"annotations":{"warest.io/restartedAt":"1","warest.io/template-hash":"x"}},
            "storage":{"existingClaim":{"name":"mine","subPath":"a/"}}}"#,
        &["--session-image-pull-secrets", "a"],
    );
    let spec = &pod["spec"];
    assert_eq!(spec["containers"][0]["image"], "own:2");
    assert_eq!(spec["containers"][0]["imagePullPolicy"], "Never");
    assert_eq!(spec["imagePullSecrets"], json!([{"name": "a"}, {"name": "b"}]));
    assert_eq!(spec["containers"][0]["resources"]["limits"]["memory"], "256Mi");
    assert_eq!(spec["tolerations"], json!([{"key": "k", "operator": "Exists", "effect": "NoExecute"}]));
    assert_eq!(pod["metadata"]["labels"]["team"], "x");
    assert_eq!(pod["metadata"]["labels"]["warest.io/session"], "toko");
    assert_eq!(pod["metadata"]["annotations"]["warest.io/restartedAt"], "1");
    assert_ne!(pod["metadata"]["annotations"]["warest.io/template-hash"], "x");
    assert_eq!(spec["volumes"][0]["persistentVolumeClaim"]["claimName"], "mine");
    assert_eq!(spec["containers"][0]["volumeMounts"][0]["subPath"], "a");
}

#[test]
fn only_what_needs_a_new_pod_moves_the_hash() {
    let hash = |spec: &str, flags: &[&str]| pod(spec, flags).1;
    let least = hash("{}", &[]);
    for same in [
        r#"{"policy":{"paceMs":9}}"#,
        r#"{"webhooks":[{"url":"https://x"}]}"#,
        r#"{"displayName":"x"}"#,
        r#"{"operatingMode":"Suspended"}"#,
        r#"{"retentionPolicy":"Delete"}"#,
        r#"{"storage":{"size":"5Gi"}}"#,
        r#"{"volumeResetToken":"t"}"#,
    ] {
        assert_eq!(hash(same, &[]), least, "{same}");
    }
    for other in [
        r#"{"image":"x"}"#,
        r#"{"resources":{"limits":{"cpu":"1"}}}"#,
        r#"{"podMetadata":{"annotations":{"warest.io/restartedAt":"2"}}}"#,
        r#"{"terminationGracePeriodSeconds":60}"#,
    ] {
        assert_ne!(hash(other, &[]), least, "{other}");
    }
    assert_ne!(hash("{}", &["--session-log", "debug"]), least);
    let revision = |flags: &[&str]| super::revision(&settings(flags).session);
    assert_ne!(revision(&[]), revision(&["--session-log", "debug"]));
    assert_eq!(revision(&[]), revision(&["--concurrency", "3"]));
}

#[test]
fn the_place_that_a_pod_writes_to_is_the_one_that_its_session_asks_for() {
    for spec in ["{}", r#"{"storage":{"existingClaim":{"name":"mine","subPath":"a//b/"}}}"#] {
        let (valid, flags) = (valid(spec), settings(&[]).session);
        let (mut pod, _) = build(&valid, &flags, &revision(&flags));
        let place = claim::place("toko", &valid.spec);
        let holds = |pod: &Pod| PodSeen::of(pod).holds(&place);
        assert!(holds(&pod), "{spec}");
        pod.status = Some(PodStatus { phase: Some("Failed".to_owned()), ..PodStatus::default() });
        assert!(!holds(&pod), "{spec}: it has ended");
    }
}
