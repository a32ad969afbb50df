//! A node whose pods are processes: the real programs, with the pod's environment, files, volumes, user and probes.
//!
//! Comes in: a cluster, and which program stands for which image. Goes out: a Node that the scheduler binds pods to, true
//! status of those pods, and a record of who had which volume open ([`Open`]).
//! It is a kubelet towards the API (same identity, same rights, same preconditions), so it may do no more than one.
//! Everything that a pod may ask for and a process node cannot do is an error that the pod's status shows.

mod container;
mod disk;
mod environment;
mod files;
mod inner;
mod kubelet;
mod logs;
pub mod opens;
mod plan;
mod pod;
mod probe;
mod sandbox;
mod sources;
mod status;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_openapi::api::core::v1::Node;
use k8s_openapi::jiff::SignedDuration;
use kube::{Api, Client};
use tokio::runtime::Runtime;
use tokio::task::AbortHandle;

pub use opens::{Open, overlaps};

use super::kubeconfig::Identity;
use super::{Cluster, Link, Relay, Shared, clients};
use crate::wait::eventually;
use inner::Inner;

/// What a process node is made of.
#[derive(Debug, Clone)]
pub struct ProcessNodeConfig {
    /// Program by image: the whole name (`warest/session-pod:1.2`), or its end without tag (`warest/session-pod`).
    pub programs: BTreeMap<String, PathBuf>,
    /// Environment for every container, which wins over the pod's own. Values may use `$(POD_IP)`, `$(POD_NAME)`, `$(POD_NAMESPACE)`.
    pub environment: Vec<(String, String)>,
    /// Files of this machine that every container finds at the same path, read-only.
    pub files: Vec<PathBuf>,
    /// How far the node's own clock is ahead: what it reports is stamped with it.
    pub clock_ahead: SignedDuration,
    /// Labels of the Node.
    pub labels: Vec<(String, String)>,
    /// Between two signs of life.
    pub heartbeat: Duration,
    /// Delay before the second restart of a container that failed; doubles with each. Kubernetes' own: 10 s.
    pub restart_backoff: Duration,
}

impl Default for ProcessNodeConfig {
    fn default() -> Self {
        Self {
            programs: BTreeMap::new(),
            environment: Vec::new(),
            files: Vec::new(),
            clock_ahead: SignedDuration::ZERO,
            labels: Vec::new(),
            heartbeat: Duration::from_secs(3),
            restart_backoff: Duration::from_secs(1),
        }
    }
}

impl ProcessNodeConfig {
    /// Lets a program stand for an image.
    #[must_use]
    pub fn image(mut self, image: &str, program: impl Into<PathBuf>) -> Self {
        self.programs.insert(image.to_owned(), program.into());
        self
    }

    /// Shows a file of this machine to every container, at the same path.
    #[must_use]
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.files.push(path.into());
        self
    }

    /// Adds to the environment of every container; wins over the pod's own.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// See the file's comment. Dropping it kills its processes; the Node object stays, as that of a machine that is lost.
#[derive(Debug)]
pub struct ProcessNode {
    inner: Arc<Inner>,
    relay: Relay,
    kubelet: Mutex<AbortHandle>,
    runtime: Option<Runtime>,
}

impl ProcessNode {
    /// Adds a node to a cluster and waits until pods can be bound to it. Needs root.
    ///
    /// # Panics
    /// Without root, or when the node does not become ready.
    pub async fn start(cluster: &Cluster, name: &str, config: ProcessNodeConfig) -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "a process node mounts the volumes of its pods and runs them as their users: run this as root"
        );
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let shared = Arc::clone(&cluster.shared);
        let (listen, server) =
            ((shared.layout.address, 0), (shared.layout.address, shared.layout.api_server));
        let relay = runtime.spawn(Relay::start(listen.into(), server.into())).await.expect("a relay");
        let client = client(&shared, name, &relay, &runtime);
        let inner = Arc::new(Inner::create(shared, name, config, client));
        let kubelet = Mutex::new(runtime.spawn(kubelet::run(Arc::clone(&inner))).abort_handle());
        let node = Self { inner, relay, kubelet, runtime: Some(runtime) };
        node.ready(cluster).await;
        node
    }

    /// Waits until pods can be bound to the node.
    pub async fn ready(&self, cluster: &Cluster) {
        let nodes: Api<Node> = Api::all(cluster.client());
        eventually("the node to be ready", || async {
            let node = nodes.get_opt(&self.inner.name).await.ok()??;
            let conditions = node.status.and_then(|status| status.conditions).unwrap_or_default();
            let ready = conditions.iter().any(|it| it.type_ == "Ready" && it.status == "True");
            let taints = node.spec.and_then(|spec| spec.taints).unwrap_or_default();
            let tainted = taints.iter().any(|taint| taint.key.starts_with("node.kubernetes.io/"));
            (ready && !tainted).then_some(())
        })
        .await;
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Cuts the node from the API server: its processes go on, nobody hears of them.
    pub fn partition(&self) {
        self.relay.set(Link::Cut);
    }

    /// Ends [`ProcessNode::partition`].
    pub fn heal(&self) {
        self.relay.set(Link::Up);
    }

    /// Switches the machine off: all processes die at once, and nothing is reported.
    ///
    /// # Panics
    /// When a task of the node has failed.
    pub fn kill(&self) {
        self.kubelet.lock().unwrap().abort();
        self.inner.switch_off();
    }

    /// Switches the machine on, or restarts its kubelet: it finds its pods in the API again. Those whose processes live are
    /// taken over, the others are started.
    ///
    /// # Panics
    /// When a task of the node has failed.
    pub fn restart(&self) {
        let mut kubelet = self.kubelet.lock().unwrap();
        kubelet.abort();
        self.inner.switch_on();
        if let Some(runtime) = &self.runtime {
            *kubelet = runtime.spawn(kubelet::run(Arc::clone(&self.inner))).abort_handle();
        }
    }

    /// Lets a program stand for an image from now on.
    ///
    /// # Panics
    /// When a task of the node has failed.
    pub fn set_program(&self, image: &str, program: impl Into<PathBuf>) {
        self.inner.set_program(image, program.into());
    }

    /// Every volume that a process of this node has or had, in the order of starts (see [`overlaps`]).
    pub fn opens(&self) -> Vec<Open> {
        self.inner.opens().all().into_iter().filter(|open| open.node == self.inner.name).collect()
    }

    /// Ids of its processes (of containers; not of what they started).
    ///
    /// # Panics
    /// When a task of the node has failed.
    pub fn processes(&self) -> Vec<u32> {
        self.inner.processes()
    }

    /// All that the containers of a pod of this name have printed here; it stays after the pod.
    pub fn logs(&self, namespace: &str, pod: &str) -> String {
        let files = logs::files(&self.inner.logs(), namespace, pod, "");
        let texts = files.iter().filter_map(|path| std::fs::read(path).ok());
        texts.map(|text| String::from_utf8_lossy(&text).into_owned()).collect()
    }

    /// What went wrong inside the node itself; empty if nothing.
    pub fn trouble(&self) -> String {
        std::fs::read_to_string(self.inner.folder.join("node.log")).unwrap_or_default()
    }
}

impl Drop for ProcessNode {
    fn drop(&mut self) {
        self.relay.set(Link::Cut);
        self.kill();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A client with the rights of the node, through its relay; it lives in the node's runtime.
fn client(shared: &Shared, name: &str, relay: &Relay, runtime: &Runtime) -> Client {
    let user = format!("system:node:{name}");
    let file = format!("node-{name}");
    shared.pki.client(&file, &user, Some("system:nodes"));
    let pem = |ending: &str| shared.pki.file(&format!("{file}.{ending}"));
    let identity = Identity::Certificate { certificate: pem("crt"), key: pem("key") };
    let kubeconfig = shared.kubeconfig(&file, &format!("https://{}", relay.address()), "default", &identity);
    let mut config = clients::config(&kubeconfig);
    config.default_retry = false;
    let _inside = runtime.enter();
    clients::client_with(config)
}
