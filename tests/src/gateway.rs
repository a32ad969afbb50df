//! `api-gateway` processes, called as a web developer calls them: [`Gateway`] in local mode, [`ClusterGateway`] in a cluster.
//!
//! Comes in: where WhatsApp or the API server is. Goes out: answers of the public API. They must not be asked in any other way.

use std::ops::Deref;
use std::path::Path;

use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;

use crate::http::Answer;
use crate::process::{Process, program};
use crate::wait::eventually;

mod cluster;
mod rest;

pub use self::cluster::{ClusterGateway, KEYS_SECRET};
pub use self::rest::Rest;

/// The admin's key.
pub const ADMIN: &str = "test-admin-key";
/// A user's key.
pub const USER: &str = "user-key-1";
/// Another user's key.
pub const OTHER: &str = "user-key-2";

/// One gateway: its data directory outlives its processes.
#[derive(Debug)]
pub struct Gateway {
    folder: TempDir,
    whatsapp_url: String,
    process: Process,
    rest: Rest,
}

impl Deref for Gateway {
    type Target = Rest;

    fn deref(&self) -> &Rest {
        &self.rest
    }
}

impl Gateway {
    /// Starts a gateway whose sessions talk to this WhatsApp server, and waits until it listens.
    ///
    /// # Panics
    /// When it ends before.
    pub async fn start(whatsapp_url: &str) -> Self {
        let folder = TempDir::new().expect("a folder");
        let mut process = spawn(folder.path(), whatsapp_url);
        let address = process.announced(&folder.path().join("address")).await;
        Self { folder, whatsapp_url: whatsapp_url.to_owned(), process, rest: Rest::at(&address, ADMIN) }
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Its data directory.
    pub fn data_dir(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }

    /// Starts it again on the same data (the old process must have ended).
    pub async fn start_again(&mut self) {
        let file = self.folder.path().join("address");
        let _ = std::fs::remove_file(&file);
        self.process = spawn(self.folder.path(), &self.whatsapp_url);
        self.rest = Rest::at(&self.process.announced(&file).await, ADMIN);
    }

    /// Waits for the session's QR code.
    pub async fn qr(&self, id: &str) -> String {
        let session = self.session_is(id, "qr").await;
        if let Some(qr) = session["qr"].as_str() {
            return qr.to_owned();
        }
        eventually("a QR code", || async {
            self.get(&format!("/api/sessions/{id}")).await.body["qr"].as_str().map(str::to_owned)
        })
        .await
    }

    /// Sends a text as admin.
    pub async fn send_text(&self, id: &str, to: &str, text: &str) -> Answer {
        self.post("/api/messages/text", &json!({"sessionId": id, "to": to, "text": text})).await
    }
}

fn spawn(folder: &Path, whatsapp_url: &str) -> Process {
    let mut command = Command::new(program("api-gateway"));
    command
        .env_remove("HTTPS_PROXY")
        .env("PORT", "0")
        .env("HOST", "127.0.0.1")
        .env("DATA_DIR", folder.join("data"))
        .env("WAREST_ADDRESS_FILE", folder.join("address"))
        .env("WAREST_WHATSAPP_URL", whatsapp_url)
        .env("ADMIN_API_KEY", ADMIN)
        .env("USER_API_KEYS", format!("{USER},{OTHER}"));
    Process::start(command, &folder.join("log"))
}
