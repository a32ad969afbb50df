//! A control plane of its own with kwok: where the operator, or a bare client in its place, is measured.
//!
//! Comes in: nothing. Goes out: a namespace, the operator's service account with the chart's own rights, a [`View`], and what that
//! account has asked of the API server.

use std::path::{Path, PathBuf};

use crds::{WhatsAppSession, WhatsAppSessionSpec, names};
use futures_util::StreamExt as _;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use system_tests::cluster::kwok::{self, Kwok};
use system_tests::cluster::{AuditEntry, Cluster, ClusterConfig, clients};
use system_tests::crd;
use tempfile::TempDir;

use super::listener::KEY;
use super::processors::Processors;
use super::view::View;

/// Requests that are under way at the same time: of who creates sessions, and of the bare client.
pub(super) const CONNECTIONS: usize = 16;

/// Nodes of kwok.
const NODES: usize = 10;

/// The chart's service account of the operator.
const ACCOUNT: &str = "warest-operator";

/// Only what is counted is written down: sessions that are created, and all that the operator asks for but its lease.
const AUDIT_POLICY: &str = r#"{
  "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
  "rules": [
    {"level": "Metadata", "verbs": ["create"], "resources": [{"group": "warest.io"}]},
    {"level": "None", "users": ["admin", "system:apiserver", "system:kube-scheduler", "system:kube-controller-manager"]},
    {"level": "None", "userGroups": ["system:serviceaccounts:kube-system", "system:nodes"]},
    {"level": "None", "resources": [{"group": "coordination.k8s.io"}]},
    {"level": "None", "nonResourceURLs": ["*"]},
    {"level": "Metadata"}
  ]
}"#;

/// See the file's comment.
#[derive(Debug)]
pub(super) struct Ground {
    view: View,
    kwok: Kwok,
    namespace: String,
    kubeconfig: PathBuf,
    cluster: Cluster,
    _policy: TempDir,
}

impl Ground {
    pub(super) async fn start() -> Self {
        let folder = TempDir::new().expect("a folder");
        let policy = folder.path().join("audit-policy.json");
        std::fs::write(&policy, AUDIT_POLICY).expect("a file");
        let api_server = vec![format!("--audit-policy-file={}", policy.display())];
        let cluster = Cluster::start(ClusterConfig { api_server, ..ClusterConfig::default() }).await;
        crd::install(&cluster).await;
        let namespace = cluster.restricted_namespace("bench").await;
        let kubeconfig = account(&cluster, &namespace).await;
        give_key(&cluster.client(), &namespace).await;
        let kwok = cluster.start_kwok(NODES, kwok::STAGES).await;
        let view = View::follow(&cluster.client(), &namespace);
        Self { view, kwok, namespace, kubeconfig, cluster, _policy: folder }
    }

    pub(super) fn view(&self) -> &View {
        &self.view
    }

    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Of the operator's service account.
    pub(super) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The administrator's.
    pub(super) fn client(&self) -> Client {
        self.cluster.client()
    }

    /// A client with the operator's rights, to be measured in its place.
    pub(super) fn bare_client(&self) -> Client {
        clients::client_from(&self.kubeconfig)
    }

    /// Everything that was written down so far, oldest first.
    pub(super) fn audit(&self) -> Vec<AuditEntry> {
        self.cluster.audit()
    }

    /// Grows with every request that is written down.
    pub(super) fn audit_size(&self) -> u64 {
        self.cluster.folder().join("audit.log").metadata().map_or(0, |log| log.len())
    }

    /// Whether it is the operator, or the bare client, that asked.
    pub(super) fn is_operators(&self, entry: &AuditEntry) -> bool {
        entry.user == format!("system:serviceaccount:{}:{ACCOUNT}", self.namespace)
    }

    /// Processor seconds so far: of every part of the control plane, of kwok, and of this bench.
    pub(super) fn processors(&self) -> Processors {
        let names = ["etcd", "API server", "controllers", "scheduler"];
        let parts = names.into_iter().zip(self.cluster.processes());
        let others =
            self.kwok.process().map(|id| ("kwok", id)).into_iter().chain([("bench", std::process::id())]);
        Processors::of(parts.chain(others))
    }

    /// Creates a session; gives its UID.
    pub(super) async fn create(&self, sessions: &Api<WhatsAppSession>, name: &str) -> String {
        let session = WhatsAppSession::new(name, WhatsAppSessionSpec::default());
        let made = sessions.create(&PostParams::default(), &session).await;
        made.expect("the session is taken").uid().expect("a UID")
    }

    /// The sessions' API, as the administrator.
    pub(super) fn sessions(&self) -> Api<WhatsAppSession> {
        Api::namespaced(self.client(), &self.namespace)
    }
}

/// Deletes a session as `kubectl delete --wait=false` does.
pub(super) async fn delete(sessions: &Api<WhatsAppSession>, name: &str) {
    sessions.delete(name, &DeleteParams::background()).await.expect("it is taken");
}

/// Runs all of these, [`CONNECTIONS`] at a time.
pub(super) async fn at_once<F: Future<Output = ()>>(all: impl Iterator<Item = F>) {
    futures_util::stream::iter(all).buffer_unordered(CONNECTIONS).collect::<Vec<()>>().await;
}

/// Applies the chart's service account and roles of the operator; gives a kubeconfig file of it.
async fn account(cluster: &Cluster, namespace: &str) -> PathBuf {
    let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/warest");
    let templates = ["-s", "templates/operator/serviceaccount.yaml", "-s", "templates/operator/rbac.yaml"];
    let rendered =
        cluster.helm(&[&["template", "warest", chart, "-n", namespace][..], &templates].concat()).await.ok();
    cluster.kubectl_in(&["-n", namespace, "apply", "-f", "-"], &rendered).await.ok();
    cluster.kubeconfig_for_service_account(namespace, ACCOUNT).await
}

/// The key is there before the operator is: it takes what it finds.
async fn give_key(client: &Client, namespace: &str) {
    let mut secret = Secret::default();
    secret.metadata.name = Some(names::CLUSTER_KEY_SECRET.to_owned());
    secret.data = Some([(names::CLUSTER_KEY.to_owned(), ByteString(KEY.to_vec()))].into());
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    secrets.create(&PostParams::default(), &secret).await.expect("a Secret");
}
