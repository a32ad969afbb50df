//! One session pod against the simulator, by its own contract: pairing, sending, receiving, receipts, resuming.

use std::time::Duration;

use futures_util::StreamExt as _;
use reqwest::Method;
use serde_json::{Value, json};
use session_api::{EventData, PairingCode, SessionState, SessionStatus, routes};
use simulator::Config;
use simulator::world::Timing;
use system_tests::pod::Pod;
use system_tests::rig::Rig;
use system_tests::wait::eventually;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pairs_by_link_code() {
    let rig = Rig::start().await;
    let pod = Pod::start(&rig.ws_url()).await;
    let phone = rig.phone().await;
    pod.reaches(SessionState::AwaitingPairing).await;
    pod.qr().await;
    let code = pod.post(routes::PAIRING_CODE, &json!({"phone": format!("+{}", phone.number)})).await.ok();
    let code: PairingCode = serde_json::from_value(code).unwrap();
    assert_eq!(code.code.replace('-', "").len(), 8);
    phone.link_code("AAAA1111").await.error(409, "not_linked");
    phone.link_code(&code.code).await.ok();
    let status = pod.reaches(SessionState::Open).await;
    assert_eq!(status.me.unwrap().id, format!("{}@s.whatsapp.net", phone.number));
    let friend = rig.phone().await;
    pod.send_text(&friend.number, "linked by code").await.ok();
    friend.receives("linked by code").await;
    rig.nothing_unknown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn qr_codes_are_renewed_until_told_to_stop() {
    // Four seconds instead of WhatsApp's 160: then the six references are used up and the server hangs up, so every code
    // is a new connection's. That the pod itself counts the six is tested with its state.
    let timing = Timing { qr_first_ms: 3_000, qr_next_ms: 200 };
    let rig = Rig::start_with(Config { timing, ..Config::default() }).await;
    let pod = Pod::start(&rig.ws_url()).await;
    let mut seen = vec![pod.qr().await];
    while seen.len() < 3 {
        let next = eventually("the next QR code", || async {
            let next = pod.qr().await;
            (Some(&next) != seen.last()).then_some(next)
        })
        .await;
        assert!(!seen.contains(&next), "every code is fresh");
        seen.push(next);
    }
    assert_eq!(pod.status().await.state, SessionState::AwaitingPairing);

    let stopped = pod.request(Method::DELETE, routes::PAIRING);
    system_tests::http::send(stopped).await.ok();
    let status = pod.reaches(SessionState::QrExpired).await;
    assert_eq!(status.reason.unwrap().code, "qr_expired");
    pod.get(routes::QR).await.error(404, "no_qr");
    pod.post(routes::PAIRING, &Value::Null).await.ok();
    let phone = rig.phone().await;
    phone.scan(&pod.qr().await).await;
    pod.reaches(SessionState::Open).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_carry_mentions_and_quotes() {
    let rig = Rig::start().await;
    let (pod, _) = rig.paired_pod().await;
    let friend = rig.phone().await;
    let mentioned = rig.phone().await;
    let body = json!({
        "to": friend.number,
        "content": {"type": "text", "text": format!("ask @{}", mentioned.number), "mentions": [mentioned.number]},
    });
    pod.post(routes::MESSAGES, &body).await.ok();
    let shown = friend.receives(&format!("ask @{}", mentioned.number)).await;
    let context = &shown["message"]["extendedTextMessage"]["contextInfo"];
    assert_eq!(context["mentionedJid"], json!([format!("{}@s.whatsapp.net", mentioned.number)]), "{shown}");

    let own = pod.status().await.me.unwrap().id;
    let question = friend.send(&own, "what does it cost?").await;
    pod.receives("what does it cost?").await;
    let body = json!({"to": friend.number, "content": {"type": "text", "text": "ten"}, "quoted": question});
    pod.post(routes::MESSAGES, &body).await.ok();
    let shown = friend.receives("ten").await;
    let context = &shown["message"]["extendedTextMessage"]["contextInfo"];
    assert_eq!(context["stanzaId"], json!(question), "{shown}");
    assert!(context["quotedMessage"].to_string().contains("what does it cost?"), "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receipts_become_message_status_events() {
    let rig = Rig::start().await;
    let (pod, _) = rig.paired_pod().await;
    let friend = rig.phone().await;
    let sent = pod.send_text(&friend.number, "read me").await.ok();
    let id = sent["id"].as_str().unwrap().to_owned();
    friend.receives("read me").await;
    friend.read(&[&id]).await;
    let statuses = eventually("the read receipt", || async {
        let all: Vec<String> = pod
            .log(0)
            .await
            .into_iter()
            .filter_map(|event| match event.data {
                EventData::MessageStatus(status) if status.message_id.as_str() == id => Some(status.status),
                _ => None,
            })
            .collect();
        all.contains(&"READ".to_owned()).then_some(all)
    })
    .await;
    assert_eq!(statuses.first().map(String::as_str), Some("SERVER_ACK"), "{statuses:?}");
    assert!(statuses.contains(&"DELIVERY_ACK".to_owned()), "{statuses:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_sessions_write_to_each_other_and_to_both_sides_phones() {
    let rig = Rig::start().await;
    let (left, left_phone) = rig.paired_pod().await;
    let (right, right_phone) = rig.paired_pod().await;
    left.send_text(&right_phone.number, "from left").await.ok();
    assert_eq!(right.receives("from left").await.from, format!("{}@s.whatsapp.net", left_phone.number));
    right_phone.receives("from left").await;
    right.send_text(&left_phone.number, "from right").await.ok();
    assert_eq!(left.receives("from right").await.from, format!("{}@s.whatsapp.net", right_phone.number));
    let own_copy = eventually("the phone's own copy", || async {
        right_phone.inbox().await.into_iter().find(|entry| entry["text"] == "from right")
    })
    .await;
    assert_eq!(own_copy["fromMe"], true);
    rig.nothing_unknown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_wait_for_a_session_that_is_away() {
    let rig = Rig::start().await;
    let (mut pod, phone) = rig.paired_pod().await;
    let friend = rig.phone().await;
    pod.process().terminate();
    assert!(pod.process().ended().await.success(), "a graceful stop");
    for number in 0..20 {
        friend.send(&phone.number, &format!("queued {number}")).await;
    }
    let epoch_before = 1;
    pod.start_again().await;
    let status = pod.reaches(SessionState::Open).await;
    assert_eq!(status.writer_epoch, epoch_before + 1);
    for number in 0..20 {
        pod.receives(&format!("queued {number}")).await;
    }
    let texts: Vec<_> = inbound_texts(&pod).await;
    assert_eq!(texts.len(), 20, "each once: {texts:?}");
}

async fn inbound_texts(pod: &Pod) -> Vec<String> {
    let events = pod.log(0).await.into_iter();
    events
        .filter_map(|event| match event.data {
            EventData::MessageReceived(message) => message.text,
            _ => None,
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_waits_for_a_change_and_events_are_streamed_again() {
    let rig = Rig::start().await;
    let (pod, phone) = rig.paired_pod().await;
    let friend = rig.phone().await;
    friend.send(&phone.number, "first").await;
    let first = pod.receives("first").await;
    let before = pod.status().await;
    let poll = pod.request(Method::GET, &format!("{}?since={}&wait=60", routes::STATUS, before.revision));
    let poll = tokio::spawn(system_tests::http::send(poll));
    rig.fault(&json!({"kind": "stream_error", "number": phone.number, "code": 503, "count": 1})).await;
    let changed: SessionStatus = serde_json::from_value(poll.await.unwrap().ok()).unwrap();
    assert!(changed.revision > before.revision);

    let request = pod.request(Method::GET, &format!("{}?after=0", routes::EVENTS));
    let response = request.header("Accept", "text/event-stream").send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut stream = response.bytes_stream();
    let mut text = String::new();
    let reading = async {
        while !(text.contains("\"second\"") && text.contains(first.id.as_str())) {
            text.push_str(&String::from_utf8_lossy(&stream.next().await.unwrap().unwrap()));
        }
    };
    let writing = async {
        pod.reaches(SessionState::Open).await;
        friend.send(&phone.number, "second").await;
    };
    tokio::time::timeout(Duration::from_mins(1), async { tokio::join!(reading, writing) }).await.unwrap();
    assert!(text.contains("event: message_received") || text.contains("event:message_received"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_ping_with_pong_only_when_told_to() {
    let rig = Rig::start().await;
    let quiet = rig.paired_pod().await;
    let pod = Pod::start_with(&rig.ws_url(), &[("WAREST_AUTO_REPLY", "true")]).await;
    let phone = rig.phone().await;
    phone.scan(&pod.qr().await).await;
    pod.reaches(SessionState::Open).await;
    let friend = rig.phone().await;
    friend.send(&quiet.1.number, "ping").await;
    friend.send(&phone.number, " Ping ").await;
    let pong = friend.receives("pong").await;
    assert_eq!(pong["from"], format!("{}@s.whatsapp.net", phone.number));
    quiet.0.receives("ping").await;
    let pongs = friend.inbox().await.into_iter().filter(|entry| entry["text"] == "pong").count();
    assert_eq!(pongs, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn works_over_tls_with_an_extra_ca() {
    let rig = Rig::start().await;
    let folder = tempfile::TempDir::new().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, rig.simulator().ca_pem()).unwrap();
    let wss = rig.simulator().wss_url();
    assert!(wss.starts_with("wss://"));
    let pod = Pod::start_with(&wss, &[("WAREST_EXTRA_CA", ca.to_str().unwrap())]).await;
    let phone = rig.phone().await;
    phone.scan(&pod.qr().await).await;
    pod.reaches(SessionState::Open).await;

    let stranger = Pod::start(&wss).await;
    let reason = eventually("a reason", || async { stranger.status().await.reason }).await;
    assert!(reason.message.to_lowercase().contains("certificate"), "{reason:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_phone_shows_the_device_name() {
    let rig = Rig::start().await;
    let pod = Pod::start_with(&rig.ws_url(), &[("WAREST_DEVICE_NAME", "Toko Budi")]).await;
    let phone = rig.phone().await;
    phone.scan(&pod.qr().await).await;
    pod.reaches(SessionState::Open).await;
    let phones = rig.control(Method::GET, "/phones", &Value::Null).await.ok();
    let devices: Vec<Value> = phones["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|p| p["number"] == phone.number.as_str())
        .flat_map(|p| p["devices"].as_array().unwrap().clone())
        .collect();
    assert_eq!(devices[0]["name"], "Toko Budi", "{devices:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_to_oneself_just_after_pairing_is_shown() {
    let rig = Rig::start().await;
    let (pod, phone) = rig.paired_pod().await;
    pod.send_text(&phone.number, "note to self").await.ok();
    let shown = eventually("the phone to show it", || async {
        phone.inbox().await.into_iter().find(|entry| entry["text"] == "note to self")
    })
    .await;
    assert_eq!(shown["fromMe"], true);
}
