//! The gateway's settings: the only place that reads the environment (and flags, which win over it).
//!
//! Comes in: the environment, with the names and defaults of WARest's `.env`. Goes out: a [`Config`] that can be relied on,
//! or a sentence that says which setting is wrong. An empty variable counts as unset, as in an `.env` file.

pub mod cluster;
mod limits;
mod stop;

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::Parser;
use http::HeaderValue;

use crate::closing::Patience;
use crate::settings;

/// The admin key of the `.env` example, which everybody knows.
pub const EXAMPLE_ADMIN_KEY: &str = "changeme-admin-key";

/// WARest's REST API, Socket.IO and UI in front of all sessions.
#[derive(Debug, Clone, Parser)]
#[command(version)]
struct Settings {
    /// `local`: sessions are processes on this machine. `kubernetes`: they are `WhatsAppSession` resources.
    #[arg(long, env = "WAREST_MODE", default_value = "local")]
    mode: String,
    #[command(flatten)]
    cluster: cluster::Flags,
    #[command(flatten)]
    limits: limits::Flags,
    #[command(flatten)]
    stop: stop::Flags,
    /// Asks this URL (`http://…/health/ready`), and ends: 0 for a good answer within 10 s, 1 otherwise.
    #[arg(long, value_name = "URL")]
    check: Option<String>,
    /// Port to listen on; 0 takes a free one.
    #[arg(long, env = "PORT", default_value = "4000")]
    port: String,
    /// Address to listen on.
    #[arg(long, env = "HOST", default_value = "0.0.0.0")]
    host: String,
    /// Where the address is written once the port is open (`host:port`).
    #[arg(long, env = "WAREST_ADDRESS_FILE")]
    address_file: Option<String>,
    /// `production` refuses the example's admin key and logs JSON.
    #[arg(long, env = "NODE_ENV", default_value = "development")]
    node_env: String,
    /// What the gateway logs, as in `RUST_LOG=info,api_gateway=debug` (default `info`).
    #[arg(long, env = "RUST_LOG")]
    log: Option<String>,
    /// What the sessions log, in the same form, if not their own default. Below `error`, the protocol library's lines name
    /// phone numbers: for debugging only.
    #[arg(long, env = "WAREST_SESSION_LOG")]
    session_log: Option<String>,
    /// The key that may do everything. Without one, a key is made and kept in the data directory.
    #[arg(long, env = "ADMIN_API_KEY", hide_env_values = true)]
    admin_api_key: Option<String>,
    /// Keys, separated by commas, whose holders see the sessions they make.
    #[arg(long, env = "USER_API_KEYS", hide_env_values = true, default_value = "")]
    user_api_keys: String,
    /// Web pages, separated by commas, that may call from another origin (`https://shop.example`), or `*`.
    #[arg(long, env = "ALLOWED_ORIGINS", default_value = "")]
    allowed_origins: String,
    /// Together with `AUTOREPLY_PING_PONG`: sessions answer `ping` with `pong`.
    #[arg(long, env = "AUTOREPLY_ENABLED", default_value = "false")]
    autoreply_enabled: String,
    /// See `AUTOREPLY_ENABLED`.
    #[arg(long, env = "AUTOREPLY_PING_PONG", default_value = "false")]
    autoreply_ping_pong: String,
    /// Proxy between the sessions and WhatsApp (`http://`, `https://` or `socks5://`, with `user:password@` if needed).
    #[arg(long, env = "HTTPS_PROXY", hide_env_values = true)]
    https_proxy: Option<String>,
    /// Hosts, separated by commas, that sessions reach without that proxy.
    #[arg(long, env = "NO_PROXY")]
    no_proxy: Option<String>,
    /// Where sessions and their credentials are kept.
    #[arg(long, env = "DATA_DIR", default_value = "./data")]
    data_dir: String,
    /// The session program; by default `session-pod` beside this one.
    #[arg(long, env = "SESSION_POD_BIN")]
    session_pod_bin: Option<String>,
    /// Most sessions that this gateway takes.
    #[arg(long, env = "SESSIONS_MAX", default_value = "500")]
    sessions_max: String,
    /// WhatsApp's WebSocket, handed to the sessions.
    #[arg(long, env = "WAREST_WHATSAPP_URL")]
    whatsapp_url: Option<String>,
    /// PEM file of a further certificate authority, handed to the sessions.
    #[arg(long, env = "WAREST_EXTRA_CA")]
    extra_ca: Option<String>,
    /// Name that phones show for the device, handed to the sessions.
    #[arg(long, env = "WAREST_DEVICE_NAME")]
    device_name: Option<String>,
    /// WhatsApp's client version, handed to the sessions.
    #[arg(long, env = "WAREST_CLIENT_VERSION")]
    client_version: Option<String>,
    /// Free disk below which a session takes nothing more, handed to the sessions.
    #[arg(long, env = "WAREST_MIN_FREE_BYTES")]
    min_free_bytes: Option<String>,
}

/// Where sessions live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// On this machine.
    Local,
    /// In a cluster.
    Kubernetes(cluster::ClusterConfig),
}

/// Settings that can be relied on.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where sessions live.
    pub mode: Mode,
    /// Settings that hold until an admin changes them.
    pub settings: settings::Settings,
    /// Only this URL is asked.
    pub check: Option<String>,
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where to write the address that is listened on.
    pub address_file: Option<PathBuf>,
    /// Whether this is production: logs are JSON.
    pub production: bool,
    /// What is logged.
    pub log: String,
    /// The admin key, if one is set.
    pub admin_api_key: Option<String>,
    /// The user keys.
    pub user_api_keys: Vec<String>,
    /// Who may call from another origin.
    pub origins: Origins,
    /// Whether sessions answer `ping` with `pong`.
    pub auto_reply: bool,
    /// Where sessions are kept.
    pub data_dir: PathBuf,
    /// The session program.
    pub session_pod: PathBuf,
    /// Most sessions.
    pub sessions_max: usize,
    /// How long a stop may take.
    pub patience: Patience,
    /// Environment that is handed to the sessions' processes.
    pub session_environment: Vec<(String, String)>,
}

/// Web pages that may call from another origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origins {
    /// These, and no others.
    Listed(Vec<HeaderValue>),
    /// All.
    Any,
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not understood by the command line, or its help was asked for.
    #[error(transparent)]
    CommandLine(#[from] clap::Error),
    /// A setting is wrong.
    #[error("{name}: {problem}")]
    Setting {
        /// Which.
        name: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}

impl Config {
    /// Reads flags and environment.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, ConfigError> {
        check(Settings::try_parse_from(arguments)?)
    }
}

fn check(settings: Settings) -> Result<Config, ConfigError> {
    let production = settings.node_env == "production";
    let admin_api_key = filled(settings.admin_api_key.clone());
    if production && admin_api_key.as_deref() == Some(EXAMPLE_ADMIN_KEY) {
        let problem = format!(
            "{EXAMPLE_ADMIN_KEY} is the example's key, which everybody knows: choose another one, or unset it and one is made"
        );
        return Err(wrong("ADMIN_API_KEY", problem));
    }
    let host = number("HOST", &settings.host, IpAddr::V4(Ipv4Addr::UNSPECIFIED))?;
    let port = number("PORT", &settings.port, 4000)?;
    let autoreply = flag("AUTOREPLY_ENABLED", &settings.autoreply_enabled)?;
    let ping_pong = flag("AUTOREPLY_PING_PONG", &settings.autoreply_ping_pong)?;
    let session_environment = handed(&settings);
    let mode = match settings.mode.trim() {
        "" | "local" => Mode::Local,
        "kubernetes" => Mode::Kubernetes(cluster::check(settings.cluster, admin_api_key.is_some())?),
        other => return Err(wrong("WAREST_MODE", format!("{other:?} is neither local nor kubernetes"))),
    };
    let patience = stop::check(&settings.stop, &mode)?;
    Ok(Config {
        mode,
        patience,
        settings: limits::check(settings.limits)?,
        check: settings.check,
        listen: SocketAddr::new(host, port),
        address_file: filled(settings.address_file).map(PathBuf::from),
        production,
        log: filled(settings.log).unwrap_or_else(|| "info".to_owned()),
        admin_api_key,
        user_api_keys: listed(&settings.user_api_keys).map(str::to_owned).collect(),
        origins: origins(&settings.allowed_origins)?,
        auto_reply: autoreply && ping_pong,
        data_dir: filled(Some(settings.data_dir)).unwrap_or_else(|| "./data".to_owned()).into(),
        session_pod: filled(settings.session_pod_bin).map_or_else(beside_this_program, PathBuf::from),
        sessions_max: number("SESSIONS_MAX", &settings.sessions_max, 500)?,
        session_environment,
    })
}

/// What the sessions' processes get of the settings.
fn handed(settings: &Settings) -> Vec<(String, String)> {
    let handed = [
        ("WAREST_WHATSAPP_URL", &settings.whatsapp_url),
        ("WAREST_EXTRA_CA", &settings.extra_ca),
        ("WAREST_DEVICE_NAME", &settings.device_name),
        ("WAREST_CLIENT_VERSION", &settings.client_version),
        ("WAREST_MIN_FREE_BYTES", &settings.min_free_bytes),
        ("HTTPS_PROXY", &settings.https_proxy),
        ("NO_PROXY", &settings.no_proxy),
        ("RUST_LOG", &settings.session_log),
    ];
    handed.into_iter().filter_map(|(name, value)| Some((name.to_owned(), filled(value.clone())?))).collect()
}

fn beside_this_program() -> PathBuf {
    let folder = std::env::current_exe().ok().and_then(|own| own.parent().map(PathBuf::from));
    folder.unwrap_or_default().join("session-pod")
}

fn wrong(name: &'static str, problem: impl Into<String>) -> ConfigError {
    ConfigError::Setting { name, problem: problem.into() }
}

fn filled(value: Option<String>) -> Option<String> {
    value.filter(|text| !text.trim().is_empty())
}

fn listed(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

fn number<T: std::str::FromStr<Err: std::fmt::Display>>(
    name: &'static str,
    text: &str,
    default: T,
) -> Result<T, ConfigError> {
    if text.trim().is_empty() {
        return Ok(default);
    }
    text.trim().parse().map_err(|error: T::Err| wrong(name, format!("{text:?} cannot be used: {error}")))
}

fn flag(name: &'static str, text: &str) -> Result<bool, ConfigError> {
    match text.trim().to_ascii_lowercase().as_str() {
        "" | "false" | "0" | "no" | "off" => Ok(false),
        "true" | "1" | "yes" | "on" => Ok(true),
        _ => Err(wrong(name, format!("{text:?} is neither true nor false"))),
    }
}

fn origins(text: &str) -> Result<Origins, ConfigError> {
    if text.trim() == "*" {
        return Ok(Origins::Any);
    }
    listed(text).map(origin).collect::<Result<_, _>>().map(Origins::Listed)
}

fn origin(text: &str) -> Result<HeaderValue, ConfigError> {
    let problem =
        || format!("{text:?} is no origin: write scheme, host and port only, such as https://shop.example");
    let refused = || wrong("ALLOWED_ORIGINS", problem());
    let url = url::Url::parse(text).map_err(|_| refused())?;
    if url.origin().ascii_serialization() != text.trim_end_matches('/') {
        return Err(refused());
    }
    HeaderValue::from_str(text.trim_end_matches('/')).map_err(|_| refused())
}

#[cfg(test)]
mod tests;
