//! Small proxies of our own for tests: HTTP CONNECT and SOCKS5, each with a user and a password.
//!
//! They count what they were asked for, refuse who shows another password, and end with their value.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

const USER: &str = "user";
const PASSWORD: &str = "p@ss:word";

/// Which protocol a proxy speaks.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    Connect,
    Socks,
}

/// A running proxy.
#[derive(Debug)]
pub struct Proxy {
    pub url: String,
    pub wrong_url: String,
    tunnels: Arc<AtomicU32>,
    refused: Arc<AtomicU32>,
    _server: JoinSet<()>,
}

impl Proxy {
    pub async fn start(kind: Kind) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let scheme = match kind {
            Kind::Connect => "http",
            Kind::Socks => "socks5",
        };
        let (tunnels, refused) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let mut server = JoinSet::new();
        server.spawn(accept(listener, kind, Arc::clone(&tunnels), Arc::clone(&refused)));
        Self {
            url: format!("{scheme}://{USER}:p%40ss%3Aword@{address}"),
            wrong_url: format!("{scheme}://{USER}:wrong@{address}"),
            tunnels,
            refused,
            _server: server,
        }
    }

    /// How many tunnels it has opened.
    pub fn tunnels(&self) -> u32 {
        self.tunnels.load(Ordering::Relaxed)
    }

    /// How many callers showed no or another password.
    pub fn refused(&self) -> u32 {
        self.refused.load(Ordering::Relaxed)
    }
}

async fn accept(listener: TcpListener, kind: Kind, tunnels: Arc<AtomicU32>, refused: Arc<AtomicU32>) {
    // Dropped with this task, and all tunnels with it.
    let mut open = JoinSet::new();
    while let Ok((mut stream, _)) = listener.accept().await {
        let (tunnels, refused) = (Arc::clone(&tunnels), Arc::clone(&refused));
        open.spawn(async move {
            let upstream = match kind {
                Kind::Connect => connect(&mut stream).await,
                Kind::Socks => socks(&mut stream).await,
            };
            match upstream {
                Ok(Some(mut upstream)) => {
                    tunnels.fetch_add(1, Ordering::Relaxed);
                    let _ended = copy_bidirectional(&mut stream, &mut upstream).await;
                }
                Ok(None) => {
                    refused.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => panic!("a proxy was spoken to in another protocol: {error}"),
            }
        });
    }
}

/// HTTP CONNECT (RFC 9110, 9.3.6) with Basic credentials.
async fn connect(stream: &mut TcpStream) -> io::Result<Option<TcpStream>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8(head).map_err(io::Error::other)?;
    let target = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next());
    let target = target.ok_or_else(|| io::Error::other(head.clone()))?;
    let known = format!("Proxy-Authorization: Basic {}\r\n", STANDARD.encode(format!("{USER}:{PASSWORD}")));
    if !head.contains(&known) {
        stream.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await?;
        return Ok(None);
    }
    let upstream = TcpStream::connect(target).await?;
    stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    Ok(Some(upstream))
}

/// SOCKS5 (RFC 1928) with user and password (RFC 1929), to an IPv4 address.
async fn socks(stream: &mut TcpStream) -> io::Result<Option<TcpStream>> {
    let [version, methods] = read(stream).await?;
    let mut offered = vec![0; usize::from(methods)];
    stream.read_exact(&mut offered).await?;
    assert_eq!(version, 5);
    assert!(offered.contains(&2), "a password is offered: {offered:?}");
    stream.write_all(&[5, 2]).await?;
    let [_, length] = read(stream).await?;
    let user = text(stream, length).await?;
    let [length] = read(stream).await?;
    let password = text(stream, length).await?;
    if (user.as_str(), password.as_str()) != (USER, PASSWORD) {
        stream.write_all(&[1, 1]).await?;
        return Ok(None);
    }
    stream.write_all(&[1, 0]).await?;
    let [_, command, _, kind] = read(stream).await?;
    assert_eq!((command, kind), (1, 1), "CONNECT to an IPv4 address");
    let address: [u8; 4] = read(stream).await?;
    let upstream = TcpStream::connect((std::net::Ipv4Addr::from(address), stream.read_u16().await?)).await?;
    stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    Ok(Some(upstream))
}

async fn read<const N: usize>(stream: &mut TcpStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

async fn text(stream: &mut TcpStream, length: u8) -> io::Result<String> {
    let mut bytes = vec![0; usize::from(length)];
    stream.read_exact(&mut bytes).await?;
    String::from_utf8(bytes).map_err(io::Error::other)
}
