//! A session behind a real proxy: pairs, sends, is moved to another one while it runs, and goes straight where it may.

use reqwest::Method;
use serde_json::{Value, json};
use session_api::{SessionState, routes};
use system_tests::http;
use system_tests::pod::Pod;
use system_tests::rig::{Phone, Rig};
use system_tests::wait::eventually;

mod reverted;
mod servers;

use servers::{Kind, Proxy};

/// Pairs a pod and has it send a text.
async fn pairs_and_sends(rig: &Rig, pod: &Pod) -> Phone {
    rig.phone().await.scan(&pod.qr().await).await;
    pod.reaches(SessionState::Open).await;
    let friend = rig.phone().await;
    pod.send_text(&friend.number, "through the proxy").await.ok();
    friend.receives("through the proxy").await;
    friend
}

async fn push(pod: &Pod, hash: &str, proxy: &str) -> Value {
    let body = json!({"hash": hash, "policy": {}, "proxy": proxy});
    http::send(pod.request(Method::PUT, routes::CONFIG).json(&body)).await.ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_pairs_and_sends_through_each_kind_of_proxy() {
    for kind in [Kind::Connect, Kind::Socks] {
        let (rig, proxy) = (Rig::start().await, Proxy::start(kind).await);
        let pod = Pod::start_with(&rig.ws_url(), &[("HTTPS_PROXY", &proxy.url), ("NO_PROXY", "")]).await;
        pairs_and_sends(&rig, &pod).await;
        assert_eq!(proxy.tunnels(), 2, "{kind:?}: one to pair, one to log in");
        assert_eq!(proxy.refused(), 0);
        rig.nothing_unknown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_told_and_nothing_goes_past_the_proxy() {
    for kind in [Kind::Connect, Kind::Socks] {
        let (rig, proxy) = (Rig::start().await, Proxy::start(kind).await);
        let environment = [("HTTPS_PROXY", proxy.wrong_url.as_str()), ("NO_PROXY", "")];
        let pod = Pod::start_with(&rig.ws_url(), &environment).await;
        let reason = eventually("the refusal to be told", || async { pod.status().await.reason }).await;
        assert_eq!(reason.code, "connection_failed");
        assert!(!reason.message.contains("wrong"), "no password in a status: {}", reason.message);
        assert!(proxy.refused() > 0 && proxy.tunnels() == 0, "{kind:?}");
        assert_eq!(pod.status().await.state, SessionState::Starting);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_proxy_takes_over_while_the_session_runs() {
    let rig = Rig::start().await;
    let (first, second) = (Proxy::start(Kind::Connect).await, Proxy::start(Kind::Socks).await);
    let mut pod = Pod::start_with(&rig.ws_url(), &[("HTTPS_PROXY", &first.url), ("NO_PROXY", "")]).await;
    let friend = pairs_and_sends(&rig, &pod).await;
    let before = pod.status().await;

    assert_eq!(push(&pod, "h1", &second.url).await["configHash"], "h1");
    // Taken while the connection is being rebuilt, or after: it arrives, once.
    pod.send_text(&friend.number, "on the way").await.ok();
    friend.receives("on the way").await;
    let after = pod.reaches(SessionState::Open).await;
    assert_eq!(
        (after.writer_epoch, &after.me),
        (before.writer_epoch, &before.me),
        "same process, same device"
    );
    assert_eq!((first.tunnels(), second.tunnels()), (2, 1));
    drop(first);

    push(&pod, "h1", &second.url).await;
    push(&pod, "h2", &second.url).await;
    pod.send_text(&friend.number, "still there").await.ok();
    friend.receives("still there").await;
    assert_eq!(second.tunnels(), 1, "the same proxy again changes nothing");
    let shown = friend.inbox().await.into_iter().filter(|entry| entry["text"] == "on the way").count();
    assert_eq!(shown, 1);

    // What was pushed outlives the process: the first proxy is gone, and the new process does not ask for it.
    pod.restart().await;
    pod.reaches(SessionState::Open).await;
    assert_eq!(second.tunnels(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_of_no_proxy_are_reached_straight() {
    let (rig, proxy) = (Rig::start().await, Proxy::start(Kind::Connect).await);
    let environment = [("HTTPS_PROXY", proxy.url.as_str()), ("NO_PROXY", "example.org,127.0.0.0/8")];
    let pod = Pod::start_with(&rig.ws_url(), &environment).await;
    pairs_and_sends(&rig, &pod).await;
    assert_eq!((proxy.tunnels(), proxy.refused()), (0, 0));
}
