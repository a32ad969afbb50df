//! The chart with its programs on a node: what NOTES.txt tells people to type works, with the rights that the chart gives.
//!
//! Services have no endpoints here (Kubernetes refuses loopback addresses), so `port-forward` and `helm test` are left to the tests
//! on a real kubelet; the gateway is called at its pod's address.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use reqwest::Method;
use serde_json::Value;
use system_tests::cluster::{Cluster, ClusterConfig, ProcessNode, ProcessNodeConfig};
use system_tests::process::program;
use system_tests::rig::Rig;
use system_tests::wait::within;
use system_tests::{cluster, http};
use tokio::process::Command;

use super::chart;

/// Longest time until both programs are ready and a session shows what it waits for.
const LIMIT: Duration = Duration::from_mins(2);

async fn node(cluster: &Cluster) -> ProcessNode {
    let config = ["operator", "api-gateway", "session-pod"].into_iter().fold(
        // All pods share one network: each listens on an address of its own.
        ProcessNodeConfig::default().env("WAREST_LISTEN", "$(POD_IP):8080").env("HOST", "$(POD_IP)"),
        |config, name| config.image(&format!("warest/{name}"), program(name)),
    );
    ProcessNode::start(cluster, "node", config).await
}

/// The commands in NOTES.txt: lines that are indented by five, without those that need a network of pods.
fn commands(notes: &str) -> Vec<&str> {
    let all: Vec<_> = notes.lines().filter_map(|line| line.strip_prefix("     ")).collect();
    assert!(all.len() >= 7, "{notes}");
    let here = |line: &&str| {
        !["helm ", "curl "].iter().any(|one| line.starts_with(one)) && !line.contains("port-forward")
    };
    all.into_iter().filter(here).collect()
}

/// What a shell says to these lines.
async fn shell(cluster: &Cluster, lines: &[&str]) -> String {
    let tools = cluster::program("kubectl").parent().unwrap().to_string_lossy().into_owned();
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &lines.join("\n")])
        .env("KUBECONFIG", cluster.kubeconfig())
        .env("PATH", format!("{tools}:/usr/bin:/bin"))
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(LIMIT, output).await.expect("it ends").expect("bash runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{lines:#?}\n{said}\n{}", String::from_utf8_lossy(&output.stderr));
    said
}

/// Address of the gateway's pod.
async fn gateway(cluster: &Cluster, namespace: &str) -> String {
    let pods: Api<Pod> = Api::namespaced(cluster.client(), namespace);
    let selector = ListParams::default().labels("app.kubernetes.io/component=api-gateway");
    let pod = pods.list(&selector).await.unwrap().items.pop().expect("a pod of the gateway");
    format!("http://{}:4000", pod.status.unwrap().pod_ip.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_notes_tell_the_truth() {
    let cluster = Cluster::start(ClusterConfig::default()).await;
    let (node, rig) = (node(&cluster).await, Rig::start().await);
    let namespace = cluster.restricted_namespace("warest").await;
    let simulated = format!("session.whatsappUrl={}", rig.ws_url());
    let chart = chart().to_string_lossy().into_owned();
    let install = ["install", "warest", &chart, "-n", &namespace, "--set", &simulated];
    let notes = cluster.helm(&install).await.ok();

    let mut lines = commands(&notes);
    lines.push("echo \"key: $KEY\"");
    let said = shell(&cluster, &lines).await;
    assert!(
        said.contains("successfully rolled out") && said.contains("whatsappsession.warest.io/toko created"),
        "{said}"
    );
    let key = said.lines().find_map(|line| line.strip_prefix("key: ")).expect("the admin's key");

    let url = gateway(&cluster, &namespace).await;
    let qr = within(LIMIT, "a QR code through the gateway", || async {
        let request = http::client().request(Method::GET, format!("{url}/api/sessions/toko/qr?wait=5"));
        let answer = http::send(request.header("X-API-Key", key)).await;
        answer.body["qr"].as_str().map(str::to_owned)
    })
    .await;
    assert!(qr.contains(','), "{qr}");
    let stranger = http::json(Method::GET, &format!("{url}/api/sessions"), &Value::Null).await;
    assert_eq!(stranger.status, 401);
    nobody_was_forbidden(&cluster, &namespace);
    assert_eq!(node.trouble(), "");
}

/// The chart's roles are enough.
fn nobody_was_forbidden(cluster: &Cluster, namespace: &str) {
    let ours = format!("system:serviceaccount:{namespace}:");
    let entries = cluster.audit();
    let asked: Vec<_> = entries.iter().filter(|entry| entry.user.starts_with(&ours)).collect();
    assert!(asked.len() > 10, "operator and gateway were seen: {}", asked.len());
    let refused: Vec<_> = asked.iter().filter(|entry| entry.code == 403).collect();
    assert!(refused.is_empty(), "{refused:#?}");
}
