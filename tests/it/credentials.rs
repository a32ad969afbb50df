//! What the operator may do changes while it runs: rights are taken and given back. (Who it is: `rotation.rs`.)

use crds::conditions::{READY, reason};
use serde_json::{Value, json};
use system_tests::stack::Stack;
use system_tests::wait::eventually;

use crate::evidence::figure;

/// The chart's role for sessions and their objects.
const ROLE: &str = "warest-operator-sessions";
const OPERATOR: &str = "warest-operator";

async fn waits_for_pairing(stack: &Stack, name: &str) {
    stack.reaches(name, READY, "False", reason::AWAITING_PAIRING).await;
}

/// An object of the stack's namespace, without what makes it this one object.
async fn taken(stack: &Stack, what: &str) -> Value {
    let text = stack.cluster().kubectl(&["-n", stack.namespace(), "get", what, "-o", "json"]).await.ok();
    let mut object: Value = serde_json::from_str(&text).unwrap();
    for name in ["uid", "resourceVersion", "creationTimestamp", "managedFields"] {
        object["metadata"].as_object_mut().unwrap().remove(name);
    }
    object
}

async fn apply(stack: &Stack, object: &Value) {
    stack
        .cluster()
        .kubectl_in(&["-n", stack.namespace(), "apply", "-f", "-"], &object.to_string())
        .await
        .ok();
}

fn log(stack: &Stack) -> String {
    std::fs::read_to_string(stack.operator_log()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_rights_it_says_so_does_nothing_and_goes_on_when_it_has_them() {
    let mut stack = Stack::without_operator().await;
    let proxy = stack.proxy().await;
    stack.start_operator_through(&proxy, &[]).await;
    stack.apply("old", json!({})).await;
    waits_for_pairing(&stack, "old").await;
    let pod = stack.pod_uid("old").await;

    let binding = format!("rolebinding/{ROLE}");
    let rights = taken(&stack, &binding).await;
    stack.cluster().kubectl(&["-n", stack.namespace(), "delete", &binding]).await.ok();
    // The API server lets watches go on that were allowed when they began.
    proxy.break_watches();
    stack.apply("new", json!({})).await;
    stack.patch("old", json!({"operatingMode": "Suspended"})).await;
    let operator = &*stack.operator();
    eventually("all watches to be refused", || async {
        (figure(operator, "warest_operator_watches_broken_total").await >= 12).then_some(())
    })
    .await;
    assert!(log(&stack).contains("is forbidden: User"), "{}", log(&stack));
    assert!(stack.pod("new").await.is_none());
    assert_eq!(stack.pod_uid("old").await, pod);

    apply(&stack, &rights).await;
    waits_for_pairing(&stack, "new").await;
    stack.reaches("old", READY, "False", reason::SUSPENDED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_right_that_is_missing_is_named_in_the_status() {
    let stack = Stack::start().await;
    stack.apply("old", json!({})).await;
    waits_for_pairing(&stack, "old").await;
    let role = taken(&stack, &format!("role/{ROLE}")).await;
    let mut less = role.clone();
    for rule in less["rules"].as_array_mut().unwrap() {
        if rule["resources"].as_array().unwrap().contains(&json!("pods")) {
            rule["verbs"].as_array_mut().unwrap().retain(|verb| verb != "create");
        }
    }
    assert_ne!(less, role);
    apply(&stack, &less).await;
    stack.apply("new", json!({})).await;
    let message = stack.reaches("new", READY, "False", reason::FORBIDDEN).await;
    assert!(message.contains("cannot create resource"), "the server's own words: {message}");
    waits_for_pairing(&stack, "old").await;
    apply(&stack, &role).await;
    waits_for_pairing(&stack, "new").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_right_to_its_lease_it_ends_and_says_why() {
    let mut stack = Stack::without_operator().await;
    let lease = [
        ("WAREST_LEASE_DURATION_SECONDS", "6"),
        ("WAREST_LEASE_RENEW_DEADLINE_SECONDS", "4"),
        ("WAREST_LEASE_RETRY_SECONDS", "1"),
    ];
    stack.start_operator(&lease).await;
    stack.apply("toko", json!({})).await;
    waits_for_pairing(&stack, "toko").await;
    let pod = stack.pod_uid("toko").await;
    let role = taken(&stack, &format!("role/{OPERATOR}")).await;
    let mut less = role.clone();
    less["rules"].as_array_mut().unwrap().retain(|rule| rule["apiGroups"][0] != "coordination.k8s.io");
    assert_ne!(less, role);
    apply(&stack, &less).await;
    let process = stack.operator().process();
    assert_eq!(process.ended().await.code(), Some(1));
    let told = process.output();
    assert!(told.contains("leases.coordination.k8s.io") && told.contains("is forbidden"), "{told}");
    apply(&stack, &role).await;
    stack.start_operator(&lease).await;
    stack.patch("toko", json!({"policy": {"autoReply": true}})).await;
    waits_for_pairing(&stack, "toko").await;
    assert_eq!(stack.pod_uid("toko").await, pod);
}
