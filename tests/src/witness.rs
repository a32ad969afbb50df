//! A witness of all pods of a namespace, as the API server's watch showed them: how many a session ever had, and whether two
//! lived at once.
//!
//! Comes in: the watch of pods. Goes out: what was seen. It must not ask the operator, nor look at a moment's list alone:
//! pods that lived for an instant count.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::{Arc, Mutex};

use futures_util::TryStreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::runtime::{WatchStreamExt as _, watcher};
use tokio::task::JoinHandle;

use crate::stack::Stack;
use crate::wait::eventually;

/// See the file's comment. It ends when dropped.
#[derive(Debug)]
pub struct Witness {
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

/// What was seen so far.
#[derive(Debug, Default)]
struct Seen {
    begun: bool,
    /// UIDs of pods that have not ended, by the UID of their session.
    living: BTreeMap<String, BTreeSet<String>>,
    born: Vec<ObjectMeta>,
    doubles: Vec<BTreeSet<String>>,
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Witness {
    /// Sees all that happens to the pods of a stack's namespace from now on.
    pub async fn of(stack: &Stack) -> Self {
        Self::over(stack.api(), watcher::Config::default()).await
    }

    /// Sees all that happens to those of these pods that `which` selects, from now on.
    ///
    /// # Panics
    /// When they cannot be watched.
    pub async fn over(pods: Api<Pod>, which: watcher::Config) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let notes = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let mut events = pin!(watcher(pods, which).default_backoff());
            while let Ok(Some(event)) = events.try_next().await {
                notes.lock().unwrap().take(event);
            }
        });
        let witness = Self { seen, task };
        eventually("the watch to begin", || async { witness.seen.lock().unwrap().begun.then_some(()) }).await;
        witness
    }

    /// Asserts that no two pods of a session ever lived at once; gives how many pods there ever were.
    ///
    /// # Panics
    /// When two did, or the watch has ended.
    pub fn pods(&self) -> usize {
        self.born().len()
    }

    /// [`Witness::pods`], as each of them was first seen, in that order.
    ///
    /// # Panics
    /// As it does.
    pub fn born(&self) -> Vec<ObjectMeta> {
        assert!(!self.task.is_finished(), "the watch goes on");
        let seen = self.seen.lock().unwrap();
        assert_eq!(seen.doubles, Vec::<BTreeSet<String>>::new(), "two pods of one session");
        seen.born.clone()
    }
}

impl Seen {
    fn take(&mut self, event: watcher::Event<Pod>) {
        let (pod, gone) = match event {
            watcher::Event::Apply(pod) | watcher::Event::InitApply(pod) => (pod, false),
            watcher::Event::Delete(pod) => (pod, true),
            watcher::Event::Init => return,
            watcher::Event::InitDone => return self.begun = true,
        };
        let mut owners = pod.metadata.owner_references.iter().flatten();
        let Some(owner) = owners.find(|owner| owner.controller == Some(true)).cloned() else { return };
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        if !self.born.iter().any(|born| born.uid == pod.metadata.uid) {
            self.born.push(pod.metadata);
        }
        let ended = pod.status.and_then(|s| s.phase).is_some_and(|p| p == "Failed" || p == "Succeeded");
        let living = self.living.entry(owner.uid).or_default();
        if gone || ended {
            living.remove(&uid);
        } else if living.insert(uid) && living.len() > 1 {
            self.doubles.push(living.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(uid: &str, owner: &str, phase: &str) -> Pod {
        let owner = json!({"apiVersion": "v", "kind": "K", "name": "n", "uid": owner, "controller": true});
        let pod = json!({"metadata": {"uid": uid, "ownerReferences": [owner]}, "status": {"phase": phase}});
        serde_json::from_value(pod).unwrap()
    }

    #[test]
    fn two_that_live_at_once_are_noticed_and_those_that_follow_each_other_are_not() {
        let mut seen = Seen::default();
        for (uid, owner, phase) in
            [("a", "s", "Running"), ("b", "t", "Running"), ("a", "s", "Failed"), ("c", "s", "Pending")]
        {
            seen.take(watcher::Event::Apply(pod(uid, owner, phase)));
        }
        assert_eq!((seen.born.len(), seen.doubles.len()), (3, 0));
        seen.take(watcher::Event::Apply(pod("d", "t", "Pending")));
        seen.take(watcher::Event::Delete(pod("d", "t", "Pending")));
        assert_eq!(seen.doubles.len(), 1);
    }
}
