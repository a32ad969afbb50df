//! Through the router, with a real store and the real session task. WhatsApp is an address that nobody listens on.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method};
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use session_api::{Account, EventData};
use tempfile::TempDir;
use tower::ServiceExt as _;

use super::*;
use crate::session::state::{Found, State as SessionState};
use crate::session::{Identity, Runner, Setup, now_ms};
use crate::store::{Inbound, Limits, Link, Write};
use crate::whatsapp::{EngineConfig, client_config};

const TOKEN: &str = "0123456789abcdef";
const TO: &str = "628123456789";

/// A session whose WhatsApp cannot be reached.
struct Rig {
    app: Router,
    store: Arc<Store>,
    session: SessionHandle,
    _directory: TempDir,
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

impl Rig {
    async fn start(link: Link) -> Self {
        Self::start_with(link, Limits::default()).await
    }

    async fn start_with(link: Link, limits: Limits) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (store, opened) = Store::open(directory.path(), 0, limits).unwrap();
        let (store, metrics) = (Arc::new(store), Arc::new(Metrics::new()));
        let credentials = link.account().is_some();
        let found = Found { link, credentials, fresh: false, queued: opened.queued, config: None };
        let state = SessionState::boot(found, now_ms());
        let identity = Identity { session_id: "alice".into(), session_uid: "uid-1".into(), writer_epoch: 1 };
        let engine = EngineConfig {
            data_dir: directory.path().to_owned(),
            url: "ws://127.0.0.1:9/ws/chat".parse().unwrap(),
            tls: client_config(None).unwrap(),
            proxy: None,
            no_proxy: String::new(),
            device_name: "test".into(),
            client_version: Some((2, 3000, 1)),
            auto_reply: Arc::new(AtomicBool::new(false)),
            metrics: Arc::clone(&metrics),
        };
        let setup = Setup {
            identity,
            store: Some(Arc::clone(&store)),
            data_dir: directory.path().to_owned(),
            min_free_bytes: 0,
            default_auto_reply: false,
            engine,
            metrics: Arc::clone(&metrics),
        };
        let (runner, session) = Runner::new(setup, &state);
        tokio::spawn(runner.run(state));
        let dialled = |status: &Arc<session_api::SessionStatus>| status.reason.is_some();
        session.status().wait_for(dialled).await.unwrap();
        let app = App::new(session.clone(), Some(Arc::clone(&store)), metrics, Token::new(TOKEN), "uid-1");
        Self { app: router(app), store, session, _directory: directory }
    }

    async fn paired() -> Self {
        Self::start(Link::Paired {
            me: Account { id: "628111111111@s.whatsapp.net".into(), lid: None, name: None },
        })
        .await
    }

    async fn raw(&self, request: axum::http::Request<Body>) -> Response {
        self.app.clone().oneshot(request).await.unwrap()
    }

    async fn call(&self, method: Method, path: &str, body: impl Into<Body>) -> Answer {
        let request = axum::http::Request::builder().method(method).uri(path);
        let request = request.header("authorization", format!("Bearer {TOKEN}")).body(body.into()).unwrap();
        let response = self.raw(request).await;
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into());
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, Body::empty()).await
    }

    async fn send(&self, body: &Value) -> Answer {
        self.call(Method::POST, routes::MESSAGES, body.to_string()).await
    }
}

impl Answer {
    #[track_caller]
    fn fails(&self, status: u16, code: &str) -> &Self {
        assert_eq!((self.status, self.body["code"].as_str()), (status, Some(code)), "{}", self.body);
        assert_eq!(self.body["ok"], false);
        assert!(self.body["error"].as_str().is_some_and(|text| !text.is_empty()));
        assert_eq!(self.headers[UID_HEADER], "uid-1");
        self
    }
}

fn text(text: &str) -> Value {
    json!({"to": TO, "content": {"type": "text", "text": text}, "waitMs": 50})
}

fn event(n: u64) -> Write {
    Write::Append(EventData::SessionOpen { me: Account { id: n.to_string(), lid: None, name: None } })
}

#[tokio::test]
async fn strangers_see_the_probes_only() {
    let rig = Rig::start(Link::Unpaired).await;
    let bare = |path: &str, header: Option<&str>| {
        let request = axum::http::Request::builder().uri(path);
        let request = match header {
            Some(value) => request.header("authorization", value),
            None => request,
        };
        rig.raw(request.body(Body::empty()).unwrap())
    };
    for path in [routes::STATUS, routes::EVENTS, routes::QR] {
        for header in
            [None, Some("Bearer wrong"), Some("Bearer"), Some("Basic 0123456789abcdef"), Some(TOKEN)]
        {
            let answer = bare(path, header).await;
            assert_eq!(answer.status(), 401, "{path} {header:?}");
            assert_eq!(answer.headers()[UID_HEADER], "uid-1");
        }
    }
    assert_eq!(bare(routes::STATUS, Some("bearer 0123456789abcdef")).await.status(), 200);
    assert_eq!(bare(routes::LIVEZ, None).await.status(), 200);
    assert_eq!(bare(routes::READYZ, None).await.status(), 503);
    assert_eq!(bare(routes::METRICS, None).await.status(), 200);
    rig.get("/v1/nothing").await.fails(404, "not_found");
    rig.call(Method::PATCH, routes::STATUS, Body::empty()).await.fails(405, "method_not_allowed");
}

#[tokio::test]
async fn the_status_waits_for_a_change() {
    let rig = Rig::start(Link::Unpaired).await;
    let first = rig.get(routes::STATUS).await.body;
    assert_eq!((&first["sessionId"], &first["sessionUid"]), (&json!("alice"), &json!("uid-1")));
    let since = first["revision"].as_u64().unwrap() + 1_000;
    let waited = rig.get(&format!("{}?since={since}", routes::STATUS)).await;
    assert_eq!(waited.status, 200, "unchanged, at once");
    let waiting = rig.get("/v1/status?since=0&wait=30").await;
    assert_eq!(waiting.status, 200);
    rig.get("/v1/status?since=x").await.fails(400, "invalid_query");
    let stopped = rig.call(Method::DELETE, routes::PAIRING, Body::empty()).await;
    assert_eq!((stopped.status, &stopped.body["state"]), (200, &json!("qr_expired")));
    rig.get(routes::QR).await.fails(404, "no_qr");
}

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
async fn an_unpaired_session_takes_no_sends_and_knows_no_logout() {
    let rig = Rig::start(Link::Unpaired).await;
    assert_eq!(rig.send(&text("hi")).await.fails(409, "session_not_open").body["status"], "starting");
    rig.call(Method::POST, routes::LOGOUT, Body::empty()).await.fails(409, "session_not_open");
    rig.call(Method::POST, routes::PAIRING_CODE, r#"{"phone":"12"}"#).await.fails(400, "invalid_phone");
    let early = rig.call(Method::POST, routes::PAIRING_CODE, r#"{"phone":"+62 812-3456-789"}"#).await;
    assert_eq!(early.fails(503, "not_ready").headers["retry-after"], "1");
    Rig::paired().await.call(Method::POST, routes::PAIRING, Body::empty()).await.fails(409, "already_paired");
}

#[tokio::test]
async fn configuration_is_checked_taken_and_kept() {
    let rig = Rig::paired().await;
    let put = |body: Value| rig.call(Method::PUT, routes::CONFIG, body.to_string());
    let taken = put(json!({"hash": "h1", "policy": {"paceMs": 5, "autoReply": true}})).await;
    assert_eq!((taken.status, &taken.body["configHash"]), (200, &json!("h1")));
    let kept = put(json!({"hash": "h3", "policy": {}, "webhooks": [{"url": "nowhere"}]})).await;
    assert_eq!(kept.fails(400, "invalid_config").body["field"], "webhooks[0].url");
    let mad = put(json!({"hash": "h2", "policy": {"paceMs": 99_999_999}})).await;
    assert_eq!(mad.fails(400, "invalid_policy").body["field"], "policy.paceMs");
    put(json!({"hash": "", "policy": {}})).await.fails(400, "invalid_config");
    let wrong = put(json!({"hash": "h", "policy": {"paceMs": "fast"}})).await;
    assert_eq!(wrong.fails(400, "invalid_body").body["field"], "policy.paceMs");
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
async fn the_log_comes_in_pages() {
    let rig = Rig::paired().await;
    let events: Vec<Write> = (0..250).map(event).collect();
    rig.store.write(&events, now_ms()).unwrap();
    let first = rig.get(routes::EVENTS).await.body;
    assert_eq!((first["items"].as_array().unwrap().len(), &first["next"]), (100, &json!(100)));
    let last = rig.get("/v1/events?after=240&limit=1000").await.body;
    assert_eq!((last["items"].as_array().unwrap().len(), &last["next"]), (10, &json!(250)));
    let none = rig.get("/v1/events?after=250").await.body;
    assert_eq!(none, json!({"items": [], "next": 250, "oldest": 1}));
    let foreign = rig.get("/v1/events?after=900").await.body;
    assert_eq!(foreign, json!({"items": [], "next": 250, "oldest": 1}), "a place in another log");
}

/// Reads a stream until it says this.
async fn reads(response: Response, what: &str) -> String {
    let mut chunks = response.into_body().into_data_stream();
    let mut text = String::new();
    let read = async {
        while !text.contains(what) {
            text.push_str(std::str::from_utf8(&chunks.next().await.unwrap().unwrap()).unwrap());
        }
    };
    tokio::time::timeout(Duration::from_secs(20), read).await.unwrap();
    text
}

#[tokio::test]
async fn who_comes_too_late_is_told_what_is_gone() {
    let limits = Limits { events: 3, ..Limits::default() };
    let rig = Rig::start_with(Link::Unpaired, limits).await;
    rig.store.write(&(0..10).map(event).collect::<Vec<_>>(), now_ms()).unwrap();
    rig.store.prune(now_ms()).unwrap();
    let page = rig.get("/v1/events?after=4").await.body;
    assert_eq!((&page["oldest"], &page["items"][0]["seq"]), (&json!(8), &json!(8)));
    let late = reads(rig.raw(stream_request("/v1/events?after=4", None)).await, "id: 10\n").await;
    let gap = late.find("event: gap\n").unwrap();
    assert!(gap < late.find("id: 8\n").unwrap(), "{late}");
    assert!(late.contains(r#"{"after":4,"oldest":8}"#), "{late}");
    let early = reads(rig.raw(stream_request("/v1/events?after=7", None)).await, "id: 10\n").await;
    assert!(!early.contains("gap"), "{early}");
    let foreign = reads(rig.raw(stream_request("/v1/events?after=99", None)).await, "id: 10\n").await;
    assert!(foreign.contains(r#"{"after":99,"oldest":1}"#) && foreign.contains("id: 8\n"), "{foreign}");
}

#[tokio::test]
async fn only_so_many_streams_are_open_and_they_end_with_the_session() {
    let rig = Rig::paired().await;
    let mut open = Vec::new();
    for _ in 0..MAX_STREAMS {
        open.push(rig.raw(stream_request(routes::EVENTS, None)).await);
    }
    let refused = rig.raw(stream_request(routes::EVENTS, None)).await;
    assert_eq!(
        (refused.status(), &refused.headers()["retry-after"]),
        (StatusCode::SERVICE_UNAVAILABLE, &"5".parse().unwrap())
    );
    let body = to_bytes(refused.into_body(), usize::MAX).await.unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["code"], "too_many_streams");
    assert_eq!(rig.get(routes::EVENTS).await.status, 200, "pages are no streams");
    open.pop();
    let last = rig.raw(stream_request(routes::EVENTS, None)).await;
    assert_eq!(last.status(), StatusCode::OK);
    rig.session.stop().await;
    let ended = to_bytes(last.into_body(), usize::MAX);
    tokio::time::timeout(Duration::from_secs(20), ended).await.unwrap().unwrap();
}

/// Reads a stream until it has so many numbered events.
async fn numbers(response: Response, count: usize) -> Vec<u64> {
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut chunks = response.into_body().into_data_stream();
    let mut text = String::new();
    let read = async {
        loop {
            let ids: Vec<u64> =
                text.lines().filter_map(|line| line.strip_prefix("id: ")?.parse().ok()).collect();
            if ids.len() >= count {
                return ids;
            }
            text.push_str(std::str::from_utf8(&chunks.next().await.unwrap().unwrap()).unwrap());
        }
    };
    tokio::time::timeout(Duration::from_secs(20), read).await.unwrap()
}

fn stream_request(path: &str, last: Option<u64>) -> axum::http::Request<Body> {
    let request = axum::http::Request::builder().uri(path).header("accept", "text/event-stream");
    let request = request.header("authorization", format!("Bearer {TOKEN}"));
    let request = match last {
        Some(last) => request.header("last-event-id", last),
        None => request,
    };
    request.body(Body::empty()).unwrap()
}

#[tokio::test]
async fn a_stream_goes_from_replay_to_live_without_a_gap() {
    let rig = Rig::paired().await;
    rig.store.write(&(0..150).map(event).collect::<Vec<_>>(), now_ms()).unwrap();
    let replaying = rig.raw(stream_request("/v1/events?after=5", Some(10))).await;
    let (store, writer) = (Arc::clone(&rig.store), Arc::clone(&rig.store));
    let writing = tokio::task::spawn_blocking(move || {
        for n in 0..150 {
            writer.write(&[event(n)], now_ms()).unwrap();
        }
    });
    assert_eq!(
        numbers(replaying, 290).await,
        (11..=300).collect::<Vec<_>>(),
        "the header wins, no gap, no double"
    );
    writing.await.unwrap();
    let live = rig.raw(stream_request(routes::EVENTS, None)).await;
    store.write(&[event(0)], now_ms()).unwrap();
    assert_eq!(numbers(live, 1).await, [301]);
}

#[tokio::test]
async fn passing_events_reach_a_stream_without_a_number() {
    let rig = Rig::start(Link::Unpaired).await;
    let stream = rig.raw(stream_request(routes::EVENTS, None)).await;
    rig.call(Method::DELETE, routes::PAIRING, Body::empty()).await;
    let mut chunks = stream.into_body().into_data_stream();
    let mut text = String::new();
    while !text.contains("qr_expired") {
        text.push_str(std::str::from_utf8(&chunks.next().await.unwrap().unwrap()).unwrap());
    }
    assert!(text.contains("event: status\n") && !text.contains("id: "), "{text}");
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

#[tokio::test]
async fn a_stopping_session_takes_nothing_more_and_ends() {
    let rig = Rig::paired().await;
    assert_eq!(rig.send(&text("stays")).await.status, 202);
    let mut status = rig.session.status();
    rig.session.stop().await;
    status.wait_for(|status| status.state == session_api::SessionState::Stopping).await.unwrap();
    rig.send(&text("late")).await.fails(503, "stopping");
    while status.changed().await.is_ok() {}
    assert_eq!(rig.store.queued().unwrap().len(), 1, "what was taken is kept");
}
