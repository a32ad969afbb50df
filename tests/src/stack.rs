//! The operator, a node and a simulator for one test: sessions are applied as a platform team applies them.
//!
//! Comes in: manifests' specs. Goes out: what the API server shows of them, and their pods. The operator runs as a process
//! with the chart's own roles, so a right that the chart forgets fails every test here.
//! It must not look into the operator: tests judge by the API, by the pods and by the phones.

use std::path::{Path, PathBuf};

use reqwest::Method;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use crate::api_proxy::ApiProxy;
use crate::cluster::{self, Cluster, ProcessNode, ProcessNodeConfig};
use crate::crd;
use crate::gateway::ClusterGateway;
use crate::http::{self, Answer};
use crate::process::{Process, program};
use crate::rig::Rig;
use crate::roles;
use crate::service_account::ServiceAccount;

mod sessions;

pub use self::sessions::condition;

/// The image of the session program on the node.
pub const IMAGE: &str = "warest/session-pod:test";

/// See the file's comment.
#[derive(Debug)]
pub struct Stack {
    // Dropped in this order: the operator before what it works on.
    operator: Option<Operator>,
    node: ProcessNode,
    rig: Rig,
    namespace: String,
    accounts: roles::Accounts,
    cluster: Place,
    folder: TempDir,
}

#[derive(Debug)]
enum Place {
    Shared(&'static Cluster),
    Own(Box<Cluster>),
}

/// A running operator; dropping it kills it.
#[derive(Debug)]
pub struct Operator {
    process: Process,
    url: String,
}

impl Operator {
    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// `GET` of its HTTP interface.
    pub async fn get(&self, path: &str) -> Answer {
        http::json(Method::GET, &format!("{}{path}", self.url), &Value::Null).await
    }
}

impl Stack {
    /// A namespace of the shared cluster with an operator that watches it alone.
    pub async fn start() -> Self {
        let mut stack = Self::without_operator().await;
        stack.start_operator(&[]).await;
        stack
    }

    /// [`Stack::start`] without the operator.
    pub async fn without_operator() -> Self {
        Self::without_operator_on(ProcessNodeConfig::default()).await
    }

    /// [`Stack::without_operator`] with a node of this kind.
    pub async fn without_operator_on(node: ProcessNodeConfig) -> Self {
        Self::on(Place::Shared(cluster::shared().await), node).await
    }

    /// A stack without operator on a cluster that is this test's alone.
    pub async fn on_own_cluster(cluster: Cluster) -> Self {
        Self::on(Place::Own(Box::new(cluster)), ProcessNodeConfig::default()).await
    }

    async fn on(place: Place, config: ProcessNodeConfig) -> Self {
        let cluster = place.cluster();
        crd::install(cluster).await;
        let namespace = cluster.restricted_namespace("stack").await;
        let accounts =
            roles::install(cluster, &namespace, &[&format!("watchNamespaces={{{namespace}}}")]).await;
        let node = node(cluster, &namespace, &format!("node-{namespace}"), config).await;
        let folder = TempDir::new().expect("a folder");
        Self { operator: None, node, rig: Rig::start().await, namespace, accounts, cluster: place, folder }
    }

    /// The cluster.
    pub fn cluster(&self) -> &Cluster {
        self.cluster.cluster()
    }

    /// The node that all pods of this stack run on.
    pub fn node(&self) -> &ProcessNode {
        &self.node
    }

    /// One more node for the pods of this stack.
    pub async fn another_node(&self, name: &str) -> ProcessNode {
        let config = ProcessNodeConfig::default();
        node(self.cluster(), &self.namespace, &format!("{name}-{}", self.namespace), config).await
    }

    /// WhatsApp and its phones.
    pub fn rig(&self) -> &Rig {
        &self.rig
    }

    /// The namespace of operator and sessions.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The operator.
    ///
    /// # Panics
    /// When none was started.
    pub fn operator(&mut self) -> &mut Operator {
        self.operator.as_mut().expect("an operator runs")
    }

    /// Starts the operator with the chart's rights and more environment.
    pub async fn start_operator(&mut self, more: &[(&str, &str)]) {
        let kubeconfig =
            self.cluster().kubeconfig_for_service_account(&self.namespace, &self.accounts.operator).await;
        self.operator = Some(self.spawn_operator(with(&kubeconfig), more).await);
    }

    /// Starts the operator as in a pod of this service account.
    pub async fn start_operator_as(&mut self, account: &ServiceAccount, more: &[(&str, &str)]) {
        self.operator = Some(self.spawn_operator(account.command(&program("operator")), more).await);
    }

    /// Starts the operator so that all that it asks of the API server goes through a proxy.
    pub async fn start_operator_through(&mut self, proxy: &ApiProxy, more: &[(&str, &str)]) {
        let token = self.cluster().service_account_token(&self.namespace, &self.accounts.operator).await;
        let kubeconfig = proxy.kubeconfig(self.folder.path(), &token, &self.namespace);
        self.operator = Some(self.spawn_operator(with(&kubeconfig), more).await);
    }

    /// Gives the operator away: it goes on, and another one may be started.
    ///
    /// # Panics
    /// When none was started.
    pub fn part_with_operator(&mut self) -> Operator {
        self.operator.take().expect("an operator runs")
    }

    /// `kill -9` of the operator, if one runs.
    pub async fn kill_operator(&mut self) {
        if let Some(mut operator) = self.operator.take() {
            operator.process.kill().await;
        }
    }

    /// A proxy in front of this stack's API server.
    pub async fn proxy(&self) -> ApiProxy {
        let cluster = self.cluster();
        ApiProxy::start(&cluster.api_server_url(), cluster.ca_pem().as_ref()).await
    }

    async fn spawn_operator(&self, mut command: Command, more: &[(&str, &str)]) -> Operator {
        static STARTED: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let number = STARTED.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let address = self.folder.path().join(format!("operator-{number}.address"));
        command
            .env("WAREST_NAMESPACE", &self.namespace)
            .env("WAREST_WATCH_NAMESPACES", &self.namespace)
            .env("WAREST_SESSION_IMAGE", IMAGE)
            .env("WAREST_WHATSAPP_URL", self.rig.ws_url())
            .env("WAREST_LISTEN", "127.0.0.1:0")
            .env("WAREST_ADDRESS_FILE", &address)
            // Nodes here report the end of a pod within moments: a pod that vanished without a word is waited for this long.
            .env("WAREST_NODE_GRACE_SECONDS", "3")
            .envs(more.iter().copied());
        let mut process = Process::start(command, &self.operator_log());
        let url = format!("http://{}", process.announced(&address).await);
        Operator { process, url }
    }

    /// What all operators of this stack have logged.
    pub fn operator_log(&self) -> PathBuf {
        self.folder.path().join("operator.log")
    }

    /// Starts a gateway in this namespace with the chart's rights and the admin key [`crate::gateway::ADMIN`].
    pub async fn gateway(&self) -> ClusterGateway {
        let kubeconfig =
            self.cluster().kubeconfig_for_service_account(&self.namespace, &self.accounts.gateway).await;
        ClusterGateway::with(&self.namespace, &kubeconfig, &[("ADMIN_API_KEY", crate::gateway::ADMIN)]).await
    }
}

impl Place {
    fn cluster(&self) -> &Cluster {
        match self {
            Self::Shared(cluster) => cluster,
            Self::Own(cluster) => cluster,
        }
    }
}

/// An operator that finds the API server by this file.
fn with(kubeconfig: &Path) -> Command {
    let mut command = Command::new(program("operator"));
    command.env("KUBECONFIG", kubeconfig);
    command
}

/// A node that runs the session program for the pods of one namespace.
async fn node(cluster: &Cluster, namespace: &str, name: &str, config: ProcessNodeConfig) -> ProcessNode {
    let mut config = config.image("warest/session-pod", program("session-pod"));
    config.labels = vec![("test".to_owned(), namespace.to_owned())];
    ProcessNode::start(cluster, name, config).await
}
