//! A resource that this operator cannot read, as one of another version of the definition: it is told of, its pod is left alone,
//! and nobody else hears of it.

use std::time::Duration;

use crds::conditions::{READY, SUSPENDED, reason};
use serde_json::{Value, json};
use system_tests::cluster::{Cluster, ClusterConfig, overlaps};
use system_tests::stack::Stack;
use system_tests::wait::{eventually, within};

/// Nobody else leads: a killed operator's lease need not be waited for.
const ALONE: [(&str, &str); 1] = [("WAREST_LEADER_ELECT", "false")];

/// Lets the definition take any operating mode, as one that knows more of them would.
async fn loosen(stack: &Stack) {
    let cluster = stack.cluster();
    let text = cluster.kubectl(&["get", "crd", "whatsappsessions.warest.io", "-o", "json"]).await.ok();
    let mut definition: Value = serde_json::from_str(&text).unwrap();
    let mode = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/operatingMode";
    let mode = definition.pointer_mut(mode).unwrap().as_object_mut().unwrap();
    assert!(mode.remove("enum").is_some());
    cluster.kubectl_in(&["replace", "-f", "-"], &definition.to_string()).await.ok();
}

/// Sets the mode of the session `toko`, once the API server takes it.
async fn mode(stack: &Stack, mode: &str) {
    let patch = json!({"spec": {"operatingMode": mode}}).to_string();
    let arguments = ["-n", stack.namespace(), "patch", "was/toko", "--type=merge", "-p", &patch];
    eventually("the mode to be taken", || async {
        stack.cluster().kubectl(&arguments).await.status.success().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_told_and_left_alone_and_the_others_go_on() {
    let mut stack = Stack::on_own_cluster(Cluster::start(ClusterConfig::default()).await).await;
    stack.start_operator(&ALONE).await;
    stack.paired("toko", json!({})).await;
    stack.apply("kedai", json!({})).await;
    stack.reaches("kedai", READY, "False", reason::AWAITING_PAIRING).await;
    let pod = stack.pod_uid("toko").await;
    loosen(&stack).await;
    mode(&stack, "Hibernating").await;
    let events = ["-n", stack.namespace(), "events", "--for", "whatsappsession/toko"];
    eventually("people to be told", || async {
        let told = stack.cluster().kubectl(&events).await.ok();
        (told.contains("Warning") && told.contains("Hibernating")).then_some(())
    })
    .await;

    // One that starts finds it among the others.
    stack.kill_operator().await;
    stack.start_operator(&ALONE).await;
    stack.patch("kedai", json!({"operatingMode": "Suspended"})).await;
    stack.reaches("kedai", SUSPENDED, "True", reason::SUSPENDED).await;
    stack.patch("kedai", json!({"operatingMode": "Running"})).await;
    stack.reaches("kedai", READY, "False", reason::AWAITING_PAIRING).await;
    assert_eq!(stack.pod_uid("toko").await, pod);

    mode(&stack, "Running").await;
    stack.ready("toko").await;
    assert_eq!(stack.pod_uid("toko").await, pod);
    stack.sends("toko", "readable again").await;
    assert_eq!(overlaps(&stack.cluster().opens()), []);
}

/// Longer than a deleted session is kept for its device to be unlinked.
const FAREWELL: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_deleted_is_not_kept_for_ever() {
    let mut stack = Stack::on_own_cluster(Cluster::start(ClusterConfig::default()).await).await;
    stack.start_operator(&ALONE).await;
    stack.paired("toko", json!({"onDelete": "Unlink"})).await;
    loosen(&stack).await;
    mode(&stack, "Hibernating").await;
    stack.cluster().kubectl(&["-n", stack.namespace(), "delete", "was/toko", "--wait=false"]).await.ok();
    let objects = ["-n", stack.namespace(), "get", "was", "-o", "name"];
    within(FAREWELL, "the resource to be gone", || async {
        stack.cluster().kubectl(&objects).await.ok().trim().is_empty().then_some(())
    })
    .await;
    let events = ["-n", stack.namespace(), "get", "events", "-o", "json"];
    eventually("people to be told that its device is still linked", || async {
        let told = stack.cluster().kubectl(&events).await.ok();
        (told.contains("NotUnlinked") && told.contains("Hibernating")).then_some(())
    })
    .await;
    stack.pod_gone("toko").await;
    assert!(stack.claim("toko").await.is_some(), "the volume is kept");
}
