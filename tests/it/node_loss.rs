//! Pods that vanish: what counts as proof that a process has ended, and what does not. Judged by which process had which
//! volume open. And pods that hang: nobody waits for them.

use std::time::Duration;

use crds::conditions::{POD_READY, READY, SUSPENDED, reason};
use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use serde_json::json;
use system_tests::cluster::{Cluster, ClusterConfig, overlaps};
use system_tests::stack::{Stack, condition};
use system_tests::wait::{eventually, within};

const NODE_GRACE: &str = "WAREST_NODE_GRACE_SECONDS";

async fn force_delete(stack: &Stack, name: &str) {
    stack.api::<Pod>().delete(name, &DeleteParams::default().grace_period(0)).await.unwrap();
}

/// What the session says of its pod, once it says these words.
async fn says(stack: &Stack, name: &str, words: &str) -> String {
    eventually(words, || async {
        let message = condition(&stack.session(name).await, POD_READY)?.message;
        message.contains(words).then_some(message)
    })
    .await
}

/// Another pod than this one.
async fn another(stack: &Stack, name: &str, former: &str) -> Pod {
    eventually("another pod", || async {
        stack.pod(name).await.filter(|pod| pod.metadata.uid.as_deref() != Some(former))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_fails_unnoticed_and_comes_back_never_runs_a_second_process() {
    let config = ClusterConfig { node_grace: Duration::from_secs(10), ..ClusterConfig::default() };
    let mut stack = Stack::on_own_cluster(Cluster::start(config).await).await;
    stack.start_operator(&[(NODE_GRACE, "15")]).await;
    let storage = json!({"accessMode": "ReadWriteOnce"});
    stack.paired("toko", json!({"storage": storage, "terminationGracePeriodSeconds": 5})).await;
    let uid = stack.pod_uid("toko").await;
    let spare = stack.another_node("spare").await;
    let lost = stack.node().name().to_owned();
    // Nobody knows yet that the node is cut off: it still looks well when somebody deletes its pod by force.
    stack.node().partition();
    force_delete(&stack, "toko").await;
    let message = says(&stack, "toko", "nobody saw its process end").await;
    assert!(message.contains(&lost), "{message}");
    says(&stack, "toko", "has not answered").await;
    stack.reaches("toko", READY, "False", reason::NODE_UNREACHABLE).await;
    assert!(stack.pod("toko").await.is_none() && !stack.node().processes().is_empty(), "it still runs there");
    assert!(spare.processes().is_empty());
    // Only now does its kubelet hear of the deletion.
    stack.node().heal();
    let back = says(&stack, "toko", "answers again").await;
    assert!(back.contains("15 s after that"), "the grace period and a little more: {back}");
    another(&stack, "toko", &uid).await;
    stack.ready("toko").await;
    assert_eq!(overlaps(&stack.cluster().opens()), []);
    assert_eq!(stack.cluster().opens().len(), 2, "one process before, one after");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forced_deletion_on_a_node_that_lives_is_waited_for_briefly() {
    let mut stack = Stack::without_operator().await;
    stack.start_operator(&[(NODE_GRACE, "6")]).await;
    stack.paired("toko", json!({"terminationGracePeriodSeconds": 5})).await;
    let uid = stack.pod_uid("toko").await;
    force_delete(&stack, "toko").await;
    says(&stack, "toko", "The next pod is made 21 s after that").await;
    another(&stack, "toko", &uid).await;
    stack.ready("toko").await;
    assert_eq!(overlaps(&stack.node().opens()), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_seen_to_end_is_not_waited_for() {
    let mut stack = Stack::without_operator().await;
    // Longer than any test waits.
    stack.start_operator(&[(NODE_GRACE, "600")]).await;
    stack.paired("toko", json!({})).await;
    let first = stack.pod_uid("toko").await;
    stack.api::<Pod>().delete("toko", &DeleteParams::default()).await.unwrap();
    another(&stack, "toko", &first).await;
    stack.ready("toko").await;
    stack.patch("toko", json!({"operatingMode": "Suspended"})).await;
    stack.reaches("toko", SUSPENDED, "True", reason::SUSPENDED).await;
    stack.patch("toko", json!({"operatingMode": "Running"})).await;
    stack.ready("toko").await;
    // A pod that never ran, and one that is deleted while it comes up.
    stack.patch("toko", json!({"image": "registry.example/nobody:1"})).await;
    stack.reaches("toko", READY, "False", reason::IMAGE_PULL_FAILED).await;
    stack.patch("toko", json!({"image": null})).await;
    stack.ready("toko").await;
    stack.delete("toko").await;
    eventually("the resource to be gone", || async {
        stack.api::<crds::WhatsAppSession>().get_opt("toko").await.unwrap().is_none().then_some(())
    })
    .await;
    stack.apply("toko", json!({})).await;
    stack.ready("toko").await;
    assert_eq!(overlaps(&stack.node().opens()), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_hang_hold_nobody_up() {
    let mut stack = Stack::without_operator().await;
    stack.start_operator(&[("WAREST_CONCURRENCY", "1")]).await;
    for name in ["kedai", "lapak", "warung"] {
        stack.paired(name, json!({"onDelete": "Unlink"})).await;
    }
    stack.paired("toko", json!({})).await;
    // WhatsApp does not answer any more: each of them waits for 40 s to be unlinked.
    stack.rig().fault(&json!({"kind": "latency", "ms": 120_000})).await;
    for name in ["kedai", "lapak", "warung"] {
        stack.delete(name).await;
    }
    within(Duration::from_secs(30), "the operator to go on with the others", || async {
        stack.patch("toko", json!({"operatingMode": "Suspended"})).await;
        let session = stack.session("toko").await;
        (condition(&session, SUSPENDED)?.status == "True").then_some(())
    })
    .await;
    for name in ["kedai", "lapak", "warung"] {
        assert!(stack.session(name).await.metadata.deletion_timestamp.is_some(), "{name} still waits");
    }
}
