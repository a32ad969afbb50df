//! How it stands with a session's pod, and the one thing that is to be done about it.

use std::time::Duration;

use crds::spec::{OperatingMode, UpdateStrategy};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use session_api::SessionState;

use super::recovery::{self, later};
use super::{Decision, Drift, Ending, Rules, Step, Storage, proof, until};
use crate::build::Desired;
use crate::observe::{NodeSeen, Observed, PodSeen, Turn};

/// How it stands with the pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// A pod of that name is somebody else's. Whose it is, for people, and whether it is ending.
    NameConflict {
        /// Whose.
        whose: String,
        /// It goes by itself.
        ending: bool,
    },
    /// These pods claim to be the session's.
    Multiple(Vec<String>),
    /// There is none.
    Absent(Absence),
    /// It is ending.
    Terminating,
    /// Its node does not answer, or did not when the pod went.
    NodeLost {
        /// The node.
        node: String,
        /// Since when, if known.
        since: Option<Timestamp>,
        /// The pod is gone from the API server all the same.
        gone: bool,
    },
    /// It is gone, nobody saw its process end, and its node is well as far as is known.
    Vanished {
        /// The node, if known.
        node: Option<String>,
        /// What is waited for.
        wait: Wait,
    },
    /// It has ended.
    Ended,
    /// It is there.
    Present,
}

/// Until when a process may run that nobody saw end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// What it begins with.
    pub after: After,
    /// Since when that is so.
    pub since: Timestamp,
    /// How long after that the process counts as ended.
    pub wait: SignedDuration,
    /// How much of it is left.
    pub left: SignedDuration,
}

/// What a wait begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// The pod is gone: its node may be dead, and not yet known to be.
    Departure,
    /// The node is back: its kubelet may only now be ending what it finds.
    Return,
}

/// Why there is no pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Absence {
    /// It is about to be made.
    Due,
    /// The last ones failed; the next one is made then.
    BackingOff(Timestamp),
    /// The session is suspended.
    Suspended,
    /// Something else stands in the way (the volume, the spec, the namespace).
    Blocked,
}

impl Standing {
    /// Whether a process may run that no pod stands for any more.
    pub(super) const fn may_run_unseen(&self) -> bool {
        matches!(self, Self::NodeLost { .. } | Self::Vanished { .. })
    }
}

/// Judges the pod.
pub(super) fn judge(seen: &Observed, valid: bool, storage: &Storage, rules: &Rules) -> Standing {
    let name = seen.name();
    if let Some(foreign) = seen.pods.iter().find(|pod| pod.name == name && !pod.is_of(seen.uid())) {
        let whose = foreign.owner.as_ref().map_or_else(
            || "nobody (it has no controlling owner)".to_owned(),
            |owner| format!("{} {} (UID {})", owner.kind, owner.name, owner.uid),
        );
        return Standing::NameConflict { whose, ending: foreign.deleting.is_some() };
    }
    let Some(pod) = seen.own_pod() else {
        let own: Vec<String> = seen.own_pods().map(|pod| pod.name.clone()).collect();
        return if own.is_empty() { absent(seen, valid, storage, rules) } else { Standing::Multiple(own) };
    };
    let looked_at = super::node_to_look_at(seen).is_some();
    match (&pod.node, seen.node) {
        (Some(node), state) if looked_at && state.is_lost() && !pod.has_ended() => {
            Standing::NodeLost { node: node.clone(), since: lost_since(state), gone: false }
        }
        _ if pod.deleting.is_some() => Standing::Terminating,
        _ if pod.has_ended() => Standing::Ended,
        _ => Standing::Present,
    }
}

fn absent(seen: &Observed, valid: bool, storage: &Storage, rules: &Rules) -> Standing {
    if let Some(unproven) = proof::lacking(seen, rules) {
        return unproven;
    }
    // A wait that was noted in the future is another clock's.
    let noted = seen.status().and_then(|status| status.recovery.as_ref());
    let retry = noted.filter(|noted| noted.last_time.0 <= seen.now);
    let retry = retry.and_then(|noted| noted.retry_after.as_ref()).map(|time| time.0);
    Standing::Absent(match seen.session.spec.operating_mode {
        OperatingMode::Suspended => Absence::Suspended,
        OperatingMode::Running if !valid || !storage.may_start() || seen.namespace_terminating => {
            Absence::Blocked
        }
        OperatingMode::Running => match retry {
            Some(retry) if retry > seen.now => Absence::BackingOff(retry),
            _ => Absence::Due,
        },
    })
}

const fn lost_since(node: NodeSeen) -> Option<Timestamp> {
    match node {
        NodeSeen::NotReady { since, .. } => Some(since),
        NodeSeen::Unknown | NodeSeen::Ready(_) | NodeSeen::OutOfService | NodeSeen::Gone => None,
    }
}

/// How the pod differs from what it should be.
pub(super) fn drift(seen: &Observed, desired: Option<&Desired>) -> Drift {
    match (seen.own_pod(), desired) {
        (Some(pod), Some(desired)) if pod.template_hash.as_ref() != Some(&desired.template_hash) => {
            if pod.revision.as_ref() == Some(&desired.revision) { Drift::Own } else { Drift::Fleet }
        }
        _ => Drift::None,
    }
}

/// The one thing to be done about the pod, if any.
pub(super) fn step(seen: &Observed, so_far: &Decision, rules: &Rules) -> Option<Step> {
    match &so_far.pod {
        Standing::Absent(Absence::Due) => Some(Step::CreatePod),
        Standing::NodeLost { gone: false, .. } => {
            let pod = seen.own_pod()?;
            if proof::is_given_up(seen, seen.node, rules) {
                return Some(forget(pod));
            }
            let wanted = pod.deleting.is_none().then(|| present(seen, so_far)).flatten();
            wanted.filter(|why| *why != Ending::Outdated).and_then(|why| end(seen, why))
        }
        Standing::Terminating => left_behind(seen).map(forget),
        Standing::Ended => end(seen, Ending::Ended),
        Standing::Present => present(seen, so_far).and_then(|why| end(seen, why)),
        Standing::NameConflict { .. }
        | Standing::Multiple(_)
        | Standing::Absent(_)
        | Standing::Vanished { .. }
        | Standing::NodeLost { .. } => None,
    }
}

fn forget(pod: &PodSeen) -> Step {
    Step::ForceDeletePod { uid: pod.uid.clone(), version: pod.version.clone() }
}

/// A pod that has ended, as its kubelet has said, but whose object goes on ending: its node was lost before the kubelet took it
/// away.
fn left_behind(seen: &Observed) -> Option<&PodSeen> {
    let overdue = super::node_to_look_at(seen).is_some();
    seen.own_pod().filter(|pod| pod.has_ended() && overdue && seen.node.is_lost())
}

fn end(seen: &Observed, why: Ending) -> Option<Step> {
    seen.own_pod().map(|pod| Step::DeletePod { uid: pod.uid.clone(), why })
}

/// Why a pod that is there is ended, if it is.
fn present(seen: &Observed, so_far: &Decision) -> Option<Ending> {
    if seen.session.spec.operating_mode == OperatingMode::Suspended {
        return Some(Ending::Suspended);
    }
    match so_far.storage {
        Storage::Resetting => Some(Ending::VolumeReset),
        Storage::Duplicate(_) => Some(Ending::DuplicateVolume),
        Storage::Ready | Storage::Pending if may_replace(seen, so_far.drift) => Some(Ending::Outdated),
        Storage::Ready
        | Storage::Pending
        | Storage::Missing
        | Storage::Terminating
        | Storage::Lost(_)
        | Storage::NameConflict(_)
        | Storage::NotFound => None,
    }
}

/// Whether an outdated pod may be replaced now. One that never ran serves nobody and is not waited for.
fn may_replace(seen: &Observed, drift: Drift) -> bool {
    let Some(pod) = seen.own_pod().filter(|_| drift != Drift::None) else { return false };
    let by_itself = seen.session.spec.update_strategy == UpdateStrategy::Recreate;
    by_itself && (!pod.has_run() || (!is_held_back(seen, drift) && seen.turn == Turn::Now))
}

/// A session that has ended for good is not restarted because the fleet is: only what its own resource says does that, or
/// a new program where the old one was the trouble.
fn is_held_back(seen: &Observed, drift: Drift) -> bool {
    let ended = seen.said().map(|said| said.state).filter(|state| state.is_terminal());
    drift == Drift::Fleet
        && ended.is_some_and(|state| !matches!(state, SessionState::Outdated | SessionState::Failed))
}

/// Since when the status says that the node does not answer, or only now does again.
pub(super) fn told_since(seen: &Observed) -> Option<Timestamp> {
    let conditions = &seen.status()?.conditions;
    let told = conditions.iter().find(|condition| condition.type_ == crds::conditions::POD_READY)?;
    (told.reason == crds::conditions::reason::NODE_UNREACHABLE).then_some(told.last_transition_time.0)
}

/// How long until a node that is away has been so for long.
fn given_up_in(node: NodeSeen, rules: &Rules) -> Option<Duration> {
    let NodeSeen::NotReady { lasted, .. } = node else { return None };
    Duration::try_from(rules.node_loss - lasted).ok().filter(|left| !left.is_zero())
}

/// When it has to be looked again though nothing happens.
pub(super) fn again(seen: &Observed, standing: &Standing, rules: &Rules) -> Option<Duration> {
    const SOON: Duration = Duration::from_secs(15);
    match standing {
        Standing::Absent(Absence::BackingOff(then)) => until(seen.now, *then),
        Standing::NodeLost { .. } => {
            let nodes = seen.departed.iter().map(|departed| departed.state).chain([seen.node]);
            Some(nodes.filter_map(|node| given_up_in(node, rules)).min().map_or(SOON, |left| left.min(SOON)))
        }
        Standing::Terminating => {
            let deadline = seen.own_pod().and_then(|pod| pod.deleting).map(|deleting| deleting.deadline);
            let overdue =
                deadline.and_then(|deadline| until(seen.now, later(deadline, SignedDuration::from_secs(1))));
            Some(overdue.unwrap_or(SOON))
        }
        Standing::Vanished { wait, .. } => {
            Some(Duration::try_from(wait.left).map_or(SOON, |left| left.min(SOON)))
        }
        // Nobody tells of a pod without our labels.
        Standing::NameConflict { .. } if seen.pods.iter().any(|pod| !pod.labelled) => Some(SOON),
        Standing::NameConflict { .. } | Standing::Multiple(_) => Some(Duration::from_mins(1)),
        Standing::Present => {
            let remembered = seen.status().is_some_and(|status| status.recovery.is_some());
            let forgiven = seen.own_pod().and_then(recovery::forgiven_at).filter(|_| remembered);
            let unwell = seen.own_pod().is_some_and(|pod| !pod.has_run());
            let lost = (unwell || super::node_to_look_at(seen).is_some()).then_some(SOON);
            forgiven.and_then(|then| until(seen.now, then)).or(lost)
        }
        Standing::Absent(_) | Standing::Ended => None,
    }
}
