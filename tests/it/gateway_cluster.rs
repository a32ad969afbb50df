//! The gateway on a real API server, with the chart's own rights: what it makes, sees and keeps. No operator runs here: pods
//! are objects that the tests write, behind which real session programs answer.

mod api_server;
mod first_key;
mod gateway;
mod life;
mod places;
mod pods;
mod revoked;
mod routes;

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use system_tests::cluster::{Cluster, ClusterConfig};
use system_tests::stack::Stack;
use system_tests::wait::{eventually, within};
use system_tests::{crd, http};

use self::gateway::{ADMIN, ALICE, Gateway, KEYS, KEYS_SECRET, apply, cluster_key, get, keys};

/// How soon a change must be seen by every gateway.
const SOON: Duration = Duration::from_secs(2);

/// A namespace with roles, keys and a cluster key.
async fn prepared() -> Stack {
    let stack = Stack::without_operator().await;
    keys(stack.cluster(), stack.namespace(), KEYS).await;
    cluster_key(stack.cluster(), stack.namespace()).await;
    stack
}

fn session(name: &str) -> Value {
    json!({"apiVersion": "warest.io/v1alpha1", "kind": "WhatsAppSession", "metadata": {"name": name}, "spec": {}})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_made_over_rest_or_by_kubectl() {
    let stack = prepared().await;
    let (cluster, namespace) = (stack.cluster(), stack.namespace());
    let gateway = Gateway::start(cluster, namespace).await.ready().await;
    let wanted = json!({"id": "toko", "label": "Toko", "webhookUrl": "https://x.example/y", "webhookSecret": "s3cret"});
    let made = gateway.call(ALICE, Method::POST, "/api/sessions", &wanted).await.ok();
    assert_eq!((&made["id"], &made["status"]), (&json!("toko"), &json!("starting")));

    let resource = get(cluster, namespace, "whatsappsession/toko").await;
    assert_eq!(resource["metadata"]["annotations"]["warest.io/owner"], "alice");
    assert_eq!(resource["spec"]["displayName"], "Toko");
    assert_eq!(resource["spec"]["webhooks"][0]["url"], "https://x.example/y");
    assert!(!resource.to_string().contains("s3cret"), "the key is in a Secret: {resource}");
    let secret = get(cluster, namespace, "secret/toko-webhook").await;
    assert_eq!(secret["metadata"]["ownerReferences"][0]["uid"], resource["metadata"]["uid"]);
    let again = gateway
        .call(ALICE, Method::POST, "/api/sessions", &json!({"id": "toko", "label": "Shop"}))
        .await
        .ok();
    assert_eq!(again["id"], "toko");
    let changed = get(cluster, namespace, "whatsappsession/toko").await;
    assert_eq!(
        (&changed["spec"]["displayName"], &changed["spec"]["webhooks"]),
        (&json!("Shop"), &resource["spec"]["webhooks"])
    );

    apply(cluster, namespace, &session("by-hand")).await;
    eventually("the session of kubectl", || async {
        (gateway.ids(ADMIN).await == ["by-hand", "toko"]).then_some(())
    })
    .await;
    assert_eq!((gateway.ids(ALICE).await, gateway.ids("bob-key").await), (vec!["toko".to_owned()], vec![]));
    gateway
        .call("bob-key", Method::POST, "/api/sessions", &json!({"id": "toko"}))
        .await
        .error(409, "session_id_taken");
    gateway
        .call(ALICE, Method::DELETE, "/api/sessions/by-hand", &Value::Null)
        .await
        .error(404, "session_not_found");
    cluster.kubectl(&["-n", namespace, "label", "whatsappsession/by-hand", "team=sales"]).await.ok();
    eventually("the labelled session", || async {
        (gateway.ids("bob-key").await == ["by-hand"]).then_some(())
    })
    .await;

    let deleted = gateway.call(ALICE, Method::DELETE, "/api/sessions/toko", &Value::Null).await.ok();
    assert_eq!(deleted["steps"]["resourceRemoved"], true);
    assert_eq!(gateway.ids(ADMIN).await, ["by-hand"]);
    cluster.kubectl(&["-n", namespace, "delete", "whatsappsession/by-hand"]).await.ok();
    eventually("nothing", || async { gateway.ids(ADMIN).await.is_empty().then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_of_the_cluster_are_told_and_change_nothing() {
    let stack = prepared().await;
    let (cluster, namespace) = (stack.cluster(), stack.namespace());
    let gateway = Gateway::start(cluster, namespace).await.ready().await;
    let long = json!({"id": "toko", "label": "x".repeat(150)});
    let told = gateway.post("/api/sessions", &long).await.error(400, "invalid_body");
    assert!(told.contains("label") && told.contains("100"), "{told}");
    // A URL, but only the API server knows that it must be written in lower case.
    let rule = json!({"id": "toko", "webhookUrl": "HTTPS://x.example/secret-path"});
    let told = gateway.post("/api/sessions", &rule).await;
    assert_eq!((told.status, &told.body["field"]), (400, &json!("webhookUrl")), "{}", told.body);
    let told = told.error(400, "invalid_body");
    assert!(told.contains("should match") && !told.contains("secret-path"), "{told}");
    assert!(gateway.ids(ADMIN).await.is_empty());
    let claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": "kept-session", "annotations": {"warest.io/owner": "alice"}},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    });
    apply(cluster, namespace, &claim).await;
    let kept = json!({"id": "kept"});
    gateway.call("bob-key", Method::POST, "/api/sessions", &kept).await.error(409, "session_id_taken");
    gateway.post("/api/sessions", &kept).await.ok();
    let resource = get(cluster, namespace, "whatsappsession/kept").await;
    assert_eq!(resource["metadata"]["annotations"]["warest.io/owner"], "alice", "it stays its owner's");
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"},
        "spec": {"hard": {"count/whatsappsessions.warest.io": "1"}},
    });
    apply(cluster, namespace, &quota).await;
    let full = || async {
        let answer = gateway.post("/api/sessions", &json!({"id": "more"})).await;
        (answer.status != 200).then(|| answer.error(409, "refused_by_cluster"))
    };
    let told = eventually("the quota to be enforced", full).await;
    assert!(told.contains("exceeded quota"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhooks_key_goes_into_the_sessions_own_secret_and_no_other() {
    let stack = prepared().await;
    let (cluster, namespace) = (stack.cluster(), stack.namespace());
    let gateway = Gateway::start(cluster, namespace).await.ready().await;
    let hook =
        |id: &str, key: &str| json!({"id": id, "webhookUrl": "https://x.example/y", "webhookSecret": key});
    gateway.post("/api/sessions", &hook("toko", "one")).await.ok();
    let first = get(cluster, namespace, "secret/toko-webhook").await;
    gateway.post("/api/sessions", &hook("toko", "two")).await.ok();
    let second = get(cluster, namespace, "secret/toko-webhook").await;
    assert_eq!(first["metadata"]["uid"], second["metadata"]["uid"]);
    assert_eq!((&first["data"]["secret"], &second["data"]["secret"]), (&json!("b25l"), &json!("dHdv")));

    let foreign = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "kedai-webhook"}, "stringData": {"mine": "x"}});
    apply(cluster, namespace, &foreign).await;
    let before = get(cluster, namespace, "secret/kedai-webhook").await;
    let told = gateway.post("/api/sessions", &hook("kedai", "one")).await.error(409, "refused_by_cluster");
    assert!(told.contains("kedai-webhook") && told.contains("not this session's"), "{told}");
    assert_eq!(get(cluster, namespace, "secret/kedai-webhook").await, before);
    cluster.kubectl(&["-n", namespace, "delete", "secret/kedai-webhook"]).await.ok();
    gateway.post("/api/sessions", &hook("kedai", "one")).await.ok();
    let made = get(cluster, namespace, "secret/kedai-webhook").await;
    let owner = get(cluster, namespace, "whatsappsession/kedai").await;
    assert_eq!(made["metadata"]["ownerReferences"][0]["uid"], owner["metadata"]["uid"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_replaced_while_it_runs() {
    let stack = Stack::without_operator().await;
    let (cluster, namespace) = (stack.cluster(), stack.namespace());
    cluster_key(cluster, namespace).await;
    let gateway = Gateway::start(cluster, namespace).await;
    let why = gateway.get("/health/ready").await.error(503, "not_ready");
    let missing = eventually("the missing Secret to be named", || async {
        let answer = gateway.get("/health/ready").await;
        answer.body["error"].as_str().filter(|why| why.contains("is not there")).map(str::to_owned)
    });
    assert!(!why.is_empty() && missing.await.contains(namespace));
    keys(cluster, namespace, KEYS).await;
    let gateway = gateway.ready().await;
    gateway.ids(ALICE).await;

    let rotated = KEYS.replace("alice-key", "new-key");
    keys(cluster, namespace, &rotated).await;
    let begun = Instant::now();
    within(SOON, "the new key", || async {
        let old = gateway.call(ALICE, Method::GET, "/api/sessions", &Value::Null).await.status;
        let new = gateway.call("new-key", Method::GET, "/api/sessions", &Value::Null).await.status;
        ((old, new) == (401, 200)).then_some(())
    })
    .await;
    assert!(begun.elapsed() < SOON);

    keys(cluster, namespace, "- {name: root, role: admin}").await;
    let why = eventually("the broken Secret to be told", || async {
        let health = http::json(Method::GET, &format!("{}/health", gateway.url()), &Value::Null).await.ok();
        (health["knowledge"]["state"] == "stale")
            .then(|| health["knowledge"]["why"].as_str().unwrap().to_owned())
    })
    .await;
    assert!(why.contains("key 1 of the list (root): either sha256 or key is needed"), "{why}");
    gateway.get("/health/ready").await.ok();
    assert!(gateway.ids("new-key").await.is_empty(), "the last good keys hold");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setting_is_the_same_on_every_gateway() {
    let stack = prepared().await;
    let (cluster, namespace) = (stack.cluster(), stack.namespace());
    let (one, two) = (Gateway::start(cluster, namespace).await, Gateway::start(cluster, namespace).await);
    let (one, two) = (one.ready().await, two.ready().await);
    one.call(ALICE, Method::GET, "/api/admin/config", &Value::Null).await.error(403, "forbidden");
    one.post("/api/admin/ratelimit", &json!({"windowMs": 5000, "max": 7})).await.ok();
    let hook = json!({"url": "https://x.example/default", "secret": "s3cret"});
    let changed = one.post("/api/admin/webhook-default", &hook).await.ok();
    assert!(!changed.to_string().contains("s3cret"), "{changed}");
    within(SOON, "the other gateway", || async {
        (two.get("/api/admin/config").await.ok() == changed).then_some(())
    })
    .await;
    assert_eq!(changed["rateLimit"]["max"], 7);
    let name = "configmap/warest-settings";
    assert!(!get(cluster, namespace, name).await.to_string().contains("s3cret"), "it is in the Secret");
    let patch = r#"{"data":{"rateLimitMax":"9"}}"#;
    cluster.kubectl(&["-n", namespace, "patch", name, "--type=merge", "-p", patch]).await.ok();
    for gateway in [&one, &two] {
        within(SOON, "kubectl's change", || async {
            (gateway.get("/api/admin/config").await.ok()["rateLimit"]["max"] == 9).then_some(())
        })
        .await;
    }
    one.post("/api/admin/ratelimit", &json!({"max": 0})).await.error(400, "invalid_body");

    let patch = r#"{"immutable":true}"#;
    cluster.kubectl(&["-n", namespace, "patch", name, "--type=merge", "-p", patch]).await.ok();
    let other = json!({"url": "https://x.example/other", "secret": "another"});
    let told = one.post("/api/admin/webhook-default", &other).await.error(409, "refused_by_cluster");
    assert!(told.contains("the key of the webhook was stored") && !told.contains("another"), "{told}");
    let kept = one.get("/api/admin/config").await.ok();
    assert_eq!(kept["webhookDefault"]["url"], "https://x.example/default");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_definition_it_says_so_and_recovers() {
    let cluster = Cluster::start(ClusterConfig::default()).await;
    let namespace = cluster.namespace("bare").await;
    keys(&cluster, &namespace, KEYS).await;
    cluster_key(&cluster, &namespace).await;
    let gateway = Gateway::with(&namespace, &cluster.kubeconfig(), &KEYS_SECRET).await;
    let why = eventually("the missing definition to be told", || async {
        let answer = gateway.get("/health/ready").await;
        answer.body["error"].as_str().filter(|why| why.contains("apply the CRDs")).map(str::to_owned)
    })
    .await;
    assert!(why.contains("kubectl apply"), "{why}");
    crd::install(&cluster).await;
    let known = within(Duration::from_secs(10), "the sessions to be listed", || async {
        let metrics =
            http::client().get(format!("{}/metrics", gateway.url())).send().await.ok()?.text().await.ok()?;
        metrics.contains("watch_up{watch=\"sessions\"} 1").then_some(())
    });
    known.await;
}
