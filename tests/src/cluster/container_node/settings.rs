//! The settings of a node's programs, and nothing else.
//!
//! Comes in: where a node lies. Goes out: files and command lines.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::super::Shared;
use super::{NODE, REACHABLE, SOCKET};

/// Addresses of pods. Services have 10.96.0.0/16 (see `control_plane`).
const PODS: &str = "10.244.0.0/16";

/// Address of the cluster's DNS (`tests/cluster/coredns/deploy.yaml`).
const DNS: &str = "10.96.0.10";

/// The image that holds a pod's namespaces (`tests/cluster/pause.c`).
const PAUSE: &str = "localhost/warest/pause:1";

/// Where a node lies, and who it is.
#[derive(Debug)]
pub(super) struct Place {
    folder: PathBuf,
    cgroup: String,
    pki: PathBuf,
    kubelet: PathBuf,
    proxy: PathBuf,
}

impl Place {
    pub(super) fn new(folder: &Path, shared: &Shared, cgroup: &str) -> Self {
        let (kubelet, proxy) = shared.node_identities();
        let pki = shared.layout.folder.join("pki");
        Self { folder: folder.to_owned(), cgroup: format!("/{cgroup}"), pki, kubelet, proxy }
    }

    /// Writes the files that the command lines name.
    pub(super) fn write(&self) {
        for folder in ["cni", "volumes", "pods"] {
            std::fs::create_dir_all(self.folder.join(folder)).expect("a folder of our own");
        }
        let files = [
            ("containerd.toml", self.containerd_toml()),
            ("cni/10-pods.conflist", self.network().to_string()),
            ("kubelet.json", self.kubelet_settings().to_string()),
            // No name outside the cluster resolves, and none is asked for.
            ("resolv.conf", "nameserver 127.0.0.1\n".to_owned()),
        ];
        for (name, text) in files {
            std::fs::write(self.folder.join(name), text).expect("a file in a folder of our own");
        }
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).to_string_lossy().into_owned()
    }

    pub(super) fn containerd(&self) -> Vec<String> {
        vec![format!("--config={}", self.path("containerd.toml"))]
    }

    pub(super) fn kubelet(&self) -> Vec<String> {
        let address = REACHABLE.to_string();
        let pairs = [
            ("config", self.path("kubelet.json")),
            ("kubeconfig", self.kubelet.to_string_lossy().into_owned()),
            ("hostname-override", NODE.to_owned()),
            ("node-ip", address),
            ("root-dir", self.path("kubelet")),
            ("cert-dir", self.path("kubelet/pki")),
        ];
        pairs.map(|(name, value)| format!("--{name}={value}")).to_vec()
    }

    /// The machine's limit of connections is not the node's to set (`conntrack-max-per-core`).
    pub(super) fn proxy(&self) -> Vec<String> {
        let pairs = [
            ("kubeconfig", self.proxy.to_string_lossy().into_owned()),
            ("hostname-override", NODE.to_owned()),
            ("cluster-cidr", PODS.to_owned()),
            ("proxy-mode", "iptables".to_owned()),
            ("conntrack-max-per-core", "0".to_owned()),
        ];
        pairs.map(|(name, value)| format!("--{name}={value}")).to_vec()
    }

    /// `restrict_oom_score_adj`: a root without `CAP_SYS_RESOURCE` cannot lower it, and no pod would start.
    /// `disable_apparmor`: a profile would stay in the machine's kernel.
    fn containerd_toml(&self) -> String {
        let (root, cni) = (self.path("containerd"), self.path("cni"));
        format!(
            r#"version = 2
root = "{root}"
state = "/run/containerd"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs"]
[grpc]
address = "{SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE}"
restrict_oom_score_adj = true
disable_apparmor = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{cni}"
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"
"#
        )
    }

    /// Each pod has a link of its own to the node (`ptp`): whatever one sends to another goes through the node's packet filter,
    /// where Services are.
    fn network(&self) -> Value {
        json!({
            "cniVersion": "1.0.0", "name": "pods",
            "plugins": [
                {"type": "ptp", "ipMasq": true, "ipam": {
                    "type": "host-local", "dataDir": self.path("addresses"),
                    "ranges": [[{"subnet": "10.244.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}],
                }},
                {"type": "portmap", "capabilities": {"portMappings": true}},
            ],
        })
    }

    fn kubelet_settings(&self) -> Value {
        let pki = |name: &str| self.pki.join(name);
        json!({
            "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
            "containerRuntimeEndpoint": format!("unix://{SOCKET}"),
            "cgroupDriver": "cgroupfs", "cgroupRoot": self.cgroup, "failCgroupV1": false, "failSwapOn": false,
            "clusterDNS": [DNS], "clusterDomain": "cluster.local", "resolvConf": self.path("resolv.conf"),
            "authentication": {
                "anonymous": {"enabled": false}, "webhook": {"enabled": true},
                "x509": {"clientCAFile": pki("ca.crt")},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": pki("kubelet-server.crt"), "tlsPrivateKeyFile": pki("kubelet-server.key"),
            // Images come from archives: none may be thrown away, whatever the machine's disk says.
            "evictionHard": {"memory.available": "100Mi"}, "imageGCHighThresholdPercent": 100,
            "serializeImagePulls": false, "syncFrequency": "5s",
            "podLogsDir": self.path("pods"), "volumePluginDir": self.path("volume-plugins"),
        })
    }
}
