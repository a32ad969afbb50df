//! The simulator of one test and what people do with the phones on it, through its control API.

use reqwest::Method;
use serde_json::{Value, json};
use session_api::SessionState;
use simulator::{Config, Simulator};
use tempfile::TempDir;
use tokio::process::Command;

use crate::http::{self, Answer};
use crate::pod::Pod;
use crate::process::{Process, program};
use crate::wait::eventually;

/// A WhatsApp server of its own.
#[derive(Debug)]
pub struct Rig {
    control: String,
    ws: String,
    server: Server,
}

/// Where the server runs; it ends with the rig.
#[derive(Debug)]
enum Server {
    Inside(Simulator),
    Program { _process: Process, _folder: TempDir },
    Elsewhere,
}

/// A phone on it.
#[derive(Debug, Clone)]
pub struct Phone {
    /// Its number, digits.
    pub number: String,
    control: String,
}

impl Rig {
    /// Starts a simulator on free ports.
    pub async fn start() -> Self {
        Self::start_with(Config::default()).await
    }

    /// Starts a simulator with a configuration.
    ///
    /// # Panics
    /// When it cannot start.
    pub async fn start_with(config: Config) -> Self {
        let simulator = Simulator::start(config).await.expect("the simulator starts");
        let (control, ws) = (simulator.control_url(), simulator.ws_url());
        Self { control, ws, server: Server::Inside(simulator) }
    }

    /// Starts the program `simulator` as a process of its own, so that its work is not counted as the test's.
    ///
    /// # Panics
    /// When it cannot start.
    pub async fn start_program() -> Self {
        let folder = TempDir::new().expect("a folder");
        let file = folder.path().join("announced");
        let mut command = Command::new(program("simulator"));
        command.args(["--control-listen", "127.0.0.1:0", "--announce-file"]).arg(&file);
        let mut process = Process::start(command, &folder.path().join("log"));
        let announced: Value = serde_json::from_str(&process.announced(&file).await).expect("JSON");
        let url = |name: &str| announced[name].as_str().expect("a URL").to_owned();
        Self {
            control: url("control"),
            ws: url("ws"),
            server: Server::Program { _process: process, _folder: folder },
        }
    }

    /// A simulator that somebody else runs: the URLs of its control API and its WebSocket.
    pub fn at(control: &str, ws: &str) -> Self {
        Self { control: control.to_owned(), ws: ws.to_owned(), server: Server::Elsewhere }
    }

    /// The simulator inside this process.
    ///
    /// # Panics
    /// When it is not inside.
    pub fn simulator(&self) -> &Simulator {
        match &self.server {
            Server::Inside(simulator) => simulator,
            Server::Program { .. } | Server::Elsewhere => panic!("the simulator is not inside this process"),
        }
    }

    /// Its control API.
    pub fn control_url(&self) -> String {
        self.control.clone()
    }

    /// Its WebSocket.
    pub fn ws_url(&self) -> String {
        self.ws.clone()
    }

    /// A call of the control API.
    pub async fn control(&self, method: Method, path: &str, body: &Value) -> Answer {
        http::json(method, &format!("{}{path}", self.control), body).await
    }

    /// A new phone.
    pub async fn phone(&self) -> Phone {
        let phone = self.control(Method::POST, "/phones", &json!({})).await.ok();
        let number = phone["number"].as_str().expect("a number").to_owned();
        Phone { number, control: self.control.clone() }
    }

    /// A phone that is there already, by its number.
    pub fn known(&self, number: &str) -> Phone {
        Phone { number: number.to_owned(), control: self.control.clone() }
    }

    /// A session that is paired with a new phone and open.
    pub async fn paired_pod(&self) -> (Pod, Phone) {
        let pod = Pod::start(&self.ws_url()).await;
        let phone = self.phone().await;
        phone.scan(&pod.qr().await).await;
        pod.reaches(SessionState::Open).await;
        (pod, phone)
    }

    /// Adds a fault.
    pub async fn fault(&self, fault: &Value) {
        self.control(Method::POST, "/faults", fault).await.ok();
    }

    /// Removes all faults.
    pub async fn heal(&self) {
        self.control(Method::DELETE, "/faults", &Value::Null).await.ok();
    }

    /// Asserts that the simulator understood every stanza.
    ///
    /// # Panics
    /// When it did not.
    pub async fn nothing_unknown(&self) {
        let unknown = self.control(Method::GET, "/unknown", &Value::Null).await.ok();
        assert_eq!(unknown["items"], json!([]), "stanzas that the simulator does not know");
    }
}

impl Phone {
    async fn call(&self, method: Method, path: &str, body: &Value) -> Answer {
        http::json(method, &format!("{}/phones/{}{path}", self.control, self.number), body).await
    }

    /// Scans a QR code and gives the new device's id.
    ///
    /// # Panics
    /// When the simulator refuses it.
    pub async fn scan(&self, qr: &str) -> u64 {
        self.call(Method::POST, "/scan", &json!({"qr": qr})).await.ok()["deviceId"].as_u64().expect("an id")
    }

    /// Types a link code.
    pub async fn link_code(&self, code: &str) -> Answer {
        self.call(Method::POST, "/link-code", &json!({"code": code})).await
    }

    /// Writes a text and gives its id.
    ///
    /// # Panics
    /// When the simulator refuses it.
    pub async fn send(&self, to: &str, text: &str) -> String {
        let sent = self.call(Method::POST, "/messages", &json!({"to": to, "text": text})).await.ok();
        sent["id"].as_str().expect("an id").to_owned()
    }

    /// Marks messages as read.
    pub async fn read(&self, ids: &[&str]) {
        self.call(Method::POST, "/read", &json!({"ids": ids})).await.ok();
    }

    /// Removes a linked device.
    pub async fn unlink(&self, device: u64) {
        self.call(Method::DELETE, &format!("/devices/{device}"), &Value::Null).await.ok();
    }

    /// All that the phone shows.
    ///
    /// # Panics
    /// When the simulator does not answer with a list.
    pub async fn inbox(&self) -> Vec<Value> {
        let page = self.call(Method::GET, "/messages?since=0", &Value::Null).await.ok();
        page["items"].as_array().expect("a list").clone()
    }

    /// Waits until the phone shows a message with this text that it got.
    pub async fn receives(&self, text: &str) -> Value {
        eventually("the phone to show a message", || async {
            self.inbox().await.into_iter().find(|entry| entry["text"] == text && entry["fromMe"] == false)
        })
        .await
    }
}
