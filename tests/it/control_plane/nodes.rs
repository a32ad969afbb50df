//! What may befall a node: cut off, switched off, restarted, lost for good.

use std::time::Duration;

use super::*;
use system_tests::cluster::overlaps;

const FOREVER: &str = "echo up; while :; do sleep 0.05; done";

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_cut_off_goes_on_and_learns_later() {
    let (cluster, namespace, node) = alone("cut").await;
    create(
        cluster,
        &namespace,
        &pod(&namespace, "p", &shell(FOREVER), &json!({"terminationGracePeriodSeconds": 1})),
    )
    .await;
    reaches(cluster, &namespace, "p", "ready", is_ready).await;
    let before = node.processes();
    node.partition();
    cluster.kubectl(&["-n", &namespace, "delete", "pod", "p", "--wait=false"]).await.ok();
    // Longer than its grace period: nobody told the process.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(node.processes(), before);
    reaches(cluster, &namespace, "p", "terminating", |pod| pod["metadata"]["deletionTimestamp"].is_string())
        .await;
    node.heal();
    vanishes(cluster, &namespace, "p").await;
    assert_eq!(node.processes(), [] as [u32; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forced_deletion_behind_a_cut_leaves_two_on_one_volume_and_the_observer_sees_it() {
    let cluster = Cluster::start(ClusterConfig::default()).await;
    let namespace = cluster.namespace("two").await;
    let lost = node(&cluster, &namespace, ProcessNodeConfig::default()).await;
    let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"},
        "spec": {"storageClassName": "immediate", "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}});
    cluster.kubectl_in(&["-n", &namespace, "apply", "-f", "-"], &claim.to_string()).await.ok();
    let mut container = shell(FOREVER);
    container["volumeMounts"] = json!([{"name": "d", "mountPath": "/data"}]);
    let spec = json!({"nodeSelector": {}, "volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]});
    let pod = pod(&namespace, "p", &container, &spec);
    create(&cluster, &namespace, &pod).await;
    reaches(&cluster, &namespace, "p", "ready", is_ready).await;
    assert!(overlaps(&cluster.opens()).is_empty());

    lost.partition();
    let other =
        ProcessNode::start(&cluster, "other", ProcessNodeConfig::default().image("warest/shell", "/bin/sh"))
            .await;
    cluster.kubectl(&["cordon", lost.name()]).await.ok();
    cluster.kubectl(&["-n", &namespace, "delete", "pod", "p", "--force", "--grace-period=0"]).await.ok();
    create(&cluster, &namespace, &pod).await;
    reaches(&cluster, &namespace, "p", "ready", is_ready).await;
    assert_eq!((other.processes().len(), lost.processes().len()), (1, 1));
    assert_eq!(overlaps(&cluster.opens()).len(), 1);
    lost.heal();
    eventually("the lost pod to end", || async { lost.processes().is_empty().then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_switched_off_starts_its_pods_again() {
    let (cluster, namespace, node) = alone("power").await;
    create(cluster, &namespace, &pod(&namespace, "p", &shell(FOREVER), &json!({}))).await;
    create(
        cluster,
        &namespace,
        &pod(&namespace, "once", &shell(FOREVER), &json!({"restartPolicy": "Never"})),
    )
    .await;
    reaches(cluster, &namespace, "p", "ready", is_ready).await;
    reaches(cluster, &namespace, "once", "ready", is_ready).await;
    let before = node.processes();
    node.kill();
    assert_eq!(node.processes(), [] as [u32; 0]);
    reaches(cluster, &namespace, "p", "thought to be ready", is_ready).await;
    node.restart();
    let restarted = |pod: &Value| is_ready(pod) && pod["status"]["containerStatuses"][0]["restartCount"] == 1;
    reaches(cluster, &namespace, "p", "ready again", restarted).await;
    reaches(cluster, &namespace, "once", "failed", |pod| pod["status"]["phase"] == "Failed").await;
    assert!(node.processes().iter().all(|process| !before.contains(process)));

    // A kubelet that restarts takes over what runs.
    let running = node.processes();
    node.restart();
    cluster.kubectl(&["-n", &namespace, "delete", "pod", "p", "once"]).await.ok();
    assert_eq!((running.len(), node.processes().len()), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_of_a_lost_node_are_marked_and_evicted() {
    let config =
        ClusterConfig { node_grace: Duration::from_secs(6), eviction_seconds: 1, ..ClusterConfig::default() };
    let cluster = Cluster::start(config).await;
    let namespace = cluster.namespace("loss").await;
    let beat = ProcessNodeConfig { heartbeat: Duration::from_secs(1), ..ProcessNodeConfig::default() };
    let lost = node(&cluster, &namespace, beat.clone()).await;
    let _other = ProcessNode::start(&cluster, "other", beat).await;
    create(&cluster, &namespace, &pod(&namespace, "p", &shell(FOREVER), &json!({}))).await;
    reaches(&cluster, &namespace, "p", "ready", is_ready).await;
    lost.kill();
    reaches(&cluster, &namespace, "p", "not ready", |pod| !is_ready(pod)).await;
    reaches(&cluster, &namespace, "p", "evicted", |pod| pod["metadata"]["deletionTimestamp"].is_string())
        .await;
    // Nobody can say that its process is dead, so the object stays.
    tokio::time::sleep(Duration::from_secs(2)).await;
    reaches(&cluster, &namespace, "p", "still there", |_| true).await;
    lost.restart();
    vanishes(&cluster, &namespace, "p").await;
}
