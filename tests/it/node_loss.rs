//! Pods that vanish: what counts as proof that a process has ended, and what does not. Judged by which process had which
//! volume open. And pods that hang: nobody waits for them.

use std::time::Duration;

use crds::WhatsAppSession;
use crds::conditions::{POD_READY, READY, SUSPENDED, reason};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;
use system_tests::cluster::{Cluster, ClusterConfig, overlaps};
use system_tests::stack::{Stack, condition};
use system_tests::wait::{eventually, within};

const NODE_GRACE: &str = "WAREST_NODE_GRACE_SECONDS";
/// Longer than any test waits.
const LONG: &str = "600";
/// Nobody else leads: a killed operator's lease need not be waited for.
const ALONE: (&str, &str) = ("WAREST_LEADER_ELECT", "false");

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

/// What the status says of the pod's UID, once it says this.
async fn tells_of(stack: &Stack, name: &str, uid: &str) {
    eventually("the status to tell of the pod", || async {
        (stack.session(name).await.status?.pod?.uid == uid).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_takes_over_waits_for_what_its_predecessor_waited_for() {
    let mut stack = Stack::without_operator().await;
    let (patient, hasty) = ([(NODE_GRACE, LONG), ALONE], [(NODE_GRACE, "0"), ALONE]);
    stack.start_operator(&patient).await;
    let claim = json!({
        "metadata": {"name": "lent"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    });
    let claim = serde_json::from_value(claim).unwrap();
    stack.api::<PersistentVolumeClaim>().create(&PostParams::default(), &claim).await.unwrap();
    let lent = json!({"storage": {"existingClaim": {"name": "lent"}}, "terminationGracePeriodSeconds": 5});
    stack.paired("former", lent.clone()).await;
    stack.paired("toko", json!({})).await;
    let (former, toko) = (stack.pod_uid("former").await, stack.pod_uid("toko").await);
    for name in ["former", "toko"] {
        force_delete(&stack, name).await;
        says(&stack, name, "nobody saw its process end").await;
    }
    // Nothing but the operator's memory tells of the pods any more; the claim is another session's now.
    stack.delete("former").await;
    stack.apply("latter", lent).await;
    says(&stack, "latter", "nobody saw its process end").await;
    let forgotten = Patch::Merge(json!({"status": {"pod": null}}));
    let sessions = stack.api::<WhatsAppSession>();
    sessions.patch_status("toko", &PatchParams::default(), &forgotten).await.unwrap();
    tells_of(&stack, "toko", &toko).await;
    tells_of(&stack, "latter", &former).await;
    stack.kill_operator().await;
    stack.start_operator(&patient).await;
    for name in ["latter", "toko"] {
        let asked = stack.patch(name, json!({"podMetadata": {"annotations": {"a": "b"}}})).await;
        eventually("the new operator to have judged it", || async {
            let status = stack.session(name).await.status?;
            (status.observed_generation == asked.metadata.generation).then_some(())
        })
        .await;
        says(&stack, name, "nobody saw its process end").await;
        assert!(stack.pod(name).await.is_none());
    }
    stack.kill_operator().await;
    stack.start_operator(&hasty).await;
    another(&stack, "latter", &former).await;
    another(&stack, "toko", &toko).await;
    assert_eq!(overlaps(&stack.node().opens()), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_no_watch_ever_showed_is_waited_for() {
    let mut stack = Stack::without_operator().await;
    let proxy = stack.proxy().await;
    stack.start_operator_through(&proxy, &[(NODE_GRACE, LONG), ALONE]).await;
    // The operator makes a pod and sees nothing of it; then the pod is gone.
    proxy.lag("/pods");
    stack.apply("toko", json!({"terminationGracePeriodSeconds": 5})).await;
    let uid = eventually("the pod", || async { stack.pod("toko").await?.metadata.uid }).await;
    eventually("its process", || async { (!stack.node().processes().is_empty()).then_some(()) }).await;
    force_delete(&stack, "toko").await;
    says(&stack, "toko", "nobody saw its process end").await;
    tells_of(&stack, "toko", &uid).await;
    assert!(stack.pod("toko").await.is_none());
    stack.kill_operator().await;
    stack.start_operator(&[(NODE_GRACE, "0"), ALONE]).await;
    another(&stack, "toko", &uid).await;
    assert_eq!(overlaps(&stack.node().opens()), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_seen_to_end_is_not_waited_for() {
    let mut stack = Stack::without_operator().await;
    stack.start_operator(&[(NODE_GRACE, LONG)]).await;
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
        stack.api::<WhatsAppSession>().get_opt("toko").await.unwrap().is_none().then_some(())
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
