//! Opens a connection to a host, straight or through a proxy (HTTP CONNECT over plain or TLS, SOCKS5), with a password if given.

use std::sync::Arc;

use axum::http::Uri;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper_util::client::proxy::matcher::Matcher;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_socks::tcp::Socks5Stream;
use url::Url;

/// Longest answer of a proxy to CONNECT, bytes.
const MAX_ANSWER: usize = 8 * 1024;

/// Any byte stream.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A byte stream of which nobody needs to know what it is made of.
pub(super) type BoxStream = Box<dyn Stream>;

/// Why the host could not be reached. Names no password.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    #[error("cannot reach {host}:{port}: {source}")]
    Tcp { host: String, port: u16, source: std::io::Error },
    #[error("TLS with {host} failed: {source}")]
    Tls { host: String, source: std::io::Error },
    #[error("{0} is no host name that TLS can check")]
    Name(String),
    #[error("the proxy does not speak: {0}")]
    ProxyIo(#[from] std::io::Error),
    #[error("the proxy refuses to connect to {host}:{port}: {answer}")]
    ProxyRefuses { host: String, port: u16, answer: String },
    #[error("the SOCKS proxy refuses: {0}")]
    Socks(#[from] tokio_socks::Error),
}

/// The way out: straight, or through a proxy but to some hosts.
#[derive(Clone, Default)]
pub(super) struct Route {
    /// The proxy.
    pub(super) proxy: Option<Url>,
    /// Hosts that are reached without it, as `NO_PROXY` lists them.
    pub(super) direct: String,
}

impl Route {
    /// The proxy on the way to this host, by the rule that the HTTP client goes by too.
    pub(super) fn through(&self, host: &str) -> Option<&Url> {
        // What the matcher would use as a proxy is of no interest: only whether it would use one.
        let matcher = Matcher::builder().all("http://proxy").no(self.direct.as_str()).build();
        let direct =
            format!("https://{host}/").parse::<Uri>().is_ok_and(|uri| matcher.intercept(&uri).is_none());
        self.proxy.as_ref().filter(|_| !direct)
    }
}

/// Connects to the host, through the proxy if there is one. No TLS to the host yet.
pub(super) async fn connect(
    host: &str,
    port: u16,
    proxy: Option<&Url>,
    tls: &Arc<ClientConfig>,
) -> Result<BoxStream, DialError> {
    let Some(proxy) = proxy else { return Ok(Box::new(tcp(host, port).await?)) };
    let proxy_host = bare(proxy.host_str().unwrap_or_default());
    let default_port = match proxy.scheme() {
        "http" => 80,
        "https" => 443,
        _ => 1080,
    };
    let stream = tcp(proxy_host, proxy.port().unwrap_or(default_port)).await?;
    match proxy.scheme() {
        "http" => tunnel(Box::new(stream), host, port, proxy).await,
        "https" => tunnel(secure(Box::new(stream), proxy_host, tls).await?, host, port, proxy).await,
        _ => socks(stream, host, port, proxy).await,
    }
}

/// TLS to the host over an open stream.
pub(super) async fn secure(
    stream: BoxStream,
    host: &str,
    tls: &Arc<ClientConfig>,
) -> Result<BoxStream, DialError> {
    let name = ServerName::try_from(bare(host).to_owned()).map_err(|_| DialError::Name(host.to_owned()))?;
    let secured = TlsConnector::from(Arc::clone(tls)).connect(name, stream).await;
    let secured = secured.map_err(|source| DialError::Tls { host: host.to_owned(), source })?;
    Ok(Box::new(secured))
}

async fn tcp(host: &str, port: u16) -> Result<TcpStream, DialError> {
    let failed = |source| DialError::Tcp { host: host.to_owned(), port, source };
    let stream = TcpStream::connect((bare(host), port)).await.map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    Ok(stream)
}

/// A URL writes an IPv6 address in brackets; nothing else does.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(host)
}

async fn tunnel(mut stream: BoxStream, host: &str, port: u16, proxy: &Url) -> Result<BoxStream, DialError> {
    let request = connect_request(host, port, proxy);
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") && answer.len() < MAX_ANSWER {
        answer.push(stream.read_u8().await?);
    }
    let line = answer.split(|b| *b == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line).into_owned();
    let status = line.split(' ').nth(1).unwrap_or_default();
    if status.starts_with('2') && status.len() == 3 {
        Ok(stream)
    } else {
        Err(DialError::ProxyRefuses { host: host.to_owned(), port, answer: line })
    }
}

fn connect_request(host: &str, port: u16, proxy: &Url) -> String {
    let authorization = credentials(proxy).map_or_else(String::new, |(user, password)| {
        format!("Proxy-Authorization: Basic {}\r\n", STANDARD.encode(format!("{user}:{password}")))
    });
    format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n{authorization}\r\n")
}

async fn socks(stream: TcpStream, host: &str, port: u16, proxy: &Url) -> Result<BoxStream, DialError> {
    let target = (bare(host), port);
    let stream = match credentials(proxy) {
        Some((user, password)) => {
            Socks5Stream::connect_with_password_and_socket(stream, target, &user, &password).await?
        }
        None => Socks5Stream::connect_with_socket(stream, target).await?,
    };
    Ok(Box::new(stream))
}

/// User and password of the proxy, as they were before they were written into a URL.
fn credentials(proxy: &Url) -> Option<(String, String)> {
    let decoded = |text: &str| percent_decoded(text);
    (!proxy.username().is_empty())
        .then(|| (decoded(proxy.username()), decoded(proxy.password().unwrap_or_default())))
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = (*first == b'%').then(|| tail.get(..2)).flatten();
        let byte = escaped.and_then(|digits| hex::decode(digits).ok()).and_then(|b| b.first().copied());
        if let (Some(byte), Some(after)) = (byte, tail.get(2..)) {
            bytes.push(byte);
            rest = after;
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests;
