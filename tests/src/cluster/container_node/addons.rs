//! What runs on every node as pods: DNS and a provisioner of volumes.
//!
//! Comes in: a Ready node. Goes out: `tests/cluster/*/deploy.yaml` applied, and everything in it available.

use std::path::Path;

use super::super::Cluster;

/// In the files: the node's folder for volumes.
const VOLUMES: &str = "$VOLUMES";

/// Manifests, and the deployments in them.
const ADDONS: [(&str, &str); 2] = [
    (include_str!("../../../cluster/coredns/deploy.yaml"), "kube-system/coredns"),
    (
        include_str!("../../../cluster/local-path-provisioner/deploy.yaml"),
        "local-path-storage/local-path-provisioner",
    ),
];

/// See the file's comment.
///
/// # Panics
/// When one is refused, or not available in time.
pub(super) async fn apply(cluster: &Cluster, folder: &Path) {
    let volumes = folder.join("volumes");
    for (manifest, _) in ADDONS {
        let manifest = manifest.replace(VOLUMES, &volumes.to_string_lossy());
        cluster.kubectl_in(&["apply", "--server-side", "-f", "-"], &manifest).await.ok();
    }
    for (_, name) in ADDONS {
        let (namespace, name) = name.split_once('/').expect("namespace/name");
        let deployment = format!("deployment/{name}");
        cluster.kubectl(&["-n", namespace, "rollout", "status", &deployment, "--timeout=150s"]).await.ok();
    }
}
