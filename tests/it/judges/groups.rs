//! The judges and phones in groups: sender keys, receipts, retries, and who is in and out.

use reqwest::Method;
use serde_json::json;
use system_tests::external::judge::{Judge, Kind};
use system_tests::rig::{Phone, Rig};

use super::{group, linked, shows};

/// A group of a phone, Baileys and whatsmeow.
struct Trio {
    rig: Rig,
    group: String,
    friend: Phone,
    baileys: (Judge, Phone),
    whatsmeow: (Judge, Phone),
}

impl Trio {
    async fn new() -> Self {
        let rig = Rig::start().await;
        let (mut baileys, first) = linked(&rig, Kind::Baileys7).await;
        let (mut whatsmeow, second) = linked(&rig, Kind::Whatsmeow).await;
        let friend = rig.phone().await;
        let group = group(&rig, &[&friend, &first, &second]).await;
        baileys.joins(&group).await;
        whatsmeow.joins(&group).await;
        Self { rig, group, friend, baileys: (baileys, first), whatsmeow: (whatsmeow, second) }
    }

    /// The friend changes who is in the group.
    async fn change(&self, action: &str, phone: &Phone) {
        let body = json!({"action": action, "members": [phone.number]});
        self.rig.control(Method::POST, &format!("/groups/{}/members", self.group), &body).await.ok();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_in_a_group_reads_everybody() {
    let Trio { rig, group, friend, baileys: (mut baileys, first), whatsmeow: (mut whatsmeow, second) } =
        Trio::new().await;
    let mut everybody = [&first, &second, &friend].map(|phone| phone.number.clone());
    everybody.sort();
    assert_eq!(baileys.members(&group).await, everybody);
    assert_eq!(whatsmeow.members(&group).await, everybody);
    for turn in 1..=2 {
        let text = format!("from Baileys {turn}");
        let sent = baileys.send(&group, &text).await;
        let received = whatsmeow.receives(&text).await;
        assert_eq!((received.chat.as_ref(), &received.from), (Some(&group), &first.number));
        let shown = friend.receives(&text).await;
        assert_eq!((&shown["chat"], &shown["id"]), (&json!(group), &json!(sent)), "{shown}");
        assert_eq!(shows(&first, &text).await["fromMe"], true, "its own phone");
        baileys.receipt(&sent, "delivered").await;

        let text = format!("from whatsmeow {turn}");
        let sent = whatsmeow.send(&group, &text).await;
        let received = baileys.receives(&text).await;
        assert_eq!((received.chat.as_ref(), &received.from), (Some(&group), &second.number));
        friend.receives(&text).await;
        whatsmeow.receipt(&sent, "delivered").await;
        friend.read(&[&sent]).await;
        whatsmeow.receipt(&sent, "read").await;

        let text = format!("from the phone {turn}");
        friend.send(&group, &text).await;
        assert_eq!(baileys.receives(&text).await.from, friend.number);
        assert_eq!(whatsmeow.receives(&text).await.from, friend.number);
    }
    rig.nothing_unknown().await;
}

/// Whoever is out reads nothing of what is written then, and everything once it is in again.
async fn comes_and_goes(kind: Kind) {
    let trio = Trio::new().await;
    let (phone, other) = match kind {
        Kind::Whatsmeow => (trio.whatsmeow.1.clone(), trio.baileys.1.clone()),
        Kind::Baileys6 | Kind::Baileys7 => (trio.baileys.1.clone(), trio.whatsmeow.1.clone()),
    };
    trio.friend.send(&trio.group, "to all").await;
    trio.change("remove", &phone).await;
    trio.friend.send(&trio.group, "to those who stayed").await;
    other.receives("to those who stayed").await;
    trio.change("add", &phone).await;
    trio.friend.send(&trio.group, "to all again").await;
    let Trio { rig, group, baileys, whatsmeow, .. } = trio;
    let (mut judge, mut stayed) = match kind {
        Kind::Whatsmeow => (whatsmeow.0, baileys.0),
        Kind::Baileys6 | Kind::Baileys7 => (baileys.0, whatsmeow.0),
    };
    for text in ["to all", "to those who stayed", "to all again"] {
        stayed.receives(text).await;
    }
    stayed.hears(&group, "remove", &phone.number).await;
    stayed.hears(&group, "add", &phone.number).await;
    judge.receives("to all").await;
    judge.receives("to all again").await;
    let kept: Vec<_> = judge.client().kept().filter(|event| event["text"] == "to those who stayed").collect();
    assert!(kept.is_empty(), "{kept:?}");
    judge.send(&group, "back again").await;
    stayed.receives("back again").await;
    rig.nothing_unknown().await;
}

/// A judge makes a group and decides who is in it.
async fn owns_a_group(kind: Kind) {
    let rig = Rig::start().await;
    let (mut judge, own) = linked(&rig, kind).await;
    let other_kind = if kind == Kind::Whatsmeow { Kind::Baileys7 } else { Kind::Whatsmeow };
    let (mut other, second) = linked(&rig, other_kind).await;
    let friend = rig.phone().await;
    let group = judge.create_group("Mine", &[&second.number]).await;
    other.joins(&group).await;
    judge.change_member(&group, "add", &friend.number).await;
    other.hears(&group, "add", &friend.number).await;
    judge.send(&group, "welcome").await;
    assert_eq!(other.receives("welcome").await.from, own.number);
    friend.receives("welcome").await;
    friend.send(&group, "thank you").await;
    judge.receives("thank you").await;
    other.receives("thank you").await;
    for action in ["promote", "demote", "remove"] {
        judge.change_member(&group, action, &friend.number).await;
        other.hears(&group, action, &friend.number).await;
    }
    let mut left = [own.number, second.number];
    left.sort();
    assert_eq!(judge.members(&group).await, left);
    rig.nothing_unknown().await;
}

/// The judge lost its keys: it asks for what it cannot read, a phone and another client alike, and reads it then.
async fn asks_again(kind: Kind) {
    let Trio { rig, group, friend, baileys: (baileys, _), whatsmeow: (whatsmeow, _) } = Trio::new().await;
    let (mut judge, mut other) =
        if kind == Kind::Whatsmeow { (whatsmeow, baileys) } else { (baileys, whatsmeow) };
    friend.send(&group, "hello").await;
    other.receives("hello").await;
    judge.receives("hello").await;
    other.send(&group, "hello too").await;
    judge.receives("hello too").await;

    judge.lose_group_keys().await;
    let id = friend.send(&group, "read me after all").await;
    judge.cannot_decrypt(&id).await;
    let received = judge.receives("read me after all").await;
    assert_eq!((received.id, received.from, received.chat), (id, friend.number.clone(), Some(group.clone())));
    other.send(&group, "me too").await;
    judge.receives("me too").await;
    friend.send(&group, "and now at once").await;
    judge.receives("and now at once").await;
    rig.nothing_unknown().await;
}

/// What was written to the group while the judge was stopped waits for it.
async fn misses_nothing(kind: Kind) {
    let Trio { rig, group, friend, baileys: (baileys, _), whatsmeow: (whatsmeow, _) } = Trio::new().await;
    let (mut judge, mut other) =
        if kind == Kind::Whatsmeow { (whatsmeow, baileys) } else { (baileys, whatsmeow) };
    judge.stop().await;
    friend.send(&group, "while away 1").await;
    other.send(&group, "while away 2").await;
    judge.start_again().await;
    judge.receives("while away 1").await;
    judge.receives("while away 2").await;
    judge.send(&group, "here again").await;
    other.receives("here again").await;
    rig.nothing_unknown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn baileys_7_comes_and_goes() {
    comes_and_goes(Kind::Baileys7).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatsmeow_comes_and_goes() {
    comes_and_goes(Kind::Whatsmeow).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn baileys_7_owns_a_group() {
    owns_a_group(Kind::Baileys7).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatsmeow_owns_a_group() {
    owns_a_group(Kind::Whatsmeow).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn baileys_7_asks_again() {
    asks_again(Kind::Baileys7).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatsmeow_asks_again() {
    asks_again(Kind::Whatsmeow).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn baileys_7_misses_nothing() {
    misses_nothing(Kind::Baileys7).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatsmeow_misses_nothing() {
    misses_nothing(Kind::Whatsmeow).await;
}
