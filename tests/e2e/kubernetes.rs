//! The cluster, as a person at a shell has it: kubectl, helm, the container runtime of the node.
//!
//! Comes in: `KUBECONFIG` and programs on the `PATH`. Goes out: what they print.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use system_tests::cluster::Output;
use system_tests::wait::within;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};

/// Longest run of one command, and longest wait for one thing. Machines that do this are small and shared.
pub(crate) const LIMIT: Duration = Duration::from_mins(4);

/// Where the sources are.
pub(crate) const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Namespace of the release and its session.
pub(crate) const NAMESPACE: &str = "warest";

/// The container that is the node, when it is one (kind). Then nothing here is in the node's network.
const NODE_CONTAINER: &str = "WAREST_E2E_NODE_CONTAINER";

/// See the file's comment.
#[derive(Debug)]
pub(crate) struct Kubernetes {
    node_container: Option<String>,
    forwards: Vec<Child>,
}

impl Kubernetes {
    pub(crate) fn new() -> Self {
        Self {
            node_container: std::env::var_os(NODE_CONTAINER).map(|name| name.to_string_lossy().into_owned()),
            forwards: Vec::new(),
        }
    }

    /// Whether the node's processes can be looked at.
    pub(crate) fn sees_processes(&self) -> bool {
        self.node_container.is_none()
    }

    /// `kubectl` in the release's namespace; gives what it printed.
    pub(crate) async fn kubectl(&self, arguments: &str) -> String {
        self.shell(&format!("kubectl -n {NAMESPACE} {arguments}"), "").await.ok()
    }

    /// An object as JSON. `what` is `kind/name`.
    pub(crate) async fn get(&self, what: &str) -> Value {
        self.find(what).await.unwrap_or_else(|| panic!("there is no {what}"))
    }

    /// An object as JSON, if it is there.
    pub(crate) async fn find(&self, what: &str) -> Option<Value> {
        let text = self.kubectl(&format!("get {what} --ignore-not-found -o json")).await;
        serde_json::from_str(&text).ok()
    }

    /// Types lines into one terminal, which is closed after the last one: what they began in the background ends.
    pub(crate) async fn type_in(&self, lines: &str) -> String {
        self.shell(&format!("trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{lines}"), "").await.ok()
    }

    /// Runs a script as a person would, in the folder of the sources.
    pub(crate) async fn shell(&self, script: &str, input: &str) -> Output {
        let mut child = Command::new("bash")
            .args(["-euo", "pipefail", "-c", script])
            .current_dir(ROOT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("bash starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        let answer = async {
            // A script that ends without reading its input is no failure of this.
            let _ = stdin.write_all(input.as_bytes()).await;
            drop(stdin);
            child.wait_with_output().await.expect("its output")
        };
        let output = tokio::time::timeout(LIMIT, answer).await;
        let output = output.unwrap_or_else(|_| panic!("after {LIMIT:?} it still runs: {script}"));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Output { status: output.status, stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// containerd's `ctr` on the node.
    pub(crate) async fn ctr(&self, arguments: &str) -> String {
        let prefix =
            self.node_container.as_ref().map(|name| format!("docker exec {name} ")).unwrap_or_default();
        self.shell(&format!("{prefix}ctr -n k8s.io {arguments}"), "").await.ok()
    }

    /// `host:port` by which a Service is reached from here.
    pub(crate) async fn service(&mut self, namespace: &str, name: &str, port: u16) -> String {
        if self.node_container.is_none() {
            let address =
                format!("kubectl -n {namespace} get service {name} -o jsonpath={{.spec.clusterIP}}");
            return format!("{}:{port}", self.shell(&address, "").await.ok());
        }
        self.forward(namespace, name, port).await
    }

    /// A `kubectl port-forward` that lasts as long as this.
    async fn forward(&mut self, namespace: &str, name: &str, port: u16) -> String {
        let log = tempfile::NamedTempFile::new().expect("a file");
        let child = Command::new("kubectl")
            .args(["-n", namespace, "port-forward", &format!("service/{name}"), &format!(":{port}")])
            .stdin(Stdio::null())
            .stdout(log.reopen().expect("a file"))
            .kill_on_drop(true)
            .spawn();
        self.forwards.push(child.expect("kubectl starts"));
        within(LIMIT, "kubectl port-forward to listen", || async {
            let said = std::fs::read_to_string(log.path()).ok()?;
            let address = said.strip_prefix("Forwarding from ")?.split(' ').next()?.to_owned();
            Some(address)
        })
        .await
    }

    /// Shows what an investigation begins with.
    pub(crate) async fn report(&self) {
        let commands = [
            "kubectl get nodes,pods,was,pvc -A -o wide",
            "kubectl get events -A --sort-by=.lastTimestamp | tail -n 40",
            "kubectl -n warest describe was,pods | tail -n 200",
            "kubectl -n warest logs deployment/warest-operator --tail 40",
            "kubectl -n warest logs deployment/warest-gateway --tail 40",
            "kubectl -n warest logs toko --tail 40",
            "kubectl -n simulator logs deployment/simulator --tail 40",
        ];
        for command in commands {
            let output = self.shell(command, "").await;
            println!("--- {command}\n{}{}", output.stdout, output.stderr);
        }
    }
}
