//! What an API server may do to a gateway that watches it: fall silent, forget, lag behind, refuse. Routes that are known are
//! served all the while, nobody is taken for somebody else, and what happened meanwhile is known soon after.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use session_api::routes;
use system_tests::api_proxy::{ApiProxy, Fault, Rule};
use system_tests::http;
use system_tests::stack::Stack;
use system_tests::wait::{eventually, within};
use tempfile::TempDir;

use super::gateway::{ADMIN, ALICE, Gateway, KEYS_SECRET, apply, get};
use super::pods::{address, made, object, program, program_at, running, token};
use super::prepared;

/// A watch lasts 2 s, and one that is silent for 7 s is dead.
const SHORT: (&str, &str) = ("WAREST_WATCH_TIMEOUT_SECONDS", "2");
/// How soon a gateway with such watches must know what it missed.
const CAUGHT_UP: Duration = Duration::from_secs(20);

/// A gateway that asks the API server through the proxy.
async fn behind(stack: &Stack, proxy: &ApiProxy) -> Gateway {
    let folder = TempDir::new().unwrap();
    let token = stack.cluster().service_account_token(stack.namespace(), "warest-gateway").await;
    let kubeconfig = proxy.kubeconfig(folder.path(), &token, stack.namespace());
    Gateway::with(stack.namespace(), &kubeconfig, &[KEYS_SECRET[0], SHORT]).await
}

/// A session's pod answers, and the gateway takes requests.
async fn serves(gateway: &Gateway, name: &str) {
    gateway.get("/health/ready").await.ok();
    assert!(gateway.get(&format!("/api/sessions/{name}/qr?wait=10")).await.ok()["qr"].is_string());
}

async fn knowledge(gateway: &Gateway) -> Value {
    gateway.get("/health").await.ok()["knowledge"].take()
}

/// Waits until these are all sessions, and what the gateway knows is current.
async fn knows(gateway: &Gateway, ids: &[&str]) {
    within(CAUGHT_UP, &format!("the sessions {ids:?}"), || async {
        let current = knowledge(gateway).await["state"] == "current";
        (current && gateway.ids(ADMIN).await == ids).then_some(())
    })
    .await;
}

/// A text to a session is not delivered to anybody.
async fn unavailable(gateway: &Gateway, name: &str) {
    let text = json!({"sessionId": name, "to": "628123456789", "text": "for nobody else"});
    eventually("the text to be refused", || async {
        let answer = gateway.post("/api/messages/text", &text).await;
        (answer.status == 503).then(|| answer.error(503, "session_unavailable"))
    })
    .await;
}

/// `kubectl delete`.
async fn deleted(stack: &Stack, objects: &[&str]) {
    stack.cluster().kubectl(&[&["-n", stack.namespace(), "delete"], objects].concat()).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn watches_that_fall_silent_are_begun_anew() {
    let stack = prepared().await;
    let proxy = stack.proxy().await;
    let gateway = behind(&stack, &proxy).await.ready().await;
    let (_stays, _) = running(&stack, "stays").await;
    let (loses, _) = running(&stack, "loses").await;
    gateway.session_is("stays", "qr").await;
    gateway.session_is("loses", "qr").await;

    // For good: what happens from here on is never told by these watches, and they never end.
    proxy.strand_watches();
    drop(loses);
    deleted(&stack, &["pod/loses"]).await;
    let (_comes, _) = running(&stack, "comes").await;
    serves(&gateway, "stays").await;
    unavailable(&gateway, "loses").await;
    knows(&gateway, &["comes", "loses", "stays"]).await;
    gateway.session_is("comes", "qr").await;
    gateway.session_is("loses", "starting").await;
    serves(&gateway, "stays").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_api_server_has_forgotten_is_read_anew() {
    let stack = prepared().await;
    let proxy = stack.proxy().await;
    let gone = |path: &str, count| Rule::next(Method::GET, path, count, Fault::Refuse(StatusCode::GONE));
    proxy.add(gone("/whatsappsessions?", 1));
    proxy.add(gone("/pods?", 1));
    let mut gateway = behind(&stack, &proxy).await.ready().await;
    assert_eq!(proxy.pending(), 0, "lists that break off");
    let (_stays, _) = running(&stack, "stays").await;
    gateway.session_is("stays", "qr").await;

    // So many watches there are, and each of them is taken up again where it ended.
    proxy.add(gone("watch=true", 6));
    let (_comes, _) = running(&stack, "comes").await;
    eventually("all of them to be told so", || async {
        serves(&gateway, "stays").await;
        (proxy.pending() == 0).then_some(())
    })
    .await;
    knows(&gateway, &["comes", "stays"]).await;
    gateway.session_is("comes", "qr").await;
    let log = gateway.process().output();
    assert!(log.contains("does not remember what a watch has seen last"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_harmed_by_what_is_past() {
    let stack = prepared().await;
    let proxy = stack.proxy().await;
    let (mut moves, uid) = running(&stack, "moves").await;
    let (ends, _) = running(&stack, "ends").await;
    let first = made(&stack, "again").await;
    // This one lists what will be the past.
    drop(behind(&stack, &proxy).await.ready().await);

    let old = address(&moves);
    moves.process().kill().await;
    drop(ends);
    deleted(&stack, &["pod/moves", "pod/ends", "whatsappsession/ends", "whatsappsession/again"]).await;
    let second = made(&stack, "again").await;
    assert_ne!(first, second);
    let elsewhere = program(&stack, "moves", &uid).await;
    object(&stack, "moves", ("moves", &uid), &address(&elsewhere)).await;
    let other_uid = made(&stack, "other").await;
    let other = program_at(&stack, "other", &other_uid, &old).await;
    object(&stack, "other", ("other", &other_uid), &old).await;

    proxy.lag("/");
    let gateway = behind(&stack, &proxy).await.ready().await;
    assert_eq!(gateway.ids(ADMIN).await, ["again", "ends", "moves"]);
    unavailable(&gateway, "moves").await;
    unavailable(&gateway, "ends").await;
    let again = "/api/sessions/again";
    gateway.post(&format!("{again}/stop"), &Value::Null).await.error(503, "cluster_unavailable");
    gateway.call(ADMIN, Method::DELETE, again, &Value::Null).await.error(503, "cluster_unavailable");

    proxy.catch_up();
    knows(&gateway, &["again", "moves", "other"]).await;
    gateway.session_is("moves", "qr").await;
    serves(&gateway, "other").await;
    let url = format!("{}{}", other.url(), routes::STATUS);
    let status = http::send(http::client().get(url).bearer_auth(token(&stack, &other_uid).await)).await.ok();
    assert_eq!(status["outboxDepth"], 0, "it was given nothing of another's");
    let again = get(stack.cluster(), stack.namespace(), "whatsappsession/again").await;
    let meta = &again["metadata"];
    assert_eq!((&meta["uid"], &meta["deletionTimestamp"]), (&json!(second), &Value::Null));
    assert_eq!(again["spec"]["operatingMode"], "Running", "what the first one is told is not the second's");
}

/// Takes rights away; gives the bindings that bring them back.
async fn taken_away(stack: &Stack, bindings: &[&str]) -> Vec<Value> {
    let mut taken = Vec::new();
    for binding in bindings {
        let there = get(stack.cluster(), stack.namespace(), binding).await;
        let mut again = json!({"metadata": {"name": there["metadata"]["name"]}});
        for field in ["apiVersion", "kind", "roleRef", "subjects"] {
            again[field] = there[field].clone();
        }
        taken.push(again);
    }
    deleted(stack, bindings).await;
    taken
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_that_are_taken_away_are_named_and_used_once_they_are_back() {
    let stack = prepared().await;
    let proxy = stack.proxy().await;
    let gateway = behind(&stack, &proxy).await.ready().await;
    let (_stays, _) = running(&stack, "stays").await;
    gateway.session_is("stays", "qr").await;
    let bindings = ["rolebinding/warest-gateway-sessions", "rolebinding/warest-gateway-settings"];
    let rights = taken_away(&stack, &bindings).await;
    eventually("every watch to be refused", || async {
        let metrics = http::client().get(format!("{}/metrics", gateway.url())).send().await.ok()?;
        let metrics = metrics.text().await.ok()?;
        let mut watches = metrics.lines().filter(|line| line.starts_with("warest_gateway_watch_up{"));
        watches.all(|watch| watch.ends_with(" 0")).then_some(())
    })
    .await;
    let knowledge = knowledge(&gateway).await;
    assert_eq!(knowledge["state"], "stale");
    let why = knowledge["why"].as_str().unwrap();
    assert!(why.contains("the gateway's role does not allow this (cannot "), "{why}");
    let refused = gateway.post("/api/sessions", &json!({"id": "new"})).await.error(500, "gateway_forbidden");
    assert!(refused.contains("cannot "), "{refused}");
    let (_comes, _) = running(&stack, "comes").await;
    serves(&gateway, "stays").await;
    assert_eq!(gateway.ids(ALICE).await, [""; 0], "the last good keys hold");
    assert_eq!(gateway.ids(ADMIN).await, ["stays"]);

    for right in &rights {
        apply(stack.cluster(), stack.namespace(), right).await;
    }
    knows(&gateway, &["comes", "stays"]).await;
    gateway.session_is("comes", "qr").await;
}
