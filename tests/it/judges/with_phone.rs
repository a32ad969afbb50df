//! Each judge and the phones: pair by QR, a text both ways, receipts, a restart with messages waiting, the end from either side.

use system_tests::external::judge::{Judge, Kind};
use system_tests::rig::Rig;

use super::{devices, linked, settled, shows, unlinked};

/// Pairs, exchanges texts and receipts with a phone, misses nothing while it is stopped, logs out.
async fn lives(kind: Kind) {
    let rig = Rig::start().await;
    let (mut judge, own) = linked(&rig, kind).await;
    let friend = rig.phone().await;

    let sent = judge.send(&friend.number, "from the judge, with ümläuts 🦀").await;
    let shown = friend.receives("from the judge, with ümläuts 🦀").await;
    assert_eq!(shown["id"], sent.as_str());
    judge.receipt(&sent, "delivered").await;
    let mirrored = shows(&own, "from the judge, with ümläuts 🦀").await;
    assert_eq!((&mirrored["id"], &mirrored["fromMe"]), (&sent.into(), &true.into()), "{mirrored}");

    let id = friend.send(&own.number, "from the friend").await;
    let received = judge.receives("from the friend").await;
    assert_eq!(
        (received.id.as_str(), received.from.as_str(), received.from_me),
        (&*id, &*friend.number, false)
    );

    judge.stop().await;
    for text in ["while away 1", "while away 2", "while away 3"] {
        friend.send(&own.number, text).await;
    }
    judge.start_again().await;
    for text in ["while away 1", "while away 2", "while away 3"] {
        assert_eq!(judge.receives(text).await.from, friend.number);
    }
    judge.send(&friend.number, "back again").await;
    friend.receives("back again").await;

    assert_eq!(devices(&rig, &own).await.len(), 1);
    judge.logout().await;
    unlinked(&rig, &own).await;
    rig.nothing_unknown().await;
}

/// A friend's read receipt reaches the judge; the judge's own read is seen by the friend.
async fn reads(kind: Kind) {
    let rig = Rig::start().await;
    let (mut judge, own) = linked(&rig, kind).await;
    let friend = rig.phone().await;
    let sent = judge.send(&friend.number, "read this").await;
    friend.receives("read this").await;
    friend.read(&[&sent]).await;
    judge.receipt(&sent, "read").await;

    let question = friend.send(&own.number, "and you?").await;
    let received = judge.receives("and you?").await;
    judge.read(&received.id).await;
    system_tests::wait::eventually("the friend to see the receipt", || async {
        let entry = friend.inbox().await.into_iter().find(|entry| entry["id"] == question.as_str())?;
        (entry["status"] == "read").then_some(())
    })
    .await;
    rig.nothing_unknown().await;
}

/// The phone removes the device: the judge learns that it is logged out.
async fn is_unlinked(kind: Kind) {
    let rig = Rig::start().await;
    let (mut judge, own) = linked(&rig, kind).await;
    let device = devices(&rig, &own).await[0].as_u64().unwrap();
    own.unlink(device).await;
    judge.logged_out().await;
    unlinked(&rig, &own).await;
    rig.nothing_unknown().await;
}

/// Linked without a camera.
async fn links_by_code(kind: Kind) {
    let rig = Rig::start().await;
    let (own, friend) = (rig.phone().await, rig.phone().await);
    let mut judge = Judge::start(kind, &rig).await;
    judge.pair_by_link_code(&own).await;
    judge.send(&friend.number, "linked by code").await;
    friend.receives("linked by code").await;
    rig.nothing_unknown().await;
}

/// The judge lost its sessions: it asks the phone to send again, and reads the message then.
async fn asks_again(kind: Kind) {
    let rig = Rig::start().await;
    let (mut judge, own) = linked(&rig, kind).await;
    let friend = rig.phone().await;
    judge.send(&friend.number, "hello").await;
    friend.receives("hello").await;
    friend.send(&own.number, "hello too").await;
    judge.receives("hello too").await;

    settled(&rig, &own).await;
    judge.lose_sessions().await;
    let id = friend.send(&own.number, "read me after all").await;
    judge.cannot_decrypt(&id).await;
    let received = judge.receives("read me after all").await;
    assert_eq!((received.id, received.from), (id, friend.number.clone()));
    rig.nothing_unknown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn baileys_7_links_by_code() {
    links_by_code(Kind::Baileys7).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatsmeow_links_by_code() {
    links_by_code(Kind::Whatsmeow).await;
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
async fn baileys_7_lives() {
    lives(Kind::Baileys7).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatsmeow_lives() {
    lives(Kind::Whatsmeow).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn baileys_7_reads() {
    reads(Kind::Baileys7).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatsmeow_reads() {
    reads(Kind::Whatsmeow).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn baileys_7_is_unlinked() {
    is_unlinked(Kind::Baileys7).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatsmeow_is_unlinked() {
    is_unlinked(Kind::Whatsmeow).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn baileys_6_pairs_and_exchanges_a_text() {
    let rig = Rig::start().await;
    let (mut judge, own) = linked(&rig, Kind::Baileys6).await;
    let friend = rig.phone().await;
    judge.send(&friend.number, "from Baileys 6").await;
    friend.receives("from Baileys 6").await;
    friend.send(&own.number, "to Baileys 6").await;
    assert_eq!(judge.receives("to Baileys 6").await.from, friend.number);
    judge.stop().await;
    rig.nothing_unknown().await;
}
