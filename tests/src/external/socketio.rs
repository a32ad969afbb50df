//! The stock `socket.io-client` as a judge of the gateway.

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Client, field, node};
use crate::gateway::Rest;

/// How a key travels in the handshake.
#[derive(Debug, Clone, Copy)]
pub enum Via {
    /// `auth: {apiKey}`.
    Auth,
    /// The header `X-API-Key`.
    Header,
}

/// One client.
#[derive(Debug)]
pub struct SocketIo {
    client: Client,
    _folder: TempDir,
}

impl SocketIo {
    /// Starts one; it connects when told to.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(gateway: &Rest) -> Self {
        let folder = TempDir::new().expect("a folder");
        let mut command = node("socketio");
        command.env("GATEWAY_URL", gateway.url());
        Self { client: Client::start(command, &folder.path().join("stderr.log")), _folder: folder }
    }

    /// Starts one that is connected with this key.
    pub async fn connected(gateway: &Rest, key: &str) -> Self {
        let mut client = Self::start(gateway);
        client.connect(Some(key), Via::Auth, &["polling", "websocket"]).await;
        client.accepted().await;
        client
    }

    /// Connects over these transports, with a key or without.
    pub async fn connect(&mut self, key: Option<&str>, via: Via, transports: &[&str]) {
        let via = match via {
            Via::Auth => "auth",
            Via::Header => "header",
        };
        let command = json!({"cmd": "connect", "apiKey": key, "via": via, "transports": transports});
        self.client.command(&command).await;
    }

    /// Waits until the gateway took it; gives the transport that it began with.
    pub async fn accepted(&mut self) -> String {
        self.client.expect("connected", |event| field(event, "connected", "transport")).await
    }

    /// Waits until the gateway refused it; gives the reason.
    pub async fn refused(&mut self) -> String {
        self.client.expect("connect_error", |event| field(event, "refused", "message")).await
    }

    /// Asks for a room and gives the acknowledgement.
    pub async fn join(&mut self, room: &Value) -> Value {
        self.client.command(&json!({"cmd": "join", "room": room})).await;
        let joined = |event: &Value| (event["event"] == "joined").then(|| event["answer"].clone());
        self.client.expect("the acknowledgement", joined).await
    }

    /// Waits for an event of this name whose data satisfies `wanted`; gives the data.
    pub async fn emitted(&mut self, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let found = |event: &Value| {
            (event["event"] == "server" && event["name"] == name && wanted(&event["data"]))
                .then(|| event["data"].clone())
        };
        self.client.expect(&format!("the event {name}"), found).await
    }

    /// Names of the events that were received and not taken.
    pub fn others(&self) -> Vec<String> {
        self.client.kept().filter_map(|event| field(event, "server", "name")).collect()
    }
}
