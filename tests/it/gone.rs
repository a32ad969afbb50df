//! What goes while a session needs it: its node for good, its pod while nobody looks, its volume under a running pod. And a
//! volume that comes late.

use std::time::Duration;

use crds::conditions::{READY, STORAGE_READY, reason};
use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use serde_json::json;
use system_tests::cluster::{Cluster, ClusterConfig, overlaps};
use system_tests::stack::Stack;
use system_tests::wait::eventually;
use system_tests::witness::Witness;

/// Nobody else leads: a killed operator's lease need not be waited for.
const ALONE: (&str, &str) = ("WAREST_LEADER_ELECT", "false");
const NODE_GRACE: &str = "WAREST_NODE_GRACE_SECONDS";

/// As Kubernetes' own collector of pods does where there is no node any more, unless it has been quicker.
async fn collect(stack: &Stack) {
    let _collected = stack.api::<Pod>().delete("toko", &DeleteParams::default().grace_period(0)).await;
}

/// Waits until the session works in another pod, on this node.
async fn moves_to(stack: &Stack, node: &str) {
    eventually("a pod on the other node", || async {
        (stack.pod("toko").await?.spec?.node_name.as_deref() == Some(node)).then_some(())
    })
    .await;
    stack.ready("toko").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_out_of_service_or_deleted_is_not_waited_for() {
    let config = ClusterConfig { node_grace: Duration::from_secs(4), ..ClusterConfig::default() };
    let mut stack = Stack::on_own_cluster(Cluster::start(config).await).await;
    // Longer than any test waits: what is not proven to have ended keeps the next one away.
    stack.start_operator(&[(NODE_GRACE, "600"), ALONE]).await;
    let witness = Witness::of(&stack).await;
    stack.paired("toko", json!({"storage": {"accessMode": "ReadWriteOnce"}})).await;
    let spare = stack.another_node("spare").await;
    let (first, cluster) = (stack.node().name(), stack.cluster());
    let taint = "node.kubernetes.io/out-of-service";

    stack.node().kill();
    cluster.kubectl(&["taint", "node", first, &format!("{taint}=nodeshutdown:NoExecute")]).await.ok();
    collect(&stack).await;
    moves_to(&stack, spare.name()).await;

    cluster.kubectl(&["taint", "node", first, &format!("{taint}-")]).await.ok();
    stack.node().restart();
    stack.node().ready(cluster).await;
    spare.kill();
    cluster.kubectl(&["delete", "node", spare.name()]).await.ok();
    collect(&stack).await;
    moves_to(&stack, first).await;
    stack.sends("toko", "on the third pod").await;
    assert_eq!(witness.pods(), 3);
    assert_eq!(overlaps(&cluster.opens()), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_went_while_no_operator_looked_is_made_again_once() {
    let mut stack = Stack::without_operator().await;
    let more = [(NODE_GRACE, "0"), ALONE];
    stack.start_operator(&more).await;
    let witness = Witness::of(&stack).await;
    stack.paired("toko", json!({})).await;
    stack.kill_operator().await;
    stack.api::<Pod>().delete("toko", &DeleteParams::default()).await.unwrap();
    stack.pod_gone("toko").await;
    stack.start_operator(&more).await;
    eventually("another pod", || stack.pod("toko")).await;
    stack.ready("toko").await;
    assert_eq!(witness.pods(), 2);
    assert_eq!(overlaps(&stack.node().opens()), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_has_lost_its_volume_is_told_and_not_started_on() {
    let stack = Stack::start().await;
    stack.paired("toko", json!({})).await;
    let pod = stack.pod_uid("toko").await;
    let volume = stack.claim("toko").await.unwrap().spec.unwrap().volume_name.unwrap();
    let (volume, cluster) = (format!("pv/{volume}"), stack.cluster());
    cluster.kubectl(&["delete", &volume, "--wait=false"]).await.ok();
    let unprotected = r#"{"metadata":{"finalizers":null}}"#;
    cluster.kubectl(&["patch", &volume, "--type=merge", "-p", unprotected]).await.ok();
    stack.reaches("toko", STORAGE_READY, "False", reason::VOLUME_LOST).await;
    assert_eq!(stack.pod_uid("toko").await, pod, "the running pod goes on");

    stack.api::<Pod>().delete("toko", &DeleteParams::default()).await.unwrap();
    let message = stack.reaches("toko", READY, "False", reason::VOLUME_LOST).await;
    assert!(message.contains("volumeResetToken"), "it says what to do: {message}");
    stack.pod_gone("toko").await;
    stack.patch("toko", json!({"volumeResetToken": "acknowledged"})).await;
    stack.reaches("toko", READY, "False", reason::AWAITING_PAIRING).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_that_comes_late_is_taken() {
    let stack = Stack::start().await;
    let class = format!("late-{}", stack.namespace());
    stack.apply("toko", json!({"storage": {"storageClassName": class}})).await;
    stack.reaches("toko", STORAGE_READY, "False", reason::STORAGE_PENDING).await;
    let object = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": class},
        "provisioner": "warest.io/process-node", "volumeBindingMode": "WaitForFirstConsumer",
    });
    stack.cluster().kubectl_in(&["apply", "-f", "-"], &object.to_string()).await.ok();
    stack.reaches("toko", READY, "False", reason::AWAITING_PAIRING).await;
    stack.cluster().kubectl(&["delete", "storageclass", &class]).await.ok();
}
