//! Connections: accepted up to a number, bounded in time while they say nothing, brought to their end with the session.
//!
//! Comes in: a listener and a router. Goes out: nothing; it ends when all connections have. It must not know a route.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use session_api::{ErrorBody, UID_HEADER};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

/// Wait after a connection could not be accepted (no file descriptors left).
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
/// Connections that are refused at a time; more are closed without a word.
const MAX_REFUSALS: usize = 16;
/// How long a refusal may take.
const REFUSAL: Duration = Duration::from_secs(1);

/// What connections may ask of the process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Connections at a time.
    pub connections: u32,
    /// How long a connection may take to send a request's head, and may idle between two requests.
    pub head: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { connections: 256, head: Duration::from_mins(1) }
    }
}

/// Serves until `stop` ends, then lets running requests end. `uid` is written on refusals.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    bounds: Bounds,
    uid: &str,
    stop: impl Future<Output = ()>,
) {
    let (stopping, stopped) = watch::channel(false);
    let room = Arc::new(Semaphore::new(bounds.connections as usize));
    let refusals = Arc::new(Semaphore::new(MAX_REFUSALS));
    let refusal: Arc<str> = refusal(bounds.connections, uid).into();
    let mut stop = pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        if let Ok(place) = Arc::clone(&room).try_acquire_owned() {
            let (router, stopped) = (router.clone(), stopped.clone());
            tokio::spawn(async move {
                connection(stream, router, bounds.head, stopped).await;
                drop(place);
            });
        } else if let Ok(place) = Arc::clone(&refusals).try_acquire_owned() {
            let refusal = Arc::clone(&refusal);
            tokio::spawn(async move {
                // Who does not listen is cut off.
                let _told = tokio::time::timeout(REFUSAL, refuse(stream, &refusal)).await;
                drop(place);
            });
        }
    }
    drop(listener);
    stopping.send_replace(true);
    // All places are free again once all connections have ended; the semaphore is never closed.
    let _ended = room.acquire_many(bounds.connections).await;
}

async fn connection(stream: TcpStream, router: Router, head: Duration, mut stopped: watch::Receiver<bool>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection ended before it began");
    }
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        // A request that has come already is one under way.
        biased;
        ended = connection.as_mut() => ended,
        () = told(&mut stopped) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke off");
    }
}

/// Waits for the wish to stop.
async fn told(stopped: &mut watch::Receiver<bool>) {
    let _gone = stopped.wait_for(|stopped| *stopped).await;
}

/// Answers and closes. What was sent is read, or the answer would be lost with it.
async fn refuse(mut stream: TcpStream, refusal: &str) -> std::io::Result<()> {
    stream.write_all(refusal.as_bytes()).await?;
    stream.shutdown().await?;
    let mut ignored = [0; 1_024];
    while stream.read(&mut ignored).await? > 0 {}
    Ok(())
}

fn refusal(most: u32, uid: &str) -> String {
    let message = format!("{most} connections are open already: close some, or try again");
    let body = json!(ErrorBody::new("too_many_connections", message).with("retryAfterMs", 1_000)).to_string();
    format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\nconnection: close\r\n\
         {UID_HEADER}: {uid}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use tokio::sync::oneshot;

    struct Server {
        address: std::net::SocketAddr,
        stop: oneshot::Sender<()>,
        ended: tokio::task::JoinHandle<()>,
    }

    async fn server(bounds: Bounds) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let router = Router::new().route("/", get(async || "here"));
        let stopped = async move { stopped.await.unwrap() };
        let ended = tokio::spawn(async move { serve(listener, router, bounds, "uid-1", stopped).await });
        Server { address, stop, ended }
    }

    impl Server {
        async fn connect(&self, text: &str) -> TcpStream {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            stream.write_all(text.as_bytes()).await.unwrap();
            stream
        }
    }

    /// All that the server says until it closes.
    async fn rest(mut stream: TcpStream) -> String {
        let mut text = String::new();
        let reading = stream.read_to_string(&mut text);
        tokio::time::timeout(Duration::from_secs(20), reading).await.expect("it closes").unwrap();
        text
    }

    const WHOLE: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";

    #[tokio::test]
    async fn who_says_nothing_or_half_a_head_is_cut_off() {
        let server = server(Bounds { connections: 9, head: Duration::from_millis(100) }).await;
        let (silent, half) = (server.connect("").await, server.connect("GET / HTTP/1.1\r\nho").await);
        let idle = server.connect(WHOLE).await;
        assert!(!rest(silent).await.contains("200"));
        assert!(!rest(half).await.contains("200"));
        assert!(rest(idle).await.contains("here"), "answered, and closed when no second request came");
    }

    #[tokio::test]
    async fn one_too_many_is_told_and_a_place_that_is_free_again_is_given() {
        let server = server(Bounds { connections: 1, head: Duration::from_mins(1) }).await;
        let first = server.connect("").await;
        let refused = rest(server.connect(WHOLE).await).await;
        assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
        assert!(refused.contains("x-session-uid: uid-1\r\n") && refused.contains("too_many_connections"));
        drop(first);
        let taken = async {
            loop {
                let request = WHOLE.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n");
                if rest(server.connect(&request).await).await.contains("here") {
                    break;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), taken).await.unwrap();
        let _idle = server.connect("").await;
        server.stop.send(()).unwrap();
        tokio::time::timeout(Duration::from_secs(20), server.ended).await.unwrap().unwrap();
    }
}
