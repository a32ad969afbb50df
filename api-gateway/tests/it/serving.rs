//! Connections: requests under way are answered when the gateway stops; a panic is an answer.

use std::sync::Arc;
use std::time::Duration;

use api_gateway::{middleware, serve};
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::routing::get;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};
use tower::ServiceExt as _;

use crate::rig::Rig;

const GRACE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_request_under_way_is_answered_and_no_new_one_taken() {
    let (begun, finish, stop) = (Arc::new(Notify::new()), Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (seen, gate) = (Arc::clone(&begun), Arc::clone(&finish));
    let slow = async move || {
        seen.notify_one();
        gate.notified().await;
        "done"
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let told = Arc::clone(&stop);
    let router = Router::new().route("/", get(slow));
    let serving = tokio::spawn(serve::serve(listener, router, GRACE, async move { told.notified().await }));
    api_gateway::pod_client::PodClient::new().unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let asked = tokio::spawn(client.get(&url).send());
    begun.notified().await;
    stop.notify_one();
    crate::rig::eventually("closed port", async || client.get(&url).send().await.err()).await;
    finish.notify_one();
    assert_eq!(asked.await.unwrap().unwrap().text().await.unwrap(), "done");
    tokio::time::timeout(Duration::from_secs(10), serving).await.unwrap().unwrap();
}

/// Asks on a connection that stays open, and gives the answer's head.
async fn ask(stream: &mut TcpStream) -> String {
    stream.write_all(b"GET /health/ready HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let (mut text, mut piece) = (String::new(), [0; 4_096]);
    while !text.contains("\r\n\r\n") {
        let read = stream.read(&mut piece).await.unwrap();
        assert!(read > 0, "it answers: {text}");
        text.push_str(std::str::from_utf8(&piece[..read]).unwrap());
    }
    text
}

#[tokio::test]
async fn on_its_way_out_it_is_not_ready_and_asks_for_another_connection() {
    let rig = Rig::start();
    let (finish, finished) = oneshot::channel();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving =
        tokio::spawn(serve::serve(listener, rig.router(), GRACE, async { finished.await.unwrap() }));
    let (mut before, idle) =
        (TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap());
    let head = ask(&mut before).await;
    assert!(head.starts_with("HTTP/1.1 200") && !head.contains("connection: close"), "{head}");
    rig.closing.begin();
    for mut stream in [before, idle, TcpStream::connect(address).await.unwrap()] {
        let head = ask(&mut stream).await;
        assert!(head.starts_with("HTTP/1.1 503") && head.contains("connection: close"), "{head}");
        assert!(head.contains("retry-after: 1"), "{head}");
        let rest = tokio::time::timeout(GRACE, stream.read_to_end(&mut Vec::new())).await;
        assert!(rest.unwrap().is_ok(), "it closes after its answer, and not before");
    }
    finish.send(()).unwrap();
    tokio::time::timeout(GRACE, serving).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_wait_ends_with_the_gateway() {
    let rig = Rig::start();
    rig.post("/api/sessions", serde_json::json!({"id": "toko"})).await.ok();
    let waiting = tokio::time::timeout(GRACE, rig.get("/api/sessions/toko/qr?wait=60"));
    // The wait has begun when it is polled for the second time.
    let (answer, ()) = tokio::join!(waiting, async { rig.closing.begin() });
    answer.unwrap().error(503, "stopping");
}

async fn broken() -> &'static str {
    panic!("a defect")
}

#[tokio::test]
async fn a_panic_is_an_answer() {
    let router = Router::new().route("/", get(broken)).layer(axum::middleware::from_fn(middleware::panics));
    let response = router.oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), 500);
    let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
    assert!(String::from_utf8_lossy(&body).contains("\"code\":\"internal_error\""));
}
