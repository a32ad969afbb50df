//! A scripted client on a real socket, and plain HTTP requests to the control API.

use std::sync::Arc;
use std::time::Duration;

use aes_gcm::aead::{Aead, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce};
use buffa::Message as _;
use futures_util::{SinkExt, StreamExt};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_websockets::{ClientBuilder, Message, WebSocketStream};
use wacore_binary::Node;
use waproto::whatsapp::ClientPayload;

use super::Companion;
use super::initiator::Initiator;
use crate::Simulator;
use crate::address::DeviceId;
use crate::connection::Stream;
use crate::frame::{FrameDecoder, decode_stanza, encode_stanza, frame};
use crate::noise::PROLOGUE;
use crate::xml;

/// Nothing in these tests takes longer, however busy the machine is.
const DEADLINE: Duration = Duration::from_mins(1);

/// A connected client.
pub(crate) struct Client {
    socket: WebSocketStream<Box<dyn Stream>>,
    decoder: FrameDecoder,
    keys: (Vec<u8>, Vec<u8>),
    counters: (u32, u32),
    /// The server's static key.
    pub(crate) server_static: [u8; 32],
    /// The handshake was IK to the end.
    pub(crate) accepted_ik: bool,
}

/// How to connect.
#[derive(Default, Clone, Copy)]
pub(crate) struct Options {
    /// Over TLS.
    pub(crate) tls: bool,
    /// The server's key, for IK.
    pub(crate) server_static: Option<[u8; 32]>,
    /// Routing information before the intro.
    pub(crate) routed: bool,
}

impl Client {
    /// Connects and shakes hands with this payload.
    pub(crate) async fn connect(
        simulator: &Simulator,
        companion: &Companion,
        payload: &ClientPayload,
        options: Options,
    ) -> Self {
        let stream = open(simulator, options.tls).await;
        let (mut socket, _) =
            ClientBuilder::new().uri(&simulator.ws_url()).unwrap().connect_on(stream).await.unwrap();
        let mut rng = StdRng::seed_from_u64(3);
        let (initiator, hello) =
            Initiator::start(&companion.noise, payload.encode_to_vec(), options.server_static, &mut rng);
        let routing: &[u8] = if options.routed { b"ED\x00\x01\x00\x00\x03abc" } else { b"" };
        let first = [routing, PROLOGUE.as_slice(), &frame(&hello)].concat();
        socket.send(Message::binary(first)).await.unwrap();
        let mut decoder = FrameDecoder::default();
        decoder.push(&PROLOGUE);
        let answer = next_frame(&mut socket, &mut decoder).await.unwrap();
        let outcome = initiator.read(&answer, &simulator.root_public_key());
        if let Some(finish) = &outcome.finish {
            socket.send(Message::binary(frame(finish))).await.unwrap();
        }
        Self {
            socket,
            decoder,
            keys: outcome.keys,
            counters: (0, 0),
            server_static: outcome.server_static,
            accepted_ik: outcome.accepted_ik,
        }
    }

    /// Pairs a new companion with a new phone and logs in.
    pub(crate) async fn pair(simulator: &Simulator, seed: u64) -> (Self, Companion) {
        let mut companion = Companion::new(&mut StdRng::seed_from_u64(seed));
        let registration = companion.registration();
        let mut client = Self::connect(simulator, &companion, &registration, Options::default()).await;
        companion.read_references(&client.next().await.unwrap());
        let body = serde_json::json!({ "qr": companion.qr(0) });
        let (scanned, ()) = tokio::join!(http(simulator, "POST", "/phones/scan", Some(body)), async {
            let success = client.next().await.unwrap();
            client.send(&companion.sign(&success)).await;
            assert!(xml::is(&client.next().await.unwrap(), "code", "515"));
        });
        let (status, scanned) = scanned;
        assert_eq!(status, 200, "{scanned}");
        let device = u16::try_from(scanned["deviceId"].as_u64().unwrap()).unwrap();
        companion.id = DeviceId::new(scanned["number"].as_str().unwrap(), device);
        let client = Self::log_in(simulator, &companion, Options::default()).await;
        (client, companion)
    }

    /// Logs a companion in.
    pub(crate) async fn log_in(simulator: &Simulator, companion: &Companion, options: Options) -> Self {
        let mut client = Self::connect(simulator, companion, &companion.login(), options).await;
        assert_eq!(client.next().await.unwrap().tag, "success");
        client
    }

    /// Sends a stanza.
    pub(crate) async fn send(&mut self, stanza: &Node) {
        let nonce = nonce(&mut self.counters.0);
        let plain = encode_stanza(stanza).unwrap();
        let sealed = Aes256Gcm::new_from_slice(&self.keys.0).unwrap().encrypt(&nonce, &plain[..]).unwrap();
        self.socket.send(Message::binary(frame(&sealed))).await.unwrap();
    }

    /// The next stanza; nothing when the server hung up.
    pub(crate) async fn next(&mut self) -> Option<Node> {
        let sealed = next_frame(&mut self.socket, &mut self.decoder).await?;
        let nonce = nonce(&mut self.counters.1);
        let plain = Aes256Gcm::new_from_slice(&self.keys.1).unwrap().decrypt(&nonce, &sealed[..]).unwrap();
        Some(decode_stanza(&plain).unwrap())
    }

    /// Skips stanzas until one has this tag.
    pub(crate) async fn until(&mut self, tag: &str) -> Node {
        loop {
            let stanza = self.next().await.expect("the server hung up");
            if stanza.tag == tag {
                return stanza;
            }
        }
    }
}

fn nonce(counter: &mut u32) -> Nonce<aes_gcm::aead::consts::U12> {
    let mut nonce = [0; 12];
    nonce[8..].copy_from_slice(&counter.to_be_bytes());
    *counter += 1;
    nonce.into()
}

async fn next_frame(
    socket: &mut WebSocketStream<Box<dyn Stream>>,
    decoder: &mut FrameDecoder,
) -> Option<Vec<u8>> {
    loop {
        if let Some(frame) = decoder.next_frame().unwrap() {
            return Some(frame);
        }
        let message = tokio::time::timeout(DEADLINE, socket.next()).await.expect("silence")?.ok()?;
        if message.is_close() {
            return None;
        }
        decoder.push(message.as_payload());
    }
}

async fn open(simulator: &Simulator, tls: bool) -> Box<dyn Stream> {
    let url = if tls { simulator.wss_url() } else { simulator.ws_url() };
    let url = url::Url::parse(&url).unwrap();
    let address = (url.host_str().unwrap(), url.port().unwrap());
    if tls {
        return connect_tls(simulator, &url).await;
    }
    Box::new(TcpStream::connect(address).await.unwrap())
}

/// A TLS connection to one of the simulator's addresses, with the simulator's authority.
async fn connect_tls(simulator: &Simulator, url: &url::Url) -> Box<dyn Stream> {
    let address = (url.host_str().unwrap(), url.port().unwrap());
    let stream = TcpStream::connect(address).await.unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(simulator.ca_pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(address.0.to_owned()).unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    Box::new(connector.connect(name, stream).await.unwrap())
}

/// A request to the control API: status and body.
pub(crate) async fn http(
    simulator: &Simulator,
    method: &str,
    path: &str,
    body: Option<Value>,
) -> (u16, Value) {
    let body = body.map(|body| body.to_string()).unwrap_or_default();
    let (status, text) = http_text(simulator, method, path, &body).await;
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// A request to the media server: status and body. `cut` sends only so much of the body, and hangs up.
pub(crate) async fn media(
    simulator: &Simulator,
    method: &str,
    path: &str,
    body: &[u8],
    cut: Option<usize>,
) -> (u16, Vec<u8>) {
    let url = url::Url::parse(&simulator.media_url()).unwrap();
    let mut stream = connect_tls(simulator, &url).await;
    let host = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&body[..cut.unwrap_or(length)]).await.unwrap();
    stream.flush().await.unwrap();
    if cut.is_some() {
        let _ = stream.shutdown().await;
    }
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut answer)).await.unwrap();
    let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") else {
        return (0, Vec::new());
    };
    let status = String::from_utf8_lossy(&answer[..end]).split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer[end + 4..].to_vec())
}

/// The same for the control API with a body that need not be JSON.
pub(crate) async fn http_text(simulator: &Simulator, method: &str, path: &str, body: &str) -> (u16, String) {
    let address = simulator.control_url().replace("http://", "");
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(DEADLINE, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}
