//! A cluster's own rules that refuse a session's pod: told in their words as a refusal, not as a fault of the spec, and the pod is
//! made when they let it.

use crds::conditions::{READY, reason};
use k8s_openapi::api::core::v1::{LimitRange, Pod};
use kube::api::{DeleteParams, PostParams};
use serde_json::{Value, json};
use system_tests::stack::Stack;
use system_tests::wait::eventually;
use system_tests::witness::Witness;

/// A policy that lets no pod of a session into this namespace, and its binding.
fn policy(namespace: &str) -> Value {
    let matches = json!({
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
    });
    let name = format!("no-pods-{namespace}");
    let api = "admissionregistration.k8s.io/v1";
    let rule = json!({"expression": "!has(object.metadata.labels) || !('warest.io/session' in object.metadata.labels)", "message": "not on a Sunday"});
    let items = [
        json!({
            "apiVersion": api, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name},
            "spec": {"failurePolicy": "Fail", "matchConstraints": matches, "validations": [rule]},
        }),
        json!({
            "apiVersion": api, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name},
            "spec": {"policyName": name, "validationActions": ["Deny"], "matchResources": matches},
        }),
    ];
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

/// Waits until a pod like a session's is refused (`denied`) or let in, without making one.
async fn enforced(stack: &Stack, denied: bool) {
    let pod = json!({
        "metadata": {"name": "probe", "labels": {"warest.io/session": "probe"}},
        "spec": {
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "c", "image": "registry.example/nobody:1",
                "resources": {"requests": {"memory": "1Mi"}},
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            }],
        },
    });
    let pod: Pod = serde_json::from_value(pod).unwrap();
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    eventually("the rule to be in force or gone", || async {
        (stack.api::<Pod>().create(&dry, &pod).await.is_err() == denied).then_some(())
    })
    .await;
}

/// The session says that its pod is refused, in these words; and has exactly one once `lift` has let it.
async fn told_and_mended(stack: &Stack, words: &[&str], lift: impl AsyncFn()) {
    let witness = Witness::of(stack).await;
    enforced(stack, true).await;
    stack.apply("toko", json!({})).await;
    let message = stack.reaches("toko", READY, "False", reason::REFUSED).await;
    for words in words {
        assert!(message.contains(words), "the server's own words: {message}");
    }
    assert!(stack.pod("toko").await.is_none());
    lift().await;
    stack.reaches("toko", READY, "False", reason::AWAITING_PAIRING).await;
    assert_eq!(witness.pods(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admission_policy_that_refuses_the_pod_is_no_fault_of_the_spec() {
    let stack = Stack::start().await;
    let policy = policy(stack.namespace()).to_string();
    stack.cluster().kubectl_in(&["apply", "-f", "-"], &policy).await.ok();
    let lift = async || {
        stack.cluster().kubectl_in(&["delete", "-f", "-"], &policy).await.ok();
    };
    told_and_mended(&stack, &["ValidatingAdmissionPolicy", "not on a Sunday"], lift).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_range_that_refuses_the_pod_is_told_and_mended() {
    let stack = Stack::start().await;
    let limits = json!({"metadata": {"name": "large-ones-only"}, "spec": {"limits": [{"type": "Container", "min": {"memory": "1Ti"}}]}});
    let ranges = stack.api::<LimitRange>();
    ranges.create(&PostParams::default(), &serde_json::from_value(limits).unwrap()).await.unwrap();
    let lift = async || {
        ranges.delete("large-ones-only", &DeleteParams::default()).await.unwrap();
    };
    told_and_mended(&stack, &["minimum memory usage per Container"], lift).await;
}
