//! Two operators, one lead: it is handed over, taken over, and never held twice.

use std::time::{Duration, Instant};

use crds::WhatsAppSession;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use reqwest::Method;
use rustix::process::Signal;
use serde_json::{Value, json};
use system_tests::cluster::{self, Cluster, Link, Relay};
use system_tests::process::{Process, program};
use system_tests::wait::eventually;
use system_tests::{crd, http};
use tempfile::TempDir;
use tokio::process::Command;

/// How long others wait for a leader that does not renew (the default).
const DURATION: Duration = Duration::from_secs(15);

/// Operators of one namespace.
struct Rivals {
    cluster: &'static Cluster,
    namespace: String,
    leases: Api<Lease>,
    folder: TempDir,
}

struct Rival {
    process: Process,
    url: String,
    account: String,
}

impl Rivals {
    async fn new() -> Self {
        let cluster = cluster::shared().await;
        crd::install(cluster).await;
        let namespace = cluster.namespace("lead").await;
        let leases = Api::namespaced(cluster.client(), &namespace);
        Self { cluster, namespace, leases, folder: TempDir::new().unwrap() }
    }

    /// Starts an operator as a service account of its own; it waits until it is ready, which a follower is as well.
    async fn start(&self, name: &str, relay: Option<&Relay>) -> Rival {
        let namespace = &self.namespace;
        self.cluster.kubectl(&["-n", namespace, "create", "serviceaccount", name]).await.ok();
        let account = format!("{namespace}:{name}");
        let binding = format!("{namespace}-{name}");
        let subject = format!("--serviceaccount={account}");
        let grant = ["create", "clusterrolebinding", &binding, "--clusterrole=cluster-admin", &subject];
        self.cluster.kubectl(&grant).await.ok();
        let kubeconfig = match relay {
            Some(relay) => self.cluster.kubeconfig_through(relay, namespace, name).await,
            None => self.cluster.kubeconfig_for_service_account(namespace, name).await,
        };
        let address = self.folder.path().join(format!("{name}.address"));
        let mut command = Command::new(program("operator"));
        command
            .env("KUBECONFIG", kubeconfig)
            .env("WAREST_NAMESPACE", namespace)
            .env("WAREST_WATCH_NAMESPACES", namespace)
            .env("WAREST_SESSION_IMAGE", "warest/session-pod:test")
            .env("WAREST_LISTEN", "127.0.0.1:0")
            .env("WAREST_ADDRESS_FILE", &address);
        let mut process = Process::start(command, &self.folder.path().join(format!("{name}.log")));
        let url = format!("http://{}", process.announced(&address).await);
        let rival = Rival { process, url, account: format!("system:serviceaccount:{account}") };
        eventually("the operator to be ready", || async {
            let answer = http::json(Method::GET, &format!("{}/readyz", rival.url), &Value::Null).await;
            (answer.status == 200).then_some(())
        })
        .await;
        rival
    }

    /// Makes a session, and waits for its pod, which finds no node.
    async fn session(&self) -> Api<WhatsAppSession> {
        let sessions: Api<WhatsAppSession> = Api::namespaced(self.cluster.client(), &self.namespace);
        let spec = json!({"scheduling": {"nodeSelector": {"test": self.namespace}}});
        let session = WhatsAppSession::new("toko", serde_json::from_value(spec).unwrap());
        sessions.create(&PostParams::default(), &session).await.unwrap();
        self.pod(true).await;
        sessions
    }

    /// Waits until its pod is there, or gone.
    async fn pod(&self, there: bool) {
        let pods: Api<Pod> = Api::namespaced(self.cluster.client(), &self.namespace);
        eventually("the pod to be made or deleted", || async {
            (pods.get_opt("toko").await.ok()?.is_some() == there).then_some(())
        })
        .await;
    }

    async fn lease(&self) -> Option<Lease> {
        self.leases.get_opt("warest-operator").await.expect("the API server answers")
    }

    async fn holder(&self) -> Option<String> {
        self.lease().await?.spec?.holder_identity.filter(|holder| !holder.is_empty())
    }

    /// Waits until somebody else than `before` holds the lease.
    async fn new_holder(&self, before: Option<&str>) -> String {
        let other = || async { self.holder().await.filter(|holder| Some(holder.as_str()) != before) };
        eventually("another operator to lead", other).await
    }

    /// Requests of an operator that change something and that the API server got after this moment.
    fn writes_since(&self, rival: &Rival, moment: &str) -> Vec<String> {
        let mut entries = self.cluster.audit();
        entries.retain(|entry| {
            entry.user == rival.account && entry.writes() && entry.received.as_str() > moment
        });
        entries.into_iter().map(|entry| format!("{} {} {}", entry.received, entry.verb, entry.uri)).collect()
    }
}

impl Rival {
    async fn leads(&self) -> bool {
        let answer = http::json(Method::GET, &format!("{}/metrics", self.url), &Value::Null).await;
        answer.body.as_str().unwrap_or_default().lines().any(|line| line == "warest_operator_leader 1")
    }
}

/// When the new leader acquired the lease, by the API server's audit log: RFC 3339, as all its times.
fn acquired(lease: &Lease) -> String {
    lease.spec.as_ref().unwrap().acquire_time.as_ref().unwrap().0.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_graceful_end_hands_the_lead_over_at_once() {
    let rivals = Rivals::new().await;
    let mut first = rivals.start("first", None).await;
    let before = rivals.new_holder(None).await;
    let second = rivals.start("second", None).await;
    assert!(first.leads().await && !second.leads().await);
    assert_eq!(
        rivals.holder().await.as_ref(),
        Some(&before),
        "a second one takes nothing from a leader that lives"
    );

    let told = Instant::now();
    first.process.terminate();
    assert_eq!(first.process.ended().await.code(), Some(0));
    rivals.new_holder(Some(&before)).await;
    assert!(
        told.elapsed() < DURATION * 2 / 3,
        "nobody waited for the lease to run out: {:?}",
        told.elapsed()
    );
    eventually("the second to say so", || async { second.leads().await.then_some(()) }).await;
    assert_eq!(rivals.lease().await.unwrap().spec.unwrap().lease_transitions, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_leader_is_succeeded_when_its_lease_has_run_out() {
    let rivals = Rivals::new().await;
    let mut first = rivals.start("first", None).await;
    let before = rivals.new_holder(None).await;
    let _second = rivals.start("second", None).await;
    let killed = Instant::now();
    first.process.kill().await;
    rivals.new_holder(Some(&before)).await;
    // The last renewal was up to one try before the kill.
    assert!(killed.elapsed() > DURATION.saturating_sub(Duration::from_secs(4)), "{:?}", killed.elapsed());
    assert!(killed.elapsed() < DURATION + Duration::from_secs(15), "{:?}", killed.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_cut_off_ends_before_another_leads() {
    let rivals = Rivals::new().await;
    let relay = rivals.cluster.relay().await;
    let mut first = rivals.start("first", Some(&relay)).await;
    let before = rivals.new_holder(None).await;
    let _second = rivals.start("second", None).await;
    relay.set(Link::Stalled);
    assert_eq!(first.process.ended().await.code(), Some(1), "{}", first.process.output());
    assert_eq!(rivals.holder().await.as_ref(), Some(&before), "it ends while the lease is still its own");
    rivals.new_holder(Some(&before)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_wakes_up_too_late_ends_and_writes_nothing() {
    let rivals = Rivals::new().await;
    let mut first = rivals.start("first", None).await;
    let before = rivals.new_holder(None).await;
    let sessions = rivals.session().await;
    assert_ne!(rivals.writes_since(&first, ""), [""; 0], "it has written before");
    let _second = rivals.start("second", None).await;
    first.process.signal(Signal::STOP);
    let after = rivals.new_holder(Some(&before)).await;
    let moment = acquired(&rivals.lease().await.unwrap());
    // There is something to be done, and the one that leads does it. The other one hears of it when it wakes up.
    let suspend = Patch::Merge(json!({"spec": {"operatingMode": "Suspended"}}));
    sessions.patch("toko", &PatchParams::default(), &suspend).await.unwrap();
    rivals.pod(false).await;
    first.process.signal(Signal::CONT);
    assert_eq!(first.process.ended().await.code(), Some(1));
    assert_eq!(rivals.holder().await, Some(after));
    assert_eq!(rivals.writes_since(&first, &moment), [""; 0]);
}
