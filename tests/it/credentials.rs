//! What the operator may do, and who it is, changes while it runs: rights are taken and given back, tokens are replaced.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crds::conditions::{READY, reason};
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::api::{DeleteParams, PostParams};
use reqwest::Method;
use serde_json::{Value, json};
use system_tests::api_proxy::ApiProxy;
use system_tests::gateway::{ADMIN, ClusterGateway};
use system_tests::http;
use system_tests::stack::Stack;
use system_tests::wait::{eventually, within};
use tempfile::TempDir;

use crate::evidence::figure;

/// The chart's role for sessions and their objects.
const ROLE: &str = "warest-operator-sessions";
const OPERATOR: &str = "warest-operator";
const GATEWAY: &str = "warest-gateway";

/// A token file is read again after about a minute (kube-client, `TokenFile`).
const TOKEN_READ_AGAIN: Duration = Duration::from_secs(90);

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

/// A token of a service account that is good for as long as this Secret is there.
async fn token(stack: &Stack, account: &str, secret: &str) -> String {
    let secrets = stack.api::<Secret>();
    let object = json!({"metadata": {"name": secret}});
    let object: Secret = serde_json::from_value(object).unwrap();
    let object = secrets.create(&PostParams::default(), &object).await.unwrap();
    let bound = BoundObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("Secret".to_owned()),
        name: Some(secret.to_owned()),
        uid: object.metadata.uid,
    };
    let spec = TokenRequestSpec { bound_object_ref: Some(bound), ..TokenRequestSpec::default() };
    let request = TokenRequest { spec, ..TokenRequest::default() };
    let accounts = stack.api::<ServiceAccount>();
    let answer = accounts.create_token_request(account, &PostParams::default(), &request).await.unwrap();
    answer.status.unwrap().token
}

/// A program's token, in a file that its kubeconfig names; it asks through a proxy, which sees the token.
struct Identity {
    account: &'static str,
    file: PathBuf,
    kubeconfig: PathBuf,
    proxy: ApiProxy,
}

impl Identity {
    async fn of(stack: &Stack, account: &'static str, folder: &Path) -> Self {
        let proxy = stack.proxy().await;
        let first = token(stack, account, &format!("{account}-first")).await;
        let file = folder.join(format!("{account}.token"));
        std::fs::write(&file, first).unwrap();
        let kubeconfig = proxy.kubeconfig(folder, "in a file", stack.namespace());
        let mut text: Value = serde_json::from_slice(&std::fs::read(&kubeconfig).unwrap()).unwrap();
        text["users"][0]["user"] = json!({ "tokenFile": file });
        std::fs::write(&kubeconfig, text.to_string()).unwrap();
        Self { account, file, kubeconfig, proxy }
    }

    /// Replaces the token as a kubelet does; when it is used, the old one is no good any more.
    async fn rotate(&self, stack: &Stack) {
        let (old, new) = (
            std::fs::read_to_string(&self.file).unwrap(),
            token(stack, self.account, &format!("{}-second", self.account)).await,
        );
        std::fs::write(self.file.with_extension("new"), &new).unwrap();
        std::fs::rename(self.file.with_extension("new"), &self.file).unwrap();
        within(TOKEN_READ_AGAIN, "the new token to be used", || async {
            self.proxy.saw_token(&new).then_some(())
        })
        .await;
        let secrets = stack.api::<Secret>();
        secrets.delete(&format!("{}-first", self.account), &DeleteParams::default()).await.unwrap();
        // Asked through the proxy, which knows the API server's certificate.
        let url = format!(
            "{}/apis/warest.io/v1alpha1/namespaces/{}/whatsappsessions",
            self.proxy.url(),
            stack.namespace()
        );
        eventually("the old token to be refused", || async {
            let answer = http::send(http::client().get(&url).bearer_auth(&old)).await;
            (answer.status == 401).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_replaced_in_its_file_is_used() {
    let mut stack = Stack::without_operator().await;
    let folder = TempDir::new().unwrap();
    let operator = Identity::of(&stack, OPERATOR, folder.path()).await;
    let gateway = Identity::of(&stack, GATEWAY, folder.path()).await;
    stack.start_operator(&[("KUBECONFIG", operator.kubeconfig.to_str().unwrap())]).await;
    stack.apply("old", json!({})).await;
    waits_for_pairing(&stack, "old").await;
    let rest =
        ClusterGateway::with(stack.namespace(), &gateway.kubeconfig, &[("ADMIN_API_KEY", ADMIN)]).await;
    let rest = rest.ready().await;
    tokio::join!(operator.rotate(&stack), gateway.rotate(&stack));

    // New connections, with what each of them now says it is.
    operator.proxy.break_watches();
    gateway.proxy.break_watches();
    rest.post("/api/sessions", &json!({"id": "new"})).await.ok();
    eventually("the new session's pod", || async { stack.pod("new").await }).await;
    stack.patch("old", json!({"operatingMode": "Suspended"})).await;
    rest.session_is("old", "suspended").await;
    rest.call(ADMIN, Method::DELETE, "/api/sessions/new", &Value::Null).await.ok();
}
