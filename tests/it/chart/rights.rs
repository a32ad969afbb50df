//! Least privilege: while sessions live and die in every way, nobody is refused, and every right of the chart is used.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use system_tests::cluster::AuditEntry;
use system_tests::wait::{eventually, within};

use super::render;
use super::running::{Installed, LIMIT};

/// One right: an account, a verb on a resource, and the name that it is bound to ("": any).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Right {
    account: String,
    verb: String,
    resource: String,
    name: String,
}

/// Rights that no request of their own shows, or that need what cannot be had here.
const UNSEEN: &[(&str, &str, &str)] = &[
    // Asked for by the admission plugin OwnerReferencesPermissionEnforcement, which is off by default.
    ("warest-operator", "update", "warest.io/whatsappsessions/finalizers"),
    // Only when two gateways make a session of the same name at the same moment.
    ("warest-gateway", "get", "warest.io/whatsappsessions"),
];

fn texts<'v>(rule: &'v Value, field: &str) -> Vec<&'v str> {
    rule[field].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Every right that the chart gives, by the account that has it.
fn granted(namespace: &str) -> BTreeSet<Right> {
    let objects = render(namespace, &[]);
    let mut rights = BTreeSet::new();
    for binding in objects.iter().filter(|object| super::id(object).contains("RoleBinding/")) {
        let role = format!(
            "{}/{}",
            binding["roleRef"]["kind"].as_str().unwrap(),
            binding["roleRef"]["name"].as_str().unwrap()
        );
        for rule in super::object(&objects, &role)["rules"].as_array().unwrap() {
            let names = texts(rule, "resourceNames");
            let names = if names.is_empty() { vec![""] } else { names };
            for (resource, verb) in texts(rule, "resources")
                .iter()
                .flat_map(|r| texts(rule, "verbs").into_iter().map(move |v| (r, v)))
            {
                rights.extend(names.iter().map(|name| Right {
                    account: binding["subjects"][0]["name"].as_str().unwrap().to_owned(),
                    verb: verb.to_owned(),
                    resource: format!("{}/{resource}", texts(rule, "apiGroups")[0]),
                    name: (*name).to_owned(),
                }));
            }
        }
    }
    rights
}

/// Whether a request has needed a right. Server-side apply that makes an object (201) needs `create` too.
fn needs(entry: &AuditEntry, right: &Right) -> bool {
    let sub = if entry.subresource.is_empty() { String::new() } else { format!("/{}", entry.subresource) };
    let verb =
        entry.verb == right.verb || (entry.verb == "patch" && entry.code == 201 && right.verb == "create");
    verb && entry.user.ends_with(&format!(":{}", right.account))
        && format!("{}/{}{sub}", entry.group, entry.resource) == right.resource
        && (right.name.is_empty() || entry.name == right.name)
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_refused_and_no_right_is_idle() {
    let installed = Installed::start().await;
    administered(&installed).await;
    lived(&installed).await;
    troubled(&installed).await;
    explained(&installed).await;
    ended(&installed).await;

    let asked = installed.asked();
    let refused: Vec<_> = asked.iter().filter(|entry| entry.code == 403).collect();
    assert!(refused.is_empty(), "{refused:#?}");
    let unseen = |right: &Right| {
        UNSEEN.iter().any(|(account, verb, resource)| {
            right.account == *account && right.verb == *verb && right.resource == *resource
        })
    };
    let idle: Vec<_> = granted(&installed.namespace)
        .into_iter()
        .filter(|right| !unseen(right) && !asked.iter().any(|entry| needs(entry, right)))
        .collect();
    assert!(idle.is_empty(), "granted and never used: {idle:#?}");
}

/// An admin changes settings.
async fn administered(installed: &Installed) {
    let change = json!({"url": "https://shop.example/hook", "secret": "supersecret"});
    installed.call(Method::POST, "/api/admin/webhook-default", &change).await.ok();
    installed.call(Method::POST, "/api/admin/ratelimit", &json!({"max": 100, "windowMs": 60_000})).await.ok();
}

/// A session is made over REST, linked, its webhook's key rotated; it is restarted, wiped and deleted.
async fn lived(installed: &Installed) {
    let new =
        json!({"id": "rest", "webhookUrl": "https://shop.example/hook", "webhookSecret": "supersecret"});
    installed.call(Method::POST, "/api/sessions", &new).await.ok();
    installed.rig.phone().await.scan(&installed.qr("rest").await).await;
    status(installed, "rest", "open").await;
    rotated(installed).await;
    let other =
        json!({"id": "rest", "webhookUrl": "https://shop.example/hook", "webhookSecret": "a third key"});
    installed.call(Method::POST, "/api/sessions", &other).await.ok();
    installed.call(Method::POST, "/api/sessions/rest/restart", &Value::Null).await.ok();
    status(installed, "rest", "open").await;
    installed.call(Method::DELETE, "/api/sessions/rest?mode=creds", &Value::Null).await.ok();
    installed.call(Method::DELETE, "/api/sessions/rest?mode=all", &Value::Null).await.ok();
}

/// Another key of the webhook reaches the session's configuration.
async fn rotated(installed: &Installed) {
    let webhook = installed.kubectl(&["get", "secret", "rest-webhook", "-o", "json"]).await;
    let mut webhook: Value = serde_json::from_str(&webhook).unwrap();
    let keys: Vec<String> = webhook["data"].as_object().unwrap().keys().cloned().collect();
    webhook["stringData"] = keys.iter().map(|key| (key.clone(), json!("another"))).collect();
    let before = installed.kubectl(&["get", "secret", "rest-session", "-o", CONFIGURATION]).await;
    let apply = ["-n", &installed.namespace, "replace", "-f", "-"];
    installed.cluster.kubectl_in(&apply, &webhook.to_string()).await.ok();
    eventually("the new key", || async {
        (installed.kubectl(&["get", "secret", "rest-session", "-o", CONFIGURATION]).await != before)
            .then_some(())
    })
    .await;
}

const CONFIGURATION: &str = "jsonpath={.data.config\\.json}";

/// What is asked for cannot be had, or somebody touches what is the operator's.
async fn troubled(installed: &Installed) {
    for object in [
        session("lost", &json!({"storage": {"existingClaim": {"name": "nowhere"}}})),
        session("stuck", &json!({"storage": {"storageClassName": "nowhere"}})),
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "walled-session"},
            "spec": {"podSelector": {"matchLabels": {"a": "b"}}, "policyTypes": ["Ingress"]}}),
        session("walled", &json!({})),
        foreign_pod("taken"),
        session("taken", &json!({})),
    ] {
        let apply = ["-n", &installed.namespace, "apply", "-f", "-"];
        installed.cluster.kubectl_in(&apply, &object.to_string()).await.ok();
    }
    reason(installed, "lost", "ClaimNotFound").await;
    reason(installed, "taken", "PodNameConflict").await;
    for (kind, name) in [("pod", "toko"), ("networkpolicy", "toko-session")] {
        installed.kubectl(&["label", kind, name, "warest.io/session-"]).await;
        eventually(&format!("the label of the {kind} to be back"), || async {
            let path = "jsonpath={.metadata.labels.warest\\.io/session}";
            (installed.kubectl(&["get", kind, name, "-o", path]).await == "toko").then_some(())
        })
        .await;
    }
}

/// What has been in trouble for a minute is asked about.
async fn explained(installed: &Installed) {
    within(LIMIT, "the operator to ask why a volume does not come", || async {
        let asked = installed.asked();
        asked.iter().any(|entry| entry.verb == "list" && entry.resource == "events").then_some(())
    })
    .await;
}

fn session(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "warest.io/v1alpha1", "kind": "WhatsAppSession", "metadata": {"name": name}, "spec": spec})
}

/// A pod of somebody else's, as the Pod Security Standard wants it.
fn foreign_pod(name: &str) -> Value {
    let security = json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {
        "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "nodeSelector": {"nowhere": "true"},
        "containers": [{"name": "other", "image": "other", "securityContext": security}],
    }})
}

/// A session that is to be unlinked goes.
async fn ended(installed: &Installed) {
    let unlink = r#"{"spec":{"onDelete":"Unlink","retentionPolicy":"Delete"}}"#;
    installed.kubectl(&["patch", "whatsappsession", "toko", "--type=merge", "-p", unlink]).await;
    eventually("the finalizer", || async {
        let all = installed
            .kubectl(&["get", "whatsappsession", "toko", "-o", "jsonpath={.metadata.finalizers}"])
            .await;
        all.contains("warest.io/unlink").then_some(())
    })
    .await;
    installed.kubectl(&["delete", "whatsappsession", "--all", "--timeout=90s"]).await;
}

async fn status(installed: &Installed, id: &str, wanted: &str) {
    within(LIMIT, &format!("{id} to be {wanted}"), || async {
        let answer = installed.call(Method::GET, &format!("/api/sessions/{id}"), &Value::Null).await;
        (answer.body["status"] == wanted).then_some(())
    })
    .await;
}

async fn reason(installed: &Installed, id: &str, wanted: &str) {
    let path = r#"jsonpath={.status.conditions[?(@.type=="Ready")].reason}"#;
    eventually(&format!("{id} to say {wanted}"), || async {
        (installed.kubectl(&["get", "whatsappsession", id, "-o", path]).await == wanted).then_some(())
    })
    .await;
}
