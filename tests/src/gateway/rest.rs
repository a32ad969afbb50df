//! The public API of one gateway.

use reqwest::Method;
use serde_json::Value;

use crate::http::{self, Answer};
use crate::wait::eventually;

/// A gateway's address, and the key of its admin.
#[derive(Debug)]
pub struct Rest {
    url: String,
    admin: String,
}

impl Rest {
    /// The gateway that listens on `host:port`, and its admin's key.
    pub fn at(address: &str, admin: &str) -> Self {
        Self { url: format!("http://{address}"), admin: admin.to_owned() }
    }

    /// Base URL, `http://127.0.0.1:<port>`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A call with a key; `Value::Null` sends no body.
    pub async fn call(&self, key: &str, method: Method, path: &str, body: &Value) -> Answer {
        let request = http::client().request(method, format!("{}{path}", self.url)).header("X-API-Key", key);
        http::send(if body.is_null() { request } else { request.json(body) }).await
    }

    /// `GET` as admin.
    pub async fn get(&self, path: &str) -> Answer {
        self.call(&self.admin, Method::GET, path, &Value::Null).await
    }

    /// `POST` as admin.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call(&self.admin, Method::POST, path, body).await
    }

    /// Waits until a session has this status.
    pub async fn session_is(&self, id: &str, status: &str) -> Value {
        eventually(&format!("session {id} to be {status}"), || async {
            let answer = self.get(&format!("/api/sessions/{id}")).await;
            (answer.body["status"] == status).then_some(answer.body)
        })
        .await
    }
}
