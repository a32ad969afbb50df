//! The chart's own rights for the operator and the gateway.
//!
//! Comes in: a cluster, the release's namespace, values. Goes out: the names of the service accounts. It must not add a right to
//! what the chart renders: a right that the chart forgets has to fail the tests.

use serde::Deserialize as _;
use serde_json::{Value, json};

use crate::cluster::Cluster;

/// Names of the service accounts that the chart makes.
#[derive(Debug)]
pub struct Accounts {
    /// The operator's.
    pub operator: String,
    /// The gateway's.
    pub gateway: String,
}

/// Applies the service accounts and roles of the release `warest` in this namespace, rendered with these values (`name=value`).
///
/// # Panics
/// When the chart cannot be rendered or applied.
pub async fn install(cluster: &Cluster, namespace: &str, values: &[&str]) -> Accounts {
    let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/warest");
    let values = values.iter().flat_map(|value| ["--set", value]);
    let arguments: Vec<&str> =
        ["template", "warest", chart, "-n", namespace].into_iter().chain(values).collect();
    let rendered = cluster.helm(&arguments).await.ok();
    let objects: Vec<Value> = serde_norway::Deserializer::from_str(&rendered)
        .map(|document| Value::deserialize(document).expect("YAML"))
        .filter(|object| {
            let kind = object["kind"].as_str().unwrap_or_default();
            kind == "ServiceAccount" || kind.ends_with("Role") || kind.ends_with("RoleBinding")
        })
        .collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
    cluster.kubectl_in(&["apply", "-f", "-"], &list).await.ok();
    let account = |component: &str| {
        let of = |o: &&Value| {
            o["kind"] == "ServiceAccount"
                && o["metadata"]["labels"]["app.kubernetes.io/component"] == component
        };
        let found =
            objects.iter().find(of).unwrap_or_else(|| panic!("the chart's account of the {component}"));
        found["metadata"]["name"].as_str().expect("a name").to_owned()
    };
    Accounts { operator: account("operator"), gateway: account("api-gateway") }
}
