//! How a session goes, in every way that Kubernetes knows: what is left behind, what is not, and who may take it up again.

use std::time::{Duration, Instant};

use crds::conditions::{READY, reason};
use crds::{WhatsAppSession, names};
use k8s_openapi::api::core::v1::{Namespace, PersistentVolumeClaim, Pod, Secret};
use kube::Api;
use kube::api::{DeleteParams, PostParams, PropagationPolicy};
use reqwest::Method;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use system_tests::cluster::overlaps;
use system_tests::rig::Phone;
use system_tests::stack::Stack;
use system_tests::wait::{eventually, within};
use system_tests::witness::Witness;

/// How long a session is kept for its device to be unlinked, and what may come on top.
const FAREWELL: Duration = Duration::from_mins(1);
const MARGIN: Duration = Duration::from_secs(20);

/// Deletes the session as `kubectl delete --cascade=…` does.
async fn delete(stack: &Stack, policy: PropagationPolicy) {
    let params = DeleteParams { propagation_policy: Some(policy), ..DeleteParams::default() };
    stack.api::<WhatsAppSession>().delete("toko", &params).await.unwrap();
}

async fn gone(stack: &Stack, name: &str) {
    let api = stack.api::<WhatsAppSession>();
    let what = format!("session {name} to be gone");
    within(FAREWELL + MARGIN, &what, || async { api.get_opt(name).await.unwrap().is_none().then_some(()) })
        .await;
}

/// Deletes a session and waits until it and its pod are gone.
async fn goes(stack: &Stack, name: &str) {
    stack.delete(name).await;
    gone(stack, name).await;
    eventually("its pod to be gone", || async { stack.pod(name).await.is_none().then_some(()) }).await;
}

/// How many devices are linked to a phone.
async fn devices(stack: &Stack, phone: &Phone) -> usize {
    let all = stack.rig().control(Method::GET, "/phones", &Value::Null).await.ok();
    let phones = all["items"].as_array().unwrap();
    let own = phones.iter().find(|it| it["number"] == phone.number.as_str()).unwrap();
    own["devices"].as_array().unwrap().len()
}

/// Process id of the session's program, which is the only one.
fn process(stack: &Stack) -> Pid {
    let all = stack.node().processes();
    assert_eq!(all.len(), 1);
    Pid::from_raw(all[0].cast_signed()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn in_the_foreground_the_resource_goes_after_its_pod() {
    let stack = Stack::start().await;
    let witness = Witness::of(&stack).await;
    stack.paired("toko", json!({})).await;
    let claim = stack.claim("toko").await.unwrap().metadata.uid;
    delete(&stack, PropagationPolicy::Foreground).await;
    gone(&stack, "toko").await;
    assert!(stack.pod("toko").await.is_none(), "it waited for its pod");
    assert!(stack.node().processes().is_empty());
    assert_eq!(stack.claim("toko").await.unwrap().metadata.uid, claim, "Retain");
    stack.apply("toko", json!({})).await;
    stack.ready("toko").await;
    assert_eq!(witness.pods(), 2, "one before, one after");
    assert_eq!(overlaps(&stack.node().opens()), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orphaned_pod_keeps_the_next_session_of_its_name_away() {
    let stack = Stack::start().await;
    stack.paired("toko", json!({"retentionPolicy": "Delete"})).await;
    let orphan = stack.pod_uid("toko").await;
    let claim = stack.claim("toko").await.unwrap().metadata.uid;
    delete(&stack, PropagationPolicy::Orphan).await;
    gone(&stack, "toko").await;
    let left = stack.pod("toko").await.expect("the pod stays");
    assert_eq!((left.metadata.owner_references, left.metadata.deletion_timestamp), (None, None));
    assert_eq!(stack.claim("toko").await.unwrap().metadata.uid, claim, "Orphan leaves the volume too");
    let running = process(&stack);

    stack.apply("toko", json!({})).await;
    let message = stack.reaches("toko", READY, "False", reason::POD_NAME_CONFLICT).await;
    assert!(message.contains("delete it"), "it says what to do: {message}");
    assert_eq!(stack.pod_uid("toko").await, orphan);
    assert_eq!(process(&stack), running, "it was not touched");

    stack.api::<Pod>().delete("toko", &DeleteParams::default()).await.unwrap();
    stack.ready("toko").await;
    assert_eq!(stack.claim("toko").await.unwrap().metadata.uid, claim, "no new QR code");
    stack.sends("toko", "the same device").await;
    assert_eq!(overlaps(&stack.node().opens()), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_was_lent_outlives_its_session() {
    let stack = Stack::start().await;
    let claims = stack.api::<PersistentVolumeClaim>();
    let lent = json!({
        "metadata": {"name": "lent"},
        "spec": {"accessModes": ["ReadWriteOncePod"], "resources": {"requests": {"storage": "1Gi"}}},
    });
    let lent = claims.create(&PostParams::default(), &serde_json::from_value(lent).unwrap()).await.unwrap();
    let spec = json!({"storage": {"existingClaim": {"name": "lent"}}});
    for policy in [PropagationPolicy::Background, PropagationPolicy::Foreground] {
        stack.apply("toko", spec.clone()).await;
        stack.reaches("toko", READY, "False", reason::AWAITING_PAIRING).await;
        delete(&stack, policy).await;
        gone(&stack, "toko").await;
        stack.pod_gone("toko").await;
        // Collected by the same collector, after the claim would have been.
        eventually("its Secret to be gone", || async {
            let secrets = stack.api::<Secret>();
            secrets.get_opt(&names::secret("toko")).await.unwrap().is_none().then_some(())
        })
        .await;
        let kept = claims.get("lent").await.unwrap().metadata;
        assert_eq!((kept.uid, kept.deletion_timestamp), (lent.metadata.uid.clone(), None));
        assert_eq!((kept.labels, kept.owner_references), (None, None), "it is nobody's");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_operator_sessions_go_but_for_those_that_are_to_be_unlinked() {
    let mut stack = Stack::without_operator().await;
    // Nobody else leads: a killed leader's lease need not be waited for.
    let alone = [("WAREST_LEADER_ELECT", "false")];
    stack.start_operator(&alone).await;
    let phone = stack.paired("kedai", json!({"onDelete": "Unlink"})).await;
    let others = ["toko", "warung"];
    for name in others {
        stack.apply(name, json!({})).await;
        stack.reaches(name, READY, "False", reason::AWAITING_PAIRING).await;
    }
    stack.kill_operator().await;
    // Once the first one is gone Kubernetes is known to collect: what is to be unlinked would be gone before the second one.
    let [first, second] = others;
    goes(&stack, first).await;
    stack.delete("kedai").await;
    goes(&stack, second).await;
    let waiting = stack.session("kedai").await.metadata;
    assert!(waiting.deletion_timestamp.is_some());
    assert_eq!(waiting.finalizers, Some(vec![names::UNLINK_FINALIZER.to_owned()]));
    assert_eq!(stack.node().processes().len(), 1, "it goes on until then");

    stack.start_operator(&alone).await;
    gone(&stack, "kedai").await;
    assert_eq!(devices(&stack, &phone).await, 0, "an operator that comes back in time keeps the promise");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_operator_a_namespace_goes_once_the_finalizer_is_taken_away() {
    let mut stack = Stack::start().await;
    stack.paired("toko", json!({"onDelete": "Unlink"})).await;
    stack.apply("kedai", json!({})).await;
    stack.reaches("kedai", READY, "False", reason::AWAITING_PAIRING).await;
    stack.kill_operator().await;
    let namespaces: Api<Namespace> = Api::all(stack.cluster().client());
    namespaces.delete(stack.namespace(), &DeleteParams::default()).await.unwrap();
    let told = eventually("the namespace to say what it waits for", || async {
        let conditions = namespaces.get(stack.namespace()).await.ok()?.status?.conditions?;
        let told = conditions.into_iter().find(|it| it.type_ == "NamespaceFinalizersRemaining");
        told.filter(|it| it.status == "True")?.message
    })
    .await;
    assert!(told.contains(names::UNLINK_FINALIZER), "{told}");
    eventually("the pods to be gone", || async { stack.node().processes().is_empty().then_some(()) }).await;
    assert!(stack.api::<WhatsAppSession>().get_opt("kedai").await.unwrap().is_none());

    let nothing = r#"{"metadata":{"finalizers":null}}"#;
    let patch = ["-n", stack.namespace(), "patch", "was/toko", "--type=merge", "-p", nothing];
    stack.cluster().kubectl(&patch).await.ok();
    eventually("the namespace to be gone", || async {
        namespaces.get_opt(stack.namespace()).await.unwrap().is_none().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unlinked_device_is_gone_from_its_phone_and_one_that_hangs_is_not_waited_for_long() {
    let stack = Stack::start().await;
    let unlink = json!({"onDelete": "Unlink"});
    // The node would restart a program that hangs, which then unlinks: here it is given no time for that.
    let without_haste = json!({"onDelete": "Unlink", "terminationGracePeriodSeconds": 300});
    let hanging = stack.paired("toko", without_haste).await;
    let halted = process(&stack);
    let phone = stack.paired("kedai", unlink).await;
    kill_process(halted, Signal::STOP).unwrap();
    let begun = Instant::now();
    for name in ["toko", "kedai"] {
        stack.delete(name).await;
    }
    gone(&stack, "kedai").await;
    assert_eq!(devices(&stack, &phone).await, 0);
    assert!(begun.elapsed() < FAREWELL / 2, "it did not wait for the other one: {:?}", begun.elapsed());
    assert_eq!(stack.session("toko").await.metadata.finalizers.map(|all| all.len()), Some(1));

    gone(&stack, "toko").await;
    assert!(begun.elapsed() > FAREWELL.saturating_sub(MARGIN), "it may have answered: {:?}", begun.elapsed());
    assert_eq!(devices(&stack, &hanging).await, 1, "nobody could ask it");
    let claim = stack.claim("toko").await.expect("Retain");
    assert_eq!(claim.metadata.deletion_timestamp, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_that_is_to_stay_after_all_stays_while_its_session_is_kept() {
    let mut stack = Stack::without_operator().await;
    let alone = [("WAREST_LEADER_ELECT", "false")];
    stack.start_operator(&alone).await;
    let phone = stack.paired("toko", json!({"onDelete": "Unlink", "retentionPolicy": "Delete"})).await;
    let claim = stack.claim("toko").await.unwrap().metadata;
    assert_eq!(claim.owner_references.map(|all| all.len()), Some(1));
    // Nobody is there to let go of the claim when the policy changes.
    stack.kill_operator().await;
    stack.patch("toko", json!({"retentionPolicy": "Retain"})).await;
    stack.delete("toko").await;
    stack.start_operator(&alone).await;
    gone(&stack, "toko").await;
    stack.pod_gone("toko").await;
    assert_eq!(devices(&stack, &phone).await, 0);
    // Collected by the same collector, after the claim would have been.
    eventually("its Secret to be gone", || async {
        stack.api::<Secret>().get_opt(&names::secret("toko")).await.unwrap().is_none().then_some(())
    })
    .await;
    let kept = stack.claim("toko").await.expect("Retain").metadata;
    assert_eq!((kept.uid, kept.deletion_timestamp, kept.owner_references), (claim.uid, None, None));
}
