//! Baileys and whatsmeow as judges of the simulator: strict about signatures, with our root.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use super::{Client, field, folder, node};
use crate::rig::{Phone, Rig};
use crate::wait::eventually;

mod groups;

/// Whose client it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Stock Baileys 7, made to look at the answers of its own signature checks.
    Baileys7,
    /// Stock Baileys 6, which checks no certificate signature.
    Baileys6,
    /// Stock whatsmeow.
    Whatsmeow,
}

/// Which root key a judge trusts.
#[derive(Debug, Clone)]
pub enum Root {
    /// Its own: WhatsApp's.
    Builtin,
    /// This one, in hex.
    Key(String),
}

/// One client with a store of its own, which outlives its processes.
#[derive(Debug)]
pub struct Judge {
    kind: Kind,
    folder: TempDir,
    ws_url: String,
    root: Root,
    /// The authority behind the media server, as a file; without it no file goes either way.
    authority: Option<PathBuf>,
    client: Client,
}

/// A text, or a caption with a file, that a judge decrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// WhatsApp's message id.
    pub id: String,
    /// The sender's number (digits).
    pub from: String,
    /// Whether the judge's own account wrote it, on another device.
    pub from_me: bool,
    /// The group's JID; nothing between two people.
    pub chat: Option<String>,
    /// SHA-256 of the file, in hex.
    pub sha256: Option<String>,
}

impl Judge {
    /// Starts a judge that trusts the rig's root. It connects when told to.
    ///
    /// # Panics
    /// When the simulator does not tell its root, or the judge cannot be started.
    pub async fn start(kind: Kind, rig: &Rig) -> Self {
        let answer = rig.control(reqwest::Method::GET, "/root", &Value::Null).await.ok();
        let root = answer["rootPublicKey"].as_str().expect("a root key").to_owned();
        let folder = TempDir::new().expect("a folder");
        let authority = folder.path().join("ca.pem");
        std::fs::write(&authority, answer["caPem"].as_str().expect("an authority")).expect("it is written");
        Self::begin(kind, rig, Root::Key(root), (folder, Some(authority)))
    }

    /// [`Judge::start`] with another trust.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start_with(kind: Kind, rig: &Rig, root: Root) -> Self {
        Self::begin(kind, rig, root, (TempDir::new().expect("a folder"), None))
    }

    fn begin(kind: Kind, rig: &Rig, root: Root, (folder, authority): (TempDir, Option<PathBuf>)) -> Self {
        let ws_url = rig.ws_url();
        let client = spawn(kind, &folder, &ws_url, (&root, authority.as_deref()));
        Self { kind, folder, ws_url, root, authority, client }
    }

    fn spawn_again(&mut self) {
        self.client = spawn(self.kind, &self.folder, &self.ws_url, (&self.root, self.authority.as_deref()));
    }

    /// The process below.
    pub fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// Connects with what its store has.
    pub async fn connect(&mut self) {
        self.client.command(&json!({"cmd": "connect"})).await;
    }

    /// Waits until it is logged in and gives its own number.
    pub async fn open(&mut self) -> String {
        self.client.expect("open", |event| field(event, "open", "me")).await
    }

    /// Connects, shows its QR code to the phone, logs in; gives the device's id.
    ///
    /// # Panics
    /// When it is linked to another account than the phone's.
    pub async fn pair(&mut self, phone: &Phone) -> u64 {
        self.connect().await;
        let qr = self.client.expect("a QR code", |event| field(event, "qr", "qr")).await;
        let device = phone.scan(&qr).await;
        let paired = self.client.expect("paired", |event| field(event, "paired", "me")).await;
        assert_eq!((paired, self.open().await), (phone.number.clone(), phone.number.clone()));
        device
    }

    /// Connects, shows a link code that the phone's person types in, logs in.
    ///
    /// # Panics
    /// When it is linked to another account than the phone's.
    pub async fn pair_by_link_code(&mut self, phone: &Phone) {
        self.connect().await;
        self.client.expect("a QR code", |event| field(event, "qr", "qr")).await;
        self.client.command(&json!({"cmd": "link_code", "phone": phone.number})).await;
        let code = self.client.expect("a link code", |event| field(event, "link_code", "linkCode")).await;
        // Baileys shows a code as soon as it has sent the news of it.
        let typed = eventually("the server to know of the code", || async {
            Some(phone.link_code(&code).await).filter(|answer| answer.status != 404)
        });
        typed.await.ok();
        let paired = self.client.expect("paired", |event| field(event, "paired", "me")).await;
        assert_eq!((paired, self.open().await), (phone.number.clone(), phone.number.clone()));
    }

    /// Ends the process, loses all Signal sessions, as a restored backup would, and logs in again: what comes for them
    /// cannot be decrypted until its sender was asked to send it again.
    pub async fn lose_sessions(&mut self) {
        self.lose("session-", "whatsmeow_sessions").await;
    }

    /// The same with the keys of groups: what members write under the keys that they have given out cannot be decrypted.
    pub async fn lose_group_keys(&mut self) {
        self.lose("sender-key-", "whatsmeow_sender_keys").await;
    }

    async fn lose(&mut self, files: &str, table: &str) {
        self.stop().await;
        match self.kind {
            Kind::Baileys6 | Kind::Baileys7 => remove_files(self.folder.path(), files),
            Kind::Whatsmeow => remove_rows(&self.folder.path().join("whatsmeow.db"), table),
        }
        self.spawn_again();
        self.client.tolerate("undecryptable");
        self.connect().await;
        self.open().await;
    }

    /// Waits until it says that it could not decrypt this message.
    pub async fn cannot_decrypt(&mut self, id: &str) {
        let failed = |event: &Value| (event["event"] == "undecryptable" && event["id"] == id).then_some(());
        self.client.expect("a message that cannot be decrypted", failed).await;
    }

    /// Sends a text and gives its id once the server acknowledged it.
    pub async fn send(&mut self, to: &str, text: &str) -> String {
        let reference = self.ask(json!({"cmd": "send", "to": to, "text": text})).await;
        self.acknowledged(reference).await
    }

    /// Sends a picture (it is uploaded first) and gives the message's id once the server acknowledged it.
    pub async fn send_image(&mut self, to: &str, base64: &str, caption: &str) -> String {
        let command = json!({"cmd": "send_image", "to": to, "base64": base64, "mimeType": "image/png", "caption": caption});
        let reference = self.ask(command).await;
        self.acknowledged(reference).await
    }

    async fn acknowledged(&mut self, reference: u64) -> String {
        let sent = |event: &Value| (event["ref"] == reference).then(|| field(event, "sent", "id"))?;
        self.client.expect("the server's acknowledgement", sent).await
    }

    /// Gives a command that is answered, with a reference of its own.
    async fn ask(&mut self, mut command: Value) -> u64 {
        static REF: AtomicU64 = AtomicU64::new(1);
        let reference = REF.fetch_add(1, Ordering::Relaxed);
        command["ref"] = reference.into();
        self.client.command(&command).await;
        reference
    }

    /// Waits for a text.
    pub async fn receives(&mut self, text: &str) -> Received {
        let message = |event: &Value| {
            (event["text"] == text).then_some(())?;
            Some(Received {
                id: field(event, "message", "id")?,
                from: field(event, "message", "from")?,
                from_me: event["fromMe"] == true,
                chat: field(event, "message", "chat"),
                sha256: event["media"]["sha256"].as_str().map(str::to_owned),
            })
        };
        self.client.expect(&format!("the text {text:?}"), message).await
    }

    /// Marks a message that it received as read.
    pub async fn read(&mut self, id: &str) {
        self.client.command(&json!({"cmd": "read", "id": id})).await;
    }

    /// Waits for a receipt (`delivered`, `read`) for a message that it sent.
    pub async fn receipt(&mut self, id: &str, status: &str) {
        let found = |event: &Value| {
            (event["event"] == "receipt" && event["id"] == id && event["status"] == status).then_some(())
        };
        self.client.expect(&format!("the receipt {status}"), found).await;
    }

    /// Logs out.
    pub async fn logout(&mut self) {
        self.client.command(&json!({"cmd": "logout"})).await;
        self.logged_out().await;
    }

    /// Waits until it knows that it is logged out.
    pub async fn logged_out(&mut self) {
        self.client.expect("logged out", |event| (event["event"] == "logged_out").then_some(())).await;
    }

    /// Waits until its connection ended and gives the reason.
    pub async fn closed(&mut self) -> String {
        self.client.expect("closed", |event| field(event, "closed", "reason")).await
    }

    /// Ends the process (its store stays).
    pub async fn stop(&mut self) {
        self.client.stop().await;
    }

    /// A new process on the same store, logged in.
    pub async fn start_again(&mut self) {
        self.spawn_again();
        self.connect().await;
        self.open().await;
    }
}

fn spawn(kind: Kind, folder_: &TempDir, ws_url: &str, (root, authority): (&Root, Option<&Path>)) -> Client {
    let mut command = match kind {
        Kind::Baileys7 => node("baileys7"),
        Kind::Baileys6 => node("baileys6"),
        Kind::Whatsmeow => Command::new(folder("whatsmeow").join("judge")),
    };
    command.env("WS_URL", ws_url).env("STATE_DIR", folder_.path());
    match root {
        Root::Builtin => command.env_remove("ROOT_PUBLIC_KEY"),
        Root::Key(key) => command.env("ROOT_PUBLIC_KEY", key),
    };
    if let Some(file) = authority {
        command.env("NODE_EXTRA_CA_CERTS", file).env("SSL_CERT_FILE", file);
    }
    Client::start(command, &folder_.path().join("stderr.log"))
}

fn remove_files(store: &Path, prefix: &str) {
    let files = std::fs::read_dir(store).expect("the store is read").flatten();
    let named = files.filter(|file| file.file_name().to_string_lossy().starts_with(prefix));
    let lost = named.map(|file| std::fs::remove_file(file.path()).expect("it is removed")).count();
    assert!(lost > 0, "it had none");
}

fn remove_rows(store: &Path, table: &str) {
    let store = rusqlite::Connection::open(store).expect("the store opens");
    let lost = store.execute(&format!("DELETE FROM {table}"), []).expect("they are removed");
    assert!(lost > 0, "it had none");
}
