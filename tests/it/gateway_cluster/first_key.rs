//! The admin key that a gateway makes when it is installed without one: one key, however many gateways start.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use system_tests::cluster::Cluster;
use system_tests::stack::Stack;
use system_tests::wait::eventually;

use super::gateway::{ADMIN, Gateway, KEYS, KEYS_SECRET, apply, cluster_key, get, keys};

/// A gateway that makes the Secret with its keys if it is not there, with the rights that the chart gives it.
async fn making(cluster: &Cluster, namespace: &str) -> Gateway {
    let kubeconfig = cluster.kubeconfig_for_service_account(namespace, "warest-gateway").await;
    let more = [KEYS_SECRET[0], ("WAREST_KEYS_SECRET_CREATE", "true")];
    Gateway::with(namespace, &kubeconfig, &more).await.ready().await
}

fn decoded(secret: &Value, key: &str) -> String {
    String::from_utf8(STANDARD.decode(secret["data"][key].as_str().unwrap()).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn gateways_that_start_together_make_one_admin_key() {
    let stack = Stack::without_operator().await;
    let (cluster, namespace) = (stack.cluster(), stack.namespace());
    cluster_key(cluster, namespace).await;
    let (one, two) = tokio::join!(making(cluster, namespace), making(cluster, namespace));
    let secret = get(cluster, namespace, "secret/warest-api-keys").await;
    let key = decoded(&secret, "admin-api-key");
    assert!(key.starts_with("wk_") && key.len() == 67, "256 bits");
    let list = decoded(&secret, "keys.yaml");
    assert!(
        list.contains("role: admin") && !list.contains(&key),
        "the gateway itself keeps its digest: {list}"
    );
    for gateway in [&one, &two] {
        assert!(gateway.ids(&key).await.is_empty());
    }
    let later = making(cluster, namespace).await;
    assert!(later.ids(&key).await.is_empty());
    let version = |secret: &Value| secret["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    assert_eq!(
        version(&get(cluster, namespace, "secret/warest-api-keys").await),
        version(&secret),
        "made once"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_starts_with_the_key_that_is_there_although_no_secret_may_be_made() {
    let stack = Stack::without_operator().await;
    let (cluster, namespace) = (stack.cluster(), stack.namespace());
    keys(cluster, namespace, KEYS).await;
    cluster_key(cluster, namespace).await;
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": {"count/secrets": "0"}},
    });
    apply(cluster, namespace, &quota).await;
    let secret =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"generateName": "more-"}}).to_string();
    eventually("the quota to be enforced", async || {
        let made = cluster.kubectl_in(&["-n", namespace, "create", "-f", "-"], &secret).await;
        (!made.status.success()).then_some(())
    })
    .await;
    let gateway = making(cluster, namespace).await;
    assert!(gateway.ids(ADMIN).await.is_empty());
}
