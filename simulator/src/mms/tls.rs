//! HTTP over TLS: connections whose handshake is done. Each handshake has a task of its own, so that a slow client holds up
//! nobody else.

use std::net::SocketAddr;
use std::time::Duration;

use axum::serve::Listener;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A client that does not finish its handshake is dropped.
const HANDSHAKE: Duration = Duration::from_secs(20);
/// Connections that wait to be served.
const BACKLOG: usize = 64;
/// After an error of `accept`: out of file descriptors, most likely.
const PAUSE: Duration = Duration::from_millis(250);

/// Gives connections to [`axum::serve`].
#[derive(Debug)]
pub(crate) struct TlsListener {
    ready: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    address: SocketAddr,
}

impl TlsListener {
    /// Accepts in the background until it is told to stop.
    pub(crate) fn new(
        listener: TcpListener,
        address: SocketAddr,
        tls: TlsAcceptor,
        stop: &CancellationToken,
        tasks: &TaskTracker,
    ) -> Self {
        let (sender, ready) = mpsc::channel(BACKLOG);
        let (stop, spawner) = (stop.clone(), tasks.clone());
        tasks.spawn(async move {
            while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
                let Ok((stream, peer)) = accepted else {
                    tokio::time::sleep(PAUSE).await;
                    continue;
                };
                let (tls, sender) = (tls.clone(), sender.clone());
                let shake = async move {
                    if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
                        let _ = sender.send((stream, peer)).await;
                    }
                };
                spawner.spawn(stop.clone().run_until_cancelled_owned(shake));
            }
        });
        Self { ready, address }
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(connection) => connection,
            // It was told to stop, and so is whoever asks.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        Ok(self.address)
    }
}
