//! Pictures between judges and phones: what is decrypted must have the hash that `sha256sum` says, made outside of all of them.

use reqwest::Method;
use serde_json::{Value, json};
use system_tests::external::judge::Kind;
use system_tests::rig::{Phone, Rig};

use super::{group, linked, shows};

/// A PNG of one pixel, in base64, and its SHA-256.
const PIXEL: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const PIXEL_SHA256: &str = "6b7fa434f92a8b80aab02d9bf1a12e49ffcae424e4013a1c4f68b67e3d2bbcd0";
/// The SHA-256 of 300 000 zeros, which are 100 000 times `AAAA`.
const ZEROS_SHA256: &str = "886715e4051e827f4fe215df3053af3f85ad0d352db2c829c7487af6d78efe30";

fn zeros() -> String {
    "AAAA".repeat(100_000)
}

/// A phone sends a picture.
async fn sends(rig: &Rig, phone: &Phone, to: &str, (base64, caption): (&str, &str)) {
    let media = json!({"kind": "image", "mimeType": "image/png", "base64": base64, "caption": caption});
    let path = format!("/phones/{}/messages", phone.number);
    rig.control(Method::POST, &path, &json!({"to": to, "media": media})).await.ok();
}

/// Waits until the phone shows a picture with this caption and gives the hash of what it decrypted.
async fn hash(phone: &Phone, caption: &str) -> Value {
    let entry = shows(phone, caption).await;
    assert_eq!(
        (&entry["type"], &entry["media"]["mimeType"]),
        (&json!("image"), &json!("image/png")),
        "{entry}"
    );
    entry["media"]["sha256"].clone()
}

/// Pictures both ways between a judge and a phone, small and not so small.
async fn exchanges_pictures(kind: Kind) {
    let rig = Rig::start().await;
    let (mut judge, own) = linked(&rig, kind).await;
    let friend = rig.phone().await;
    for (base64, caption, sha256) in [(PIXEL, "a pixel", PIXEL_SHA256), (&zeros(), "nothing", ZEROS_SHA256)] {
        let to_friend = format!("{caption} from the judge");
        judge.send_image(&friend.number, base64, &to_friend).await;
        assert_eq!(hash(&friend, &to_friend).await, sha256);
        assert_eq!(hash(&own, &to_friend).await, sha256, "its own phone");
        let to_judge = format!("{caption} from the phone");
        sends(&rig, &friend, &own.number, (base64, &to_judge)).await;
        let received = judge.receives(&to_judge).await;
        assert_eq!((received.from.as_str(), received.sha256.as_deref()), (&*friend.number, Some(sha256)));
    }
    rig.nothing_unknown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn baileys_7_exchanges_pictures() {
    exchanges_pictures(Kind::Baileys7).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatsmeow_exchanges_pictures() {
    exchanges_pictures(Kind::Whatsmeow).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_sees_everybodys_pictures() {
    let rig = Rig::start().await;
    let (mut baileys, first) = linked(&rig, Kind::Baileys7).await;
    let (mut whatsmeow, second) = linked(&rig, Kind::Whatsmeow).await;
    let friend = rig.phone().await;
    let group = group(&rig, &[&friend, &first, &second]).await;
    let pixel = Some(PIXEL_SHA256);
    baileys.send_image(&group, PIXEL, "from Baileys").await;
    assert_eq!(whatsmeow.receives("from Baileys").await.sha256.as_deref(), pixel);
    assert_eq!(hash(&friend, "from Baileys").await, PIXEL_SHA256);
    whatsmeow.send_image(&group, PIXEL, "from whatsmeow").await;
    assert_eq!(baileys.receives("from whatsmeow").await.sha256.as_deref(), pixel);
    assert_eq!(hash(&friend, "from whatsmeow").await, PIXEL_SHA256);
    sends(&rig, &friend, &group, (PIXEL, "from the phone")).await;
    let received = baileys.receives("from the phone").await;
    assert_eq!((received.sha256.as_deref(), received.chat), (pixel, Some(group.clone())));
    let received = whatsmeow.receives("from the phone").await;
    assert_eq!((received.sha256.as_deref(), received.chat), (pixel, Some(group)));
    rig.nothing_unknown().await;
}
