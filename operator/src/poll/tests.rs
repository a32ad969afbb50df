//! Polls and pushes against a small server that speaks the session's contract.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::serve::ListenerExt as _;
use axum::{Json, Router};
use session_api::{ConfigPush, ErrorBody, SessionState, StatusQuery, UID_HEADER, routes};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;

use super::*;
use crate::push::{self, PushError};

const TIMING: Timing = Timing {
    wait: Duration::from_secs(20),
    first_pause: Duration::from_millis(10),
    longest_pause: Duration::from_millis(40),
    silent_after: Duration::from_millis(100),
    calm: Duration::from_millis(1),
};

/// A session's server. Its parts may be changed while it runs.
#[derive(Clone)]
struct Server {
    status: watch::Sender<SessionStatus>,
    uid: watch::Sender<&'static str>,
    connections: Arc<AtomicUsize>,
    padding: Arc<AtomicUsize>,
}

fn status(revision: u64, state: SessionState) -> SessionStatus {
    SessionStatus {
        revision,
        session_id: "toko".to_owned(),
        session_uid: "u-1".to_owned(),
        writer_epoch: 1,
        state,
        since: 0,
        reason: None,
        paired: true,
        me: None,
        outbox_depth: 0,
        last_event: 0,
        config_hash: None,
        version: "1".to_owned(),
    }
}

impl Server {
    async fn start() -> (Self, SocketAddr) {
        let server = Self {
            status: watch::Sender::new(status(1, SessionState::Starting)),
            uid: watch::Sender::new("u-1"),
            connections: Arc::default(),
            padding: Arc::default(),
        };
        let router = Router::new()
            .route(routes::STATUS, get(read))
            .route(routes::CONFIG, put(configure))
            .route(
                routes::LOGOUT,
                post(async || (StatusCode::CONFLICT, Json(ErrorBody::new("not_linked", "it is not linked")))),
            )
            .layer(axum::middleware::from_fn_with_state(server.clone(), sign))
            .with_state(server.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::clone(&server.connections);
        let counted = listener.tap_io(move |_| {
            connections.fetch_add(1, Ordering::Relaxed);
        });
        tokio::spawn(axum::serve(counted, router).into_future());
        (server, address)
    }

    fn becomes(&self, change: impl FnOnce(&mut SessionStatus)) {
        self.status.send_modify(|status| {
            status.revision += 1;
            change(status);
        });
    }
}

async fn sign(
    State(server): State<Server>,
    headers: HeaderMap,
    request: axum::extract::Request,
    next: axum::middleware::Next,
) -> Response {
    let shown = headers.get("authorization").and_then(|value| value.to_str().ok());
    let mut response = if shown == Some("Bearer t-1") {
        next.run(request).await
    } else {
        (StatusCode::UNAUTHORIZED, Json(ErrorBody::new("unauthorized", "show this session's token")))
            .into_response()
    };
    response.headers_mut().insert(UID_HEADER, server.uid.borrow().parse().unwrap());
    response
}

async fn read(State(server): State<Server>, Query(query): Query<StatusQuery>) -> Response {
    let mut status = server.status.subscribe();
    if let Some(since) = query.since {
        let wait = Duration::from_secs(query.wait.unwrap_or(0));
        let _unchanged = timeout(wait, status.wait_for(|status| status.revision > since)).await.is_err();
    }
    let padding = server.padding.load(Ordering::Relaxed);
    let mut shown = status.borrow().clone();
    shown.version.push_str(&"x".repeat(padding));
    Json(shown).into_response()
}

async fn configure(State(server): State<Server>, Json(push): Json<ConfigPush>) -> Json<SessionStatus> {
    server.becomes(|status| status.config_hash = Some(push.hash));
    Json(server.status.borrow().clone())
}

fn endpoint(address: SocketAddr) -> Endpoint {
    Endpoint {
        session: SessionKey::new("shop", "toko"),
        session_uid: "u-1".to_owned(),
        pod_uid: "p-1".to_owned(),
        address,
        token: "t-1".to_owned(),
    }
}

fn polls() -> (Sessions, mpsc::Receiver<SessionKey>) {
    let (wake, woken) = mpsc::channel(16);
    (Sessions::new(wake, TIMING), woken)
}

async fn news(woken: &mut mpsc::Receiver<SessionKey>) {
    let key = timeout(Duration::from_secs(10), woken.recv()).await.expect("nothing new was heard").unwrap();
    assert_eq!(key.to_string(), "shop/toko");
}

fn state(sessions: &Sessions) -> SessionState {
    match sessions.last("u-1").unwrap().answer {
        Answer::Status(status) => status.state,
        other @ (Answer::Silent(_) | Answer::Stranger(_)) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_matters_wakes_and_all_of_it_over_one_connection() {
    let (server, address) = Server::start().await;
    let (sessions, mut woken) = polls();
    assert_eq!(sessions.last("u-1"), None);
    sessions.sync(endpoint(address));
    sessions.sync(endpoint(address));
    news(&mut woken).await;
    assert_eq!(state(&sessions), SessionState::Starting);
    assert_eq!(sessions.last("u-1").unwrap().pod_uid, "p-1");

    // Messages come and go: that is kept, and nobody is woken.
    for depth in 1..=5 {
        server.becomes(|status| (status.outbox_depth, status.last_event) = (depth, depth));
    }
    server.becomes(|status| status.state = SessionState::Open);
    news(&mut woken).await;
    let Answer::Status(heard) = sessions.last("u-1").unwrap().answer else { panic!() };
    assert_eq!((heard.state, heard.outbox_depth), (SessionState::Open, 5));
    assert!(woken.try_recv().is_err());
    assert_eq!(server.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn another_session_at_the_address_is_said_at_once() {
    let (server, address) = Server::start().await;
    let (sessions, mut woken) = polls();
    server.uid.send_replace("u-2");
    sessions.sync(endpoint(address));
    news(&mut woken).await;
    assert_eq!(sessions.last("u-1").unwrap().answer, Answer::Stranger(Some("u-2".to_owned())));
    server.uid.send_replace("u-1");
    news(&mut woken).await;
    assert_eq!(state(&sessions), SessionState::Starting);
}

#[tokio::test]
async fn silence_is_told_once_and_ends_with_an_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let (sessions, mut woken) = polls();
    let begun = std::time::Instant::now();
    sessions.sync(endpoint(address));
    news(&mut woken).await;
    assert!(begun.elapsed() >= TIMING.silent_after, "a fresh pod has its time to start");
    let Answer::Silent(why) = sessions.last("u-1").unwrap().answer else { panic!() };
    assert_eq!(why, "the session's pod does not take connections (connection refused)");

    let (_server, address) = Server::start().await;
    sessions.sync(endpoint(address));
    assert_eq!(sessions.last("u-1"), None, "what another address said is not this one's");
    news(&mut woken).await;
    assert_eq!(state(&sessions), SessionState::Starting);
}

#[tokio::test]
async fn answers_without_bounds_and_refusals_are_silence() {
    for (padding, token, expected) in [
        (100_000, "t-1", "the session's pod gave an answer that cannot be read"),
        (0, "t-2", "the session refused: show this session's token"),
    ] {
        let (server, address) = Server::start().await;
        server.padding.store(padding, Ordering::Relaxed);
        let (sessions, mut woken) = polls();
        sessions.sync(Endpoint { token: token.to_owned(), ..endpoint(address) });
        news(&mut woken).await;
        assert_eq!(sessions.last("u-1").unwrap().answer, Answer::Silent(expected.to_owned()));
    }
}

#[tokio::test]
async fn what_is_forgotten_is_not_asked_any_more() {
    let (server, address) = Server::start().await;
    let (sessions, mut woken) = polls();
    sessions.sync(endpoint(address));
    news(&mut woken).await;
    sessions.forget("u-1");
    assert_eq!((sessions.last("u-1"), sessions.count()), (None, 0));
    timeout(Duration::from_secs(10), server.status.closed()).await.expect("the poll goes on");

    // A new pod of the same session.
    sessions.sync(Endpoint { pod_uid: "p-2".to_owned(), ..endpoint(address) });
    news(&mut woken).await;
    assert_eq!(sessions.last("u-1").unwrap().pod_uid, "p-2");
    drop(sessions);
    timeout(Duration::from_secs(10), server.status.closed()).await.expect("the poll outlives the polls");
}

#[tokio::test]
async fn configuration_is_pushed_and_heard_of() {
    let (_server, address) = Server::start().await;
    let (sessions, mut woken) = polls();
    sessions.sync(endpoint(address));
    news(&mut woken).await;
    let push = ConfigPush { hash: "h-2".to_owned(), ..ConfigPush::default() };
    let answer = push::configure(&endpoint(address), &push).await.unwrap();
    assert_eq!(answer.config_hash.as_deref(), Some("h-2"));
    news(&mut woken).await;
    let Answer::Status(heard) = sessions.last("u-1").unwrap().answer else { panic!() };
    assert_eq!(heard.config_hash.as_deref(), Some("h-2"));
}

#[tokio::test]
async fn what_a_session_refuses_is_said_in_its_words() {
    let (server, address) = Server::start().await;
    let refused = push::log_out(&endpoint(address)).await.unwrap_err();
    assert_eq!(refused.code(), Some("not_linked"));
    assert_eq!(
        refused.to_string(),
        "remove the device from the account: the session refused: it is not linked"
    );
    server.uid.send_replace("u-9");
    let stranger = push::pairing_code(&endpoint(address), "6281").await.err().unwrap();
    assert!(matches!(&stranger, PushError::PairingCode(push::AskError::Stranger(Some(uid))) if uid == "u-9"));
    assert!(!format!("{stranger} {stranger:?}").contains("6281"));
}
