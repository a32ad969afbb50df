//! A wire to the API server that a test can cut: clients that go through it lose the server, nobody else does.
//!
//! Comes in: where to listen and where to lead. Goes out: a [`Relay`], which can be cut (connections end and new ones are
//! refused), stalled (nothing moves and nothing ends) and mended.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What the wire does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// Carries.
    Up,
    /// Open connections end, new ones are closed at once.
    Cut,
    /// Bytes stop where they are; connections stay open.
    Stalled,
}

/// See the file's comment. Ends when dropped. It lives in the runtime that started it.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    link: watch::Sender<Link>,
    accepting: JoinHandle<()>,
}

impl Relay {
    /// Listens (port 0 takes a free one) and leads to `target`.
    ///
    /// # Panics
    /// When the address is taken.
    pub async fn start(listen: SocketAddr, target: SocketAddr) -> Self {
        let listener = TcpListener::bind(listen).await.expect("an address of our own");
        let address = listener.local_addr().expect("its address");
        let (link, seen) = watch::channel(Link::Up);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(connection(client, target, seen.clone()));
            }
        });
        Self { address, link, accepting }
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes what the wire does, at once.
    pub fn set(&self, link: Link) {
        self.link.send_replace(link);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
        self.link.send_replace(Link::Cut);
    }
}

async fn connection(client: TcpStream, target: SocketAddr, mut link: watch::Receiver<Link>) {
    if *link.borrow() == Link::Cut {
        return;
    }
    let Ok(server) = TcpStream::connect(target).await else { return };
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let cut = link.clone();
    tokio::select! {
        _ = link.wait_for(|link| *link == Link::Cut) => {}
        _ = pump(from_client, to_server, cut.clone()) => {}
        _ = pump(from_server, to_client, cut) => {}
    }
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut link: watch::Receiver<Link>,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = from.read(&mut buffer).await?;
        let _ = link.wait_for(|link| *link != Link::Stalled).await;
        if length == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..length]).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.into_split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        address
    }

    #[tokio::test]
    async fn it_carries_stalls_and_cuts() {
        let relay = Relay::start("127.0.0.1:0".parse().unwrap(), echo().await).await;
        let mut stream = TcpStream::connect(relay.address()).await.unwrap();
        let mut answer = [0; 2];
        stream.write_all(b"hi").await.unwrap();
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"hi");

        relay.set(Link::Stalled);
        stream.write_all(b"ho").await.unwrap();
        let silence =
            tokio::time::timeout(std::time::Duration::from_millis(100), stream.read_exact(&mut answer));
        assert!(silence.await.is_err());
        relay.set(Link::Up);
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"ho");

        relay.set(Link::Cut);
        assert_eq!(stream.read(&mut answer).await.unwrap_or(0), 0);
        let mut refused = TcpStream::connect(relay.address()).await.unwrap();
        assert_eq!(refused.read(&mut answer).await.unwrap_or(0), 0);
    }
}
