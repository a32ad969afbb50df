//! What the session itself is asked for: its configuration, a pairing code, and to unlink its device before it goes.

use std::time::Duration;

use crds::names;
use crds::spec::{PairingMethod, RetentionPolicy};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::SignedDuration;
use session_api::SessionState;

use super::Step;
use super::storage::taken;
use crate::build::Desired;
use crate::observe::{Answer, Observed};

/// How long a deleted session is kept for its device to be unlinked.
const FAREWELL: SignedDuration = SignedDuration::from_secs(60);

/// What a running session is asked for.
pub(super) fn steps(seen: &Observed, desired: &Desired) -> Vec<Step> {
    let mut steps = Vec::new();
    let Some(said) = seen.said() else { return steps };
    let Some(pod) = seen.own_pod().filter(|pod| pod.deleting.is_none()) else { return steps };
    if !pod.labelled {
        steps.push(Step::LabelPod { uid: pod.uid.clone(), version: pod.version.clone() });
    }
    if said.state == SessionState::Stopping {
        return steps;
    }
    if said.config_hash.as_deref() != Some(&desired.config_hash) {
        steps.push(Step::PushConfig);
    }
    let spec = &seen.session.spec;
    let by_code = spec.pairing.method == PairingMethod::PairingCode && spec.phone_number.is_some();
    if by_code && said.state == SessionState::AwaitingPairing && !seen.code_asked {
        steps.push(Step::AskPairingCode);
    }
    steps
}

/// What a deleted session is kept for, and for how long. Its volume is let go, if that is to stay, before the session itself is;
/// that nobody may write to the volume does not keep the device from being unlinked.
pub(super) fn farewell(seen: &Observed) -> Vec<Step> {
    let in_time = seen.deleted().is_some() && seen.deleted_for < FAREWELL;
    let mut steps: Vec<Step> = release(seen).filter(|_| in_time).into_iter().collect();
    match has_finalizer(&seen.session.metadata).then(|| unlink(seen, in_time)).flatten() {
        Some(step @ Step::LogOut) => steps.insert(0, step),
        other => steps.extend(other),
    }
    steps
}

/// Lets a volume stay that was to go with its session until a moment ago: the garbage collector asks for its owner alone. It can
/// be too late. Nothing keeps a deleted session that has no device to unlink, nor a claim whose owner is deleted in the
/// foreground: then the collector may have deleted the claim before anybody could see that the resource says something else.
fn release(seen: &Observed) -> Option<Step> {
    let spec = &seen.session.spec;
    let stays = spec.retention_policy == RetentionPolicy::Retain && spec.storage.existing_claim.is_none();
    let claim = seen.claim.as_ref().filter(|claim| stays && !claim.deleting)?;
    let ours = claim.owner.as_ref().is_some_and(|owner| owner.uid == seen.uid());
    ours.then(|| taken(claim))
}

fn unlink(seen: &Observed, in_time: bool) -> Option<Step> {
    let pod = seen.own_pod().filter(|pod| pod.deleting.is_none() && !pod.has_ended());
    let linked = seen.status().is_some_and(|status| status.account.is_some());
    match &seen.heard {
        _ if !in_time || pod.is_none() || seen.paused() => Some(Step::RemoveFinalizer),
        Some(Answer::Status(said)) if said.paired && said.state != SessionState::Stopping => {
            Some(Step::LogOut)
        }
        Some(Answer::Silent(_) | Answer::Stranger(_)) | None if linked => None,
        Some(_) | None => Some(Step::RemoveFinalizer),
    }
}

/// What becomes of a resource that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    /// It is left alone.
    Left,
    /// It is deleted and waits for its device to be unlinked: somebody may mend it, or another operator read it, until then.
    Kept(Duration),
    /// It goes, and its device stays linked: nobody can tell whom to ask.
    LetGo,
}

/// Judges a resource that cannot be read by its metadata, and by how long it has been seen deleted.
pub fn unreadable(meta: &ObjectMeta, deleted_for: SignedDuration) -> Unreadable {
    if meta.deletion_timestamp.is_none() || !has_finalizer(meta) {
        return Unreadable::Left;
    }
    match Duration::try_from(FAREWELL.saturating_sub(deleted_for)) {
        Ok(left) if !left.is_zero() => Unreadable::Kept(left),
        Ok(_) | Err(_) => Unreadable::LetGo,
    }
}

/// Whether the resource is kept until its device is unlinked.
pub(super) fn has_finalizer(meta: &ObjectMeta) -> bool {
    meta.finalizers.iter().flatten().any(|one| one == names::UNLINK_FINALIZER)
}
