//! One pod of a node: its containers, its status, its end.
//!
//! Comes in: the pod as the API has it, over and over. Goes out: processes, the pod's status, and its final deletion.
//! What the API does not take is offered again: a node that is cut off goes on, and tells later.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Api, ResourceExt};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::container::Container;
use super::inner::Inner;
use super::sources::{Failure, call};
use super::status::{Place, State, View, last_patch, patch, restart_policy, restarts};

/// Between two attempts to reach the API.
const RETRY: Duration = Duration::from_millis(300);

/// A pod as it should be.
#[derive(Debug, Clone)]
pub(super) struct Desired {
    pub(super) pod: Arc<Pod>,
    /// It is not in the API any more.
    pub(super) gone: bool,
}

/// A pod's work.
struct Task {
    node: Arc<Inner>,
    desired: watch::Receiver<Desired>,
    pods: watch::Sender<Arc<Pod>>,
    stop: watch::Sender<Option<Instant>>,
    place: Place,
    views: Vec<View>,
    changes: mpsc::UnboundedReceiver<(usize, View)>,
    containers: JoinSet<()>,
    unreported: bool,
    /// Nothing of it runs, nor will again.
    over: bool,
}

/// Runs a pod until it is gone from the node.
pub(super) async fn run(node: Arc<Inner>, mut desired: watch::Receiver<Desired>) {
    let pod = Arc::clone(&desired.borrow_and_update().pod);
    let (sender, changes) = mpsc::unbounded_channel();
    let place = Place {
        pod_ip: node.cluster.network.pod(),
        host_ip: node.address,
        since: since(&pod).unwrap_or_else(|| node.now()),
    };
    let over = is_over(&pod);
    let mut task = Task {
        views: views(&pod, node.now()),
        pods: watch::Sender::new(Arc::clone(&pod)),
        stop: watch::Sender::new(None),
        containers: JoinSet::new(),
        unreported: !over,
        over,
        node,
        desired,
        place,
        changes,
    };
    task.follow();
    if !over {
        task.start(&sender);
    }
    drop(sender);
    task.live().await;
    task.leave().await;
    let _ = std::fs::remove_dir_all(task.node.pod_folder(&pod));
    task.node.forget(&pod);
}

impl Task {
    fn start(&mut self, sender: &mpsc::UnboundedSender<(usize, View)>) {
        let pod = Arc::clone(&self.pods.borrow());
        let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
        for (index, (container, view)) in containers.zip(&self.views).enumerate() {
            if matches!(view.state, State::Ended(_)) {
                continue;
            }
            let container = Container {
                node: Arc::clone(&self.node),
                index,
                name: container.name.clone(),
                place: self.place,
                pod: self.pods.subscribe(),
                stop: self.stop.subscribe(),
                view: view.clone(),
                views: sender.clone(),
            };
            self.containers.spawn(container.run());
        }
    }

    /// Until all containers are over and the pod is to go.
    async fn live(&mut self) {
        loop {
            if self.unreported {
                self.unreported = !self.report().await;
            }
            if self.containers.is_empty() && self.stop.borrow().is_some() {
                return;
            }
            tokio::select! {
                Ok(()) = self.desired.changed() => self.follow(),
                Some((index, view)) = self.changes.recv() => self.take(index, view),
                Some(_) = self.containers.join_next() => {}
                () = tokio::time::sleep(RETRY), if self.unreported => {}
            }
            while let Ok((index, view)) = self.changes.try_recv() {
                self.take(index, view);
            }
        }
    }

    fn take(&mut self, index: usize, view: View) {
        self.unreported |= self.views[index] != view;
        self.views[index] = view;
    }

    /// Takes over what the API says now: the spec, and whether it shall stop.
    fn follow(&mut self) {
        let Desired { pod, gone } = self.desired.borrow_and_update().clone();
        if gone || pod.metadata.deletion_timestamp.is_some() {
            let deadline = Instant::now() + grace_seconds(&pod);
            self.stop.send_if_modified(|known| {
                let sooner = known.is_none_or(|known| deadline < known);
                if sooner {
                    *known = Some(deadline);
                }
                sooner
            });
        }
        self.pods.send_replace(pod);
    }

    fn gone(&self) -> bool {
        self.desired.borrow().gone
    }

    fn api(&self) -> Api<Pod> {
        let namespace = self.pods.borrow().namespace().unwrap_or_default();
        Api::namespaced(self.node.client.clone(), &namespace)
    }

    /// Writes the status; false when it has to be tried again.
    async fn report(&self) -> bool {
        if self.gone() {
            return true;
        }
        let pod = Arc::clone(&self.pods.borrow());
        let patch = if self.over { last_patch } else { patch };
        let patch = Patch::Strategic(patch(&pod, &self.views, self.place, self.node.now()));
        let (api, name) = (self.api(), pod.name_any());
        match call(api.patch_status(&name, &PatchParams::default(), &patch)).await {
            Ok(_) | Err(Failure::Gone) => true,
            Err(Failure::Refused(text)) => {
                self.node.note(&format!("status of {name} refused: {text}"));
                true
            }
            Err(Failure::Away(_)) => false,
        }
    }

    /// Tells the end of all containers, then removes the pod from the API.
    async fn leave(&mut self) {
        let pod = Arc::clone(&self.pods.borrow());
        if !self.over {
            let now = self.node.now();
            self.views = self.views.drain(..).map(|view| view.over(now)).collect();
            (self.over, self.unreported) = (true, true);
        }
        let preconditions = Preconditions { uid: pod.uid(), resource_version: None };
        let now = DeleteParams {
            grace_period_seconds: Some(0),
            preconditions: Some(preconditions),
            ..DeleteParams::default()
        };
        while !self.gone() {
            if self.unreported {
                self.unreported = !self.report().await;
            } else {
                match call(self.api().delete(&pod.name_any(), &now)).await {
                    Ok(_) | Err(Failure::Gone) => return,
                    Err(Failure::Refused(text)) => {
                        return self.node.note(&format!("deletion refused: {text}"));
                    }
                    Err(Failure::Away(_)) => {}
                }
            }
            // Woken early when the pod is gone.
            let _ = tokio::time::timeout(RETRY, self.desired.changed()).await;
        }
    }
}

/// How long a pod may take to end: what its deletion says, else what it says itself.
pub(super) fn grace_seconds(pod: &Pod) -> Duration {
    let own = pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds);
    let seconds = pod.metadata.deletion_grace_period_seconds.or(own).unwrap_or(30);
    // Even a forced deletion gets a second.
    Duration::from_secs(u64::try_from(seconds).unwrap_or_default().max(1))
}

fn is_over(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// When a node took the pod, if it has said so.
fn since(pod: &Pod) -> Option<Timestamp> {
    Some(pod.status.as_ref()?.start_time.as_ref()?.0)
}

/// What the containers of a pod do that this node has just come to know: nothing, though some may have run before.
fn views(pod: &Pod, now: Timestamp) -> Vec<View> {
    let reported =
        pod.status.as_ref().and_then(|status| status.container_statuses.as_deref()).unwrap_or_default();
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    containers
        .map(|container| {
            let known: Option<&ContainerStatus> =
                reported.iter().find(|status| status.name == container.name);
            let view = known.map_or_else(View::new, |status| View::lost(status, now));
            match view.last.clone().filter(|last| !restarts(restart_policy(pod), last.code)) {
                Some(last) => {
                    View { state: State::Ended(last), last: None, restarts: view.restarts - 1, ..view }
                }
                None => view,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(policy: &str, status: &serde_json::Value) -> Pod {
        let pod = json!({
            "metadata": {"deletionGracePeriodSeconds": 0},
            "spec": {"restartPolicy": policy, "containers": [{"name": "c"}]},
            "status": {"containerStatuses": [status]},
        });
        serde_json::from_value(pod).unwrap()
    }

    #[test]
    fn what_was_lost_starts_again_only_if_its_policy_says_so() {
        let ran = json!({"name": "c", "image": "", "imageID": "", "ready": true, "restartCount": 0,
            "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}});
        let now = Timestamp::UNIX_EPOCH;
        let never = &views(&pod("Never", &ran), now)[0];
        assert!(matches!(never.state, State::Ended(_)) && never.restarts == 0);
        let always = &views(&pod("Always", &ran), now)[0];
        assert!(matches!(always.state, State::Waiting { .. }) && always.restarts == 1);
    }

    #[test]
    fn a_forced_deletion_still_gets_a_second() {
        let status = json!({"name": "c", "image": "", "imageID": "", "ready": true, "restartCount": 0});
        assert_eq!(grace_seconds(&pod("Always", &status)), Duration::from_secs(1));
    }
}
