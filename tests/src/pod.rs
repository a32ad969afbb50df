//! A `session-pod` process and its HTTP contract, as the gateway and the operator use it.

use std::path::{Path, PathBuf};

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use session_api::{Event, EventData, EventPage, QrCode, SessionState, SessionStatus, routes};
use tempfile::TempDir;
use tokio::process::Command;

use crate::http::{self, Answer};
use crate::process::{Process, program};
use crate::wait::eventually;

/// One session: its data directory outlives its processes.
#[derive(Debug)]
pub struct Pod {
    folder: TempDir,
    environment: Vec<(String, String)>,
    binary: PathBuf,
    mount: Option<String>,
    process: Process,
    address: String,
}

const TOKEN: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

impl Pod {
    /// Starts a session against a WhatsApp server and waits until it listens.
    pub async fn start(whatsapp_url: &str) -> Self {
        Self::start_with(whatsapp_url, &[]).await
    }

    /// [`Pod::start`] with more environment.
    pub async fn start_with(whatsapp_url: &str, more: &[(&str, &str)]) -> Self {
        Self::start_as("session-pod", whatsapp_url, more).await
    }

    /// [`Pod::start_with`], of another build of the program.
    ///
    /// # Panics
    /// When it ends before it listens.
    pub async fn start_as(name: &str, whatsapp_url: &str, more: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().expect("a folder");
        let environment = environment(whatsapp_url, more);
        let binary = program(name);
        Self::launch(folder, binary, environment, None).await
    }

    /// [`Pod::start_with`] in a mount namespace of its own: `mount` is a shell command that sees `$WAREST_DATA_DIR`.
    pub async fn start_mounted(whatsapp_url: &str, mount: &str, more: &[(&str, &str)]) -> Self {
        let environment = environment(whatsapp_url, more);
        let folder = TempDir::new().expect("a folder");
        Self::launch(folder, program("session-pod"), environment, Some(mount.to_owned())).await
    }

    async fn launch(
        folder: TempDir,
        binary: PathBuf,
        environment: Vec<(String, String)>,
        mount: Option<String>,
    ) -> Self {
        std::fs::create_dir_all(folder.path().join("data")).expect("a data directory");
        let mut process = Process::start(
            command(&binary, folder.path(), &environment, mount.as_deref()),
            &folder.path().join("log"),
        );
        let address = process.announced(&folder.path().join("address")).await;
        Self { folder, environment, binary, mount, process, address }
    }

    /// Mounts for the next process (see [`Pod::start_mounted`]).
    pub fn set_mount(&mut self, mount: Option<&str>) {
        self.mount = mount.map(str::to_owned);
    }

    /// The data directory as the process itself sees it.
    ///
    /// # Panics
    /// When it has ended.
    pub fn seen_data_dir(&self) -> PathBuf {
        let id = self.process.id().expect("it runs");
        let inside = self.data_dir();
        PathBuf::from(format!("/proc/{id}/root{}", inside.display()))
    }

    /// The session's volume.
    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// `kill -9`, then a new process on the same volume.
    pub async fn crash(&mut self) {
        self.process.kill().await;
        self.start_again().await;
    }

    /// Graceful stop, then a new process on the same volume.
    pub async fn restart(&mut self) {
        self.process.terminate();
        self.process.ended().await;
        self.start_again().await;
    }

    /// A new process on the same volume (the old one must have ended).
    pub async fn start_again(&mut self) {
        let file = self.folder.path().join("address");
        let _ = std::fs::remove_file(&file);
        let command = command(&self.binary, self.folder.path(), &self.environment, self.mount.as_deref());
        self.process = Process::start(command, &self.folder.path().join("log"));
        self.address = self.process.announced(&file).await;
    }

    /// Sets an environment variable for the next process.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// A second process on the same data directory.
    pub fn rival(&self) -> Process {
        let folder = self.folder.path();
        let mut command = command(&self.binary, folder, &self.environment, None);
        command.env("WAREST_ADDRESS_FILE", folder.join("rival-address"));
        Process::start(command, &folder.join("rival.log"))
    }

    /// A request with the session's token.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        http::client().request(method, format!("http://{}{path}", self.address)).bearer_auth(TOKEN)
    }

    /// Base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// `GET`.
    pub async fn get(&self, path: &str) -> Answer {
        http::send(self.request(Method::GET, path)).await
    }

    /// `POST` with a body.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        http::send(self.request(Method::POST, path).json(body)).await
    }

    /// The session's status.
    pub async fn status(&self) -> SessionStatus {
        serde_json::from_value(self.get(routes::STATUS).await.ok()).expect("a status")
    }

    /// Waits for a state.
    pub async fn reaches(&self, state: SessionState) -> SessionStatus {
        let seen = std::cell::RefCell::new(None);
        let seen = &seen;
        eventually(&format!("the session to be {state:?}"), || async move {
            let status = self.status().await;
            let reached = (status.state == state).then(|| status.clone());
            if seen.borrow().as_ref() != Some(&status.state) {
                seen.replace(Some(status.state));
            }
            reached
        })
        .await
    }

    /// Waits for a QR code.
    pub async fn qr(&self) -> String {
        eventually("a QR code", || async {
            let code: QrCode = serde_json::from_value(self.get(routes::QR).await.body).ok()?;
            Some(code.qr)
        })
        .await
    }

    /// Sends a text with a wait for the acknowledgement.
    pub async fn send_text(&self, to: &str, text: &str) -> Answer {
        let body = json!({"to": to, "content": {"type": "text", "text": text}});
        self.post(routes::MESSAGES, &body).await
    }

    /// The whole log after `after`.
    ///
    /// # Panics
    /// When the pod answers anything but pages of events.
    pub async fn log(&self, after: u64) -> Vec<Event> {
        let mut all = Vec::new();
        let mut next = after;
        loop {
            let path = format!("{}?after={next}&limit=1000", routes::EVENTS);
            let page: EventPage = serde_json::from_value(self.get(&path).await.ok()).expect("a page");
            if page.items.is_empty() {
                return all;
            }
            next = page.next;
            all.extend(page.items);
        }
    }

    /// Waits until the log holds an inbound message with this text.
    pub async fn receives(&self, text: &str) -> session_api::InboundMessage {
        eventually("an inbound message", || async {
            self.log(0).await.into_iter().find_map(|event| {
                let EventData::MessageReceived(message) = event.data else { return None };
                (message.text.as_deref() == Some(text)).then_some(message)
            })
        })
        .await
    }
}

fn environment(whatsapp_url: &str, more: &[(&str, &str)]) -> Vec<(String, String)> {
    let own = [("WAREST_WHATSAPP_URL", whatsapp_url)];
    let all = own.iter().chain(more);
    all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn command(binary: &Path, folder: &Path, environment: &[(String, String)], mount: Option<&str>) -> Command {
    let mut command = if let Some(mount) = mount {
        let mut command = Command::new("unshare");
        let script = format!("{mount} && exec \"$0\"");
        command.args(["--map-root-user", "--mount", "sh", "-ec", &script]).arg(binary);
        command
    } else {
        Command::new(binary)
    };
    command
        .env_remove("HTTPS_PROXY")
        .env("WAREST_SESSION_ID", "test-session")
        .env("WAREST_SESSION_UID", "5f0c7a52-8f2e-4a55-9d0e-000000000001")
        .env("WAREST_DATA_DIR", folder.join("data"))
        .env("WAREST_LISTEN", "127.0.0.1:0")
        .env("WAREST_ADDRESS_FILE", folder.join("address"))
        .env("WAREST_TOKEN", TOKEN)
        .envs(environment.iter().map(|(name, value)| (name, value)));
    command
}
