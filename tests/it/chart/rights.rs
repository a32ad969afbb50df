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
    installed
        .call(Method::POST, "/api/admin/rate-limit", &json!({"max": 100, "windowMs": 60_000}))
        .await
        .ok();
}

/// A session is made over REST, linked, restarted, wiped and deleted.
async fn lived(installed: &Installed) {
    let new =
        json!({"id": "rest", "webhookUrl": "https://shop.example/hook", "webhookSecret": "supersecret"});
    installed.call(Method::POST, "/api/sessions", &new).await.ok();
    installed.rig.phone().await.scan(&installed.qr("rest").await).await;
    status(installed, "rest", "open").await;
    installed.call(Method::POST, "/api/sessions/rest/restart", &Value::Null).await.ok();
    status(installed, "rest", "open").await;
    installed.call(Method::DELETE, "/api/sessions/rest?mode=creds", &Value::Null).await.ok();
    installed.call(Method::DELETE, "/api/sessions/rest?mode=all", &Value::Null).await.ok();
}

/// What is asked for cannot be had, or somebody touches what is the operator's.
async fn troubled(installed: &Installed) {
    let missing = "{apiVersion: warest.io/v1alpha1, kind: WhatsAppSession, metadata: {name: lost}, spec: {storage: {existingClaim: {name: nowhere}}}}";
    let apply = ["-n", &installed.namespace, "apply", "-f", "-"];
    installed.cluster.kubectl_in(&apply, missing).await.ok();
    reason(installed, "lost", "ClaimNotFound").await;
    installed.kubectl(&["label", "pod", "toko", "warest.io/session-", "--overwrite"]).await;
    eventually("the label to be back", || async {
        let label = installed
            .kubectl(&["get", "pod", "toko", "-o", "jsonpath={.metadata.labels.warest\\.io/session}"])
            .await;
        (label == "toko").then_some(())
    })
    .await;
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
    installed.kubectl(&["delete", "whatsappsession", "toko", "lost", "--timeout=90s"]).await;
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
