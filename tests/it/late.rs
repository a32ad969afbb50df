//! What was under way when its sender lost the lead, or its session went, and arrives all the same: it hits nothing that it was
//! not meant for. Judged by the API server's answers and by the pods that ever lived.

use axum::http::{Method, StatusCode};
use crds::WhatsAppSession;
use crds::conditions::{READY, SUSPENDED, reason};
use rustix::process::Signal;
use serde_json::json;
use system_tests::cluster::overlaps;
use system_tests::stack::Stack;
use system_tests::wait::eventually;
use system_tests::witness::Witness;

use crate::evidence::Writes;

/// A lease that runs out soon.
pub const LEASE: [(&str, &str); 3] = [
    ("WAREST_LEASE_DURATION_SECONDS", "6"),
    ("WAREST_LEASE_RENEW_DEADLINE_SECONDS", "4"),
    ("WAREST_LEASE_RETRY_SECONDS", "1"),
];

/// Nobody else leads: a killed operator's lease need not be waited for.
const ALONE: [(&str, &str); 1] = [("WAREST_LEADER_ELECT", "false")];

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_of_a_leader_that_was_frozen_misses_the_next_pod() {
    let mut stack = Stack::without_operator().await;
    let witness = Witness::of(&stack).await;
    let proxy = stack.proxy().await;
    stack.start_operator_through(&proxy, &LEASE).await;
    stack.paired("toko", json!({"terminationGracePeriodSeconds": 5})).await;
    let old = stack.pod_uid("toko").await;
    proxy.hold(Method::DELETE, "/pods/toko");
    stack.patch("toko", json!({"operatingMode": "Suspended"})).await;
    proxy.held().await;
    let mut frozen = stack.part_with_operator();
    frozen.process().signal(Signal::STOP);

    stack.start_operator(&LEASE).await;
    stack.reaches("toko", SUSPENDED, "True", reason::SUSPENDED).await;
    stack.patch("toko", json!({"operatingMode": "Running"})).await;
    stack.ready("toko").await;
    let new = stack.pod_uid("toko").await;
    assert_ne!(new, old);
    // It wakes up in the middle of its work, which the session has long got from another.
    let writes = Writes::from_now(&stack);
    frozen.process().signal(Signal::CONT);
    assert_eq!(frozen.process().ended().await.code(), Some(1));
    assert_eq!(writes.made_or_deleted(), [""; 0]);
    assert_eq!(proxy.release().await, StatusCode::CONFLICT, "it is for the old pod alone");

    let pod = stack.pod("toko").await.unwrap().metadata;
    assert_eq!((pod.uid, pod.deletion_timestamp), (Some(new), None));
    stack.sends("toko", "still there").await;
    assert_eq!(witness.pods(), 2);
    assert_eq!(overlaps(&stack.node().opens()), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_creation_of_a_former_operator_makes_no_second_pod() {
    let mut stack = Stack::without_operator().await;
    let witness = Witness::of(&stack).await;
    let proxy = stack.proxy().await;
    proxy.hold(Method::POST, "/pods");
    stack.start_operator_through(&proxy, &ALONE).await;
    stack.apply("toko", json!({})).await;
    proxy.held().await;
    stack.kill_operator().await;
    stack.start_operator(&ALONE).await;
    stack.reaches("toko", READY, "False", reason::AWAITING_PAIRING).await;
    let pod = stack.pod_uid("toko").await;
    assert_eq!(proxy.release().await, StatusCode::CONFLICT);
    assert_eq!((stack.pod_uid("toko").await, witness.pods()), (pod, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_made_for_a_session_that_has_gone_goes_too() {
    for path in ["/persistentvolumeclaims", "/pods"] {
        let mut stack = Stack::without_operator().await;
        let witness = Witness::of(&stack).await;
        let proxy = stack.proxy().await;
        proxy.hold(Method::POST, path);
        stack.start_operator_through(&proxy, &ALONE).await;
        stack.apply("toko", json!({"retentionPolicy": "Delete"})).await;
        proxy.held().await;
        stack.delete("toko").await;
        eventually("the session to be gone", || async {
            stack.api::<WhatsAppSession>().get_opt("toko").await.unwrap().is_none().then_some(())
        })
        .await;
        assert_eq!(proxy.release().await, StatusCode::CREATED, "{path}");
        eventually("all of it to be gone", || async {
            let left = stack.pod("toko").await.is_some() || stack.claim("toko").await.is_some();
            (!left && stack.node().processes().is_empty()).then_some(())
        })
        .await;
        // The next one of that name is another session.
        stack.apply("toko", json!({"retentionPolicy": "Delete"})).await;
        stack.reaches("toko", READY, "False", reason::AWAITING_PAIRING).await;
        assert!(witness.pods() <= 2, "{path}");
        assert_eq!(overlaps(&stack.node().opens()), [], "{path}");
    }
}
