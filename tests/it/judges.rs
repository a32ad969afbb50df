//! Clients that we did not write judge the simulator, and through it our session: what they refuse, or cannot decrypt, fails here.
//! What counts as received is what the receiver itself decrypted.

mod each_other;
mod groups;
mod media;
mod strict;
mod with_phone;
mod with_session;

use reqwest::Method;
use serde_json::{Value, json};
use system_tests::external::judge::{Judge, Kind};
use system_tests::rig::{Phone, Rig};
use system_tests::wait::eventually;

/// A judge that is linked to a new phone.
async fn linked(rig: &Rig, kind: Kind) -> (Judge, Phone) {
    let phone = rig.phone().await;
    let mut judge = Judge::start(kind, rig).await;
    judge.pair(&phone).await;
    (judge, phone)
}

/// Ids of the devices that are linked to a phone.
async fn devices(rig: &Rig, phone: &Phone) -> Vec<Value> {
    let phones = rig.control(Method::GET, "/phones", &Value::Null).await.ok();
    let items = phones["items"].as_array().unwrap();
    let own = items.iter().find(|item| item["number"] == phone.number.as_str()).unwrap();
    own["devices"].as_array().unwrap().iter().map(|device| device["id"].clone()).collect()
}

/// Waits until the phone shows no linked device.
async fn unlinked(rig: &Rig, phone: &Phone) {
    eventually("the phone to show no device", || async {
        devices(rig, phone).await.is_empty().then_some(())
    })
    .await;
}

/// Makes a group of these phones, the first being its creator, and gives its JID.
async fn group(rig: &Rig, members: &[&Phone]) -> String {
    let numbers: Vec<&str> = members.iter().map(|phone| phone.number.as_str()).collect();
    let group = json!({"subject": "Judges", "members": numbers});
    let group = rig.control(Method::POST, "/groups", &group).await.ok();
    group["id"].as_str().unwrap().to_owned()
}

/// Waits until the phone's devices have acknowledged everything: what they have not comes again after a restart.
async fn settled(rig: &Rig, phone: &Phone) {
    eventually("nothing to wait for the phone's devices", || async {
        let phones = rig.control(Method::GET, "/phones", &Value::Null).await.ok();
        let own = phones["items"].as_array()?.iter().find(|item| item["number"] == phone.number.as_str())?;
        own["devices"].as_array()?.iter().all(|device| device["queued"] == 0).then_some(())
    })
    .await;
}

/// Waits until the phone shows a text, whoever wrote it, and gives the entry.
async fn shows(phone: &Phone, text: &str) -> Value {
    eventually("the phone to show a text", || async {
        phone.inbox().await.into_iter().find(|entry| entry["text"] == text)
    })
    .await
}
