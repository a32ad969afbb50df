//! A proxy in front of an API server that injects faults: the operator or the gateway talks to it in plain HTTP with a token.
//!
//! Comes in: the API server's address and CA. Goes out: a kubeconfig's `server`, and faults:
//! refused, failing after the commit or black-holed requests, silent watches, and a halt after the n-th write.
//! It judges nothing: what must hold is the test's to say.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::StreamExt as _;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Largest request that is passed on, in bytes.
const MAX_BODY: usize = 4 * 1024 * 1024;

fn is_write(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// What happens to a request.
#[derive(Debug, Clone)]
pub enum Fault {
    /// It is answered with this status, and the API server never sees it.
    Refuse(StatusCode),
    /// The API server carries it out; the caller's connection breaks off before the answer.
    LoseAnswer,
    /// The API server carries it out; the caller sees this status.
    Mask(StatusCode),
    /// Nothing comes back, ever.
    Hang,
}

/// Which requests a fault is for.
#[derive(Debug, Clone)]
pub struct Rule {
    /// The method; none: any.
    pub method: Option<Method>,
    /// What the path must contain.
    pub path: String,
    /// How many fitting requests are let through first.
    pub skip: usize,
    /// How many it is for after that.
    pub count: usize,
    /// What happens to them.
    pub fault: Fault,
}

impl Rule {
    /// The next `count` requests of this method whose path contains `path`.
    pub fn next(method: Method, path: &str, count: usize, fault: Fault) -> Self {
        Self { method: Some(method), path: path.to_owned(), skip: 0, count, fault }
    }

    fn fits(&self, method: &Method, path: &str) -> bool {
        self.method.as_ref().is_none_or(|m| m == method) && path.contains(&self.path)
    }
}

#[derive(Debug, Default)]
struct Script {
    rules: Vec<Rule>,
    ignored: Vec<String>,
    writes: usize,
    halt_after_writes: Option<usize>,
}

impl Script {
    /// The fault for this request, if any; counts it.
    fn fault(&mut self, method: &Method, path: &str) -> Option<Fault> {
        let counts = is_write(method) && !self.ignored.iter().any(|ignored| path.contains(ignored));
        if self.halt_after_writes.is_some_and(|limit| self.writes >= limit) {
            return Some(Fault::Hang);
        }
        let mut found = None;
        for rule in self.rules.iter_mut().filter(|r| r.fits(method, path)) {
            if rule.skip > 0 {
                rule.skip -= 1;
            } else if rule.count > 0 && found.is_none() {
                rule.count -= 1;
                found = Some(rule.fault.clone());
            }
        }
        // A lost or masked answer is a write all the same; a refused one never was.
        if counts && !matches!(found, Some(Fault::Refuse(_) | Fault::Hang)) {
            self.writes += 1;
        }
        found
    }
}

#[derive(Debug)]
struct Shared {
    upstream: String,
    client: reqwest::Client,
    script: Mutex<Script>,
    halted: watch::Sender<bool>,
    watches_flow: watch::Sender<bool>,
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
            watches_flow: watch::Sender::new(true),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let app = Router::new().fallback(pass).with_state(shared.clone());
        let task = tokio::spawn(async move {
            axum::serve(listener, app).await.expect("the proxy serves");
        });
        Self { address, shared, task }
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

    /// From its `limit`-th write on, counted from now, nothing is answered any more (that write still is).
    pub fn halt_after_writes(&self, limit: usize) {
        let mut script = self.script();
        script.halt_after_writes = Some(script.writes + limit);
    }

    /// Watches stay open and say nothing (or speak again).
    pub fn freeze_watches(&self, frozen: bool) {
        self.shared.watches_flow.send_replace(!frozen);
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
}

async fn pass(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let fault = shared.script.lock().expect("no panic inside").fault(request.method(), request.uri().path());
    let answer = match fault {
        Some(Fault::Hang) => std::future::pending().await,
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

    async fn forward(&self, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let target = parts.uri.path_and_query().map_or("/", |p| p.as_str());
        let is_watch = parts.uri.query().is_some_and(|q| q.contains("watch="));
        let mut headers = parts.headers;
        headers.remove(header::HOST);
        let body = axum::body::to_bytes(body, MAX_BODY).await.expect("a request of bounded size");
        let sent = self.client.request(parts.method, format!("{}{target}", self.upstream));
        match sent.headers(headers).body(body).send().await {
            Ok(answer) => self.answer(answer, is_watch),
            Err(_) => StatusCode::BAD_GATEWAY.into_response(),
        }
    }

    fn answer(&self, answer: reqwest::Response, is_watch: bool) -> Response {
        let mut built = Response::builder().status(answer.status());
        for (name, value) in answer.headers() {
            if name != header::TRANSFER_ENCODING && name != header::CONTENT_LENGTH {
                built = built.header(name, value);
            }
        }
        let flow = self.watches_flow.subscribe();
        let stream = answer.bytes_stream().then(move |chunk| {
            let mut flow = flow.clone();
            async move {
                if is_watch {
                    // An error means that the proxy has ended.
                    let _ = flow.wait_for(|flows| *flows).await;
                }
                chunk
            }
        });
        built.body(Body::from_stream(stream)).expect("a response")
    }
}
