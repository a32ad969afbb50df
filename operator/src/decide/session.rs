//! What the session itself is asked for: its configuration, a pairing code, and to unlink its device before it goes.

use crds::spec::PairingMethod;
use k8s_openapi::jiff::SignedDuration;
use session_api::SessionState;

use super::{Step, has_finalizer};
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

/// What a deleted session is kept for, and for how long.
pub(super) fn farewell(seen: &Observed) -> Vec<Step> {
    if !has_finalizer(seen) {
        return Vec::new();
    }
    let in_time = seen.deleted().is_some() && seen.deleted_for < FAREWELL;
    let pod = seen.own_pod().filter(|pod| pod.deleting.is_none() && !pod.has_ended());
    let linked = seen.status().is_some_and(|status| status.account.is_some());
    match &seen.heard {
        _ if !in_time || pod.is_none() || seen.paused() => vec![Step::RemoveFinalizer],
        Some(Answer::Status(said)) if said.paired && said.state != SessionState::Stopping => {
            vec![Step::LogOut]
        }
        Some(Answer::Silent(_) | Answer::Stranger(_)) | None if linked => Vec::new(),
        Some(_) | None => vec![Step::RemoveFinalizer],
    }
}
