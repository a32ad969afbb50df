//! Steps: a phone links the session, and people write to each other.

use crate::world::{SESSION, World};

pub(crate) async fn scanned(world: &mut World) {
    let mut socket = world.socket().await;
    let event = socket.emitted("qr", |data| data["sessionId"] == SESSION).await;
    let device = world.phone().scan(event["qr"].as_str().expect("a QR code")).await;
    world.device = Some(device);
    let ready = socket.emitted("ready", |_| true).await;
    assert_eq!(ready["sessionId"], SESSION);
    world.ready().await;
    world.opened_once_more().await;
}

pub(crate) async fn talks(world: &mut World) {
    let mut socket = world.socket().await;
    world.sends().await;
    world.friend().send(&world.phone().number, "Hai").await;
    let message = socket.emitted("message", |data| data["text"] == "Hai").await;
    assert_eq!(message["sessionId"], SESSION);
    assert_eq!(message["from"], format!("{}@s.whatsapp.net", world.friend().number));
}
