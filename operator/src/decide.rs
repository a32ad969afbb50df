//! What is to be done for a session: what is seen, beside what shall be, gives a few writes in a fixed order. Pure.
//!
//! Here "at most one" lives. A pod is created only when no pod of the session's name or ownership exists and when nothing
//! speaks for the last one still running on a node that does not answer; a pod is deleted only by its UID; a volume is
//! deleted only when its reset was asked for. Every step can be repeated, so that a crash after any of them does no harm.

use std::time::Duration;

use crds::spec::OnDelete;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::build::Desired;
use crate::observe::Observed;
use crate::validate::Invalid;

mod children;
mod pod;
mod proof;
pub mod recovery;
mod session;
mod storage;

use children::Children;
pub use children::Obstacle;
pub use pod::{Absence, After, Standing, Wait};
pub use proof::{departure_wait, proven};
use session::has_finalizer;
pub use session::{Unreadable, unreadable};
pub use storage::{Loss, Storage, may_be_unseen};
pub(crate) use storage::{conflict, is_fresh};

/// What the operator was told for all sessions.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// How long a node has to be away before it counts as lost.
    pub node_loss: SignedDuration,
    /// How long a node that fails may still look well to the API server. Zero: a pod that departs is not waited for.
    pub node_grace: SignedDuration,
}

/// One write. Names and contents come from [`Desired`]; what is named here is the one object that it may touch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Keep the resource until the device is unlinked.
    AddFinalizer,
    /// Let the resource go.
    RemoveFinalizer,
    /// Make the claim.
    CreateClaim,
    /// Give the claim the session's labels and the owner that its policy says.
    TakeClaim {
        /// Its UID.
        uid: String,
        /// Its resource version.
        version: String,
    },
    /// Ask for a larger volume.
    GrowClaim {
        /// Its UID.
        uid: String,
    },
    /// Throw the claim away.
    DeleteClaim {
        /// Its UID.
        uid: String,
    },
    /// Make the Secret.
    CreateSecret,
    /// Make the Secret what it should be.
    ApplySecret,
    /// Make the `NetworkPolicy`.
    CreateNetworkPolicy,
    /// Make the `NetworkPolicy` what it should be.
    ApplyNetworkPolicy,
    /// Make the pod.
    CreatePod,
    /// Give the pod its labels back.
    LabelPod {
        /// Its UID.
        uid: String,
        /// Its resource version.
        version: String,
    },
    /// Let the pod end in its own time.
    DeletePod {
        /// Its UID.
        uid: String,
        /// Why.
        why: Ending,
    },
    /// Forget a pod whose node is lost: it has ended, or the node is given up.
    ForceDeletePod {
        /// Its UID.
        uid: String,
        /// Its resource version.
        version: String,
    },
    /// Give the session its configuration.
    PushConfig,
    /// Ask the session for a pairing code.
    AskPairingCode,
    /// Have the session remove its device from the account.
    LogOut,
}

/// Why a pod is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It has ended already, and another one is made.
    Ended,
    /// The session is suspended.
    Suspended,
    /// Its template is not today's.
    Outdated,
    /// Its volume is thrown away.
    VolumeReset,
    /// Another session uses the same volume.
    DuplicateVolume,
}

/// How a pod differs from what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drift {
    /// Not at all, or it cannot be told.
    None,
    /// By what its own resource says.
    Own,
    /// By what the operator gives to all pods.
    Fleet,
}

/// What is to be done, and how it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// Writes, in this order. A failed one ends the row.
    pub steps: Vec<Step>,
    /// How it stands with the volume.
    pub storage: Storage,
    /// How it stands with the pod.
    pub pod: Standing,
    /// How the pod differs from what it should be.
    pub drift: Drift,
    /// What keeps a pod from being made, beside the volume.
    pub obstacle: Option<Obstacle>,
    /// When to look again at the latest, if nothing happens before.
    pub again: Option<Duration>,
}

/// Decides.
pub fn decide(seen: &Observed, desired: Result<&Desired, &Invalid>, rules: &Rules) -> Decision {
    let storage = storage::judge(seen);
    let pod = pod::judge(seen, desired.is_ok(), &storage, rules);
    let drift = pod::drift(seen, desired.ok());
    let again = [pod::again(seen, &pod, rules), storage::again(seen, &storage)].into_iter().flatten().min();
    let children = desired.map_or(Children::Unknown, |desired| children::judge(seen, desired));
    let obstacle = children.obstacle();
    let mut decision = Decision { steps: Vec::new(), storage, pod, drift, obstacle, again };
    if seen.deleted().is_some() {
        decision.steps = session::farewell(seen);
        decision.again = has_finalizer(&seen.session.metadata).then_some(Duration::from_secs(5));
    } else if seen.namespace_terminating {
        // The resource and the operator's own rights may go at any moment: nothing may be left to wait for them.
        let kept = has_finalizer(&seen.session.metadata);
        decision.steps = kept.then_some(Step::RemoveFinalizer).into_iter().collect();
    } else if !seen.paused() {
        decision.steps = work(seen, desired.ok().map(|desired| (desired, children)), &decision, rules);
    }
    decision
}

fn work(seen: &Observed, shall: Option<(&Desired, Children)>, so_far: &Decision, rules: &Rules) -> Vec<Step> {
    let mut steps: Vec<Step> = finalizer(seen).into_iter().collect();
    steps.extend(storage::steps(seen, &so_far.storage, &so_far.pod));
    steps.extend(shall.map(|(_, children)| children.steps()).unwrap_or_default());
    let may_create = shall.is_some_and(|(_, children)| children.are_ours());
    steps.extend(pod::step(seen, so_far, rules).filter(|step| may_create || *step != Step::CreatePod));
    if let Some((desired, _)) = shall {
        steps.extend(session::steps(seen, desired));
    }
    steps.extend(storage::growth(seen, &so_far.storage));
    steps
}

fn finalizer(seen: &Observed) -> Option<Step> {
    let wanted = seen.session.spec.on_delete == OnDelete::Unlink;
    match (wanted, has_finalizer(&seen.session.metadata)) {
        (true, false) => Some(Step::AddFinalizer),
        (false, true) => Some(Step::RemoveFinalizer),
        _ => None,
    }
}

/// The node whose state has to be known before anything is decided: that of a pod that says nothing any more. (Those of pods
/// that are gone and were not seen to end have to be known as well.)
pub fn node_to_look_at(seen: &Observed) -> Option<&str> {
    let pod = seen.own_pod()?;
    let overdue = pod.deleting.is_some_and(|deleting| deleting.deadline <= seen.now);
    let silent = !pod.has_ended() && pod.has_run() && !pod.is_ready() && seen.said().is_none();
    pod.node.as_deref().filter(|_| overdue || silent)
}

/// How long until then (at least a moment); none if that is past.
fn until(now: Timestamp, then: Timestamp) -> Option<Duration> {
    let left = Duration::try_from(then.duration_since(now)).ok()?;
    (!left.is_zero()).then(|| left.max(Duration::from_millis(200)))
}

#[cfg(test)]
mod tests;
