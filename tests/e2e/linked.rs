//! Steps: people write to each other, and another session is linked over Socket.IO.

use reqwest::Method;
use serde_json::{Value, json};
use system_tests::wait::within;

use crate::kubernetes::LIMIT;
use crate::world::{SESSION, World};

/// A session that is made and deleted through the gateway.
const BRANCH: &str = "cabang";

pub(crate) async fn talks(world: &mut World) {
    let mut socket = world.socket(SESSION).await;
    world.sends().await;
    world.friend().send(&world.phone().number, "Hai").await;
    let message = socket.emitted("message", |data| data["text"] == "Hai").await;
    assert_eq!(message["sessionId"], SESSION);
    assert_eq!(message["from"], format!("{}@s.whatsapp.net", world.friend().number));
}

pub(crate) async fn scanned(world: &mut World) {
    let (gateway, key) = world.gateway().await;
    gateway.post("/api/sessions", &json!({"id": BRANCH})).await.ok();
    let mut socket = world.socket(BRANCH).await;
    let event = socket.emitted("qr", |data| data["sessionId"] == BRANCH).await;
    let phone = world.rig().phone().await;
    phone.scan(event["qr"].as_str().expect("a QR code")).await;
    let ready = socket.emitted("ready", |_| true).await;
    assert_eq!(ready["sessionId"], BRANCH);
    world.kubernetes.kubectl(&format!("wait --for=condition=Ready was/{BRANCH} --timeout=60s")).await;
    let all = format!("/api/sessions/{BRANCH}?mode=all");
    gateway.call(&key, Method::DELETE, &all, &Value::Null).await.ok();
    for left in ["was", "pod", "pvc"] {
        within(LIMIT, "nothing to be left of the session", || async {
            let names = world.kubernetes.kubectl(&format!("get {left} -o name")).await;
            (!names.contains(BRANCH)).then_some(())
        })
        .await;
    }
}
