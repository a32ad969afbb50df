//! Gateways of one namespace with the chart's own rights, and objects that they watch.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use reqwest::Method;
use serde_json::{Value, json};
use system_tests::cluster::{Cluster, Relay};
use system_tests::http::{self, Answer};
use system_tests::process::{Process, program};
use system_tests::wait::eventually;
use tempfile::TempDir;
use tokio::process::Command;

/// The admin's key in [`KEYS`].
pub const ADMIN: &str = "admin-key";
/// A user's key in [`KEYS`].
pub const ALICE: &str = "alice-key";
/// Three keys; the last one sees sessions with the label `team: sales`.
pub const KEYS: &str = "
- {name: root, role: admin, key: admin-key}
- {name: alice, role: user, key: alice-key}
- {name: bob, role: user, key: bob-key, sessions: {matchLabels: {team: sales}}}
";

/// The gateway's service account, as the chart calls it in the release `warest`.
const ACCOUNT: &str = "warest-gateway";

/// One gateway.
pub struct Gateway {
    _process: Process,
    _folder: TempDir,
    pub url: String,
}

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

impl Gateway {
    /// A gateway with the rights that the chart gives it, which reads its keys from the Secret.
    pub async fn start(cluster: &Cluster, namespace: &str) -> Self {
        let kubeconfig = cluster.kubeconfig_for_service_account(namespace, ACCOUNT).await;
        Self::with(namespace, kubeconfig, &[]).await
    }

    /// A gateway whose way to the API server can be cut.
    pub async fn behind(cluster: &Cluster, relay: &Relay, namespace: &str) -> Self {
        let kubeconfig = cluster.kubeconfig_through(relay, namespace, ACCOUNT).await;
        Self::with(namespace, kubeconfig, &[]).await
    }

    /// A gateway with a kubeconfig and more environment.
    pub async fn with(namespace: &str, kubeconfig: PathBuf, more: &[(&str, &str)]) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let folder = TempDir::new().unwrap();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let address = folder.path().join(format!("{number}.address"));
        let mut command = Command::new(program("api-gateway"));
        command
            .env_remove("ADMIN_API_KEY")
            .env("KUBECONFIG", kubeconfig)
            .env("WAREST_MODE", "kubernetes")
            .env("WAREST_NAMESPACE", namespace)
            .env("WAREST_OWN_NAMESPACE", namespace)
            .env("WAREST_CLUSTER_KEY_NAMESPACE", namespace)
            .env("WAREST_KEYS_SECRET", "warest-api-keys")
            .env("WAREST_SETTINGS_NAME", "warest-settings")
            .env("HOST", "127.0.0.1")
            .env("PORT", "0")
            .env("WAREST_ADDRESS_FILE", &address)
            .envs(more.iter().copied());
        let mut process = Process::start(command, &folder.path().join("log"));
        let url = format!("http://{}", process.announced(&address).await);
        Self { _process: process, _folder: folder, url }
    }

    /// A call with a key; `Value::Null` sends no body.
    pub async fn call(&self, key: &str, method: Method, path: &str, body: &Value) -> Answer {
        let request = http::client().request(method, format!("{}{path}", self.url)).header("X-API-Key", key);
        http::send(if body.is_null() { request } else { request.json(body) }).await
    }

    /// `GET` as admin.
    pub async fn get(&self, path: &str) -> Answer {
        self.call(ADMIN, Method::GET, path, &Value::Null).await
    }

    /// `POST` as admin.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call(ADMIN, Method::POST, path, body).await
    }

    /// Waits until it is ready.
    pub async fn ready(self) -> Self {
        eventually("the gateway to be ready", || async {
            let answer = http::json(Method::GET, &format!("{}/health/ready", self.url), &Value::Null).await;
            (answer.status == 200).then_some(())
        })
        .await;
        self
    }

    /// The ids of the sessions that a key sees.
    pub async fn ids(&self, key: &str) -> Vec<String> {
        let list = self.call(key, Method::GET, "/api/sessions", &Value::Null).await.ok();
        list["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits until a session has this status.
    pub async fn session_is(&self, id: &str, status: &str) -> Value {
        eventually(&format!("session {id} to be {status}"), || async {
            let answer = self.get(&format!("/api/sessions/{id}")).await;
            (answer.body["status"] == status).then_some(answer.body)
        })
        .await
    }
}
