//! The judges and phones in groups: sender keys, receipts, retries, and who is in and out.

use reqwest::Method;
use serde_json::json;
use system_tests::external::judge::{Judge, Kind};
use system_tests::rig::{Phone, Rig};

use super::{group, linked, settled, shows};

/// A group of a phone, a judge and one of the other kind.
struct Trio {
    rig: Rig,
    group: String,
    friend: Phone,
    judge: Judge,
    own: Phone,
    other: Judge,
    second: Phone,
}

/// Baileys for whatsmeow, and the other way round.
fn another(kind: Kind) -> Kind {
    if kind == Kind::Whatsmeow { Kind::Baileys7 } else { Kind::Whatsmeow }
}

impl Trio {
    async fn new(kind: Kind) -> Self {
        let rig = Rig::start().await;
        let (mut judge, own) = linked(&rig, kind).await;
        let (mut other, second) = linked(&rig, another(kind)).await;
        let friend = rig.phone().await;
        let group = group(&rig, &[&friend, &own, &second]).await;
        judge.joins(&group).await;
        other.joins(&group).await;
        Self { rig, group, friend, judge, own, other, second }
    }

    /// The friend changes who is in the group.
    async fn change(&self, action: &str, phone: &Phone) {
        let body = json!({"action": action, "members": [phone.number]});
        self.rig.control(Method::POST, &format!("/groups/{}/members", self.group), &body).await.ok();
    }
}

/// Everybody reads what everybody writes, and hears how far it came.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_in_a_group_reads_everybody() {
    let Trio { rig, group, friend, mut judge, own, mut other, second } = Trio::new(Kind::Baileys7).await;
    let mut everybody = [&own, &second, &friend].map(|phone| phone.number.clone());
    everybody.sort();
    assert_eq!(judge.members(&group).await, everybody);
    assert_eq!(other.members(&group).await, everybody);
    for turn in 1..=2 {
        let text = format!("from Baileys {turn}");
        let sent = judge.send(&group, &text).await;
        let received = other.receives(&text).await;
        assert_eq!((received.chat.as_ref(), &received.from), (Some(&group), &own.number));
        let shown = friend.receives(&text).await;
        assert_eq!((&shown["chat"], &shown["id"]), (&json!(group), &json!(sent)), "{shown}");
        assert_eq!(shows(&own, &text).await["fromMe"], true, "its own phone");
        judge.receipt(&sent, "delivered").await;

        let text = format!("from whatsmeow {turn}");
        let sent = other.send(&group, &text).await;
        let received = judge.receives(&text).await;
        assert_eq!((received.chat.as_ref(), &received.from), (Some(&group), &second.number));
        friend.receives(&text).await;
        other.receipt(&sent, "delivered").await;
        friend.read(&[&sent]).await;
        other.receipt(&sent, "read").await;

        let text = format!("from the phone {turn}");
        friend.send(&group, &text).await;
        assert_eq!(judge.receives(&text).await.from, friend.number);
        assert_eq!(other.receives(&text).await.from, friend.number);
    }
    rig.nothing_unknown().await;
}

/// Whoever is out reads nothing of what is written then, and everything once it is in again. (Whoever stays is waited for
/// each time: Baileys may take up two messages that come together in the wrong order, and asks for one again.)
async fn comes_and_goes(kind: Kind) {
    let mut trio = Trio::new(kind).await;
    let (group, own) = (trio.group.clone(), trio.own.clone());
    trio.friend.send(&group, "to all").await;
    trio.judge.receives("to all").await;
    trio.other.receives("to all").await;
    trio.change("remove", &own).await;
    trio.other.hears(&group, "remove", &own.number).await;
    trio.friend.send(&group, "to those who stayed").await;
    trio.other.receives("to those who stayed").await;
    trio.change("add", &own).await;
    trio.other.hears(&group, "add", &own.number).await;
    trio.friend.send(&group, "to all again").await;
    trio.other.receives("to all again").await;
    trio.judge.receives("to all again").await;
    let read = trio.judge.client().kept().any(|event| event["text"] == "to those who stayed");
    assert!(!read, "it was out");
    trio.judge.send(&group, "back again").await;
    trio.other.receives("back again").await;
    trio.rig.nothing_unknown().await;
}

/// A judge makes a group and decides who is in it.
async fn owns_a_group(kind: Kind) {
    let rig = Rig::start().await;
    let (mut judge, own) = linked(&rig, kind).await;
    let (mut other, second) = linked(&rig, another(kind)).await;
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
    let Trio { rig, group, friend, mut judge, own, mut other, .. } = Trio::new(kind).await;
    friend.send(&group, "hello").await;
    other.receives("hello").await;
    judge.receives("hello").await;
    other.send(&group, "hello too").await;
    judge.receives("hello too").await;

    settled(&rig, &own).await;
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
    let Trio { rig, group, friend, mut judge, mut other, .. } = Trio::new(kind).await;
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
