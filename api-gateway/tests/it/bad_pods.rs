//! Session processes that misbehave: another session answers, none answers, one hangs up, one refuses.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use api_gateway::directory::{PodEndpoint, SessionRecord};
use api_gateway::pod_client::{PodClient, PodError};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde_json::{Value, json};
use session_api::{SessionState, SessionStatus, StatusQuery, UID_HEADER, routes};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpSocket};

use crate::rig::{Rig, eventually};

/// What the misbehaving process says of itself.
type Says = Arc<Mutex<Option<SessionRecord>>>;

/// A server that answers status polls as an open session and refuses sends as one that waits for its phone.
async fn refusing_pod(says: Says) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let router = Router::new().fallback(answer).with_state(says);
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn answer(State(says): State<Says>, request: Request) -> Response {
    let uid =
        says.lock().unwrap().as_ref().map_or_else(|| "stranger".to_owned(), |session| session.uid.clone());
    let header = [(UID_HEADER, uid.clone())];
    if request.uri().path() != routes::STATUS {
        let body = json!({"ok": false, "error": "not paired", "code": "session_not_open", "status": "awaiting_pairing"});
        return (StatusCode::CONFLICT, header, axum::Json(body)).into_response();
    }
    if request.uri().query().is_some_and(|query| query.contains("since")) {
        std::future::pending::<()>().await;
    }
    (header, axum::Json(status(&uid))).into_response()
}

fn status(uid: &str) -> SessionStatus {
    SessionStatus {
        revision: 1,
        session_id: "shop".to_owned(),
        session_uid: uid.to_owned(),
        writer_epoch: 1,
        state: SessionState::AwaitingPairing,
        since: 1,
        reason: None,
        paired: false,
        me: None,
        outbox_depth: 0,
        last_event: 0,
        config_hash: None,
        version: "0".to_owned(),
    }
}

fn text() -> Value {
    json!({"sessionId": "shop", "to": "6281234567890", "text": "x"})
}

async fn announced(rig: &Rig) -> SessionRecord {
    rig.post("/api/sessions", json!({"id": "shop"})).await.ok();
    eventually("announced address", async || {
        rig.directory.list().into_iter().find(|session| session.runtime.pod().is_some())
    })
    .await
}

#[tokio::test]
async fn another_sessions_answer_is_not_believed() {
    let says = Says::default();
    let rig = Rig::with_pods_at(&refusing_pod(Arc::clone(&says)).await);
    let session = announced(&rig).await;
    let sent = rig.post("/api/messages/text", text()).await;
    sent.error(503, "session_unavailable");
    assert_eq!(rig.get("/api/sessions/shop").await.ok()["status"], "starting");
    *says.lock().unwrap() = Some(session);
    eventually("status of the right one", async || {
        (rig.get("/api/sessions/shop").await.ok()["status"] == "qr").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_refusal_keeps_the_sessions_words_and_the_publics_names() {
    let says = Says::default();
    let rig = Rig::with_pods_at(&refusing_pod(Arc::clone(&says)).await);
    *says.lock().unwrap() = Some(announced(&rig).await);
    eventually("status", async || (rig.get("/api/sessions/shop").await.ok()["status"] == "qr").then_some(()))
        .await;
    let body = rig.post("/api/messages/text", text()).await.error(409, "session_not_open");
    assert_eq!(body["error"], "not paired");
    assert_eq!((&body["sessionId"], &body["status"]), (&json!("shop"), &json!("qr")));
}

#[tokio::test]
async fn a_process_that_cannot_be_reached_is_worth_another_try() {
    let rig = Rig::start();
    announced(&rig).await;
    let answer = rig.post("/api/messages/text", text()).await;
    let body = answer.error(503, "session_unavailable");
    assert_eq!(
        (body["retryAfterMs"].as_u64(), &answer.headers["retry-after"]),
        (Some(1000), &"1".parse().unwrap())
    );
}

#[tokio::test]
async fn a_process_that_hangs_up_leaves_the_outcome_open_and_is_asked_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rig = Rig::with_pods_at(&listener.local_addr().unwrap().to_string());
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sent);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 1024];
            let read = stream.read(&mut head).await.unwrap_or_default();
            counted.fetch_add(usize::from(head[..read].starts_with(b"POST")), Ordering::Relaxed);
        }
    });
    announced(&rig).await;
    let body = rig.post("/api/messages/text", text()).await.error(504, "outcome_unknown");
    assert_eq!(body["sessionId"], "shop");
    assert_eq!(sent.load(Ordering::Relaxed), 1, "a message that was sent is not sent again");
    rig.get("/api/sessions/shop/events").await.error(503, "session_unavailable");
}

fn endpoint(address: SocketAddr, uid: &str) -> PodEndpoint {
    PodEndpoint { address: address.to_string(), uid: uid.to_owned(), token: "t".to_owned() }
}

#[tokio::test]
async fn a_connection_that_is_refused_is_tried_again() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let pod = endpoint(socket.local_addr().unwrap(), "stranger");
    let pods = PodClient::new().unwrap();
    let mut call = pin!(pods.status(&pod, StatusQuery::default()));
    let early = tokio::time::timeout(Duration::from_millis(20), &mut call).await;
    assert!(early.is_err(), "nobody listens, and it does not give up: {early:?}");
    let router = Router::new().fallback(answer).with_state(Says::default());
    let listener = socket.listen(8).unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    assert_eq!(call.await.unwrap().session_uid, "stranger");
}

#[tokio::test]
async fn nobody_is_followed_to_another_address() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = format!("http://{}/", elsewhere.local_addr().unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(move || async move { Redirect::temporary(&to) });
    tokio::spawn(async move { axum::serve(listener, router).await });
    let pods = PodClient::new().unwrap();
    let sent = pods.pair(&endpoint(address, "u-1")).await.unwrap_err();
    assert!(matches!(sent, PodError::WrongSession), "{sent}");
    let called = tokio::time::timeout(Duration::ZERO, elsewhere.accept()).await;
    assert!(called.is_err(), "{called:?}");
}

#[tokio::test]
async fn a_connection_that_is_not_answered_holds_the_route_back_for_a_moment() {
    // A listener that accepts nobody and whose queue is full: connections are neither taken nor refused.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queue = Vec::new();
    let full = async {
        loop {
            let dial =
                tokio::time::timeout(Duration::from_millis(300), tokio::net::TcpStream::connect(address));
            let Ok(taken) = dial.await else { return };
            queue.push(taken.unwrap());
        }
    };
    full.await;
    let pods = PodClient::new().unwrap();
    let pod = |uid: &str| endpoint(address, uid);
    let begun = Instant::now();
    let first = pods.status(&pod("u-1"), StatusQuery::default()).await.unwrap_err();
    assert!(matches!(first, PodError::Unreachable(_)), "{first}");
    assert!(begun.elapsed() < Duration::from_secs(4), "it is dialled once: {:?}", begun.elapsed());
    let begun = Instant::now();
    let second = pods.status(&pod("u-1"), StatusQuery::default()).await.unwrap_err();
    assert!(matches!(second, PodError::Evicted), "{second}");
    assert!(begun.elapsed() < Duration::from_secs(1), "it does not wait");
    let other = pods.status(&pod("u-2"), StatusQuery::default()).await.unwrap_err();
    assert!(matches!(other, PodError::Unreachable(_)), "another session's route is its own: {other}");
}
