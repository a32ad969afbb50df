//! A session's life in a cluster: applied, paired, written through, suspended, changed, deleted. Real API server, real
//! session programs, real phones on the simulator.

use crds::conditions::{CONNECTED, PAIRED, POD_READY, READY, STORAGE_READY, SUSPENDED, reason};
use crds::names;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Secret};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use reqwest::Method;
use serde_json::{Value, json};
use session_api::routes;
use system_tests::cluster::overlaps;
use system_tests::stack::{Stack, condition};
use system_tests::wait::eventually;

/// Makes a Secret with one value, or gives it another one.
pub async fn secret(stack: &Stack, name: &str, key: &str, value: &str) {
    let secret: Secret = serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {key: value},
    }))
    .unwrap();
    let patch = Patch::Apply(&secret);
    stack.api::<Secret>().patch(name, &PatchParams::apply("test").force(), &patch).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn from_apply_to_a_text_that_a_phone_shows() {
    let stack = Stack::start().await;
    stack.apply("toko", json!({"displayName": "Toko"})).await;
    let message = stack.reaches("toko", READY, "False", reason::AWAITING_PAIRING).await;
    assert!(message.contains("QR") || message.contains("pair"), "it says what to do: {message}");
    let phone = stack.rig().phone().await;
    phone.scan(&stack.qr("toko").await).await;
    stack.ready("toko").await;

    let session = stack.session("toko").await;
    for (type_, status) in [
        (POD_READY, "True"),
        (STORAGE_READY, "True"),
        (PAIRED, "True"),
        (CONNECTED, "True"),
        (SUSPENDED, "False"),
    ] {
        assert_eq!(condition(&session, type_).map(|c| c.status).as_deref(), Some(status), "{type_}");
    }
    let status = session.status.clone().unwrap();
    assert_eq!(status.observed_generation, session.metadata.generation);
    assert_eq!(status.state.as_deref(), Some("Open"));
    assert_eq!(status.writer_epoch, Some(1));
    assert_eq!(status.pod.as_ref().map(|p| p.name.as_str()), Some("toko"));
    assert_eq!(status.storage.as_ref().map(|s| s.claim_name.as_str()), Some("toko-session"));
    let hint = status.account.as_ref().and_then(|a| a.hint.clone()).unwrap();
    assert!(phone.number.ends_with(hint.trim_start_matches('…')), "{hint}");
    let shown = serde_json::to_string(&session).unwrap();
    assert!(!shown.contains(&phone.number), "no phone number in the resource: {shown}");

    let gateway = stack.gateway().await;
    let reader = stack.rig().phone().await;
    let body = json!({"sessionId": "toko", "to": reader.number, "text": "hello from the cluster"});
    let sent = eventually("the gateway to route", || async {
        let answer = gateway.post("/api/messages/text", &body).await;
        (answer.status == 200).then_some(answer)
    })
    .await;
    assert_eq!(sent.body["status"], "sent", "{}", sent.body);
    reader.receives("hello from the cluster").await;
    assert!(
        !std::fs::read_to_string(stack.operator_log()).unwrap().contains(&phone.number),
        "nor in the log"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_children_are_this_sessions_and_restricted() {
    let stack = Stack::start().await;
    stack.apply("toko", json!({})).await;
    stack.reaches("toko", READY, "False", reason::AWAITING_PAIRING).await;
    let uid = stack.session("toko").await.metadata.uid.unwrap();
    let pod = stack.pod("toko").await.unwrap();
    let owner = pod.metadata.owner_references.clone().unwrap_or_default().pop().unwrap();
    assert_eq!((owner.uid, owner.controller), (uid.clone(), Some(true)));
    let labels = pod.metadata.labels.clone().unwrap_or_default();
    assert_eq!(labels.get(names::SESSION_UID), Some(&uid));
    let spec = pod.spec.unwrap();
    assert_eq!(spec.automount_service_account_token, Some(false));
    assert_eq!(spec.security_context.unwrap().run_as_non_root, Some(true));
    let container = spec.containers[0].security_context.clone().unwrap();
    assert_eq!(
        (container.read_only_root_filesystem, container.allow_privilege_escalation),
        (Some(true), Some(false))
    );
    let policy = stack.api::<NetworkPolicy>().get(&names::network_policy("toko")).await.unwrap();
    assert!(policy.spec.unwrap().policy_types.unwrap().contains(&"Ingress".to_owned()));
    let claim = stack.claim("toko").await.unwrap();
    assert_eq!(claim.metadata.owner_references, None, "Retain: the claim outlives the session");
    assert_eq!(claim.spec.unwrap().access_modes.unwrap(), ["ReadWriteOncePod"]);
    let secret = stack.api::<Secret>().get(&names::secret("toko")).await.unwrap();
    assert_eq!(secret.data.unwrap().keys().collect::<Vec<_>>(), [names::CONFIG_KEY, names::TOKEN_KEY]);
}

#[tokio::test(flavor = "multi_thread")]
async fn suspended_and_resumed_without_a_new_qr_code() {
    let stack = Stack::start().await;
    stack.paired("toko", json!({})).await;
    stack.patch("toko", json!({"operatingMode": "Suspended"})).await;
    stack.reaches("toko", SUSPENDED, "True", reason::SUSPENDED).await;
    assert!(stack.pod("toko").await.is_none(), "Suspended is said only once the pod is gone");
    stack.reaches("toko", READY, "False", reason::SUSPENDED).await;
    assert!(stack.node().processes().is_empty());
    assert!(stack.session("toko").await.status.unwrap().account.is_some(), "it is still known whose it is");

    stack.patch("toko", json!({"operatingMode": "Running"})).await;
    stack.ready("toko").await;
    stack.sends("toko", "back again").await;
    assert_eq!(stack.session("toko").await.status.unwrap().writer_epoch, Some(2));
    assert_eq!(overlaps(&stack.node().opens()), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_secret_is_rotated_without_a_restart() {
    let stack = Stack::start().await;
    let spec = json!({"webhooks": [{"url": "https://receiver.example/hook", "secretRef": {"name": "hook", "key": "key"}}]});
    stack.apply("toko", spec).await;
    let message = stack.reaches("toko", READY, "False", reason::SECRET_NOT_FOUND).await;
    assert!(message.contains("hook"), "it names the Secret: {message}");
    assert!(stack.pod("toko").await.is_none());

    secret(&stack, "hook", "key", "first").await;
    let phone = stack.rig().phone().await;
    phone.scan(&stack.qr("toko").await).await;
    stack.ready("toko").await;
    let hash = || async { stack.session("toko").await.status.unwrap().config_hash };
    let (before, uid) = (hash().await, stack.pod_uid("toko").await);
    assert!(before.is_some());

    secret(&stack, "hook", "key", "second").await;
    eventually("the new secret to be in force", || async { (hash().await != before).then_some(()) }).await;
    let status: Value = stack.ask("toko", Method::GET, routes::STATUS, &Value::Null).await.ok();
    assert_eq!(status["configHash"].as_str().map(str::to_owned), hash().await, "the pod itself says so");
    assert_eq!(stack.pod_uid("toko").await, uid, "the pod is the same");
    assert_eq!(stack.session("toko").await.status.unwrap().pod.unwrap().restarts, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_retained_is_taken_up_again() {
    let stack = Stack::start().await;
    stack.paired("toko", json!({})).await;
    let claim = stack.claim("toko").await.unwrap().metadata.uid;
    stack.delete("toko").await;
    stack.pod_gone("toko").await;
    eventually("its Secret to be gone", || async {
        stack.api::<Secret>().get_opt(&names::secret("toko")).await.unwrap().is_none().then_some(())
    })
    .await;
    assert_eq!(stack.claim("toko").await.unwrap().metadata.uid, claim, "the volume stays");

    stack.apply("toko", json!({})).await;
    stack.ready("toko").await;
    assert_eq!(stack.claim("toko").await.unwrap().metadata.uid, claim);
    stack.sends("toko", "the same device").await;
    assert_eq!(overlaps(&stack.node().opens()), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_goes_with_its_session_when_asked() {
    let stack = Stack::start().await;
    stack.paired("toko", json!({})).await;
    stack.patch("toko", json!({"retentionPolicy": "Delete"})).await;
    eventually("the claim to be owned", || async {
        stack.claim("toko").await?.metadata.owner_references.filter(|o| !o.is_empty())
    })
    .await;
    stack.patch("toko", json!({"retentionPolicy": "Retain"})).await;
    eventually("the claim to be its own again", || async {
        stack.claim("toko").await?.metadata.owner_references.unwrap_or_default().is_empty().then_some(())
    })
    .await;
    stack.patch("toko", json!({"retentionPolicy": "Delete"})).await;
    eventually("the claim to be owned", || async {
        stack.claim("toko").await?.metadata.owner_references.filter(|o| !o.is_empty())
    })
    .await;
    stack.delete("toko").await;
    eventually("all to be gone", || async {
        let claims = stack.api::<PersistentVolumeClaim>().list(&ListParams::default()).await.unwrap();
        (claims.items.is_empty() && stack.pod("toko").await.is_none()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_somebody_deletes_comes_back_once() {
    let stack = Stack::start().await;
    let phone = stack.paired("toko", json!({})).await;
    let first = stack.pod_uid("toko").await;
    stack.api::<k8s_openapi::api::core::v1::Pod>().delete("toko", &DeleteParams::default()).await.unwrap();
    eventually("another pod", || async { stack.pod("toko").await?.metadata.uid.filter(|uid| *uid != first) })
        .await;
    stack.ready("toko").await;
    stack.rig().phone().await.send(&phone.number, "are you there").await;
    eventually("the new process to take what is written to it", || async {
        let page = stack.ask("toko", Method::GET, routes::EVENTS, &Value::Null).await.ok();
        page.to_string().contains("are you there").then_some(())
    })
    .await;
    assert_eq!(overlaps(&stack.node().opens()), []);
    assert_eq!(stack.node().opens().len(), 2, "one process before, one after");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logged_out_session_is_left_alone_and_says_so() {
    let stack = Stack::start().await;
    stack.apply("toko", json!({})).await;
    let phone = stack.rig().phone().await;
    let device = phone.scan(&stack.qr("toko").await).await;
    stack.ready("toko").await;
    let uid = stack.pod_uid("toko").await;
    phone.unlink(device).await;
    let message = stack.reaches("toko", READY, "False", reason::LOGGED_OUT).await;
    assert!(!message.contains(&phone.number));
    assert_eq!(condition(&stack.session("toko").await, PAIRED).unwrap().status, "False");
    assert_eq!(stack.pod_uid("toko").await, uid, "no restart loop");
    let status = stack.ask("toko", Method::POST, routes::PAIRING, &Value::Null).await.ok();
    assert_eq!(status["sessionId"], "toko");
    let phone = stack.rig().phone().await;
    phone.scan(&stack.qr("toko").await).await;
    stack.ready("toko").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_image_restarts_the_pod_and_a_foreign_one_says_why_it_cannot() {
    let stack = Stack::start().await;
    stack.paired("toko", json!({})).await;
    let first = stack.pod_uid("toko").await;
    stack.patch("toko", json!({"image": "registry.example/nobody:1"})).await;
    let message = stack.reaches("toko", READY, "False", reason::IMAGE_PULL_FAILED).await;
    assert!(message.contains("registry.example/nobody:1"), "{message}");
    let second = stack.pod_uid("toko").await;
    assert_ne!(first, second);
    stack.patch("toko", json!({"image": "registry.example/warest/session-pod:2"})).await;
    stack.ready("toko").await;
    assert_ne!(stack.pod_uid("toko").await, second, "a pod that never ran is replaced too");
    assert_eq!(overlaps(&stack.node().opens()), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_pod_of_the_name_is_neither_taken_nor_touched() {
    let stack = Stack::start().await;
    let pod = json!({
        "metadata": {"name": "toko"},
        "spec": {
            "nodeSelector": {"test": stack.namespace()},
            "terminationGracePeriodSeconds": 1,
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"name": "c", "image": "registry.example/foreign:1", "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}],
        },
    });
    let pods = stack.api::<k8s_openapi::api::core::v1::Pod>();
    let foreign = pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
    stack.apply("toko", json!({})).await;
    let message = stack.reaches("toko", READY, "False", reason::POD_NAME_CONFLICT).await;
    assert!(message.contains("toko"), "{message}");
    let after = pods.get("toko").await.unwrap();
    assert_eq!((after.metadata.uid, after.metadata.deletion_timestamp), (foreign.metadata.uid, None));
    pods.delete("toko", &DeleteParams::default().grace_period(0)).await.unwrap();
    stack.reaches("toko", READY, "False", reason::AWAITING_PAIRING).await;
}
