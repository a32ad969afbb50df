//! Through real proxies on real sockets: what they are asked, and that bytes pass.

use rcgen::{CertificateParams, KeyPair};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::copy_bidirectional;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::*;

/// A server that answers every byte with the same byte.
async fn echo() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut reading, mut writing) = stream.split();
                tokio::io::copy(&mut reading, &mut writing).await
            });
        }
    });
    port
}

async fn passes(mut stream: BoxStream) {
    stream.write_all(b"hello").await.unwrap();
    stream.flush().await.unwrap();
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"hello");
}

fn no_tls() -> Arc<ClientConfig> {
    crate::whatsapp::client_config(None).unwrap()
}

/// A proxy that takes one CONNECT and returns its head.
async fn http_proxy<S: Stream + 'static>(mut stream: S, answer: &str) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    let target = head.split(' ').nth(1).unwrap().to_owned();
    stream.write_all(format!("HTTP/1.1 {answer}\r\nX: y\r\n\r\n").as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    if answer.starts_with('2') {
        let mut upstream = TcpStream::connect(target).await.unwrap();
        tokio::spawn(async move { copy_bidirectional(&mut stream, &mut upstream).await });
    }
    head
}

async fn plain_proxy(answer: &'static str) -> (u16, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let proxy = tokio::spawn(async move { http_proxy(listener.accept().await.unwrap().0, answer).await });
    (port, proxy)
}

#[tokio::test]
async fn straight_without_a_proxy() {
    let port = echo().await;
    passes(connect("127.0.0.1", port, None, &no_tls()).await.unwrap()).await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    assert!(matches!(connect("127.0.0.1", closed, None, &no_tls()).await, Err(DialError::Tcp { .. })));
}

#[tokio::test]
async fn through_an_http_proxy_with_a_password() {
    let target = echo().await;
    let (port, proxy) = plain_proxy("200 OK").await;
    let url = Url::parse(&format!("http://user:p%40ss@127.0.0.1:{port}")).unwrap();
    passes(connect("127.0.0.1", target, Some(&url), &no_tls()).await.unwrap()).await;
    let head = proxy.await.unwrap();
    assert!(head.starts_with(&format!("CONNECT 127.0.0.1:{target} HTTP/1.1\r\n")), "{head}");
    assert!(head.contains("Proxy-Authorization: Basic dXNlcjpwQHNz\r\n"), "{head}");
}

#[tokio::test]
async fn a_proxy_that_refuses_is_quoted_without_the_password() {
    let (port, _proxy) = plain_proxy("407 Proxy Authentication Required").await;
    let url = Url::parse(&format!("http://user:secret@127.0.0.1:{port}")).unwrap();
    let error = connect("example.org", 443, Some(&url), &no_tls()).await.err().unwrap().to_string();
    assert!(
        error.contains("407") && error.contains("example.org:443") && !error.contains("secret"),
        "{error}"
    );
}

#[tokio::test]
async fn through_an_https_proxy_that_the_extra_ca_signed() {
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ca.pem");
    std::fs::write(&file, certificate.pem()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
        )
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = TlsAcceptor::from(Arc::new(server));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(secured) = acceptor.accept(stream).await {
                http_proxy(secured, "200 OK").await;
            }
        }
    });
    let target = echo().await;
    let url = Url::parse(&format!("https://localhost:{port}")).unwrap();
    let stranger = connect("127.0.0.1", target, Some(&url), &no_tls()).await.err().unwrap();
    assert!(stranger.to_string().contains("certificate"), "{stranger}");
    let trusting = crate::whatsapp::client_config(Some(&file)).unwrap();
    passes(connect("127.0.0.1", target, Some(&url), &trusting).await.unwrap()).await;
}

/// A SOCKS5 proxy for one connection (RFC 1928, RFC 1929); returns user and password.
async fn socks_proxy(listener: TcpListener) -> Option<(String, String)> {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut greeting = [0; 2];
    stream.read_exact(&mut greeting).await.unwrap();
    let mut methods = vec![0; greeting[1].into()];
    stream.read_exact(&mut methods).await.unwrap();
    let wants_password = methods.contains(&2);
    stream.write_all(&[5, if wants_password { 2 } else { 0 }]).await.unwrap();
    let mut seen = None;
    if wants_password {
        stream.read_u8().await.unwrap();
        let mut fields = Vec::new();
        for _ in 0..2 {
            let mut field = vec![0; stream.read_u8().await.unwrap().into()];
            stream.read_exact(&mut field).await.unwrap();
            fields.push(String::from_utf8(field).unwrap());
        }
        stream.write_all(&[1, 0]).await.unwrap();
        seen = Some((fields[0].clone(), fields[1].clone()));
    }
    let mut request = [0; 4];
    stream.read_exact(&mut request).await.unwrap();
    let host = if request[3] == 1 {
        let mut ip = [0; 4];
        stream.read_exact(&mut ip).await.unwrap();
        std::net::Ipv4Addr::from(ip).to_string()
    } else {
        let mut name = vec![0; stream.read_u8().await.unwrap().into()];
        stream.read_exact(&mut name).await.unwrap();
        String::from_utf8(name).unwrap()
    };
    let port = stream.read_u16().await.unwrap();
    let mut upstream = TcpStream::connect((host.as_str(), port)).await.unwrap();
    stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
    tokio::spawn(async move { copy_bidirectional(&mut stream, &mut upstream).await });
    seen
}

#[tokio::test]
async fn through_a_socks_proxy_with_and_without_a_password() {
    let target = echo().await;
    for (login, expected) in [("", None), ("user:p%40ss@", Some(("user".to_owned(), "p@ss".to_owned())))] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("socks5://{login}{}", listener.local_addr().unwrap())).unwrap();
        let proxy = tokio::spawn(socks_proxy(listener));
        passes(connect("localhost", target, Some(&url), &no_tls()).await.unwrap()).await;
        assert_eq!(proxy.await.unwrap(), expected);
    }
}

#[test]
fn escaped_passwords_are_read_back() {
    assert_eq!(percent_decoded("a%20b%zz%4"), "a b%zz%4");
}

#[test]
fn listed_hosts_are_reached_without_the_proxy() {
    let route = |direct: &str| Route {
        proxy: Some("socks5://proxy:1080".parse().unwrap()),
        direct: direct.to_owned(),
    };
    for (direct, host, straight) in [
        ("", "web.whatsapp.com", false),
        ("whatsapp.com", "web.whatsapp.com", true),
        (".whatsapp.com, other", "WEB.whatsapp.com", true),
        ("whatsapp.com", "notwhatsapp.com", false),
        ("10.0.0.0/8,127.0.0.1", "127.0.0.1", true),
        ("10.0.0.0/8", "10.1.2.3", true),
        ("10.0.0.0/8", "11.1.2.3", false),
        ("::1", "[::1]", true),
        ("*", "anything", true),
    ] {
        assert_eq!(route(direct).through(host).is_none(), straight, "{direct:?} {host}");
    }
    assert!(Route::default().through("web.whatsapp.com").is_none(), "there is none");
}
