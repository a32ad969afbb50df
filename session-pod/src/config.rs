//! Flags and environment in, a validated [`Config`] out. The only file that reads the environment; `validate` is pure.
//!
//! A bad configuration is found here, before a port opens (the program exits with 64).

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser as _;
use url::Url;

pub(crate) mod begin;
mod flags;
pub(crate) mod push;

use flags::Flags;

/// WhatsApp's own websocket, the default of a release build.
pub(crate) const WHATSAPP_URL: &str = "wss://web.whatsapp.com/ws/chat";

/// Whether this build accepts the simulator's certificates. Such a build never talks to WhatsApp.
pub(crate) const SIMULATOR_BUILD: bool = cfg!(feature = "simulator");

/// Version of the program as it is shown everywhere; a simulator build says so.
pub(crate) const VERSION: &str = if SIMULATOR_BUILD {
    concat!(env!("CARGO_PKG_VERSION"), "+simulator")
} else {
    env!("CARGO_PKG_VERSION")
};

/// WhatsApp's client version that a simulator build announces when none is given.
const SIMULATOR_CLIENT_VERSION: ClientVersion = (2, 3000, 1_023_000_000);

/// WhatsApp's client version, for example `2.3000.1023456789`.
pub(crate) type ClientVersion = (u32, u32, u32);

/// What the program runs with. Files named in it have not been read.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// Name of the session.
    pub session_id: String,
    /// UID of the session.
    pub session_uid: String,
    /// The session's directory.
    pub data_dir: PathBuf,
    /// Address of the HTTP server.
    pub listen: SocketAddr,
    /// Where to write the bound address.
    pub address_file: Option<PathBuf>,
    /// Where the token comes from.
    pub token: TokenSource,
    /// WhatsApp's websocket.
    pub whatsapp_url: Url,
    /// PEM file with more roots.
    pub extra_ca: Option<PathBuf>,
    /// Proxy for everything.
    pub proxy: Option<Url>,
    /// Hosts that are reached without it.
    pub no_proxy: String,
    /// Name of the device on the phone.
    pub device_name: String,
    /// Default of the policy's `autoReply`.
    pub auto_reply: bool,
    /// Pinned client version.
    pub client_version: Option<ClientVersion>,
    /// Stop when stdin closes.
    pub exit_on_stdin_eof: bool,
    /// What is logged.
    pub log: String,
    /// Floor of free space, bytes.
    pub min_free_bytes: u64,
    /// Configuration to start with.
    pub initial: Option<PathBuf>,
    /// Processes that must have opened the store before.
    pub min_writer_epoch: u64,
}

/// Where the bearer token comes from.
#[derive(Clone)]
pub(crate) enum TokenSource {
    /// Given.
    Value(String),
    /// In this file.
    File(PathBuf),
}

impl std::fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Value(_) => f.write_str("Value(***)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

/// What is wrong with the configuration, and what to do.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum ConfigError {
    /// No DNS label.
    #[error(
        "--session-id {0:?} is not a DNS label: 1 to 63 lower-case letters, digits or '-', starting and ending with a letter or digit"
    )]
    SessionId(String),
    /// Empty or unprintable.
    #[error("--session-uid must be 1 to 128 printable ASCII characters without spaces")]
    SessionUid,
    /// None or both.
    #[error("give exactly one of --token and --token-file (WAREST_TOKEN, WAREST_TOKEN_FILE)")]
    Token,
    /// Too short to be safe.
    #[error("the token must be at least 16 characters")]
    ShortToken,
    /// No websocket URL.
    #[error("--whatsapp-url {0:?} must be ws://… or wss://… with a host")]
    WhatsappUrl(String),
    /// The guard of simulator builds.
    #[error(
        "this is a simulator build: it does not check WhatsApp's certificates and refuses to talk to WhatsApp ({0}). \
         Point --whatsapp-url at a simulator, or use a release build"
    )]
    SimulatorBuild(String),
    /// Unknown kind of proxy.
    #[error("the proxy must be http://host:port, https://host:port or socks5://host:port")]
    Proxy,
    /// Not three numbers.
    #[error("--client-version {0:?} must be three numbers such as 2.3000.1023456789")]
    ClientVersion(String),
    /// Empty or too long.
    #[error("--device-name must be 1 to 50 characters")]
    DeviceName,
}

/// Reads flags and environment.
///
/// # Errors
/// What clap has to say: help and version too.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Config, clap::Error> {
    let flags = Flags::try_parse_from(arguments)?;
    validate(flags, SIMULATOR_BUILD)
        .map_err(|error| clap::Error::raw(clap::error::ErrorKind::ValueValidation, format!("{error}\n")))
}

/// The rules of a configuration.
///
/// # Errors
/// The first rule that is broken.
fn validate(flags: Flags, simulator_build: bool) -> Result<Config, ConfigError> {
    if !is_dns_label(&flags.session_id) {
        return Err(ConfigError::SessionId(flags.session_id));
    }
    let uid = &flags.session_uid;
    if !(1..=128).contains(&uid.len()) || !uid.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(ConfigError::SessionUid);
    }
    if !(1..=50).contains(&flags.device_name.chars().count()) {
        return Err(ConfigError::DeviceName);
    }
    Ok(Config {
        token: token_source(flags.token, flags.token_file)?,
        whatsapp_url: whatsapp_url(flags.whatsapp_url, simulator_build)?,
        proxy: flags.proxy.filter(|text| !text.is_empty()).map(|text| proxy(&text)).transpose()?,
        client_version: client_version(flags.client_version, simulator_build)?,
        session_id: flags.session_id,
        session_uid: flags.session_uid,
        data_dir: flags.data_dir,
        listen: flags.listen,
        address_file: flags.address_file,
        extra_ca: flags.extra_ca.filter(|path| !path.as_os_str().is_empty()),
        no_proxy: flags.no_proxy,
        device_name: flags.device_name,
        auto_reply: flags.auto_reply,
        exit_on_stdin_eof: flags.exit_on_stdin_eof,
        log: flags.log,
        min_free_bytes: flags.min_free_bytes,
        initial: flags.config_file.filter(|path| !path.as_os_str().is_empty()),
        min_writer_epoch: flags.min_writer_epoch,
    })
}

fn is_dns_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn token_source(value: Option<String>, file: Option<PathBuf>) -> Result<TokenSource, ConfigError> {
    let value = value.filter(|text| !text.is_empty());
    let file = file.filter(|path| !path.as_os_str().is_empty());
    match (value, file) {
        (Some(token), None) => check_token(&token).map(|()| TokenSource::Value(token)),
        (None, Some(path)) => Ok(TokenSource::File(path)),
        (None, None) | (Some(_), Some(_)) => Err(ConfigError::Token),
    }
}

/// The rule of a token, given or read from a file.
///
/// # Errors
/// It is too short.
pub(crate) fn check_token(token: &str) -> Result<(), ConfigError> {
    if token.len() < 16 { Err(ConfigError::ShortToken) } else { Ok(()) }
}

fn whatsapp_url(text: Option<String>, simulator_build: bool) -> Result<Url, ConfigError> {
    let text = text.filter(|text| !text.is_empty()).unwrap_or_else(|| WHATSAPP_URL.to_owned());
    let url = Url::parse(&text).map_err(|_| ConfigError::WhatsappUrl(text.clone()))?;
    let Some(host) = url.host_str().filter(|_| matches!(url.scheme(), "ws" | "wss")) else {
        return Err(ConfigError::WhatsappUrl(text));
    };
    if simulator_build && is_whatsapp_host(host) {
        return Err(ConfigError::SimulatorBuild(host.to_owned()));
    }
    Ok(url)
}

fn is_whatsapp_host(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    ["whatsapp.net", "whatsapp.com"]
        .iter()
        .any(|domain| host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
}

/// The rule of a proxy, given or pushed.
///
/// # Errors
/// It is none that can be used.
pub(crate) fn proxy(text: &str) -> Result<Url, ConfigError> {
    let url = Url::parse(text).map_err(|_| ConfigError::Proxy)?;
    let known = matches!(url.scheme(), "http" | "https" | "socks5" | "socks5h");
    if known && url.host_str().is_some_and(|host| !host.is_empty()) {
        Ok(url)
    } else {
        Err(ConfigError::Proxy)
    }
}

fn client_version(text: Option<String>, simulator_build: bool) -> Result<Option<ClientVersion>, ConfigError> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(simulator_build.then_some(SIMULATOR_CLIENT_VERSION));
    };
    let numbers: Option<Vec<u32>> = text.split('.').map(|part| part.parse().ok()).collect();
    match numbers.as_deref() {
        Some(&[a, b, c]) => Ok(Some((a, b, c))),
        Some(_) | None => Err(ConfigError::ClientVersion(text)),
    }
}

#[cfg(test)]
mod tests;
