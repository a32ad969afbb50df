//! A session's life over REST alone, with the operator, a node and a phone: made, paired, stopped, started, restarted, deleted.

use reqwest::Method;
use serde_json::{Value, json};
use system_tests::cluster::{Cluster, ClusterConfig};
use system_tests::stack::Stack;
use system_tests::wait::eventually;

use super::gateway::{ALICE, Gateway, KEYS, get, keys};

#[tokio::test(flavor = "multi_thread")]
async fn a_session_lives_over_rest() {
    // Over REST nobody says where a pod runs: on a cluster of its own there is one node.
    let mut stack = Stack::on_own_cluster(Cluster::start(ClusterConfig::default()).await).await;
    stack.start_operator(&[]).await;
    let (cluster, namespace) = (stack.cluster(), stack.namespace());
    keys(cluster, namespace, KEYS).await;
    let gateway = Gateway::start(cluster, namespace).await.ready().await;
    let alice =
        async |method: Method, path: &str, body: Value| gateway.call(ALICE, method, path, &body).await;
    alice(Method::POST, "/api/sessions", json!({"id": "toko"})).await.ok();
    let shown = gateway.session_is("toko", "qr").await;
    let phone = stack.rig().phone().await;
    phone.scan(shown["qr"].as_str().unwrap()).await;
    gateway.session_is("toko", "open").await;
    let friend = stack.rig().phone().await;
    let text = json!({"sessionId": "toko", "to": friend.number, "text": "from the cluster"});
    let sent = alice(Method::POST, "/api/messages/text", text.clone()).await.ok();
    assert_eq!(sent["status"], "sent");
    friend.receives("from the cluster").await;

    let stopped = alice(Method::POST, "/api/sessions/toko/stop", Value::Null).await.ok();
    assert_eq!(stopped["status"], "suspended");
    assert!(stack.pod("toko").await.is_none(), "it answers when the pod has ended");
    alice(Method::POST, "/api/messages/text", text.clone()).await.error(409, "session_not_open");
    alice(Method::POST, "/api/sessions/toko/start", Value::Null).await.ok();
    gateway.session_is("toko", "open").await;
    let before = stack.pod_uid("toko").await;
    alice(Method::POST, "/api/sessions/toko/restart", Value::Null).await.ok();
    gateway.session_is("toko", "open").await;
    assert_ne!(stack.pod_uid("toko").await, before);

    let deleted = alice(Method::DELETE, "/api/sessions/toko", Value::Null).await.ok();
    assert_eq!(deleted["steps"]["resourceRemoved"], true);
    assert!(stack.pod("toko").await.is_none());
    let claim = stack.claim("toko").await.expect("the volume is kept");
    gateway
        .call("bob-key", Method::POST, "/api/sessions", &json!({"id": "toko"}))
        .await
        .error(409, "session_id_taken");
    alice(Method::POST, "/api/sessions", json!({"id": "toko"})).await.ok();
    gateway.session_is("toko", "open").await;
    assert_eq!(
        stack.claim("toko").await.unwrap().metadata.uid,
        claim.metadata.uid,
        "resumed without a new QR code"
    );

    let gone = alice(Method::DELETE, "/api/sessions/toko?mode=all", Value::Null).await.ok();
    assert_eq!(gone["steps"]["loggedOut"], true, "{gone}");
    eventually("the volume to go", || async { stack.claim("toko").await.is_none().then_some(()) }).await;
    let left = get(cluster, namespace, "whatsappsessions").await;
    assert_eq!(left["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_wiped_and_the_session_stays() {
    let stack = Stack::start().await;
    let (cluster, namespace) = (stack.cluster(), stack.namespace());
    keys(cluster, namespace, KEYS).await;
    let gateway = Gateway::start(cluster, namespace).await.ready().await;
    let phone = stack.paired("toko", json!({})).await;
    gateway.session_is("toko", "open").await;
    let before = stack.claim("toko").await.unwrap().metadata.uid;
    let wiped =
        gateway.call(super::ADMIN, Method::DELETE, "/api/sessions/toko?mode=creds", &Value::Null).await.ok();
    assert_eq!(
        wiped["steps"],
        json!({"loggedOut": true, "credentialsRemoved": true, "resourceRemoved": false})
    );
    assert_eq!(gateway.get("/api/sessions/toko").await.ok()["status"], "suspended");
    gateway.post("/api/sessions/toko/start", &Value::Null).await.ok();
    let shown = gateway.session_is("toko", "qr").await;
    assert_ne!(stack.claim("toko").await.unwrap().metadata.uid, before, "another volume");
    phone.scan(shown["qr"].as_str().unwrap()).await;
    gateway.session_is("toko", "open").await;
}
