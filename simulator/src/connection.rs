//! One client's connection: WebSocket messages ↔ frames ↔ stanzas ↔ the hub. The only place where bytes move.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_websockets::{Config, Limits, Message, ServerBuilder, WebSocketStream};

use crate::frame::{self, FrameDecoder, FrameError, MAX_FRAME};
use crate::hub::{Hub, Outbound};
use crate::noise::{self, Ciphers, Established, NoiseError, Reply};
use crate::world::ConnectionId;

/// The path of WhatsApp's chat socket.
const PATH: &str = "/ws/chat";
/// A client that does not finish its handshake is dropped. Clients themselves give up after 20 s.
const HANDSHAKE: Duration = Duration::from_secs(20);
/// Clients ping every 20 to 30 s; one that is silent for so long is gone.
const SILENCE: Duration = Duration::from_mins(5);
/// How long a client that was told why gets to hang up.
const LINGER: Duration = Duration::from_secs(2);
/// Baileys 6 takes up its ciphers only after its last handshake message is written, and fails when the answer is
/// faster than any network. So the first stanza after an XX handshake takes a short round trip.
const ROUND_TRIP: Duration = Duration::from_millis(50);
/// How many stanzas are written between two looks at what came in.
const BATCH: usize = 64;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectionError {
    /// The WebSocket failed.
    #[error("use the WebSocket: {0}")]
    Socket(#[from] tokio_websockets::Error),
    /// The Noise handshake or a cipher failed.
    #[error("speak Noise: {0}")]
    Noise(#[from] NoiseError),
    /// Frames or stanzas were malformed.
    #[error("read a frame: {0}")]
    Frame(#[from] FrameError),
    /// The client was too slow.
    #[error("the client was silent for too long")]
    Silent,
    /// The client asked for something else than the chat socket.
    #[error("the client asked for another path than {PATH}")]
    Path,
    /// The client hung up during the handshake.
    #[error("the client hung up during the handshake")]
    HungUp,
}

/// A byte stream: TCP or TLS over it.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Serves one client until it or the world hangs up.
pub(crate) async fn serve<S: Stream>(hub: Arc<Hub>, stream: S) -> Result<(), ConnectionError> {
    let accepted = timeout(HANDSHAKE, accept(&hub, stream)).await;
    let (socket, decoder, established) = accepted.map_err(|_| ConnectionError::Silent)??;
    let (id, outbound) = hub.open();
    let Established { client_static, payload, ciphers } = established;
    hub.turn(|world, turn| world.connected(turn, id, client_static, &payload));
    drop(payload);
    let connection = Connection { hub: Arc::clone(&hub), id, socket, decoder, ciphers };
    let ended = connection.run(outbound).await;
    hub.closed(id);
    ended
}

async fn accept<S: Stream>(
    hub: &Hub,
    stream: S,
) -> Result<(WebSocketStream<S>, FrameDecoder, Established), ConnectionError> {
    let (request, mut socket) = ServerBuilder::new()
        .limits(Limits::default().max_payload_len(Some(MAX_FRAME + 3)))
        .config(Config::default().frame_size(MAX_FRAME))
        .accept(stream)
        .await?;
    if request.uri().path() != PATH {
        return Err(ConnectionError::Path);
    }
    let mut decoder = FrameDecoder::default();
    let hello = read_frame(&mut socket, &mut decoder).await?;
    let reply = noise::answer_hello(&hub.keys, &hello, &mut rand::rng())?;
    let established = match reply {
        Reply::Finished(answer, established) => {
            socket.send(binary(frame::frame(&answer))).await?;
            *established
        }
        Reply::Continue(answer, waiting) => {
            socket.send(binary(frame::frame(&answer))).await?;
            let established = waiting.finish(&read_frame(&mut socket, &mut decoder).await?)?;
            tokio::time::sleep(ROUND_TRIP).await;
            established
        }
    };
    Ok((socket, decoder, established))
}

async fn read_frame<S: Stream>(
    socket: &mut WebSocketStream<S>,
    decoder: &mut FrameDecoder,
) -> Result<Vec<u8>, ConnectionError> {
    loop {
        if let Some(frame) = decoder.next_frame()? {
            return Ok(frame);
        }
        let message = socket.next().await.ok_or(ConnectionError::HungUp)??;
        if message.is_binary() {
            decoder.push(message.as_payload());
        }
    }
}

fn binary(bytes: Vec<u8>) -> Message {
    Message::binary(bytes)
}

struct Connection<S> {
    hub: Arc<Hub>,
    id: ConnectionId,
    socket: WebSocketStream<S>,
    decoder: FrameDecoder,
    ciphers: Ciphers,
}

impl<S: Stream> Connection<S> {
    async fn run(mut self, mut outbound: mpsc::UnboundedReceiver<Outbound>) -> Result<(), ConnectionError> {
        let mut batch = Vec::new();
        self.take_frames()?;
        loop {
            tokio::select! {
                biased;
                _ = outbound.recv_many(&mut batch, BATCH) => {
                    if batch.is_empty() {
                        return Ok(());
                    }
                    if let Some(linger) = self.write(&mut batch).await? {
                        return self.hang_up(linger).await;
                    }
                }
                message = timeout(SILENCE, self.socket.next()) => {
                    let Some(message) = message.map_err(|_| ConnectionError::Silent)? else {
                        return Ok(());
                    };
                    let message = message?;
                    if message.is_binary() {
                        self.decoder.push(message.as_payload());
                        self.take_frames()?;
                    } else if message.is_close() {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn take_frames(&mut self) -> Result<(), ConnectionError> {
        while let Some(frame) = self.decoder.next_frame()? {
            let plain = self.ciphers.incoming.open(&frame)?;
            let stanza = frame::decode_stanza(&plain)?;
            self.hub.turn(|world, turn| world.receive(turn, self.id, &stanza));
        }
        Ok(())
    }

    /// Closes the socket. Who lingers lets the client read why and hang up itself: whatsmeow reports the closed socket
    /// first when both arrive together.
    async fn hang_up(mut self, linger: bool) -> Result<(), ConnectionError> {
        if linger {
            let until_closed = async { while let Some(Ok(_)) = self.socket.next().await {} };
            let _ = timeout(LINGER, until_closed).await;
        }
        let _ = timeout(LINGER, self.socket.close()).await;
        Ok(())
    }

    /// Writes what is waiting; tells how to hang up when the connection is to be closed.
    async fn write(&mut self, batch: &mut Vec<Outbound>) -> Result<Option<bool>, ConnectionError> {
        for outbound in batch.drain(..) {
            let (stanza, not_before) = match outbound {
                Outbound::Stanza(stanza, not_before) => (stanza, not_before),
                Outbound::Close { linger } => {
                    self.socket.flush().await?;
                    return Ok(Some(linger));
                }
            };
            if let Some(moment) = not_before {
                self.socket.flush().await?;
                tokio::time::sleep_until(moment).await;
            }
            let sealed = self.ciphers.outgoing.seal(&frame::encode_stanza(&stanza)?)?;
            self.socket.feed(binary(frame::frame(&sealed))).await?;
        }
        self.socket.flush().await?;
        Ok(None)
    }
}
