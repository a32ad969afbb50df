//! A router on a data directory of its own, called without a port.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use api_gateway::app::{AppState, Shared, app};
use api_gateway::closing::Closing;
use api_gateway::cluster::board::Board;
use api_gateway::config::Origins;
use api_gateway::directory::SessionDirectory;
use api_gateway::directory::local::store::Store;
use api_gateway::directory::local::{LocalDirectory, LocalSettings};
use api_gateway::health::Probe;
use api_gateway::keys::Keys;
use api_gateway::keys::ring::KeyRing;
use api_gateway::metrics::Metrics;
use api_gateway::monitor::Monitor;
use api_gateway::pod_client::PodClient;
use api_gateway::settings::Settings;
use api_gateway::settings::local::LocalSettingsStore;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode};
use serde_json::Value;
use tower::ServiceExt as _;

pub(crate) const ADMIN: &str = "test-admin-key";
pub(crate) const USER: &str = "user-key-1";
pub(crate) const OTHER: &str = "user-key-2";

/// A gateway without a port.
pub(crate) struct Rig {
    router: Router,
    pub(crate) directory: Arc<dyn SessionDirectory>,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) closing: Closing,
}

/// What it answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    /// The body as JSON, whatever the status.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_default()
    }

    /// The body of a good answer.
    #[track_caller]
    pub(crate) fn ok(&self) -> Value {
        assert!(self.status.is_success(), "{} {}", self.status, String::from_utf8_lossy(&self.bytes));
        self.json()
    }

    /// Asserts an error in its envelope and gives the body.
    #[track_caller]
    pub(crate) fn error(&self, status: u16, code: &str) -> Value {
        let body = self.json();
        assert_eq!((self.status.as_u16(), body["code"].as_str()), (status, Some(code)), "{body}");
        assert_eq!(body["ok"], false);
        assert!(body["error"].as_str().is_some_and(|sentence| sentence.len() > 5), "{body}");
        body
    }
}

impl Rig {
    /// A gateway whose sessions' processes announce this address.
    pub(crate) fn with_pods_at(address: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = pod_script(folder.path(), &format!("echo {address}"));
        let settings = LocalSettings {
            program,
            environment: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
            auto_reply: false,
            max_sessions: 5,
            token_key: [1; 32],
            on_exit: Arc::new(|| ()),
        };
        let data = folder.path().join("data");
        let store = Store::open(&data).unwrap();
        let directory: Arc<dyn SessionDirectory> = Arc::new(LocalDirectory::open(store, settings).unwrap());
        let pods = PodClient::new().unwrap();
        let (monitor, told) = Monitor::new(Arc::clone(&directory), pods.clone());
        tokio::spawn(Arc::clone(&monitor).follow());
        let keys = Keys::new(ADMIN, &[USER.to_owned(), OTHER.to_owned()]).unwrap();
        let origins = Origins::Listed(vec![HeaderValue::from_static("https://shop.example")]);
        let (metrics, probe) = (Arc::new(Metrics::default()), Probe::new(&data).unwrap());
        let limits = Settings { window_ms: 60_000, max: 120, webhook_url: None, webhook_secret: None };
        let settings = LocalSettingsStore::open(&data, limits).unwrap();
        let closing = Closing::default();
        let shared = Shared {
            keys: KeyRing::of(keys),
            settings: Arc::new(settings),
            board: Arc::new(Board::default()),
            directory: Arc::clone(&directory),
            pods,
            monitor,
            metrics,
            probe,
            origins,
            started: Instant::now(),
            closing: closing.clone(),
        };
        let (router, io) = app(AppState::new(shared));
        tokio::spawn(api_gateway::socketio::speak(io, told));
        Self { router, directory, folder, closing }
    }

    /// A gateway whose sessions' processes are never reached.
    pub(crate) fn start() -> Self {
        Self::with_pods_at("127.0.0.1:9")
    }

    /// All that it answers, to be served.
    pub(crate) fn router(&self) -> Router {
        self.router.clone()
    }

    /// Sends a request.
    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, 64 * 1024 * 1024).await.unwrap().to_vec();
        Answer { status: parts.status, headers: parts.headers, bytes }
    }

    /// A call with a key and a JSON body (none if it is null).
    pub(crate) async fn call(&self, key: &str, method: &str, path: &str, body: Value) -> Answer {
        let request = Request::builder().method(method).uri(path).header("X-API-Key", key);
        let request = if body.is_null() {
            request.body(Body::empty())
        } else {
            request.header("Content-Type", "application/json").body(Body::from(body.to_string()))
        };
        self.send(request.unwrap()).await
    }

    /// `GET` as admin.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(ADMIN, "GET", path, Value::Null).await
    }

    /// `POST` as admin.
    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(ADMIN, "POST", path, body).await
    }
}

/// A session program that announces an address (the output of a command) and stays until its input closes.
pub(crate) fn pod_script(folder: &Path, address: &str) -> std::path::PathBuf {
    let (draft, program) = (folder.join("draft"), folder.join("session-pod"));
    let file = "$WAREST_ADDRESS_FILE";
    let script = format!("#!/bin/sh\n{address} > \"{file}.new\"\nmv \"{file}.new\" \"{file}\"\nexec cat\n");
    std::fs::write(&draft, script).unwrap();
    // Another process writes the program: one that a test beside this one starts may hold open what this one writes.
    let installed = Command::new("install").arg("-m700").args([&draft, &program]).status().unwrap();
    assert!(installed.success());
    program
}

/// Waits until `look` finds something, for a bounded time.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let search = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), search)
        .await
        .unwrap_or_else(|_| panic!("no {what} in time"))
}
