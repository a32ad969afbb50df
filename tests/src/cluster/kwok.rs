//! kwok: any number of nodes and pods that are only played.
//!
//! Comes in: how many nodes, and which stages (kwok's own, from its module, or a test's). Goes out: ready Nodes, pods that
//! become ready by the stages, and a [`Kwok`] that ends with the value.
//! Its nodes carry the label `type: kwok` and no taint; process nodes are not touched.

use std::fmt::Write;
use std::path::PathBuf;

use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::{ListParams, PostParams};
use rustix::process::Signal;
use serde_json::json;
use tempfile::TempDir;

use super::component::{Component, program};
use super::{Cluster, janitor};
use crate::wait::eventually;

/// Stages of kwok's own: nodes are ready and stay so, pods become ready at once, complete if they are jobs, and go when deleted.
pub const STAGES: &[&str] = &[
    "node/fast/node-initialize",
    "node/heartbeat-with-lease/node-heartbeat-with-lease",
    "pod/fast/pod-ready",
    "pod/fast/pod-complete",
    "pod/fast/pod-delete",
];

/// All at once, as far as the API server goes; kwok wants all of them named once one is.
const CONFIGURATION: &str = r#"{"apiVersion": "config.kwok.x-k8s.io/v1alpha1", "kind": "KwokConfiguration", "options":
 {"podPlayStageParallelism": 64, "nodePlayStageParallelism": 16, "nodeLeaseParallelism": 16}}"#;

/// A running kwok. Dropping it ends it; its nodes then stop to live.
#[derive(Debug)]
pub struct Kwok {
    component: Component,
    _folder: TempDir,
}

impl Kwok {
    /// Its process id.
    pub fn process(&self) -> Option<u32> {
        self.component.id()
    }

    /// Halts it: nodes give no sign of life, pods stay as they are.
    pub fn pause(&self) {
        self.component.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.component.signal(Signal::CONT);
    }
}

impl Cluster {
    /// Starts kwok with nodes `kwok-0`, `kwok-1` … and waits until they are ready. `stages` are names as in [`STAGES`], or
    /// whole documents (they contain `kind: Stage`).
    pub async fn start_kwok(&self, nodes: usize, stages: &[&str]) -> Kwok {
        let folder = janitor::folder("kwok-");
        let config = folder.path().join("kwok.yaml");
        std::fs::write(&config, documents(stages)).expect("a file in a folder of our own");
        let network = &self.shared.network;
        let address = network.control_plane();
        let arguments = [
            ("kubeconfig", self.kubeconfig().to_string_lossy().into_owned()),
            ("config", config.to_string_lossy().into_owned()),
            ("manage-nodes-with-label-selector", "type=kwok".into()),
            ("node-lease-duration-seconds", "40".into()),
            ("cidr", network.kwok()),
            ("node-ip", network.node().to_string()),
            ("server-address", format!("{address}:{}", network.port(10247))),
        ];
        let arguments = arguments.map(|(name, value)| format!("--{name}={value}")).to_vec();
        let component = Component::start("kwok", arguments, folder.path());
        let mut kwok = Kwok { component, _folder: folder };
        self.kwok_nodes(nodes).await;
        let all: Api<Node> = Api::all(self.client());
        eventually("the nodes of kwok to be ready", || {
            kwok.component.check();
            let all = all.clone();
            async move {
                let list = all.list(&ListParams::default().labels("type=kwok")).await.ok()?;
                let ready = list.items.iter().filter(|node| is_ready(node)).count();
                (ready >= nodes).then_some(())
            }
        })
        .await;
        kwok
    }

    async fn kwok_nodes(&self, count: usize) {
        let all: Api<Node> = Api::all(self.client());
        let size = json!({"cpu": "1k", "memory": "1Ti", "pods": "10k"});
        for number in 0..count {
            let name = format!("kwok-{number}");
            let node = json!({
                "metadata": {
                    "name": name, "annotations": {"kwok.x-k8s.io/node": "fake"},
                    "labels": {"type": "kwok", "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"},
                },
                "status": {"allocatable": size, "capacity": size},
            });
            let node = serde_json::from_value(node).expect("a node");
            all.create(&PostParams::default(), &node).await.expect("a node");
        }
    }
}

fn is_ready(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let tainted =
        node.spec.as_ref().and_then(|spec| spec.taints.as_ref()).is_some_and(|taints| !taints.is_empty());
    !tainted && conditions.iter().any(|it| it.type_ == "Ready" && it.status == "True")
}

/// kwok's configuration: its options, then the stages.
fn documents(stages: &[&str]) -> String {
    let folder: PathBuf = program("kwok-stages");
    let mut text = CONFIGURATION.to_owned();
    for stage in stages {
        let document = if stage.contains("kind: Stage") {
            (*stage).to_owned()
        } else {
            let path = folder.join(format!("{stage}.yaml"));
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        };
        write!(text, "\n---\n{document}").expect("text");
    }
    text
}
