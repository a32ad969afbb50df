//! A real Kubernetes control plane for tests: etcd, kube-apiserver, kube-controller-manager and kube-scheduler on loopback.
//!
//! Comes in: the programs in `tests/cluster/bin` (`scripts/cluster-tools` puts them there) and a [`ClusterConfig`].
//! Goes out: a [`Cluster`] with clients, kubeconfig files, the audit log, and nodes that run pods: [`ProcessNode`] runs the
//! real programs as processes, [`Kwok`] plays any number of pods, [`ContainerNode`] is a kubelet with containers.
//! It must not share a port or a folder with another cluster, nor leave a process or a folder behind: dropped values stop
//! what they started, and [`janitor`] does it for a test process that was killed.

pub mod audit;
pub mod clients;
pub mod component;
pub mod container_node;
pub mod control_plane;
pub mod faults;
pub mod janitor;
mod kubeconfig;
pub mod kwok;
mod network;
pub mod node;
mod pki;
mod provisioner;
pub mod relay;
pub mod tools;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use k8s_openapi::api::storage::v1::StorageClass;
use kube::Api;
use kube::api::{GetParams, PostParams};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;

pub use audit::AuditEntry;
pub use component::program;
pub use container_node::ContainerNode;
pub use control_plane::ClusterConfig;
pub use kwok::Kwok;
pub use node::{Open, ProcessNode, ProcessNodeConfig, overlaps};
pub use relay::{Link, Relay};
pub use tools::Output;

use crate::wait::eventually;
use component::Component;
use control_plane::{AUDIT_POLICY, Layout};
use kubeconfig::Identity;
use network::Network;
use node::opens::Opens;
use pki::Pki;

/// See the file's comment.
#[derive(Debug)]
pub struct Cluster {
    // Before the folder: programs end first.
    components: Mutex<Components>,
    provisioner: Option<Runtime>,
    shared: Arc<Shared>,
    namespaces: AtomicU32,
    started_in: Duration,
}

/// What the nodes of a cluster know of it, too.
#[derive(Debug)]
struct Shared {
    layout: Layout,
    network: Network,
    pki: Pki,
    opens: Opens,
    folder: TempDir,
}

#[derive(Debug)]
struct Components {
    scheduler: Option<Component>,
    controller_manager: Option<Component>,
    api_server: Component,
    etcd: Component,
}

/// One control plane for all tests of a process that keep to namespaces of their own. It ends with the process.
pub async fn shared() -> &'static Cluster {
    static SHARED: OnceCell<Cluster> = OnceCell::const_new();
    SHARED.get_or_init(|| Cluster::start(ClusterConfig::default())).await
}

impl Cluster {
    /// Starts a control plane and waits until it takes pods.
    ///
    /// # Panics
    /// When a program is missing or ends, or nothing is ready before the deadline.
    pub async fn start(config: ClusterConfig) -> Self {
        let begun = Instant::now();
        let shared = Arc::new(Shared::create(config.reachable));
        let folder = shared.folder.path();
        let (layout, start) = (&shared.layout, |name, arguments| Component::start(name, arguments, folder));
        let components = Components {
            etcd: start("etcd", layout.etcd()),
            api_server: start("kube-apiserver", layout.api_server(&config)),
            controller_manager: None,
            scheduler: None,
        };
        let mut cluster = Self {
            components: Mutex::new(components),
            provisioner: None,
            shared: Arc::clone(&shared),
            namespaces: AtomicU32::new(0),
            started_in: Duration::ZERO,
        };
        cluster.ready().await;
        {
            let mut components = cluster.components.lock().unwrap();
            components.controller_manager =
                Some(start("kube-controller-manager", layout.controller_manager(&config)));
            components.scheduler = Some(start("kube-scheduler", layout.scheduler()));
        }
        if config.reachable.is_none() {
            cluster.provide_volumes().await;
        }
        cluster.complete("default").await;
        cluster.started_in = begun.elapsed();
        cluster
    }

    /// Starts the provisioner, in a runtime of its own: it outlives the test that started a shared cluster.
    async fn provide_volumes(&mut self) {
        let classes: Api<StorageClass> = Api::all(self.client());
        for class in provisioner::classes() {
            classes.create(&PostParams::default(), &class).await.expect("a storage class");
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let client = {
            let _inside = runtime.enter();
            self.client()
        };
        runtime.spawn(provisioner::run(client, Arc::clone(&self.shared)));
        self.provisioner = Some(runtime);
    }

    /// How long [`Cluster::start`] took.
    pub fn started_in(&self) -> Duration {
        self.started_in
    }

    async fn ready(&self) {
        let client = self.client();
        eventually("the API server to be ready", || async {
            self.check();
            let request =
                kube::core::Request::new("").get("readyz", &GetParams::default()).expect("a request");
            client.request_text(request).await.ok().filter(|text| text == "ok")
        })
        .await;
    }

    /// Asserts that no program ended by itself.
    fn check(&self) {
        let mut components = self.components.lock().unwrap();
        components.etcd.check();
        components.api_server.check();
        let Components { scheduler, controller_manager, .. } = &mut *components;
        scheduler.iter_mut().chain(controller_manager).for_each(Component::check);
    }

    /// Every request that the API server has answered so far, oldest first (see [`ClusterConfig::audit`]).
    pub fn audit(&self) -> Vec<AuditEntry> {
        let log = std::fs::read(self.folder().join("audit.log")).unwrap_or_default();
        audit::parse(&String::from_utf8_lossy(&log))
    }

    /// Every volume that a process of any node has or had, in the order of starts (see [`overlaps`]).
    pub fn opens(&self) -> Vec<Open> {
        self.shared.opens.all()
    }

    /// Folder of the cluster: logs of its programs, kubeconfig files, volumes.
    pub fn folder(&self) -> &Path {
        self.shared.folder.path()
    }

    /// URL of the API server.
    pub fn api_server_url(&self) -> String {
        self.shared.layout.server()
    }

    /// Certificate of the authority that the API server's is from, PEM.
    ///
    /// # Panics
    /// When the cluster's folder was removed.
    pub fn ca_pem(&self) -> String {
        std::fs::read_to_string(self.shared.pki.file("ca.crt")).expect("a certificate")
    }

    /// Process ids of etcd, the API server, the controller manager and the scheduler, of those that run.
    pub fn processes(&self) -> Vec<u32> {
        let components = self.components.lock().unwrap();
        let Components { scheduler, controller_manager, api_server, etcd } = &*components;
        let all = [Some(etcd), Some(api_server), controller_manager.as_ref(), scheduler.as_ref()];
        all.into_iter().flatten().filter_map(Component::id).collect()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(runtime) = self.provisioner.take() {
            runtime.shutdown_background();
        }
    }
}

impl Shared {
    fn create(reachable: Option<Ipv4Addr>) -> Self {
        let folder = janitor::folder("control-plane-");
        let network = Network::claim();
        let layout = Layout {
            folder: folder.path().to_owned(),
            address: network.control_plane(),
            etcd: network.port(2379),
            etcd_peers: network.port(2380),
            api_server: network.port(6443),
            controller_manager: network.port(10257),
            scheduler: network.port(10259),
        };
        let addresses: Vec<_> = reachable.into_iter().chain([layout.address]).collect();
        let pki = Pki::create(folder.path().join("pki"), &addresses);
        let shared = Self { layout, network, pki, opens: Opens::default(), folder };
        shared.certificate("admin", "admin", Some("system:masters"));
        shared.certificate("controller-manager", "system:kube-controller-manager", None);
        shared.certificate("scheduler", "system:kube-scheduler", None);
        std::fs::write(shared.folder.path().join("audit-policy.json"), AUDIT_POLICY).expect("a file");
        shared
    }

    /// Where persistent volumes lie, each in a folder of its name.
    fn volumes(&self) -> PathBuf {
        self.folder.path().join("volumes")
    }

    /// Makes a user with a certificate; its kubeconfig file is `<name>.kubeconfig`.
    fn certificate(&self, name: &str, user: &str, group: Option<&str>) -> PathBuf {
        self.pki.client(name, user, group);
        let file = |ending: &str| self.pki.file(&format!("{name}.{ending}"));
        let identity = Identity::Certificate { certificate: file("crt"), key: file("key") };
        self.kubeconfig(name, &self.layout.server(), "default", &identity)
    }

    /// Writes `<name>.kubeconfig`.
    fn kubeconfig(&self, name: &str, server: &str, namespace: &str, identity: &Identity) -> PathBuf {
        let path = self.folder.path().join(format!("{name}.kubeconfig"));
        let text = kubeconfig::text(server, namespace, &self.pki.file("ca.crt"), identity);
        std::fs::write(&path, text).expect("a file in a folder of our own");
        path
    }
}
