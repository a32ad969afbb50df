//! What the API server has seen of an operator, whatever the operator says of itself: its writes, and its pods.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use futures_util::TryStreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt as _, watcher};
use system_tests::cluster::AuditEntry;
use system_tests::stack::{Operator, Stack};
use system_tests::wait::{DEADLINE, within};
use tokio::task::JoinHandle;

/// How many times as many sessions and rounds as usual a test takes: `WAREST_SOAK`.
pub fn soak() -> usize {
    let times = std::env::var_os("WAREST_SOAK");
    times.map_or(1, |times| {
        times.to_str().and_then(|text| text.parse().ok()).expect("WAREST_SOAK is a number")
    })
}

/// What the operator of a stack writes from a moment on.
pub struct Writes<'s> {
    stack: &'s Stack,
    before: usize,
}

impl<'s> Writes<'s> {
    /// From now on.
    pub fn from_now(stack: &'s Stack) -> Self {
        Self { stack, before: stack.cluster().audit().len() }
    }

    /// From when the audit log had so many entries.
    pub fn since(stack: &'s Stack, before: usize) -> Self {
        Self { stack, before }
    }

    /// The requests that have changed something, but for its lease and its Events.
    pub fn all(&self) -> Vec<AuditEntry> {
        let user = format!("system:serviceaccount:{}:warest-operator", self.stack.namespace());
        let mut all = self.stack.cluster().audit();
        all.drain(..self.before);
        all.retain(|entry| entry.user == user && entry.writes() && entry.code < 300);
        all.retain(|entry| !["events", "leases"].contains(&entry.resource.as_str()));
        all
    }

    /// Those that made or deleted something, as `verb resource`, sorted.
    pub fn made_or_deleted(&self) -> Vec<String> {
        let all = self.all().into_iter().filter(|entry| entry.verb == "create" || entry.verb == "delete");
        let mut all: Vec<_> = all.map(|entry| format!("{} {}", entry.verb, entry.resource)).collect();
        all.sort();
        all
    }

    /// How many of them did this to this resource.
    pub fn count(&self, verb: &str, resource: &str) -> usize {
        self.all().iter().filter(|entry| entry.verb == verb && entry.resource == resource).count()
    }
}

/// All pods of a stack by their watch: no state between two looks is missed.
pub struct Population {
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Seen {
    /// Pods of each session that was up once (by UID), and whether they work.
    pods: BTreeMap<String, BTreeMap<String, bool>>,
    up: BTreeSet<String>,
    most: usize,
}

impl Drop for Population {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Population {
    /// Begins to look.
    pub fn of(stack: &Stack) -> Self {
        let pods: Api<Pod> = stack.api();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let notes = seen.clone();
        let task = tokio::spawn(async move {
            let events = watcher(pods, watcher::Config::default()).default_backoff();
            let mut events = std::pin::pin!(events);
            while let Ok(Some(event)) = events.try_next().await {
                notes.lock().unwrap().take(event);
            }
        });
        Self { seen, task }
    }

    /// Waits until exactly so many pods are there, and all of them work.
    pub async fn working(&self, count: usize) {
        let counted = || {
            let seen = self.seen.lock().unwrap();
            let pods = || seen.pods.values().flat_map(BTreeMap::values);
            (pods().count(), pods().filter(|works| **works).count())
        };
        let reached = || async { (counted() == (count, count)).then_some(()) };
        let reached =
            tokio::time::timeout(DEADLINE * 2, within(DEADLINE * 4, "pods that work", reached)).await;
        assert!(reached.is_ok(), "{count} pods that work; there are, and work: {:?}", counted());
    }

    /// How many sessions have been up so far.
    pub fn up(&self) -> usize {
        self.seen.lock().unwrap().up.len()
    }

    /// The most that were away at once, of those that had been up.
    pub fn most(&self) -> usize {
        assert!(!self.task.is_finished(), "the watch goes on");
        self.seen.lock().unwrap().most
    }
}

impl Seen {
    fn take(&mut self, event: Event<Pod>) {
        let (pod, gone) = match event {
            Event::Apply(pod) | Event::InitApply(pod) => (pod, false),
            Event::Delete(pod) => (pod, true),
            Event::Init | Event::InitDone => return,
        };
        let works = works(&pod);
        let Some(owner) = pod.metadata.owner_references.unwrap_or_default().pop() else { return };
        let pods = self.pods.entry(owner.uid.clone()).or_default();
        let uid = pod.metadata.uid.unwrap_or_default();
        if gone {
            pods.remove(&uid);
        } else {
            pods.insert(uid, works);
        }
        if works {
            self.up.insert(owner.uid);
        }
        let away = |session: &&String| !self.pods[*session].values().any(|works| *works);
        self.most = self.most.max(self.up.iter().filter(away).count());
    }
}

/// Whether a pod is ready and nobody has told it to end.
pub fn works(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    let ready = conditions.is_some_and(|all| all.iter().any(|it| it.type_ == "Ready" && it.status == "True"));
    ready && pod.metadata.deletion_timestamp.is_none()
}

/// A figure of the operator, summed over its labels.
pub async fn figure(operator: &Operator, name: &str) -> usize {
    let text = operator.get("/metrics").await.ok();
    let lines = text.as_str().unwrap_or_default().lines();
    let of = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
    lines.filter(of).filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok()).sum()
}
