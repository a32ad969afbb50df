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
    // Served is more than established, and `kubectl wait` ends with an error while there are no conditions yet.
    let served =
        || async { cluster.kubectl(&["get", "whatsappsessions"]).await.status.success().then_some(()) };
    eventually("the kind to be served", served).await;
}
