//! What the tasks of a node share, and the pods that it has.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::{Client, ResourceExt};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;

use super::ProcessNodeConfig;
use super::environment::Variable;
use super::logs;
use super::opens::Opens;
use super::plan::Programs;
use super::pod::{self, Desired};
use super::sandbox::Running;
use crate::cluster::Shared;
use crate::cluster::network::Network;

/// Longest wait for killed processes to be reaped.
const REAPING: Duration = Duration::from_secs(10);

/// What the tasks of a node share.
pub(super) struct Inner {
    pub(super) name: String,
    pub(super) address: Ipv4Addr,
    /// Where the API server asks for logs.
    pub(super) port: u16,
    pub(super) since: Timestamp,
    pub(super) config: ProcessNodeConfig,
    programs: Mutex<Programs>,
    pub(super) folder: PathBuf,
    pub(super) client: Client,
    pub(super) cluster: Arc<Shared>,
    pods: Mutex<BTreeMap<String, PodTask>>,
    running: Mutex<BTreeMap<u32, Running>>,
    /// Switched off: what starts now dies at once.
    off: AtomicBool,
}

#[derive(Debug)]
struct PodTask {
    desired: watch::Sender<Desired>,
    task: AbortHandle,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner")
            .field("name", &self.name)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Inner {
    pub(super) fn create(
        cluster: Arc<Shared>,
        name: &str,
        config: ProcessNodeConfig,
        client: Client,
    ) -> Self {
        let address = cluster.network.node();
        cluster.pki.server(&format!("node-{name}-server"), &[&address.to_string()]);
        let folder = cluster.folder.path().join("nodes").join(name);
        std::fs::create_dir_all(folder.join("logs")).expect("a folder of our own");
        Self {
            name: name.to_owned(),
            address,
            port: Network::port_of(address, 10250),
            since: Timestamp::now() + config.clock_ahead,
            programs: Mutex::new(config.programs.clone()),
            config,
            folder,
            client,
            cluster,
            pods: Mutex::default(),
            running: Mutex::default(),
            off: AtomicBool::new(false),
        }
    }

    /// What the node's clock says.
    pub(super) fn now(&self) -> Timestamp {
        Timestamp::now() + self.config.clock_ahead
    }

    /// Takes a pod that is bound to the node, or news of one.
    pub(super) fn accept(self: &Arc<Self>, pod: Pod) {
        let uid = pod.uid().unwrap_or_default();
        let mut pods = self.pods.lock().unwrap();
        let desired = Desired { pod: Arc::new(pod), gone: false };
        if let Some(known) = pods.get(&uid) {
            known.desired.send_replace(desired);
        } else {
            let (desired, seen) = watch::channel(desired);
            let task = tokio::spawn(pod::run(Arc::clone(self), seen)).abort_handle();
            pods.insert(uid, PodTask { desired, task });
        }
    }

    /// Takes that a pod is not in the API any more.
    pub(super) fn release(&self, pod: Pod) {
        if let Some(known) = self.pods.lock().unwrap().get(&pod.uid().unwrap_or_default()) {
            known.desired.send_replace(Desired { pod: Arc::new(pod), gone: true });
        }
    }

    pub(super) fn release_all_but(&self, listed: &BTreeSet<String>) {
        let pods = self.pods.lock().unwrap();
        for (_, known) in pods.iter().filter(|(uid, _)| !listed.contains(*uid)) {
            known.desired.send_modify(|desired| desired.gone = true);
        }
    }

    pub(super) fn forget(&self, pod: &Pod) {
        self.pods.lock().unwrap().remove(&pod.uid().unwrap_or_default());
    }

    pub(super) fn programs(&self) -> Programs {
        self.programs.lock().unwrap().clone()
    }

    /// What every container gets before its own environment: its host name and the way to the API server.
    pub(super) fn basics(&self, pod: &Pod) -> Vec<Variable> {
        let layout = &self.cluster.layout;
        let all = [
            ("HOSTNAME", pod.name_any()),
            ("KUBERNETES_SERVICE_HOST", layout.address.to_string()),
            ("KUBERNETES_SERVICE_PORT", layout.api_server.to_string()),
        ];
        all.map(|(name, value)| (name.to_owned(), value)).to_vec()
    }

    pub(super) fn opens(&self) -> &Opens {
        &self.cluster.opens
    }

    pub(super) fn volumes(&self) -> PathBuf {
        self.cluster.volumes()
    }

    pub(super) fn pod_folder(&self, pod: &Pod) -> PathBuf {
        self.folder.join("pods").join(pod.uid().unwrap_or_default())
    }

    /// TLS with the node's certificate.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        let file = |ending: &str| self.cluster.pki.file(&format!("node-{}-server.{ending}", self.name));
        logs::acceptor(&file("crt"), &file("key"))
    }

    /// Where logs lie.
    pub(super) fn logs(&self) -> PathBuf {
        self.folder.join("logs")
    }

    /// Where a run of a container prints to.
    pub(super) fn log_file(&self, pod: &Pod, container: &str, restarts: i32) -> io::Result<PathBuf> {
        let (uid, name) = identity(pod);
        let folder = self.logs().join(format!("{}_{uid}_{container}", name.replace('/', "_")));
        std::fs::create_dir_all(&folder)?;
        Ok(folder.join(restarts.to_string()))
    }

    /// Whether what prints there still runs.
    pub(super) fn is_printing(&self, log: &Path) -> bool {
        self.running.lock().unwrap().values().any(|running| running.log == log)
    }

    pub(super) fn started(&self, running: &Running) {
        self.running.lock().unwrap().insert(running.pid, running.clone());
        if self.off.load(Ordering::SeqCst) {
            running.kill();
        }
    }

    pub(super) fn reaped(&self, pid: u32) {
        self.running.lock().unwrap().remove(&pid);
    }

    pub(super) fn processes(&self) -> Vec<u32> {
        self.running.lock().unwrap().keys().copied().collect()
    }

    pub(super) fn set_program(&self, image: &str, program: PathBuf) {
        self.programs.lock().unwrap().insert(image.to_owned(), program);
    }

    pub(super) fn switch_on(&self) {
        self.off.store(false, Ordering::SeqCst);
    }

    /// Ends all tasks of pods and kills their processes.
    pub(super) fn switch_off(&self) {
        self.off.store(true, Ordering::SeqCst);
        let pods = std::mem::take(&mut *self.pods.lock().unwrap());
        for pod in pods.values() {
            pod.task.abort();
        }
        let running = self.running.lock().unwrap().clone();
        running.values().for_each(Running::kill);
        for process in running.values() {
            process.wait_reaped(REAPING);
        }
    }

    pub(super) fn note(&self, text: &str) {
        let file = std::fs::File::options().create(true).append(true).open(self.folder.join("node.log"));
        let _ = file.and_then(|mut file| writeln!(file, "{text}"));
    }
}

/// UID and `namespace/name` of a pod.
pub(super) fn identity(pod: &Pod) -> (String, String) {
    (pod.uid().unwrap_or_default(), format!("{}/{}", pod.namespace().unwrap_or_default(), pod.name_any()))
}
