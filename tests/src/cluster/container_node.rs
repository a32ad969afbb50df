//! A real node: containerd, kubelet and kube-proxy, with pods in containers and a network of their own.
//!
//! Comes in: a [`Cluster`] whose API server is [`REACHABLE`], in namespaces made for it (`scripts/cluster --node`), and images as
//! archives. Goes out: a Ready node, a default storage class, DNS; `KUBECONFIG` and `ctr` work for whoever runs in the same namespaces.
//! It must not be started on the machine's own network: it makes interfaces, packet filters, mounts and cgroups, which go with
//! the namespaces (the cgroups with `scripts/cluster-down`).

mod addons;
mod cgroups;
mod namespaces;
mod settings;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::component::Component;
use super::{Cluster, Shared, janitor, program};
use crate::wait::within;
use settings::Place;
use tempfile::TempDir;

/// The node's own address, and the API server's.
pub const REACHABLE: Ipv4Addr = Ipv4Addr::new(10, 200, 0, 1);

/// Name of the node.
pub const NODE: &str = "node";

/// Longest time until the node and what runs on it are ready. Two cores may be shared with a build.
const LIMIT: Duration = Duration::from_mins(4);

/// Socket of containerd, which `ctr` uses by itself. `/run` is the node's own.
const SOCKET: &str = "/run/containerd/containerd.sock";

/// See the file's comment. Dropping it ends its programs; its containers end with the namespaces.
#[derive(Debug)]
pub struct ContainerNode {
    // Clients end before the runtime.
    proxy: Component,
    kubelet: Component,
    containerd: Component,
    folder: TempDir,
    started_in: Duration,
}

/// What must be done before anything of the cluster starts: its addresses and mounts. `cgroup` is a new name directly below the root.
///
/// # Panics
/// When these are the machine's own namespaces, or something cannot be made.
pub fn prepare(cgroup: &str) {
    namespaces::prepare(cgroup);
}

impl ContainerNode {
    /// Starts it and waits until it takes pods, has a default storage class and answers DNS.
    ///
    /// # Panics
    /// When [`prepare`] was not called, a program is missing or ends, or nothing is ready before the deadline.
    pub async fn start(cluster: &Cluster, cgroup: &str, images: &[PathBuf]) -> Self {
        let begun = Instant::now();
        let folder = janitor::folder("node-");
        let shared = &cluster.shared;
        let place = Place::new(folder.path(), shared, cgroup);
        place.write();
        let start = |name, arguments| Component::start(name, arguments, folder.path());
        let containerd = start("containerd", place.containerd());
        serves(images).await;
        let kubelet = start("kubelet", place.kubelet());
        let proxy = start("kube-proxy", place.proxy());
        let mut node = Self { proxy, kubelet, containerd, folder, started_in: Duration::ZERO };
        node.ready(cluster).await;
        addons::apply(cluster, node.folder.path()).await;
        node.started_in = begun.elapsed();
        node
    }

    /// How long [`ContainerNode::start`] took.
    pub fn started_in(&self) -> Duration {
        self.started_in
    }

    /// Folder of its logs (`kubelet.log`, `containerd.log`, `kube-proxy.log`, `pods/`) and volumes (`volumes/`).
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    async fn ready(&mut self, cluster: &Cluster) {
        let programs = std::cell::RefCell::new([&mut self.proxy, &mut self.kubelet, &mut self.containerd]);
        let ready = ["wait", "--for=condition=Ready", "node/node", "--timeout=5s"];
        within(LIMIT, "the node to be ready", || async {
            programs.borrow_mut().iter_mut().for_each(|one| one.check());
            let node = cluster.kubectl(&ready).await;
            node.status.success().then_some(())
        })
        .await;
    }
}

/// Waits for containerd, then gives it the images.
async fn serves(images: &[PathBuf]) {
    let containerd = || ctr(&["version"]).map(|_| ());
    within(LIMIT, "containerd to answer", || async { containerd().ok() }).await;
    for image in images {
        let path = image.to_string_lossy();
        if let Err(said) = ctr(&["--namespace", "k8s.io", "images", "import", &path]) {
            panic!("{path} could not be imported: {said}");
        }
    }
}

/// What `ctr` prints, or what it says when it fails.
fn ctr(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("ctr").args(arguments).output().map_err(|error| error.to_string())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

impl Shared {
    /// Makes who the node is: users for kubelet and kube-proxy, and the kubelet's own certificate.
    fn node_identities(&self) -> (PathBuf, PathBuf) {
        self.pki.server("kubelet-server", &[NODE, &REACHABLE.to_string()]);
        let kubelet = self.certificate("kubelet", &format!("system:node:{NODE}"), Some("system:nodes"));
        (kubelet, self.certificate("kube-proxy", "system:kube-proxy", None))
    }
}

/// The archives that every node gets: those of its own pods (`scripts/cluster-tools node`).
pub fn own_images() -> Vec<PathBuf> {
    archives(&program("images"))
}

/// Every `*.tar` of a folder, by name. None when there is no such folder.
pub fn archives(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut all: Vec<_> = paths.filter(|path| path.extension().is_some_and(|end| end == "tar")).collect();
    all.sort();
    all
}
