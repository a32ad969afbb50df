//! The operator, a node and a simulator for one test: sessions are applied as a platform team applies them.
//!
//! Comes in: manifests' specs. Goes out: what the API server shows of them, and their pods. The operator runs as a process
//! with the chart's own roles, so a right that the chart forgets fails every test here.
//! It must not look into the operator: tests judge by the API, by the pods and by the phones.

use std::path::PathBuf;

use crds::{WhatsAppSession, names};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use reqwest::Method;
use serde::Deserialize as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::api_proxy::ApiProxy;
use crate::cluster::{self, Cluster, ProcessNode, ProcessNodeConfig};
use crate::crd;
use crate::http::{self, Answer};
use crate::process::{Process, program};
use crate::rig::{Phone, Rig};
use crate::wait::eventually;

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
    accounts: Accounts,
    cluster: Place,
    folder: TempDir,
}

#[derive(Debug)]
enum Place {
    Shared(&'static Cluster),
    Own(Box<Cluster>),
}

/// Names of the service accounts that the chart makes.
#[derive(Debug)]
struct Accounts {
    operator: String,
    gateway: String,
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
        Self::on(Place::Shared(cluster::shared().await)).await
    }

    /// A stack without operator on a cluster that is this test's alone.
    pub async fn on_own_cluster(cluster: Cluster) -> Self {
        Self::on(Place::Own(Box::new(cluster))).await
    }

    async fn on(place: Place) -> Self {
        let cluster = place.cluster();
        crd::install(cluster).await;
        let namespace = cluster.restricted_namespace("stack").await;
        let accounts = install_roles(cluster, &namespace).await;
        let node = node(cluster, &namespace, &format!("node-{namespace}")).await;
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
        node(self.cluster(), &self.namespace, &format!("{name}-{}", self.namespace)).await
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
        self.operator = Some(self.spawn_operator(kubeconfig, more).await);
    }

    /// Starts the operator so that all that it asks of the API server goes through a proxy.
    pub async fn start_operator_through(&mut self, proxy: &ApiProxy, more: &[(&str, &str)]) {
        let token = self.cluster().service_account_token(&self.namespace, &self.accounts.operator).await;
        let kubeconfig = proxy.kubeconfig(self.folder.path(), &token, &self.namespace);
        self.operator = Some(self.spawn_operator(kubeconfig, more).await);
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

    async fn spawn_operator(&self, kubeconfig: PathBuf, more: &[(&str, &str)]) -> Operator {
        static STARTED: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let number = STARTED.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let address = self.folder.path().join(format!("operator-{number}.address"));
        let mut command = Command::new(program("operator"));
        command
            .env("KUBECONFIG", kubeconfig)
            .env("WAREST_NAMESPACE", &self.namespace)
            .env("WAREST_WATCH_NAMESPACES", &self.namespace)
            .env("WAREST_SESSION_IMAGE", IMAGE)
            .env("WAREST_WHATSAPP_URL", self.rig.ws_url())
            .env("WAREST_LISTEN", "127.0.0.1:0")
            .env("WAREST_ADDRESS_FILE", &address)
            .envs(more.iter().copied());
        let mut process = Process::start(command, &self.operator_log());
        let url = format!("http://{}", process.announced(&address).await);
        Operator { process, url }
    }

    /// What all operators of this stack have logged.
    pub fn operator_log(&self) -> PathBuf {
        self.folder.path().join("operator.log")
    }

    /// A client's view of this namespace's objects. One client per test: it lives in the test's runtime.
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.cluster().client(), &self.namespace)
    }

    /// `kubectl apply` of a session whose pod must run on this stack's node.
    pub async fn apply(&self, name: &str, spec: Value) {
        self.cluster()
            .kubectl_in(&["-n", &self.namespace, "apply", "-f", "-"], &self.manifest(name, spec))
            .await
            .ok();
    }

    /// The manifest that [`Stack::apply`] applies.
    pub fn manifest(&self, name: &str, mut spec: Value) -> String {
        spec["scheduling"]["nodeSelector"]["test"] = self.namespace.clone().into();
        json!({"apiVersion": "warest.io/v1alpha1", "kind": "WhatsAppSession", "metadata": {"name": name}, "spec": spec})
            .to_string()
    }

    /// A merge patch of a session's spec.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn patch(&self, name: &str, spec: Value) -> WhatsAppSession {
        let patch = Patch::Merge(json!({ "spec": spec }));
        self.api::<WhatsAppSession>().patch(name, &PatchParams::default(), &patch).await.expect("it is taken")
    }

    /// A session's resource.
    ///
    /// # Panics
    /// When there is none.
    pub async fn session(&self, name: &str) -> WhatsAppSession {
        self.api::<WhatsAppSession>().get(name).await.expect("the session exists")
    }

    /// A session's pod.
    ///
    /// # Panics
    /// When the API server cannot be asked.
    pub async fn pod(&self, name: &str) -> Option<Pod> {
        self.api::<Pod>().get_opt(&names::pod(name)).await.expect("the API server answers")
    }

    /// UID of a session's pod.
    ///
    /// # Panics
    /// When there is no pod.
    pub async fn pod_uid(&self, name: &str) -> String {
        self.pod(name).await.expect("a pod").metadata.uid.expect("a UID")
    }

    /// A session's claim.
    ///
    /// # Panics
    /// When the API server cannot be asked.
    pub async fn claim(&self, name: &str) -> Option<PersistentVolumeClaim> {
        let api = self.api::<PersistentVolumeClaim>();
        api.get_opt(&names::claim(name)).await.expect("the API server answers")
    }

    /// Waits until a condition of a session is as wanted **for the session's current generation**; gives its message.
    pub async fn reaches(&self, name: &str, type_: &str, status: &str, reason: &str) -> String {
        let api = self.api::<WhatsAppSession>();
        let seen = std::sync::Mutex::new(String::new());
        let ask = || async {
            let session = api.get_opt(name).await.ok()??;
            let found = condition(&session, type_)?;
            *seen.lock().expect("no panic inside") =
                format!("{} {}: {}", found.status, found.reason, found.message);
            let current = found.observed_generation == session.metadata.generation;
            (current && found.status == status && found.reason == reason).then_some(found.message)
        };
        let what = format!("{name}: {type_}={status} {reason}");
        let limit = crate::wait::DEADLINE;
        let found = tokio::time::timeout(limit, crate::wait::within(limit * 2, &what, ask)).await;
        let Ok(message) = found else {
            panic!("{what}; last seen: {}; operator: {}", seen.lock().expect("no panic inside"), self.tail())
        };
        message
    }

    fn tail(&self) -> String {
        let log = std::fs::read_to_string(self.operator_log()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    /// Waits until a session is Ready.
    pub async fn ready(&self, name: &str) {
        self.reaches(name, crds::conditions::READY, "True", crds::conditions::reason::AS_EXPECTED).await;
    }

    /// Applies a session and pairs it with a new phone.
    pub async fn paired(&self, name: &str, spec: Value) -> Phone {
        self.apply(name, spec).await;
        let phone = self.rig.phone().await;
        phone.scan(&self.qr(name).await).await;
        self.ready(name).await;
        phone
    }

    /// Asks a session's pod, with the token of its Secret.
    ///
    /// # Panics
    /// When there is no pod with an address, or no token.
    pub async fn ask(&self, name: &str, method: Method, path: &str, body: &Value) -> Answer {
        let pod = self.pod(name).await.expect("a pod");
        let ip = pod.status.and_then(|s| s.pod_ip).expect("an address");
        let secret = self.api::<Secret>().get(&names::secret(name)).await.expect("the session's Secret");
        let token = secret.data.unwrap_or_default().remove(names::TOKEN_KEY).expect("a token");
        let token = String::from_utf8(token.0).expect("text");
        let url = format!("http://{ip}:{}{path}", names::SESSION_PORT);
        let request = http::client().request(method, url).bearer_auth(token);
        http::send(if body.is_null() { request } else { request.json(body) }).await
    }

    /// Sends a text through a session to a new phone, which must show it.
    pub async fn sends(&self, name: &str, text: &str) {
        let reader = self.rig.phone().await;
        let body = json!({"to": reader.number, "content": {"type": "text", "text": text}});
        self.ask(name, Method::POST, session_api::routes::MESSAGES, &body).await.ok();
        reader.receives(text).await;
    }

    /// The QR code that a session shows.
    pub async fn qr(&self, name: &str) -> String {
        self.reaches(name, crds::conditions::READY, "False", crds::conditions::reason::AWAITING_PAIRING)
            .await;
        eventually("a QR code", || async {
            let answer = self.ask(name, Method::GET, session_api::routes::QR, &Value::Null).await;
            answer.body["qr"].as_str().map(str::to_owned)
        })
        .await
    }

    /// Deletes a session as `kubectl delete --wait=false` does.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn delete(&self, name: &str) {
        let api = self.api::<WhatsAppSession>();
        api.delete(name, &DeleteParams::background()).await.expect("it is taken");
    }

    /// Waits until a session's pod object is gone.
    pub async fn pod_gone(&self, name: &str) {
        eventually("the pod to be gone", || async { self.pod(name).await.is_none().then_some(()) }).await;
    }

    /// Starts a gateway in this namespace with the chart's rights and the admin key [`crate::gateway::ADMIN`].
    pub async fn gateway(&self) -> (Process, String) {
        let kubeconfig =
            self.cluster().kubeconfig_for_service_account(&self.namespace, &self.accounts.gateway).await;
        let address = self.folder.path().join("gateway.address");
        let mut command = Command::new(program("api-gateway"));
        command
            .env("KUBECONFIG", kubeconfig)
            .env("WAREST_MODE", "kubernetes")
            .env("WAREST_NAMESPACE", &self.namespace)
            .env("WAREST_CLUSTER_KEY_NAMESPACE", &self.namespace)
            .env("ADMIN_API_KEY", crate::gateway::ADMIN)
            .env("HOST", "127.0.0.1")
            .env("PORT", "0")
            .env("WAREST_ADDRESS_FILE", &address);
        let mut process = Process::start(command, &self.folder.path().join("gateway.log"));
        let url = format!("http://{}", process.announced(&address).await);
        (process, url)
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

/// A node that runs the session program for the pods of one namespace.
async fn node(cluster: &Cluster, namespace: &str, name: &str) -> ProcessNode {
    let mut config = ProcessNodeConfig::default().image("warest/session-pod", program("session-pod"));
    config.labels = vec![("test".to_owned(), namespace.to_owned())];
    ProcessNode::start(cluster, name, config).await
}

/// A condition of a session.
pub fn condition(session: &WhatsAppSession, type_: &str) -> Option<Condition> {
    session.status.as_ref()?.conditions.iter().find(|c| c.type_ == type_).cloned()
}

/// Applies the service accounts and roles of the chart, rendered for this namespace alone.
async fn install_roles(cluster: &Cluster, namespace: &str) -> Accounts {
    let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/warest");
    let watch = format!("watchNamespaces={{{namespace}}}");
    let rendered = cluster.helm(&["template", "warest", chart, "-n", namespace, "--set", &watch]).await.ok();
    let objects: Vec<Value> = serde_norway::Deserializer::from_str(&rendered)
        .map(|document| Value::deserialize(document).expect("YAML"))
        .filter(|object| {
            let kind = object["kind"].as_str().unwrap_or_default();
            kind == "ServiceAccount" || kind.ends_with("Role") || kind.ends_with("RoleBinding")
        })
        .collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
    cluster.kubectl_in(&["-n", namespace, "apply", "-f", "-"], &list).await.ok();
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
