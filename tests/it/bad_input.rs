//! Every bad input of the contract, through the real programs: a clear answer, and nothing lost or changed.

use reqwest::Method;
use serde_json::{Value, json};
use session_api::{SessionState, routes};
use system_tests::gateway::{ADMIN, Gateway};
use system_tests::http;
use system_tests::pod::Pod;
use system_tests::rig::Rig;
use system_tests::wait::eventually;

/// A URL that nobody listens on: what these tests check happens before WhatsApp is asked.
const NOBODY: &str = "ws://127.0.0.1:9/ws/chat";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gateway_refuses_what_it_cannot_understand() {
    let gateway = Gateway::start(NOBODY).await;
    gateway.post("/api/sessions", &json!({"id": "known"})).await.ok();
    let text = |body: Value| {
        let gateway = &gateway;
        async move { gateway.post("/api/messages/text", &body).await }
    };
    text(json!({"sessionId": "known", "to": "nobody", "text": "x"})).await.error(400, "invalid_recipient");
    text(json!({"sessionId": "known", "to": "6281234567890", "text": ""})).await.error(400, "empty_text");
    text(json!({"sessionId": "unknown", "to": "6281234567890", "text": "x"}))
        .await
        .error(404, "session_not_found");
    let closed = text(json!({"sessionId": "known", "to": "6281234567890", "text": "x"})).await;
    assert_eq!(closed.body["sessionId"], "known", "{closed:?}");
    closed.error(409, "session_not_open");
    let wrong = text(json!({"sessionId": "known", "to": "6281234567890", "text": 7})).await;
    assert!(wrong.error(400, "invalid_body").contains("text"), "names the field");
    let wrong = text(
        json!({"sessionId": "known", "to": "6281234567890", "text": "x", "mentions": ["6281234567890", 1]}),
    )
    .await;
    assert!(wrong.error(400, "invalid_body").contains("mentions[1]"), "names the field's path");
    let missing = text(json!({"sessionId": "known", "text": "x"})).await;
    assert!(missing.error(400, "invalid_body").contains("to"), "names the field");

    let raw = |body: String| {
        let request = http::client().post(format!("{}/api/messages/text", gateway.url()));
        http::send(request.header("X-API-Key", ADMIN).header("Content-Type", "application/json").body(body))
    };
    raw("{\"sessionId\":".to_owned()).await.error(400, "invalid_json");
    raw("x".repeat(10_000_000)).await.error(413, "payload_too_large");
    raw(format!("{}{}", "[".repeat(5_000), "]".repeat(5_000))).await.error(400, "invalid_json");
    gateway.get("/api/nothing").await.error(404, "not_found");
    gateway.call(ADMIN, Method::PATCH, "/api/sessions", &Value::Null).await.error(405, "method_not_allowed");

    for id in ["UPPER", "has space", "-dash", "under_score", "", &"x".repeat(64), "../../etc"] {
        let refused = gateway.post("/api/sessions", &json!({"id": id})).await;
        assert!(refused.error(400, "invalid_session_id").contains("DNS label"), "{id}: names the rule");
    }
    let items = gateway.get("/api/sessions").await.ok();
    assert_eq!(items["items"].as_array().unwrap().len(), 1, "nothing changed: {items}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_without_a_valid_key_is_401() {
    let gateway = Gateway::start(NOBODY).await;
    gateway.call("wrong", Method::GET, "/api/sessions", &Value::Null).await.error(401, "unauthorized");
    let bare = http::json(Method::GET, &format!("{}/api/sessions", gateway.url()), &Value::Null).await;
    bare.error(401, "unauthorized");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pod_refuses_strangers_and_nonsense() {
    let rig = Rig::start().await;
    let (pod, _) = rig.paired_pod().await;
    let url = format!("{}{}", pod.url(), routes::STATUS);
    http::json(Method::GET, &url, &Value::Null).await.error(401, "unauthorized");
    http::send(http::client().get(&url).bearer_auth("wrong")).await.error(401, "unauthorized");
    let answer = pod.request(Method::GET, routes::STATUS).send().await.unwrap();
    assert_eq!(answer.headers()[session_api::UID_HEADER], "5f0c7a52-8f2e-4a55-9d0e-000000000001");

    let friend = rig.phone().await;
    let post = |body: Value| {
        let pod = &pod;
        async move { pod.post(routes::MESSAGES, &body).await }
    };
    let text = |text: &str| json!({"type": "text", "text": text});
    post(json!({"to": friend.number, "content": text("")})).await.error(400, "empty_text");
    let long = "x".repeat(session_api::message::MAX_TEXT_BYTES + 1);
    post(json!({"to": friend.number, "content": text(&long)})).await.error(400, "text_too_long");
    let wrong = post(json!({"to": 7, "content": text("x")})).await;
    assert!(wrong.error(400, "invalid_body").contains("to"));
    post(json!({"to": "nobody", "content": text("x")})).await.error(400, "invalid_recipient");

    let first = json!({"id": "3EB0TEST", "to": friend.number, "content": text("once")});
    post(first.clone()).await.ok();
    let again = post(first).await.ok();
    assert_eq!(again, json!({"id": "3EB0TEST", "status": "sent"}));
    post(json!({"id": "3EB0TEST", "to": friend.number, "content": text("other")}))
        .await
        .error(422, "duplicate_id");
    friend.receives("once").await;
    let inbox = friend.inbox().await;
    assert_eq!(inbox.iter().filter(|e| e["fromMe"] == false).count(), 1, "{inbox:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_on_the_same_volume_ends_at_once() {
    let rig = Rig::start().await;
    let (pod, _) = rig.paired_pod().await;
    let mut rival = pod.rival();
    assert_eq!(rival.ended().await.code(), Some(75), "{}", rival.output());
    assert!(rival.output().contains("lock") || rival.output().contains("in use"), "{}", rival.output());
    assert_eq!(pod.status().await.state, SessionState::Open, "the first goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_store_is_an_error_and_never_a_new_identity() {
    let rig = Rig::start().await;
    for file in ["session.db", "whatsapp.db"] {
        let (mut pod, _) = rig.paired_pod().await;
        pod.process().terminate();
        pod.process().ended().await;
        let path = pod.data_dir().join(file);
        let mut bytes = std::fs::read(&path).unwrap();
        let damaged = vec![0xa5; bytes.len().min(8_192)];
        bytes[..damaged.len()].copy_from_slice(&damaged);
        std::fs::write(&path, &bytes).unwrap();
        pod.start_again().await;
        let status = pod.reaches(SessionState::Failed).await;
        assert_eq!(status.reason.unwrap().code, "store_corrupt", "{file}");
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "{file} is left as it was");
        assert_eq!(pod.get(routes::READYZ).await.status, 503);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emptied_volume_of_a_paired_session_is_an_error() {
    let rig = Rig::start().await;
    let (mut pod, _) = rig.paired_pod().await;
    pod.process().terminate();
    pod.process().ended().await;
    for file in std::fs::read_dir(pod.data_dir()).unwrap().flatten() {
        if file.file_name().to_string_lossy().starts_with("whatsapp.db") {
            std::fs::remove_file(file.path()).unwrap();
        }
    }
    pod.start_again().await;
    let status = pod.reaches(SessionState::Failed).await;
    assert_eq!(status.reason.unwrap().code, "credentials_lost");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_only_volume_is_an_error() {
    let rig = Rig::start().await;
    let (mut pod, _) = rig.paired_pod().await;
    pod.process().terminate();
    pod.process().ended().await;
    let read_only = r#"mount --bind "$WAREST_DATA_DIR" "$WAREST_DATA_DIR" && mount -o remount,bind,ro "$WAREST_DATA_DIR""#;
    pod.set_mount(Some(read_only));
    pod.start_again().await;
    let status = pod.reaches(SessionState::Failed).await;
    assert_eq!(status.reason.unwrap().code, "store_unwritable");
    pod.process().terminate();
    pod.process().ended().await;
    pod.set_mount(None);
    pod.start_again().await;
    pod.reaches(SessionState::Open).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_stops_reading_before_anything_is_lost() {
    let rig = Rig::start().await;
    let mount = r#"mount -t tmpfs -o size=48m tmpfs "$WAREST_DATA_DIR""#;
    let floor = [("WAREST_MIN_FREE_BYTES", "16000000")];
    let pod = Pod::start_mounted(&rig.ws_url(), mount, &floor).await;
    let (phone, friend) = (rig.phone().await, rig.phone().await);
    phone.scan(&pod.qr().await).await;
    pod.reaches(SessionState::Open).await;

    let filler = pod.seen_data_dir().join("filler");
    std::fs::write(&filler, vec![1; 36_000_000]).unwrap();
    eventually("the session to see that the disk is full", || async {
        let reason = pod.status().await.reason?;
        (reason.code == "disk_full").then_some(())
    })
    .await;
    assert_eq!(pod.get(routes::READYZ).await.status, 503);
    assert_eq!(pod.get(routes::LIVEZ).await.status, 200);
    pod.send_text(&friend.number, "refused").await.error(503, "disk_full");
    friend.send(&phone.number, "kept by WhatsApp").await;

    std::fs::remove_file(&filler).unwrap();
    pod.reaches(SessionState::Open).await;
    pod.receives("kept by WhatsApp").await;
    pod.send_text(&friend.number, "room again").await.ok();
    friend.receives("room again").await;
    assert!(!friend.inbox().await.iter().any(|entry| entry["text"] == "refused"));
}
