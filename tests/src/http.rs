//! JSON over HTTP for tests: one call, one status, one value.

use std::sync::OnceLock;
use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;

/// A status code and a body. A body that is no JSON is given as a JSON string.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Value,
}

impl Answer {
    /// The body of a success.
    ///
    /// # Panics
    /// When the status is not 2xx.
    #[track_caller]
    pub fn ok(self) -> Value {
        assert!((200..300).contains(&self.status), "status {}: {}", self.status, self.body);
        self.body
    }

    /// Asserts an error of this status and code in the one envelope, and gives its sentence.
    ///
    /// # Panics
    /// When it is another answer.
    #[track_caller]
    pub fn error(self, status: u16, code: &str) -> String {
        assert_eq!((self.status, self.body["code"].as_str()), (status, Some(code)), "{}", self.body);
        assert_eq!(self.body["ok"], false, "{}", self.body);
        let sentence = self.body["error"].as_str().unwrap_or_default().to_owned();
        assert!(!sentence.is_empty(), "an error without a sentence: {}", self.body);
        sentence
    }
}

/// The process-wide client.
pub fn client() -> &'static Client {
    static CLIENT: OnceLock<Client> = OnceLock::new();
    CLIENT.get_or_init(|| {
        // A second caller may have installed it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Client::builder().no_proxy().timeout(Duration::from_mins(2)).build().unwrap()
    })
}

/// Sends a request and reads the whole answer.
///
/// # Panics
/// When the server cannot be reached.
pub async fn send(request: RequestBuilder) -> Answer {
    let response = request.send().await.expect("the server answers");
    let status = response.status().as_u16();
    let text = response.text().await.expect("the body arrives");
    Answer { status, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) }
}

/// Sends JSON (or, with `Value::Null`, no body).
pub async fn json(method: Method, url: &str, body: &Value) -> Answer {
    let request = client().request(method, url);
    send(if body.is_null() { request } else { request.json(body) }).await
}
