//! Each judge and our session: a text both ways, receipts, what waited while the session was down.

use session_api::{Event, EventData, SessionState};
use system_tests::external::judge::Kind;
use system_tests::rig::Rig;
use system_tests::wait::eventually;

use super::{group, linked, settled};

async fn talks_with_our_session(kind: Kind) {
    let rig = Rig::start().await;
    let (mut pod, own) = rig.paired_pod().await;
    let (mut judge, other) = linked(&rig, kind).await;

    let answer = pod.send_text(&other.number, "from our session").await.ok();
    assert_eq!(answer["status"], "sent", "{answer}");
    let received = judge.receives("from our session").await;
    assert_eq!((received.from.as_str(), received.id.as_str().into()), (&*own.number, answer["id"].clone()));

    let id = judge.send(&own.number, "from the judge").await;
    let inbound = pod.receives("from the judge").await;
    assert_eq!(
        (inbound.id.as_str(), inbound.from.as_str()),
        (&*id, &*format!("{}@s.whatsapp.net", other.number))
    );
    judge.receipt(&id, "delivered").await;

    judge.read(&received.id).await;
    eventually("our session to know that it was read", || async {
        let read = |event: &Event| {
            let EventData::MessageStatus(status) = &event.data else { return false };
            status.message_id.as_str() == received.id && status.status == "READ"
        };
        pod.log(0).await.iter().any(read).then_some(())
    })
    .await;

    pod.process().terminate();
    pod.process().ended().await;
    judge.send(&own.number, "while you were away").await;
    pod.start_again().await;
    pod.reaches(SessionState::Open).await;
    pod.receives("while you were away").await;
    pod.send_text(&other.number, "back again").await.ok();
    judge.receives("back again").await;
    rig.nothing_unknown().await;
}

/// The judge lost its sessions: it asks our session to send again, and reads the message then.
async fn asks_our_session_again(kind: Kind) {
    let rig = Rig::start().await;
    let (pod, own) = rig.paired_pod().await;
    let (mut judge, other) = linked(&rig, kind).await;
    judge.send(&own.number, "hello").await;
    pod.receives("hello").await;
    pod.send_text(&other.number, "hello too").await.ok();
    judge.receives("hello too").await;

    settled(&rig, &other).await;
    judge.lose_sessions().await;
    let answer = pod.send_text(&other.number, "read me after all").await.ok();
    judge.cannot_decrypt(answer["id"].as_str().unwrap()).await;
    assert_eq!(judge.receives("read me after all").await.from, own.number);
    rig.nothing_unknown().await;
}

/// Our session in a group with a judge and a phone: each reads what the others write.
async fn shares_a_group_with_our_session(kind: Kind) {
    let rig = Rig::start().await;
    let (pod, own) = rig.paired_pod().await;
    let (mut judge, other) = linked(&rig, kind).await;
    let friend = rig.phone().await;
    let group = group(&rig, &[&friend, &own, &other]).await;
    judge.joins(&group).await;

    for turn in 1..=2 {
        let text = format!("from our session {turn}");
        let answer = pod.send_text(&group, &text).await.ok();
        assert_eq!(answer["status"], "sent", "{answer}");
        let received = judge.receives(&text).await;
        assert_eq!((received.chat.as_ref(), &received.from), (Some(&group), &own.number));
        assert_eq!(friend.receives(&text).await["chat"], group.as_str());
        let text = format!("from the judge {turn}");
        judge.send(&group, &text).await;
        pod.receives(&text).await;
        let text = format!("from the phone {turn}");
        friend.send(&group, &text).await;
        pod.receives(&text).await;
        judge.receives(&text).await;
    }
    rig.nothing_unknown().await;
}

/// Our session and a judge on one phone: each sees what the other sends.
async fn shares_a_phone_with_our_session(kind: Kind) {
    let rig = Rig::start().await;
    let (mut judge, phone) = linked(&rig, kind).await;
    let pod = system_tests::pod::Pod::start(&rig.ws_url()).await;
    phone.scan(&pod.qr().await).await;
    pod.reaches(SessionState::Open).await;
    let friend = rig.phone().await;

    let answer = pod.send_text(&friend.number, "from our device").await.ok();
    let seen = judge.receives("from our device").await;
    assert_eq!((seen.id.as_str().into(), seen.from_me), (answer["id"].clone(), true));
    friend.receives("from our device").await;
    judge.send(&friend.number, "from the judge's device").await;
    friend.receives("from the judge's device").await;
    friend.send(&phone.number, "to both").await;
    judge.receives("to both").await;
    pod.receives("to both").await;
    rig.nothing_unknown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn baileys_7_asks_our_session_again() {
    asks_our_session_again(Kind::Baileys7).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatsmeow_asks_our_session_again() {
    asks_our_session_again(Kind::Whatsmeow).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn baileys_7_talks_with_our_session() {
    talks_with_our_session(Kind::Baileys7).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatsmeow_talks_with_our_session() {
    talks_with_our_session(Kind::Whatsmeow).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn baileys_7_shares_a_phone_with_our_session() {
    shares_a_phone_with_our_session(Kind::Baileys7).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatsmeow_shares_a_phone_with_our_session() {
    shares_a_phone_with_our_session(Kind::Whatsmeow).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn baileys_7_shares_a_group_with_our_session() {
    shares_a_group_with_our_session(Kind::Baileys7).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatsmeow_shares_a_group_with_our_session() {
    shares_a_group_with_our_session(Kind::Whatsmeow).await;
}
