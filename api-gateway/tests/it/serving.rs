//! Connections: requests under way are answered when the gateway stops; a panic is an answer.

use std::sync::Arc;
use std::time::Duration;

use api_gateway::{middleware, serve};
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tower::ServiceExt as _;

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
    let serving = tokio::spawn(serve::serve(listener, router, async move { told.notified().await }));
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
