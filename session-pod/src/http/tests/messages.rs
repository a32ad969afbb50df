//! Sends: what is refused, what is stored, what a repetition is told.

use super::*;

#[tokio::test]
async fn what_cannot_be_sent_is_named() {
    let rig = Rig::paired().await;
    rig.send(&text("")).await.fails(400, "empty_text");
    rig.send(&text(" \n")).await.fails(400, "empty_text");
    rig.send(&text(&"x".repeat(65_537))).await.fails(400, "text_too_long");
    rig.send(&json!({"to": "nobody", "content": {"type": "text", "text": "x"}}))
        .await
        .fails(400, "invalid_recipient");
    let wrong = rig.send(&json!({"to": 7, "content": {"type": "text", "text": "x"}})).await;
    assert_eq!(wrong.fails(400, "invalid_body").body["field"], "to");
    let missing = rig.send(&json!({"to": TO})).await;
    assert!(missing.fails(400, "invalid_body").body["error"].as_str().unwrap().contains("content"));
    rig.send(&json!({"id": "a b", "to": TO, "content": {"type": "text", "text": "x"}}))
        .await
        .fails(400, "invalid_body");
    rig.call(Method::POST, routes::MESSAGES, "{\"to\":").await.fails(400, "invalid_json");
    rig.call(Method::POST, routes::MESSAGES, "{} {}").await.fails(400, "invalid_body");
    rig.call(Method::POST, routes::MESSAGES, "[".repeat(5_000)).await.fails(400, "invalid_body");
    rig.call(Method::POST, routes::MESSAGES, "x".repeat(10_000_000)).await.fails(413, "payload_too_large");
    assert_eq!(rig.store.queued().unwrap(), [], "nothing was taken");
}

#[tokio::test]
async fn a_send_without_a_connection_is_stored_first_and_queued() {
    let rig = Rig::paired().await;
    let queued = rig.send(&text("hi")).await;
    assert_eq!((queued.status, &queued.body["status"]), (202, &json!("queued")));
    let id = queued.body["id"].as_str().unwrap();
    assert!(id.starts_with("3EB0") && id.len() == 22);
    assert_eq!(rig.store.queued().unwrap()[0].id, id);
    let mut named = text("hello");
    named["id"] = json!("MINE");
    for _ in 0..2 {
        let again = rig.send(&named).await;
        assert_eq!((again.status, &again.body["id"]), (202, &json!("MINE")));
    }
    named["content"]["text"] = json!("other");
    rig.send(&named).await.fails(422, "duplicate_id");
    assert_eq!(rig.store.queued().unwrap().len(), 2);
    assert_eq!(rig.get(routes::STATUS).await.body["outboxDepth"], 2);
}

#[tokio::test]
async fn a_send_that_finds_no_room_to_wait_is_queued_at_once() {
    let rig = Rig::paired().await;
    assert!(MAX_WAITS < Bounds::default().connections as usize, "the probes find a connection");
    let mut request = text("hi");
    request["waitMs"] = json!(60_000);
    let waited = async {
        let waiting = rig.send(&request);
        let seen = async {
            while rig.waits.available_permits() == MAX_WAITS {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            _ = waiting => panic!("answered at once"),
            () = seen => {}
        }
    };
    let deadline = Duration::from_secs(20);
    tokio::time::timeout(deadline, waited).await.expect("it waits, and takes a place");
    assert_eq!(rig.waits.available_permits(), MAX_WAITS, "who hangs up gives the place back");
    let all = rig.waits.acquire_many(u32::try_from(MAX_WAITS).unwrap()).await.unwrap();
    let queued = tokio::time::timeout(deadline, rig.send(&request)).await.expect("at once");
    assert_eq!((queued.status, &queued.body["status"]), (202, &json!("queued")));
    assert_eq!(rig.store.queued().unwrap().len(), 2, "both were taken");
    drop(all);
}

#[tokio::test]
async fn a_repetition_answers_what_became_of_the_first() {
    let rig = Rig::paired().await;
    let mut request = text("hi");
    for (id, write, status, code) in [
        ("SENT", Write::Acked { id: "SENT".into() }, 200, None),
        (
            "BAD",
            Write::Failed {
                id: "BAD".into(),
                reason: session_api::Reason { code: "nack_479".into(), message: "m".into() },
            },
            422,
            Some("rejected_by_whatsapp"),
        ),
    ] {
        request["id"] = json!(id);
        assert_eq!(rig.send(&request).await.status, 202);
        rig.store.write(&[write], now_ms()).unwrap();
        let again = rig.send(&request).await;
        assert_eq!((again.status, again.body["code"].as_str()), (status, code), "{}", again.body);
    }
}

#[tokio::test]
async fn a_recipient_in_its_cooldown_is_told_how_long() {
    let rig = Rig::paired().await;
    let body = json!({"hash": "h1", "policy": {"cooldownMs": 60_000}}).to_string();
    assert_eq!(rig.call(Method::PUT, routes::CONFIG, body).await.status, 200);
    assert_eq!(rig.send(&text("first")).await.status, 202);
    let early = rig.send(&text("second")).await;
    let wait = early.fails(429, "recipient_cooldown").body["retryAfterMs"].as_u64().unwrap();
    assert!((50_000..=60_000).contains(&wait), "{wait}");
    assert_eq!(early.headers["retry-after"], wait.div_ceil(1_000).to_string());
    assert_eq!(rig.store.queued().unwrap().len(), 1, "nothing more is stored");
}

#[tokio::test]
async fn a_message_can_be_quoted_once_it_was_received() {
    let rig = Rig::paired().await;
    let inbound = Inbound {
        chat: "628123456789@s.whatsapp.net".into(),
        sender: "628123456789@s.whatsapp.net".into(),
        id: "THEIRS".into(),
        message: vec![0x0a, 0x02, b'h', b'i'],
        event: EventData::SessionOpen { me: Account { id: "x".into(), lid: None, name: None } },
        reply: None,
    };
    rig.store.receive(&[inbound], now_ms()).unwrap();
    let mut request = text("answer");
    request["quoted"] = json!("THEIRS");
    request["id"] = json!("QUOTING");
    assert_eq!(rig.send(&request).await.status, 202);
    let (_, stored) = rig.store.message("QUOTING").unwrap().unwrap();
    assert!(stored.windows(6).any(|w| w == b"THEIRS") && stored.windows(2).any(|w| w == b"hi"));
    let group = json!({"to": "120363025246125486@g.us", "content": {"type": "text", "text": "x"}, "quoted": "UNKNOWN"});
    rig.send(&group).await.fails(400, "unknown_quote");
}
