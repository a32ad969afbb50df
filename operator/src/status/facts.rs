//! The parts of the status beside its conditions: what has to be remembered, and what people look for.

use crds::status::{PodStatus, RecoveryStatus, StorageStatus, WhatsAppSessionStatus};

use super::{Facts, account, connection};
use crate::build::claim;
use crate::decide::{Absence, Drift, Ending, Loss, Standing, Step, Storage, is_fresh, recovery};
use crate::observe::{ClaimSeen, Departed, Observed};

/// The parts, from what was told before.
pub(super) fn tell(facts: &Facts<'_>, before: WhatsAppSessionStatus) -> WhatsAppSessionStatus {
    let seen = facts.seen;
    let before = if is_reset(facts) { forget(before) } else { before };
    let unheard = connection::is_unheard_yet(seen, &before);
    let said = seen.said();
    let state = said.map(|said| connection::state_word(said.state).to_owned());
    let older = facts.decision.storage == Storage::Lost(Loss::Older);
    let epoch = said.filter(|_| !older).and_then(|said| i64::try_from(said.writer_epoch).ok());
    WhatsAppSessionStatus {
        state: state.or_else(|| before.state.clone().filter(|_| unheard)),
        account: match said {
            Some(said) if !older => account::tell(said, before.account.clone(), facts.key),
            _ => before.account.clone(),
        },
        writer_epoch: epoch.filter(|epoch| *epoch > 0).max(before.writer_epoch),
        config_hash: said
            .map_or_else(|| before.config_hash.clone(), |said| bounded(said.config_hash.as_ref())),
        pod: pod(facts, before.pod.clone()),
        storage: storage(facts, before.storage.clone()),
        recovery: remembered(facts, before.recovery),
        ..WhatsAppSessionStatus::default()
    }
}

/// Most bytes of a hash, as the schema has it: one longer word would have the whole status refused.
const MAX_HASH: usize = 64;

/// What somebody else wrote, unless it is too long to be a hash.
fn bounded(hash: Option<&String>) -> Option<String> {
    hash.filter(|hash| hash.len() <= MAX_HASH).cloned()
}

/// Whether the volume that was asked for anew is there.
fn is_reset(facts: &Facts<'_>) -> bool {
    let fresh = facts.seen.claim.as_ref().is_some_and(|claim| is_fresh(facts.seen, claim));
    facts.decision.storage == Storage::Resetting && fresh && facts.seen.own_pods().next().is_none()
}

/// What stays of a session whose volume was thrown away.
fn forget(before: WhatsAppSessionStatus) -> WhatsAppSessionStatus {
    WhatsAppSessionStatus {
        storage: None,
        account: None,
        writer_epoch: None,
        config_hash: None,
        recovery: None,
        ..before
    }
}

fn pod(facts: &Facts<'_>, before: Option<PodStatus>) -> Option<PodStatus> {
    let seen = facts.seen;
    match &facts.decision.pod {
        Standing::NodeLost { gone: true, .. }
        | Standing::Vanished { .. }
        | Standing::NameConflict { .. }
        | Standing::Multiple(_) => waited_for(seen, before),
        Standing::Absent(_) | Standing::Ended => None,
        Standing::Terminating | Standing::NodeLost { .. } | Standing::Present => {
            seen.own_pod().map(|pod| PodStatus {
                name: pod.name.clone(),
                uid: pod.uid.clone(),
                node: pod.node.clone(),
                restarts: pod.restarts,
                template_hash: bounded(pod.template_hash.as_ref()),
                outdated: facts.decision.drift != Drift::None,
            })
        }
    }
}

/// What is known of the last pod is kept until its end is proven: an operator that takes over knows nothing else of it. One that
/// went before it was ever told of is told of now; so is another session's, whose volume this one is to have.
fn waited_for(seen: &Observed, before: Option<PodStatus>) -> Option<PodStatus> {
    let gone = |told: &PodStatus| seen.departed.iter().find(|departed| departed.uid == told.uid);
    let of = |departed: &Departed| PodStatus {
        name: departed.name.clone(),
        uid: departed.uid.clone(),
        node: departed.node.clone(),
        ..PodStatus::default()
    };
    match (before.as_ref().and_then(gone), seen.departed.first()) {
        (Some(departed), _) => {
            before.map(|told| PodStatus { node: departed.node.clone().or(told.node), ..told })
        }
        (None, Some(departed)) => Some(of(departed)),
        (None, None) => before,
    }
}

fn storage(facts: &Facts<'_>, before: Option<StorageStatus>) -> Option<StorageStatus> {
    let seen = facts.seen;
    let usable = matches!(facts.decision.storage, Storage::Ready | Storage::Pending) || is_reset(facts);
    match seen.claim.as_ref().filter(|_| usable) {
        Some(claim) => Some(told(seen, claim, before)),
        None => before,
    }
}

fn told(seen: &Observed, claim: &ClaimSeen, before: Option<StorageStatus>) -> StorageStatus {
    let first = seen.session.spec.volume_reset_token.clone();
    StorageStatus {
        claim_name: claim::name(seen.name(), &seen.session.spec),
        claim_uid: Some(claim.uid.clone()),
        access_mode: claim.access_mode.clone(),
        capacity: claim.capacity.clone(),
        reset_token: before.map_or(first, |before| before.reset_token),
    }
}

fn remembered(facts: &Facts<'_>, before: Option<RecoveryStatus>) -> Option<RecoveryStatus> {
    let seen = facts.seen;
    let ended =
        facts.outcome.done.iter().any(|step| matches!(step, Step::DeletePod { why: Ending::Ended, .. }));
    match seen.own_pod() {
        Some(pod) if ended => Some(recovery::after_end(seen, pod)),
        Some(pod) if recovery::forgiven_at(pod).is_some_and(|then| then <= seen.now) => None,
        _ if facts.decision.pod == Standing::Absent(Absence::Suspended) => None,
        _ => before,
    }
}
