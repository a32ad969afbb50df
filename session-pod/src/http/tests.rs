//! Through the router, with a real store and the real session task. WhatsApp is an address that nobody listens on.

mod events;
mod messages;

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
use crate::whatsapp::nowhere::nowhere;

const TOKEN: &str = "0123456789abcdef";
const TO: &str = "628123456789";

/// A session whose WhatsApp cannot be reached.
struct Rig {
    app: Router,
    store: Arc<Store>,
    session: SessionHandle,
    waits: Arc<Semaphore>,
    polls: Arc<Semaphore>,
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
        let found = Found { link, credentials, fresh: false, queued: opened.queued };
        let state = SessionState::boot(found, now_ms());
        let identity = Identity { session_id: "alice".into(), session_uid: "uid-1".into(), writer_epoch: 1 };
        let engine = nowhere(directory.path(), &metrics);
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
        let (waits, polls) = (Arc::clone(&app.waits), Arc::clone(&app.polls));
        Self { app: router(app), store, session, waits, polls, _directory: directory }
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
async fn only_so_many_polls_wait() {
    let rig = Rig::start(Link::Unpaired).await;
    let since = rig.session.status().borrow().revision + 1_000;
    let path = format!("{}?since={since}&wait=60", routes::STATUS);
    {
        let waiting: Vec<_> = (0..MAX_POLLS).map(|_| Box::pin(rig.get(&path))).collect();
        let mut waiting = futures_util::stream::FuturesUnordered::from_iter(waiting);
        let full = async {
            while rig.polls.available_permits() > 0 {
                tokio::task::yield_now().await;
            }
            let more = rig.get(&path).await;
            assert_eq!(more.status, 200, "one more is answered at once");
        };
        tokio::select! {
            _ = waiting.next() => panic!("these wait"),
            full = tokio::time::timeout(Duration::from_secs(20), full) => full.expect("in time"),
        }
    }
    assert_eq!(rig.polls.available_permits(), MAX_POLLS, "who hangs up makes room");
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
