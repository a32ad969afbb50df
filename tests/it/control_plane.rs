//! The harness itself: a real control plane, its rights and refusals, its faults, and what it leaves behind (nothing).

mod leftovers;
mod nodes;
mod pods;
mod session;

use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{ListParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use system_tests::cluster::{
    self, Cluster, ClusterConfig, Link, ProcessNode, ProcessNodeConfig, clients, kwok,
};
use system_tests::wait::eventually;

fn map(name: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name}})).unwrap()
}

fn maps(client: Client, namespace: &str) -> Api<ConfigMap> {
    Api::namespaced(client, namespace)
}

fn code(error: kube::Error) -> u16 {
    match error {
        kube::Error::Api(status) => status.code,
        other => panic!("{other}"),
    }
}

/// A pod of one container on the node of this namespace's test; `spec` is merged over it.
fn pod(namespace: &str, name: &str, container: &Value, spec: &Value) -> Pod {
    let mut pod = json!({
        "metadata": {"name": name},
        "spec": {"nodeSelector": {"test": namespace}, "terminationGracePeriodSeconds": 5, "containers": [container]},
    });
    pod["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    pod["spec"]["containers"][0]["name"] = json!("main");
    serde_json::from_value(pod).unwrap()
}

/// A container of one line of shell.
fn shell(script: &str) -> Value {
    json!({"image": "registry.example/warest/shell:1", "args": ["-ec", script]})
}

/// A namespace and a node for its pods alone, on the shared cluster.
async fn alone(prefix: &str) -> (&'static Cluster, String, ProcessNode) {
    let cluster = cluster::shared().await;
    let namespace = cluster.namespace(prefix).await;
    let node = node(cluster, &namespace, ProcessNodeConfig::default()).await;
    (cluster, namespace, node)
}

async fn node(cluster: &Cluster, namespace: &str, mut config: ProcessNodeConfig) -> ProcessNode {
    config.labels.push(("test".into(), namespace.into()));
    let config = config.image("warest/shell", "/bin/sh").image("warest/python", "/usr/bin/python3");
    ProcessNode::start(cluster, &format!("node-{namespace}"), config).await
}

async fn create(cluster: &Cluster, namespace: &str, pod: &Pod) {
    let pods: Api<Pod> = Api::namespaced(cluster.client(), namespace);
    pods.create(&PostParams::default(), pod).await.unwrap();
}

/// Waits until a pod is as it should be; gives it.
async fn reaches(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
    what: &str,
    is: impl Fn(&Value) -> bool,
) -> Value {
    let pods: Api<Pod> = Api::namespaced(cluster.client(), namespace);
    let what = format!("pod {name} to be {what}");
    eventually(&what, || async {
        let pod = serde_json::to_value(pods.get_opt(name).await.ok()??).unwrap();
        is(&pod).then_some(pod)
    })
    .await
}

async fn vanishes(cluster: &Cluster, namespace: &str, name: &str) {
    let pods: Api<Pod> = Api::namespaced(cluster.client(), namespace);
    eventually("the pod to be gone", || async { pods.get_opt(name).await.ok()?.is_none().then_some(()) })
        .await;
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    conditions.is_some_and(|all| all.iter().any(|it| it["type"] == "Ready" && it["status"] == "True"))
}

#[tokio::test(flavor = "multi_thread")]
async fn clusters_start_soon_and_side_by_side() {
    let (one, two) =
        tokio::join!(Cluster::start(ClusterConfig::default()), Cluster::start(ClusterConfig::default()));
    println!("control planes started in {:?} and {:?}", one.started_in(), two.started_in());
    assert!(one.started_in() < Duration::from_secs(30));
    assert_ne!(one.api_server_url(), two.api_server_url());
    maps(one.client(), "default").create(&PostParams::default(), &map("mine")).await.unwrap();
    assert!(maps(two.client(), "default").get_opt("mine").await.unwrap().is_none());
    assert_eq!((one.processes().len(), two.processes().len()), (4, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_account_may_do_what_it_was_granted_and_the_audit_log_knows() {
    let cluster = cluster::shared().await;
    let namespace = cluster.namespace("rbac").await;
    cluster.kubectl(&["-n", &namespace, "create", "serviceaccount", "clerk"]).await.ok();
    let clerk = maps(cluster.client_for_service_account(&namespace, "clerk").await, &namespace);
    assert_eq!(code(clerk.list(&ListParams::default()).await.unwrap_err()), 403);
    let role = ["-n", &namespace, "create", "role", "reader", "--verb=list", "--resource=configmaps"];
    cluster.kubectl(&role).await.ok();
    let account = format!("--serviceaccount={namespace}:clerk");
    cluster
        .kubectl(&["-n", &namespace, "create", "rolebinding", "reader", "--role=reader", &account])
        .await
        .ok();
    eventually("the grant to count", || async { clerk.list(&ListParams::default()).await.ok() }).await;
    assert_eq!(code(clerk.create(&PostParams::default(), &map("x")).await.unwrap_err()), 403);

    let user = format!("system:serviceaccount:{namespace}:clerk");
    let entries: Vec<_> = cluster.audit().into_iter().filter(|entry| entry.user == user).collect();
    let seen = |verb: &str, code: u16| {
        entries.iter().any(|it| {
            it.verb == verb && it.code == code && it.resource == "configmaps" && it.namespace == namespace
        })
    };
    assert!(seen("list", 403) && seen("list", 200) && seen("create", 403), "{entries:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restricted_namespace_takes_only_pods_that_are_harmless() {
    let cluster = cluster::shared().await;
    let namespace = cluster.restricted_namespace("strict").await;
    let pods: Api<Pod> = Api::namespaced(cluster.client(), &namespace);
    let privileged = json!({"image": "i", "securityContext": {"privileged": true}});
    let refused = pods
        .create(&PostParams::default(), &pod(&namespace, "p", &privileged, &json!({})))
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("violates PodSecurity \"restricted"), "{refused}");
    let container = json!({"image": "i", "securityContext": {
        "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"},
    }});
    pods.create(&PostParams::default(), &pod(&namespace, "p", &container, &json!({}))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_can_be_stopped_halted_and_cut_off() {
    let cluster = Cluster::start(ClusterConfig::default()).await;
    let all = maps(cluster.client(), "default");
    all.create(&PostParams::default(), &map("kept")).await.unwrap();

    cluster.stop_api_server();
    assert!(all.get("kept").await.is_err());
    cluster.start_api_server().await;
    all.get("kept").await.unwrap();

    cluster.pause_api_server();
    assert!(tokio::time::timeout(Duration::from_millis(300), all.get("kept")).await.is_err());
    cluster.resume_api_server();
    all.get("kept").await.unwrap();

    let relay = cluster.relay().await;
    let kubeconfig = cluster.kubeconfig_through(&relay, "default", "default").await;
    let far = maps(clients::client_from(&kubeconfig), "default");
    assert_eq!(code(far.get("kept").await.unwrap_err()), 403);
    relay.set(Link::Cut);
    assert!(!matches!(far.get("kept").await, Err(kube::Error::Api(_))));
    all.get("kept").await.unwrap();
    relay.set(Link::Up);
    assert_eq!(code(far.get("kept").await.unwrap_err()), 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn kwok_plays_fifty_pods_at_once() {
    let cluster = Cluster::start(ClusterConfig { audit: false, ..ClusterConfig::default() }).await;
    let namespace = cluster.namespace("many").await;
    let kwok = cluster.start_kwok(5, kwok::STAGES).await;
    let pods: Api<Pod> = Api::namespaced(cluster.client(), &namespace);
    for number in 0..50 {
        let pod = pod(
            &namespace,
            &format!("p-{number}"),
            &json!({"image": "i"}),
            &json!({"nodeSelector": {"type": "kwok"}}),
        );
        pods.create(&PostParams::default(), &pod).await.unwrap();
    }
    let listed = eventually("50 pods to be ready", || async {
        let listed = serde_json::to_value(pods.list(&ListParams::default()).await.ok()?.items).unwrap();
        let ready = listed.as_array().unwrap().iter().filter(|pod| is_ready(pod)).count();
        (ready == 50).then_some(listed)
    })
    .await;
    let addresses: std::collections::BTreeSet<_> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|pod| pod["status"]["podIP"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(addresses.len(), 50);
    assert!(addresses.iter().all(|address| address.starts_with("127.")));
    drop(kwok);
}
