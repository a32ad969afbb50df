//! A pod, reduced to what is judged: small, because thousands are kept.

use crds::names;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod, PodCondition, PodSpec, PodStatus};
use k8s_openapi::jiff::Timestamp;

use super::{Owner, content};
use crate::build::pod::DATA_VOLUME;

/// The longest grace period that is believed, seconds. Anybody's pod is read here, and the API server knows no bound.
const LONGEST_GRACE: i64 = 24 * 60 * 60;

/// A pod.
#[derive(Debug, Clone, PartialEq)]
pub struct PodSeen {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its resource version.
    pub version: String,
    /// Who controls it.
    pub owner: Option<Owner>,
    /// It has the labels that all children have.
    pub labelled: bool,
    /// When it is to end, once it was deleted.
    pub deleting: Option<Deleting>,
    /// Where it runs.
    pub node: Option<String>,
    /// Its address.
    pub ip: Option<String>,
    /// Its phase.
    pub phase: Phase,
    /// Why it is in this phase: `Evicted`, `OutOfpods`, …
    pub reason: Option<String>,
    /// The same in words.
    pub message: Option<String>,
    /// Since when it is ready, or not.
    pub ready: Option<(bool, Timestamp)>,
    /// Why it finds no node.
    pub unschedulable: Option<String>,
    /// Its container.
    pub container: Container,
    /// How the container ended last.
    pub last_exit: Option<Exit>,
    /// How often the container was restarted.
    pub restarts: i32,
    /// When it was made, by the API server's clock.
    pub created: Option<Timestamp>,
    /// When it was made, by the clock of the operator that made it; the API server's if that is not known.
    pub made: Option<Timestamp>,
    /// Hash of its template.
    pub template_hash: Option<String>,
    /// Hash of what all pods have alike.
    pub revision: Option<String>,
    /// The claim and the folder in it that it writes to.
    pub place: Option<(String, String)>,
    /// Seconds that its containers get to end unless a deletion says otherwise: a day at most.
    pub grace: Option<i64>,
}

/// A pod that is being deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deleting {
    /// By when it should have ended.
    pub deadline: Timestamp,
}

/// `status.phase`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Not every container has been started.
    Pending,
    /// On a node, with containers.
    Running,
    /// Ended well.
    Succeeded,
    /// Ended badly.
    Failed,
    /// The node does not say.
    Unknown,
}

/// The session's container.
#[derive(Debug, Clone, PartialEq)]
pub enum Container {
    /// Nobody has spoken of it yet.
    Unseen,
    /// It is not running.
    Waiting {
        /// `ContainerCreating`, `ImagePullBackOff`, `CrashLoopBackOff`, …
        reason: String,
        /// The same in words.
        message: String,
    },
    /// It is.
    Running {
        /// Since when.
        since: Option<Timestamp>,
    },
    /// It has ended.
    Terminated(Exit),
}

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// Exit code.
    pub code: i32,
    /// `Error`, `OOMKilled`, `Completed`, …
    pub reason: String,
}

impl PodSeen {
    /// Reads a pod.
    pub fn of(pod: &Pod) -> Self {
        let meta = &pod.metadata;
        let status = pod.status.clone().unwrap_or_default();
        let owner = content::controller(meta);
        let annotation = |key: &str| meta.annotations.as_ref().and_then(|all| all.get(key).cloned());
        let name = meta.name.clone().unwrap_or_default();
        let created = meta.creation_timestamp.as_ref().map(|time| time.0);
        Self {
            labelled: content::labelled(meta, &name, owner.as_ref().map_or("", |owner| &owner.uid)),
            name,
            uid: meta.uid.clone().unwrap_or_default(),
            version: meta.resource_version.clone().unwrap_or_default(),
            owner,
            deleting: meta.deletion_timestamp.as_ref().map(|deadline| Deleting { deadline: deadline.0 }),
            node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).filter(|node| !node.is_empty()),
            ip: status.pod_ip.clone().filter(|ip| !ip.is_empty()),
            phase: phase(status.phase.as_deref()),
            ready: condition(&status, "Ready").map(|ready| (ready.status == "True", transition(ready))),
            unschedulable: unschedulable(&status),
            container: container(&status),
            last_exit: last_exit(&status),
            restarts: session_container(&status).map_or(0, |container| container.restart_count),
            reason: status.reason,
            message: status.message,
            created,
            made: annotation(names::MADE_AT).and_then(|made| made.parse().ok()).or(created),
            template_hash: annotation(names::TEMPLATE_HASH),
            revision: annotation(names::REVISION),
            place: pod.spec.as_ref().and_then(place),
            grace: pod.spec.as_ref().and_then(grace),
        }
    }

    /// Whether the session of this UID controls it.
    pub fn is_of(&self, session_uid: &str) -> bool {
        self.owner.as_ref().is_some_and(|owner| owner.uid == session_uid)
    }

    /// Whether it may be writing to this claim and folder.
    pub fn holds(&self, place: &(String, String)) -> bool {
        !self.has_ended() && self.place.as_ref() == Some(place)
    }

    /// Whether it is ready.
    pub fn is_ready(&self) -> bool {
        matches!(self.ready, Some((true, _)))
    }

    /// Whether its kubelet has said that nothing of it runs, or will again. A container that has ended is not enough: it may be
    /// started again. Kubelets since Kubernetes 1.27 say so of pods that are deleted, too.
    /// Of a pod whose node is gone Kubernetes' own collector of pods says so in the kubelet's place: that is believed as the
    /// node's being gone is.
    pub const fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Succeeded | Phase::Failed)
    }

    /// Whether its container has ever run.
    pub const fn has_run(&self) -> bool {
        self.restarts > 0
            || self.last_exit.is_some()
            || matches!(self.container, Container::Running { .. } | Container::Terminated(_))
    }
}

fn place(spec: &PodSpec) -> Option<(String, String)> {
    let volume = spec.volumes.iter().flatten().find(|volume| volume.name == DATA_VOLUME)?;
    let container = spec.containers.iter().find(|container| container.name == names::CONTAINER)?;
    let mount = container.volume_mounts.iter().flatten().find(|mount| mount.name == DATA_VOLUME)?;
    let claim = volume.persistent_volume_claim.as_ref()?.claim_name.clone();
    Some((claim, mount.sub_path.clone().unwrap_or_default()))
}

fn grace(spec: &PodSpec) -> Option<i64> {
    spec.termination_grace_period_seconds.map(|seconds| seconds.clamp(0, LONGEST_GRACE))
}

fn phase(word: Option<&str>) -> Phase {
    match word {
        Some("Running") => Phase::Running,
        Some("Succeeded") => Phase::Succeeded,
        Some("Failed") => Phase::Failed,
        Some("Unknown") => Phase::Unknown,
        _ => Phase::Pending,
    }
}

fn condition<'s>(status: &'s PodStatus, kind: &str) -> Option<&'s PodCondition> {
    status.conditions.as_ref()?.iter().find(|condition| condition.type_ == kind)
}

fn transition(condition: &PodCondition) -> Timestamp {
    condition.last_transition_time.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0)
}

fn unschedulable(status: &PodStatus) -> Option<String> {
    let scheduled = condition(status, "PodScheduled")?;
    let stuck = scheduled.status == "False" && scheduled.reason.as_deref() == Some("Unschedulable");
    stuck.then(|| scheduled.message.clone().unwrap_or_default())
}

fn session_container(status: &PodStatus) -> Option<&ContainerStatus> {
    status.container_statuses.as_ref()?.iter().find(|container| container.name == names::CONTAINER)
}

fn container(status: &PodStatus) -> Container {
    let Some(state) = session_container(status).and_then(|container| container.state.as_ref()) else {
        return Container::Unseen;
    };
    if let Some(running) = &state.running {
        return Container::Running { since: running.started_at.as_ref().map(|time| time.0) };
    }
    if let Some(exit) = exit(state) {
        return Container::Terminated(exit);
    }
    let waiting = state.waiting.clone().unwrap_or_default();
    Container::Waiting {
        reason: waiting.reason.unwrap_or_default(),
        message: waiting.message.unwrap_or_default(),
    }
}

fn last_exit(status: &PodStatus) -> Option<Exit> {
    session_container(status)?.last_state.as_ref().and_then(exit)
}

fn exit(state: &ContainerState) -> Option<Exit> {
    let ended = state.terminated.as_ref()?;
    Some(Exit { code: ended.exit_code, reason: ended.reason.clone().unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_grace_period_is_longer_than_a_day() {
        let read = |seconds| {
            let spec = PodSpec { termination_grace_period_seconds: seconds, ..PodSpec::default() };
            PodSeen::of(&Pod { spec: Some(spec), ..Pod::default() }).grace
        };
        assert_eq!([read(Some(300)), read(None)], [Some(300), None]);
        assert_eq!(read(Some(i64::MAX)), Some(86_400));
        assert_eq!(read(Some(i64::MIN)), Some(0));
    }
}
