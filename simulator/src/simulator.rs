//! Starting and stopping: keys, listeners, and the tasks around them.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::hub::{Hub, now_ms};
use crate::mms::tls::TlsListener;
use crate::mms::{self, Shelf};
use crate::noise::ServerKeys;
use crate::snapshot::{Secrets, SnapshotError, StateDir};
use crate::tls::TlsError;
use crate::world::media::MediaStore;
use crate::world::{Timing, World};
use crate::{certificate, connection, control};

mod saving;

use saving::{save, save_often, tick};

/// After an error of `accept`: out of file descriptors, most likely.
const PAUSE: Duration = Duration::from_millis(250);
/// How long tasks get to end at shutdown.
const DRAIN: Duration = Duration::from_secs(5);

/// Where to listen and what to keep.
#[derive(Debug, Clone)]
pub struct Config {
    /// The control API.
    pub control_listen: SocketAddr,
    /// Plain WebSocket.
    pub ws_listen: SocketAddr,
    /// WebSocket over TLS.
    pub wss_listen: SocketAddr,
    /// The media server, HTTPS.
    pub media_listen: SocketAddr,
    /// The host by which clients reach the media server, perhaps with a port; where it listens when absent.
    pub media_host: Option<String>,
    /// Where keys and the world survive a restart; nothing is kept when absent.
    pub state_dir: Option<PathBuf>,
    /// How long QR references are valid.
    pub timing: Timing,
}

impl Default for Config {
    fn default() -> Self {
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            control_listen: free,
            ws_listen: free,
            wss_listen: free,
            media_listen: free,
            media_host: None,
            state_dir: None,
            timing: Timing::default(),
        }
    }
}

/// Why the simulator did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port could not be bound.
    #[error("listen on {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What went wrong.
        source: std::io::Error,
    },
    /// The stored state could not be used.
    #[error(transparent)]
    LoadState(#[from] SnapshotError),
    /// TLS could not be set up.
    #[error(transparent)]
    SetUpTls(#[from] TlsError),
    /// The Noise certificate could not be signed.
    #[error("sign the Noise certificate: {0}")]
    Certify(#[from] wacore_libsignal::protocol::CurveError),
}

/// A running simulator; dropping it stops it.
pub struct Simulator {
    hub: Arc<Hub>,
    addresses: [SocketAddr; 3],
    media_host: String,
    ca_pem: String,
    root_public_key: [u8; 32],
    state_dir: Option<StateDir>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl std::fmt::Debug for Simulator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Simulator").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

impl Simulator {
    /// Binds the ports and serves.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let state_dir = config.state_dir.as_deref().map(StateDir::open).transpose()?;
        let (secrets, world) = match &state_dir {
            Some(dir) => (dir.secrets()?, dir.world()?),
            None => (Secrets::generate()?, World::default()),
        };
        let root = secrets.root()?;
        let static_key = secrets.static_key()?;
        let certificate = certificate::issue(
            &root.private_key,
            static_key.public_key.public_key_bytes(),
            now_ms() / 1000,
            &mut rand::rng(),
        )?;
        let keys = ServerKeys { static_key, certificate };
        let name =
            config.media_host.as_deref().map(|host| host.rsplit_once(':').map_or(host, |(name, _)| name));
        let tls = TlsAcceptor::from(secrets.authority.server_config(name)?);
        let (http, control) = bind(config.control_listen).await?;
        let (plain, ws) = bind(config.ws_listen).await?;
        let (encrypted, wss) = bind(config.wss_listen).await?;
        let (files, media) = bind(config.media_listen).await?;
        let media_host = reached_at(config.media_host, media);
        let store = match &state_dir {
            Some(dir) => dir.media(media_host.clone())?,
            None => MediaStore::at(media_host.clone()),
        };
        let world = world.with_timing(config.timing).with_media(store);
        let mut root_public_key = [0; 32];
        root_public_key.copy_from_slice(root.public_key.public_key_bytes());
        let simulator = Self {
            hub: Arc::new(Hub::new(world, keys)),
            addresses: [control, ws, wss],
            media_host,
            ca_pem: secrets.authority.certificate_pem,
            root_public_key,
            state_dir,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        let files = TlsListener::new(files, media, tls.clone(), &simulator.stop, &simulator.tasks);
        simulator.spawn(http, plain, (encrypted, tls));
        simulator.serve_files(files);
        Ok(simulator)
    }

    fn serve_files(&self, listener: TlsListener) {
        let router = mms::app(self.shelf());
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await;
            if let Err(error) = served {
                tracing::error!(%error, "the media server stopped");
            }
        });
    }

    fn shelf(&self) -> Shelf {
        Shelf::new(Arc::clone(&self.hub), self.state_dir.clone())
    }

    fn spawn(&self, http: TcpListener, plain: TcpListener, encrypted: (TcpListener, TlsAcceptor)) {
        let about = control::About {
            root_public_key: hex::encode(self.root_public_key),
            ca_pem: self.ca_pem.clone(),
            ws_url: self.ws_url(),
            wss_url: self.wss_url(),
            media_url: self.media_url(),
        };
        let router = control::app(Arc::clone(&self.hub), self.shelf(), about);
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            let served = axum::serve(http, router).with_graceful_shutdown(stop.cancelled_owned()).await;
            if let Err(error) = served {
                tracing::error!(%error, "the control API stopped");
            }
        });
        self.tasks.spawn(self.listen(plain, None));
        self.tasks.spawn(self.listen(encrypted.0, Some(encrypted.1)));
        self.tasks.spawn(tick(Arc::clone(&self.hub), self.stop.clone()));
        if let Some(dir) = &self.state_dir {
            self.tasks.spawn(save_often(Arc::clone(&self.hub), dir.clone(), self.stop.clone()));
        }
    }

    fn listen(&self, listener: TcpListener, tls: Option<TlsAcceptor>) -> impl Future<Output = ()> + use<> {
        let (hub, stop, tasks) = (Arc::clone(&self.hub), self.stop.clone(), self.tasks.clone());
        async move {
            while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
                let Ok((stream, _)) = accepted else {
                    // Connections get time to end.
                    tokio::time::sleep(PAUSE).await;
                    continue;
                };
                let (hub, tls) = (Arc::clone(&hub), tls.clone());
                let serve = stop.clone().run_until_cancelled_owned(serve(hub, stream, tls));
                tasks.spawn(serve);
            }
        }
    }

    /// `http://…` of the control API.
    pub fn control_url(&self) -> String {
        format!("http://{}", self.addresses[0])
    }

    /// `ws://…/ws/chat`.
    pub fn ws_url(&self) -> String {
        format!("ws://{}/ws/chat", self.addresses[1])
    }

    /// `wss://…/ws/chat`.
    pub fn wss_url(&self) -> String {
        format!("wss://{}/ws/chat", self.addresses[2])
    }

    /// `https://…` of the media server, as clients are told.
    pub fn media_url(&self) -> String {
        format!("https://{}", self.media_host)
    }

    /// The certificate authority behind [`Self::wss_url`] and [`Self::media_url`].
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// Where the authority is kept as a file, when there is a state directory.
    pub fn ca_file(&self) -> Option<PathBuf> {
        self.state_dir.as_ref().map(StateDir::ca_file)
    }

    /// The public key that Noise certificates start from.
    pub fn root_public_key(&self) -> [u8; 32] {
        self.root_public_key
    }

    /// Stops serving and saves the world.
    pub async fn shutdown(self) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(DRAIN, self.tasks.wait()).await.is_err() {
            tracing::warn!("some tasks did not end in time");
        }
        if let Some(dir) = self.state_dir.clone() {
            save(Arc::clone(&self.hub), dir).await;
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let listen = async {
        let listener = TcpListener::bind(address).await?;
        let bound = listener.local_addr()?;
        Ok((listener, bound))
    };
    listen.await.map_err(|source| StartError::Listen { address, source })
}

/// `host:port` of the media server: as configured, otherwise as bound.
fn reached_at(configured: Option<String>, bound: SocketAddr) -> String {
    match configured {
        Some(host) if host.contains(':') => host,
        Some(host) => format!("{host}:{}", bound.port()),
        None if bound.ip().is_unspecified() => format!("localhost:{}", bound.port()),
        None => bound.to_string(),
    }
}

async fn serve(hub: Arc<Hub>, stream: TcpStream, tls: Option<TlsAcceptor>) {
    let _ = stream.set_nodelay(true);
    let ended = match tls {
        None => connection::serve(hub, stream).await,
        Some(tls) => match tls.accept(stream).await {
            Ok(stream) => connection::serve(hub, Box::new(stream)).await,
            Err(error) => {
                tracing::debug!(%error, "a TLS handshake failed");
                return;
            }
        },
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended");
    }
}

#[cfg(test)]
mod tests;
