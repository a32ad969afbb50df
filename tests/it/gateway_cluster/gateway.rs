//! Objects that the gateways of one namespace watch.

use serde_json::{Value, json};
use system_tests::cluster::Cluster;
pub use system_tests::gateway::{ADMIN, ClusterGateway as Gateway, KEYS_SECRET};

/// A user's key in [`KEYS`].
pub const ALICE: &str = "alice-key";
/// Three keys, [`ADMIN`] among them; the last one sees sessions with the label `team: sales`.
pub const KEYS: &str = "
- {name: root, role: admin, key: test-admin-key}
- {name: alice, role: user, key: alice-key}
- {name: bob, role: user, key: bob-key, sessions: {matchLabels: {team: sales}}}
";

/// Makes the Secret that gateways read their keys from, or changes it.
pub async fn keys(cluster: &Cluster, namespace: &str, keys: &str) {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "warest-api-keys"}, "stringData": {"keys.yaml": keys},
    });
    apply(cluster, namespace, &secret).await;
}

/// Makes the key that tokens are derived from, as the operator does; gives it.
pub async fn cluster_key(cluster: &Cluster, namespace: &str) -> [u8; 32] {
    let text = "0123456789abcdef0123456789abcdef";
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "warest-cluster-key"}, "stringData": {"key": text},
    });
    apply(cluster, namespace, &secret).await;
    text.as_bytes().try_into().unwrap()
}

/// `kubectl apply`.
pub async fn apply(cluster: &Cluster, namespace: &str, object: &Value) {
    cluster.kubectl_in(&["-n", namespace, "apply", "-f", "-"], &object.to_string()).await.ok();
}

/// `kubectl get`, as JSON.
pub async fn get(cluster: &Cluster, namespace: &str, what: &str) -> Value {
    let text = cluster.kubectl(&["-n", namespace, "get", what, "-o", "json"]).await.ok();
    serde_json::from_str(&text).unwrap()
}
