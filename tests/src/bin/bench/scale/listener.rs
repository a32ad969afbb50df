//! All sessions of a fleet as one server: it answers at every pod's address, as a linked and connected session would.
//!
//! Comes in: the fleet's sessions, and requests of crate `session-api`. Goes out: their status, held back as long as the asker
//! wants to wait. Whoever brings a token that is no session's is refused, and counted.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};
use crds::token::{self, TokenKey};
use session_api::{Account, ConfigPush, SessionState, SessionStatus, StatusQuery, UID_HEADER, routes};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// The key that all tokens are derived from.
pub(super) const KEY: TokenKey = [7; 32];

/// A session may be asked before who created it was told its UID.
const INTRODUCED_WITHIN: Duration = Duration::from_secs(10);

type Session = Arc<watch::Sender<SessionStatus>>;

/// See the file's comment. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Listener {
    shared: Arc<Shared>,
    port: u16,
    server: AbortHandle,
}

#[derive(Debug, Default)]
struct Shared {
    /// By token.
    sessions: watch::Sender<HashMap<String, Session>>,
    /// What is in the file that every session's pod mounts.
    config_hash: OnceLock<String>,
    pushes: AtomicUsize,
    strangers: AtomicUsize,
}

impl Listener {
    /// Listens on every address of this machine.
    pub(super) async fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let router = Router::new()
            .route(routes::STATUS, get(status))
            .route(routes::CONFIG, put(configure))
            .with_state(Arc::clone(&shared));
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await.expect("a port");
        let port = listener.local_addr().expect("its number").port();
        let server = tokio::spawn(async move { axum::serve(listener, router).await }).abort_handle();
        Self { shared, port, server }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// A session of this name and UID exists: it has just connected.
    pub(super) fn introduce(&self, name: &str, uid: &str) {
        self.shared.sessions.send_modify(|all| {
            let status = connected(name, uid, all.len(), self.shared.config_hash.get().cloned());
            all.insert(token::derive(&KEY, uid), Arc::new(watch::Sender::new(status)));
        });
    }

    /// The first session had no file to find its configuration in.
    pub(super) fn forget_pushes(&self) {
        self.shared.pushes.store(0, Ordering::Relaxed);
    }

    /// How often configuration was pushed since then.
    pub(super) fn pushes(&self) -> usize {
        self.shared.pushes.load(Ordering::Relaxed)
    }

    /// How often somebody asked with a token that is no session's.
    pub(super) fn strangers(&self) -> usize {
        self.shared.strangers.load(Ordering::Relaxed)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Shared {
    async fn of(&self, headers: &HeaderMap) -> Result<Session, Response> {
        let bearer =
            headers.get("authorization").and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        let bearer = bearer.unwrap_or_default();
        let mut sessions = self.sessions.subscribe();
        let known = sessions.wait_for(|all| all.contains_key(bearer));
        if let Ok(Ok(all)) = tokio::time::timeout(INTRODUCED_WITHIN, known).await {
            return Ok(Arc::clone(&all[bearer]));
        }
        self.strangers.fetch_add(1, Ordering::Relaxed);
        Err(StatusCode::UNAUTHORIZED.into_response())
    }
}

async fn status(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<StatusQuery>,
    headers: HeaderMap,
) -> Result<Response, Response> {
    let session = shared.of(&headers).await?;
    if let Some(since) = query.since {
        let wait = Duration::from_secs(query.wait.unwrap_or(0));
        let mut newer = session.subscribe();
        let _unchanged = tokio::time::timeout(wait, newer.wait_for(|status| status.revision > since)).await;
    }
    Ok(told(&session))
}

async fn configure(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Json(push): Json<ConfigPush>,
) -> Result<Response, Response> {
    let session = shared.of(&headers).await?;
    shared.pushes.fetch_add(1, Ordering::Relaxed);
    // All sessions of a fleet have the same configuration; the next ones find it in their file.
    let _first = shared.config_hash.set(push.hash.clone());
    session.send_modify(|status| {
        status.revision += 1;
        status.config_hash = Some(push.hash);
    });
    Ok(told(&session))
}

fn told(session: &Session) -> Response {
    let status = session.borrow().clone();
    ([(UID_HEADER, status.session_uid.clone())], Json(status)).into_response()
}

/// What a session says that is linked to an account of its own and connected.
fn connected(name: &str, uid: &str, number: usize, config_hash: Option<String>) -> SessionStatus {
    SessionStatus {
        revision: 1,
        session_id: name.to_owned(),
        session_uid: uid.to_owned(),
        writer_epoch: 1,
        state: SessionState::Open,
        since: 1_767_225_600_000,
        reason: None,
        paired: true,
        me: Some(Account {
            id: format!("{}@s.whatsapp.net", 628_100_000_000 + number),
            lid: None,
            name: None,
        }),
        outbox_depth: 0,
        last_event: 0,
        config_hash,
        version: "0.1.0".to_owned(),
    }
}
