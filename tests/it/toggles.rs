//! Wishes that change faster than pods start and end: the last one wins, on the way there is never a second pod, and no more
//! pods are made than it takes.

use crds::conditions::{READY, SUSPENDED, reason};
use crds::spec::OperatingMode;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use system_tests::cluster::overlaps;
use system_tests::stack::Stack;
use system_tests::wait::eventually;
use system_tests::witness::Witness;

/// Annotation of a pod, which its session asks for.
const RESTARTED: &str = "warest.io/restartedAt";

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
    kill_process(process(&stack), Signal::STOP).unwrap();
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

/// Asks for another pod, which is told by this number.
async fn template(stack: &Stack, number: usize) {
    let annotations = json!({RESTARTED: number.to_string()});
    stack.patch("toko", json!({"podMetadata": {"annotations": annotations}})).await;
}

/// The number of the template that a pod was made of; none for the first one.
fn number(pod: &ObjectMeta) -> Option<usize> {
    Some(pod.annotations.as_ref()?.get(RESTARTED)?.parse().unwrap())
}

/// The session's program, which is the only one.
fn process(stack: &Stack) -> Pid {
    let all = stack.node().processes();
    assert_eq!(all.len(), 1);
    Pid::from_raw(all[0].cast_signed()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_templates_make_no_fifty_pods() {
    let stack = Stack::start().await;
    let witness = Witness::of(&stack).await;
    stack.paired("toko", json!({"terminationGracePeriodSeconds": 300})).await;
    // Halted, the first pod goes on ending while all the others are asked for.
    let halted = process(&stack);
    kill_process(halted, Signal::STOP).unwrap();
    template(&stack, 1).await;
    pod_that(&stack, "the pod to be ending", is_ending).await;
    for number in 2..=50 {
        template(&stack, number).await;
    }
    kill_process(halted, Signal::CONT).unwrap();
    pod_that(&stack, "the pod of the last template", |pod| number(&pod.metadata) == Some(50)).await;
    stack.ready("toko").await;
    stack.sends("toko", "after fifty templates").await;
    assert_eq!(witness.born().iter().map(number).collect::<Vec<_>>(), [None, Some(50)]);
    assert_eq!(overlaps(&stack.node().opens()), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn templates_that_change_while_pods_come_and_go_are_taken_in_order() {
    let stack = Stack::start().await;
    let witness = Witness::of(&stack).await;
    stack.paired("toko", json!({})).await;
    for number in 1..=50 {
        template(&stack, number).await;
    }
    pod_that(&stack, "the pod of the last template", |pod| number(&pod.metadata) == Some(50)).await;
    stack.ready("toko").await;
    stack.sends("toko", "after fifty templates").await;
    let made: Vec<_> = witness.born().iter().map(number).collect();
    assert!(made.is_sorted_by(|one, next| one < next), "no template twice, none after a later one: {made:?}");
    assert_eq!(overlaps(&stack.node().opens()), []);
}
