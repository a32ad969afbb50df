//! Where requests go: to the session that is meant and to nobody else, whatever the API server or the pods do.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use system_tests::cluster::Link;
use system_tests::http;
use system_tests::wait::{eventually, within};

use super::gateway::{Gateway, apply};
use super::pods::{address, made, object, program, token};
use super::{prepared, session};

#[tokio::test(flavor = "multi_thread")]
async fn the_last_known_routes_are_served_while_the_api_server_is_away() {
    let stack = prepared().await;
    let (cluster, namespace) = (stack.cluster(), stack.namespace());
    let uid = made(&stack, "toko").await;
    let program = program(&stack, "toko", &uid).await;
    let relay = cluster.relay().await;
    let gateway = Gateway::behind(cluster, &relay, namespace).await.ready().await;
    object(&stack, "toko", ("toko", &uid), &address(&program)).await;
    let begun = Instant::now();
    gateway.session_is("toko", "qr").await;
    assert!(begun.elapsed() < Duration::from_secs(2), "routed soon: {:?}", begun.elapsed());

    relay.set(Link::Cut);
    let health =
        || async { http::json(Method::GET, &format!("{}/health", gateway.url()), &Value::Null).await.ok() };
    eventually("the gateway to notice", || async {
        (health().await["knowledge"]["state"] == "stale").then_some(())
    })
    .await;
    let stale = health().await;
    assert_eq!(stale["status"], "degraded");
    assert!(stale["knowledge"]["why"].as_str().unwrap().contains("API server does not answer"), "{stale}");
    assert!(stale["knowledge"]["since"].as_u64().unwrap() > 0);
    gateway.get("/health/ready").await.ok();
    assert!(gateway.get("/api/sessions/toko").await.ok()["qr"].is_string(), "the pod is asked");
    let refused = gateway.post("/api/sessions", &json!({"id": "new"})).await;
    assert!(refused.body["retryAfterMs"].as_u64().is_some_and(|ms| ms > 0), "{}", refused.body);
    refused.error(503, "cluster_unavailable");

    apply(cluster, namespace, &session("meanwhile")).await;
    relay.set(Link::Up);
    within(Duration::from_secs(20), "the gateway to catch up", || async {
        let current = health().await["knowledge"]["state"] == "current";
        (current && gateway.ids(super::ADMIN).await == ["meanwhile", "toko"]).then_some(())
    })
    .await;
    assert!(gateway.get("/api/sessions/toko").await.ok()["qr"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_api_server_it_starts_and_is_ready_once_there_is_one() {
    let stack = prepared().await;
    let (cluster, namespace) = (stack.cluster(), stack.namespace());
    apply(cluster, namespace, &session("toko")).await;
    let relay = cluster.relay().await;
    relay.set(Link::Cut);
    let gateway = Gateway::behind(cluster, &relay, namespace).await;
    eventually("the gateway to say what it lacks", || async {
        let why = gateway.get("/health/ready").await.error(503, "not_ready");
        why.contains("API server does not answer").then_some(())
    })
    .await;
    gateway.get("/api/sessions").await.error(503, "not_ready");
    relay.set(Link::Up);
    let gateway = gateway.ready().await;
    assert_eq!(gateway.ids(super::ADMIN).await, ["toko"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_another_session_took_over_is_not_believed() {
    let stack = prepared().await;
    let (cluster, namespace) = (stack.cluster(), stack.namespace());
    let (mine, other) = (made(&stack, "mine").await, made(&stack, "other").await);
    let program = program(&stack, "other", &other).await;
    let gateway = Gateway::start(cluster, namespace).await.ready().await;
    object(&stack, "other", ("other", &other), &address(&program)).await;
    gateway.session_is("other", "qr").await;
    object(&stack, "mine", ("mine", &mine), &address(&program)).await;
    let text = json!({"sessionId": "mine", "to": "628123456789", "text": "for nobody else"});
    eventually("the request to be refused", || async {
        let answer = gateway.post("/api/messages/text", &text).await;
        (answer.status == 503).then(|| answer.error(503, "session_unavailable"))
    })
    .await;
    assert_eq!(gateway.get("/api/sessions/mine").await.ok()["status"], "starting");
    assert_eq!(
        gateway.get("/api/sessions/mine").await.ok()["qr"],
        Value::Null,
        "not the other one's QR code"
    );
    let url = format!("{}{}", program.url(), session_api::routes::STATUS);
    let status = http::send(http::client().get(url).bearer_auth(token(&stack, &other).await)).await.ok();
    assert_eq!(status["outboxDepth"], 0, "nothing was taken by the other one");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_pods_none_is_asked() {
    let stack = prepared().await;
    let (cluster, namespace) = (stack.cluster(), stack.namespace());
    let uid = made(&stack, "toko").await;
    let program = program(&stack, "toko", &uid).await;
    let gateway = Gateway::start(cluster, namespace).await.ready().await;
    object(&stack, "toko", ("toko", &uid), &address(&program)).await;
    gateway.session_is("toko", "qr").await;
    object(&stack, "toko-by-hand", ("toko", &uid), &address(&program)).await;
    let failed = gateway.session_is("toko", "failed").await;
    assert_eq!(failed["lastError"]["code"], "multiple_pods");
    let text = json!({"sessionId": "toko", "to": "628123456789", "text": "x"});
    gateway.post("/api/messages/text", &text).await.error(409, "session_not_open");
    cluster.kubectl(&["-n", namespace, "delete", "pod/toko-by-hand", "--wait=false"]).await.ok();
    gateway.session_is("toko", "qr").await;
}
