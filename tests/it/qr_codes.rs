//! A pairing for which nobody comes: the client itself uses its six QR codes up, and the pod begins anew with a new client.
//!
//! The client times its codes itself (60 s, then five times 20 s), so this test lasts 160 s; it only waits meanwhile.

use std::collections::BTreeSet;
use std::time::Duration;

use session_api::{QrCode, SessionState, routes};
use simulator::Config;
use simulator::world::Timing;
use system_tests::pod::Pod;
use system_tests::rig::Rig;
use system_tests::wait::within;

/// Codes of one connection.
const CODES: usize = 6;

async fn figure(pod: &Pod, name: &str) -> Option<u64> {
    let metrics = pod.get(routes::METRICS).await.body;
    let line = metrics.as_str()?.lines().find(|line| line.starts_with(name))?.to_owned();
    line.rsplit(' ').next()?.parse().ok()
}

/// Waits for a code that was not seen before.
async fn next_code(pod: &Pod, seen: &BTreeSet<String>) -> String {
    within(Duration::from_mins(2), "the next QR code", || async {
        let code: QrCode = serde_json::from_value(pod.get(routes::QR).await.body).ok()?;
        (!seen.contains(&code.qr)).then_some(code.qr)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn codes_that_the_client_itself_uses_up_are_followed_by_new_ones() {
    // The server would wait for hours: only the client's own clock ends this pairing.
    let timing = Timing { qr_first_ms: 9_000_000, qr_next_ms: 20_000 };
    let rig = Rig::start_with(Config { timing, ..Config::default() }).await;
    let pod = Pod::start(&rig.ws_url()).await;
    let mut seen = BTreeSet::new();
    while seen.len() < CODES {
        seen.insert(next_code(&pod, &seen).await);
    }
    let fresh = next_code(&pod, &seen).await;
    assert_eq!(
        figure(&pod, "warest_clients_started_total").await,
        Some(2),
        "the client was built anew, once"
    );
    assert_eq!(figure(&pod, "warest_engine_reconnects").await, Some(0));
    assert_eq!(pod.status().await.state, SessionState::AwaitingPairing);
    rig.phone().await.scan(&fresh).await;
    pod.reaches(SessionState::Open).await;
}
