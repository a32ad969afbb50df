//! How far pods and sessions have come, from watches: listing a thousand pods twice a second would cost more than what is measured.
//!
//! Comes in: watch events of one namespace. Goes out: counts of each batch, which is what stands before the first `-` of a name.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crds::{WhatsAppSession, conditions};
use futures_util::StreamExt as _;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::watcher::{Config, Event, watcher};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// The longest that anything may take.
const LIMIT: Duration = Duration::from_mins(20);

/// How many objects of a batch there are, and how many of them have come how far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) pods: usize,
    pub(super) ready_pods: usize,
    pub(super) sessions: usize,
    /// Sessions with the condition `PodReady`.
    pub(super) pod_ready: usize,
    /// Sessions with the condition `Ready`.
    pub(super) ready: usize,
}

/// What each object counts for, and the sums.
#[derive(Debug, Default)]
struct Counts {
    objects: HashMap<(&'static str, String), Batch>,
    batches: HashMap<String, Batch>,
}

/// Watches that count for as long as the value lives.
#[derive(Debug)]
pub(super) struct View {
    counts: Arc<watch::Sender<Counts>>,
    _watches: JoinSet<()>,
}

impl View {
    pub(super) fn follow(client: &Client, namespace: &str) -> Self {
        let counts = Arc::new(watch::Sender::new(Counts::default()));
        let mut watches = JoinSet::new();
        watches.spawn(count(
            Api::namespaced(client.clone(), namespace),
            Arc::clone(&counts),
            ("pod", of_pod),
        ));
        let of_sessions = ("session", of_session as fn(&WhatsAppSession) -> Batch);
        watches.spawn(count(Api::namespaced(client.clone(), namespace), Arc::clone(&counts), of_sessions));
        Self { counts, _watches: watches }
    }

    /// Waits until a batch has come so far; gives the time at which it had.
    ///
    /// # Panics
    /// When that takes too long; says how far it has come.
    pub(super) async fn reached(&self, batch: &str, enough: impl Fn(&Batch) -> bool) -> Instant {
        let mut counts = self.counts.subscribe();
        let there = counts.wait_for(|counts| enough(&counts.of(batch)));
        let in_time = tokio::time::timeout(LIMIT, there).await.is_ok();
        assert!(in_time, "{batch} has not come far enough: {:?}", self.counts.borrow().of(batch));
        Instant::now()
    }
}

impl Counts {
    fn of(&self, batch: &str) -> Batch {
        self.batches.get(batch).copied().unwrap_or_default()
    }

    /// An object counts for this much from now on.
    fn set(&mut self, kind: &'static str, name: String, now: Batch) {
        let batch = name.split('-').next().unwrap_or_default().to_owned();
        let before = self.objects.insert((kind, name), now).unwrap_or_default();
        let sum = self.batches.entry(batch).or_default();
        *sum = sum.with(now).without(before);
    }

    fn forget(&mut self, kind: &str) {
        let names: Vec<_> = self.objects.keys().filter(|(its, _)| *its == kind).cloned().collect();
        for (kind, name) in names {
            self.set(kind, name, Batch::default());
        }
    }
}

impl Batch {
    fn with(self, other: Self) -> Self {
        self.each(other, |one, other| one + other)
    }

    fn without(self, other: Self) -> Self {
        self.each(other, |one, other| one - other)
    }

    fn each(self, other: Self, of: impl Fn(usize, usize) -> usize) -> Self {
        Self {
            pods: of(self.pods, other.pods),
            ready_pods: of(self.ready_pods, other.ready_pods),
            sessions: of(self.sessions, other.sessions),
            pod_ready: of(self.pod_ready, other.pod_ready),
            ready: of(self.ready, other.ready),
        }
    }
}

async fn count<K>(
    api: Api<K>,
    counts: Arc<watch::Sender<Counts>>,
    (kind, worth): (&'static str, fn(&K) -> Batch),
) where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + 'static,
{
    let events = watcher(api, Config::default());
    events
        .for_each(|event| async {
            match event.expect("a watch of a control plane of our own") {
                Event::Apply(object) | Event::InitApply(object) => {
                    counts.send_modify(|all| all.set(kind, object.name_any(), worth(&object)));
                }
                Event::Delete(object) => {
                    counts.send_modify(|all| all.set(kind, object.name_any(), Batch::default()));
                }
                Event::Init => counts.send_modify(|all| all.forget(kind)),
                Event::InitDone => {}
            }
        })
        .await;
}

fn of_pod(pod: &Pod) -> Batch {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let ready = conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
    Batch { pods: 1, ready_pods: ready.into(), ..Batch::default() }
}

fn of_session(session: &WhatsAppSession) -> Batch {
    let conditions = session.status.as_ref().map_or(&[][..], |status| &status.conditions);
    let holds = |type_: &str| conditions.iter().any(|it| it.type_ == type_ && it.status == "True").into();
    Batch {
        sessions: 1,
        pod_ready: holds(conditions::POD_READY),
        ready: holds(conditions::READY),
        ..Batch::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_told_apart_and_objects_count_once() {
        let mut counts = Counts::default();
        let pod = |ready| Batch { pods: 1, ready_pods: ready, ..Batch::default() };
        counts.set("pod", "a-1".to_owned(), pod(0));
        counts.set("pod", "b-1".to_owned(), pod(1));
        counts.set("pod", "a-1".to_owned(), pod(1));
        counts.set("session", "a-1".to_owned(), Batch { sessions: 1, ..Batch::default() });
        assert_eq!(counts.of("a"), Batch { sessions: 1, ..pod(1) });
        counts.forget("pod");
        assert_eq!(counts.of("a"), Batch { sessions: 1, ..Batch::default() });
        assert_eq!(counts.of("b"), Batch::default());
    }
}
