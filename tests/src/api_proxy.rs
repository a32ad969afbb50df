//! A proxy in front of an API server that injects faults: the operator or the gateway talks to it in plain HTTP with a token.
//!
//! Comes in: the API server's address and CA. Goes out: a kubeconfig's `server`, and faults:
//! refused, late, failing after the commit or black-holed requests, watches that are silent, stranded or cut, a server that lags
//! behind, and a halt after the n-th write.
//! It judges nothing: what must hold is the test's to say.

mod held;
mod script;
mod watches;

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::TryStreamExt as _;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use held::{Held, hold};
use script::Script;
pub use script::{Fault, Rule};
use watches::Flow;

/// Largest request that is passed on, in bytes.
const MAX_BODY: usize = 4 * 1024 * 1024;

#[derive(Debug)]
struct Shared {
    upstream: String,
    client: reqwest::Client,
    script: Mutex<Script>,
    halted: watch::Sender<bool>,
    held: watch::Sender<Held>,
    flow: watch::Sender<Flow>,
    past: Mutex<Past>,
    tokens: Mutex<HashSet<String>>,
}

/// What lists said last, by path and query.
#[derive(Debug, Default)]
struct Past {
    lists: HashMap<String, Bytes>,
    /// Lists whose path and query contain this are answered from it.
    of: Option<String>,
}

/// The proxy; it ends when dropped.
#[derive(Debug)]
pub struct ApiProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Drop for ApiProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ApiProxy {
    /// Starts it on a free port in front of `https://…` with that server's CA.
    ///
    /// # Panics
    /// When it cannot start.
    pub async fn start(upstream: &str, ca_pem: &[u8]) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let ca = reqwest::Certificate::from_pem(ca_pem).expect("a CA in PEM");
        let client = reqwest::Client::builder().no_proxy().tls_certs_only([ca]).build().expect("a client");
        let shared = Arc::new(Shared {
            upstream: upstream.trim_end_matches('/').to_owned(),
            client,
            script: Mutex::default(),
            halted: watch::Sender::new(false),
            held: watch::Sender::default(),
            flow: watch::Sender::new(Flow::default()),
            past: Mutex::default(),
            tokens: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let app = Router::new().fallback(pass).with_state(shared.clone());
        let task = tokio::spawn(async move {
            axum::serve(listener, app).await.expect("the proxy serves");
        });
        Self { address, shared, task }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL: the `server` of a kubeconfig.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Writes a kubeconfig that leads through the proxy with this token.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn kubeconfig(&self, folder: &Path, token: &str, namespace: &str) -> PathBuf {
        let file = folder.join(format!("proxy-{}.kubeconfig", self.address.port()));
        let text = serde_json::json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "proxy",
            "clusters": [{"name": "proxy", "cluster": {"server": self.url()}}],
            "users": [{"name": "proxy", "user": {"token": token}}],
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "proxy", "namespace": namespace}}],
        });
        std::fs::write(&file, text.to_string()).expect("the kubeconfig is written");
        file
    }

    /// Adds a fault.
    pub fn add(&self, rule: Rule) {
        self.script().rules.push(rule);
    }

    /// Takes all faults away.
    pub fn clear(&self) {
        self.script().rules.clear();
    }

    /// From its `limit`-th write on, counted from now, nothing is answered any more (that write still is).
    pub fn halt_after_writes(&self, limit: usize) {
        let mut script = self.script();
        script.halt_after_writes = Some(script.writes + limit);
    }

    /// Watches stay open and say nothing (or speak again).
    pub fn freeze_watches(&self, frozen: bool) {
        self.shared.flow.send_modify(|flow| flow.held = frozen.then(String::new));
    }

    /// Watches that are open now never say anything again and never end, as when a firewall forgets their connections. Later
    /// ones are as usual.
    pub fn strand_watches(&self) {
        self.shared.flow.send_modify(|flow| flow.stranded = flow.latest);
    }

    /// Watches that are open now break off, with all that they have not told yet.
    pub fn break_watches(&self) {
        self.shared.flow.send_modify(|flow| flow.broken = flow.latest);
    }

    /// From now on this is a server that lags behind for all that contains `of`: lists are as they last were (where there was
    /// one), and watches are silent. Single objects and writes are as usual.
    pub fn lag(&self, of: &str) {
        self.past().of = Some(of.to_owned());
        self.shared.flow.send_modify(|flow| flow.held = Some(of.to_owned()));
    }

    /// It lags no more: lists are current, and watches tell what they have held back.
    pub fn catch_up(&self) {
        self.past().of = None;
        self.shared.flow.send_modify(|flow| flow.held = None);
    }

    /// Whether a request has come with this token.
    ///
    /// # Panics
    /// When another thread failed while it held the tokens.
    pub fn saw_token(&self, token: &str) -> bool {
        self.shared.tokens.lock().expect("no panic inside").contains(token)
    }

    /// How many faults of rules have not happened yet.
    pub fn pending(&self) -> usize {
        self.script().pending()
    }

    /// Requests whose path contains this do not count as writes.
    pub fn ignore(&self, path: &str) {
        self.script().ignored.push(path.to_owned());
    }

    /// Waits until the write that [`ApiProxy::halt_after_writes`] speaks of has been answered.
    ///
    /// # Panics
    /// When the proxy ends.
    pub async fn halted(&self) {
        self.shared.halted.subscribe().wait_for(|halted| *halted).await.expect("the proxy goes on");
    }

    fn script(&self) -> std::sync::MutexGuard<'_, Script> {
        self.shared.script.lock().expect("no panic inside")
    }

    fn past(&self) -> std::sync::MutexGuard<'_, Past> {
        self.shared.past.lock().expect("no panic inside")
    }
}

/// Path and query.
fn target(request: &Request) -> String {
    request.uri().path_and_query().map_or("/", |target| target.as_str()).to_owned()
}

async fn pass(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let fault = shared.script.lock().expect("no panic inside").fault(request.method(), &target(&request));
    shared.note_token(&request);
    let answer = match fault {
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::Hold) => hold(Arc::clone(&shared), request).await,
        Some(Fault::Refuse(status)) => refusal(status),
        Some(Fault::LoseAnswer) => {
            shared.forward(request).await;
            let broken =
                futures_util::stream::once(async { Err::<Vec<u8>, _>(std::io::Error::other("lost")) });
            Response::new(Body::from_stream(broken))
        }
        Some(Fault::Mask(status)) => {
            shared.forward(request).await;
            refusal(status)
        }
        None => shared.forward(request).await,
    };
    shared.tell_halt();
    answer
}

/// An error as the API server words it.
fn refusal(status: StatusCode) -> Response {
    let body = serde_json::json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": status.as_u16(),
        "reason": status.canonical_reason().unwrap_or_default().replace(' ', ""), "message": "injected by the test",
    });
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

impl Shared {
    /// Says so once the write that everything stops after has been answered.
    fn tell_halt(&self) {
        let script = self.script.lock().expect("no panic inside");
        if script.halt_after_writes.is_some_and(|limit| script.writes >= limit) {
            self.halted.send_replace(true);
        }
    }

    fn note_token(&self, request: &Request) {
        let value = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        if let Some(token) = value.and_then(|value| value.strip_prefix("Bearer ")) {
            self.tokens.lock().expect("no panic inside").insert(token.to_owned());
        }
    }

    async fn forward(&self, request: Request) -> Response {
        let target = target(&request);
        if let Some(old) = self.remembered(&target) {
            return ([(header::CONTENT_TYPE, "application/json")], old).into_response();
        }
        let (parts, body) = request.into_parts();
        let mut headers = parts.headers;
        headers.remove(header::HOST);
        let body = axum::body::to_bytes(body, MAX_BODY).await.expect("a request of bounded size");
        let sent = self.client.request(parts.method, format!("{}{target}", self.upstream));
        match sent.headers(headers).body(body).send().await {
            Ok(answer) => self.answer(answer, target).await,
            Err(_) => StatusCode::BAD_GATEWAY.into_response(),
        }
    }

    /// What this list said last, if it is to be said again.
    fn remembered(&self, target: &str) -> Option<Bytes> {
        let past = self.past.lock().expect("no panic inside");
        past.of.as_ref().filter(|of| target.contains(*of))?;
        past.lists.get(target).cloned()
    }

    async fn answer(&self, answer: reqwest::Response, target: String) -> Response {
        let mut built = Response::builder().status(answer.status());
        for (name, value) in answer.headers() {
            if name != header::TRANSFER_ENCODING && name != header::CONTENT_LENGTH {
                built = built.header(name, value);
            }
        }
        let is_list = target.contains("limit=") && answer.status().is_success();
        let body = if target.contains("watch=") {
            let bytes = answer.bytes_stream().map_err(std::io::Error::other);
            Body::from_stream(watches::through(bytes, &self.flow, target))
        } else if is_list {
            let Ok(list) = answer.bytes().await else { return StatusCode::BAD_GATEWAY.into_response() };
            self.past.lock().expect("no panic inside").lists.insert(target, list.clone());
            Body::from(list)
        } else {
            Body::from_stream(answer.bytes_stream())
        };
        built.body(body).expect("a response")
    }
}
