//! A gateway whose sessions are resources of a cluster.

use std::ops::Deref;
use std::path::Path;

use tempfile::TempDir;
use tokio::process::Command;

use super::{ADMIN, Rest};
use crate::cluster::{Cluster, Relay};
use crate::process::{Process, program};
use crate::service_account::ServiceAccount;
use crate::wait::eventually;

/// The gateway's service account, as the chart calls it in the release `warest`.
const ACCOUNT: &str = "warest-gateway";

/// Environment of a gateway that reads its keys from the Secret of the chart's release `warest`.
pub const KEYS_SECRET: [(&str, &str); 1] = [("WAREST_KEYS_SECRET", "warest-api-keys")];

/// One gateway; dropping it kills it.
#[derive(Debug)]
pub struct ClusterGateway {
    process: Process,
    _folder: TempDir,
    rest: Rest,
}

impl Deref for ClusterGateway {
    type Target = Rest;

    fn deref(&self) -> &Rest {
        &self.rest
    }
}

impl ClusterGateway {
    /// A gateway with the rights that the chart gives it, which reads its keys from the Secret `warest-api-keys`.
    pub async fn start(cluster: &Cluster, namespace: &str) -> Self {
        let kubeconfig = cluster.kubeconfig_for_service_account(namespace, ACCOUNT).await;
        Self::with(namespace, &kubeconfig, &KEYS_SECRET).await
    }

    /// [`ClusterGateway::start`] of a gateway whose way to the API server can be cut.
    pub async fn behind(cluster: &Cluster, relay: &Relay, namespace: &str) -> Self {
        let kubeconfig = cluster.kubeconfig_through(relay, namespace, ACCOUNT).await;
        Self::with(namespace, &kubeconfig, &KEYS_SECRET).await
    }

    /// A gateway with a kubeconfig and more environment, which says where its keys are; it listens when this returns.
    ///
    /// # Panics
    /// When it ends before.
    pub async fn with(namespace: &str, kubeconfig: &Path, more: &[(&str, &str)]) -> Self {
        let mut command = Command::new(program("api-gateway"));
        command.env("KUBECONFIG", kubeconfig);
        Self::spawn(command, namespace, more).await
    }

    /// [`ClusterGateway::with`] of a gateway that runs as in a pod of this service account.
    pub async fn in_pod(account: &ServiceAccount, namespace: &str, more: &[(&str, &str)]) -> Self {
        Self::spawn(account.command(&program("api-gateway")), namespace, more).await
    }

    async fn spawn(mut command: Command, namespace: &str, more: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().expect("a folder");
        let address = folder.path().join("address");
        command
            .env_remove("ADMIN_API_KEY")
            .env("WAREST_MODE", "kubernetes")
            .env("WAREST_NAMESPACE", namespace)
            .env("WAREST_OWN_NAMESPACE", namespace)
            .env("WAREST_CLUSTER_KEY_NAMESPACE", namespace)
            .env("WAREST_SETTINGS_NAME", "warest-settings")
            .env("HOST", "127.0.0.1")
            .env("PORT", "0")
            .env("WAREST_ADDRESS_FILE", &address)
            .envs(more.iter().copied());
        let mut process = Process::start(command, &folder.path().join("log"));
        let rest = Rest::at(&process.announced(&address).await, ADMIN);
        Self { process, _folder: folder, rest }
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Waits until it is ready.
    pub async fn ready(self) -> Self {
        eventually("the gateway to be ready", || async {
            (self.get("/health/ready").await.status == 200).then_some(())
        })
        .await;
        self
    }

    /// The ids of the sessions that a key sees.
    ///
    /// # Panics
    /// When the key is refused.
    pub async fn ids(&self, key: &str) -> Vec<String> {
        let list = self.call(key, reqwest::Method::GET, "/api/sessions", &serde_json::Value::Null).await.ok();
        let id = |item: &serde_json::Value| item["id"].as_str().expect("an id").to_owned();
        list["items"].as_array().expect("a list").iter().map(id).collect()
    }
}
