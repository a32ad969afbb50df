//! The judges among themselves: the simulator only carries what they encrypt for each other.

use system_tests::external::judge::{Judge, Kind};
use system_tests::rig::Rig;

use super::linked;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn baileys_and_whatsmeow_write_to_each_other() {
    let rig = Rig::start().await;
    let (mut baileys, first) = linked(&rig, Kind::Baileys7).await;
    let (mut whatsmeow, second) = linked(&rig, Kind::Whatsmeow).await;
    for turn in 1..=3 {
        let question = format!("question {turn}");
        let sent = baileys.send(&second.number, &question).await;
        assert_eq!(whatsmeow.receives(&question).await.from, first.number);
        baileys.receipt(&sent, "delivered").await;
        let answer = format!("answer {turn}");
        let sent = whatsmeow.send(&first.number, &answer).await;
        assert_eq!(baileys.receives(&answer).await.from, second.number);
        whatsmeow.receipt(&sent, "delivered").await;
    }
    second.receives("question 3").await;
    first.receives("answer 3").await;
    rig.nothing_unknown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_on_one_phone_see_what_the_other_sends() {
    let rig = Rig::start().await;
    let (mut baileys, phone) = linked(&rig, Kind::Baileys7).await;
    let mut whatsmeow = Judge::start(Kind::Whatsmeow, &rig).await;
    whatsmeow.pair(&phone).await;
    let friend = rig.phone().await;

    let sent = baileys.send(&friend.number, "from the first device").await;
    let seen = whatsmeow.receives("from the first device").await;
    assert_eq!((seen.id, seen.from_me), (sent, true));
    let sent = whatsmeow.send(&friend.number, "from the second device").await;
    let seen = baileys.receives("from the second device").await;
    assert_eq!((seen.id, seen.from_me), (sent, true));

    friend.send(&phone.number, "to all of you").await;
    assert_eq!(baileys.receives("to all of you").await.from, friend.number);
    assert_eq!(whatsmeow.receives("to all of you").await.from, friend.number);
    rig.nothing_unknown().await;
}
