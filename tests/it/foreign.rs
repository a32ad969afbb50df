//! Others that write by force into what is the operator's own: it overrules them with as few writes as that takes, and then there
//! is peace, though what they have written stays theirs.

use crds::conditions::{READY, reason};
use crds::{WhatsAppSession, names};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use system_tests::stack::{Stack, condition};
use system_tests::wait::eventually;

use crate::api_server::{LOOKS, looks};
use crate::evidence::{Writes, figure};

/// Every session is looked at anew soon: who fought would write each time.
const OFTEN: [(&str, &str); 1] = [("WAREST_RESYNC_SECONDS", "10")];

/// A server-side apply by somebody else, who takes what he writes from everybody.
fn by_force() -> PatchParams {
    PatchParams::apply("somebody-else").force()
}

/// A stack with a paired session, and where its audit log ends.
async fn paired() -> (Stack, usize) {
    let mut stack = Stack::without_operator().await;
    stack.start_operator(&OFTEN).await;
    stack.paired("toko", json!({})).await;
    let before = stack.cluster().audit().len();
    (stack, before)
}

/// The operator looks three times more, and writes nothing.
async fn is_at_peace(stack: &mut Stack) {
    let before = stack.cluster().audit().len();
    let looked = figure(stack.operator(), LOOKS).await;
    looks(stack, looked + 3).await;
    let writes = Writes::since(stack, before).all();
    assert!(writes.is_empty(), "{writes:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_add_to_a_secret_is_taken_away_once() {
    let (mut stack, before) = paired().await;
    let pod = stack.pod_uid("toko").await;
    let (secrets, name) = (stack.api::<Secret>(), names::secret("toko"));
    let own = secrets.get(&name).await.unwrap().data;
    let more = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name},
        "data": {"token": "eA==", "foreign": "eA=="},
    });
    secrets.patch(&name, &by_force(), &Patch::Apply(more)).await.unwrap();
    eventually("the Secret to be as it was", || async {
        (secrets.get(&name).await.ok()?.data == own).then_some(())
    })
    .await;
    is_at_peace(&mut stack).await;
    assert_eq!(
        Writes::since(&stack, before).count("patch", "secrets"),
        2,
        "applied, and what was left taken away"
    );
    assert_eq!(stack.pod_uid("toko").await, pod);
    stack.sends("toko", "as before").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_others_open_is_closed_again_once() {
    let (mut stack, before) = paired().await;
    let policies = stack.api::<NetworkPolicy>();
    let name = names::network_policy("toko");
    let own = policies.get(&name).await.unwrap().spec;
    let selector = own.clone().unwrap().pod_selector;
    let open = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": name},
        "spec": {"podSelector": selector, "policyTypes": ["Ingress", "Egress"], "ingress": [{}], "egress": [{}]},
    });
    policies.patch(&name, &by_force(), &Patch::Apply(open)).await.unwrap();
    eventually("the policy to be as it was", || async {
        (policies.get(&name).await.ok()?.spec == own).then_some(())
    })
    .await;
    is_at_peace(&mut stack).await;
    let writes = Writes::since(&stack, before).count("patch", "networkpolicies");
    assert_eq!(writes, 2, "applied, and what was left taken away");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_owns_conditions_by_force_is_overruled_once_and_may_keep_one_of_his_own() {
    let (mut stack, before) = paired().await;
    let says = |kind: &str| json!({"type": kind, "status": "False", "reason": "Lie", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"});
    let lie: Value = json!({
        "apiVersion": "warest.io/v1alpha1", "kind": "WhatsAppSession", "metadata": {"name": "toko"},
        "status": {"state": "Banned", "conditions": [says(READY), says("BackedUp")]},
    });
    let api = stack.api::<WhatsAppSession>();
    api.patch_status("toko", &by_force(), &Patch::Apply(lie)).await.unwrap();
    stack.ready("toko").await;
    eventually("the truth", || async {
        (stack.session("toko").await.status?.state? == "Open").then_some(())
    })
    .await;
    is_at_peace(&mut stack).await;
    let writes = Writes::since(&stack, before).all();
    assert!((1..=2).contains(&writes.len()), "{writes:#?}");
    assert_eq!(
        condition(&stack.session("toko").await, "BackedUp").unwrap().reason,
        "Lie",
        "it is none of ours"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_hold_in_the_status_goes_when_it_is_true_no_more() {
    let (mut stack, _) = paired().await;
    // As it is: nothing changes, but that it is theirs as well.
    let held = json!({
        "apiVersion": "warest.io/v1alpha1", "kind": "WhatsAppSession", "metadata": {"name": "toko"},
        "status": {"state": "Open", "pod": stack.session("toko").await.status.unwrap().pod},
    });
    let api = stack.api::<WhatsAppSession>();
    api.patch_status("toko", &by_force(), &Patch::Apply(held)).await.unwrap();
    stack.patch("toko", json!({"operatingMode": "Suspended"})).await;
    stack.reaches("toko", READY, "False", reason::SUSPENDED).await;
    eventually("the status to tell of no pod", || async {
        let status = stack.session("toko").await.status?;
        (status.pod.is_none() && status.state.is_none()).then_some(())
    })
    .await;
    is_at_peace(&mut stack).await;
}
