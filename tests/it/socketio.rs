//! The gateway's Socket.IO, judged by the stock socket.io-client: who gets in, who may join, what is emitted.

use reqwest::Method;
use serde_json::{Value, json};
use system_tests::external::socketio::{SocketIo, Via};
use system_tests::gateway::{ADMIN, Gateway, OTHER, USER};
use system_tests::rig::Rig;

const BOTH: &[&str] = &["polling", "websocket"];

async fn create(gateway: &Gateway, key: &str, id: &str) {
    gateway.call(key, Method::POST, "/api/sessions", &json!({"id": id})).await.ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_known_keys_get_in() {
    let rig = Rig::start().await;
    let gateway = Gateway::start(&rig.ws_url()).await;
    for (key, via) in [(None, Via::Auth), (Some("nobody"), Via::Auth), (Some("nobody"), Via::Header)] {
        let mut stranger = SocketIo::start(&gateway);
        stranger.connect(key, via, BOTH).await;
        let reason = stranger.refused().await;
        assert!(!reason.is_empty(), "a refusal says why");
    }
    for (key, via) in [(ADMIN, Via::Auth), (USER, Via::Header)] {
        let mut client = SocketIo::start(&gateway);
        client.connect(Some(key), via, BOTH).await;
        client.accepted().await;
    }
    let mut client = SocketIo::start(&gateway);
    client.connect(Some(USER), Via::Auth, &["websocket"]).await;
    assert_eq!(client.accepted().await, "websocket");
    let mut client = SocketIo::start(&gateway);
    client.connect(Some(USER), Via::Auth, &["polling"]).await;
    assert_eq!(client.accepted().await, "polling");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rooms_open_only_for_their_keys() {
    let rig = Rig::start().await;
    let gateway = Gateway::start(&rig.ws_url()).await;
    create(&gateway, USER, "mine").await;

    let mut owner = SocketIo::connected(&gateway, USER).await;
    assert_eq!(owner.join(&json!("mine")).await["ok"], true);
    let mut admin = SocketIo::connected(&gateway, ADMIN).await;
    assert_eq!(admin.join(&json!("mine")).await["ok"], true);

    let mut other = SocketIo::connected(&gateway, OTHER).await;
    for room in [json!("mine"), json!("no-such-session"), json!(7), json!({"a": 1}), Value::Null] {
        let answer = other.join(&room).await;
        assert_eq!(answer["ok"], false, "{room}: {answer}");
        assert!(answer["error"].as_str().is_some_and(|error| !error.is_empty()), "{answer}");
    }
    let foreign = other.join(&json!("mine")).await;
    let unknown = other.join(&json!("no-such-session")).await;
    assert_eq!(foreign["error"], unknown["error"], "a foreign session looks like none");

    owner.emitted("qr", |data| data["sessionId"] == "mine").await;
    admin.emitted("qr", |data| data["sessionId"] == "mine").await;
    // What the other was told comes in order on one connection: an answer after the owner's event means that no event came before.
    other.join(&json!("mine")).await;
    assert_eq!(other.others(), Vec::<String>::new(), "nothing of a foreign session");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_followed_from_qr_to_closed() {
    let rig = Rig::start().await;
    let gateway = Gateway::start(&rig.ws_url()).await;
    create(&gateway, USER, "shop").await;
    let mut client = SocketIo::connected(&gateway, USER).await;
    assert_eq!(client.join(&json!("shop")).await["ok"], true);

    let qr = client.emitted("qr", |data| data["sessionId"] == "shop").await;
    let phone = rig.phone().await;
    phone.scan(qr["qr"].as_str().unwrap()).await;
    let ready = client.emitted("ready", |_| true).await;
    assert_eq!(ready["sessionId"], "shop");

    let friend = rig.phone().await;
    let sent = gateway
        .call(
            USER,
            Method::POST,
            "/api/messages/text",
            &json!({"sessionId": "shop", "to": friend.number, "text": "Halo"}),
        )
        .await
        .ok();
    let id = sent["id"].as_str().unwrap();
    friend.receives("Halo").await;
    friend.read(&[id]).await;
    let read = client.emitted("message_status", |data| data["id"] == id && data["status"] == "READ").await;
    assert_eq!(read["sessionId"], "shop");

    friend.send(&phone.number, "Hai").await;
    let message = client.emitted("message", |data| data["text"] == "Hai").await;
    assert_eq!(message["sessionId"], "shop");
    assert_eq!(message["from"], format!("{}@s.whatsapp.net", friend.number));

    let mut late = SocketIo::connected(&gateway, USER).await;
    late.join(&json!("shop")).await;
    late.emitted("ready", |data| data["sessionId"] == "shop").await;

    gateway.call(USER, Method::POST, "/api/sessions/shop/logout", &Value::Null).await.ok();
    let closed = client.emitted("closed", |_| true).await;
    assert_eq!(closed["sessionId"], "shop");
    rig.nothing_unknown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_session_closes_once() {
    let rig = Rig::start().await;
    let gateway = Gateway::start(&rig.ws_url()).await;
    create(&gateway, USER, "shop").await;
    let mut client = SocketIo::connected(&gateway, USER).await;
    assert_eq!(client.join(&json!("shop")).await["ok"], true);
    rig.phone().await.scan(&gateway.qr("shop").await).await;
    client.emitted("ready", |_| true).await;
    gateway.call(USER, Method::DELETE, "/api/sessions/shop?mode=all", &Value::Null).await.ok();
    let closed = client.emitted("closed", |_| true).await;
    assert_eq!((&closed["sessionId"], &closed["reason"]), (&json!("shop"), &json!("deleted")));
    // An acknowledgement comes after whatever was emitted before it.
    assert_eq!(client.join(&json!("shop")).await["ok"], false, "it is gone");
    assert!(!client.others().contains(&"closed".to_owned()), "{:?}", client.others());
}
