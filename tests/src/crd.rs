//! The `CustomResourceDefinition` in a test's cluster.

use crate::cluster::Cluster;
use crate::wait::eventually;

/// Applies `crds/whatsappsessions.yaml` as a person would, and waits until the API server knows the kind. Any number of tests
/// may do so at once.
///
/// # Panics
/// When the API server does not take it.
pub async fn install(cluster: &Cluster) {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../crds/whatsappsessions.yaml");
    let known = || async {
        // Two that create it at once: one of them is told that it exists.
        cluster.kubectl(&["apply", "-f", file]).await.status.success().then_some(())
    };
    eventually("the definition to be taken", known).await;
    let established =
        ["wait", "--for=condition=Established", "crd/whatsappsessions.warest.io", "--timeout=30s"];
    cluster.kubectl(&established).await.ok();
    let served =
        || async { cluster.kubectl(&["get", "whatsappsessions"]).await.status.success().then_some(()) };
    eventually("the kind to be served", served).await;
}
