//! The status of a pod (pure).
//!
//! Comes in: a pod and what its containers do. Goes out: the status that a kubelet would report, as a strategic merge patch.

use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodCondition};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

/// How a run of a container ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) code: i32,
    pub(super) reason: &'static str,
    pub(super) message: String,
    pub(super) since: Timestamp,
    pub(super) at: Timestamp,
}

/// What a container does now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    Waiting { reason: &'static str, message: String },
    Running { since: Timestamp },
    Ended(Ended),
}

/// All that is reported of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct View {
    pub(super) state: State,
    pub(super) last: Option<Ended>,
    pub(super) restarts: i32,
    pub(super) started: bool,
    pub(super) ready: bool,
}

impl View {
    /// Of a container that has never run.
    pub(super) fn new() -> Self {
        let state = State::Waiting { reason: "ContainerCreating", message: String::new() };
        Self { state, last: None, restarts: 0, started: false, ready: false }
    }

    /// Of a container whose process was lost with its node, as far as the pod's status tells.
    pub(super) fn lost(reported: &ContainerStatus, now: Timestamp) -> Self {
        let running = reported.state.as_ref().and_then(|state| state.running.as_ref());
        let Some(running) = running else { return Self { restarts: reported.restart_count, ..Self::new() } };
        let since = running.started_at.as_ref().map_or(now, |time| time.0);
        let message = "The container could not be located when the node came back".to_owned();
        let last = Ended { code: 137, reason: "ContainerStatusUnknown", message, since, at: now };
        Self { last: Some(last), restarts: reported.restart_count + 1, ..Self::new() }
    }
}

impl View {
    /// When the pod is over: what has not ended counts as ended, as kubelets have it.
    pub(super) fn over(self, now: Timestamp) -> Self {
        if matches!(self.state, State::Ended(_)) {
            return self;
        }
        let message = "The container could not be located when the pod was terminated".to_owned();
        let ended = Ended { code: 137, reason: "ContainerStatusUnknown", message, since: now, at: now };
        Self { state: State::Ended(ended), ready: false, started: false, ..self }
    }
}

/// Where the pod runs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) pod_ip: Ipv4Addr,
    pub(super) host_ip: Ipv4Addr,
    /// When the node took it.
    pub(super) since: Timestamp,
}

/// Whether a container that ended starts again.
pub(super) fn restarts(policy: &str, code: i32) -> bool {
    match policy {
        "Never" => false,
        "OnFailure" => code != 0,
        _ => true,
    }
}

/// The restart policy of a pod.
pub(super) fn restart_policy(pod: &Pod) -> &str {
    pod.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref()).unwrap_or("Always")
}

/// The pod's phase.
pub(super) fn phase(policy: &str, views: &[View]) -> &'static str {
    let ended = |view: &View| match &view.state {
        State::Ended(ended) if !restarts(policy, ended.code) => Some(ended.code),
        State::Ended(_) | State::Waiting { .. } | State::Running { .. } => None,
    };
    let codes: Vec<i32> = views.iter().filter_map(ended).collect();
    if !views.is_empty() && codes.len() == views.len() {
        return if codes.iter().all(|code| *code == 0) { "Succeeded" } else { "Failed" };
    }
    let new = |view: &View| matches!(view.state, State::Waiting { .. }) && view.last.is_none();
    if views.iter().any(new) { "Pending" } else { "Running" }
}

/// The patch of the pod's status; the UID makes it apply to this pod alone.
pub(super) fn patch(pod: &Pod, views: &[View], place: Place, now: Timestamp) -> Value {
    patch_by(restart_policy(pod), pod, views, place, now)
}

/// The last one, of a deleted pod whose containers are all over: whatever its policy, nothing starts again (since Kubernetes 1.27).
pub(super) fn last_patch(pod: &Pod, views: &[View], place: Place, now: Timestamp) -> Value {
    patch_by("Never", pod, views, place, now)
}

fn patch_by(policy: &str, pod: &Pod, views: &[View], place: Place, now: Timestamp) -> Value {
    let phase = phase(policy, views);
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let statuses: Vec<Value> = containers
        .zip(views)
        .map(|(container, view)| {
            let image = container.image.clone().unwrap_or_default();
            let id = format!(
                "process://{}/{}/{}",
                pod.metadata.uid.as_deref().unwrap_or_default(),
                container.name,
                view.restarts
            );
            let id = if matches!(view.state, State::Waiting { .. }) && view.last.is_none() {
                String::new()
            } else {
                id
            };
            json!({
                "name": container.name, "image": image, "imageID": image, "containerID": id,
                "ready": view.ready, "started": view.started, "restartCount": view.restarts,
                "state": state(&view.state), "lastState": view.last.as_ref().map_or_else(|| json!({}), ended),
            })
        })
        .collect();
    json!({
        "metadata": {"uid": pod.metadata.uid},
        "status": {
            "phase": phase,
            "hostIP": place.host_ip, "hostIPs": only(place.host_ip),
            "podIP": place.pod_ip, "podIPs": only(place.pod_ip),
            "startTime": time(place.since),
            "containerStatuses": statuses,
            "conditions": conditions(pod, phase, views, now),
        },
    })
}

/// A list of one address that replaces another (by default, a strategic merge keeps both).
fn only(address: Ipv4Addr) -> Value {
    json!([{"$patch": "replace"}, {"ip": address}])
}

fn conditions(pod: &Pod, phase: &str, views: &[View], now: Timestamp) -> Vec<Value> {
    let over = matches!(phase, "Succeeded" | "Failed");
    let ready = !over && !views.is_empty() && views.iter().all(|view| view.ready);
    let reason = match phase {
        "Succeeded" => "PodCompleted",
        "Failed" => "PodFailed",
        _ => "ContainersNotReady",
    };
    let all = [
        ("PodReadyToStartContainers", !over, ""),
        ("Initialized", true, ""),
        ("ContainersReady", ready, reason),
        ("Ready", ready, reason),
    ];
    let known = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    all.iter().map(|(name, holds, reason)| condition(known, name, *holds, reason, now)).collect()
}

fn condition(known: &[PodCondition], name: &str, holds: bool, reason: &str, now: Timestamp) -> Value {
    let status = if holds { "True" } else { "False" };
    let known = known.iter().find(|condition| condition.type_ == name && condition.status == status);
    let since =
        known.and_then(|condition| condition.last_transition_time.as_ref()).map_or(now, |time| time.0);
    let reason = if holds { Value::Null } else { json!(reason) };
    json!({"type": name, "status": status, "lastTransitionTime": time(since), "reason": reason})
}

fn state(state: &State) -> Value {
    match state {
        State::Waiting { reason, message } => json!({"waiting": {"reason": reason, "message": message}}),
        State::Running { since } => json!({"running": {"startedAt": time(*since)}}),
        State::Ended(it) => ended(it),
    }
}

fn ended(ended: &Ended) -> Value {
    json!({"terminated": {
        "exitCode": ended.code, "reason": ended.reason, "message": ended.message,
        "startedAt": time(ended.since), "finishedAt": time(ended.at),
    }})
}

/// RFC 3339 in whole seconds, as Kubernetes writes it.
pub(super) fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests;
