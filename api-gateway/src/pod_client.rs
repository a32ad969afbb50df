//! Calls to the one process that runs a session.
//!
//! Comes in: an endpoint and a request of the crate `session-api`. Goes out: its answer, or why there is none. Only opening
//! the connection is tried again: a request that was sent may have been carried out. Every answer must name the session that was meant.

mod eviction;

use std::time::Duration;

use reqwest::header::ACCEPT;
use reqwest::{Method, RequestBuilder, Response};
use serde::de::DeserializeOwned;
use session_api::{
    ErrorBody, EventsQuery, PairingCode, PairingCodeRequest, QrCode, SendRequest, SendResponse,
    SessionStatus, StatusQuery, UID_HEADER, routes,
};

use self::eviction::Evicted;
use crate::directory::PodEndpoint;

/// Longest wait for a connection.
const DIAL: Duration = Duration::from_secs(2);
/// Waits between the tries to open a connection.
const DIAL_AGAIN: [Duration; 3] =
    [Duration::from_millis(50), Duration::from_millis(150), Duration::from_millis(300)];
/// How long a connection may idle before it is used again: shorter than any process keeps one open, so that a request
/// never meets a connection that is just being closed.
const IDLE: Duration = Duration::from_secs(3);
/// Longest wait for a short answer.
const SHORT: Duration = Duration::from_secs(5);
/// Longest wait for an answer that waits for WhatsApp.
const LONG: Duration = Duration::from_secs(65);
/// Largest answer that is read, in bytes.
const MAX_ANSWER: usize = 32 * 1024 * 1024;

/// Why a session's process gave no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub enum PodError {
    /// No connection: nothing was sent.
    #[error("the session's process cannot be reached: {0}")]
    Unreachable(reqwest::Error),
    /// The last connection was not answered at all, so none is tried for a moment: nothing was sent.
    #[error("the session's process was not to be reached a moment ago")]
    Evicted,
    /// Sent, but not answered: it may have been carried out.
    #[error("the session's process did not answer: {0}")]
    NoAnswer(reqwest::Error),
    /// Another session's process answered, or one that does not know the token. Nothing was carried out.
    #[error("another session's process answers at the session's address")]
    WrongSession,
    /// It refused.
    #[error("the session refused: {} ({})", body.error, body.code)]
    Refused {
        /// HTTP status.
        status: u16,
        /// Its own words.
        body: Box<ErrorBody>,
    },
    /// The answer is not of the contract.
    #[error("the session's answer is not understood: {0}")]
    NotUnderstood(String),
}

/// Calls session processes.
#[derive(Debug, Clone)]
pub struct PodClient {
    http: reqwest::Client,
    evicted: Evicted,
}

impl PodClient {
    /// A client. It uses no proxy: the processes are near.
    pub fn new() -> Result<Self, reqwest::Error> {
        // Pods are called without TLS; the client wants a provider all the same. An error says that there is one.
        let _already = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().connect_timeout(DIAL).pool_idle_timeout(IDLE);
        // Whoever answers with a redirect would be sent the message a second time, elsewhere.
        let http = http.redirect(reqwest::redirect::Policy::none()).build()?;
        Ok(Self { http, evicted: Evicted::default() })
    }

    /// How the session is; with `since` and `wait` a long poll.
    pub async fn status(&self, pod: &PodEndpoint, query: StatusQuery) -> Result<SessionStatus, PodError> {
        let patience = SHORT + Duration::from_secs(query.wait.unwrap_or_default());
        self.json(pod, self.request(pod, Method::GET, routes::STATUS).query(&query).timeout(patience)).await
    }

    /// The QR code that waits for a phone.
    pub async fn qr(&self, pod: &PodEndpoint) -> Result<QrCode, PodError> {
        self.json(pod, self.request(pod, Method::GET, routes::QR).timeout(SHORT)).await
    }

    /// The pairing code that waits to be typed into a phone.
    pub async fn shown_pairing_code(&self, pod: &PodEndpoint) -> Result<PairingCode, PodError> {
        self.json(pod, self.request(pod, Method::GET, routes::PAIRING_CODE).timeout(SHORT)).await
    }

    /// Begins to pair anew.
    pub async fn pair(&self, pod: &PodEndpoint) -> Result<SessionStatus, PodError> {
        self.json(pod, self.request(pod, Method::POST, routes::PAIRING).timeout(LONG)).await
    }

    /// Asks for a code to type into the phone.
    pub async fn pairing_code(
        &self,
        pod: &PodEndpoint,
        request: &PairingCodeRequest,
    ) -> Result<PairingCode, PodError> {
        self.json(pod, self.request(pod, Method::POST, routes::PAIRING_CODE).json(request).timeout(LONG))
            .await
    }

    /// Removes the device from the account.
    pub async fn logout(&self, pod: &PodEndpoint) -> Result<SessionStatus, PodError> {
        self.json(pod, self.request(pod, Method::POST, routes::LOGOUT).timeout(LONG)).await
    }

    /// Sends a message.
    pub async fn send(&self, pod: &PodEndpoint, request: &SendRequest) -> Result<SendResponse, PodError> {
        self.json(pod, self.request(pod, Method::POST, routes::MESSAGES).json(request).timeout(LONG)).await
    }

    /// A page of the session's log (an `EventPage`, as the session writes it).
    pub async fn events(&self, pod: &PodEndpoint, query: EventsQuery) -> Result<serde_json::Value, PodError> {
        self.json(pod, self.request(pod, Method::GET, routes::EVENTS).query(&query).timeout(LONG)).await
    }

    /// The session's log as a stream that goes on, from after this event.
    pub async fn stream(&self, pod: &PodEndpoint, after: Option<u64>) -> Result<Response, PodError> {
        let query = EventsQuery { after, limit: None };
        let request = self.request(pod, Method::GET, routes::EVENTS).query(&query);
        self.answer(pod, request.header(ACCEPT, "text/event-stream")).await
    }

    fn request(&self, pod: &PodEndpoint, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("http://{}{path}", pod.address)).bearer_auth(&pod.token)
    }

    async fn json<T: DeserializeOwned>(
        &self,
        pod: &PodEndpoint,
        request: RequestBuilder,
    ) -> Result<T, PodError> {
        let body = read(self.answer(pod, request).await?).await?;
        serde_json::from_slice(&body).map_err(|error| PodError::NotUnderstood(error.to_string()))
    }

    /// The head of a good answer.
    async fn answer(&self, pod: &PodEndpoint, request: RequestBuilder) -> Result<Response, PodError> {
        if self.evicted.holds(pod) {
            return Err(PodError::Evicted);
        }
        let response = dial(request).await.inspect_err(|error| {
            if matches!(error, PodError::Unreachable(why) if why.is_timeout()) {
                self.evicted.add(pod);
            }
        })?;
        let uid = response.headers().get(UID_HEADER).map(reqwest::header::HeaderValue::as_bytes);
        if uid != Some(pod.uid.as_bytes()) || response.status() == reqwest::StatusCode::UNAUTHORIZED {
            return Err(PodError::WrongSession);
        }
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = read(response).await?;
        let body = serde_json::from_slice(&body).map_err(|error| {
            PodError::NotUnderstood(format!("{status} without the error envelope: {error}"))
        })?;
        Err(PodError::Refused { status: status.as_u16(), body: Box::new(body) })
    }
}

/// Sends a request; opening the connection is tried a few times if it is refused: a process that has just started may not
/// listen yet. One that is not answered at all is not worth the wait: its node is gone, or its address is nobody's.
async fn dial(request: RequestBuilder) -> Result<Response, PodError> {
    for wait in DIAL_AGAIN {
        let Some(again) = request.try_clone() else { break };
        match again.send().await {
            Err(error) if error.is_connect() && !error.is_timeout() => tokio::time::sleep(wait).await,
            result => return result.map_err(unanswered),
        }
    }
    request.send().await.map_err(unanswered)
}

fn unanswered(error: reqwest::Error) -> PodError {
    if error.is_connect() { PodError::Unreachable(error) } else { PodError::NoAnswer(error) }
}

async fn read(mut response: Response) -> Result<Vec<u8>, PodError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(PodError::NoAnswer)? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(PodError::NotUnderstood(format!("it is larger than {MAX_ANSWER} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
