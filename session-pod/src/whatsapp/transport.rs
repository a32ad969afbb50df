//! Opens WhatsApp's websocket for the client: straight or through a proxy, then TLS, then the upgrade. Says how it goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::http::{HeaderValue, Uri, header};
use rustls::ClientConfig;
use tokio_websockets::{ClientBuilder, Limits};
use url::Url;
use whatsapp_rust::async_channel::Receiver;
use whatsapp_rust::async_trait;
use whatsapp_rust::transport::{Transport, TransportEvent, TransportFactory, from_websocket};
use whatsapp_rust::wacore::net::WHATSAPP_WEB_ORIGIN;

use super::engine::Reporter;
use super::proxy::{self, BoxStream, DialError, Route};
use crate::session::state::{Signal, reason};

/// Longest websocket message. WhatsApp's frames end at 2^24 bytes.
const MAX_MESSAGE: usize = (1 << 24) + 1_024;

/// Opens a new websocket whenever the client wants one.
pub(super) struct Dialer {
    /// WhatsApp's websocket.
    pub(super) url: Url,
    /// Roots.
    pub(super) tls: Arc<ClientConfig>,
    /// The way out.
    pub(super) route: Route,
    /// Whether the client is past its offline queue: not on a new connection.
    pub(super) live: Arc<AtomicBool>,
    /// Who hears how it goes.
    pub(super) reporter: Reporter,
}

#[derive(Debug, thiserror::Error)]
enum OpenError {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error("{0} cannot be asked for: {1}")]
    Address(Url, String),
    #[error("the server does not open a websocket: {0}")]
    Upgrade(#[from] tokio_websockets::Error),
}

impl Dialer {
    async fn open(&self) -> Result<(Arc<dyn Transport>, Receiver<TransportEvent>), OpenError> {
        let stream = self.stream().await?;
        let unfit = |error: &dyn std::fmt::Display| OpenError::Address(self.url.clone(), error.to_string());
        let uri: Uri = self.url.as_str().parse().map_err(|e| unfit(&e))?;
        let origin = HeaderValue::from_static(WHATSAPP_WEB_ORIGIN);
        let builder = ClientBuilder::from_uri(uri)
            .limits(Limits::default().max_payload_len(Some(MAX_MESSAGE)))
            .add_header(header::ORIGIN, origin)
            .map_err(|e| unfit(&e))?;
        let (websocket, _) = builder.connect_on(stream).await?;
        Ok(from_websocket(websocket))
    }

    async fn stream(&self) -> Result<BoxStream, OpenError> {
        let host = self.url.host_str().unwrap_or_default();
        let port = self.url.port_or_known_default().unwrap_or(443);
        let stream = proxy::connect(host, port, self.route.through(host), &self.tls).await?;
        if self.url.scheme() == "wss" {
            Ok(proxy::secure(stream, host, &self.tls).await?)
        } else {
            Ok(stream)
        }
    }
}

#[async_trait]
impl TransportFactory for Dialer {
    async fn create_transport(
        &self,
    ) -> whatsapp_rust::anyhow::Result<(Arc<dyn Transport>, Receiver<TransportEvent>)> {
        self.live.store(false, Ordering::Release);
        self.reporter.tell(Signal::Dialing);
        match self.open().await {
            Ok(opened) => Ok(opened),
            Err(error) => {
                let message = format!("WhatsApp cannot be reached ({error}); trying again");
                self.reporter.tell(Signal::DialFailed(reason("connection_failed", message)));
                Err(error.into())
            }
        }
    }
}
