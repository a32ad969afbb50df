//! Every way in which WhatsApp ends a connection, told apart: what is terminal stays, what is passing comes back.

use reqwest::Method;
use serde_json::{Value, json};
use session_api::{SessionState, routes};
use system_tests::pod::Pod;
use system_tests::rig::Rig;
use system_tests::wait::eventually;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unlinked_by_the_phone_is_logged_out() {
    let rig = Rig::start().await;
    let pod = Pod::start(&rig.ws_url()).await;
    let phone = rig.phone().await;
    let device = phone.scan(&pod.qr().await).await;
    pod.reaches(SessionState::Open).await;
    phone.unlink(device).await;
    let status = pod.reaches(SessionState::LoggedOut).await;
    assert_eq!(status.reason.as_ref().unwrap().code, "logged_out");
    assert_eq!(pod.get(routes::LIVEZ).await.status, 200, "a restart would not help");
    assert_ne!(pod.get(routes::READYZ).await.status, 200);
    pod.send_text("6281234567890", "nobody sends this").await.error(409, "session_not_open");

    pod.post(routes::PAIRING, &Value::Null).await.ok();
    phone.scan(&pod.qr().await).await;
    pod.reaches(SessionState::Open).await;
    let friend = rig.phone().await;
    pod.send_text(&friend.number, "linked again").await.ok();
    friend.receives("linked again").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logging_out_removes_the_device_from_the_phone() {
    let rig = Rig::start().await;
    let (pod, phone) = rig.paired_pod().await;
    pod.post(routes::LOGOUT, &Value::Null).await.ok();
    pod.reaches(SessionState::LoggedOut).await;
    eventually("the phone to show no device", || async {
        let phones = rig.control(Method::GET, "/phones", &Value::Null).await.ok();
        let items = phones["items"].as_array()?.clone();
        items.iter().find(|p| p["number"] == phone.number.as_str() && p["devices"] == json!([])).map(|_| ())
    })
    .await;
    rig.nothing_unknown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replaced_session_never_reconnects_by_itself() {
    let rig = Rig::start().await;
    let (mut pod, phone) = rig.paired_pod().await;
    rig.fault(&json!({"kind": "stream_error", "number": phone.number, "conflict": "replaced", "count": 1}))
        .await;
    let status = pod.reaches(SessionState::Replaced).await;
    assert_eq!(status.reason.unwrap().code, "replaced");
    assert!(status.paired);
    pod.send_text("6281234567890", "no").await.error(409, "session_not_open");
    // Not even in a new process: whoever restarts pods must not start a tug-of-war. Somebody acts, with the same credentials:
    pod.restart().await;
    assert_eq!(pod.reaches(SessionState::Replaced).await.writer_epoch, 2);
    pod.post(routes::PAIRING, &Value::Null).await.ok();
    assert!(pod.reaches(SessionState::Open).await.paired, "no new QR");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_logins_are_told_apart() {
    let rig = Rig::start().await;
    for (reason, state, code) in [
        (json!({"kind": "refuse_login", "reason": 401}), SessionState::LoggedOut, "logged_out"),
        (
            json!({"kind": "refuse_login", "reason": 402, "code": 104, "expire": 7_200}),
            SessionState::Banned,
            "banned",
        ),
        (json!({"kind": "refuse_login", "reason": 405}), SessionState::Outdated, "outdated"),
    ] {
        let (mut pod, phone) = rig.paired_pod().await;
        let mut fault = reason;
        fault["number"] = json!(phone.number);
        fault["count"] = json!(1);
        rig.fault(&fault).await;
        pod.restart().await;
        let reason = pod.reaches(state).await.reason.unwrap();
        assert_eq!(reason.code, code);
        assert_eq!(pod.get(routes::LIVEZ).await.status, 200);
        if state == SessionState::Banned {
            says_until_when(&reason.message);
        }
    }
}

/// Two hours from now, give or take the time that the test takes.
#[track_caller]
fn says_until_when(sentence: &str) {
    assert!(sentence.contains("(cause 104)"), "{sentence}");
    let until = sentence.split(" until ").nth(1).and_then(|rest| rest.split(' ').next());
    let clock = rusqlite::Connection::open_in_memory().unwrap();
    let left: i64 =
        clock.query_row("SELECT unixepoch(?1) - unixepoch('now')", [until], |row| row.get(0)).unwrap();
    assert!((6_600..=7_200).contains(&left), "{sentence}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_demands_a_passkey_can_be_paired_once_it_does_not() {
    let rig = Rig::start().await;
    let pod = Pod::start(&rig.ws_url()).await;
    let phone = rig.phone().await;
    rig.fault(&json!({"kind": "passkey", "number": phone.number, "count": 1})).await;
    let first = pod.qr().await;
    let scan = json!({"qr": first});
    let refused = rig.control(Method::POST, &format!("/phones/{}/scan", phone.number), &scan).await;
    refused.error(409, "passkey_required");
    let status = pod.reaches(SessionState::PasskeyRequired).await;
    assert_eq!(status.reason.unwrap().code, "passkey_required");
    assert!(!status.paired);
    assert_eq!(pod.get(routes::LIVEZ).await.status, 200, "a restart would not help");
    pod.get(routes::QR).await.error(404, "no_qr");

    pod.post(routes::PAIRING, &Value::Null).await.ok();
    let next = pod.qr().await;
    assert_ne!(next, first);
    phone.scan(&next).await;
    pod.reaches(SessionState::Open).await;
    rig.nothing_unknown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passing_disconnects_come_back_and_nothing_is_lost() {
    let rig = Rig::start().await;
    let (pod, phone) = rig.paired_pod().await;
    let friend = rig.phone().await;
    let faults = [
        json!({"kind": "close", "number": phone.number, "count": 1}),
        json!({"kind": "stream_error", "number": phone.number, "code": 503, "count": 1}),
        json!({"kind": "stream_error", "number": phone.number, "code": 515, "count": 1}),
    ];
    for (round, fault) in faults.iter().enumerate() {
        rig.fault(fault).await;
        let text = format!("while away {round}");
        friend.send(&phone.number, &text).await;
        let sent = pod.send_text(&friend.number, &format!("round {round}")).await;
        assert!(sent.status == 200 || sent.status == 202, "{sent:?}");
        pod.receives(&text).await;
        friend.receives(&format!("round {round}")).await;
        pod.reaches(SessionState::Open).await;
    }
    let inbox = friend.inbox().await;
    let got: Vec<_> = inbox.iter().filter(|entry| entry["fromMe"] == false).collect();
    assert_eq!(got.len(), faults.len(), "each text once: {got:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ack_that_is_late_or_lost_never_doubles_a_message() {
    let rig = Rig::start().await;
    let (mut pod, phone) = rig.paired_pod().await;
    let friend = rig.phone().await;
    rig.fault(&json!({"kind": "drop_ack", "number": phone.number, "count": 1})).await;
    let body = json!({"to": friend.number, "content": {"type": "text", "text": "acked late"}, "waitMs": 300});
    let queued = pod.post(routes::MESSAGES, &body).await;
    assert_eq!((queued.status, queued.body["status"].as_str()), (202, Some("queued")), "{queued:?}");
    friend.receives("acked late").await;
    pod.crash().await;
    pod.reaches(SessionState::Open).await;
    eventually("the outbox to empty", || async { (pod.status().await.outbox_depth == 0).then_some(()) })
        .await;
    let shown: Vec<Value> = friend.inbox().await.into_iter().filter(|e| e["text"] == "acked late").collect();
    assert_eq!(shown.len(), 1, "{shown:?}");
    assert_eq!(shown[0]["id"], queued.body["id"], "sent again with the same id");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_message_is_an_error_and_not_retried() {
    let rig = Rig::start().await;
    let (pod, phone) = rig.paired_pod().await;
    let friend = rig.phone().await;
    rig.fault(&json!({"kind": "nack", "number": phone.number, "code": 479, "count": 1})).await;
    let refused = pod.send_text(&friend.number, "refused").await;
    assert_eq!(refused.body["code"], "rejected_by_whatsapp", "{refused:?}");
    pod.send_text(&friend.number, "accepted").await.ok();
    friend.receives("accepted").await;
    assert!(!friend.inbox().await.iter().any(|entry| entry["text"] == "refused"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_cannot_be_reached_is_tried_again() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    let pod = Pod::start(&format!("ws://{address}/ws/chat")).await;
    let reason = eventually("a reason", || async { pod.status().await.reason }).await;
    assert_eq!(reason.code, "connection_failed", "{reason:?}");
    assert!(!pod.status().await.state.is_terminal());
    assert_eq!(pod.get(routes::LIVEZ).await.status, 200);
    assert_eq!(pod.get(routes::READYZ).await.status, 503);
}
