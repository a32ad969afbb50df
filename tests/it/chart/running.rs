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
use system_tests::cluster::{AuditEntry, Cluster, ClusterConfig, ProcessNode, ProcessNodeConfig};
use system_tests::http::Answer;
use system_tests::process::program;
use system_tests::rig::Rig;
use system_tests::wait::within;
use system_tests::{cluster, http};
use tokio::process::Command;

use super::chart;

/// Longest time until both programs are ready and a session shows what it waits for.
pub(super) const LIMIT: Duration = Duration::from_mins(2);

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

/// A release whose programs run.
#[derive(Debug)]
pub(super) struct Installed {
    pub(super) cluster: Cluster,
    pub(super) node: ProcessNode,
    pub(super) rig: Rig,
    pub(super) namespace: String,
    pub(super) url: String,
    key: String,
}

impl Installed {
    /// Installs the chart as NOTES.txt says, its session `toko` included.
    pub(super) async fn start() -> Self {
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
        assert!(said.contains("successfully rolled out"), "{said}");
        assert!(said.contains("whatsappsession.warest.io/toko created"), "{said}");
        let key =
            said.lines().find_map(|line| line.strip_prefix("key: ")).expect("the admin's key").to_owned();
        let url = gateway(&cluster, &namespace).await;
        Self { cluster, node, rig, namespace, url, key }
    }

    /// A call of the gateway with the admin's key; `Value::Null` sends no body.
    pub(super) async fn call(&self, method: Method, path: &str, body: &Value) -> Answer {
        let request =
            http::client().request(method, format!("{}{path}", self.url)).header("X-API-Key", &self.key);
        http::send(if body.is_null() { request } else { request.json(body) }).await
    }

    /// A session's QR code, through the gateway.
    pub(super) async fn qr(&self, id: &str) -> String {
        within(LIMIT, "a QR code through the gateway", || async {
            let answer = self.call(Method::GET, &format!("/api/sessions/{id}/qr?wait=5"), &Value::Null).await;
            answer.body["qr"].as_str().map(str::to_owned)
        })
        .await
    }

    /// `kubectl` in the release's namespace.
    pub(super) async fn kubectl(&self, arguments: &[&str]) -> String {
        self.cluster.kubectl(&[&["-n", &self.namespace], arguments].concat()).await.ok()
    }

    /// What operator and gateway have asked of the API server.
    pub(super) fn asked(&self) -> Vec<AuditEntry> {
        let ours = format!("system:serviceaccount:{}:", self.namespace);
        self.cluster.audit().into_iter().filter(|entry| entry.user.starts_with(&ours)).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_notes_tell_the_truth() {
    let installed = Installed::start().await;
    let qr = installed.qr("toko").await;
    assert!(qr.contains(','), "{qr}");
    let stranger = http::json(Method::GET, &format!("{}/api/sessions", installed.url), &Value::Null).await;
    assert_eq!(stranger.status, 401);
    assert_eq!(installed.node.trouble(), "");
}
