//! What happens once, at the start: logging, keys, the sessions' settings, the address, the signal to stop.
//!
//! Comes in: the configuration. Goes out: what `main` puts together. Nothing here is called again later.

pub mod check;
mod kubernetes;
mod local;
pub mod parts;

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::cluster::ClusterError;
use crate::config::Config;
use crate::directory::local::store::StoreError;
use crate::files::{self, FileError};
use crate::keys::KeysError;
use crate::settings::local::Unreadable;

/// Why the gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// The keys cannot be used.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// There is no way to the cluster.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The settings cannot be used.
    #[error(transparent)]
    Settings(#[from] Unreadable),
    /// The data directory cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// The key of the tokens is damaged.
    #[error(
        "session-key in the data directory is not 64 hex digits: restore it, or remove it and a new one is made"
    )]
    TokenKey,
    /// The port cannot be had.
    #[error("cannot listen on {address} ({source}): set PORT or HOST")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The system refused.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// Logs to standard error: JSON in production, lines for people otherwise.
pub fn log(config: &Config) {
    let filter = EnvFilter::try_new(&config.log).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).log_internal_errors(false);
    // An error says that somebody else logs already.
    let _set = if config.production { lines.json().try_init() } else { lines.try_init() };
}

/// Tells people why the gateway does not start.
pub fn say_and_exit(why: &str, code: u8) -> ExitCode {
    let _said = writeln!(io::stderr(), "api-gateway: {why}");
    ExitCode::from(code)
}

/// An error and its causes, each told once: many name their cause themselves.
pub fn whole(error: &anyhow::Error) -> String {
    let add = |told: String, cause: String| match told.as_str() {
        "" => cause,
        told if told.contains(&cause) => told.to_owned(),
        told => format!("{told}: {cause}"),
    };
    error.chain().map(ToString::to_string).fold(String::new(), add)
}

/// 64 for settings, 75 for a data directory that is in use, 1 otherwise.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    let locked = |error: &StoreError| matches!(error, StoreError::Locked(_));
    match error.downcast_ref::<BootError>() {
        Some(BootError::Keys(_) | BootError::Cluster(ClusterError::NoConfiguration(_))) => 64,
        Some(BootError::Store(error)) if locked(error) => 75,
        None if error.downcast_ref::<StoreError>().is_some_and(locked) => 75,
        Some(
            BootError::Store(_)
            | BootError::File(_)
            | BootError::Cluster(_)
            | BootError::Settings(_)
            | BootError::TokenKey
            | BootError::Listen { .. }
            | BootError::Io { .. },
        )
        | None => 1,
    }
}

/// 256 random bits.
fn random_hex() -> String {
    hex::encode(rand::random::<[u8; 32]>())
}

/// Takes as many file descriptors as the system gives: each session needs some five, and the usual limit is 1,024.
pub fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
    {
        tracing::warn!(%error, "the limit of open files could not be raised: many sessions may not start");
    }
}

/// Opens the port.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, BootError> {
    TcpListener::bind(address).await.map_err(|source| BootError::Listen { address, source })
}

/// Tells where the gateway listens: in the log, and in a file if one is asked for.
pub fn announce(listener: &TcpListener, file: Option<&Path>) -> Result<(), BootError> {
    let address =
        listener.local_addr().map_err(|source| BootError::Io { what: "tell the address", source })?;
    tracing::info!(%address, "listening");
    if let Some(file) = file {
        files::write(file, &format!("{address}\n"))?;
    }
    Ok(())
}

/// SIGTERM and SIGINT.
pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// Starts to listen for them.
    pub fn listen() -> Result<Self, BootError> {
        let listen =
            |kind| signal(kind).map_err(|source| BootError::Io { what: "listen for signals", source });
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    /// Ends with the next one.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
