//! A headless Chromium, used by what a person sees.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Client, node};

/// One browser with one page and a profile of its own.
#[derive(Debug)]
pub struct Browser {
    client: Client,
    _folder: TempDir,
    calls: u64,
}

impl Browser {
    /// Starts it.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start() -> Self {
        let folder = TempDir::new().expect("a folder");
        let mut command = node("browser");
        command.env("STATE_DIR", folder.path().join("profile"));
        Self { client: Client::start(command, &folder.path().join("stderr.log")), _folder: folder, calls: 0 }
    }

    /// Opens a page.
    pub async fn open(&mut self, url: &str) {
        self.perform(json!({"cmd": "open", "url": url})).await;
    }

    /// Types into the field with this label, inside the element `within` (CSS).
    pub async fn fill(&mut self, within: &str, label: &str, text: &str) {
        self.perform(json!({"cmd": "fill", "within": within, "label": label, "text": text})).await;
    }

    /// Presses the button with this name, inside the element `within` (CSS).
    pub async fn click(&mut self, within: &str, button: &str) {
        self.perform(json!({"cmd": "click", "within": within, "button": button})).await;
    }

    /// Waits until a text can be seen inside the element `within` (CSS).
    pub async fn see(&mut self, within: &str, text: &str) {
        self.perform(json!({"cmd": "see", "within": within, "text": text})).await;
    }

    /// Waits until an element (CSS) can be seen.
    pub async fn see_element(&mut self, element: &str) {
        self.perform(json!({"cmd": "see", "element": element})).await;
    }

    /// Asserts that there is no such element (CSS), seen or not.
    pub async fn missing(&mut self, element: &str) {
        self.perform(json!({"cmd": "missing", "element": element})).await;
    }

    /// What a camera reads from the QR code on the page, once it is another than `not`.
    ///
    /// # Panics
    /// When none can be read.
    pub async fn scan(&mut self, not: Option<&str>) -> String {
        let done = self.perform(json!({"cmd": "scan", "not": not})).await;
        done["qr"].as_str().expect("a text").to_owned()
    }

    /// Saves what the page looks like and gives its URL.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub async fn screenshot(&mut self, path: &Path) -> String {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("the folder is made");
        let done = self.perform(json!({"cmd": "screenshot", "path": path})).await;
        done["url"].as_str().expect("a URL").to_owned()
    }

    /// Closes it.
    pub async fn stop(&mut self) {
        self.client.stop().await;
    }

    async fn perform(&mut self, mut command: Value) -> Value {
        self.calls += 1;
        let call = self.calls;
        command["ref"] = json!(call);
        self.client.command(&command).await;
        let done = |event: &Value| (event["event"] == "done" && event["ref"] == call).then(|| event.clone());
        self.client.expect(&format!("{command}"), done).await
    }
}
