//! Wall clocks that disagree by ten minutes: what is decided by time is decided by intervals that the operator itself has
//! measured, so neither a second pod nor a second leader comes of it, and nothing waits for a time that is long past or far off.

use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use crds::WhatsAppSession;
use crds::conditions::{READY, SUSPENDED, reason};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use reqwest::Method;
use serde_json::{Value, json};
use system_tests::cluster::{Cluster, ClusterConfig, overlaps};
use system_tests::process::{Process, program};
use system_tests::stack::{Stack, condition};
use system_tests::wait::eventually;
use system_tests::witness::Witness;
use tempfile::TempDir;
use tokio::process::Command;

use crate::late::LEASE;

mod around;

/// How far the clocks are off, seconds.
pub const AHEAD: &str = "600";
const BEHIND: &str = "-600";

/// A library that shifts the wall clock of the program that it is loaded into.
pub struct Skew {
    library: String,
    folder: TempDir,
}

impl Skew {
    pub async fn compile() -> Self {
        let folder = TempDir::new().unwrap();
        let library = folder.path().join("skewed.so").to_str().unwrap().to_owned();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("it/clocks/skewed.c");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-o", &library]).arg(source);
        assert!(compiler.status().await.unwrap().success());
        Self { library, folder }
    }

    /// The environment of a program whose clock is off by so many seconds.
    fn by<'a>(&'a self, seconds: &'a str) -> [(&'a str, &'a str); 2] {
        [("LD_PRELOAD", &self.library), ("SKEW_SECONDS", seconds)]
    }

    /// Starts an operator with this clock; a former one has gone without waiting for its lease to run out.
    pub async fn start(&self, stack: &mut Stack, seconds: &str) {
        stack.kill_operator().await;
        let [preload, skew] = self.by(seconds);
        stack.start_operator(&[preload, skew, ("WAREST_LEADER_ELECT", "false")]).await;
    }
}

/// A clock that is set while the programs run that look at it.
pub struct Clock {
    skew: Skew,
    file: String,
    wall: AtomicI64,
    monotonic: AtomicI64,
}

impl Clock {
    /// One that is right.
    pub async fn new() -> Self {
        let skew = Skew::compile().await;
        let file = skew.folder.path().join("seconds").to_str().unwrap().to_owned();
        let clock = Self { skew, file, wall: AtomicI64::new(0), monotonic: AtomicI64::new(0) };
        clock.write();
        clock
    }

    /// The environment of a program that has this clock.
    pub fn environment(&self) -> [(&str, &str); 2] {
        [("LD_PRELOAD", &self.skew.library), ("SKEW_FILE", &self.file)]
    }

    /// Sets the wall clock: so many seconds ahead.
    fn set(&self, seconds: i64) {
        self.wall.store(seconds, Ordering::Relaxed);
        self.write();
    }

    /// Lets time go by at once, for both clocks.
    pub fn step(&self, seconds: i64) {
        self.wall.fetch_add(seconds, Ordering::Relaxed);
        self.monotonic.fetch_add(seconds, Ordering::Relaxed);
        self.write();
    }

    fn write(&self) {
        let seconds = [&self.wall, &self.monotonic].map(|one| one.load(Ordering::Relaxed).to_ne_bytes());
        let file = std::fs::File::options().create(true).truncate(false).write(true).open(&self.file);
        file.unwrap().write_all_at(&seconds.concat(), 0).unwrap();
    }
}

/// Suspends the session, resumes it, deletes its pod: three pods have to follow each other.
async fn stir(stack: &Stack) {
    stack.patch("toko", json!({"operatingMode": "Suspended"})).await;
    stack.reaches("toko", SUSPENDED, "True", reason::SUSPENDED).await;
    stack.patch("toko", json!({"operatingMode": "Running"})).await;
    stack.ready("toko").await;
    let before = stack.pod_uid("toko").await;
    stack.api::<Pod>().delete("toko", &DeleteParams::default()).await.unwrap();
    eventually("another pod", || async {
        stack.pod("toko").await?.metadata.uid.filter(|uid| *uid != before)
    })
    .await;
    stack.ready("toko").await;
}

/// How far the operator that wrote the session's status last is ahead.
async fn told_ahead(stack: &Stack) -> SignedDuration {
    let at = condition(&stack.session("toko").await, READY).unwrap().last_transition_time.0;
    at.duration_since(Timestamp::now())
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_that_are_twenty_minutes_apart_keep_one_pod() {
    let skew = Skew::compile().await;
    let mut stack = Stack::without_operator().await;
    let witness = Witness::of(&stack).await;
    skew.start(&mut stack, AHEAD).await;
    stack.paired("toko", json!({})).await;
    stir(&stack).await;
    assert!(told_ahead(&stack).await > SignedDuration::from_mins(8), "its clock is ahead");
    skew.start(&mut stack, BEHIND).await;
    stir(&stack).await;
    assert!(told_ahead(&stack).await < SignedDuration::from_mins(-8), "its clock is behind");
    stack.sends("toko", "whatever the time").await;
    assert_eq!(witness.pods(), 5);
    assert_eq!(overlaps(&stack.node().opens()), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_that_another_clock_has_set_is_no_longer_for_that() {
    let skew = Skew::compile().await;
    let mut stack = Stack::without_operator().await;
    skew.start(&mut stack, AHEAD).await;
    stack.paired("toko", json!({})).await;
    let evicted = Patch::Merge(json!({"status": {"phase": "Failed", "reason": "Evicted"}}));
    stack.api::<Pod>().patch_status("toko", &PatchParams::default(), &evicted).await.unwrap();
    eventually("the operator to back off", || async { stack.session("toko").await.status?.recovery }).await;
    // For this one the next pod is due in twenty minutes and ten seconds.
    skew.start(&mut stack, BEHIND).await;
    stack.ready("toko").await;
    assert_eq!(overlaps(&stack.node().opens()), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_is_unlinked_whatever_the_operators_clock_says() {
    let skew = Skew::compile().await;
    let mut stack = Stack::without_operator().await;
    for (name, seconds) in [("behind", BEHIND), ("ahead", AHEAD)] {
        skew.start(&mut stack, seconds).await;
        let phone = stack.paired(name, json!({"onDelete": "Unlink"})).await;
        stack.delete(name).await;
        let api = stack.api::<WhatsAppSession>();
        eventually("the session to be gone", || async {
            api.get_opt(name).await.unwrap().is_none().then_some(())
        })
        .await;
        let all = stack.rig().control(Method::GET, "/phones", &Value::Null).await.ok();
        let own = all["items"].as_array().unwrap().iter().find(|it| it["number"] == phone.number.as_str());
        assert_eq!(own.unwrap()["devices"], json!([]), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_not_given_up_before_its_time_because_a_clock_is_ahead() {
    let skew = Skew::compile().await;
    let config = ClusterConfig { node_grace: Duration::from_secs(4), ..ClusterConfig::default() };
    let mut stack = Stack::on_own_cluster(Cluster::start(config).await).await;
    skew.start(&mut stack, AHEAD).await;
    // Lost for good after five minutes; for this clock those are over when they begin.
    let spec = json!({"onNodeLoss": "Recreate", "storage": {"accessMode": "ReadWriteOnce"}});
    stack.paired("toko", spec).await;
    let pod = stack.pod_uid("toko").await;
    let _spare = stack.another_node("spare").await;
    stack.node().kill();
    stack.reaches("toko", READY, "False", reason::NODE_UNREACHABLE).await;
    stack.node().restart();
    stack.ready("toko").await;
    assert_eq!(stack.pod_uid("toko").await, pod, "it was away for some seconds");
    assert_eq!(overlaps(&stack.cluster().opens()), []);
}

/// Starts another operator of the stack's namespace, with all rights.
async fn rival(stack: &Stack, folder: &Path, more: &[(&str, &str)]) -> Process {
    let address = folder.join("rival.address");
    let mut command = Command::new(program("operator"));
    command
        .env("KUBECONFIG", stack.cluster().kubeconfig())
        .env("WAREST_NAMESPACE", stack.namespace())
        .env("WAREST_WATCH_NAMESPACES", stack.namespace())
        .env("WAREST_SESSION_IMAGE", system_tests::stack::IMAGE)
        .env("WAREST_LISTEN", "127.0.0.1:0")
        .env("WAREST_ADDRESS_FILE", &address)
        .envs(more.iter().copied());
    let mut process = Process::start(command, &folder.join("rival.log"));
    process.announced(&address).await;
    process
}

/// What the lease says; nothing while nobody holds it.
pub async fn lease(stack: &Stack) -> Option<LeaseSpec> {
    let api: Api<Lease> = stack.api();
    let spec = api.get_opt("warest-operator").await.unwrap()?.spec?;
    spec.holder_identity.as_ref().is_some_and(|holder| !holder.is_empty()).then_some(spec)
}

/// Two operators, the first of which leads: the other one takes nothing from it while it renews, and does soon when it is dead.
async fn succession(first: &str, second: &str) {
    const DURATION: Duration = Duration::from_secs(6);
    let skew = Skew::compile().await;
    let mut stack = Stack::without_operator().await;
    stack.start_operator(&[&skew.by(first)[..], &LEASE[..]].concat()).await;
    let before = eventually("a leader", || lease(&stack)).await;
    let folder = TempDir::new().unwrap();
    let _rival = rival(&stack, folder.path(), &[&skew.by(second)[..], &LEASE[..]].concat()).await;
    let mut renewed = before.renew_time.clone();
    for _ in 0..8 {
        let now = eventually("the lease to be renewed", || async {
            lease(&stack).await.filter(|lease| lease.renew_time != renewed)
        })
        .await;
        assert_eq!(now.holder_identity, before.holder_identity, "{first} leads before {second}");
        renewed = now.renew_time;
    }
    stack.kill_operator().await;
    let killed = Instant::now();
    eventually("another leader", || async {
        lease(&stack).await.filter(|lease| lease.holder_identity != before.holder_identity)
    })
    .await;
    assert!(killed.elapsed() > DURATION / 2, "it was waited for: {:?}", killed.elapsed());
    assert!(killed.elapsed() < DURATION * 5, "but not for minutes: {:?}", killed.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_clock_is_ahead_is_succeeded_as_any_other() {
    succession(AHEAD, BEHIND).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_clock_is_behind_is_not_robbed_of_its_lease() {
    succession(BEHIND, AHEAD).await;
}
