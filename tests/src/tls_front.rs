//! TLS in front of a plain server, with a certificate that can be replaced while clients are connected.
//!
//! Comes in: the server's address, and an [`Authority`]. Goes out: an address that speaks TLS. It must not look at what it carries.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// Where a front listens.
const HOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A certificate authority.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    /// Makes one of this name.
    ///
    /// # Panics
    /// When no key can be made.
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        params.distinguished_name.push(DnType::CommonName, name);
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Its certificate.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A server's side of TLS, with a new certificate of this authority's.
    fn acceptor(&self) -> TlsAcceptor {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec![HOST.to_string()]).expect("a name");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.expect("protocols").with_no_client_auth();
        let config = config.with_single_cert(vec![certificate.der().clone()], key);
        TlsAcceptor::from(Arc::new(config.expect("a certificate with its key")))
    }
}

/// What is presented now.
#[derive(Clone)]
struct Presented {
    acceptor: TlsAcceptor,
    /// Clients that have taken this certificate.
    convinced: Arc<AtomicUsize>,
}

impl Presented {
    fn of(authority: &Authority) -> Self {
        Self { acceptor: authority.acceptor(), convinced: Arc::default() }
    }
}

/// See the file's comment. Ends when dropped.
pub struct TlsFront {
    address: SocketAddr,
    presented: watch::Sender<Presented>,
    task: JoinHandle<()>,
}

impl std::fmt::Debug for TlsFront {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsFront").field("address", &self.address).finish_non_exhaustive()
    }
}

impl TlsFront {
    /// Listens on a free port, in front of `server`.
    ///
    /// # Panics
    /// When there is no port.
    pub async fn start(server: SocketAddr, authority: &Authority) -> Self {
        let listener = TcpListener::bind((HOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let (presented, seen) = watch::channel(Presented::of(authority));
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, server, seen.clone()));
            }
        });
        Self { address, presented, task }
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Presents another certificate from now on; open connections end.
    pub fn present(&self, authority: &Authority) {
        self.presented.send_replace(Presented::of(authority));
    }

    /// How many connections have been made with the certificate that is presented now.
    pub fn convinced(&self) -> usize {
        self.presented.borrow().convinced.load(Ordering::Relaxed)
    }
}

impl Drop for TlsFront {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(client: TcpStream, server: SocketAddr, mut seen: watch::Receiver<Presented>) {
    let presented = seen.borrow_and_update().clone();
    let carried = async {
        let Ok(mut client) = presented.acceptor.accept(client).await else { return };
        let Ok(mut server) = TcpStream::connect(server).await else { return };
        presented.convinced.fetch_add(1, Ordering::Relaxed);
        // Either side may break off at any time.
        let _ = copy_bidirectional(&mut client, &mut server).await;
    };
    tokio::select! {
        () = carried => {}
        _ = seen.changed() => {}
    }
}
