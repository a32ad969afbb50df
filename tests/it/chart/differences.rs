//! An upgrade changes what it is meant to change, and nothing else: what two renderings differ in, as paths.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{id, render};

/// `Kind/name path` of every difference between two releases; an object that one of them has not is `Kind/name`.
fn differences(before: &[Value], after: &[Value]) -> BTreeSet<String> {
    let ids: BTreeSet<String> = before.iter().chain(after).map(id).collect();
    let find = |objects: &[Value], wanted: &str| objects.iter().find(|object| id(object) == wanted).cloned();
    let mut found = BTreeSet::new();
    for wanted in ids {
        match (find(before, &wanted), find(after, &wanted)) {
            (Some(one), Some(other)) => compare(&format!("{wanted} "), &one, &other, &mut found),
            _ => drop(found.insert(wanted)),
        }
    }
    found
}

fn compare(path: &str, one: &Value, other: &Value, found: &mut BTreeSet<String>) {
    match (one, other) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys()) {
                let (one, other) = (a.get(key).unwrap_or(&Value::Null), b.get(key).unwrap_or(&Value::Null));
                compare(&format!("{path}.{key}"), one, other, found);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (at, (one, other)) in a.iter().zip(b).enumerate() {
                compare(&format!("{path}[{at}]"), one, other, found);
            }
        }
        _ if one == other => {}
        _ => drop(found.insert(path.to_owned())),
    }
}

/// The release with the defaults, upgraded with one more value.
fn upgrade(set: &str) -> BTreeSet<String> {
    differences(&render("ns", &[]), &render("ns", &["--set", set]))
}

fn set_of(paths: &[&str]) -> BTreeSet<String> {
    paths.iter().map(|path| (*path).to_owned()).collect()
}

#[test]
fn an_upgrade_changes_only_what_it_is_meant_to() {
    let operator = "Deployment/warest-operator .spec.template.spec.containers[0]";
    let gateway = "Deployment/warest-gateway .spec.template.spec.containers[0]";
    for (set, expected) in [
        ("operator.enabled=true", vec![]),
        ("session.image.tag=v2", vec![format!("{operator}.args[11]")]),
        ("operator.image.tag=v2", vec![format!("{operator}.image")]),
        ("operator.log=debug", vec![format!("{operator}.env[2].value")]),
        ("gateway.sessionsMax=9", vec![format!("{gateway}.env[12].value")]),
        (
            "crds.keep=false",
            vec!["CustomResourceDefinition/whatsappsessions.warest.io .metadata.annotations".into()],
        ),
        (
            "networkPolicy.enabled=false",
            vec!["NetworkPolicy/warest-gateway".into(), "NetworkPolicy/warest-operator".into()],
        ),
        (
            "gateway.replicas=2",
            vec![
                "Deployment/warest-gateway .spec.replicas".into(),
                "PodDisruptionBudget/warest-gateway".into(),
            ],
        ),
        (
            "gateway.service.port=80",
            vec![
                "Pod/warest-test-gateway-ready .spec.containers[0].args[1]".into(),
                "Service/warest-gateway .spec.ports[0].port".into(),
            ],
        ),
    ] {
        assert_eq!(upgrade(set), expected.into_iter().collect(), "{set}");
    }
}

#[test]
fn namespaces_take_the_place_of_the_whole_cluster() {
    let before = render("ns", &[]);
    let after = render("ns", &["--set", "watchNamespaces={ns,other},rbac.nodes=false"]);
    let changed: BTreeSet<_> =
        differences(&before, &after).into_iter().filter(|one| !one.starts_with("Deployment")).collect();
    let expected = [
        "ClusterRole/ns-warest-operator",
        "ClusterRole/ns-warest-operator-nodes",
        "ClusterRoleBinding/ns-warest-operator",
        "ClusterRoleBinding/ns-warest-operator-nodes",
        "Role/warest-operator-sessions",
        "RoleBinding/warest-operator-sessions",
    ];
    assert_eq!(changed, set_of(&expected));
    let roles = after.iter().filter(|object| id(object) == "Role/warest-operator-sessions");
    assert_eq!(roles.count(), 2, "one in each namespace");
    assert!(
        !after.iter().any(|object| id(object).starts_with("ClusterRoleBinding/")),
        "no right in the whole cluster"
    );
}

#[test]
fn differences_are_found() {
    let before =
        vec![serde_json::json!({"kind": "A", "metadata": {"name": "a"}, "x": [1, {"y": 2}], "z": 1})];
    let after = vec![
        serde_json::json!({"kind": "A", "metadata": {"name": "a"}, "x": [1, {"y": 3}]}),
        serde_json::json!({"kind": "B", "metadata": {"name": "b"}}),
    ];
    assert_eq!(differences(&before, &after), set_of(&["A/a .x[1].y", "A/a .z", "B/b"]));
    assert_eq!(differences(&after, &after), set_of(&[]));
}
