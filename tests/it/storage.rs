//! Volumes that are full, too small, stuck or in the way of somebody else's: told by a reason, and nothing is lost by it.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crds::conditions::{CONNECTED, POD_READY, READY, STORAGE_READY, reason};
use k8s_openapi::api::core::v1::{Event, PersistentVolumeClaim};
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use reqwest::Method;
use serde_json::{Value, json};
use session_api::routes;
use system_tests::cluster::overlaps;
use system_tests::stack::{Stack, condition};
use system_tests::wait::{eventually, within};

use crate::clocks::{AHEAD, Skew};

/// A file system of a fixed size; it goes when dropped.
struct Small {
    folder: PathBuf,
}

impl Small {
    fn mount(folder: PathBuf, size: &str) -> Self {
        std::fs::create_dir_all(&folder).unwrap();
        let options = format!("size={size}");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&folder).status();
        assert!(mounted.unwrap().success());
        Self { folder }
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.folder).status();
    }
}

/// Applies a session that has its volume and no pod yet; gives the folder that the volume is.
async fn with_volume(stack: &Stack) -> PathBuf {
    stack
        .apply("toko", json!({"operatingMode": "Suspended", "storage": {"storageClassName": "immediate"}}))
        .await;
    let volume = eventually("the claim to be bound", || async {
        stack
            .claim("toko")
            .await
            .filter(|claim| {
                claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound")
            })?
            .spec?
            .volume_name
    })
    .await;
    stack.cluster().folder().join("volumes").join(volume)
}

async fn resume(stack: &Stack) {
    stack.patch("toko", json!({"operatingMode": "Running"})).await;
}

async fn log_shows(stack: &Stack, text: &str) {
    eventually("the message in the session's log", || async {
        let page = stack.ask("toko", Method::GET, routes::EVENTS, &Value::Null).await.ok();
        page.to_string().contains(text).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_volume_is_told_and_loses_nothing() {
    let mut stack = Stack::without_operator().await;
    stack.start_operator(&[("WAREST_SESSION_ENV", "WAREST_MIN_FREE_BYTES=16000000")]).await;
    let disk = Small::mount(with_volume(&stack).await, "48m");
    resume(&stack).await;
    let phone = stack.rig().phone().await;
    phone.scan(&stack.qr("toko").await).await;
    stack.ready("toko").await;
    let friend = stack.rig().phone().await;
    friend.send(&phone.number, "before").await;
    log_shows(&stack, "before").await;
    let pod = stack.pod_uid("toko").await;

    let filler = disk.folder.join("filler");
    std::fs::write(&filler, vec![1; 38_000_000]).unwrap();
    let message = eventually("the session to say that its volume is full", || async {
        let ready = condition(&stack.session("toko").await, READY)?;
        (ready.status == "False" && ready.message.contains("bytes left")).then_some(ready.message)
    })
    .await;
    assert!(message.contains("16000000"), "it says how much is wanted: {message}");
    stack.reaches("toko", POD_READY, "False", reason::CONTAINER_NOT_READY).await;
    let body = json!({"to": friend.number, "content": {"type": "text", "text": "refused"}});
    stack.ask("toko", Method::POST, routes::MESSAGES, &body).await.error(503, "disk_full");
    friend.send(&phone.number, "meanwhile").await;

    std::fs::remove_file(&filler).unwrap();
    stack.ready("toko").await;
    log_shows(&stack, "meanwhile").await;
    assert_eq!(stack.pod_uid("toko").await, pod, "it was not restarted for that");
    stack.patch("toko", json!({"operatingMode": "Suspended"})).await;
    stack.reaches("toko", READY, "False", reason::SUSPENDED).await;
    resume(&stack).await;
    stack.ready("toko").await;
    for text in ["before", "meanwhile"] {
        log_shows(&stack, text).await;
    }
    stack.sends("toko", "with the same credentials").await;
    assert!(!friend.inbox().await.iter().any(|entry| entry["text"] == "refused"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_grows_where_its_class_lets_it() {
    let stack = Stack::start().await;
    let rigid = format!("rigid-{}", stack.namespace());
    let class = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": rigid},
        "provisioner": "warest.io/process-node", "volumeBindingMode": "WaitForFirstConsumer",
    });
    stack.cluster().kubectl_in(&["apply", "-f", "-"], &class.to_string()).await.ok();
    stack.paired("toko", json!({})).await;
    stack.paired("kedai", json!({"storage": {"storageClassName": rigid}})).await;
    let pods = [stack.pod_uid("toko").await, stack.pod_uid("kedai").await];
    for name in ["toko", "kedai"] {
        stack.patch(name, json!({"storage": {"size": "2Gi"}})).await;
    }
    eventually("the larger volume", || async {
        let storage = stack.session("toko").await.status?.storage?;
        (storage.capacity.as_deref() == Some("2Gi")).then_some(())
    })
    .await;
    stack.reaches("toko", STORAGE_READY, "True", reason::AS_EXPECTED).await;

    let message = stack.reaches("kedai", STORAGE_READY, "True", reason::RESIZE_FAILED).await;
    assert!(message.contains("must support resize"), "the server's own words: {message}");
    stack.reaches("kedai", READY, "True", reason::RESIZE_FAILED).await;
    stack.sends("kedai", "in a small room").await;
    assert_eq!([stack.pod_uid("toko").await, stack.pod_uid("kedai").await], pods, "nothing was restarted");
    stack.cluster().kubectl(&["delete", "storageclass", &rigid]).await.ok();
}

/// An event of the pod, as the attach controller or a kubelet writes it.
async fn warn(stack: &Stack, reason: &str, message: &str) {
    let pod = stack.pod("toko").await.unwrap().metadata;
    let now = k8s_openapi::jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let event = json!({
        "metadata": {"generateName": "toko."}, "type": "Warning", "reason": reason, "message": message, "count": 1,
        "involvedObject": {"apiVersion": "v1", "kind": "Pod", "name": pod.name, "namespace": pod.namespace, "uid": pod.uid},
        "firstTimestamp": now, "lastTimestamp": now, "source": {"component": "attachdetach-controller"},
    });
    let events: Api<Event> = stack.api();
    events.create(&PostParams::default(), &serde_json::from_value(event).unwrap()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_that_is_attached_elsewhere_is_waited_for() {
    let skew = Skew::compile().await;
    let mut stack = Stack::without_operator().await;
    // What does not come up for a minute is asked about: for a clock that is ahead that is now.
    skew.start(&mut stack, AHEAD).await;
    let folder = with_volume(&stack).await;
    // A file is where the folder should be: it cannot be mounted.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(folder.parent().unwrap()).unwrap();
    std::fs::write(&folder, "").unwrap();
    resume(&stack).await;
    eventually("a pod", || stack.pod("toko")).await;
    let words = "Multi-Attach error for volume \"pv\": Volume is already used by pod(s) other";
    warn(&stack, "FailedAttachVolume", words).await;
    within(Duration::from_mins(2), "the controller's own words", || async {
        let ready = condition(&stack.session("toko").await, READY)?;
        (ready.reason == reason::VOLUME_ATTACH_FAILED && ready.message.contains(words)).then_some(())
    })
    .await;
    let (pod, claim) = (stack.pod_uid("toko").await, stack.claim("toko").await.unwrap().metadata.uid);
    assert_eq!(stack.node().opens().len(), 0);

    std::fs::remove_file(&folder).unwrap();
    stack.reaches("toko", READY, "False", reason::AWAITING_PAIRING).await;
    assert_eq!((stack.pod_uid("toko").await, stack.claim("toko").await.unwrap().metadata.uid), (pod, claim));
    assert_ne!(condition(&stack.session("toko").await, CONNECTED).unwrap().reason, reason::UNKNOWN);
    assert_eq!(overlaps(&stack.node().opens()), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_of_somebody_else_is_not_thrown_away_by_a_reset() {
    let mut stack = Stack::start().await;
    stack.paired("toko", json!({})).await;
    stack.patch("toko", json!({"operatingMode": "Suspended"})).await;
    stack.reaches("toko", READY, "False", reason::SUSPENDED).await;
    stack.kill_operator().await;
    let claims = stack.api::<PersistentVolumeClaim>();
    claims.delete("toko-session", &DeleteParams::default()).await.unwrap();
    eventually("the claim to be gone", || async { stack.claim("toko").await.is_none().then_some(()) }).await;
    let other = json!({
        "metadata": {"name": "toko-session", "labels": {"app": "somebody-else"}},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    });
    let other = claims.create(&PostParams::default(), &serde_json::from_value(other).unwrap()).await.unwrap();
    stack.patch("toko", json!({"operatingMode": "Running", "volumeResetToken": "again"})).await;
    stack.start_operator(&[]).await;
    stack.reaches("toko", READY, "False", reason::CLAIM_NAME_CONFLICT).await;
    let after = stack.claim("toko").await.unwrap().metadata;
    assert_eq!((after.uid, after.deletion_timestamp), (other.metadata.uid, None));
    assert!(stack.pod("toko").await.is_none());

    claims.delete("toko-session", &DeleteParams::default()).await.unwrap();
    stack.reaches("toko", READY, "False", reason::AWAITING_PAIRING).await;
}
