//! Flags and environment in, a validated [`Config`] out. The only file that reads the environment; `validate` is pure.
//!
//! A bad configuration is found here, before a port opens (the program exits with 64).

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{ArgAction, Parser};
use url::Url;

use crate::whatsapp::DEFAULT_LOG;

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

/// One WhatsApp connection per process.
#[derive(Debug, Parser)]
#[command(name = "session-pod", version = VERSION)]
pub(crate) struct Flags {
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
    #[arg(long, env = "WAREST_LISTEN", default_value = "0.0.0.0:8080")]
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
}

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
pub(crate) fn validate(flags: Flags, simulator_build: bool) -> Result<Config, ConfigError> {
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
        device_name: flags.device_name,
        auto_reply: flags.auto_reply,
        exit_on_stdin_eof: flags.exit_on_stdin_eof,
        log: flags.log,
        min_free_bytes: flags.min_free_bytes,
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

fn proxy(text: &str) -> Result<Url, ConfigError> {
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
mod tests {
    use super::*;

    fn flags(change: impl FnOnce(&mut Flags)) -> Flags {
        let mut flags = Flags {
            session_id: "alice".into(),
            session_uid: "uid-1".into(),
            data_dir: "/data".into(),
            listen: ([127, 0, 0, 1], 0).into(),
            address_file: None,
            token: Some("0123456789abcdef".into()),
            token_file: None,
            whatsapp_url: Some("ws://127.0.0.1:1/ws/chat".into()),
            extra_ca: None,
            proxy: None,
            device_name: "WARest".into(),
            auto_reply: false,
            client_version: None,
            exit_on_stdin_eof: false,
            log: DEFAULT_LOG.into(),
            min_free_bytes: 0,
        };
        change(&mut flags);
        flags
    }

    #[track_caller]
    fn refused(simulator_build: bool, change: impl FnOnce(&mut Flags)) -> ConfigError {
        validate(flags(change), simulator_build).unwrap_err()
    }

    #[test]
    fn a_simulator_build_refuses_whatsapp() {
        for url in [
            None,
            Some(""),
            Some("wss://web.whatsapp.com/ws/chat"),
            Some("wss://WEB.WhatsApp.com./ws/chat"),
            Some("ws://g.whatsapp.net/ws/chat"),
            Some("wss://whatsapp.net"),
        ] {
            let error = refused(true, |f| f.whatsapp_url = url.map(str::to_owned));
            assert!(matches!(error, ConfigError::SimulatorBuild(_)), "{url:?}: {error}");
        }
        let near = validate(flags(|f| f.whatsapp_url = Some("ws://notwhatsapp.com/ws/chat".into())), true);
        assert!(near.is_ok());
    }

    #[test]
    fn a_release_build_talks_to_whatsapp_by_default_and_pins_no_version() {
        let config = validate(flags(|f| f.whatsapp_url = None), false).unwrap();
        assert_eq!(config.whatsapp_url.as_str(), WHATSAPP_URL);
        assert_eq!(config.client_version, None);
        assert_eq!(validate(flags(|_| ()), true).unwrap().client_version, Some(SIMULATOR_CLIENT_VERSION));
    }

    #[test]
    fn broken_values_are_named() {
        for id in ["", "-a", "a-", "A", "a.b", "ä", &"x".repeat(64)] {
            let error = refused(true, |f| f.session_id = id.to_owned());
            assert!(matches!(error, ConfigError::SessionId(_)), "{id:?}");
        }
        assert_eq!(refused(true, |f| f.session_uid = "a b".into()), ConfigError::SessionUid);
        assert_eq!(refused(true, |f| f.token = None), ConfigError::Token);
        assert_eq!(refused(true, |f| f.token_file = Some("/t".into())), ConfigError::Token);
        assert_eq!(refused(true, |f| f.token = Some("short".into())), ConfigError::ShortToken);
        assert_eq!(refused(true, |f| f.proxy = Some("ftp://x".into())), ConfigError::Proxy);
        assert_eq!(refused(true, |f| f.device_name = String::new()), ConfigError::DeviceName);
        for version in ["2", "2.3000", "2.3000.x", "2.3000.1.4"] {
            let error = refused(true, |f| f.client_version = Some(version.into()));
            assert!(matches!(error, ConfigError::ClientVersion(_)), "{version}");
        }
        for url in ["http://127.0.0.1/ws/chat", "ws://", "nonsense"] {
            let error = refused(true, |f| f.whatsapp_url = Some(url.into()));
            assert!(matches!(error, ConfigError::WhatsappUrl(_)), "{url}");
        }
    }

    #[test]
    fn proxies_and_versions_are_read() {
        let config = validate(
            flags(|f| {
                f.proxy = Some("socks5://user:secret@127.0.0.1:1080".into());
                f.client_version = Some("2.3000.1234".into());
            }),
            false,
        )
        .unwrap();
        assert_eq!(config.proxy.unwrap().scheme(), "socks5");
        assert_eq!(config.client_version, Some((2, 3000, 1234)));
    }
}
