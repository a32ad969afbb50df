//! The bare engine of `make bench`: whatsapp-rust with the session program's store settings and nothing around it.
//!
//! Comes in: `bare-engine <ws-url> <database>`, then lines `send <number> <count>`. Goes out: lines `qr <text>`, `open`,
//! `sent <count> <milliseconds>` (each text sent after the last one's server ack). It must not queue, log or serve anything.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, bail};
use http::Uri;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::sync::mpsc;
use whatsapp_rust::async_trait;
use whatsapp_rust::prelude::*;
use whatsapp_rust::transport::{Transport, TransportEvent, TransportFactory, from_websocket};
use whatsapp_rust::types::events::Event;
use whatsapp_rust::wacore::net::{HttpClient, HttpRequest, HttpResponse};

/// The library's own transport leaves Nagle's algorithm on, which costs 40 ms a text on loopback; session-pod's does not.
/// So that the figures compare engines and not socket options, neither does this one.
struct PromptSocket {
    uri: Uri,
}

#[async_trait]
impl TransportFactory for PromptSocket {
    async fn create_transport(
        &self,
    ) -> anyhow::Result<(Arc<dyn Transport>, whatsapp_rust::async_channel::Receiver<TransportEvent>)> {
        let authority = self.uri.authority().context("a URL with a host and a port")?;
        let stream = tokio::net::TcpStream::connect(authority.as_str()).await?;
        stream.set_nodelay(true)?;
        let (websocket, _) =
            tokio_websockets::ClientBuilder::from_uri(self.uri.clone()).connect_on(stream).await?;
        Ok(from_websocket(websocket))
    }
}

/// Texts and pairing need no HTTP.
struct NoHttp;

#[async_trait]
impl HttpClient for NoHttp {
    async fn execute(&self, _: HttpRequest) -> anyhow::Result<HttpResponse> {
        bail!("the bare engine has no HTTP client")
    }
}

enum Heard {
    Open,
    Acked(String),
}

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    rustls::crypto::ring::default_provider().install_default().ok();
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().context("usage: bare-engine <ws-url> <database>")?;
    let database = arguments.next().context("usage: bare-engine <ws-url> <database>")?;
    let (tell, mut heard) = mpsc::unbounded_channel();
    let config = whatsapp_rust::store::SqliteStoreConfig {
        synchronous: whatsapp_rust::store::Synchronous::Full,
        ..Default::default()
    };
    let bot = Bot::builder()
        .with_backend(SqliteStore::with_config(&database, config).await?)
        .with_transport_factory(PromptSocket { uri: url.parse()? })
        .with_http_client(NoHttp)
        .with_runtime(TokioRuntime)
        .with_version((2, 3000, 1_023_223_821))
        .skip_history_sync()
        .on_event(move |event, _| {
            let tell = tell.clone();
            async move {
                match &*event {
                    Event::PairingQrCode(code) => println!("qr {}", code.code),
                    Event::Connected(_) => drop(tell.send(Heard::Open)),
                    Event::ServerAck(ack) => drop(tell.send(Heard::Acked(ack.id.clone()))),
                    _ => {}
                }
            }
        })
        .build()
        .await?;
    let handle = bot.spawn();
    while !matches!(heard.recv().await, Some(Heard::Open)) {}
    println!("open");
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let mut words = line.split_whitespace();
        let (Some("send"), Some(number), Some(count)) = (words.next(), words.next(), words.next()) else {
            bail!("expected `send <number> <count>`, got {line:?}");
        };
        let took = send(&handle.client(), &mut heard, number, count.parse()?).await?;
        println!("sent {count} {took}");
    }
    Ok(())
}

/// Sends `count` texts one after another, each when the last is acknowledged; gives the milliseconds that it took.
async fn send(
    client: &Arc<Client>,
    heard: &mut mpsc::UnboundedReceiver<Heard>,
    number: &str,
    count: u32,
) -> anyhow::Result<u128> {
    let to: Jid = format!("{number}@s.whatsapp.net").parse()?;
    let start = Instant::now();
    for text in 0..count {
        let sent = client.send_text(to.clone(), format!("bench {text}").as_str()).await?;
        let id: &str = sent.message_id.as_ref();
        loop {
            match heard.recv().await {
                Some(Heard::Acked(acked)) if acked == id => break,
                Some(_) => {}
                None => bail!("the engine ended"),
            }
        }
    }
    Ok(start.elapsed().as_millis())
}
