//! The simulator as a program: command line in, addresses announced, serves until it is told to stop.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Parser;
use simulator::snapshot::write_atomically;
use simulator::world::Timing;
use simulator::{Config, Simulator};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// What is logged unless `RUST_LOG` says. The Signal library names numbers at `error`.
const DEFAULT_LOG: &str = "info,wacore_libsignal=off";

/// A WhatsApp server to develop and test against.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Address of the control API and its page.
    #[arg(long, default_value = "127.0.0.1:4001")]
    control_listen: SocketAddr,
    /// Port of the control API; wins over the port in --control-listen.
    #[arg(long, env = "SIMULATOR_PORT")]
    port: Option<u16>,
    /// Address of the plain WebSocket.
    #[arg(long, default_value = "127.0.0.1:0")]
    ws_listen: SocketAddr,
    /// Address of the WebSocket over TLS.
    #[arg(long, default_value = "127.0.0.1:0")]
    wss_listen: SocketAddr,
    /// Address of the media server (HTTPS).
    #[arg(long, default_value = "127.0.0.1:0")]
    media_listen: SocketAddr,
    /// Host (and port, if another) by which clients reach the media server; where it listens when absent.
    #[arg(long, env = "SIMULATOR_MEDIA_HOST")]
    media_host: Option<String>,
    /// File that gets the addresses as JSON once all ports are bound.
    #[arg(long)]
    announce_file: Option<PathBuf>,
    /// Directory for keys and the world, so that sessions survive a restart.
    #[arg(long)]
    state_dir: Option<PathBuf>,
    /// Milliseconds that the first QR reference is valid.
    #[arg(long, default_value_t = 60_000)]
    qr_first_ms: u64,
    /// Milliseconds that each further QR reference is valid.
    #[arg(long, default_value_t = 20_000)]
    qr_next_ms: u64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_LOG));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // Whoever reads the log may die first: a line that cannot be written is dropped, and never a panic.
        .log_internal_errors(false)
        .init();
    let Arguments {
        mut control_listen,
        port,
        ws_listen,
        wss_listen,
        media_listen,
        media_host,
        announce_file,
        state_dir,
        qr_first_ms,
        qr_next_ms,
    } = Arguments::parse();
    if let Some(port) = port {
        control_listen.set_port(port);
    }
    let simulator = Simulator::start(Config {
        control_listen,
        ws_listen,
        wss_listen,
        media_listen,
        media_host,
        state_dir,
        timing: Timing { qr_first_ms, qr_next_ms },
    })
    .await?;
    tracing::info!(
        control = simulator.control_url(),
        ws = simulator.ws_url(),
        wss = simulator.wss_url(),
        media = simulator.media_url(),
        "serving"
    );
    if let Some(path) = announce_file {
        announce(&simulator, &path).context("announce the addresses")?;
    }
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result?,
        _ = terminate.recv() => {}
    }
    simulator.shutdown().await;
    Ok(())
}

fn announce(simulator: &Simulator, path: &Path) -> anyhow::Result<()> {
    let ca_file = if let Some(file) = simulator.ca_file() {
        file
    } else {
        let file = path.with_extension("ca.pem");
        write_atomically(&file, simulator.ca_pem().as_bytes())?;
        file
    };
    let announcement = serde_json::json!({
        "control": simulator.control_url(),
        "ws": simulator.ws_url(),
        "wss": simulator.wss_url(),
        "media": simulator.media_url(),
        "caFile": std::path::absolute(ca_file)?,
        "rootPublicKey": hex::encode(simulator.root_public_key()),
    });
    write_atomically(path, announcement.to_string().as_bytes())?;
    Ok(())
}
