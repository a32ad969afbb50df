//! Wishes that change faster than pods start and end: the last one wins, on the way there is never a second pod, and no more
//! pods are made than it takes.

use std::time::Instant;

use crds::conditions::{READY, SUSPENDED, reason};
use crds::spec::OperatingMode;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use system_tests::cluster::overlaps;
use system_tests::stack::Stack;
use system_tests::wait::eventually;
use system_tests::witness::Witness;

async fn mode(stack: &Stack, mode: OperatingMode) {
    stack.patch("toko", json!({ "operatingMode": mode })).await;
}

/// Changes the mode a hundred times, one change right after the other, to end with this one.
async fn toggle(stack: &Stack, last: OperatingMode) {
    let other = match last {
        OperatingMode::Running => OperatingMode::Suspended,
        OperatingMode::Suspended => OperatingMode::Running,
    };
    for _ in 0..50 {
        mode(stack, other).await;
        mode(stack, last).await;
    }
}

/// Waits until there is a pod of which this holds.
async fn pod_that(stack: &Stack, what: &str, holds: impl Fn(&Pod) -> bool) -> Pod {
    eventually(what, || async { stack.pod("toko").await.filter(&holds) }).await
}

type Moment<'a> = &'a (dyn Fn(&Pod) -> bool + Sync);

fn is_ending(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

fn runs(pod: &Pod) -> bool {
    let containers = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
    containers.is_some_and(|all| all.iter().any(|it| it.state.as_ref().is_some_and(|s| s.running.is_some())))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_of_a_hundred_toggles_wins() {
    let stack = Stack::start().await;
    let witness = Witness::of(&stack).await;
    stack.paired("toko", json!({})).await;
    toggle(&stack, OperatingMode::Suspended).await;
    stack.reaches("toko", SUSPENDED, "True", reason::SUSPENDED).await;
    assert!(stack.pod("toko").await.is_none());
    assert!(stack.node().processes().is_empty());

    toggle(&stack, OperatingMode::Running).await;
    stack.ready("toko").await;
    stack.sends("toko", "after two hundred wishes").await;
    let made = witness.pods();
    assert!(made > 1, "it was suspended in between");
    assert!(made <= 100, "{made} pods");
    assert_eq!(overlaps(&stack.node().opens()), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_suspended_at_any_moment_of_its_start() {
    let stack = Stack::start().await;
    let witness = Witness::of(&stack).await;
    let exists = |_: &Pod| true;
    let has_a_node = |pod: &Pod| pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
    let moments: [(&str, Moment<'_>); 3] =
        [("a pod", &exists), ("a pod that has a node", &has_a_node), ("a pod whose program runs", &runs)];
    stack.apply("toko", json!({})).await;
    for (what, holds) in moments {
        pod_that(&stack, what, holds).await;
        mode(&stack, OperatingMode::Suspended).await;
        stack.reaches("toko", SUSPENDED, "True", reason::SUSPENDED).await;
        assert!(stack.pod("toko").await.is_none(), "{what}");
        assert!(stack.node().processes().is_empty(), "{what}");
        mode(&stack, OperatingMode::Running).await;
    }
    stack.reaches("toko", READY, "False", reason::AWAITING_PAIRING).await;
    assert_eq!(witness.pods(), moments.len() + 1);
    assert_eq!(overlaps(&stack.node().opens()), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_resumed_while_its_pod_ends_waits_for_the_end() {
    let stack = Stack::start().await;
    let witness = Witness::of(&stack).await;
    stack.paired("toko", json!({"terminationGracePeriodSeconds": 5})).await;
    let old = stack.pod_uid("toko").await;
    // Halted, it takes all of its time to end.
    let process = stack.node().processes()[0];
    kill_process(Pid::from_raw(process.cast_signed()).unwrap(), Signal::STOP).unwrap();
    mode(&stack, OperatingMode::Suspended).await;
    pod_that(&stack, "the pod to be ending", is_ending).await;
    mode(&stack, OperatingMode::Running).await;
    stack.reaches("toko", READY, "False", reason::POD_TERMINATING).await;
    assert_eq!(stack.pod_uid("toko").await, old);
    let new = pod_that(&stack, "another pod", |pod| pod.metadata.uid.as_ref() != Some(&old)).await;
    assert!(!is_ending(&new));
    stack.ready("toko").await;
    stack.sends("toko", "back again").await;
    assert_eq!(witness.pods(), 2);
    assert_eq!(overlaps(&stack.node().opens()), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_templates_make_no_fifty_pods() {
    let stack = Stack::start().await;
    let witness = Witness::of(&stack).await;
    stack.paired("toko", json!({})).await;
    let begun = Instant::now();
    for number in 1..=50 {
        let annotations = json!({"warest.io/restartedAt": format!("{number}")});
        stack.patch("toko", json!({"podMetadata": {"annotations": annotations}})).await;
    }
    let asked_for = usize::try_from(begun.elapsed().as_secs()).unwrap();
    pod_that(&stack, "the pod of the last template", |pod| {
        let annotations = pod.metadata.annotations.as_ref();
        annotations.and_then(|all| all.get("warest.io/restartedAt")).is_some_and(|number| number == "50")
    })
    .await;
    stack.ready("toko").await;
    stack.sends("toko", "after fifty templates").await;
    let made = witness.pods();
    // The first one, one of a template that was overtaken, and the last one; no more than one a second while they changed.
    assert!(made <= 3 + asked_for, "{made} pods in {asked_for} s");
    assert_eq!(overlaps(&stack.node().opens()), []);
    let api: Api<Pod> = stack.api();
    assert_eq!(api.list(&kube::api::ListParams::default()).await.unwrap().items.len(), 1);
}
