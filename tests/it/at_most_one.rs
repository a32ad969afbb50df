//! At most one: whatever is lost, late or doubled between operator, API server and node, no two processes ever have the same
//! credentials. Judged outside the operator: by the pods that ever existed, and by which process had which volume open.

use axum::http::{Method, StatusCode};
use crds::conditions::{READY, reason};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, PostParams};
use rustix::process::Signal;
use serde_json::json;
use system_tests::api_proxy::{Fault, Rule};
use system_tests::cluster::{Cluster, ClusterConfig, overlaps};
use system_tests::stack::Stack;
use system_tests::wait::eventually;
use system_tests::witness::Witness;

use crate::late::LEASE;

/// A session whose process is not waited for long when nobody saw it end.
fn soon() -> serde_json::Value {
    json!({"terminationGracePeriodSeconds": 5})
}

/// Such a session, paired.
async fn there(stack: &Stack) {
    stack.paired("toko", soon()).await;
}

async fn suspend(stack: &Stack) {
    stack.patch("toko", json!({"operatingMode": "Suspended"})).await;
}

async fn suspended(stack: &Stack) {
    stack.reaches("toko", READY, "False", reason::SUSPENDED).await;
}

/// The operator is killed after its n-th write, for every n, and converges when it is started again. `begin` is what was before.
/// However often it dies, there have been exactly so many pods.
async fn crash_at_every_write(
    (what, pods): (&str, usize),
    begin: impl AsyncFn(&Stack),
    act: impl AsyncFn(&Stack),
    done: impl AsyncFn(&Stack),
) {
    // Nobody else leads: a killed leader's lease need not be waited for.
    let alone = [("WAREST_LEADER_ELECT", "false")];
    for n in 1..40 {
        let mut stack = Stack::without_operator().await;
        let witness = Witness::of(&stack).await;
        stack.start_operator(&alone).await;
        begin(&stack).await;
        stack.kill_operator().await;
        let proxy = stack.proxy().await;
        proxy.ignore("/events");
        proxy.halt_after_writes(n);
        stack.start_operator_through(&proxy, &alone).await;
        act(&stack).await;
        let finished = {
            let halted = proxy.halted();
            let finished = done(&stack);
            tokio::select! {
                biased;
                () = finished => true,
                () = halted => false,
            }
        };
        stack.kill_operator().await;
        if !finished {
            stack.start_operator(&alone).await;
            done(&stack).await;
        }
        assert_eq!(overlaps(&stack.node().opens()), [], "{what}, killed after write {n}");
        assert_eq!(witness.pods(), pods, "{what}, killed after write {n}");
        if finished {
            assert!(n > 1, "{what}: the first write was the last");
            return;
        }
    }
    panic!("{what}: more than 40 writes");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_any_write_of_a_creation() {
    let act = async |stack: &Stack| stack.apply("toko", json!({})).await;
    let done = async |stack: &Stack| {
        stack.reaches("toko", READY, "False", reason::AWAITING_PAIRING).await;
    };
    crash_at_every_write(("create", 1), async |_: &Stack| (), act, done).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_any_write_of_a_suspension() {
    crash_at_every_write(("suspend", 1), there, suspend, suspended).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_any_write_of_a_resumption() {
    let begin = async |stack: &Stack| {
        there(stack).await;
        suspend(stack).await;
        suspended(stack).await;
    };
    let act = async |stack: &Stack| {
        stack.patch("toko", json!({"operatingMode": "Running"})).await;
    };
    let done = async |stack: &Stack| stack.ready("toko").await;
    crash_at_every_write(("resume", 2), begin, act, done).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_any_write_of_an_update() {
    let act = async |stack: &Stack| {
        let change = json!({"podMetadata": {"annotations": {"warest.io/restartedAt": "now"}}});
        stack.patch("toko", change).await;
    };
    let done = async |stack: &Stack| {
        eventually("the new pod", || async {
            let annotations = stack.pod("toko").await?.metadata.annotations?;
            (annotations.get("warest.io/restartedAt")? == "now").then_some(())
        })
        .await;
        stack.ready("toko").await;
    };
    crash_at_every_write(("update", 2), there, act, done).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_any_write_of_a_deletion() {
    let act = async |stack: &Stack| stack.delete("toko").await;
    let done = async |stack: &Stack| {
        eventually("the session to be gone", || async {
            let session = stack.api::<crds::WhatsAppSession>().get_opt("toko").await.unwrap();
            (session.is_none() && stack.pod("toko").await.is_none()).then_some(())
        })
        .await;
    };
    let begin = async |stack: &Stack| {
        stack.paired("toko", json!({"onDelete": "Unlink", "terminationGracePeriodSeconds": 5})).await;
    };
    crash_at_every_write(("delete", 1), begin, act, done).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_to_a_creation_makes_no_second_pod() {
    let mut stack = Stack::without_operator().await;
    let witness = Witness::of(&stack).await;
    let proxy = stack.proxy().await;
    proxy.add(Rule::next(Method::POST, "/pods", 1, Fault::LoseAnswer));
    proxy.add(Rule::next(Method::POST, "/pods", 2, Fault::Mask(StatusCode::GATEWAY_TIMEOUT)));
    proxy.add(Rule::next(
        Method::POST,
        "/persistentvolumeclaims",
        1,
        Fault::Mask(StatusCode::GATEWAY_TIMEOUT),
    ));
    stack.start_operator_through(&proxy, &[]).await;
    stack.apply("toko", json!({})).await;
    stack.reaches("toko", READY, "False", reason::AWAITING_PAIRING).await;
    assert_eq!(witness.pods(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_hides_its_own_pod_makes_no_second_one() {
    let mut stack = Stack::without_operator().await;
    let witness = Witness::of(&stack).await;
    let proxy = stack.proxy().await;
    stack.start_operator_through(&proxy, &[]).await;
    stack.paired("toko", soon()).await;
    let uid = stack.pod_uid("toko").await;
    // The operator sees nothing of the pod's end, nor of the new one's birth.
    proxy.freeze_watches(true);
    stack.api::<Pod>().delete("toko", &DeleteParams::default()).await.unwrap();
    stack.pod_gone("toko").await;
    proxy.freeze_watches(false);
    eventually("another pod", || async { stack.pod("toko").await?.metadata.uid.filter(|it| *it != uid) })
        .await;
    stack.ready("toko").await;
    assert_eq!(witness.pods(), 2);
    assert_eq!(overlaps(&stack.node().opens()), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_former_leaders_word_that_arrives_late_undoes_nothing() {
    let mut stack = Stack::without_operator().await;
    let proxy = stack.proxy().await;
    stack.start_operator_through(&proxy, &LEASE).await;
    stack.paired("toko", soon()).await;
    let first = stack.session("toko").await.status.unwrap();
    // Its status is on its way when it freezes: of a session that is being suspended, with the pod that it has had.
    proxy.hold(Method::PATCH, "/whatsappsessions/toko/status");
    stack.patch("toko", json!({"operatingMode": "Suspended"})).await;
    proxy.held().await;
    let mut frozen = stack.part_with_operator();
    frozen.process().signal(Signal::STOP);
    stack.start_operator(&LEASE).await;
    stack.reaches("toko", READY, "False", reason::SUSPENDED).await;
    stack.patch("toko", json!({"operatingMode": "Running"})).await;
    stack.ready("toko").await;
    let before = stack.session("toko").await.status.unwrap();
    assert_eq!(proxy.release().await, StatusCode::CONFLICT);
    let after = stack.session("toko").await.status.unwrap();
    assert!(after.account.is_some() && after.account == first.account);
    assert!(after.writer_epoch > first.writer_epoch, "{first:#?} {after:#?}");
    assert_eq!((&after.writer_epoch, &after.pod), (&before.writer_epoch, &before.pod));
    assert_eq!(after.pod.map(|pod| pod.uid), Some(stack.pod_uid("toko").await));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_name_again_waits_for_the_old_pods_end() {
    let stack = Stack::start().await;
    let witness = Witness::of(&stack).await;
    stack.paired("toko", json!({})).await;
    for _ in 0..3 {
        stack.delete("toko").await;
        eventually("the resource to be gone", || async {
            stack.api::<crds::WhatsAppSession>().get_opt("toko").await.unwrap().is_none().then_some(())
        })
        .await;
        stack.apply("toko", json!({})).await;
    }
    stack.ready("toko").await;
    witness.pods();
    assert_eq!(overlaps(&stack.node().opens()), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_pods_of_one_session_are_left_alone_and_told() {
    let mut stack = Stack::start().await;
    stack.paired("toko", json!({})).await;
    stack.kill_operator().await;
    let mut second = stack.pod("toko").await.unwrap();
    second.metadata.name = Some("toko-second".to_owned());
    second.metadata.resource_version = None;
    second.metadata.uid = None;
    second.status = None;
    let mut spec = second.spec.take().unwrap();
    spec.node_name = None;
    // It must not start: the point is what the operator does about its object.
    spec.containers[0].image = Some("registry.example/nobody:1".to_owned());
    second.spec = Some(spec);
    stack.api::<Pod>().create(&PostParams::default(), &second).await.unwrap();
    stack.start_operator(&[]).await;
    let message = stack.reaches("toko", READY, "False", reason::MULTIPLE_PODS).await;
    assert!(message.contains("toko-second"), "it names both: {message}");
    for pod in ["toko", "toko-second"] {
        let pod = stack.api::<Pod>().get(pod).await.unwrap();
        assert_eq!(pod.metadata.deletion_timestamp, None, "touched neither");
    }
    stack.api::<Pod>().delete("toko-second", &DeleteParams::default().grace_period(0)).await.unwrap();
    stack.ready("toko").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_node_is_waited_for_unless_the_session_says_otherwise() {
    let config = ClusterConfig {
        node_grace: std::time::Duration::from_secs(4),
        eviction_seconds: 2,
        ..ClusterConfig::default()
    };
    let mut stack = Stack::on_own_cluster(Cluster::start(config).await).await;
    stack.start_operator(&[("WAREST_NODE_LOSS_SECONDS", "5")]).await;
    stack.paired("waits", json!({})).await;
    stack
        .paired("moves", json!({"onNodeLoss": "Recreate", "storage": {"accessMode": "ReadWriteOnce"}}))
        .await;
    let (waits, moves) = (stack.pod_uid("waits").await, stack.pod_uid("moves").await);
    let spare = stack.another_node("spare").await;
    stack.node().kill();
    let message = stack.reaches("waits", READY, "False", reason::NODE_UNREACHABLE).await;
    assert!(message.contains(stack.node().name()), "it names the node: {message}");
    eventually("the other session to move", || async {
        stack.pod("moves").await?.metadata.uid.filter(|uid| *uid != moves)
    })
    .await;
    stack.ready("moves").await;
    assert_eq!(stack.pod_uid("waits").await, waits, "nothing is done without proof");
    assert!(!spare.processes().is_empty());
    // The machine comes back: what waited goes on, once.
    stack.node().restart();
    stack.ready("waits").await;
    assert_eq!(overlaps(&stack.cluster().opens()), []);
}
