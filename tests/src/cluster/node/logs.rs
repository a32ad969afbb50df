//! What the containers of a node print: files, and the part of a kubelet's HTTPS interface that `kubectl logs` asks.
//!
//! Comes in: where a container's run writes to. Goes out: text, whole or from its end, and on while the container runs.
//! A file per run: `<folder>/<namespace>_<pod>_<uid>_<container>/<restarts>`. They stay after the pod.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path as Route, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::Listener;
use futures_util::stream;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::inner::Inner;

/// Between two looks at a log that is followed.
const PACE: Duration = Duration::from_millis(200);

/// What `kubectl logs` may ask for.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Options {
    follow: bool,
    previous: bool,
    tail_lines: Option<usize>,
}

/// Names of the runs' files of a pod's containers, oldest first; `container` empty: of all.
pub(super) fn files(folder: &Path, namespace: &str, pod: &str, container: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let ours = entries.filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let parts: Vec<_> = name.split('_').collect();
        matches!(parts[..], [ns, name, _, own] if ns == namespace && name == pod && (container.is_empty() || own == container))
    });
    let mut runs: Vec<_> =
        ours.flat_map(|path| std::fs::read_dir(path).into_iter().flatten().flatten()).collect();
    runs.sort_by_key(|entry| entry.metadata().and_then(|it| it.created()).ok());
    runs.into_iter().map(|entry| entry.path()).collect()
}

/// Serves the logs of a node until it is dropped.
pub(super) async fn serve(node: Arc<Inner>, listener: TcpListener, acceptor: TlsAcceptor) {
    let routes =
        Router::new().route("/containerLogs/{namespace}/{pod}/{container}", get(logs)).with_state(node);
    let _ = axum::serve(Tls { listener, acceptor }, routes).await;
}

/// TLS with a certificate from PEM files.
pub(super) fn acceptor(certificate: &Path, key: &Path) -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_file(certificate).expect("a certificate of our own");
    let key = PrivateKeyDer::from_pem_file(key).expect("a key of our own");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.expect("protocols").with_no_client_auth().with_single_cert(vec![certificate], key);
    TlsAcceptor::from(Arc::new(config.expect("a certificate with its key")))
}

struct Tls {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = Listener::accept(&mut self.listener).await;
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

async fn logs(
    State(node): State<Arc<Inner>>,
    Route((namespace, pod, container)): Route<(String, String, String)>,
    Query(options): Query<Options>,
) -> Response {
    let mut runs = files(&node.logs(), &namespace, &pod, &container);
    if options.previous {
        runs.pop();
    }
    let Some(path) = runs.pop() else {
        return (StatusCode::BAD_REQUEST, format!("no log of container {container:?} in pod {pod:?}"))
            .into_response();
    };
    let text = tokio::fs::read(&path).await.unwrap_or_default();
    let start = options.tail_lines.map_or(0, |lines| tail(&text, lines));
    if !options.follow {
        return Body::from(text[start..].to_vec()).into_response();
    }
    let start = u64::try_from(start).expect("a length");
    Body::from_stream(stream::unfold(Some((node, path, start)), follow)).into_response()
}

type Position = Option<(Arc<Inner>, PathBuf, u64)>;

/// What was printed since; the last piece once the container has ended.
async fn follow(position: Position) -> Option<(io::Result<Bytes>, Position)> {
    let (node, path, mut at) = position?;
    loop {
        let running = node.is_printing(&path);
        let text = match since(&path, at).await {
            Ok(text) => text,
            Err(error) => return Some((Err(error), None)),
        };
        if !running {
            return Some((Ok(text), None));
        }
        if !text.is_empty() {
            at += u64::try_from(text.len()).expect("a length");
            return Some((Ok(text), Some((node, path, at))));
        }
        tokio::time::sleep(PACE).await;
    }
}

async fn since(path: &Path, at: u64) -> io::Result<Bytes> {
    let mut file = tokio::fs::File::open(path).await?;
    file.seek(io::SeekFrom::Start(at)).await?;
    let mut text = Vec::new();
    file.read_to_end(&mut text).await?;
    Ok(text.into())
}

/// Where the last lines begin.
fn tail(text: &[u8], lines: usize) -> usize {
    let body = text.strip_suffix(b"\n").unwrap_or(text);
    let mut ends = body.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n');
    match lines {
        0 => text.len(),
        _ => ends.nth(lines - 1).map_or(0, |(at, _)| at + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_found() {
        let text = b"one\ntwo\nthree\n";
        let last = |lines| std::str::from_utf8(&text[tail(text, lines)..]).unwrap();
        assert_eq!(
            [last(0), last(1), last(2), last(9)],
            ["", "three\n", "two\nthree\n", "one\ntwo\nthree\n"]
        );
    }

    #[test]
    fn a_pod_is_not_taken_for_another_whose_name_begins_the_same() {
        let folder = tempfile::TempDir::new().unwrap();
        for name in ["n_shop_u1_main", "n_shop-2_u2_main"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
            std::fs::write(folder.path().join(name).join("0"), name).unwrap();
        }
        let found = files(folder.path(), "n", "shop", "");
        assert_eq!(found, [folder.path().join("n_shop_u1_main/0")]);
        assert_eq!(files(folder.path(), "n", "shop", "other"), [] as [PathBuf; 0]);
    }
}
