//! Connections: accepted, bounded, and brought to their end when the gateway stops.
//!
//! Comes in: a listener, a router and the time to stop. Goes out: nothing; it ends when all connections have. It must not know a route.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

/// How long a connection may take to send a request's head, and may idle between two requests.
const HEAD_PATIENCE: Duration = Duration::from_secs(30);
/// Wait after a connection could not be accepted (no file descriptors left).
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Serves until `stop` ends, then lets running requests end, for as long as `grace`.
pub async fn serve(listener: TcpListener, router: Router, grace: Duration, stop: impl Future<Output = ()>) {
    let (stopping, stopped) = watch::channel(false);
    let connections = TaskTracker::new();
    let mut stop = pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        match accepted {
            Ok((stream, _)) => {
                connections.spawn(connection(stream, router.clone(), stopped.clone()));
            }
            Err(error) => refused(&error).await,
        }
    }
    for stream in let_in_already(listener) {
        connections.spawn(connection(stream, router.clone(), stopped.clone()));
    }
    stopping.send_replace(true);
    connections.close();
    if tokio::time::timeout(grace, connections.wait()).await.is_err() {
        tracing::info!(open = connections.len(), "connections that did not end in time are cut");
    }
}

/// Closes the port. Whoever the system has let in is served like those before: they know of no refusal.
fn let_in_already(listener: TcpListener) -> Vec<TcpStream> {
    let accepted = listener.into_std().map(|listener| {
        // It does not block: it ends with the first that is not there yet.
        let waiting = std::iter::from_fn(|| listener.accept().ok());
        waiting
            .filter_map(|(stream, _)| {
                stream.set_nonblocking(true).ok()?;
                TcpStream::from_std(stream).ok()
            })
            .collect()
    });
    accepted.unwrap_or_default()
}

async fn refused(error: &io::Error) {
    tracing::warn!(%error, "a connection could not be accepted");
    tokio::time::sleep(ACCEPT_AGAIN).await;
}

async fn connection(stream: TcpStream, router: Router, mut stopped: watch::Receiver<bool>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection ended before it began");
    }
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .with_upgrades();
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
