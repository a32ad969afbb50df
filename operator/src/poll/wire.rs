//! One connection to one session's pod: bounded in time and size, and straight to the pod's address (no proxy, no TLS).
//!
//! Comes in: an [`Endpoint`] and what to ask. Goes out: the answer, once it is certain that the right session gave it.
//!
//! Thousands of these are open at once and nearly all of them wait. A general HTTP client keeps its buffers meanwhile, some 17 KiB
//! for each connection (measured with 5,000); here nothing is set aside until an answer comes. It speaks as much of HTTP/1.1 as
//! crate `session-api` needs: one request at a time, answers with a `Content-Length`.

use std::io;
use std::time::Duration;

use serde::de::DeserializeOwned;
use session_api::{ErrorBody, UID_HEADER};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::observe::Endpoint;

/// Longest time for the connection itself.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);

/// Largest head of an answer.
const MAX_HEAD: usize = 8 * 1024;

/// Most headers of an answer.
const MAX_HEADERS: usize = 32;

/// Room for most answers.
const USUAL_ANSWER: usize = 1024;

/// Largest body of an answer.
const MAX_BODY: usize = 64 * 1024;

/// Most characters of a pod's own words.
const MAX_WORDS: usize = 300;

/// No sense was had from a pod. The words are for people, and the same for the same cause.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// No connection.
    #[error("the session's pod does not take connections ({0})")]
    Connect(io::ErrorKind),
    /// The connection broke before the answer was complete.
    #[error("the session's pod closed the connection before it had answered")]
    Closed,
    /// Nothing came in time.
    #[error("the session's pod did not answer in time")]
    Late,
    /// An answer that is too large or that is none.
    #[error("the session's pod gave an answer that cannot be read")]
    Unreadable,
    /// Another session answered: its UID, if it said one.
    #[error("another session answers at the pod's address")]
    Stranger(Option<String>),
    /// The session said no.
    #[error("the session refused: {message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// Name of the error, as in the session's contract.
        code: String,
        /// Its sentence.
        message: String,
    },
}

/// A question.
#[derive(Debug)]
pub struct Ask<'a> {
    /// `GET`, `PUT`, `POST`.
    pub method: &'static str,
    /// Path and query.
    pub path: &'a str,
    /// Body in JSON.
    pub body: Option<Vec<u8>>,
    /// Longest time until the answer is complete.
    pub within: Duration,
}

/// An open connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
}

impl Connection {
    /// Connects to the pod.
    pub async fn open(endpoint: &Endpoint) -> Result<Self, AskError> {
        let connected = timeout(CONNECT_WITHIN, TcpStream::connect(endpoint.address)).await;
        let stream = connected
            .map_err(|_| AskError::Connect(io::ErrorKind::TimedOut))?
            .map_err(|error| AskError::Connect(error.kind()))?;
        stream.set_nodelay(true).map_err(|error| AskError::Connect(error.kind()))?;
        Ok(Self { stream })
    }

    /// Asks. The connection is good for another question only after an answer.
    pub async fn ask<T: DeserializeOwned>(
        &mut self,
        endpoint: &Endpoint,
        ask: Ask<'_>,
    ) -> Result<T, AskError> {
        let within = ask.within;
        let request = request(endpoint, ask)?;
        let answer = timeout(within, self.exchange(request)).await.map_err(|_| AskError::Late)??;
        if answer.head.uid.as_ref() != Some(&endpoint.session_uid) {
            return Err(AskError::Stranger(answer.head.uid));
        }
        if (200..300).contains(&answer.head.status) {
            serde_json::from_slice(answer.body()).map_err(|_| AskError::Unreadable)
        } else {
            Err(refused(answer.head.status, answer.body()))
        }
    }

    async fn exchange(&mut self, request: Vec<u8>) -> Result<Received, AskError> {
        self.stream.write_all(&request).await.map_err(|_| AskError::Closed)?;
        drop(request);
        // Nothing is set aside while the session has nothing to say.
        self.stream.readable().await.map_err(|_| AskError::Closed)?;
        let mut bytes = Vec::with_capacity(USUAL_ANSWER);
        let head = loop {
            self.more(&mut bytes).await?;
            if let Some(head) = head(&bytes)? {
                break head;
            }
        };
        while bytes.len() < head.length + head.body {
            self.more(&mut bytes).await?;
        }
        // More than was announced would be taken for the next answer.
        if bytes.len() == head.length + head.body {
            Ok(Received { head, bytes })
        } else {
            Err(AskError::Unreadable)
        }
    }

    async fn more(&mut self, bytes: &mut Vec<u8>) -> Result<(), AskError> {
        match self.stream.read_buf(bytes).await {
            Ok(0) | Err(_) => Err(AskError::Closed),
            Ok(_) => Ok(()),
        }
    }
}

/// Asks one question on a connection of its own.
pub async fn ask_once<T: DeserializeOwned>(endpoint: &Endpoint, ask: Ask<'_>) -> Result<T, AskError> {
    Connection::open(endpoint).await?.ask(endpoint, ask).await
}

/// A whole answer.
struct Received {
    head: Head,
    bytes: Vec<u8>,
}

impl Received {
    fn body(&self) -> &[u8] {
        &self.bytes[self.head.length..]
    }
}

/// What matters of an answer's head.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    /// The UID of the session that answers.
    uid: Option<String>,
    /// Bytes of the head.
    length: usize,
    /// Bytes of the body.
    body: usize,
}

/// Reads an answer's head. None: it is not complete yet.
fn head(bytes: &[u8]) -> Result<Option<Head>, AskError> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let length = match response.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if bytes.len() < MAX_HEAD => return Ok(None),
        Ok(httparse::Status::Partial) | Err(_) => return Err(AskError::Unreadable),
    };
    let status = response.code.filter(|status| *status >= 200).ok_or(AskError::Unreadable)?;
    let all = |name: &str| {
        let named: Vec<_> = response.headers.iter().filter(|h| h.name.eq_ignore_ascii_case(name)).collect();
        named.into_iter().map(|header| std::str::from_utf8(header.value).unwrap_or_default().to_owned())
    };
    let announced: Vec<_> = all("content-length").collect();
    let body = match announced.as_slice() {
        [] if status == 204 => 0,
        [length] => length.parse().map_err(|_| AskError::Unreadable)?,
        _ => return Err(AskError::Unreadable),
    };
    if body > MAX_BODY || all("transfer-encoding").next().is_some() {
        return Err(AskError::Unreadable);
    }
    Ok(Some(Head { status, uid: all(UID_HEADER).next(), length, body }))
}

fn request(endpoint: &Endpoint, ask: Ask<'_>) -> Result<Vec<u8>, AskError> {
    let Endpoint { address, token, .. } = endpoint;
    // A line break in here would be another header.
    if token.chars().chain(ask.path.chars()).any(|c| !c.is_ascii_graphic()) {
        return Err(AskError::Unreadable);
    }
    let body = ask.body.unwrap_or_default();
    let mut request = format!(
        "{} {} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        ask.method,
        ask.path,
        body.len()
    )
    .into_bytes();
    request.extend(body);
    Ok(request)
}

fn refused(status: u16, body: &[u8]) -> AskError {
    let (code, message) = match serde_json::from_slice::<ErrorBody>(body) {
        Ok(error) => (plain(&error.code), plain(&error.error)),
        Err(_) => (String::new(), format!("HTTP status {status}")),
    };
    AskError::Refused { status, code, message }
}

/// A pod's own words as they may come into a log and a status: one line, and not a long one.
fn plain(words: &str) -> String {
    words.chars().filter(|c| !c.is_control()).take(MAX_WORDS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_refuses_in_one_short_line() {
        let body =
            serde_json::to_vec(&ErrorBody::new("no\n", format!("a\r\nb\u{1b}[31m{}", "é".repeat(400))));
        let AskError::Refused { code, message, .. } = refused(409, &body.unwrap()) else { panic!() };
        assert_eq!(code, "no");
        assert!(message.starts_with("ab[31mé"), "{message}");
        assert_eq!(message.chars().count(), MAX_WORDS);
    }

    #[test]
    fn heads_are_read_when_they_are_complete() {
        let read = |text: &str| head(text.as_bytes());
        assert_eq!(read("HTTP/1.1 200 OK\r\nX-Session-UID: u\r\nContent-Len"), Ok(None));
        let text = "HTTP/1.1 200 OK\r\nX-Session-UID: u\r\nContent-Length: 7\r\n\r\n";
        let expected = Head { status: 200, uid: Some("u".to_owned()), length: text.len(), body: 7 };
        assert_eq!(read(&format!("{text}{{")), Ok(Some(expected)));
        let empty = read("HTTP/1.1 204 No Content\r\n\r\n").unwrap().unwrap();
        assert_eq!((empty.status, empty.uid, empty.body), (204, None, 0));
    }

    #[test]
    fn what_would_be_read_without_bounds_or_in_two_ways_is_refused() {
        for bad in [
            "SSH-2.0-OpenSSH_9\r\n\r\n".to_owned(),
            "HTTP/1.1 200 OK\r\n\r\n".to_owned(),
            "HTTP/1.1 100 Continue\r\ncontent-length: 0\r\n\r\n".to_owned(),
            "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n".to_owned(),
            "HTTP/1.1 200 OK\r\ncontent-length: 65537\r\n\r\n".to_owned(),
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n".to_owned(),
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n".to_owned(),
            format!("HTTP/1.1 200 OK\r\n{}", "a: b\r\n".repeat(40)),
            format!("HTTP/1.1 200 OK\r\na: {}", "b".repeat(MAX_HEAD)),
        ] {
            assert_eq!(head(bad.as_bytes()), Err(AskError::Unreadable), "{bad:?}");
        }
    }
}
