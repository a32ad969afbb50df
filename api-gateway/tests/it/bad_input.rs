//! Each bad input has a clear answer, and changes nothing.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::rig::{ADMIN, OTHER, Rig, USER};

const TO: &str = "6281234567890";

#[tokio::test]
async fn texts_that_cannot_be_sent() {
    let rig = Rig::start();
    rig.post("/api/sessions", json!({"id": "shop"})).await.ok();
    let text = async |body: Value| rig.post("/api/messages/text", body).await;
    text(json!({"sessionId": "shop", "to": "nobody", "text": "x"})).await.error(400, "invalid_recipient");
    text(json!({"sessionId": "shop", "to": TO, "text": " "})).await.error(400, "empty_text");
    text(json!({"sessionId": "shop", "to": TO, "text": "x".repeat(65_537)}))
        .await
        .error(400, "text_too_long");
    let unknown = text(json!({"sessionId": "nope", "to": TO, "text": "x"})).await;
    assert_eq!(unknown.error(404, "session_not_found")["error"], "Session not found");
    text(json!({"sessionId": "../x", "to": TO, "text": "x"})).await.error(404, "session_not_found");
    for (body, field) in [
        (json!({"sessionId": "shop", "to": TO, "text": 7}), "text"),
        (json!({"sessionId": "shop", "to": TO}), "text"),
        (json!({"sessionId": "shop", "to": TO, "text": "x", "mentions": [TO, 1]}), "mentions[1]"),
        (json!({"sessionId": "shop", "to": TO, "text": "x", "quoted": 7}), "quoted"),
        (json!({"sessionId": "shop", "to": TO, "text": "x", "quoted": {}}), "quoted.id"),
        (json!([1]), "body"),
    ] {
        let answer = text(body.clone()).await.error(400, "invalid_body");
        assert_eq!(answer["field"], field, "{body}: {answer}");
    }
}

#[tokio::test]
async fn bodies_that_cannot_be_read() {
    let rig = Rig::start();
    let raw = async |kind: &str, body: String| {
        let request =
            Request::post("/api/messages/text").header("X-API-Key", ADMIN).header("Content-Type", kind);
        rig.send(request.body(Body::from(body)).unwrap()).await
    };
    raw("application/json", "{\"sessionId\":".to_owned()).await.error(400, "invalid_json");
    raw("application/json", "[".repeat(100_000)).await.error(400, "invalid_json");
    raw("application/json", "x".repeat(10_000_000)).await.error(413, "payload_too_large");
    raw("text/plain", "{}".to_owned()).await.error(415, "unsupported_media_type");
    let request = Request::post("/api/messages/text").header("X-API-Key", ADMIN).body(Body::empty()).unwrap();
    assert_eq!(rig.send(request).await.error(400, "invalid_body")["field"], "sessionId");
}

#[tokio::test]
async fn ids_that_are_no_dns_labels() {
    let rig = Rig::start();
    for id in ["UPPER", "has space", "-dash", "dash-", "under_score", "", "../../etc", &"x".repeat(64)] {
        let answer = rig.post("/api/sessions", json!({"id": id})).await.error(400, "invalid_session_id");
        assert!(answer["error"].as_str().unwrap().contains("DNS label"), "{id}");
    }
    for (body, field) in [
        (json!({"id": 7}), "id"),
        (json!({"webhookUrl": "ftp://x"}), "webhookUrl"),
        (json!({"webhookUrl": "nonsense"}), "webhookUrl"),
        (json!({"label": "x".repeat(101)}), "label"),
    ] {
        assert_eq!(rig.post("/api/sessions", body).await.error(400, "invalid_body")["field"], field);
    }
    assert_eq!(rig.get("/api/sessions").await.ok(), json!({"items": []}), "nothing was made");
}

#[tokio::test]
async fn paths_and_methods_that_there_are_not() {
    let rig = Rig::start();
    rig.get("/api/nothing").await.error(404, "not_found");
    rig.get("/nothing").await.error(404, "not_found");
    rig.get("/ui/nothing.js").await.error(404, "not_found");
    rig.get("/docs/nothing.js").await.error(404, "not_found");
    let answer = rig.call(ADMIN, "PATCH", "/api/sessions", Value::Null).await;
    answer.error(405, "method_not_allowed");
    assert_eq!(answer.headers["allow"], "GET,HEAD,POST");
    rig.get("/api/sessions/shop/qr").await.error(404, "session_not_found");
    rig.get("/api/sessions/%2e%2e%2fetc").await.error(404, "session_not_found");
    rig.get("/api/sessions/%ff").await.error(404, "session_not_found");
    rig.get("/utils/qr.png").await.error(400, "invalid_query");
    rig.get(&format!("/utils/qr.png?data={}", "x".repeat(1025))).await.error(400, "invalid_query");
}

#[tokio::test]
async fn strangers_and_other_keys_see_nothing() {
    let rig = Rig::start();
    rig.call(USER, "POST", "/api/sessions", json!({"id": "mine"})).await.ok();
    let text = json!({"sessionId": "mine", "to": TO, "text": "x"});
    for (method, path, body) in [
        ("GET", "/api/sessions/mine", Value::Null),
        ("GET", "/api/sessions/mine/qr", Value::Null),
        ("GET", "/api/sessions/mine/events", Value::Null),
        ("POST", "/api/sessions/mine/start", Value::Null),
        ("POST", "/api/sessions/mine/stop", Value::Null),
        ("POST", "/api/sessions/mine/restart", Value::Null),
        ("POST", "/api/sessions/mine/logout", Value::Null),
        ("POST", "/api/sessions/mine/pairing-code", json!({"phone": TO})),
        ("DELETE", "/api/sessions/mine?mode=all", Value::Null),
        ("POST", "/api/messages/text", text),
    ] {
        rig.call("wrong", method, path, body.clone()).await.error(401, "unauthorized");
        rig.call(OTHER, method, path, body).await.error(404, "session_not_found");
        let bare = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        rig.send(bare).await.error(401, "unauthorized");
    }
    assert_eq!(rig.call(OTHER, "GET", "/api/sessions", Value::Null).await.ok(), json!({"items": []}));
    rig.call(OTHER, "POST", "/api/sessions", json!({"id": "mine"})).await.error(409, "session_id_taken");
    let mine = rig.call(USER, "GET", "/api/sessions", Value::Null).await.ok();
    assert_eq!(mine["items"][0]["id"], "mine", "and nothing changed");
    assert_ne!(mine["items"][0]["status"], "suspended");
}

#[tokio::test]
async fn sessions_are_made_once_and_bounded() {
    let rig = Rig::start();
    let made = rig.post("/api/sessions", Value::Null).await.ok();
    assert!(made["id"].as_str().unwrap().starts_with("s-"), "an id is made: {made}");
    let again = rig.post("/api/sessions", json!({"id": made["id"], "label": "Shop"})).await.ok();
    assert_eq!(again["id"], made["id"]);
    let items = rig.get("/api/sessions").await.ok();
    assert_eq!((items["items"].as_array().unwrap().len(), &items["items"][0]["label"]), (1, &json!("Shop")));
    for _ in 0..4 {
        rig.post("/api/sessions", json!({})).await.ok();
    }
    rig.post("/api/sessions", json!({})).await.error(409, "too_many_sessions");
    rig.directory.shutdown().await;
}

#[tokio::test]
async fn a_session_that_is_not_open_says_so() {
    let rig = Rig::start();
    rig.post("/api/sessions", json!({"id": "shop"})).await.ok();
    rig.post("/api/sessions/shop/stop", Value::Null).await.ok();
    let sent = rig.post("/api/messages/text", json!({"sessionId": "shop", "to": TO, "text": "x"})).await;
    let body = sent.error(409, "session_not_open");
    assert_eq!((&body["sessionId"], &body["status"]), (&json!("shop"), &json!("suspended")));
    let qr = rig.get("/api/sessions/shop/qr?wait=60").await;
    assert_eq!(qr.error(404, "no_qr")["status"], "suspended", "at once: none will come");
    rig.post("/api/sessions/shop/logout", Value::Null).await.error(409, "session_not_open");
    let code = json!({"phone": "no number"});
    rig.post("/api/sessions/shop/pairing-code", code).await.error(400, "invalid_recipient");
    let code = json!({"phone": "120363025246125486@g.us"});
    rig.post("/api/sessions/shop/pairing-code", code).await.error(400, "invalid_recipient");
    rig.call(ADMIN, "DELETE", "/api/sessions/shop?mode=some", Value::Null).await.error(400, "invalid_query");
    assert_eq!(rig.get("/api/sessions/shop").await.ok()["status"], "suspended");
}

#[tokio::test]
async fn what_cannot_be_stored_is_told_and_not_done() {
    let rig = Rig::start();
    std::fs::create_dir(rig.folder.path().join("data/sessions/.full.yaml.new")).unwrap();
    rig.post("/api/sessions", json!({"id": "full"})).await.error(507, "storage_failed");
    rig.get("/api/sessions/full").await.error(404, "session_not_found");
    std::fs::write(rig.folder.path().join("data/sessions/foreign.yaml"), "kind: Pod").unwrap();
    rig.post("/api/sessions", json!({"id": "foreign"})).await.error(409, "session_id_taken");
}
