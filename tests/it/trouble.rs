//! What goes wrong around a session in a cluster: each trouble is told by a reason of its own, loses nothing, and ends when
//! its cause ends.

use crds::WhatsAppSession;
use crds::conditions::{PAIRED, POD_READY, READY, STORAGE_READY, reason};
use crds::names;
use k8s_openapi::api::core::v1::{Namespace, PersistentVolumeClaim, Pod, ResourceQuota, Secret};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use reqwest::Method;
use serde_json::json;
use session_api::routes;
use system_tests::api_proxy::{Fault, Rule};
use system_tests::cluster::{Cluster, ClusterConfig, overlaps};
use system_tests::crd;
use system_tests::stack::{Stack, condition};
use system_tests::wait::eventually;

use crate::evidence::Writes;

async fn suspend(stack: &Stack) {
    stack.patch("toko", json!({"operatingMode": "Suspended"})).await;
    stack.reaches("toko", READY, "False", reason::SUSPENDED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_refuses_the_pod_and_lets_it_in_later() {
    let stack = Stack::start().await;
    let quota = json!({"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}});
    let quotas = stack.api::<ResourceQuota>();
    quotas.create(&PostParams::default(), &serde_json::from_value(quota).unwrap()).await.unwrap();
    eventually("the quota to be in force", || async {
        quotas.get("none").await.ok()?.status?.hard.filter(|hard| !hard.is_empty())
    })
    .await;
    stack.apply("toko", json!({})).await;
    let message = stack.reaches("toko", READY, "False", reason::REFUSED).await;
    assert!(message.contains("exceeded quota: none"), "the server's own words: {message}");
    quotas.delete("none", &DeleteParams::default()).await.unwrap();
    stack.reaches("toko", READY, "False", reason::AWAITING_PAIRING).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_without_a_node_waits_for_one() {
    let stack = Stack::start().await;
    stack.apply("toko", json!({"scheduling": {"nodeSelector": {"shelf": "top"}}})).await;
    let message = stack.reaches("toko", READY, "False", reason::UNSCHEDULABLE).await;
    assert!(message.contains("node"), "the scheduler's own words: {message}");
    let node = stack.node().name().to_owned();
    stack.cluster().kubectl(&["label", "node", &node, "shelf=top"]).await.ok();
    stack.reaches("toko", READY, "False", reason::AWAITING_PAIRING).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_finds_no_volume_is_told() {
    let stack = Stack::start().await;
    stack.apply("toko", json!({"storage": {"storageClassName": "nowhere"}})).await;
    let message = stack.reaches("toko", STORAGE_READY, "False", reason::STORAGE_PENDING).await;
    assert!(message.contains("toko-session"), "it names the claim: {message}");
    stack.apply("lent", json!({"storage": {"existingClaim": {"name": "absent"}}})).await;
    let message = stack.reaches("lent", READY, "False", reason::CLAIM_NOT_FOUND).await;
    assert!(message.contains("absent"), "{message}");
    assert!(stack.pod("lent").await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_volume_is_never_replaced_in_silence() {
    let stack = Stack::start().await;
    stack.paired("toko", json!({})).await;
    stack.api::<PersistentVolumeClaim>().delete("toko-session", &DeleteParams::default()).await.unwrap();
    stack.reaches("toko", STORAGE_READY, "False", reason::STORAGE_TERMINATING).await;
    assert!(
        stack.pod("toko").await.unwrap().metadata.deletion_timestamp.is_none(),
        "the running pod goes on"
    );

    stack.api::<Pod>().delete("toko", &DeleteParams::default()).await.unwrap();
    let message = stack.reaches("toko", READY, "False", reason::VOLUME_LOST).await;
    assert!(message.contains("volumeResetToken"), "it says what to do: {message}");
    assert!(stack.pod("toko").await.is_none());
    assert!(stack.claim("toko").await.is_none(), "no empty volume in its place");

    stack.patch("toko", json!({"volumeResetToken": "acknowledged"})).await;
    stack.reaches("toko", READY, "False", reason::AWAITING_PAIRING).await;
    let status = stack.session("toko").await.status.unwrap();
    assert_eq!(status.storage.unwrap().reset_token.as_deref(), Some("acknowledged"));
    assert_eq!((status.account, status.writer_epoch), (None, Some(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_volume_is_told_from_a_new_one() {
    let stack = Stack::start().await;
    stack.paired("toko", json!({})).await;
    suspend(&stack).await;
    let volume = stack.claim("toko").await.unwrap().spec.unwrap().volume_name.unwrap();
    let folder = stack.cluster().folder().join("volumes").join(volume);
    for file in std::fs::read_dir(&folder).unwrap() {
        let path = file.unwrap().path();
        if path.is_dir() {
            std::fs::remove_dir_all(path).unwrap();
        } else {
            std::fs::remove_file(path).unwrap();
        }
    }
    stack.patch("toko", json!({"operatingMode": "Running"})).await;
    stack.reaches("toko", READY, "False", reason::VOLUME_LOST).await;
    stack.patch("toko", json!({"volumeResetToken": "again"})).await;
    stack.reaches("toko", READY, "False", reason::AWAITING_PAIRING).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_sessions_never_share_a_volume() {
    let stack = Stack::start().await;
    let claim = json!({
        "metadata": {"name": "lent"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    });
    let claims = stack.api::<PersistentVolumeClaim>();
    claims.create(&PostParams::default(), &serde_json::from_value(claim).unwrap()).await.unwrap();
    let storage = |folder: &str| json!({"storage": {"accessMode": "ReadWriteOnce", "existingClaim": {"name": "lent", "subPath": folder}}});
    stack.apply("first", storage("a")).await;
    stack.reaches("first", READY, "False", reason::AWAITING_PAIRING).await;
    stack.apply("second", storage("a")).await;
    let message = stack.reaches("second", READY, "False", reason::DUPLICATE_VOLUME).await;
    assert!(message.contains("first"), "it names the other: {message}");
    assert!(stack.pod("second").await.is_none());
    stack.apply("third", storage("b")).await;
    stack.reaches("third", READY, "False", reason::AWAITING_PAIRING).await;
    stack.delete("first").await;
    stack.reaches("second", READY, "False", reason::AWAITING_PAIRING).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_sessions_of_one_account_are_told() {
    let stack = Stack::start().await;
    let phone = stack.paired("first", json!({})).await;
    stack.apply("second", json!({})).await;
    phone.scan(&stack.qr("second").await).await;
    let message = stack.reaches("second", READY, "False", reason::DUPLICATE_ACCOUNT).await;
    assert!(message.contains("first") && !message.contains(&phone.number), "{message}");
    stack.ready("first").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_goes_on_while_the_api_server_is_away() {
    let mut stack = Stack::on_own_cluster(Cluster::start(ClusterConfig::default()).await).await;
    stack.start_operator(&[]).await;
    stack.paired("toko", json!({})).await;
    let pod = stack.pod("toko").await.unwrap();
    let token =
        stack.api::<Secret>().get("toko-session").await.unwrap().data.unwrap().remove("token").unwrap();
    let address = pod.status.unwrap().pod_ip.unwrap();
    stack.cluster().stop_api_server();
    let url = format!("http://{address}:{}{}", names::SESSION_PORT, routes::MESSAGES);
    let reader = stack.rig().phone().await;
    let body = json!({"to": reader.number, "content": {"type": "text", "text": "without the cluster"}});
    let token = String::from_utf8(token.0).unwrap();
    let request = system_tests::http::client().post(url).bearer_auth(token).json(&body);
    system_tests::http::send(request).await.ok();
    reader.receives("without the cluster").await;
    stack.cluster().start_api_server().await;
    stack.ready("toko").await;
    assert_eq!(stack.pod_uid("toko").await, pod.metadata.uid.unwrap(), "nothing was restarted");
    stack.patch("toko", json!({"operatingMode": "Suspended"})).await;
    stack.reaches("toko", READY, "False", reason::SUSPENDED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_third_of_all_calls_fails_and_it_converges_all_the_same() {
    let mut stack = Stack::without_operator().await;
    let proxy = stack.proxy().await;
    // Evenly spread by the golden ratio, and not exactly every third one: a look that makes three calls would lose the same one
    // for ever.
    for skip in (0..300).filter(|call| call * 618 % 1_000 < 333) {
        let rule = Rule {
            method: None,
            path: "/api".to_owned(),
            skip,
            count: 1,
            fault: Fault::Refuse(axum::http::StatusCode::INTERNAL_SERVER_ERROR),
        };
        proxy.add(rule);
    }
    let all = proxy.pending();
    stack.start_operator_through(&proxy, &[]).await;
    stack.paired("toko", json!({})).await;
    stack.sends("toko", "in spite of all").await;
    let happened = all - proxy.pending();
    assert!(happened >= 10, "only {happened} calls have failed");
    assert_eq!(overlaps(&stack.node().opens()), []);
    assert_eq!(stack.node().opens().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_creation_that_is_throttled_is_tried_again() {
    let mut stack = Stack::without_operator().await;
    let proxy = stack.proxy().await;
    stack.start_operator_through(&proxy, &[]).await;
    stack.apply("first", json!({})).await;
    stack.reaches("first", READY, "False", reason::AWAITING_PAIRING).await;
    // A refused call must not end the wait: it is tried again.
    proxy.add(Rule::next(Method::POST, "/pods", 2, Fault::Refuse(axum::http::StatusCode::TOO_MANY_REQUESTS)));
    stack.apply("second", json!({})).await;
    stack.reaches("second", READY, "False", reason::AWAITING_PAIRING).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_strips_a_pod_of_its_owner_gets_no_second_one() {
    let stack = Stack::start().await;
    stack.paired("toko", json!({})).await;
    let uid = stack.pod_uid("toko").await;
    let strip = Patch::Merge(json!({"metadata": {"ownerReferences": null, "labels": null}}));
    stack.api::<Pod>().patch("toko", &PatchParams::default(), &strip).await.unwrap();
    stack.reaches("toko", READY, "False", reason::POD_NAME_CONFLICT).await;
    assert_eq!(stack.pod_uid("toko").await, uid);
    stack.api::<Pod>().delete("toko", &DeleteParams::default()).await.unwrap();
    stack.ready("toko").await;
    assert_eq!(overlaps(&stack.node().opens()), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_writes_into_the_status_is_overruled_without_a_fight() {
    let stack = Stack::start().await;
    stack.paired("toko", json!({})).await;
    let writes = Writes::from_now(&stack);
    let lie = Patch::Merge(json!({"status": {"state": "Banned", "conditions": []}}));
    let api = stack.api::<WhatsAppSession>();
    api.patch_status("toko", &PatchParams::default(), &lie).await.unwrap();
    stack.ready("toko").await;
    eventually("the truth", || async {
        (stack.session("toko").await.status?.state? == "Open").then_some(())
    })
    .await;
    assert!((1..=2).contains(&writes.all().len()), "{:#?}", writes.all());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_goes_with_all_its_sessions() {
    let stack = Stack::start().await;
    stack.paired("toko", json!({"onDelete": "Unlink"})).await;
    stack.apply("other", json!({"operatingMode": "Suspended"})).await;
    let namespaces: Api<Namespace> = Api::all(stack.cluster().client());
    namespaces.delete(stack.namespace(), &DeleteParams::default()).await.unwrap();
    eventually("the namespace to be gone", || async {
        namespaces.get_opt(stack.namespace()).await.unwrap().is_none().then_some(())
    })
    .await;
    assert!(stack.node().processes().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_definition_may_go_and_come_back() {
    let mut stack = Stack::on_own_cluster(Cluster::start(ClusterConfig::default()).await).await;
    stack.start_operator(&[]).await;
    stack.paired("toko", json!({})).await;
    stack.cluster().kubectl(&["delete", "crd", "whatsappsessions.warest.io"]).await.ok();
    // Whether Kubernetes collects the pod now or only once it knows the kind again is its own affair.
    assert!(stack.claim("toko").await.is_some(), "the volume is kept");
    crd::install(stack.cluster()).await;
    stack.apply("toko", json!({})).await;
    stack.ready("toko").await;
    assert_eq!(overlaps(&stack.cluster().opens()), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_crashes_again_and_again_is_left_to_the_node() {
    let stack = Stack::start().await;
    stack.node().set_program("warest/session-pod:crashes", "/bin/false");
    stack.apply("toko", json!({"image": "warest/session-pod:crashes"})).await;
    let message = stack.reaches("toko", READY, "False", reason::CRASH_LOOP).await;
    assert!(message.contains('1'), "it tells the exit code: {message}");
    let uid = stack.pod_uid("toko").await;
    let restarts = || async { stack.session("toko").await.status.unwrap().pod.map_or(0, |p| p.restarts) };
    eventually("another restart", || async { (restarts().await >= 2).then_some(()) }).await;
    assert_eq!(stack.pod_uid("toko").await, uid);
    assert_eq!(condition(&stack.session("toko").await, POD_READY).unwrap().status, "False");
    assert_ne!(condition(&stack.session("toko").await, PAIRED).unwrap().status, "True");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_operator_says_of_itself() {
    let mut stack = Stack::start().await;
    stack.paired("toko", json!({})).await;
    let ready = stack.operator().get("/readyz").await;
    assert_eq!(ready.status, 200, "{}", ready.body);
    let metrics = stack.operator().get("/metrics").await.ok();
    let metrics = metrics.as_str().unwrap_or_default().to_owned();
    for name in ["reconcil", "stale", "leader", "sessions"] {
        assert!(metrics.contains(name), "{name}: {metrics}");
    }
    assert!(!metrics.contains("toko"), "no label names a session");
    let events = stack
        .cluster()
        .kubectl(&["-n", stack.namespace(), "events", "--for", "whatsappsession/toko"])
        .await
        .ok();
    assert!(events.contains("PodCreated"), "{events}");
    let described = stack.cluster().kubectl(&["-n", stack.namespace(), "describe", "was", "toko"]).await.ok();
    assert!(described.contains("PodCreated") && described.contains("AsExpected"), "{described}");
}
