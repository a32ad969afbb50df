//! The flags and the environment as clap reads them. The rules of their values are in `config.rs`.

use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use clap::{ArgAction, Parser};

use super::VERSION;
use crate::whatsapp::DEFAULT_LOG;

/// One WhatsApp connection per process.
#[derive(Debug, Parser)]
#[command(name = "session-pod", version = VERSION)]
pub(super) struct Flags {
    /// Name of the session, a DNS label.
    #[arg(long, env = "WAREST_SESSION_ID")]
    pub session_id: String,
    /// UID of the session; every answer carries it.
    #[arg(long, env = "WAREST_SESSION_UID")]
    pub session_uid: String,
    /// Directory that holds the session's credentials, outbox and log. One process at a time.
    #[arg(long, env = "WAREST_DATA_DIR")]
    pub data_dir: PathBuf,
    /// Address of the HTTP server; port 0 takes a free one.
    #[arg(long, env = "WAREST_LISTEN", default_value = "0.0.0.0:8080", value_parser = listen)]
    pub listen: SocketAddr,
    /// File that gets `host:port` once the server listens.
    #[arg(long, env = "WAREST_ADDRESS_FILE")]
    pub address_file: Option<PathBuf>,
    /// Bearer token that callers must show.
    #[arg(long, env = "WAREST_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// File that holds the bearer token.
    #[arg(long, env = "WAREST_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
    /// WhatsApp's websocket (`ws://` or `wss://`).
    #[arg(long, env = "WAREST_WHATSAPP_URL")]
    pub whatsapp_url: Option<String>,
    /// PEM file with certificates to trust beside the public ones.
    #[arg(long, env = "WAREST_EXTRA_CA")]
    pub extra_ca: Option<PathBuf>,
    /// Proxy for everything that leaves (`http://`, `https://` or `socks5://`, with `user:password@`).
    #[arg(long, env = "HTTPS_PROXY", hide_env_values = true)]
    pub proxy: Option<String>,
    /// Hosts that are reached without the proxy: names with all below them, addresses and networks, or `*`, separated by commas.
    #[arg(long, env = "NO_PROXY", default_value = "", hide_default_value = true)]
    pub no_proxy: String,
    /// What the phone shows under "Linked devices".
    #[arg(long, env = "WAREST_DEVICE_NAME", default_value = "WARest")]
    pub device_name: String,
    /// Answer an inbound `ping` with `pong`.
    #[arg(long, env = "WAREST_AUTO_REPLY", default_value_t = false, action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub auto_reply: bool,
    /// Pins WhatsApp's client version (`2.3000.1234`); otherwise the newest is asked for.
    #[arg(long, env = "WAREST_CLIENT_VERSION")]
    pub client_version: Option<String>,
    /// Stop gracefully when stdin closes.
    #[arg(long, env = "WAREST_EXIT_ON_STDIN_EOF", default_value_t = false, action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub exit_on_stdin_eof: bool,
    /// What is logged, as `tracing` filters it. Below `error`, the protocol library logs phone numbers and codes.
    #[arg(long, env = "RUST_LOG", default_value = DEFAULT_LOG)]
    pub log: String,
    /// Free space on the data directory below which nothing is read from WhatsApp any more, bytes.
    #[arg(long, env = "WAREST_MIN_FREE_BYTES", default_value_t = 64 * 1024 * 1024)]
    pub min_free_bytes: u64,
    /// JSON file with the configuration to start with, as `PUT /v1/config` takes it. What is pushed later wins, and still does
    /// after a restart: a file whose hash was in force before is old. It is newer than what was pushed to processes that
    /// `--min-writer-epoch` counts.
    #[arg(long, env = "WAREST_CONFIG_FILE")]
    pub config_file: Option<PathBuf>,
    /// Processes that are known to have opened the store before the configuration file was put in place. A store that knows of
    /// fewer is another one: it is not touched.
    #[arg(long, env = "WAREST_MIN_WRITER_EPOCH", default_value_t = 0)]
    pub min_writer_epoch: u64,
}

/// `address:port`. An IPv6 address may go without its brackets: Kubernetes writes a pod's so.
fn listen(text: &str) -> Result<SocketAddr, String> {
    let bare = || {
        let (address, port) = text.rsplit_once(':')?;
        let address: Ipv6Addr = address.parse().ok()?;
        Some(SocketAddr::from((address, port.parse::<u16>().ok()?)))
    };
    let read = text.parse().ok().or_else(bare);
    read.ok_or_else(|| "must be an address and a port, such as 0.0.0.0:8080 or [::1]:8080".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_to_listen_on_are_read_as_kubernetes_writes_them() {
        for (text, address) in [
            ("0.0.0.0:8080", "0.0.0.0:8080"),
            ("[::1]:8080", "[::1]:8080"),
            ("fd00:10::5:8080", "[fd00:10::5]:8080"),
        ] {
            assert_eq!(listen(text), Ok(address.parse().unwrap()), "{text}");
        }
        for bad in ["", ":8080", "0.0.0.0", "host:8080", "1.2.3.4:99999", "fd00::5:99999"] {
            assert!(listen(bad).is_err(), "{bad}");
        }
    }
}
