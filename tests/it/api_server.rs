//! What an API server may do to its watchers: fall silent, forget, lag behind, refuse. The operator notices, relists, and never
//! acts on what is old. Judged by the audit log and by the pods.

use axum::http::{Method, StatusCode};
use crds::conditions::{READY, reason};
use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use serde_json::json;
use system_tests::api_proxy::{ApiProxy, Fault, Rule};
use system_tests::cluster::{Cluster, ClusterConfig, overlaps};
use system_tests::stack::Stack;
use system_tests::wait::eventually;
use system_tests::witness::Witness;

use crate::clocks::lease;
use crate::evidence::{Writes, figure};
use crate::late::LEASE;

/// How often the operator has looked at sessions.
pub const LOOKS: &str = "warest_operator_reconciles_total";

/// Watches are short, so that a silent one is noticed soon; nobody else leads, so that no lease need be waited for.
const SOON: [(&str, &str); 2] = [("WAREST_WATCH_TIMEOUT_SECONDS", "5"), ("WAREST_LEADER_ELECT", "false")];

async fn waits_for_pairing(stack: &Stack, name: &str) {
    stack.reaches(name, READY, "False", reason::AWAITING_PAIRING).await;
}

/// A stack whose operator asks everything through a proxy.
async fn behind_proxy(more: &[(&str, &str)]) -> (Stack, ApiProxy) {
    let mut stack = Stack::without_operator().await;
    let proxy = stack.proxy().await;
    stack.start_operator_through(&proxy, more).await;
    (stack, proxy)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_falls_silent_is_begun_anew() {
    let (stack, proxy) = behind_proxy(&SOON).await;
    stack.apply("old", json!({})).await;
    waits_for_pairing(&stack, "old").await;
    // For good: what happens from here on is never told by these watches, and they never end.
    proxy.strand_watches();
    stack.apply("new", json!({})).await;
    stack.patch("old", json!({"operatingMode": "Suspended"})).await;
    waits_for_pairing(&stack, "new").await;
    stack.reaches("old", READY, "False", reason::SUSPENDED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_or_a_watch_that_is_never_answered_is_asked_for_again() {
    let mut stack = Stack::without_operator().await;
    let proxy = stack.proxy().await;
    proxy.add(Rule::next(Method::GET, "/pods?", 1, Fault::Hang));
    proxy.add(Rule::next(Method::GET, "watch=true", 4, Fault::Hang));
    stack.start_operator_through(&proxy, &SOON).await;
    stack.apply("toko", json!({})).await;
    waits_for_pairing(&stack, "toko").await;
    assert_eq!(proxy.pending(), 0, "all of them have happened");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_never_answered_gives_its_place_back() {
    let (stack, proxy) = behind_proxy(&[("WAREST_CONCURRENCY", "1"), SOON[1]]).await;
    for name in ["hangs", "waits"] {
        stack.apply(name, json!({})).await;
        waits_for_pairing(&stack, name).await;
    }
    proxy.add(Rule::next(Method::DELETE, "/pods/hangs", 1, Fault::Hang));
    stack.patch("hangs", json!({"operatingMode": "Suspended"})).await;
    eventually("the call to be made", || async { (proxy.pending() == 0).then_some(()) }).await;
    stack.patch("waits", json!({"operatingMode": "Suspended"})).await;
    for name in ["waits", "hangs"] {
        stack.reaches(name, READY, "False", reason::SUSPENDED).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_throttled_in_all_else_keeps_its_lease_and_does_not_insist() {
    const PATHS: [&str; 7] =
        ["whatsappsessions", "/pods", "claims", "/secrets", "/networkpolicies", "/nodes", "/events"];
    const MANY: usize = 1_000_000;
    let (mut stack, proxy) = behind_proxy(&LEASE).await;
    stack.apply("old", json!({})).await;
    waits_for_pairing(&stack, "old").await;
    let first = lease(&stack).await.unwrap();
    for path in PATHS {
        let fault = Fault::Refuse(StatusCode::TOO_MANY_REQUESTS);
        proxy.add(Rule { method: None, path: path.to_owned(), skip: 0, count: MANY, fault });
    }
    proxy.break_watches();
    stack.apply("new", json!({})).await;
    stack.patch("old", json!({"operatingMode": "Suspended"})).await;
    let mut renewed = first.renew_time.clone();
    // For longer than a lease lasts that is not renewed.
    for _ in 0..10 {
        let now = eventually("the lease to be renewed", || async {
            lease(&stack).await.filter(|lease| lease.renew_time != renewed)
        })
        .await;
        renewed = now.renew_time;
    }
    let asked = PATHS.len() * MANY - proxy.pending();
    assert!((1..300).contains(&asked), "refused {asked} times");
    assert!(stack.pod("new").await.is_none());
    proxy.clear();
    waits_for_pairing(&stack, "new").await;
    stack.reaches("old", READY, "False", reason::SUSPENDED).await;
    let last = lease(&stack).await.unwrap();
    assert_eq!(
        (last.holder_identity, last.lease_transitions),
        (first.holder_identity, first.lease_transitions)
    );
    assert!(stack.operator().process().id().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_etcd_has_forgotten_is_listed_anew_and_nothing_is_done_twice() {
    let mut stack = Stack::on_own_cluster(Cluster::start(ClusterConfig::default()).await).await;
    let proxy = stack.proxy().await;
    stack.start_operator_through(&proxy, &SOON).await;
    for name in ["goes", "loses", "stays"] {
        stack.apply(name, json!({"terminationGracePeriodSeconds": 5})).await;
    }
    for name in ["goes", "loses", "stays"] {
        waits_for_pairing(&stack, name).await;
    }
    let stays = stack.pod_uid("stays").await;
    let lost = stack.pod_uid("loses").await;

    // Its watches end here; what comes is told to nobody, and forgotten.
    proxy.freeze_watches(true);
    let writes = Writes::from_now(&stack);
    stack.delete("goes").await;
    stack.api::<Pod>().delete("loses", &DeleteParams::default()).await.unwrap();
    stack.apply("comes", json!({})).await;
    stack.pod_gone("loses").await;
    stack.cluster().stop_api_server();
    stack.cluster().compact_etcd().await;
    stack.cluster().start_api_server().await;
    proxy.break_watches();
    proxy.freeze_watches(false);

    for name in ["comes", "loses", "stays"] {
        waits_for_pairing(&stack, name).await;
    }
    stack.pod_gone("goes").await;
    let log = std::fs::read_to_string(stack.operator_log()).unwrap();
    assert!(log.contains("too old resource version"), "it was told that its place is gone: {log}");
    assert_eq!(stack.pod_uid("stays").await, stays);
    assert_ne!(stack.pod_uid("loses").await, lost);
    assert_eq!(writes.count("create", "pods"), 2, "for the one that came and the one that lost its own");
    assert_eq!(writes.count("delete", "pods"), 0);
    assert_eq!(overlaps(&stack.cluster().opens()), []);
}

/// Waits until the operator of this moment has looked at sessions so often, whatever came of it.
pub async fn looks(stack: &mut Stack, count: usize) {
    let operator = &*stack.operator();
    eventually("the operator to look at its sessions", || async {
        (figure(operator, LOOKS).await >= count).then_some(())
    })
    .await;
}

/// Four sessions to which something happens that a server which lags for `of` does not tell an operator that starts then. It
/// must neither make nor delete anything, and know better once the server has caught up.
async fn lagging(of: &str) {
    let more = [SOON[0], SOON[1], ("WAREST_RESYNC_SECONDS", "10")];
    let (mut stack, proxy) = behind_proxy(&more).await;
    let witness = Witness::of(&stack).await;
    for (name, mode) in
        [("ends", "Running"), ("moves", "Running"), ("sleeps", "Running"), ("wakes", "Suspended")]
    {
        stack.apply(name, json!({"operatingMode": mode, "terminationGracePeriodSeconds": 5})).await;
    }
    for name in ["ends", "moves", "sleeps"] {
        waits_for_pairing(&stack, name).await;
    }
    stack.reaches("wakes", READY, "False", reason::SUSPENDED).await;
    let moved = stack.pod_uid("moves").await;
    // This one lists what will be the past.
    stack.kill_operator().await;
    stack.start_operator_through(&proxy, &more).await;
    looks(&mut stack, 4).await;

    stack.delete("ends").await;
    stack.api::<Pod>().delete("moves", &DeleteParams::default()).await.unwrap();
    stack.patch("sleeps", json!({"operatingMode": "Suspended"})).await;
    stack.patch("wakes", json!({"operatingMode": "Running"})).await;
    stack.pod_gone("ends").await;
    stack.reaches("sleeps", READY, "False", reason::SUSPENDED).await;
    waits_for_pairing(&stack, "wakes").await;
    eventually("another pod", || async {
        stack.pod("moves").await?.metadata.uid.filter(|uid| *uid != moved)
    })
    .await;
    waits_for_pairing(&stack, "moves").await;

    stack.kill_operator().await;
    let running = [stack.pod_uid("moves").await, stack.pod_uid("wakes").await];
    let before = stack.cluster().audit().len();
    proxy.lag(of);
    stack.start_operator_through(&proxy, &more).await;
    // All sessions twice: a thing that is put off for a moment would be done by now.
    looks(&mut stack, 8).await;
    let writes = Writes::since(&stack, before);
    assert_eq!(writes.made_or_deleted(), [""; 0], "done for what is past");

    proxy.catch_up();
    for name in ["moves", "wakes"] {
        waits_for_pairing(&stack, name).await;
    }
    stack.reaches("sleeps", READY, "False", reason::SUSPENDED).await;
    assert_eq!([stack.pod_uid("moves").await, stack.pod_uid("wakes").await], running);
    assert!(stack.pod("sleeps").await.is_none() && stack.pod("ends").await.is_none());
    assert_eq!(Writes::since(&stack, before).made_or_deleted(), [""; 0]);
    assert_eq!(witness.pods(), 5);
    assert_eq!(overlaps(&stack.node().opens()), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_made_or_deleted_for_what_is_past() {
    lagging("/").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_made_or_deleted_when_the_sessions_alone_lag_behind() {
    lagging("/whatsappsessions").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_made_or_deleted_when_the_pods_alone_lag_behind() {
    lagging("/pods").await;
}
