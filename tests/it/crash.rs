//! `kill -9` of a session pod, 50 times, under ten messages a second each way: nothing accepted is lost, nothing is seen twice, no new QR.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use session_api::{EventData, SessionState, routes};
use system_tests::pod::Pod;
use system_tests::rig::{Phone, Rig};
use system_tests::wait::{eventually, within};
use tokio::sync::RwLock;

const KILLS: u32 = 50;
const SEED: u64 = 0x5eed_2026_1122;
const INTERVAL: Duration = Duration::from_millis(100);

/// A small generator (`SplitMix64`), so that a run can be repeated from its printed seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// Sends until told to stop; gives the texts that the session accepted.
async fn send_out(pod: Arc<RwLock<Pod>>, to: String, stop: Arc<AtomicBool>) -> BTreeSet<String> {
    let mut accepted = BTreeSet::new();
    let mut tick = tokio::time::interval(INTERVAL);
    for number in 0.. {
        tick.tick().await;
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let text = format!("out {number}");
        let body = json!({"to": to, "content": {"type": "text", "text": text}, "waitMs": 0});
        let request = pod.read().await.request(reqwest::Method::POST, routes::MESSAGES).json(&body);
        // A request that dies with the process was not accepted; what became of it is open.
        if let Ok(response) = request.send().await
            && response.status().is_success()
        {
            accepted.insert(text);
        }
    }
    accepted
}

async fn send_in(friend: Phone, to: String, stop: Arc<AtomicBool>) -> BTreeSet<String> {
    let mut sent = BTreeSet::new();
    let mut tick = tokio::time::interval(INTERVAL);
    for number in 0.. {
        tick.tick().await;
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let text = format!("in {number}");
        friend.send(&to, &text).await;
        sent.insert(text);
    }
    sent
}

async fn kill_often(pod: &RwLock<Pod>, random: &mut Random) -> Vec<Duration> {
    let mut recoveries = Vec::new();
    for _ in 0..KILLS {
        // A random point in the session's life: while it starts, while it drains, while it is busy.
        tokio::time::sleep(Duration::from_millis(random.below(1_500))).await;
        let mut pod = pod.write().await;
        pod.process().kill().await;
        let start = Instant::now();
        pod.start_again().await;
        if random.below(4) > 0 {
            pod.reaches(SessionState::Open).await;
            recoveries.push(start.elapsed());
        }
    }
    recoveries
}

fn counted(texts: impl Iterator<Item = String>) -> BTreeMap<String, u32> {
    texts.fold(BTreeMap::new(), |mut all, text| {
        *all.entry(text).or_default() += 1;
        all
    })
}

async fn shown_by(friend: &Phone) -> BTreeMap<String, u32> {
    let inbox = friend.inbox().await.into_iter().filter(|entry| entry["fromMe"] == false);
    counted(inbox.filter_map(|entry| entry["text"].as_str().map(str::to_owned)))
}

async fn logged_by(pod: &Pod) -> BTreeMap<String, u32> {
    let events = pod.log(0).await.into_iter();
    counted(events.filter_map(|event| match event.data {
        EventData::MessageReceived(message) => message.text,
        _ => None,
    }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_kills_lose_nothing_and_double_nothing() {
    let rig = Rig::start().await;
    let (pod, phone) = rig.paired_pod().await;
    let friend = rig.phone().await;
    let pod = Arc::new(RwLock::new(pod));
    let stop = Arc::new(AtomicBool::new(false));
    let outward = tokio::spawn(send_out(pod.clone(), friend.number.clone(), stop.clone()));
    let inward = tokio::spawn(send_in(friend.clone(), phone.number.clone(), stop.clone()));

    let mut recoveries = kill_often(&pod, &mut Random(SEED)).await;
    stop.store(true, Ordering::Relaxed);
    let (accepted, sent) = (outward.await.unwrap(), inward.await.unwrap());

    let pod = pod.read().await;
    pod.reaches(SessionState::Open).await;
    let patience = Duration::from_mins(3);
    within(patience, "the outbox to empty", || async {
        (pod.status().await.outbox_depth == 0).then_some(())
    })
    .await;
    within(patience, "every accepted text on the phone", || async {
        let shown = shown_by(&friend).await;
        accepted.iter().all(|text| shown.contains_key(text)).then_some(())
    })
    .await;
    eventually("every text in the session's log", || async {
        let logged = logged_by(&pod).await;
        sent.iter().all(|text| logged.contains_key(text)).then_some(())
    })
    .await;
    let (shown, logged) = (shown_by(&friend).await, logged_by(&pod).await);
    let twice = |all: &BTreeMap<String, u32>| {
        all.iter().filter(|(_, n)| **n > 1).map(|(text, n)| format!("{text} x{n}")).collect::<Vec<_>>()
    };
    assert_eq!(twice(&shown), [""; 0], "texts that the phone saw twice");
    assert_eq!(twice(&logged), [""; 0], "texts that the session logged twice");
    let status = pod.status().await;
    assert_eq!(status.writer_epoch, u64::from(KILLS) + 1, "one process at a time");
    assert!(status.paired, "no new QR");

    recoveries.sort();
    println!(
        "seed {SEED:#x}: {KILLS} kills, {} texts accepted and all arrived ({} shown, each once), {} inbound and all logged \
         ({} logged, each once), recovery to connected: median {:?}",
        accepted.len(),
        shown.len(),
        sent.len(),
        logged.len(),
        recoveries[recoveries.len() / 2]
    );
    assert!(accepted.len() > 100 && sent.len() > 100, "the load was real");
}
